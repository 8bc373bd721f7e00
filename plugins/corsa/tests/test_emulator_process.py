"""The emulator as the program that it is: certificates, restarts, signals, bad starts."""

import socket
import ssl
import subprocess
import sys
import threading

import pytest
import requests
from dpb_corsa_emulator.testing import Emulator

BRIDGE = {"bridge": "br1", "subtype": "openflow", "resources": 5}


@pytest.fixture
def emulator(tmp_path):
    emulator = Emulator(tmp_path / "switch")
    yield emulator
    emulator.stop()


def test_its_certificate_is_pinned_by_its_file_and_nobody_else_is_believed(emulator, tmp_path):
    with requests.Session() as session:
        session.trust_env = False  # or a bundle of the environment's is believed instead
        session.headers["Authorization"] = emulator.token
        session.verify = str(emulator.certificate)
        assert session.get(emulator.url, timeout=20).json()["links"]
    other = Emulator(tmp_path / "other")
    try:
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(emulator.url, verify=str(other.certificate), timeout=20)
    finally:
        other.stop()
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(emulator.url, timeout=20)


def test_a_certificate_may_be_for_another_name(tmp_path):
    emulator = Emulator(tmp_path, "--certificate-name", "corsa.example")
    try:
        context = ssl.create_default_context(cafile=str(emulator.certificate))
        with socket.create_connection(("127.0.0.1", emulator.port)) as plain:
            context.wrap_socket(plain, server_hostname="corsa.example").close()
        with socket.create_connection(("127.0.0.1", emulator.port)) as plain, pytest.raises(ssl.SSLError):
            context.wrap_socket(plain, server_hostname="127.0.0.1")
    finally:
        emulator.stop()


def test_a_restart_keeps_port_certificate_token_and_configuration_unless_told_to_forget(emulator):
    assert emulator.call("POST", "bridges", BRIDGE)[0] == 201
    before = emulator.url, emulator.token, emulator.certificate.read_bytes()
    emulator.kill()
    emulator.start()
    assert (emulator.url, emulator.token, emulator.certificate.read_bytes()) == before
    assert emulator.call("GET", "bridges/br1")[0] == 200
    assert emulator.stop() == 0
    emulator.start("--forget")
    assert emulator.call("GET", "bridges/br1")[0] == 404


def test_one_of_two_that_take_the_same_name_gets_it(emulator):
    answers = []
    clients = [
        threading.Thread(target=lambda: answers.append(emulator.call("POST", "bridges", BRIDGE)[0])) for _ in range(8)
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert sorted(answers) == [201, *[409] * 7]


def test_who_says_nothing_holds_nobody_up(emulator):
    with socket.create_connection(("127.0.0.1", emulator.port)) as silent:
        assert emulator.call("GET", "")[0] == 200
        silent.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert emulator.call("GET", "")[0] == 200


def test_a_body_that_is_too_large_is_refused(emulator):
    assert emulator.call("POST", "bridges", b" " * 1_000_001)[0] == 413


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "dpb_corsa_emulator", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_port_that_is_taken_is_one_line(emulator, tmp_path):
    done = run("--folder", str(tmp_path / "second"), "--listen", f"127.0.0.1:{emulator.port}")
    assert done.returncode == 1
    assert done.stderr.startswith("dpb-corsa-emulator: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("written", ["{", "[]", '{"bridges": {"br1": {"colour": 1}}}'])
def test_a_state_file_that_is_none_is_one_line(tmp_path, written):
    (tmp_path / "state.json").write_text(written)
    done = run("--folder", str(tmp_path))
    assert done.returncode == 1
    assert "state.json: no state of this emulator" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("wrong", [["--listen", "nowhere"], ["--ports", "0"], ["--max-ofport", "x"], []])
def test_a_wrong_command_line_is_told(tmp_path, wrong):
    folder = ["--folder", str(tmp_path)] if wrong else []
    assert run(*folder, *wrong).returncode == 2
