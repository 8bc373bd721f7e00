"""The lab itself: what goes in comes out and is counted, and nothing stays behind. Flows are set by hand here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from dpb_lab import demo, testing
from dpb_lab.inside.frames import BROADCAST, IPV4, frame, payload, udp
from dpb_lab.lab import Lab, missing
from dpb_lab.meters import exhausted
from dpb_lab.openvswitch import Switch
from dpb_lab.process import LabError, until
from dpb_lab.testing import ALONE, marks, needed

pytestmark = [*marks("lab"), pytest.mark.usefixtures("_needed")]


@pytest.fixture(scope="module")
def _needed() -> None:
    needed()


@pytest.fixture(scope="module")
def lab(_needed: None) -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


def joined(switch: Switch, *ports: tuple[int, int]) -> None:
    for one, other in ports:
        switch.add_flow(f"in_port={one},actions=output:{other}")
        switch.add_flow(f"in_port={other},actions=output:{one}")


def test_hosts_speak_over_a_trunk_and_behind_a_tagging_bridge(lab: Lab) -> None:
    a, b = lab.switch("a", controller=None), lab.switch("b", controller=None)
    lab.trunk(a, 9, b, 9)
    one = lab.host("one", a, 1, address="10.0.0.1/24")
    two = lab.host("two", b, 1, address="10.0.0.2/24", tag=100)
    three = lab.host("three", b, 1, address="10.0.0.3/24", tag=200)
    assert one.ping(two, timeout=0.2) is None  # nothing passes without flows
    a.add_flow("in_port=1,actions=push_vlan:0x8100,set_field:4106->vlan_vid,output:9")
    a.add_flow("in_port=9,dl_vlan=10,actions=pop_vlan,output:1")
    b.add_flow("in_port=9,dl_vlan=10,actions=set_field:4196->vlan_vid,output:1")
    b.add_flow("in_port=1,dl_vlan=100,actions=set_field:4106->vlan_vid,output:9")
    assert one.ping(two) is not None
    assert one.ping(two, size=1472) is not None  # a payload of 1500 bytes
    assert len(two.pings(one, 20)) == 20
    assert one.tcp(two, 1_000_000) > 0
    assert one.ping(three, timeout=0.2) is None
    capture = two.capture()
    one.send(frame(one.mac, two.mac, payload(1), tags=(7,)))  # what a host tags itself is payload
    until(capture.frames, "a tagged frame passes")
    assert capture.end().count() == {(1, (7,)): 1}
    assert one.run("ip", "-o", "addr", "show", "dev", "eth0").count("10.0.0.1") == 1
    with pytest.raises(LabError, match="host one: false"):
        one.run("false")

    a.restart()
    assert a.flows() == []
    assert one.ping(two, timeout=0.2) is None


def test_every_frame_is_counted_with_its_tags(lab: Lab) -> None:
    switch = lab.switch("c", controller=None)
    one, two = lab.host("c1", switch, 1), lab.host("c2", switch, 2)
    joined(switch, (1, 2))
    there, here = two.capture(), one.capture()
    sent = [(), (5,), (10, 20), (1, 2, 3)]
    for stream, tags in enumerate(sent):
        one.send(*[frame(one.mac, BROADCAST, payload(stream, number, 1500), tags=tags) for number in range(3)])
    stream = one.stream(frame(one.mac, two.mac, payload(7)), rate=2000, count=400, first=100)
    assert stream.result().sent == 400
    found = there.end()
    assert found.count() == {**dict.fromkeys(enumerate(sent), 3), (7, ()): 400}
    assert found.numbers(7) == list(range(100, 500))
    assert here.end().frames == []  # what a host sends itself is not counted
    ended = one.stream(frame(one.mac, two.mac, payload(8)), rate=10).end()
    assert ended.sent <= 10


@ALONE
def test_received_rates_are_measured(lab: Lab) -> None:
    switch = lab.switch("d", controller=None)
    one, two = lab.host("d1", switch, 1), lab.host("d2", switch, 2)
    switch.ovs.openflow("add-meter", "d", "meter=1,kbps,burst,band=type=drop,rate=2000,burst_size=200")
    switch.add_flow("in_port=1,actions=meter:1,output:2")
    there = two.measure()
    datagram = udp("10.0.0.1", "10.0.0.2", payload(1, size=972))
    stream = one.stream(frame(one.mac, two.mac, datagram, kind=IPV4), rate=4e6 / 8 / 1014)
    until(lambda: not switch.ovs.openflow("dump-meters", "d").count("duration:0."), "a second passes")
    time.sleep(1.2)
    stream.end()
    assert there.end().rate(1, samples=1, seconds=1.0, skip=0.2) == pytest.approx(2.0, rel=0.1)


def test_a_port_goes_down_and_a_whole_daemon_begins_anew(lab: Lab) -> None:
    switch = lab.switch("e", controller=None)
    one = lab.host("e1", switch, 1, address="10.0.0.1/24")
    two = lab.host("e2", switch, 2, address="10.0.0.2/24")
    joined(switch, (1, 2))
    assert one.ping(two) is not None
    switch.set_port(2, up=False)
    assert one.ping(two, timeout=0.2) is None
    switch.set_port(2, up=True)
    assert one.ping(two) is not None
    lab.ovs.crash()
    assert switch.flows() == []
    joined(switch, (1, 2))
    assert one.ping(two) is not None


def test_a_meter_table_is_full_until_it_is_not(lab: Lab) -> None:
    switch = lab.switch("g", controller=None)
    meter = "meter={},kbps,burst,band=type=drop,rate=1000,burst_size=100"
    with exhausted(lab.ovs, leave=1):
        lab.ovs.openflow("add-meter", "g", meter.format(1))
        with pytest.raises(LabError, match="OUT_OF_METERS"):
            lab.ovs.openflow("add-meter", "g", meter.format(2))
    lab.ovs.openflow("add-meter", "g", meter.format(2))
    assert len(switch.meters()) == 2


def test_labs_side_by_side_do_not_meet(lab: Lab) -> None:
    with Lab() as other:
        for each in (lab, other):
            switch = each.switch("f", controller=None)
            one = each.host("f1", switch, 1, address="10.0.0.1/24")
            two = each.host("f2", switch, 2, address="10.0.0.2/24")
            joined(switch, (1, 2))
            assert one.ping(two) is not None
        folder = other.folder
    assert not folder.exists()


# -- the end ------------------------------------------------------------------------------------

PROGRAM = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # who runs tests in the background ignores it
from dpb_lab.lab import Lab, missing
from dpb_lab.meters import exhausted
with Lab() as lab:
    host = lab.host("h", lab.switch("s", controller=None), 1)
    print(lab.folder, lab.ovs.pid, host.pid, flush=True)
    if sys.argv[1] == "raise":
        raise ValueError("on purpose")
    time.sleep(600)
"""


@pytest.mark.parametrize("ending", ["raise", signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_stays_behind_however_it_ends(ending: signal.Signals | str) -> None:
    command = [sys.executable, "-c", PROGRAM, str(ending)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as program:
        assert program.stdout is not None
        folder, *pids = program.stdout.readline().split()
        assert len(pids) == 2
        if isinstance(ending, signal.Signals):
            assert Path(folder).exists()
            program.send_signal(ending)
        program.wait(30)
    until(lambda: not any(_runs(pid) for pid in pids), "its processes end")
    until(lambda: not _processes_in(folder), "nothing of it runs any more")  # the kernel kills them one by one
    if ending != signal.SIGKILL:
        assert not Path(folder).exists()
    else:
        subprocess.run(["rm", "-r", folder], check=True)


def _runs(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _processes_in(folder: str) -> list[str]:
    found = []
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and folder in Path(f"/proc/{entry}/cmdline").read_text():
                found.append(entry)
        except OSError:
            continue
    return found


def test_who_is_not_root_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(sys, "argv", ["dpb-lab"])
    assert demo.main() == 1
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "dpb-lab: a lab needs root (network namespaces, packet sockets)\n")


def test_a_machine_without_open_vswitch_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    reason = missing()
    assert reason is not None
    assert "ovs-vswitchd" in reason
    assert "apt-get install openvswitch-switch" in reason


@pytest.mark.parametrize("required", [True, False])
def test_where_there_can_be_no_lab_tests_are_skipped_or_fail(monkeypatch: pytest.MonkeyPatch, required: bool) -> None:
    monkeypatch.setattr(testing, "_missing", lambda: "no reason")
    monkeypatch.setenv(testing.REQUIRE, "1" if required else "")
    with pytest.raises(pytest.fail.Exception if required else pytest.skip.Exception, match="no reason"):
        needed()


def test_a_kind_of_switches_that_there_is_not_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["dpb-lab", "--kinds", "openflow,corsa"])
    with pytest.raises(SystemExit):
        demo.main()
    assert "'corsa' is none of openflow, corsa-shared, corsa-per-service" in capsys.readouterr().err


@pytest.mark.skipif(os.environ.get("DPB_SOAK") != "1", reason="a minute: only in `make soak`")
@pytest.mark.parametrize("kinds", ["openflow", "corsa-shared,openflow,corsa-per-service"])
def test_the_whole_demonstration_holds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kinds: str
) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.setattr(sys, "argv", ["dpb-lab", "--kinds", kinds])
    try:
        assert demo.main() == 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    told = capsys.readouterr().out
    assert "nothing is left on any switch" in told
    assert "NOT HELD" not in told
