"""Who is let in over SSH, what each role may do there, what is written down, and that no secret is told."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket

import asyncssh
import pytest
from dpb_nbi.access.roles import Role
from dpb_nbi.ssh import limits
from dpb_nbi.ssh.types import TYPES, On

from .rest_helpers import eventually
from .ssh_helpers import Served, Talk, build, make_key, real_broker, segment

PASSWORD = "s3cret-passw0rd"


@pytest.fixture
def served(tmp_path):
    broker = real_broker(tmp_path)
    broker.start()
    found = Served(broker, tmp_path, access=True, passwords=True, audit=str(tmp_path / "audit"))
    yield found
    found.stop()
    broker.stop()


@pytest.fixture
def keys(served):
    """The keys of a manager, of two who control, of one who reads, of one who may do something elsewhere."""
    found = {}
    for name, *roles in (
        ("chief", "manage@*"),
        ("ann", "control@aggr", "control@left"),
        ("bob", "control@aggr"),
        ("reader", "read@*"),
        ("other", "manage@left"),
    ):
        key, line = make_key()
        served.user(name, *roles, key=line)
        found[name] = key
    return found


async def refused(served, **credential):
    with pytest.raises(asyncssh.PermissionDenied):
        await served.connect(**credential)


# -- being let in -------------------------------------------------------------------------------


def test_a_public_key_lets_its_user_in_and_nobody_else(served, keys):
    async def test(served):
        async with served.connect("ann", keys["ann"]) as connection:
            assert (await Talk.open(connection, "aggr")).greeting == {"network-name": "aggr", "aggregator": True}
        await refused(served, user="ann", key=keys["bob"])
        await refused(served, user="nobody", key=keys["ann"])
        await refused(served, user="", key=keys["ann"])
        await refused(served, user="ann", key=make_key()[0])
        await refused(served, user="ann")

    served.run(test)


def test_a_password_or_a_token_lets_in_where_the_operator_allows_it(served):
    served.user("ann", "control@aggr", password=PASSWORD)
    served.user("bob", "control@aggr")
    _, token = served.access.change(lambda registry: registry.create_token("ann")).result(10)

    async def test(served):
        for password in (PASSWORD, token):
            async with served.connect("ann", password=password) as connection:
                assert "error" not in (await Talk.open(connection, "aggr")).greeting
        await refused(served, user="ann", password="an0ther-passw0rd")
        await refused(served, user="bob", password=PASSWORD)
        await refused(served, user="bob", password=token)
        await refused(served, user="nobody", password=PASSWORD)
        await refused(served, user="ann", password="")

    served.run(test)


def test_without_passwords_a_right_one_lets_nobody_in(tmp_path, broker):
    served = Served(broker, tmp_path, access=True)
    served.user("ann", "control@aggr", password=PASSWORD)

    async def test(served):
        await refused(served, user="ann", password=PASSWORD)
        assert set(await asyncssh.get_server_auth_methods(*served.place, username="ann")) == {"publickey"}

    served.run(test)
    served.stop()


def test_a_credential_that_ends_ends_its_connections(served, keys, monkeypatch):
    monkeypatch.setattr(limits, "CREDENTIAL_SECONDS", 0.01)

    async def test(served):
        connection = await served.connect("ann", keys["ann"])
        other = await served.connect("bob", keys["bob"])
        talk = await Talk.open(other, "aggr")
        id = served.access.registry.users["ann"].keys[0].id
        served.access.change(lambda registry: registry.remove_key("ann", id)).result(10)
        async with asyncio.timeout(20):
            await connection.wait_closed()
        await refused(served, user="ann", key=keys["ann"])
        assert await talk.ok("get-services") == {"service-ids": []}
        served.user("bob", "read@left")
        async with asyncio.timeout(20):
            await other.wait_closed()

    served.restart()  # its first look is due after the time that was set when it began
    served.run(test)


def test_a_request_after_the_credential_has_ended_is_not_carried_out(served, keys):
    async def test(served):
        connection = await served.connect("ann", keys["ann"])
        talk = await Talk.open(connection, "aggr")
        served.user("ann", "read@aggr")
        talk.send({"type": "new-service"})
        answers, status = await talk.rest()
        assert ([answer["error"] for answer in answers], status) == (["unauthorized"], 1)
        assert not served.broker.network("aggr").services()
        connection.abort()
        await connection.wait_closed()

    served.run(test)


def test_strangers_are_bounded_and_those_who_are_known_are_not(served, keys, monkeypatch):
    monkeypatch.setattr(limits, "STRANGERS_EACH", 3)

    async def test(served):
        inside = [await served.connect("ann", keys["ann"]) for _ in range(5)]
        silent = [socket.create_connection(served.place, timeout=10) for _ in range(3)]
        await asyncio.to_thread(eventually, lambda: served.house._strangers.total() == 3)
        with socket.create_connection(served.place, timeout=10) as late:
            assert await asyncio.to_thread(_all, late) == b""
        talk = await Talk.open(inside[0], "aggr")
        assert await talk.ok("get-services") == {"service-ids": []}
        for one in silent:
            one.close()
        await asyncio.to_thread(eventually, lambda: served.house._strangers.total() == 0)
        async with served.connect("ann", keys["ann"]):
            pass
        for connection in inside:
            connection.close()
            await connection.wait_closed()

    served.run(test)


def _all(wire):
    """Read until the other side closes, which it may do by a reset."""
    found = b""
    try:
        while data := wire.recv(4096):
            found += data
    except ConnectionResetError:
        pass
    return found if not found.startswith(b"SSH-") else b""


def test_who_says_nothing_is_cut_off(tmp_path, broker, monkeypatch):
    monkeypatch.setattr(limits, "LOGIN_SECONDS", 0.2)
    served = Served(broker, tmp_path, access=True)
    with socket.create_connection(served.place, timeout=10) as wire:
        _all(wire)
    served.stop()


def test_channels_of_a_connection_are_bounded(served, keys, monkeypatch):
    monkeypatch.setattr(limits, "CHANNELS", 2)

    async def test(served):
        async with served.connect("ann", keys["ann"]) as connection:
            talks = [await Talk.open(connection, "aggr") for _ in range(2)]
            with pytest.raises(asyncssh.ChannelOpenError):
                await Talk.open(connection, "aggr")
            await talks[0].end()
            assert await talks[1].ok("get-services") == {"service-ids": []}
            assert "error" not in (await Talk.open(connection, "aggr")).greeting

    served.run(test)


FORBIDDEN = {
    "tcp": lambda connection: connection.open_connection("127.0.0.1", 1),
    "remote": lambda connection: connection.forward_remote_port("127.0.0.1", 0, "127.0.0.1", 1),
    "sftp": lambda connection: connection.start_sftp_client(),
    "scp": lambda connection: asyncssh.scp((connection, "/etc/passwd"), "/nonexistent"),
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_nothing_but_commands_and_a_prompt(served, keys, what):
    async def test(served):
        async with served.connect("chief", keys["chief"]) as connection:
            with pytest.raises((asyncssh.ChannelOpenError, asyncssh.ChannelListenError, asyncssh.SFTPError)):
                await FORBIDDEN[what](connection)

    served.run(test)


# -- roles --------------------------------------------------------------------------------------

MANAGEMENT = sorted(name for name, found in TYPES.items() if found.kind.role is Role.MANAGE)
CONTROL = sorted(name for name, found in TYPES.items() if found.kind.role is Role.CONTROL)


def test_the_management_requests_are_those_that_change_the_topology():
    changes = re.compile(
        r"(add|map|remove|modify|set|increase|decrease|define|revoke|decommission|recommission)-(terminal|trunk)"
    )
    assert [name for name in sorted(TYPES) if changes.match(name)] == MANAGEMENT
    assert len(MANAGEMENT) == 14
    assert [name for name in sorted(TYPES) if name.endswith("-service") and TYPES[name].kind.changes] == CONTROL


@pytest.mark.parametrize("name", [*MANAGEMENT, *CONTROL])
def test_control_does_not_give_manage_nor_read_control(served, keys, name):
    """Whole, right requests: the role is all that is wrong with them."""

    async def test(served):
        async with served.connect("chief", keys["chief"]) as chief:
            await build(chief)
        user = "ann" if name in MANAGEMENT else "reader"
        async with served.connect(user, keys[user]) as connection:
            network = "left" if TYPES[name].on is On.SWITCH else "aggr"
            talk = await Talk.open(connection, network)
            before = _state(served)
            answer = await talk.ask(name, **_whole(name))
            assert answer["error"] == "unauthorized", answer
            assert answer["role"] == ("manage" if name in MANAGEMENT else "control")
            assert _state(served) == before
            assert "error" not in await talk.ask("get-terminals")
        async with served.connect("chief", keys["chief"]) as chief:
            talk = await Talk.open(chief, network)
            if name in CONTROL:
                await talk.ok("new-service")
            assert (await talk.ask(name, **_whole(name))).get("error") in (None, "terminal-busy")

    served.run(test)


def _state(served):
    networks = [served.broker.network(name) for name in ("left", "aggr")]
    return [[network.list_terminals() for network in networks], networks[1].trunks(), networks[1].services()]


def _whole(name):
    trunk = {
        "start-network-name": "left",
        "start-terminal-name": "b" if name != "add-trunk" else "c",
        "end-network-name": "right",
        "end-terminal-name": "b" if name != "add-trunk" else "c",
    }
    labels = {"start-label": 12, "end-label": 22, "label-count": 2}
    if name == "define-trunk-label-range":
        labels = {"start-label": 100, "end-label": 200, "label-count": 2}
    fields = {"service-id": 1, "segment": segment(), "delay": 1, "upstream-bw": 1, "downstream-bw": 1, **labels}
    if name == "add-terminal":
        fields |= {"terminal-name": "new", "terminal-config": "phys.9"}
    elif name == "map-terminal":
        return {"terminal-name": "new", "subnetwork-name": "left", "subterminal-name": "c"}
    elif name == "remove-trunk":
        return {"subnetwork-name": "left", "subterminal-name": "b"}
    elif name == "remove-terminal":
        fields |= {"terminal-name": "l"}
    elif name == "modify-terminal-bandwidth":
        limit = {"action": "set", "amount": 5}
        fields |= {"terminal-name": "a", "ingress": limit, "egress": limit}
    return {**fields, **trunk} if "trunk" in name else fields


def test_a_network_without_a_role_is_not_authorized(served, keys):
    async def test(served):
        async with served.connect("other", keys["other"]) as connection:
            assert (await Talk.open(connection, "left")).greeting == {"network-name": "left", "switch": True}
            talk = await Talk.open(connection, "aggr")
            assert talk.greeting == {"error": "unauthorized", "network": "aggr"}
            assert await talk.rest() == ([], 1)
            assert (await Talk.open(connection, "x")).greeting == {"error": "no-network", "network-name": "x"}

    served.run(test)


def test_another_owners_service_is_not_changed(served, keys):
    async def test(served):
        async with served.connect("chief", keys["chief"]) as chief:
            await build(chief)
        async with served.connect("ann", keys["ann"]) as ann, served.connect("bob", keys["bob"]) as bob:
            mine, theirs = await Talk.open(ann, "aggr"), await Talk.open(bob, "aggr")
            id = (await mine.ok("new-service", handle="h"))["service-id"]
            assert (await theirs.ok("get-services")) == {"service-ids": [id]}
            for name in sorted(set(CONTROL) - {"new-service"}):
                answer = await theirs.ask(name, service_id=id, segment=segment())
                assert (answer["error"], answer["owner"]) == ("not-owner", "ann"), name
            assert (await theirs.ask("new-service", handle="h"))["error"] == "not-owner"
            assert await mine.ok("define-service", service_id=id, segment=segment()) == {}

    served.run(test)


# -- what is written down, and what is not ------------------------------------------------------


def test_every_change_is_written_down_and_what_is_refused_too(served, keys, tmp_path):
    async def test(served):
        async with served.connect("chief", keys["chief"]) as chief:
            talk = await Talk.open(chief, "left")
            await talk.ok("add-terminal", terminal_name="a", terminal_config="phys.1")
        async with served.connect("ann", keys["ann"]) as connection:
            talk = await Talk.open(connection, "aggr")
            await talk.ok("new-service")
            await talk.ok("get-services")
            await talk.ask("define-service", service_id=1, segment=segment())
            await talk.ask("remove-terminal", terminal_name="l")
            await talk.ok("release-service", service_id=1)
        await refused(served, user="ann", key=keys["bob"], password="an0ther-passw0rd")
        await asyncio.to_thread(eventually, lambda: not served.house.doors)

    served.run(test)
    served.nbi.stop()
    found = [json.loads(line) for line in (tmp_path / "audit").read_text().splitlines()]
    assert [(line["who"], line["command"], line.get("service"), line["result"]) for line in found] == [
        ("chief", "put-terminal", None, "ok"),
        ("ann", "create", 1, "ok"),
        ("ann", "define", 1, "terminal-unknown"),
        ("ann", "remove-terminal", None, "role-missing"),
        ("ann", "release", 1, "ok"),
        ("", "authenticate", None, "unauthenticated"),
    ]
    assert {line["via"] for line in found} == {"ssh"}
    assert all(re.fullmatch(r"key [0-9a-f]{16}", line["credential"]) for line in found if line["who"])
    assert all(line["from"].startswith("127.0.0.1:") for line in found)


def test_no_secret_is_in_any_log_or_line(served, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    served.restart()
    key, line = make_key()
    served.user("ann", "manage@*", password=PASSWORD, key=line)
    _, token = served.access.change(lambda registry: registry.create_token("ann")).result(10)
    wrong = "an0ther-passw0rd"

    async def test(served):
        for credential in ({"password": PASSWORD}, {"password": token}, {"key": key}):
            async with served.connect("ann", **credential) as connection:
                talk = await Talk.open(connection, "left")
                await talk.ok("new-service")
        await refused(served, user="ann", password=wrong)
        await refused(served, user="nobody", password=wrong)

    served.run(test)
    served.nbi.stop()
    private = key.export_private_key().decode().splitlines()[2]
    host = (tmp_path / "host_key").read_text().splitlines()[2]
    everything = caplog.text + (tmp_path / "audit").read_text()
    assert "the host key is SHA256:" in everything
    for secret in (PASSWORD, token, token.split("_", 2)[-1], wrong, private, host):
        assert secret not in everything


# -- keys over REST -----------------------------------------------------------------------------


def test_keys_are_added_listed_and_removed_over_rest(client, broker):
    key, line = make_key()
    client("PUT", "/api/v1/users/ann", {"roles": ["read@*"]})
    made = client.post("/api/v1/users/ann/keys", {"key": line})
    assert made.status == 201
    shown = made.json
    assert shown == {
        "id": shown["id"],
        "type": "ssh-ed25519",
        "fingerprint": key.get_fingerprint(),
        "comment": "a test's",
    }
    assert made.headers["location"] == f"/api/v1/users/ann/keys/{shown['id']}"
    again = client.post("/api/v1/users/ann/keys", {"key": line.replace("a test's", "renamed")})
    assert (again.status, again.json["id"]) == (201, shown["id"])
    (user,) = client.get("/api/v1/users").json["users"]
    assert [known["comment"] for known in user["keys"]] == ["renamed"]
    client("PUT", "/api/v1/users/ann", {"roles": ["control@*"]})
    assert len(client.get("/api/v1/users").json["users"][0]["keys"]) == 1
    client.post("/api/v1/users/ann/keys", {"key": "rubbish"}).problem(422, "bad-argument", "key")
    client.post("/api/v1/users/bob/keys", {"key": line}).problem(404, "user-unknown")
    assert client("DELETE", made.headers["location"]).status == 204
    client("DELETE", made.headers["location"]).problem(404, "key-unknown")
    assert client.get("/api/v1/users").json["users"][0]["keys"] == []


def test_keys_are_still_there_after_a_restart(tmp_path, broker):
    key, line = make_key()
    for start in (1, 2):
        served = Served(broker, tmp_path, access=True)
        if start == 1:
            served.user("ann", "read@*", key=line)

        async def test(served):
            async with served.connect("ann", key) as connection:
                assert "error" not in (await Talk.open(connection, "aggr")).greeting

        served.run(test)
        served.stop()
