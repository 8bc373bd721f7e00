"""JSON frames over SSH, on the real kernel: every type on every kind of network, sessions, and what is no request."""

from __future__ import annotations

import asyncio
import json
import struct

import pytest
from dpb_nbi.ssh import limits
from dpb_nbi.ssh.types import TYPES, On

from .rest_helpers import eventually
from .ssh_helpers import PATIENCE, TRUNK, TURNED, Served, Talk, build, frame, real_broker, segment


@pytest.fixture
def served(tmp_path):
    broker = real_broker(tmp_path)
    broker.start()
    found = Served(broker, tmp_path)
    yield found
    found.stop()
    broker.stop()


def over(test):
    """Make a test of a coroutine function that takes the served broker and a connection to it."""

    def run(served):
        async def connected(served):
            async with served.connect() as connection:
                await test(served, connection)

        served.run(connected)

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


# -- greeting -----------------------------------------------------------------------------------


@over
async def test_the_server_greets_by_the_kind_of_network(served, connection):
    assert (await Talk.open(connection, "left")).greeting == {"network-name": "left", "switch": True}
    assert (await Talk.open(connection, " aggr ")).greeting == {"network-name": "aggr", "aggregator": True}
    talk = await Talk.open(connection, "x")
    assert talk.greeting == {"error": "no-network", "network-name": "x"}
    assert await talk.rest() == ([], 1)


# -- every type ---------------------------------------------------------------------------------


@over
async def test_a_switch(served, connection):
    talk = await Talk.open(connection, "left")
    for name in "xy":
        assert await talk.ask("add-terminal", terminal_name=name, terminal_config=f"phys.{ord(name)}") == {}
    assert await talk.ok("get-terminals") == {"terminal-names": ["x", "y"]}
    assert await talk.ok("get-switch-terminals") == {"terminals": {"x": "phys.120", "y": "phys.121"}}
    assert await talk.ok("check-terminal", terminal_name="x") == {"exists": True}
    assert await talk.ok("check-terminal", terminal_name="z") == {"exists": False}
    (edge,) = (await talk.ok("get-model", min_bw=1))["edges"]
    assert edge == {"from": "x", "to": "y", "weight": 0, "upstream": 10**9, "downstream": 10**9}

    async def modify(name, ingress=None, egress=None):
        return await talk.ask("modify-terminal-bandwidth", terminal_name=name, ingress=ingress, egress=egress)

    assert await modify("x", {"action": "set", "amount": 10.5}, {"action": "set", "amount": 20}) == {}
    assert await modify("y", {"action": "set", "amount": 30}, {"action": "adjust", "amount": 5}) == {}
    assert await modify("x", {"action": "adjust", "amount": -0.5}, {"action": "adjust", "amount": 2}) == {}
    (edge,) = (await talk.ok("get-model", min_bw=10))["edges"]
    assert (edge["upstream"], edge["downstream"]) == (10, 22)
    assert (await talk.ok("get-model", min_bw=10.001))["edges"] == []
    assert (await modify("x", {"action": "adjust", "amount": -11}))["field"] == "ingress.amount"
    assert (await modify("x", {"action": "add", "amount": 1}))["field"] == "ingress.action"
    assert (await modify("z", {"action": "set", "amount": 1}))["error"] == "terminal-unknown"
    assert await modify("x", {"action": "adjust", "amount": None}) == {}
    assert (await talk.ok("get-model"))["edges"][0]["upstream"] == 10**9

    assert (await talk.ask("add-terminal", terminal_name="x", terminal_config="phys.9"))["error"] == "terminal-exists"
    assert (await talk.ask("add-terminal", terminal_name="v", terminal_config="?!"))["error"] == "terminal-config"
    id = (await talk.ok("new-service"))["service-id"]
    ends = segment(names="xy")
    assert await talk.ok("define-service", service_id=id, segment=ends) == {}
    assert (await talk.ask("remove-terminal", terminal_name="x"))["error"] == "terminal-busy"
    assert "service 1" in (await talk.ok("dump-status"))["output"]
    assert await talk.ok("release-service", service_id=id) == {}
    await talk.ok("await-service-status", service_id=id, acceptable=["RELEASED"], timeout_millis=10000)
    assert await talk.ok("remove-terminal", terminal_name="x") == {}
    assert (await talk.ask("remove-terminal", terminal_name="x"))["error"] == "terminal-unknown"


@over
async def test_the_life_of_a_service(served, connection):
    talk = await build(connection)
    id = (await talk.ok("new-service", handle="h"))["service-id"]
    assert await talk.ok("new-service", handle="h") == {"service-id": id}
    other = (await talk.ok("new-service", handle=None))["service-id"]
    assert await talk.ok("find-service", handle="h") == {"service-id": id}
    assert await talk.ok("find-service", handle="g") == {}
    assert await talk.ok("get-services") == {"service-ids": [id, other]}
    assert await talk.ok("check-service", service_id=id) == {"exists": True}
    assert await talk.ok("check-service", service_id=99) == {"exists": False}
    assert await talk.ok("define-service", service_id=id, segment=segment()) == {}
    assert await talk.ok("activate-service", service_id=id) == {}
    waiting = {"acceptable": ["ACTIVE"], "timeout_millis": 10000}
    assert await talk.ok("await-service-status", service_id=id, **waiting) == {"status": "ACTIVE"}
    (edge,) = (await talk.ok("get-model", min_bw=0))["edges"]
    assert (edge["from"], edge["to"], edge["upstream"], edge["downstream"]) == ("l", "r", 99, 49)
    taken = await talk.ask("define-service", service_id=other, segment=segment())
    assert (taken["error"], taken["terminal-name"], taken["service-id"]) == ("circuit-taken", "l", id)
    wide = await talk.ask("define-service", service_id=other, segment=segment(6, 60))
    assert (wide["error"], "msg" in wide) == ("no-capacity", True)
    wrong = await talk.ask("define-service", service_id=other, segment=segment()[:1])
    assert (wrong["error"], wrong["field"]) == ("segment-invalid", "segment")
    wrong = await talk.ask("define-service", service_id=other, segment=[{"terminal-name": "l"}])
    assert (wrong["error"], wrong["field"]) == ("bad-argument", "segment[0].ingress-bw")
    gone = await talk.ask("define-service", service_id=other, segment=segment(6, names="lz"))
    assert (gone["error"], gone["field"]) == ("terminal-unknown", "segment[1].terminal-name")
    assert (await talk.ask("define-service", service_id=id, segment=segment(9)))["error"] == "service-logic"
    assert await talk.ok("deactivate-service", service_id=str(id)) == {}
    waiting = {"acceptable": ["INACTIVE"], "timeout_millis": 10000}
    assert await talk.ok("await-service-status", service_id=id, **waiting) == {"status": "INACTIVE"}
    assert await talk.ok("reset-service", service_id=id) == {}
    waiting = {"acceptable": ["DORMANT"], "timeout_millis": 10000}
    assert await talk.ok("await-service-status", service_id=id, **waiting) == {"status": "DORMANT"}
    assert (await talk.ok("await-service-status", service_id=id, acceptable=["ACTIVE"], timeout_millis=0)) == {
        "status": "DORMANT"
    }
    assert await talk.ok("release-service", service_id=id) == {}
    waiting = {"acceptable": ["RELEASED"], "timeout_millis": 10000}
    assert await talk.ok("await-service-status", service_id=id, **waiting) == {"status": "RELEASED"}
    assert await talk.ok("release-service", service_id=id) == {}
    assert await talk.ok("check-service", service_id=id) == {"exists": False}
    assert await talk.ok("watch-service", service_id=id) == {"status": "RELEASED"}
    assert (await talk.ask("activate-service", service_id=id))["error"] == "service-gone"
    assert (await talk.ask("release-service", service_id=99))["error"] == "service-unknown"
    assert (await talk.ask("activate-service"))["field"] == "service-id"


@over
async def test_an_aggregator(served, connection):
    talk = await build(connection)
    managed = served.broker.network("aggr")
    below = {"subnetwork-name": "left", "subterminal-name": "a"}
    assert (await talk.ok("get-aggregator-terminals"))["terminals"] == {
        "l": below,
        "r": {"subnetwork-name": "right", "subterminal-name": "a"},
    }
    assert await talk.ok("get-trunks") == {"trunks": [TRUNK]}

    async def map_terminal(name, network, terminal):
        return (
            await talk.ask("map-terminal", terminal_name=name, subnetwork_name=network, subterminal_name=terminal)
        ).get("error")

    assert await map_terminal("l", "left", "c") == "terminal-exists"
    assert await map_terminal("m", "left", "a") == "subterminal-busy"
    assert await map_terminal("m", "middle", "a") == "subnetwork-unknown"
    assert await map_terminal("m", "left", "z") == "terminal-unknown"
    assert (await talk.ask("add-trunk", **TRUNK))["error"] in ("trunk-exists", "subterminal-busy")
    assert (await talk.ask("add-trunk", **{**TRUNK, "end-network-name": "left"}))["field"] == "end-terminal-name"

    assert await talk.ok("get-trunk-delay", **TRUNK) == {"delay": 0}
    assert await talk.ok("set-trunk-delay", **TURNED, delay=2.5) == {}
    assert await talk.ok("get-trunk-delay", **TRUNK) == {"delay": 2.5}
    assert (await talk.ok("get-model", min_bw=0))["edges"][0]["weight"] == 2.5

    await talk.ok("increase-trunk-bw", **TURNED, upstream_bw=10, downstream_bw=1)
    trunk = managed.trunks()[0].trunk
    assert (trunk.upstream, trunk.downstream) == (101_000, 60_000)
    await talk.ok("decrease-trunk-bw", **TRUNK, upstream_bw=1, downstream_bw=10)
    assert (managed.trunks()[0].trunk.upstream, managed.trunks()[0].trunk.downstream) == (100_000, 50_000)
    short = await talk.ask("decrease-trunk-bw", **TRUNK, upstream_bw=101, downstream_bw=0)
    assert (short["error"], short["direction"]) == ("bw-unavailable", "upstream")

    assert await talk.ok("is-trunk-commissioned", **TRUNK) == {"commissioned": True}
    assert await talk.ok("decommission-trunk", **TURNED) == {}
    assert await talk.ok("is-trunk-commissioned", **TRUNK) == {"commissioned": False}
    id = (await talk.ok("new-service"))["service-id"]
    assert (await talk.ask("define-service", service_id=id, segment=segment()))["error"] == "no-capacity"
    assert await talk.ok("recommission-trunk", **TRUNK) == {}
    await talk.ok("define-service", service_id=id, segment=segment())
    short = await talk.ask("decrease-trunk-bw", **TRUNK, upstream_bw=100, downstream_bw=0)
    assert (short["error"], short["direction"]) == ("bw-unavailable", "upstream")
    end = {"subnetwork_name": "right", "subterminal_name": "b"}
    assert (await talk.ask("remove-trunk", **end))["error"] == "trunk-busy"
    await talk.ok("release-service", service_id=id)
    await talk.ok("await-service-status", service_id=id, acceptable=["RELEASED"], timeout_millis=10000)
    assert await talk.ok("remove-trunk", **end) == {}
    for type_ in ("get-trunk-delay", "decommission-trunk", "is-trunk-commissioned"):
        assert (await talk.ask(type_, **TRUNK))["error"] == "trunk-unknown"
    assert (await talk.ask("remove-trunk", **end))["error"] == "trunk-unknown"
    assert await talk.ok("remove-terminal", terminal_name="l") == {}


@over
async def test_the_labels_of_a_trunk(served, connection):
    talk = await build(connection)

    def labels():
        return [(r.start, r.count, r.end) for r in served.broker.network("aggr").trunks()[0].trunk.labels]

    async def change(what, trunk=TRUNK, **fields):
        return (await talk.ask(what, **trunk, **fields)).get("error")

    assert labels() == [(10, 10, 20)]
    assert await change("revoke-trunk-start-label-range", start_label=12, label_count=2) is None
    assert labels() == [(10, 2, 20), (14, 6, 24)]
    assert await change("revoke-trunk-end-label-range", end_label=26, label_count=1) is None
    assert labels() == [(10, 2, 20), (14, 2, 24), (17, 3, 27)]
    assert await change("define-trunk-label-range", start_label=12, label_count=2, end_label=22) is None
    assert labels() == [(10, 6, 20), (17, 3, 27)]
    # From the other end, its start is the trunk's end.
    assert await change("define-trunk-label-range", TURNED, start_label=26, label_count=1, end_label=16) is None
    assert labels() == [(10, 10, 20)]
    assert await change("revoke-trunk-start-label-range", TURNED, start_label=20, label_count=5) is None
    assert labels() == [(15, 5, 25)]
    assert await change("define-trunk-label-range", start_label=100, label_count=1) is None
    assert labels() == [(15, 5, 25), (100, 1, 100)]
    assert await change("define-trunk-label-range", start_label=19, label_count=2, end_label=50) == "bad-argument"
    assert await change("define-trunk-label-range", start_label=1, label_count=0, end_label=1) == "bad-argument"
    id = (await talk.ok("new-service"))["service-id"]
    await talk.ok("define-service", service_id=id, segment=segment())
    assert await change("revoke-trunk-start-label-range", start_label=0, label_count=1000) == "labels-in-use"
    assert labels() == [(15, 5, 25), (100, 1, 100)]


@over
async def test_a_type_that_is_not_there_gets_an_answer_too(served, connection):
    await build(connection)
    for network, absent in (("left", On.AGGREGATOR), ("aggr", On.SWITCH)):
        talk = await Talk.open(connection, network)
        for name in [*(name for name, found in TYPES.items() if found.on is absent), "no-such-type", ""]:
            answer = await talk.ask(name)
            assert (answer["error"], answer["field"]) == ("bad-argument", "type"), name
        for content in ({}, {"type": 7}, {"type": None}, {"type": ["get-terminals"]}):
            talk.send(content, 3)
            answer = await talk.read()
            assert (answer["session"], answer["content"]["field"]) == (3, "type")
        for content in (7, "x", [], True):
            talk.send(content, 4)
            assert (await talk.read())["content"]["field"] == "content"


@pytest.mark.parametrize("name", sorted(TYPES))
def test_every_type_with_nothing_in_it_gets_an_answer(served, name):
    async def test(served):
        async with served.connect() as connection:
            talk = await Talk.open(connection, "left" if TYPES[name].on is On.SWITCH else "aggr")
            first = await talk.ask(name)
            strange = await talk.ask(name, service_id=[{}], terminal_name=[{}], segment=[{}], delay=[{}])
            assert all("error" not in c or c["error"] == "bad-argument" for c in (first, strange)), (first, strange)

    served.run(test)


# -- sessions -----------------------------------------------------------------------------------


@pytest.fixture
def paused(tmp_path, broker):
    """Over a network in memory whose services stay on their way until it is told to go on."""
    broker.aggregator.paused = True
    found = Served(broker, tmp_path)
    yield found
    found.stop()


WAIT = {"type": "await-service-status", "service-id": 1, "acceptable": ["ACTIVE"], "timeout-millis": 3_600_000}


def test_sessions_run_side_by_side_and_each_in_order(paused):
    async def test(paused):
        async with paused.connect() as connection:
            talk = await Talk.open(connection, "aggr")
            await talk.ok("new-service")
            talk.send({"type": "define-service", "service-id": 1, "segment": segment(names="ab")}, 4)
            await talk.ok("activate-service", service_id=1)
            talk.send(WAIT, 1)
            talk.send({"type": "get-services"}, 1)
            talk.send({"type": "check-service", "service-id": 1}, 1)
            talk.send({"type": "get-services"}, 2)
            assert await talk.read() == {"session": 2, "content": {"service-ids": [1]}}
            talk.send({"type": "check-service", "service-id": 2}, 3)
            assert await talk.read() == {"session": 3, "content": {"exists": False}}
            await asyncio.to_thread(eventually, lambda: len(paused.broker.aggregator.service(1)._waiters) == 2)
            paused.broker.aggregator.go_on()
            found = [await talk.read() for _ in range(4)]
            assert [a["content"] for a in found if a["session"] == 1] == [
                {"status": "ACTIVE"},
                {"service-ids": [1]},
                {"exists": True},
            ]
            assert [a["content"] for a in found if a["session"] == 4] == [{}]

    paused.run(test)


@over
async def test_a_watch_tells_each_change_until_the_service_is_released(served, connection):
    talk = await build(connection)
    id = (await talk.ok("new-service"))["service-id"]
    watcher = await Talk.open(connection, "aggr")
    watcher.send({"type": "watch-service", "service-id": id}, 5)
    assert await watcher.read() == {"session": 5, "content": {"status": "DORMANT"}}

    async def until(last):
        found = []
        while not found or found[-1] != last:
            answer = await watcher.read()
            assert answer["session"] == 5
            found.append(answer["content"]["status"])
        return found

    await talk.ok("define-service", service_id=id, segment=segment())
    assert await until("INACTIVE") == ["ESTABLISHING", "INACTIVE"]
    await talk.ok("activate-service", service_id=id)
    assert await until("ACTIVE") == ["ACTIVATING", "ACTIVE"]
    # The session still answers.
    watcher.send({"type": "get-services"}, 5)
    assert (await watcher.read())["content"] == {"service-ids": [id]}
    await talk.ok("release-service", service_id=id)
    assert (await until("RELEASED"))[-1] == "RELEASED"
    assert await watcher.end() == ([], 0)


@pytest.mark.parametrize("closing", [b'{"session": 5, "content": null}', b'{"session": 5}'])
def test_a_frame_without_content_closes_its_session(paused, closing):
    async def test(paused):
        async with paused.connect() as connection:
            talk = await Talk.open(connection, "aggr")
            await talk.ok("new-service")
            talk.send({"type": "watch-service", "service-id": 1}, 5)
            assert (await talk.read())["content"] == {"status": "DORMANT"}
            talk.send(WAIT, 5)
            talk.process.stdin.write(struct.pack(">I", len(closing)) + closing)
            # The wait ends with the status as it is, the watch without a word; the number may be used again.
            assert await talk.read() == {"session": 5, "content": {"status": "DORMANT"}}
            assert paused.broker.aggregator.watchers == 0
            talk.send({"type": "get-services"}, 5)
            assert await talk.read() == {"session": 5, "content": {"service-ids": [1]}}
            paused.broker.aggregator.go_on()
            await talk.ok("release-service", service_id=1)
            assert await talk.end() == ([], 0)

    paused.run(test)


@over
async def test_hundreds_of_sessions_on_one_connection_leave_nothing(served, connection):
    """Channels and sessions: 30 channels of 300 sessions each that nobody closes."""
    await build(connection)
    talks = [await Talk.open(connection, "aggr") for _ in range(30)]
    for talk in talks:
        for number in range(300):
            talk.send({"type": "get-terminals"}, number)
    for talk in talks:
        answers = [await talk.read() for _ in range(300)]
        assert sorted(answer["session"] for answer in answers) == list(range(300))
        assert all(answer["content"] == {"terminal-names": ["l", "r"]} for answer in answers)

    def working():
        found = [task for channel in served.house.channels for task in asyncio.all_tasks(channel._task.get_loop())]
        return [task for task in found if "Conversation._work" in task.get_coro().__qualname__]

    # An answer is sent by a task that ends after it.
    await asyncio.to_thread(eventually, lambda: not working())


@over
async def test_hundreds_of_channels_on_one_connection(served, connection):
    await build(connection)
    talks = [await Talk.open(connection, "aggr") for _ in range(300)]
    for talk in talks:
        talk.send({"type": "get-services"})
    for talk in talks:
        assert (await talk.read())["content"] == {"service-ids": []}


def test_waits_without_end_are_bounded(paused):
    async def test(paused):
        async with paused.connect() as connection:
            talk = await Talk.open(connection, "aggr")
            await talk.ok("new-service")
            for number in range(limits.WAITING + 10):
                talk.send(WAIT, 10_000 + number)
            for _ in range(10):
                assert (await talk.read())["content"]["error"] == "busy"
            talk.send(None, 10_000)
            assert await talk.read() == {"session": 10_000, "content": {"status": "DORMANT"}}
            await talk.ok("watch-service", service_id=1)
            assert (await talk.ask("watch-service", service_id=1))["error"] == "busy"

    paused.run(test)


# -- frames -------------------------------------------------------------------------------------


@over
async def test_frames_of_300_kb_both_ways(served, connection):
    talk = await build(connection)
    handle = "h" * 300_000
    answer = await talk.ask("find-service", handle=handle)
    assert answer == {}
    answer = await talk.ask("new-service", handle=handle)
    assert answer["field"] == "handle"
    below = await Talk.open(connection, "left")
    network = served.broker.network("left")
    big = "x" * 100
    for number in range(80):
        await below.ok("add-terminal", terminal_name=f"{big}{number}", terminal_config=f"phys.{1000 + number}")
    answer = await below.ask("get-model", min_bw=0)
    assert len(network.terminals()) == 83
    assert len(answer["edges"]) == 83 * 82 // 2
    assert len(json.dumps(answer)) > 300_000


@over
async def test_the_longest_frame_is_taken_and_one_more_byte_is_not(served, connection):
    await build(connection)
    talk, other = await Talk.open(connection, "aggr"), await Talk.open(connection, "aggr")
    head = b'{"session": 1, "content": {"type": "get-services"'
    body = head + b" " * (limits.MAX_FRAME - len(head) - 2) + b"}}"
    talk.process.stdin.write(struct.pack(">I", len(body)) + body)
    assert (await talk.read())["content"] == {"service-ids": []}
    talk.process.stdin.write(struct.pack(">I", len(body) + 1))
    (answer,), status = await talk.rest()
    assert (answer["error"], status) == ("bad-frame", 1)
    assert await other.ok("get-services") == {"service-ids": []}


@pytest.mark.parametrize(
    "sent",
    [
        b"\0",
        b"\0\0\0\x09{}",
        frame({"type": "get-services"})[:-3],
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\xff" * 5000,
    ],
)
def test_what_is_cut_off_or_garbage_ends_its_channel_and_no_other(served, sent):
    async def test(served):
        async with served.connect() as connection:
            talk, other = await Talk.open(connection, "aggr"), await Talk.open(connection, "aggr")
            talk.send({"type": "get-services"}, 9)
            talk.process.stdin.write(sent)
            answers, status = await talk.end()
            assert sorted(answers, key=lambda a: "error" in a)[0] == {"session": 9, "content": {"service-ids": []}}
            assert [a["error"] for a in answers if "error" in a] == ["bad-frame"]
            assert status == 1
            assert await other.ok("get-services") == {"service-ids": []}

    served.run(test)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "bad-json"),
        (b"\xff", "bad-json"),
        (b"{", "bad-json"),
        (b'{"session": NaN}', "bad-argument"),
        (b'{"session": 1, "session": 2}', "bad-json"),
        (b"[" * 100_000, "bad-json"),
        (b"[]", "bad-argument"),
        (b'"x"', "bad-argument"),
        (b"{}", "bad-argument"),
        (b'{"session": "1", "content": {}}', "bad-argument"),
        (b'{"session": 1.5, "content": {}}', "bad-argument"),
        (b'{"session": true, "content": {}}', "bad-argument"),
        (b'{"session": 1e999999, "content": {}}', "bad-argument"),
    ],
)
def test_a_whole_frame_that_is_no_request_is_told_and_forgiven(served, body, code):
    async def test(served):
        async with served.connect() as connection:
            talk = await Talk.open(connection, "aggr")
            talk.process.stdin.write(struct.pack(">I", len(body)) + body)
            answer = await talk.read()
            assert (answer["error"], "session" in answer) == (code, False)
            assert await talk.ok("get-services") == {"service-ids": []}

    served.run(test)


@over
async def test_a_client_that_sends_no_more_still_gets_its_answers(served, connection):
    talk = await build(connection)
    for number in range(50):
        talk.send({"type": "new-service"}, number)
    answers, status = await talk.end()
    assert sorted(a["session"] for a in answers) == list(range(50))
    assert sorted(a["content"]["service-id"] for a in answers) == list(range(1, 51))
    assert status == 0


@over
async def test_a_client_that_does_not_read_holds_up_no_other(served, connection):
    await build(connection)
    network, asked = served.broker.network("aggr"), []
    whole = network.list_terminals
    network.list_terminals = lambda: asked.append(1) or whole()
    async with served.connect() as other:
        deaf = await Talk.open(other, "aggr")
        deaf.process.channel.pause_reading()
        for number in range(20_000):
            deaf.send({"type": "dump-status"}, number)
        talk = await Talk.open(connection, "aggr")
        async with asyncio.timeout(PATIENCE):
            for _ in range(100):
                assert await talk.ok("get-services") == {"service-ids": []}
        # What is not read is not worked out: what was sent fills the channel's window of 2 MiB (some 10,000 of these
        # answers) at the most, the rest of the requests still waits.
        assert len(asked) < 12_000
        other.abort()
