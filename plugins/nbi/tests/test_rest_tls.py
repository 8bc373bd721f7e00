"""HTTPS with an authority of the test's own, with and without certificates of clients."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme
from dpb_nbi import RestNbi

from dpb_framework.errors import ConfigInvalid

from .access_helpers import Guarded
from .fake_network import FakeBroker
from .rest_helpers import eventually

NETWORKS = "/api/v1/networks"


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def files(authority, tmp_path_factory):
    """PEM files: certificate and key of the server, the authority, and one of another that is trusted by nobody."""
    folder = tmp_path_factory.mktemp("tls")
    server = authority.issue_cert("127.0.0.1")
    server.cert_chain_pems[0].write_to_path(folder / "certificate")
    server.private_key_pem.write_to_path(folder / "key")
    authority.cert_pem.write_to_path(folder / "ca")
    authority.issue_cert("127.0.0.1").private_key_pem.write_to_path(folder / "other-key")
    return {path.name: str(path) for path in folder.iterdir()}


@pytest.fixture
def guarded(files):
    broker = FakeBroker()
    settings = {"certificate": files["certificate"], "key": files["key"], "client_ca": files["ca"]}
    found = Guarded(broker, **settings)
    yield found
    found.stop()
    broker.close()


def trusting(authority, certificate=None, version=None):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if certificate is not None:
        certificate.configure_cert(context)
    if version is not None:
        context.maximum_version = version
    return context


def ask(guarded, context, token=None, path=NETWORKS):
    parts = urlsplit(guarded.nbi.address)
    connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=20, context=context)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def named(authority, name):
    return authority.issue_cert("client.example", common_name=name)


def test_a_token_over_tls(guarded, authority):
    assert guarded.nbi.address.startswith("https://127.0.0.1:")
    token = guarded.token("ann", "read@aggr")
    assert ask(guarded, trusting(authority), token)[0] == 200
    assert ask(guarded, trusting(authority), token[:-1])[0] == 401
    assert ask(guarded, trusting(authority))[0] == 401


def test_a_certificate_names_the_user(guarded, authority):
    guarded.user("ann", "read@aggr")
    status, found = ask(guarded, trusting(authority, named(authority, "ann")))
    assert (status, [network["name"] for network in found["networks"]]) == (200, ["aggr"])
    assert ask(guarded, trusting(authority, named(authority, "bob")))[0] == 401
    assert ask(guarded, trusting(authority, authority.issue_cert("ann")))[0] == 401, "only the common name counts"


def test_a_token_is_nearer_than_a_certificate(guarded, authority):
    guarded.user("ann", "read@aggr")
    token = guarded.token("bob", "read@slough")
    _, found = ask(guarded, trusting(authority, named(authority, "ann")), token)
    assert [network["name"] for network in found["networks"]] == ["slough"]
    assert ask(guarded, trusting(authority, named(authority, "ann")), "wrong")[0] == 401


def test_a_certificate_of_another_authority_is_refused(guarded, authority):
    guarded.user("ann", "read@aggr")
    stranger = trustme.CA()
    with pytest.raises(OSError):  # noqa: PT011  # an alert or a reset, as it comes
        ask(guarded, trusting(authority, named(stranger, "ann")))
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(guarded, trusting(stranger))


def test_old_versions_are_refused_and_1_2_is_not(guarded, authority):
    assert ask(guarded, trusting(authority, version=ssl.TLSVersion.TLSv1_2), path="/api/v1/health")[0] == 200
    parts = urlsplit(guarded.nbi.address)
    context = trusting(authority)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection((parts.hostname, parts.port)) as wire, pytest.raises(OSError):  # noqa: PT011
        context.wrap_socket(wire, server_hostname="127.0.0.1")


def test_plain_http_on_a_tls_port_and_the_reverse_end_cleanly(guarded, authority, caplog):
    parts = urlsplit(guarded.nbi.address)
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as wire:
        wire.sendall(b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n")
        with wire.makefile("rb") as stream:
            assert b"200" not in stream.read()
    plain = RestNbi(port=0)
    plain.start(guarded.broker)
    where = urlsplit(plain.address)
    with socket.create_connection((where.hostname, where.port), timeout=20) as wire, pytest.raises(OSError):  # noqa: PT011
        trusting(authority).wrap_socket(wire, server_hostname="127.0.0.1")
    plain.stop()
    assert ask(guarded, trusting(authority), path="/api/v1/health")[0] == 200
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_handshake_that_does_not_come_is_given_up(monkeypatch, files, authority):
    monkeypatch.setattr("dpb_nbi.limits.HANDSHAKE_SECONDS", 2.0)
    broker = FakeBroker()
    found = Guarded(broker, certificate=files["certificate"], key=files["key"])
    parts = urlsplit(found.nbi.address)
    slow = [socket.create_connection((parts.hostname, parts.port), timeout=20) for _ in range(100)]
    assert ask(found, trusting(authority), path="/api/v1/health")[0] == 200
    for wire in slow:
        assert wire.recv(1) == b""
        wire.close()
    found.stop()
    broker.close()


def test_handshakes_that_do_not_come_keep_nobody_out(monkeypatch, files, authority, caplog):
    monkeypatch.setattr("dpb_nbi.limits.CONNECTIONS", 20)
    broker = FakeBroker()
    found = Guarded(broker, certificate=files["certificate"], key=files["key"])
    guests = found.nbi._server._guests
    caplog.clear()  # that there are no users
    parts = urlsplit(found.nbi.address)
    slow = [socket.create_connection((parts.hostname, parts.port), timeout=20) for _ in range(60)]
    for wire in slow[:40]:
        assert wire.recv(1) == b""
    assert ask(found, trusting(authority), path="/api/v1/health")[0] == 200
    assert slow[40].recv(1) == b""
    eventually(lambda: len(guests) == 19)
    found.stop()
    for wire in slow:
        wire.close()
    assert not len(guests)
    assert not caplog.records
    broker.close()


def test_a_stream_over_tls_ends_with_the_server(guarded, authority):
    token = guarded.token("ann", "read@aggr")
    parts = urlsplit(guarded.nbi.address)
    connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=20, context=trusting(authority))
    connection.request("GET", f"{NETWORKS}/aggr/events", headers={"Authorization": f"Bearer {token}"})
    response = connection.getresponse()
    eventually(lambda: len(guarded.nbi._server._app.context.streams) == 1)
    guarded.nbi.stop()
    assert response.read() == b":\n\n"
    connection.close()


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"key": "key"}, "certificate"),
        ({"certificate": "none"}, "certificate"),
        ({"certificate": "certificate"}, "certificate"),
        ({"certificate": "certificate", "key": "other-key"}, "certificate"),
        ({"certificate": "ca", "key": "key"}, "certificate"),
        ({"certificate": "certificate", "key": "key", "client_ca": "ca"}, "client-ca"),
        ({"certificate": "certificate", "key": "key", "client_ca": "key", "access": True}, "client-ca"),
        ({"client_ca": "ca", "access": True}, "client-ca"),
    ],
)
def test_files_that_do_not_fit_are_named(files, settings, path):
    broker = FakeBroker()
    found = {name: files.get(value, value) if isinstance(value, str) else value for name, value in settings.items()}
    with pytest.raises(ConfigInvalid) as caught:
        RestNbi(port=0, **found).start(broker)
    assert caught.value.path == path
    assert "\n" not in str(caught.value)
    broker.close()


def test_a_key_with_a_passphrase_is_not_asked_for(files, tmp_path):
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(Path(files["key"]).read_bytes(), None)
    locked = tmp_path / "locked"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
        )
    )
    broker = FakeBroker()
    with pytest.raises(ConfigInvalid, match="passphrase"):
        RestNbi(port=0, certificate=files["certificate"], key=str(locked)).start(broker)
    broker.close()


def shown(guarded, authority):
    """The number of the certificate that the server shows."""
    parts = urlsplit(guarded.nbi.address)
    with (
        socket.create_connection((parts.hostname, parts.port), 20) as plain,
        trusting(authority).wrap_socket(plain, server_hostname="127.0.0.1") as secured,
    ):
        return secured.getpeercert()["serialNumber"]


def test_a_renewed_certificate_is_taken_over_and_one_that_is_of_no_use_is_not(authority, tmp_path, caplog):
    caplog.set_level("INFO", "dpb_nbi")
    certificate, key = tmp_path / "certificate", tmp_path / "key"

    def put(file, pem):
        (tmp_path / "new").write_bytes(pem.bytes())
        (tmp_path / "new").rename(file)

    def renew():
        made = authority.issue_cert("127.0.0.1")
        put(certificate, made.cert_chain_pems[0])
        put(key, made.private_key_pem)

    renew()
    broker = FakeBroker()
    guarded = Guarded(broker, certificate=str(certificate), key=str(key))
    try:
        first = shown(guarded, authority)
        token = guarded.token("ann", "read@aggr")
        put(certificate, authority.issue_cert("127.0.0.1").cert_chain_pems[0])  # of another key
        eventually(lambda: caplog.text.count("TLS goes on with the certificate it has: certificate: ") == 1)
        assert shown(guarded, authority) == first
        key.unlink()
        eventually(lambda: caplog.text.count("TLS goes on with the certificate it has: certificate: ") == 2)
        renew()
        eventually(lambda: shown(guarded, authority) != first)
        assert ask(guarded, trusting(authority), token)[0] == 200
        assert "was read anew" in caplog.text
    finally:
        guarded.stop()
        broker.close()
