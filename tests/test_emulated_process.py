"""The device process: what was confirmed survives it, whatever happens."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dpb_framework.contracts import Bridge, Channel, FabricEvent
from dpb_framework.emulated import ProcessFabric
from dpb_framework.emulated.protocol import Address, decode
from dpb_framework.emulated.server import CRASHED
from dpb_framework.errors import FabricRefused, Unreachable
from dpb_framework.model import TrafficFlow
from dpb_framework.testing.emulated import PATIENCE, EmulatedProcess

FLOW = TrafficFlow(1_000, 2_000)


def bridge(key: str, label: int, *more: str) -> Bridge:
    return Bridge(key, {Channel(port, label): FLOW for port in ("1", "2", *more)})


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come to hold"
        time.sleep(0.01)


@pytest.fixture
def process() -> Iterator[EmulatedProcess]:
    with EmulatedProcess() as process:
        yield process


@pytest.fixture(scope="module")
def steady() -> Iterator[EmulatedProcess]:
    """A process for tests that do not end it, and leave nothing in it."""
    with EmulatedProcess() as process:
        yield process


@pytest.fixture
def fabric(process: EmulatedProcess) -> Iterator[ProcessFabric]:
    fabric = process.fabric()
    fabric.start()
    yield fabric
    fabric.stop()


def persist(command: Callable[[], object]) -> None:
    """Repeat a command of an impatient fabric until it is confirmed, as the kernel does."""

    def confirmed() -> bool:
        try:
            command()
        except Unreachable:
            return False
        return True

    eventually(confirmed)


def raw(process: EmulatedProcess) -> socket.socket:
    return Address.parse(process.address).connect(PATIENCE)


# -- what was confirmed -----------------------------------------------------------------------------


def test_killed_amid_200_ensures_it_keeps_what_it_confirmed(process: EmulatedProcess, fabric: ProcessFabric) -> None:
    confirmed: list[int] = []
    some = threading.Event()

    def work(first: int) -> None:
        for number in range(first, 200, 4):
            try:
                fabric.ensure(bridge(f"k/{number}", number + 1))
            except Unreachable:
                return
            confirmed.append(number)
            if len(confirmed) >= 60:
                some.set()

    threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    assert some.wait(PATIENCE)
    process.kill()
    for thread in threads:
        thread.join()
    process.start()
    kept = process.holds()
    assert {f"k/{number}" for number in confirmed} <= set(kept)
    for number in range(200):
        fabric.ensure(bridge(f"k/{number}", number + 1))
    assert process.holds() == {f"k/{n}": bridge(f"k/{n}", n + 1) for n in range(200)}


def test_removals_strangers_ports_and_limits_are_kept_too(process: EmulatedProcess, fabric: ProcessFabric) -> None:
    process.ask("configure", ports=8, bridges=3)
    for number in (1, 2):
        fabric.ensure(bridge(f"k/{number}", number))
    fabric.remove("k/1")
    process.stranger("theirs", {Channel("5", 1): FLOW})
    process.port("2", up=False)
    before = process.listing()
    process.restart()
    after = process.listing()
    assert {k: v for k, v in before.items() if k != "id"} == {k: v for k, v in after.items() if k != "id"}
    assert set(process.holds()) == {"k/2"}
    assert after["ports-down"] == ["2"]
    assert fabric.capacity() == {"bridges": 2, "bridges-left": 1}
    with pytest.raises(FabricRefused, match="between 1 and 8"):
        fabric.ensure(Bridge("k/9", {Channel("9", 1): FLOW, Channel("1", 9): FLOW}))


@pytest.mark.parametrize(("when", "done"), [("before", False), ("after", True)])
def test_a_scripted_crash(process: EmulatedProcess, fabric: ProcessFabric, when: str, done: bool) -> None:
    fabric.ensure(bridge("k/1", 1))
    process.fault(crash=when, on="ensure", key_prefix="k/2")
    fabric.ensure(bridge("k/1", 3))
    with pytest.raises(Unreachable):
        fabric.ensure(bridge("k/2", 2))
    assert process.wait_gone() == CRASHED
    process.start()
    assert ("k/2" in process.holds()) is done
    assert process.holds()["k/1"] == bridge("k/1", 3)
    fabric.ensure(bridge("k/2", 2))
    assert set(process.holds()) == {"k/1", "k/2"}


# -- other faults -----------------------------------------------------------------------------------


def test_refuse_and_forget(process: EmulatedProcess, fabric: ProcessFabric) -> None:
    process.fault(refuse="no meters left", count=2)
    for _ in range(2):
        with pytest.raises(FabricRefused, match="no meters left"):
            fabric.ensure(bridge("k/1", 1))
    process.fault(forget=True)
    fabric.ensure(bridge("k/1", 1))
    assert process.holds() == {}
    process.fault(forget=True, count=None, on="remove")
    process.clear_faults()
    fabric.ensure(bridge("k/1", 1))
    fabric.remove("k/1")
    assert fabric.bridges() == []
    assert process.calls() == {"ensure": 4, "remove": 1, "bridges": 1}


def test_hang_is_unreachable_and_others_go_on(process: EmulatedProcess) -> None:
    hasty = process.fabric(timeout=0.3)
    hasty.start()
    try:
        process.fault(hang=True, on="ensure", key_prefix="k/1")
        with pytest.raises(Unreachable, match=r"no answer within 0\.3 s"):
            hasty.ensure(bridge("k/1", 1))
        persist(lambda: hasty.ensure(bridge("k/2", 2)))
        assert set(process.holds()) == {"k/2"}
        persist(lambda: hasty.ensure(bridge("k/1", 1)))
    finally:
        hasty.stop()
    assert set(process.holds()) == {"k/1", "k/2"}


def test_a_delayed_answer_comes(process: EmulatedProcess, fabric: ProcessFabric) -> None:
    process.fault(delay=0.05)
    fabric.ensure(bridge("k/1", 1))
    assert set(process.holds()) == {"k/1"}


def test_a_delayed_answer_is_overtaken(process: EmulatedProcess) -> None:
    process.fault(delay=3600, on="ensure", key_prefix="slow")
    with raw(process) as connection, connection.makefile("rb") as answers:
        for number, key in enumerate(("slow", "quick")):
            message = f'{{"id":{number},"op":"ensure","key":"{key}","channels":[["1",{number + 1},0,5]]}}\n'
            connection.sendall(message.encode())
        assert decode(answers.readline())["id"] == 1
    assert set(process.holds()) == {"slow", "quick"}


def test_a_command_that_was_given_up_is_not_carried_out_later(process: EmulatedProcess) -> None:
    hasty = process.fabric(timeout=0.3)
    hasty.start()
    try:
        persist(lambda: hasty.ensure(bridge("k/1", 1)))
        process.pause()
        with pytest.raises(Unreachable):
            hasty.ensure(bridge("k/1", 2))
        process.resume()
        # Whatever the process reads first: when this is confirmed, the bridge is gone and stays gone.
        persist(lambda: hasty.remove("k/1"))
        persist(lambda: hasty.ensure(bridge("k/2", 3)))
        assert set(process.holds()) == {"k/2"}
    finally:
        hasty.stop()


def test_a_lane_that_was_dropped_is_not_served(process: EmulatedProcess) -> None:
    with raw(process) as late, raw(process) as early:
        early.sendall(b'{"op":"remove","key":"k","lane":"new","drop":["old"]}\n')
        assert decode(early.makefile("rb").readline()) == {"ok": True}
        late.sendall(b'{"op":"ensure","key":"k","channels":[["1",1,0,5]],"lane":"old"}\n')
        assert late.recv(100) == b""
    assert process.holds() == {}


# -- several clients --------------------------------------------------------------------------------


def test_two_clients_at_once(process: EmulatedProcess, fabric: ProcessFabric) -> None:
    other = process.fabric()
    other.start()
    try:

        def work(client: ProcessFabric, who: str, first: int) -> None:
            for number in range(20):
                client.ensure(bridge(f"{who}/{number}", first + number))
                client.ensure(bridge("both", 4000, "3" if client is fabric else "4"))

        threads = [
            threading.Thread(target=work, args=(fabric, "one", 1)),
            threading.Thread(target=work, args=(other, "two", 101)),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(fabric.bridges()) == 41
        fabric.retain([], "one/")
        assert {b.key.split("/")[0] for b in other.bridges()} == {"two", "both"}
    finally:
        other.stop()


def test_devices_of_one_process_are_apart(process: EmulatedProcess, fabric: ProcessFabric) -> None:
    other = process.fabric("b")
    other.start()
    try:
        fabric.ensure(bridge("k", 1))
        other.ensure(bridge("k", 2))
        process.contact(up=False, device="b")
        with pytest.raises(Unreachable):
            other.remove("k")
        fabric.remove("k")
        process.contact(up=True, device="b")
        assert other.bridges() == [bridge("k", 2)]
    finally:
        other.stop()


# -- contact ----------------------------------------------------------------------------------------


def test_events_arrive_in_order(process: EmulatedProcess, fabric: ProcessFabric) -> None:
    told: list[tuple[FabricEvent, str]] = []
    process.port("3", up=False)
    fabric.watch(lambda event, interface: told.append((event, interface)))
    eventually(lambda: len(told) >= 2)
    process.port("3", up=True)
    eventually(lambda: len(told) >= 3)
    process.restart()
    eventually(lambda: len(told) >= 5)
    assert told == [
        (FabricEvent.UP, ""),
        (FabricEvent.PORT_DOWN, "3"),
        (FabricEvent.PORT_UP, "3"),
        (FabricEvent.DOWN, ""),
        (FabricEvent.UP, ""),
    ]


def test_a_process_that_stands_still_is_noticed(process: EmulatedProcess) -> None:
    fabric = process.fabric(timeout=0.2)
    told: list[FabricEvent] = []
    fabric.watch(lambda event, _: told.append(event))
    fabric.start()
    try:
        eventually(lambda: bool(told) and told[-1] is FabricEvent.UP)
        process.pause()
        eventually(lambda: told[-1] is FabricEvent.DOWN)
        process.resume()
        eventually(lambda: told[-1] is FabricEvent.UP)
    finally:
        fabric.stop()


def test_contact_is_lost_and_regained_whatever_goes_wrong(
    process: EmulatedProcess, fabric: ProcessFabric, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[FabricEvent] = []
    fabric.watch(lambda event, _: told.append(event))
    eventually(lambda: told == [FabricEvent.UP])

    def hear(_: object) -> None:
        monkeypatch.undo()
        raise ArithmeticError("nobody foresaw this")

    monkeypatch.setattr(fabric, "_hear", hear)
    process.port("1", up=False)
    eventually(lambda: told[:3] == [FabricEvent.UP, FabricEvent.DOWN, FabricEvent.UP])
    assert "ArithmeticError: nobody foresaw this" in caplog.text


def test_the_process_may_come_after_the_fabric() -> None:
    process = EmulatedProcess()
    fabric = process.fabric()
    told: list[FabricEvent] = []
    fabric.watch(lambda event, _: told.append(event))
    fabric.start()
    try:
        with pytest.raises(Unreachable):
            fabric.bridges()
        assert told == []
        with process:
            eventually(lambda: told == [FabricEvent.UP])
            assert fabric.bridges() == []
    finally:
        fabric.stop()


def test_threads_end_at_stop(process: EmulatedProcess) -> None:
    before = set(threading.enumerate())
    fabric = process.fabric()
    fabric.start()
    fabric.bridges()
    fabric.stop()
    fabric.stop()
    assert set(threading.enumerate()) <= before
    with pytest.raises(Unreachable, match="stopped"):
        fabric.bridges()


def test_what_answers_may_be_something_else() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        fabric = ProcessFabric(address=f"127.0.0.1:{listener.getsockname()[1]}", timeout=2.0)

        def answer() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(1000)
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            fabric.start()
            with pytest.raises(Unreachable, match="JSON"):
                fabric.bridges()
        finally:
            fabric.stop()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


# -- the process itself -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        b"what?",
        b"[]",
        b"7",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b"{}",
        b'{"op":["ensure"]}',
        b'{"op":"ensure"}',
        b'{"op":"ensure","key":1,"channels":[]}',
        b'{"op":"ensure","key":"k","channels":[["1",1,true,1]]}',
        b'{"op":"ensure","key":"k","channels":[["1",1,1,1],["1",1,2,2]]}',
        b'{"op":"retain","prefix":"k","keys":"k"}',
        b'{"op":"bridges","device":7}',
        b'{"op":"watch","device":7}',
        b'{"op":"fault","hang":true,"on":"x"}',
        b'{"op":"port","interface":"a b","up":true}',
        b'{"op":"configure","ports":-1}',
        b'{"op":"bridges","lane":7}',
        b'{"op":"bridges","drop":"x"}',
    ],
    ids=lambda line: line[:48].decode("ascii", "replace"),
)
def test_garbage_is_answered_and_does_no_harm(steady: EmulatedProcess, line: bytes) -> None:
    with raw(steady) as connection, connection.makefile("rb") as answers:
        connection.sendall(line + b"\n")
        assert "error" in decode(answers.readline())
        connection.sendall(b'{"id":1,"op":"ping"}\n')
        assert decode(answers.readline()) == {"id": 1, "ok": True}
    assert steady.holds() == {}


def test_clients_that_leave_in_the_middle_do_no_harm(process: EmulatedProcess) -> None:
    for sent in (b"", b'{"op":"ens', b'{"op":"watch"}\n', b'{"op":"bridges"}\n' * 100):
        with raw(process) as connection:
            connection.sendall(sent)
    assert process.holds() == {}
    assert process.complaint == ""


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version":2,"devices":{}}', '{"version":1,"devices":{"0":{}}}'])
def test_a_damaged_state_file_is_one_clear_line(tmp_path: Path, text: str) -> None:
    state = tmp_path / "state.json"
    state.write_text(text)
    command = [sys.executable, "-m", "dpb_framework.emulated.server", "--state", str(state)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1
    assert str(state) in ended.stderr
    assert "move it away" in ended.stderr
    assert state.read_text() == text


def test_a_state_file_belongs_to_one_process(process: EmulatedProcess) -> None:
    command = [sys.executable, "-m", "dpb_framework.emulated.server", "--state", str(process.state)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert ended.returncode == 1
    assert "in use by another device process" in ended.stderr


def test_a_socket_belongs_to_one_process(process: EmulatedProcess) -> None:
    command = [sys.executable, "-m", "dpb_framework.emulated.server", "--listen", process.address]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert ended.returncode == 1
    assert "another process listens" in ended.stderr
    assert process.holds() == {}


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    # The child starts a device process for itself, tells its id, and is gone.
    child = (
        "import os, subprocess, sys\n"
        "p = subprocess.Popen([sys.executable, '-m', 'dpb_framework.emulated.server', '--listen', sys.argv[1],"
        " '--parent-pid', str(os.getpid())], start_new_session=True, stdout=subprocess.PIPE)\n"
        "p.stdout.readline()\n"
        "os.write(1, str(p.pid).encode())\n"
        "os._exit(0)\n"
    )
    listen = f"unix:{tmp_path / 'socket'}"
    ended = subprocess.run(
        [sys.executable, "-c", child, listen], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    pid = int(ended.stdout)

    def gone() -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        # Nobody may be there to wait for an orphan: one that has ended is enough.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"

    eventually(gone)
    assert not (tmp_path / "socket").exists()


def test_terminate_ends_it_in_good_order(process: EmulatedProcess, fabric: ProcessFabric) -> None:
    fabric.ensure(bridge("k", 1))
    process.terminate()
    process.terminate()
    assert process.pid is None
    assert not Path(process.address.removeprefix("unix:")).exists()
    assert process.complaint == ""
    process.start()
    assert fabric.bridges() == [bridge("k", 1)]
