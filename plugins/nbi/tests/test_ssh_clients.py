"""Clients of others, unchanged: OpenSSH and paramiko; and the commands of dpb over SSH."""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import os
import shutil
import struct
import subprocess
import threading
from pathlib import Path

import paramiko
import pytest
from dpb_nbi import RestNbi
from dpb_nbi.ssh import limits

from .rest_helpers import eventually
from .ssh_helpers import Served, build, frame, make_key, real_broker

SSH = shutil.which("ssh")


@pytest.fixture
def openssh():
    if SSH is None:
        if os.environ.get("DPB_REQUIRE_DATAPLANE") == "1":
            pytest.fail("OpenSSH's client is not installed, and DPB_REQUIRE_DATAPLANE=1 says that it must be")
        pytest.skip("OpenSSH's client is not installed; as root: apt-get install openssh-client")


@pytest.fixture
def served(tmp_path):
    broker = real_broker(tmp_path)
    broker.start()
    found = Served(broker, tmp_path, access=True, passwords=True, audit=str(tmp_path / "audit"))
    yield found
    found.stop()
    broker.stop()


@pytest.fixture
def keys(served, tmp_path):
    """A folder with the private key of each user, as OpenSSH keeps them, and the keys."""
    found = {}
    for name, *roles in (("chief", "manage@*"), ("ann", "control@aggr"), ("reader", "read@aggr")):
        key, line = make_key()
        served.user(name, *roles, key=line)
        key.write_private_key(str(tmp_path / name))
        (tmp_path / name).chmod(0o600)
        found[name] = key
    return found


@pytest.fixture
def rest(served):
    """REST on loopback, where anybody may do anything."""
    nbi = RestNbi(port=0)
    nbi.start(served.broker)
    yield nbi
    nbi.stop()


@pytest.fixture
def topology(served, keys):
    async def make(served):
        async with served.connect("chief", keys["chief"]) as chief:
            await build(chief)

    served.run(make)


# -- OpenSSH ------------------------------------------------------------------------------------


def ssh(served, folder, user, *command, data=b"", terminal=False):
    host, port = served.place
    (folder / "known_hosts").touch()
    options = {
        "UserKnownHostsFile": folder / "known_hosts",
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "accept-new",
        "IdentitiesOnly": "yes",
        "BatchMode": "yes",
        "LogLevel": "ERROR",
    }
    line = [SSH, "-F", "none", "-p", str(port), "-i", str(folder / user)]
    line += [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    line += ["-tt"] if terminal else []
    return subprocess.run(
        [*line, f"{user}@{host}", *command], input=data, capture_output=True, timeout=60, check=False, env={"HOME": "/"}
    )


def answers(data):
    found = []
    while data:
        (size,) = struct.unpack(">I", data[:4])
        found.append(json.loads(data[4 : 4 + size]))
        data = data[4 + size :]
    return found


def test_openssh_speaks_frames(openssh, served, keys, topology, tmp_path):
    ran = ssh(
        served,
        tmp_path,
        "ann",
        "aggr",
        data=frame({"type": "get-terminals"}, 1)
        + frame({"type": "find-service", "handle": "x" * 300_000}, 2)
        + frame({"type": "remove-terminal", "terminal-name": "l"}, 3),
    )
    greeting, *found = answers(ran.stdout)
    assert greeting == {"network-name": "aggr", "aggregator": True}
    by_session = {answer["session"]: answer["content"] for answer in found}
    assert by_session[1] == {"terminal-names": ["l", "r"]}
    assert by_session[2] == {}
    assert by_session[3]["error"] == "unauthorized"
    assert (ran.returncode, ran.stderr) == (0, b"")
    ran = ssh(served, tmp_path, "ann", "left")
    assert (answers(ran.stdout), ran.returncode) == ([{"error": "unauthorized", "network": "left"}], 1)
    ran = ssh(served, tmp_path, "ann", "aggr", data=b"\xff\xff\xff\xff")
    assert ([answer.get("error") for answer in answers(ran.stdout)], ran.returncode) == ([None, "bad-frame"], 1)


def test_openssh_with_a_wrong_key_is_refused(openssh, served, keys, tmp_path):
    shutil.copy(tmp_path / "ann", tmp_path / "bob")
    ran = ssh(served, tmp_path, "bob", "aggr")
    assert ran.returncode == 255
    assert b"Permission denied" in ran.stderr
    assert ran.stdout == b""


def test_openssh_knows_the_broker_again(openssh, served, keys, topology, tmp_path):
    assert ssh(served, tmp_path, "ann", "aggr").returncode == 0
    port = served.place[1]
    served.restart()
    known = (tmp_path / "known_hosts").read_text()
    (tmp_path / "known_hosts").write_text(known.replace(f"]:{port}", f"]:{served.place[1]}"))
    assert ssh(served, tmp_path, "ann", "aggr").returncode == 0
    # Another key is noticed.
    served.nbi.stop()
    (tmp_path / "host_key").unlink()
    served.restart()
    known = (tmp_path / "known_hosts").read_text().replace(f"]:{port}", "]:1")
    number = served.place[1]
    lines = [line for line in known.splitlines() if line]
    (tmp_path / "known_hosts").write_text(
        "".join(f"[127.0.0.1]:{number} {' '.join(line.split()[1:])}\n" for line in lines)
    )
    ran = ssh(served, tmp_path, "ann", "aggr")
    assert ran.returncode == 255
    assert b"HOST IDENTIFICATION HAS CHANGED" in ran.stderr


def test_openssh_runs_the_commands_of_dpb(openssh, served, keys, topology, rest, tmp_path):
    ran = ssh(served, tmp_path, "ann", "dpb service connect l:5 r:5 --mbps 2 --handle h -n aggr")
    assert ran.returncode == 0, ran.stderr
    ran = ssh(served, tmp_path, "ann", "dpb", "service", "list", "-n", "aggr", "--json")
    (service,) = json.loads(ran.stdout)["services"]
    assert (service["owner"], service["handle"], service["status"]) == ("ann", "h", "ACTIVE")
    ran = ssh(served, tmp_path, "ann", "dpb terminal remove l -n aggr")
    assert ran.returncode == 1
    assert b"'manage'" in ran.stderr


def test_openssh_with_a_terminal_gets_a_prompt(openssh, served, keys, topology, rest, tmp_path):
    ran = ssh(served, tmp_path, "reader", data=b"network lizt\x7f\x7f\x7fist\rhelp\rexit\r", terminal=True)
    text = ran.stdout.decode()
    assert "dpb> " in text
    assert "aggregator" in text
    assert not [line for line in text.splitlines() if line.startswith("left")], "a network without a role is not there"
    assert "Commands:" in text
    assert "\r\n" in text
    assert ran.returncode == 0


def test_openssh_pipes_lines(openssh, served, keys, topology, rest, tmp_path):
    ran = ssh(served, tmp_path, "reader", data=b"# a remark\n\ndpb network list --json\nserve\n")
    assert [network["name"] for network in json.loads(ran.stdout)["networks"]] == ["aggr"]
    assert b"there is no command 'serve'" in ran.stderr
    assert ran.returncode == 2


# -- paramiko -----------------------------------------------------------------------------------


@pytest.fixture
def connect(served, tmp_path):
    made = []

    def make(user, **credential):
        host, port = served.place
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        made.append(client)
        client.connect(
            host, port, user, look_for_keys=False, allow_agent=False, timeout=20, auth_timeout=20, banner_timeout=20,
            **credential,
        )  # fmt: skip
        return client

    # paramiko says in the log what it raises, too.
    log = logging.getLogger("paramiko")
    before, log.disabled = log.disabled, True
    yield make
    for client in made:
        client.close()
    log.disabled = before


def exactly(channel, count):
    found = b""
    while len(found) < count:
        piece = channel.recv(count - len(found))
        assert piece, "the channel ended"
        found += piece
    return found


def receive(channel):
    (size,) = struct.unpack(">I", exactly(channel, 4))
    return json.loads(exactly(channel, size))


def open_channel(client, network):
    channel = client.get_transport().open_session(timeout=20)
    channel.settimeout(20)
    channel.exec_command(network)
    return channel


def test_paramiko_speaks_frames_with_key_and_with_password(served, keys, topology, connect, tmp_path):
    served.user("ann", "control@aggr", password="s3cret-passw0rd")
    for credential in ({"key_filename": str(tmp_path / "ann")}, {"password": "s3cret-passw0rd"}):
        channel = open_channel(connect("ann", **credential), "aggr")
        assert receive(channel) == {"network-name": "aggr", "aggregator": True}
        channel.sendall(frame({"type": "get-terminals"}, 7))
        assert receive(channel) == {"session": 7, "content": {"terminal-names": ["l", "r"]}}
        channel.shutdown_write()
        assert channel.recv_exit_status() == 0
    for credential in ({"password": "wr0ng-passw0rd"}, {"key_filename": str(tmp_path / "reader")}):
        with pytest.raises(paramiko.AuthenticationException):
            connect("ann", **credential)


def test_paramiko_with_hundreds_of_sessions_and_channels(served, keys, topology, connect, tmp_path):
    client = connect("ann", key_filename=str(tmp_path / "ann"))
    channels = [open_channel(client, "aggr") for _ in range(100)]
    for channel in channels:
        assert receive(channel)["network-name"] == "aggr"
        channel.sendall(b"".join(frame({"type": "get-services"}, number) for number in range(5)))
    for channel in channels:
        assert sorted(receive(channel)["session"] for _ in range(5)) == list(range(5))
    many = channels[0]
    sender = threading.Thread(
        target=lambda: [many.sendall(frame({"type": "new-service"}, 10 + number)) for number in range(500)]
    )
    sender.start()
    found = [receive(many) for _ in range(500)]
    sender.join()
    assert sorted(answer["session"] for answer in found) == list(range(10, 510))
    assert sorted(answer["content"]["service-id"] for answer in found) == list(range(1, 501))


def test_paramiko_with_frames_of_300_kb(served, keys, topology, connect, tmp_path):
    client = connect("chief", key_filename=str(tmp_path / "chief"))
    channel = open_channel(client, "left")
    receive(channel)
    requests = [
        {"type": "add-terminal", "terminal-name": f"{'x' * 100}{n}", "terminal-config": f"phys.{1000 + n}"}
        for n in range(80)
    ]
    channel.sendall(b"".join(frame(request, n) for n, request in enumerate(requests)))
    assert all(receive(channel)["content"] == {} for _ in requests)
    channel.sendall(frame({"type": "find-service", "handle": "x" * 300_000, "more": {}}, 1))
    assert receive(channel)["content"] == {}
    channel.sendall(frame({"type": "get-model", "min-bw": 0}, 2))
    answer = receive(channel)
    assert len(json.dumps(answer)) > 300_000
    assert len(answer["content"]["edges"]) == 83 * 82 // 2


# -- the commands of dpb ------------------------------------------------------------------------


def over(*names):
    """Make a test of a coroutine function that takes a connection of each of these users."""

    def made(test):
        def run(served, keys, topology, rest):
            async def connected(served):
                connections = [await served.connect(name, keys[name]) for name in names]
                try:
                    await test(served, *connections)
                finally:
                    for connection in connections:
                        connection.close()
                        await connection.wait_closed()

            served.run(connected)

        run.__name__ = test.__name__
        return run

    return made


@over("ann", "reader")
async def test_commands_act_as_the_user_who_logged_in(served, ann, reader):
    """REST asks nobody who they are here; whoever comes by SSH is still who they are, and it is written down so."""
    made = await ann.run("dpb service connect l:5 r:5 --mbps 2 -n aggr")
    assert made.exit_status == 0, made.stderr
    for line in ("dpb service release 1", "dpb service connect l:6 r:6 --mbps 2"):
        ran = await reader.run(f"{line} -n aggr")
        assert ran.exit_status == 1
        assert "'control'" in ran.stderr
    ran = await ann.run("dpb trunk remove left.b-right.b -n aggr")
    assert (ran.exit_status, "'manage'" in ran.stderr) == (1, True)
    assert len(served.broker.network("aggr").trunks()) == 1
    ran = await reader.run("dpb terminal list -n left")
    assert (ran.exit_status, "no network 'left'" in ran.stderr) == (1, True)
    assert not served.access.login._lent
    assert not served.house.commands._running
    folder = Path(served.nbi._audit_path)
    await asyncio.to_thread(eventually, lambda: "remove-trunk" in folder.read_text())
    told = [json.loads(line) for line in folder.read_text().splitlines()][-6:]
    assert {(line["who"], line["command"], line["result"]) for line in told} >= {
        ("ann", "create", "ok"),
        ("reader", "release", "role-missing"),
        ("reader", "create", "role-missing"),
        ("ann", "remove-trunk", "role-missing"),
    }
    assert {line["via"] for line in told} == {"ssh"}
    assert all(line["credential"].startswith("key ") for line in told)


@over("chief")
async def test_what_is_not_for_here_is_refused(served, chief):
    for line in (
        "dpb serve",
        "dpb apply /etc/passwd",
        "dpb token list",
        "dpb user list",
        "dpb admin-token",
        "dpb plugins",
        "dpb service list --url http://127.0.0.1:1",
        "dpb service list --url=http://127.0.0.1:1",
        "dpb service list --token-file /etc/passwd",
        "dpb service list --ca /etc/passwd",
        "dpb plan --batch /etc/passwd",
        "dpb service 'unfinished",
        "dpb",
        "dpb ''",
        "dpb service list " + "x" * limits.MAX_COMMAND,
    ):
        ran = await chief.run(line)
        assert ran.exit_status == 2 or line == "dpb", (line[:60], ran.stdout, ran.stderr)
        assert "root:" not in ran.stdout + ran.stderr
    assert (await chief.run("dpb service list -n aggr")).exit_status == 0


@over("ann")
async def test_a_command_that_lasts_ends_with_its_client(served, ann):
    process = await ann.create_process("dpb service watch -n aggr")
    await asyncio.to_thread(eventually, lambda: served.house.commands._running)
    process.channel.send_signal("INT")
    async with asyncio.timeout(20):
        await process.wait_closed()
    assert process.exit_status not in (0, None)
    await ann.create_process("dpb service watch -n aggr")
    await asyncio.to_thread(eventually, lambda: served.house.commands._running)
    ann.abort()
    await asyncio.to_thread(eventually, lambda: not served.house.commands._running)
    assert not served.access.login._lent


def test_commands_are_bounded_in_number_and_time(served, keys, topology, rest, monkeypatch):
    monkeypatch.setattr(limits, "COMMANDS_EACH", 1)

    async def test(served):
        async with served.connect("ann", keys["ann"]) as ann, served.connect("reader", keys["reader"]) as reader:
            process = await ann.create_process("dpb service watch -n aggr")
            await asyncio.to_thread(eventually, lambda: served.house.commands._running)
            ran = await ann.run("dpb service list -n aggr")
            assert (ran.exit_status, "too many" in ran.stderr) == (75, True)
            assert (await reader.run("dpb service list -n aggr")).exit_status == 0
            process.channel.close()
            await asyncio.to_thread(eventually, lambda: not served.house.commands._running)
            monkeypatch.setattr(limits, "COMMAND_SECONDS", 0.01)
            ran = await ann.run("dpb service watch -n aggr")
            assert "took longer" in ran.stderr
            assert ran.exit_status != 0

    served.run(test)


def test_without_rest_a_command_says_so(served, keys):
    async def test(served):
        async with served.connect("ann", keys["ann"]) as ann:
            ran = await ann.run("dpb service list")
            assert (ran.exit_status, ran.stdout) == (1, "")
            assert (
                ran.stderr == 'dpb: the commands need REST, and this broker has none: give it [[nbi]] kind = "rest"\n'
            )

    served.run(test)


def test_a_command_that_runs_does_not_hold_up_the_stop(served, keys, topology, rest):
    async def test(served):
        connection = await served.connect("ann", keys["ann"])
        process = await connection.create_process("dpb service watch -n aggr")
        await asyncio.to_thread(eventually, lambda: served.house.commands._running)
        house = served.house
        async with asyncio.timeout(10):
            await asyncio.to_thread(served.nbi.stop)
        assert not house.commands._running
        async with asyncio.timeout(10):
            await process.wait_closed()
        connection.abort()
        await connection.wait_closed()

    served.run(test)


def test_no_secret_is_in_the_list_of_processes(served, keys, topology, rest):
    async def test(served):
        async with served.connect("ann", keys["ann"]) as ann:
            await ann.create_process("dpb service watch -n aggr")
            await asyncio.to_thread(eventually, lambda: "dpb_nbi.ssh.shell" in _arguments())
            assert "dpb_lent_" not in _arguments()
            (token,) = (await asyncio.to_thread(_tokens)) or [None]
            assert token.startswith("dpb_lent_")
        await asyncio.to_thread(eventually, lambda: not served.house.commands._running)

    served.run(test)


def _children():
    return [
        Path("/proc", name)
        for task in Path("/proc/self/task").iterdir()
        for name in (task / "children").read_text().split()
    ]


def _read(path):
    try:
        return path.read_text()
    except OSError:
        return ""


def _arguments():
    return " ".join(_read(child / "cmdline") for child in _children()).replace("\0", " ")


def _tokens():
    return [
        entry.partition("=")[2]
        for child in _children()
        for entry in _read(child / "environ").split("\0")
        if entry.startswith("DPB_TOKEN=")
    ]


def test_a_lent_token_that_is_taken_back_is_nobodys(served, keys, rest):
    login = served.access.login
    who = login.by_key("ann", keys["ann"].public_data)
    token = login.lend(who)

    def ask():
        host, _, port = rest.address.removeprefix("http://").rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=10)
        connection.request("GET", "/api/v1/networks", headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        found = answer.status, json.loads(answer.read())
        connection.close()
        return found

    status, body = ask()
    assert (status, [network["name"] for network in body["networks"]]) == (200, ["aggr"])
    login.take_back(token)
    assert ask()[0] == 401
    token = login.lend(who)
    served.user("ann", "read@left")
    assert ask()[0] == 401
