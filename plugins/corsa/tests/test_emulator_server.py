"""The emulator's HTTPS server leaves no connection open, whatever its clients do."""

from __future__ import annotations

import gc
import http.client
import socket
import ssl
import struct
import threading
from pathlib import Path
from typing import Any

import pytest
from cheroot.errors import FatalSSLAlert
from dpb_corsa_emulator import certificate
from dpb_corsa_emulator.server import Tls, serve


def _answer(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    pem, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    certificate.make(pem, key, ["127.0.0.1"])
    return pem, key


def _reset(port: int) -> None:
    client = socket.create_connection(("127.0.0.1", port))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def test_a_client_that_has_gone_before_it_was_accepted(files: tuple[Path, Path]) -> None:
    port, stop = serve(("127.0.0.1", 0), _answer, *files)
    try:
        for _ in range(200):
            _reset(port)
        context = ssl.create_default_context(cafile=str(files[0]))
        client = http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=context)
        client.request("GET", "/")
        assert client.getresponse().read() == b"ok"
        client.close()
    finally:
        stop()
    gc.collect()  # a socket left open is a warning, which is an error


class _There(socket.socket):
    """A connection whose client was there when it was looked for."""

    def getpeername(self) -> Any:
        return ("127.0.0.1", 1)


def test_a_client_that_goes_while_its_connection_is_made(files: tuple[Path, Path]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        _reset(listening.getsockname()[1])
        accepted, _ = listening.accept()
    with pytest.raises(FatalSSLAlert):
        Tls(*files).wrap(_There(fileno=accepted.detach()))
    gc.collect()


def test_an_answer_that_ends_while_the_server_does(files: tuple[Path, Path]) -> None:
    entered, on = threading.Event(), threading.Event()

    def slow(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        entered.set()
        on.wait(30)
        return _answer(environ, start_response)

    port, stop = serve(("127.0.0.1", 0), slow, *files)
    context = ssl.create_default_context(cafile=str(files[0]))
    client = http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=context)
    client.request("GET", "/")
    assert entered.wait(30)
    ending = threading.Thread(target=stop)
    ending.start()
    on.set()
    ending.join()
    client.close()
    gc.collect()
