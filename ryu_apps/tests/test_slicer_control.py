"""The application and a real Open vSwitch that come and go, differ, refuse and fall silent."""

import contextlib
import http.client
import itertools
import json
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

from .slicer_lab import BROADCAST, Ovs, Slicer, eventually, frame, is_read, mac, slice_of, tags_of

pytestmark = [pytest.mark.dataplane, pytest.mark.xdist_group("slicer_control")]
FAST = ("--audit", "0.3", "--full-audit", "1", "--timeout", "3")


@pytest.fixture
def own(tmp_path):
    """An Open vSwitch and an application of the test's own, with a bridge of six ports."""
    ovs, slicer = Ovs(tmp_path / "o"), Slicer(tmp_path / "s", *FAST)
    ovs.bridge("br", DPID, range(1, 7), slicer.target)
    slicer.connected(DPID)
    yield ovs, slicer
    slicer.stop()
    ovs.stop()


DPID = "00000000000000aa"


def unchanged(ovs, meanwhile):
    """Whether every flow that was there is there still, and was not even put again."""

    def ages():
        text = ovs.ofctl("dump-flows", "br")
        lines = [line for line in text.splitlines() if "duration" in line]
        counters = r"(duration|n_packets|n_bytes|idle_age)=[^,]*, "
        return {re.sub(counters, "", line): float(re.search(r"duration=([\d.]+)s", line)[1]) for line in lines}

    before = ages()
    meanwhile()
    after = ages()
    return all(key in after and after[key] >= age for key, age in before.items())


class Stream:
    """A numbered frame every 5 ms each way along an E-Line, or among the ends of an E-LAN; counts what is missing."""

    def __init__(self, ovs, *ways, bridge="br"):
        self._wires = ovs.wires
        self._bridge = bridge
        self._ways = ways
        self._stop = threading.Event()
        self.sent = 0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        while not self._stop.wait(0.005):
            self.sent += 1
            for source, _, data in self._ways:
                self._wires[self._bridge, source].send(data + self.sent.to_bytes(4, "big"))

    def stop(self):
        """The numbers that are missing, for each way."""
        self._stop.set()
        self._thread.join()
        time.sleep(0.3)
        came = {}
        for _, destination, _ in self._ways:
            if destination not in came:
                came[destination] = self._wires[self._bridge, destination].drain()
        missing = []
        for _, destination, data in self._ways:
            numbers = {int.from_bytes(got[-4:], "big") for got in came[destination] if got[6:12] == data[6:12]}
            missing.append(sorted(set(range(1, self.sent + 1)) - numbers))
        return missing


def ways(destination_of=None):
    return (
        (1, 2, frame(mac(1), destination_of or mac(2))),
        (2, 1, frame(mac(2), destination_of or mac(1))),
    )


def test_an_e_line_grows_to_an_e_lan_and_back_without_losing_a_frame(own):
    ovs, slicer = own
    rates = [{"circuit": [1], "ingress": 10_000, "egress": 10_000}, {"circuit": [2]}]
    slicer.put(DPID, "ns/a", *rates)
    stream = Stream(ovs, *ways())
    for _ in range(4):
        assert slicer.put(DPID, "ns/a", *rates, [3, 30], {"circuit": [3, 31], "egress": 1000})[0] == 200
        time.sleep(0.15)
        assert slicer.put(DPID, "ns/a", *rates, [3, 30])[0] == 200
        time.sleep(0.1)
        assert slicer.put(DPID, "ns/a", *rates)[0] == 200
        time.sleep(0.1)
    assert stream.stop() == [[], []]
    assert not [line for line in ovs.flows("br") if "cookie=0xdc" in line]
    assert "group_id" not in ovs.ofctl("dump-groups", "br")


def test_a_rate_changes_in_place(own):
    ovs, slicer = own
    slicer.put(DPID, "ns/a", {"circuit": [1], "ingress": 1000, "egress": 3000}, [2])
    before = ovs.flows("br")
    stream = Stream(ovs, *ways())
    slicer.put(DPID, "ns/a", {"circuit": [1], "ingress": 5000, "egress": 4000}, [2])
    assert stream.stop() == [[], []]
    assert ovs.flows("br") == before
    assert sorted(re.findall(r"rate=(\d+)", ovs.ofctl("dump-meters", "br"))) == ["4000", "5000"]


@pytest.mark.parametrize("ends", [2, 4])
def test_the_application_is_killed_and_restarted_under_a_stream(own, ends):
    ovs, slicer = own
    slicer.put(DPID, "ns/a", *[[1], [2], {"circuit": [3], "egress": 9000}, [4, 40, 400]][:ends])
    slicer.put(DPID, "other/b", [5, 50], [6, 60])
    if ends > 2:
        for port in (1, 2):
            ovs.wires["br", port].send(frame(mac(port), BROADCAST))
        eventually(lambda: sum("cookie=0xdc" in line for line in ovs.flows("br")) == 4, "both are learned")
        time.sleep(0.2)
    instance = slicer.call("GET", "v2")[1]["instance"]
    stream = Stream(ovs, *ways(), (1, 2, frame(mac(7), BROADCAST)), (1, 2, frame(mac(8), mac(99))))

    def restart():
        slicer.kill()
        time.sleep(0.5)
        slicer.start()
        slicer.connected(DPID)
        told = slicer.slices(DPID)
        assert told["slices"] == {}
        assert sorted(len(each["circuits"]) for each in told["unnamed"]) == sorted([ends, 2])
        time.sleep(1.2)  # audits: nothing is removed that is only not known yet

    assert unchanged(ovs, restart)
    assert slicer.call("POST", f"v2/{DPID}/retain", {"prefix": "ns/", "keys": ["ns/a"]}) == (200, {"removed": 0})
    told = slicer.slices(DPID)
    assert list(told["slices"]) == ["ns/a"]
    assert len(told["unnamed"]) == 1
    assert slicer.call("GET", "v2")[1]["instance"] != instance
    status, answer = slicer.put(DPID, "other/c", [6, 60, 1], [4])
    assert (status, answer["code"], answer["key"], answer["taken"]) == (409, "overlap", None, [6, 60])
    assert slicer.call("POST", f"v2/{DPID}/retain", {"prefix": "other/", "keys": []}) == (200, {"removed": 1})
    assert unchanged(ovs, lambda: slicer.slices(DPID))
    assert stream.stop() == [[], [], [], []]
    assert len([line for line in ovs.flows("br") if "in_port=5" in line or "in_port=6" in line]) == 0


def test_strays_go_and_what_was_deleted_comes_back(own):
    ovs, slicer = own
    slicer.put(DPID, "ns/line", {"circuit": [1], "ingress": 5000}, [2])
    slicer.put(DPID, "ns/lan", [3, 30, 300], {"circuit": [4], "egress": 7000}, [5])
    slicer.call("POST", f"v2/{DPID}/retain", {"prefix": "ns/", "keys": ["ns/line", "ns/lan"]})

    def state():
        meters = sorted(re.findall(r"meter=\d+|rate=\d+", ovs.ofctl("dump-meters", "br")))
        groups = sorted(line for line in ovs.ofctl("dump-groups", "br").splitlines() if "group_id" in line)
        return ovs.flows("br"), meters, groups

    right = state()
    spoil = [
        ("add-flow", "table=0,priority=999,in_port=1,actions=drop"),
        ("add-flow", "table=7,tcp,nw_src=10.0.0.0/8,vlan_tci=0x1000/0x1000,actions=output:3,group:2"),
        ("add-flow", "table=0,priority=100,in_port=1,actions=output:5"),
        ("del-flows", "table=4"),
        ("del-flows",),
        ("del-groups",),
        ("del-meters",),
        ("add-group", "group_id=77,type=indirect,bucket=output:1"),
        ("add-meter", "meter=99,kbps,band=type=drop,rate=5"),
        ("mod-group", "group_id=2,type=all,bucket=output:1"),
        ("add-flow", "cookie=0xdc00000200010000,table=3,priority=200,metadata=0x200000000/0xffffff00000000,"
         "dl_dst=02:00:00:00:00:09,actions=write_metadata:0x1/0xffff,goto_table:4"),
        ("add-flow", "cookie=0xdb12345678901234,table=0,priority=200,in_port=6,dl_vlan=7,actions=output:1"),
    ]  # fmt: skip
    for verb, *words in spoil:
        ovs.ofctl(verb, "br", *words)
        eventually(lambda: state() == right, f"{verb} {words} is repaired", 8)


def test_a_switch_that_comes_back_empty_is_made_right(own):
    ovs, slicer = own
    slicer.put(DPID, "ns/line", {"circuit": [1], "ingress": 5000}, [2])
    right = ovs.flows("br")
    events = slicer.call("GET", "v2")[1]["last-event"]
    ovs.restart_switch()
    slicer.connected(DPID)
    eventually(lambda: ovs.flows("br") == right, "all flows are back")
    ovs.rewire("br")
    told = slicer.call("GET", f"v2/events?after={events}&wait=0")[1]["events"]
    assert [each["event"] for each in told if each["event"] in ("up", "down")] == ["down", "up"]
    ovs.wires["br", 1].send(frame(mac(1), mac(2)))
    ovs.wires["br", 2].get()


def test_what_the_switch_refuses_is_the_callers_reason_and_is_undone(own):
    ovs, slicer = own
    slicer.put(DPID, "ns/a", [1, 10], {"circuit": [2, 20], "egress": 1000})
    before = ovs.flows("br"), ovs.ofctl("dump-meters", "br")
    rows = len([line for line in before[0] if "table=" not in line])
    limit = ["--id=@t", "create", "Flow_Table", f"flow_limit={rows + 2}", "overflow_policy=refuse"]
    ovs.vsctl(*limit, "--", "set", "bridge", "br", "flow_tables:0=@t")
    stream = Stream(ovs, (1, 2, frame(mac(1), mac(2), 10)))
    status, answer = slicer.put(DPID, "ns/b", {"circuit": [3], "ingress": 500}, [4], [5])
    assert (status, answer["code"], answer["error"]) == (422, "refused", "OFPET_FLOW_MOD_FAILED OFPFMFC_TABLE_FULL")
    status, answer = slicer.put(DPID, "ns/a", [1, 10], {"circuit": [2, 20], "egress": 2000}, [3], [4], [5])
    assert (status, answer["code"]) == (422, "refused")
    assert ovs.flows("br") == before[0]
    assert re.findall(r"rate.*", ovs.ofctl("dump-meters", "br")) == re.findall(r"rate.*", before[1])
    assert "group_id" not in ovs.ofctl("dump-groups", "br")
    status, answer = slicer.call(
        "POST", f"v2/{DPID}/slices", {"slices": {"ns/c": slice_of([3], [4]), "ns/d": slice_of([5], [6])}}
    )
    outcome = {key: told and told["code"] for key, told in answer["slices"].items()}
    assert status == 200
    assert sorted(outcome.values(), key=str) == [None, "refused"] or set(outcome.values()) == {"refused"}
    assert set(slicer.slices(DPID)["slices"]) == {"ns/a"} | {key for key, told in outcome.items() if told is None}
    assert stream.stop() == [[]]
    status, answer = slicer.put(DPID, "ns/e", [99], [6])
    assert (status, answer["code"]) == (422, "refused")
    assert "OFPBAC_BAD_OUT_PORT" in answer["error"]


@pytest.mark.parametrize(("spoken", "reason"), [("OpenFlow10", "wire version 0x1"), ("OpenFlow14", "0x5")])
def test_a_switch_that_does_not_speak_openflow_13_is_told_why(own, spoken, reason):
    ovs, slicer = own
    ovs.bridge("old", "00000000000000bb", (1,), slicer.target, protocols=spoken)

    def told():
        answer = slicer.call("GET", "v2")[1]
        known = answer["switches"].get("00000000000000bb", {})
        return [known["reason"]] if known.get("reason") else [each["reason"] for each in answer["refused"]]

    assert reason in eventually(told, "the reason is visible")[0]
    status, _ = slicer.put("00000000000000bb", "ns/a", [1], [2])
    assert status in (404, 503)


def test_a_silent_switch_holds_nobody_up_for_long(own):
    ovs, slicer = own
    ovs.bridge("b2", "00000000000000bb", (1, 2), slicer.target)
    slicer.connected("00000000000000bb")
    slicer.put(DPID, "ns/a", [1], [2])
    ovs.processes[-1].send_signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        answers = []

        def put(tag):
            answers.append(slicer.put(DPID, f"ns/{tag}", [3, tag], [4, tag]))

        callers = [threading.Thread(target=put, args=(tag,)) for tag in (2, 3, 4)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        assert {status for status, _ in answers} <= {503, 504}
        assert time.monotonic() - began < 15
        eventually(lambda: slicer.call("GET", f"v2/{DPID}")[1]["connected"] is False, "the silence is noticed")
        assert slicer.call("GET", f"v2/{DPID}/slices")[0] == 503
    finally:
        ovs.processes[-1].send_signal(signal.SIGCONT)
    slicer.connected(DPID)
    assert slicer.put(DPID, "ns/2", [3, 2], [4, 2])[0] == 200
    assert slicer.put(DPID, "ns/a", [1], [2], [5])[0] == 200


def test_a_disconnect_ends_a_command_at_once(own):
    ovs, slicer = own
    ovs.vsctl("del-controller", "br")
    eventually(lambda: slicer.call("GET", f"v2/{DPID}")[1]["connected"] is False, "the end is noticed", 2)
    assert slicer.put(DPID, "ns/a", [1], [2])[1]["code"] == "not-connected"
    ovs.controller("br", slicer.target)
    slicer.connected(DPID)
    assert slicer.put(DPID, "ns/a", [1], [2])[0] == 200


def test_ports_and_switches_are_told_as_they_come_and_go(own):
    ovs, slicer = own
    last = slicer.call("GET", "v2")[1]["last-event"]
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(slicer.call("GET", f"v2/events?after={last}&wait=20")))
    waiting.start()
    ovs.ofctl("mod-port", "br", "brp3", "down")
    waiting.join()
    (event,) = answers[0][1]["events"]
    assert (event["dpid"], event["event"], event["ofport"]) == (DPID, "port-down", 3)
    assert slicer.call("GET", f"v2/{DPID}")[1]["ports"]["3"] == {"name": "brp3", "up": False}
    ovs.ofctl("mod-port", "br", "brp3", "up")
    eventually(lambda: slicer.call("GET", f"v2/{DPID}")[1]["ports"]["3"]["up"], "the port is up")
    answer = slicer.call("GET", "v2/events?after=100000&wait=0")[1]
    assert answer["resync"] is True


def test_switches_are_independent_and_commands_of_one_are_serialised(own):
    ovs, slicer = own
    dpids = [DPID, "00000000000000b1", "00000000000000b2"]
    for dpid in dpids[1:]:
        ovs.bridge(f"br{dpid[-2:]}", dpid, (1, 2), slicer.target)
        slicer.connected(dpid)
    answers = []

    def work(start):
        for tag in range(start, start + 10):
            for dpid in dpids:
                answers.append(slicer.put(dpid, f"ns/{tag}", {"circuit": [1, tag], "ingress": tag}, [2, tag])[0])
                if tag % 2:
                    answers.append(slicer.delete(dpid, f"ns/{tag}")[0])

    workers = [threading.Thread(target=work, args=(start,)) for start in (1, 101, 201, 301)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert set(answers) == {200, 204}
    for dpid in dpids:
        assert set(slicer.slices(dpid)["slices"]) == {
            f"ns/{t + s}" for s in (1, 101, 201, 301) for t in range(10) if (t + s) % 2 == 0
        }


def test_a_command_whose_caller_has_gone_is_not_begun(own):
    ovs, slicer = own
    slicer.put(DPID, "ns/a", [1], [2])
    ovs.processes[-1].send_signal(signal.SIGSTOP)
    try:
        first = threading.Thread(target=slicer.put, args=(DPID, "ns/b", {"circuit": [3, 1], "ingress": 1000}, [4, 1]))
        first.start()  # holds the switch until its time-out, from when its meter is taken
        eventually(lambda: slicer.call("GET", f"v2/{DPID}")[1]["meters-used"] == 1, "it holds the switch")
        with contextlib.suppress(TimeoutError):
            slicer.call("PUT", f"v2/{DPID}/slices/gone", slice_of([3, 2], [4, 2]), timeout=0.5)
        first.join()
    finally:
        ovs.processes[-1].send_signal(signal.SIGCONT)
    slicer.connected(DPID)
    assert slicer.put(DPID, "ns/c", [3, 3], [4, 3])[0] == 200
    eventually(lambda: set(slicer.slices(DPID)["slices"]) == {"ns/a", "ns/b", "ns/c"}, "what was wanted is there")
    assert "gone" not in slicer.slices(DPID)["slices"]


def test_a_hundred_callers_may_wait_at_once(own):
    _, slicer = own
    last = slicer.call("GET", "v2")[1]["last-event"]
    answers = []
    path = f"v2/events?after={last}&wait=3"
    callers = [threading.Thread(target=lambda: answers.append(slicer.call("GET", path)[0])) for _ in range(100)]
    for caller in callers:
        caller.start()
    assert slicer.put(DPID, "ns/a", [1], [2])[0] == 200
    for caller in callers:
        caller.join()
    assert answers == [200] * 100


def test_a_port_that_is_in_use_is_one_clear_line(own, tmp_path):
    _, slicer = own
    words = [sys.executable, "-m", "dpb_slicer", "--listen-openflow", f"127.0.0.1:{slicer.openflow}"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "Address already in use" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_sigterm_ends_it_while_callers_wait(own):
    _, slicer = own
    last = eventually(lambda: slicer.call("GET", "v2")[1]["last-event"], "the switch's coming is told")
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", slicer.rest, timeout=20)) as waiting:
        waiting.request("GET", f"/slicer/api/v2/events?after={last}&wait=50")
        eventually(lambda: is_read(waiting.sock), "the question is read")
        slicer.process.send_signal(signal.SIGTERM)
        with waiting.getresponse() as answer:
            told = json.loads(answer.read())
    assert (answer.status, told["events"], told["last-event"]) == (200, [], last)
    assert slicer.process.wait(10) == 0


def test_the_first_interface(own):
    ovs, slicer = own
    path = f"v1/config/{DPID}"
    assert slicer.call("GET", path) == (200, [])
    assert slicer.call("GET", "v1/config/00000000000000ff")[0] == 404
    assert slicer.call("POST", path, b"{")[0] == 400
    body = {
        "slices": [
            [
                {"circuit": [6, 60, 600], "ingress-bw": 30.3, "egress-bw": 19.0},
                {"circuit": [3, 30], "egress-bw": 14.2},
                {"circuit": [2]},
            ],
            [{"circuit": [3, 40]}, {"circuit": [4, 40]}],
        ]
    }
    assert slicer.call("POST", path, body) == (200, [[[6, 60, 600], [3, 30], [2]], [[3, 40], [4, 40]]])
    assert sorted(re.findall(r"rate=(\d+)", ovs.ofctl("dump-meters", "br"))) == ["14200", "19000", "30300"]
    # A circuit that is named anew leaves its old set, and so do those that it overlaps.
    assert slicer.call("POST", path, {"slices": [[{"circuit": [4]}, {"circuit": [5]}]]}) == (
        200, [[[6, 60, 600], [3, 30], [2]], [[3, 40]], [[4], [5]]],
    )  # fmt: skip
    assert slicer.call("POST", path, {"disused": [[6, 60], [3, 40]]}) == (200, [[[3, 30], [2]], [[4], [5]]])
    slicer.call("POST", path, {"dhcp": False})
    assert sum("tp_dst=67" in line for line in ovs.flows("br")) == 2
    slicer.call("POST", path, {"dhcp": True, "slices": [[{"circuit": c} for c in ([3, 30], [2], [1])]]})
    assert sum("tp_dst=67" in line for line in ovs.flows("br")) == 0
    slicer.call("POST", path, {"learn": {"mac": "02:00:00:00:00:77", "tuple": [3, 30], "timeout": 30}})
    eventually(lambda: any("02:00:00:00:00:77" in line for line in ovs.flows("br")), "it is believed")
    ovs.wires["br", 2].send(frame(mac(2), mac(0x77)))
    assert tags_of(ovs.wires["br", 3].get())[0] == (30,)
    slicer.kill()
    slicer.start()
    slicer.connected(DPID)
    told = slicer.call("GET", path)[1]
    assert sorted(sorted(each) for each in told) == [[[1], [2], [3, 30]], [[4], [5]]]
    assert slicer.slices(DPID) == {"slices": {}, "unnamed": []}
    assert slicer.put(DPID, "ns/a", [4, 7], [6])[0] == 409
    slicer.put(DPID, "ns/b", [6, 1], [6, 2])
    assert slicer.call("POST", path, {"slices": [[{"circuit": [6]}, {"circuit": [5]}]]})[0] == 409


@pytest.mark.parametrize("taken", [1, 2, 3])
def test_a_set_of_the_first_interface_keeps_the_circuits_that_another_does_not_take(own, taken):
    ovs, slicer = own
    path = f"v1/config/{DPID}"
    slicer.call("POST", path, {"slices": [[[1], [2], [3], [4]]]})
    new, left = [[port] for port in (*range(1, taken + 1), 6)], [[port] for port in range(taken + 1, 5)]
    status, told = slicer.call("POST", path, {"slices": [new]})
    assert (status, sorted(told)) == (200, sorted([new, left]))
    if len(left) > 1:
        ovs.wires["br", 3].send(frame(mac(3), BROADCAST))
        assert ovs.wires["br", 4].get() == frame(mac(3), BROADCAST)
    ovs.wires["br", 1].send(frame(mac(1), BROADCAST))
    assert ovs.wires["br", 6].get() == frame(mac(1), BROADCAST)


def test_switches_by_tls(tmp_path):
    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=tmp_path, check=True, capture_output=True)

    for name in ("ca", "app", "sw"):
        openssl("req", "-x509" if name == "ca" else "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key",
                "-out", f"{name}.pem" if name == "ca" else f"{name}.csr", "-subj", f"/CN={name}")  # fmt: skip
        if name != "ca":
            openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                    "-out", f"{name}.pem", "-days", "2")  # fmt: skip
    files = {name: str(tmp_path / name) for name in ("ca.pem", "app.pem", "app.key", "sw.pem", "sw.key")}
    slicer = Slicer(
        tmp_path / "s", "--ctl-cert", files["app.pem"], "--ctl-privkey", files["app.key"], "--ca-certs", files["ca.pem"]
    )
    ovs = Ovs(tmp_path / "o")
    try:
        ovs.vsctl("set-ssl", files["sw.key"], files["sw.pem"], files["ca.pem"])
        ovs.bridge("br", DPID, (1, 2), f"ssl:127.0.0.1:{slicer.openflow}")
        slicer.connected(DPID)
        assert slicer.put(DPID, "ns/a", [1], [2])[0] == 200
        ovs.bridge("plain", "00000000000000bb", (1, 2), slicer.target)
        status = eventually(lambda: ovs.last_error("plain"), "the plain switch was sent away")
        assert "refused" not in status  # it was listened to
        assert list(slicer.call("GET", "v2")[1]["switches"]) == [DPID]
    finally:
        ovs.stop()
        assert slicer.stop() == 0


def test_two_slices_change_places_in_one_batch(own):
    ovs, slicer = own
    slicer.put(DPID, "ns/a", [1, 1], [2, 1])
    slicer.put(DPID, "ns/b", [1, 2], [2, 2])
    batch = {"ns/a": slice_of([1, 2], [2, 2], [3]), "ns/b": slice_of([1, 1], [2, 1])}
    assert slicer.call("POST", f"v2/{DPID}/slices", {"slices": batch}) == (200, {"slices": dict.fromkeys(batch)})
    for (key, tag), ends in zip((("ns/a", 2), ("ns/b", 1)), (3, 2), strict=True):
        assert len(slicer.slices(DPID)["slices"][key]["circuits"]) == ends
        ovs.wires["br", 1].send(frame(mac(1), BROADCAST, tag))
        assert tags_of(ovs.wires["br", 2].get())[0] == (tag,)
    clash = {"ns/a": slice_of([1, 2], [2, 2]), "ns/c": slice_of([1], [5]), "ns/d": slice_of([4], [6])}
    answer = slicer.call("POST", f"v2/{DPID}/slices", {"slices": clash})[1]
    assert {key: told and told["code"] for key, told in answer["slices"].items()} == {
        "ns/a": None, "ns/c": "overlap", "ns/d": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "v2/nonsense", None, 404, "switch-unknown"),
        ("GET", "v2/00000000000000ff", None, 404, "switch-unknown"),
        ("GET", "v2/{}/slices/none", None, 404, "slice-unknown"),
        ("GET", "v3", None, 404, "not-found"),
        ("PATCH", "v2/{}/slices/none", None, 405, "wrong-method"),
        ("PUT", "v2/{}/slices/a", b"{", 400, "bad-json"),
        ("PUT", "v2/{}/slices/a", b"", 400, "bad-json"),
        ("PUT", "v2/{}/slices/a", b" " * 4_000_001, 413, "too-large"),
        ("PUT", "v2/{}/slices/" + "k" * 513, {"circuits": [{"circuit": [1]}, {"circuit": [2]}]}, 422, "bad-argument"),
        ("PUT", "v2/{}/slices/%00", {"circuits": [{"circuit": [1]}, {"circuit": [2]}]}, 422, "bad-argument"),
        *(
            ("PUT", "v2/{}/slices/a", {"circuits": [{"circuit": c, **more} for c in circuits]}, 422, "bad-argument")
            for circuits, more in [
                ([[1]], {}), ([[1], [1]], {}), ([[1], [1, 2]], {}), ([[0], [1]], {}), ([[1, 0], [2]], {}),
                ([[1, 4095], [2]], {}), ([[1, 1, 1, 1], [2]], {}), ([["1"], [2]], {}), ([[1.0], [2]], {}),
                ([[True], [2]], {}), ([[1], [2]], {"ingress": -1}), ([[1], [2]], {"egress": 2**32}),
                ([[1], [2]], {"rate": 1}), ([[2**32], [2]], {}),
            ]
        ),
        ("POST", "v2/{}/retain", {"prefix": "x"}, 422, "bad-argument"),
        ("POST", "v2/{}/slices", [], 422, "bad-argument"),
    ],
)  # fmt: skip
def test_bad_requests_are_refused(sturdy, method, path, body, status, code):
    got, answer = sturdy.call(method, path.format(DPID), body)
    assert (got, answer["code"], answer["status"]) == (status, code, status)


@pytest.fixture(scope="module")
def sturdy(ovs, slicer):
    ovs.bridge("br", DPID, (1, 2), slicer.target)
    slicer.connected(DPID)
    return slicer


def test_keys_are_one_segment_whatever_is_in_them(sturdy):
    keys = ["a/b/c", "ü €/ß", "per%cent%2F", "a b?c#d&e=f", "..", "/", "//x", "漢" * 170, "+", "slices"]
    for place, key in enumerate(itertools.chain(keys)):
        assert sturdy.put(DPID, key, [1, place + 1], [2, place + 1])[0] == 200, key
    assert set(sturdy.slices(DPID)["slices"]) == set(keys)
    for key in keys:
        assert sturdy.delete(DPID, key)[0] == 204
        assert sturdy.delete(DPID, key)[0] == 204
