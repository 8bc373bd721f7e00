"""SSH keeps the contract of northbound interfaces; its settings, its host key, its stop whatever clients do."""

from __future__ import annotations

import asyncio
import stat
import time
from concurrent.futures import ThreadPoolExecutor

import asyncssh
import pytest
from dpb_nbi import SshNbi
from dpb_nbi.ssh import hostkey

from dpb_framework.errors import ConfigInvalid
from dpb_framework.testing.nbi import EmptyBroker, NbiContract

from .rest_helpers import eventually
from .ssh_helpers import Served, Talk, segment


class TestSsh(NbiContract):
    @pytest.fixture
    def make(self, tmp_path):
        return lambda: SshNbi(port=0, host_key=str(tmp_path / "key"))

    @pytest.fixture
    def make_at(self, tmp_path):
        return lambda address: SshNbi(port=int(address.rpartition(":")[2]), host_key=str(tmp_path / "key"))


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"host": ""}, "host"),
        ({"port": 65536}, "port"),
        ({"host": "0.0.0.0"}, "access"),
        ({"host": "::"}, "access"),
        ({"host": "192.0.2.1"}, "access"),
        ({"access": True, "insecure": True}, "insecure"),
        ({"passwords": True}, "passwords"),
        ({"rest_url": "broker:4753"}, "rest-url"),
    ],
)
def test_a_bad_setting_is_named(settings, path):
    with pytest.raises(ConfigInvalid) as caught:
        SshNbi(**settings)
    assert caught.value.path == path


def test_a_name_that_others_reach_is_seen_when_it_is_bound(tmp_path, monkeypatch):
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("0.0.0.0", 0))])
    broker = EmptyBroker()
    nbi = SshNbi(host="broker.example", port=0, host_key=str(tmp_path / "key"))
    with pytest.raises(ConfigInvalid) as caught:
        nbi.start(broker)
    assert (caught.value.path, nbi.address) == ("access", "")
    broker.close()


def test_the_default_port_is_beside_that_of_rest():
    assert SshNbi()._place == ("127.0.0.1", 4754)


# -- the host key -------------------------------------------------------------------------------


def test_the_host_key_is_made_once_for_its_owner_only(tmp_path):
    file = tmp_path / "new" / "key"
    first = hostkey.load(str(file))
    assert first.get_algorithm() == "ssh-ed25519"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["key"]
    assert hostkey.load(str(file)).public_data == first.public_data


def test_many_who_make_it_at_once_make_one(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(hostkey.load, [str(tmp_path / "key")] * 8))
    assert len({key.public_data for key in found}) == 1


def test_it_is_in_the_users_data_folder_if_nothing_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    hostkey.load("")
    assert (tmp_path / "dpb" / "ssh_host_ed25519_key").exists()
    assert stat.S_IMODE((tmp_path / "dpb").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("content", "mode", "problem"),
    [("rubbish", 0o600, "no private key"), (None, 0o640, "chmod"), (None, 0o604, "chmod")],
)
def test_a_host_key_that_will_not_do_is_a_fault_of_the_configuration(tmp_path, content, mode, problem):
    file = tmp_path / "key"
    if content is None:
        hostkey.load(str(file))
    else:
        file.write_text(content)
    file.chmod(mode)
    with pytest.raises(ConfigInvalid) as caught:
        hostkey.load(str(file))
    assert caught.value.path == "host-key"
    assert problem in caught.value.problem
    assert "rubbish" not in caught.value.problem


def test_a_place_where_it_cannot_be_is_a_fault_of_the_configuration(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigInvalid) as caught:
        SshNbi(port=0, host_key=str(tmp_path / "file" / "key")).start(EmptyBroker())
    assert caught.value.path == "host-key"


def test_clients_know_it_again_after_a_restart(tmp_path, broker):
    seen = []

    async def look(served):
        seen.append((await asyncssh.get_server_host_key(*served.place)).public_data)

    for _ in range(2):
        served = Served(broker, tmp_path)
        served.run(look)
        served.stop()
    assert seen[0] == seen[1]


# -- stopping -----------------------------------------------------------------------------------


def test_it_stops_in_time_whatever_clients_do(tmp_path, broker):
    """One waits, one watches, one does not read, one stops in the midst of a frame, one asks nothing."""
    broker.aggregator.paused = True
    served = Served(broker, tmp_path)

    async def clients(served):
        connection = await served.connect()
        talks = [await Talk.open(connection, "aggr") for _ in range(4)]
        waiter, watcher, deaf, halting = talks
        id = (await waiter.ok("new-service"))["service-id"]
        define = {"type": "define-service", "service-id": id, "segment": segment(names="ab")}
        waiter.send(define, 8)
        await watcher.ok("watch-service", service_id=id)
        wait = {"type": "await-service-status", "service-id": id, "acceptable": ["ACTIVE"], "timeout-millis": 3_600_000}
        waiter.send(wait, 7)
        for number in range(3000):
            deaf.send({"type": "dump-status"}, number)
        halting.process.stdin.write(b"\0\0\1")
        await connection.create_process(encoding=None)
        # All that was sent before it was read when this is answered, and the wait is under way.
        await asyncio.to_thread(eventually, lambda: len(broker.aggregator.service(id)._waiters) == 2)
        loop = asyncio.get_running_loop()
        began = time.monotonic()
        await loop.run_in_executor(None, served.nbi.stop)
        assert time.monotonic() - began < 10
        answers, _ = await waiter.rest()
        found = {answer["session"]: answer["content"] for answer in answers}
        assert found[7]["error"] == "stopped"
        assert found[8] == {}
        connection.abort()
        await connection.wait_closed()

    served.run(clients)
    served.stop()
    assert not served.broker.aggregator.watchers


def test_what_is_not_there_any_more_leaves_nothing(tmp_path, broker):
    """Clients that vanish: their waits, watches and sessions go with them."""
    broker.aggregator.paused = True
    served = Served(broker, tmp_path)

    async def clients(served):
        connection = await served.connect()
        talk = await Talk.open(connection, "aggr")
        id = (await talk.ok("new-service"))["service-id"]
        define = {"type": "define-service", "service-id": id, "segment": segment(names="ab")}
        await talk.ok("watch-service", service_id=id)
        talk.send(define, 8)
        wait = {"type": "await-service-status", "service-id": id, "acceptable": ["ACTIVE"], "timeout-millis": 3_600_000}
        talk.send(wait, 7)
        assert len(served.house.channels) == 1
        await asyncio.to_thread(eventually, lambda: len(served.house.calls._waiting) == 2)
        assert broker.aggregator.watchers == 1
        connection.abort()
        await asyncio.to_thread(eventually, lambda: not served.house.channels and not served.house.doors)
        await asyncio.to_thread(eventually, lambda: not served.house.calls._waiting)
        assert not served.house._strangers
        assert broker.aggregator.watchers == 0

    served.run(clients)
    served.stop()
