"""What keeps a command from its broker is told so that one knows what to do."""

from __future__ import annotations

import contextlib
import datetime
import http.server
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from cli_fake_broker import Problem

WANTED = "expected http://HOST:PORT or https://HOST:PORT as --url or DPB_URL"


@contextlib.contextmanager
def secured(certificate: trustme.LeafCert) -> Iterator[int]:
    """A server with that certificate, which nobody comes to talk to; gives its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # broken handshakes are what is tested
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return authority


@pytest.mark.parametrize(
    "url", ["nonsense", "127.0.0.1:4753", "ftp://127.0.0.1", "http://", "http://[::1", "http://a:b"]
)
def test_a_url_that_is_none_is_told(dpb: Any, url: str) -> None:
    assert dpb.fails("network", "list", "--url", url) == f"dpb: {url.rstrip('/')}: {WANTED}"


def test_a_password_is_not_told_even_where_the_url_is_none(dpb: Any) -> None:
    for url in ("me:sec/ret@127.0.0.1:4753", "ftp://me:secret@127.0.0.1", "http://me:secret@[::1"):
        said = dpb.fails("network", "list", "--url", url)
        assert WANTED in said
        assert "ret" not in said


def test_a_url_with_a_path_is_told_as_the_reason_why_nothing_is_there(dpb: Any) -> None:
    dpb.broker.refuse["GET", "networks"] = Problem(404, "no-route", "there is nothing at '/api/v1/api/v1/networks'")
    assert dpb.fails("network", "list", "--url", f"{dpb.url}/api/v1").endswith(
        "; a broker's URL is http://HOST:PORT, without /api/v1"
    )
    assert dpb.fails("network", "list").endswith("'/api/v1/api/v1/networks'")


def test_a_host_that_nobody_knows_is_told(dpb: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    said = dpb.fails("network", "list", "--url", "http://borker.example:4753")
    assert "http://borker.example:4753: its host name cannot be resolved: Name or service not known" in said


def test_http_and_https_taken_for_each_other(dpb: Any, authority: trustme.CA) -> None:
    assert "its URL begins with http://" in dpb.fails("network", "list", "--url", dpb.url.replace("http", "https"))
    with secured(authority.issue_cert("127.0.0.1")) as port:
        said = dpb.fails("network", "list", "--url", f"http://127.0.0.1:{port}")
    assert "the URL of a broker with a certificate begins with https://" in said


def test_what_is_wrong_with_a_certificate_is_told(dpb: Any, authority: trustme.CA, tmp_path: Path) -> None:
    with secured(authority.issue_cert("elsewhere.example")) as port:
        url = f"https://127.0.0.1:{port}"
        unknown = dpb.fails("network", "list", "--url", url)
        other = dpb.fails("network", "list", "--url", url, "--ca", tmp_path / "ca.pem")
    assert "its certificate is not trusted: unable to get local issuer certificate; name its authority's" in unknown
    assert "its certificate is for another name: " in other


def test_a_certificate_that_is_out_of_date_is_told(dpb: Any, authority: trustme.CA, tmp_path: Path) -> None:
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    with secured(authority.issue_cert("127.0.0.1", not_before=past, not_after=past)) as port:
        said = dpb.fails("network", "list", "--url", f"https://127.0.0.1:{port}", "--ca", tmp_path / "ca.pem")
    assert "its certificate does not hold: certificate has expired" in said


def test_a_file_of_authorities_that_is_none_is_told_over_http_too(dpb: Any, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing\n")
    assert dpb.fails("network", "list", "--ca", tmp_path / "none") == (
        f"dpb: --ca: {tmp_path / 'none'} cannot be read: No such file or directory"
    )
    assert dpb.fails("network", "list", "--ca", tmp_path / "empty.pem") == (
        f"dpb: --ca: there is no certificate (PEM) in {tmp_path / 'empty.pem'}"
    )
