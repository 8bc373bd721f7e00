"""Frames through the application and a real Open vSwitch."""

import itertools
import os
import re
import threading
import time

import pytest

from .slicer_lab import BROADCAST, eventually, frame, mac, tags_of

pytestmark = [pytest.mark.dataplane, pytest.mark.xdist_group("slicer_dataplane")]
MARK_IN, MARK_OUT = 7, 8
"""Ports whose frames show that everything sent before has come out."""
_numbers = itertools.count(0x100)


@pytest.fixture
def switch(ovs, slicer):
    """A fresh bridge with six ports and those of the marks, connected."""
    bridge = Bridge(ovs, slicer)
    yield bridge
    ovs.remove(bridge.name)


class Bridge:
    def __init__(self, ovs, slicer):
        number = next(_numbers)
        self.name, self.dpid = f"b{number:x}", f"{number:016x}"
        self.ovs, self.slicer = ovs, slicer
        self._sent = 0
        ovs.bridge(self.name, self.dpid, range(1, 9), slicer.target)
        slicer.connected(self.dpid)
        self.put("marks", [MARK_IN], [MARK_OUT])

    def put(self, key, *circuits, **more):
        status, answer = self.slicer.put(self.dpid, key, *circuits, **more)
        assert status == 200, answer

    def send(self, circuit, data):
        """Send a frame in at a circuit, with the circuit's tags outside its own."""
        tags = b"".join(b"\x81\x00" + tag.to_bytes(2, "big") for tag in circuit[1:])
        self.ovs.wires[self.name, circuit[0]].send(data[:12] + tags + data[12:])
        self._sent += 1

    def wire(self, port):
        return self.ovs.wires[self.name, port]

    def come_out(self):
        """Wait until all that was sent has come out, if it ever does.

        The switch polls its ports in turns, and takes or gives a frame in each at most: when enough marks have passed
        one after the other, there is nothing of earlier turns any more.
        """
        for number in range(2 * self._sent + 2):
            self.wire(MARK_IN).send(frame(mac(number), BROADCAST))
            self.wire(MARK_OUT).get()
        self._sent = 0

    def seen(self, circuits):
        """Which circuits' frames came out, with what follows their tags; whatever else came out, too."""
        self.come_out()
        out = []
        for (name, port), wire in self.ovs.wires.items():
            if name == self.name:
                for data in wire.drain():
                    tags, _ = tags_of(data)
                    circuit = next(
                        (c for c in circuits if c[0] == port and tuple(c[1:]) == tags[: len(c) - 1]), [port, *tags]
                    )
                    out.append((tuple(circuit), tags[len(circuit) - 1 :], data[:12]))
        return sorted(out)

    def learned(self, count):
        """Wait until this many addresses are learned."""
        eventually(
            lambda: sum("cookie=0xdc" in line and "table=3" in line for line in self.ovs.flows(self.name)) == count,
            f"{count} addresses are learned",
        )


def test_an_e_line_carries_frames_both_ways_when_put_has_answered(switch):
    switch.put("ns/one", [1, 30], [2, 40, 400])
    data = frame(mac(1), mac(2), payload=b"there")
    switch.send([1, 30], data)
    tags, rest = tags_of(switch.wire(2).get())
    assert tags == (40, 400)
    assert rest.startswith(b"\x88\xb5there")
    switch.send([2, 40, 400], frame(mac(2), mac(1), payload=b"back"))
    tags, rest = tags_of(switch.wire(1).get())
    assert (tags, rest[2:6]) == ((30,), b"back")


LAN = [[1], [2, 20], [3, 30, 300], [3, 30, 301], [4, 40], [4, 41], {"circuit": [5, 50], "egress": 50_000}]
CIRCUITS = [c["circuit"] if isinstance(c, dict) else c for c in LAN]


def test_a_flood_reaches_every_other_circuit_once_and_never_returns(switch):
    switch.put("ns/lan", *LAN)
    switch.put("ns/other", [1 + 5], [2, 21], [3, 30, 302])
    for place, circuit in enumerate(CIRCUITS):
        switch.send(circuit, frame(mac(place), BROADCAST))
        others = sorted(tuple(other) for other in CIRCUITS if other != circuit)
        assert [(where, inner) for where, inner, _ in switch.seen(CIRCUITS)] == [(other, ()) for other in others]


def test_learned_unicast_goes_to_one_circuit_also_on_the_port_that_it_came_by(switch):
    switch.put("ns/lan", *LAN)
    for place, circuit in enumerate(CIRCUITS):
        switch.send(circuit, frame(mac(place), BROADCAST))
    switch.learned(len(CIRCUITS))
    switch.seen(CIRCUITS)
    for source, target in itertools.permutations(range(len(CIRCUITS)), 2):
        switch.send(CIRCUITS[source], frame(mac(source), mac(target)))
    expected = sorted(
        (tuple(CIRCUITS[target]), (), mac(target) + mac(source))
        for source, target in itertools.permutations(range(len(CIRCUITS)), 2)
    )
    assert switch.seen(CIRCUITS) == expected
    switch.send(CIRCUITS[3], frame(mac(3), mac(3)))  # to itself: nowhere
    assert switch.seen(CIRCUITS) == []


@pytest.mark.parametrize("count", [2, 3])
def test_tags_inside_a_circuit_survive(switch, count):
    circuits = [[1], [2, 60], [3]][:count]
    switch.put("ns/payload", *circuits)
    switch.send([1], frame(mac(1), mac(2), 77))
    assert switch.seen(circuits) == [(tuple(c), (77,), mac(2) + mac(1)) for c in circuits[1:]]
    switch.send([2, 60], frame(mac(2), BROADCAST, 78))
    assert [(c, inner) for c, inner, _ in switch.seen(circuits)] == [
        (tuple(c), (78,)) for c in circuits if c != [2, 60]
    ]


def test_untagged_lldp_goes_nowhere(switch):
    switch.put("ns/a", [1], [2], [3])
    lldp = bytes.fromhex("0180c200000e")
    switch.send([1], frame(mac(1), lldp, ethertype=0x88CC))
    switch.send([1], frame(mac(1), BROADCAST))
    assert [(c, head[:6]) for c, _, head in switch.seen([[1], [2], [3]])] == [((2,), BROADCAST), ((3,), BROADCAST)]


def dhcp(udp_port):
    udp = (68).to_bytes(2, "big") + udp_port.to_bytes(2, "big") + (8).to_bytes(2, "big") + b"\0\0"
    ip = bytes.fromhex("4500001c0000000040110000") + bytes(4) + b"\xff" * 4
    return frame(mac(1), BROADCAST, ethertype=0x0800, payload=ip + udp)


@pytest.mark.parametrize("circuits", [[[1], [2]], [[1], [2], [3, 3]]])
def test_dhcp_is_blocked_where_asked_and_only_there(switch, circuits):
    switch.put("ns/open", *circuits)
    switch.send([1], dhcp(67))
    assert len(switch.seen(circuits)) == len(circuits) - 1
    switch.put("ns/open", *circuits, dhcp=False)
    switch.send([1], dhcp(67))
    switch.send([1], dhcp(53))
    assert len(switch.seen(circuits)) == len(circuits) - 1


@pytest.mark.alone
def test_a_station_that_moves_is_followed_within_100_ms(switch):
    switch.put("ns/lan", [1], [2], [3, 30])
    switch.send([1], frame(mac(1), BROADCAST))
    switch.send([2], frame(mac(2), BROADCAST))
    switch.learned(2)
    for place in ([3, 30], [2], [1], [3, 30]):
        switch.seen([])
        switch.send(place, frame(mac(1), mac(2)))
        time.sleep(0.1)
        switch.seen([])
        sender = [1] if place != [1] else [2]
        switch.send(sender, frame(mac(9), mac(1)))
        assert [c for c, _, _ in switch.seen([[1], [2], [3, 30]])] == [tuple(place)]


def test_group_addresses_as_senders_are_never_learned(switch):
    switch.put("ns/lan", [1], [2], [3])
    switch.send([1], frame(b"\x03\0\0\0\0\1", mac(2)))
    switch.send([1], frame(mac(1), mac(2)))
    switch.learned(1)


def test_an_address_is_forgotten_after_its_silence(ovs, tmp_path):
    from .slicer_lab import Slicer

    slicer = Slicer(tmp_path, "--age", "2")
    try:
        switch = Bridge(ovs, slicer)
        switch.put("ns/lan", [1], [2], [3])
        switch.send([1], frame(mac(1), BROADCAST))
        switch.learned(1)
        switch.learned(0)
        switch.seen([])
        switch.send([2], frame(mac(2), mac(1)))
        assert [c for c, _, _ in switch.seen([[1], [2], [3]])] == [(1,), (3,)]
    finally:
        assert slicer.stop() == 0


def test_many_senders_do_not_keep_the_controller_from_its_work(switch):
    switch.put("ns/lan", [1], [2], [3])
    for number in range(5000):
        switch.send([1], frame(mac(number), BROADCAST))
    switch.put("ns/line", [4], [5])
    switch.send([2], frame(mac(60000), BROADCAST))
    eventually(
        lambda: any("02:00:00:00:ea:60" in line for line in switch.ovs.flows(switch.name)), "others are learned still"
    )
    assert sum("cookie=0xdc" in line for line in switch.ovs.flows(switch.name)) < 2 * 1024 + 10
    for wire in switch.ovs.wires.values():
        wire.drain()


def test_a_rate_of_zero_lets_nothing_pass_that_way(switch):
    switch.put("ns/a", {"circuit": [1], "ingress": 0}, [2])
    switch.put("ns/b", {"circuit": [3], "egress": 0}, [4], [5])
    assert switch.slicer.slices(switch.dpid)["slices"]["ns/a"]["circuits"][0] == {"circuit": [1], "ingress": 0}
    assert {"circuit": [3], "egress": 0} in switch.slicer.slices(switch.dpid)["slices"]["ns/b"]["circuits"]
    for port in (1, 2, 3, 4):
        switch.send([port], frame(mac(port), BROADCAST))
    assert [c for c, _, _ in switch.seen([])] == [(1,), (4,), (5,), (5,)]


class Load:
    """Frames of 1250 octets at a rate, from one circuit to an address, until told to stop.

    `gap` is the longest silence, in seconds. A meter has no memory for a long one, so windows with one do not count.
    """

    def __init__(self, switch, circuit, destination, mbps):
        self._stop = threading.Event()
        self.gap = 0.0
        data = frame(mac(circuit[0]), destination, payload=bytes(1250 - 14 - 4 * (len(circuit) - 1)))

        def run():
            began, sent = time.monotonic(), 0
            last = began
            while not self._stop.is_set():
                now = time.monotonic()
                self.gap = max(self.gap, now - last)
                last = now
                due = int((now - began) * mbps * 100)
                for _ in range(min(due - sent, 200)):
                    switch.send(circuit, data)
                    sent += 1
                time.sleep(0.002)

        self._thread = threading.Thread(target=run)
        self._thread.start()

    def stop(self):
        self._stop.set()
        self._thread.join()


def offered(switch, *ports):
    """How many Mbit have come in by these ports."""
    total = 0
    for port in ports:
        text = switch.ovs.ofctl("dump-flows", switch.name, f"table=0,in_port={port}")
        total += sum(int(octets) for octets in re.findall(r"n_bytes=(\d+)", text))
    return total * 8e-6


def measure(switch, wire, least, loads, *sources, windows=3):
    """Mbit/s that come out: the median of some windows in which at least *least* Mbit/s were really offered, evenly."""
    rates = []
    for _ in range(40):
        for load in loads:
            load.gap = 0.0
        before, octets, began = offered(switch, *sources), wire.octets, time.monotonic()
        time.sleep(1)
        got, took = wire.octets - octets, time.monotonic() - began
        even = all(load.gap < 0.03 for load in loads)  # a meter lets 50 ms of its rate pass at once
        if even and (offered(switch, *sources) - before) / took >= least:
            rates.append(got * 8e-6 / took)
        if len(rates) == windows:
            return sorted(rates)[windows // 2]
    raise AssertionError(f"this machine cannot offer {least} Mbit/s")


# What comes in, and goes out to one, is measured for a service (tests/dataplane/test_rates.py), over this application.
LOADS = [("flooded", 10)]
if os.environ.get("DPB_SOAK") == "1":  # each kind at each rate
    LOADS = list(itertools.product(["ingress", "egress", "flooded", "learned"], [1, 10]))


@pytest.mark.alone
@pytest.mark.parametrize(("kind", "mbps"), LOADS)
def test_rates_hold_within_five_percent_at_twice_the_load(switch, kind, mbps):
    rate = mbps * 1000
    target = mac(2) if kind == "learned" else BROADCAST
    first = {"circuit": [1], "ingress": rate} if kind == "ingress" else [1]
    second = [2] if kind == "ingress" else {"circuit": [2], "egress": rate}
    circuits = [first, second] + ([{"circuit": [3], "egress": 1}, [4]] if kind in ("flooded", "learned") else [])
    switch.put("ns/rate", *circuits)
    if kind == "learned":
        switch.send([2], frame(mac(2), BROADCAST))
        switch.learned(1)
    switch.wire(2).keep = switch.wire(4).keep = switch.wire(3).keep = False
    load = Load(switch, [1], target, mbps * 2)
    try:
        time.sleep(0.5)
        measured = measure(switch, switch.wire(2), 1.6 * mbps, [load], 1)
        if kind == "flooded":  # an unmetered neighbour gets everything
            assert measure(switch, switch.wire(4), 1.6 * mbps, [load], 1, windows=1) > 1.5 * mbps
    finally:
        load.stop()
    assert measured == pytest.approx(mbps, rel=0.05)


@pytest.mark.alone
def test_a_flood_and_unicast_share_one_exit_meter(switch):
    switch.put("ns/rate", [1], {"circuit": [2], "egress": 4000}, [3])
    switch.send([2], frame(mac(2), BROADCAST))
    switch.learned(1)
    switch.wire(2).keep = switch.wire(3).keep = switch.wire(1).keep = False
    loads = [Load(switch, [1], mac(2), 6), Load(switch, [3], BROADCAST, 6)]
    try:
        time.sleep(0.5)
        measured = measure(switch, switch.wire(2), 10, loads, 1, 3)
    finally:
        for load in loads:
            load.stop()
    assert measured == pytest.approx(4, rel=0.06)
