"""The port slicer: the same switch, and the same interfaces, with bare ports where the tuple slicer has circuits."""

import itertools

import pytest

from .slicer_lab import BROADCAST, Slicer, eventually, frame, mac

pytestmark = [pytest.mark.dataplane, pytest.mark.xdist_group("slicer_dataplane")]
_numbers = itertools.count(0x900)


@pytest.fixture(scope="module")
def port_slicer(tmp_path_factory):
    slicer = Slicer(tmp_path_factory.mktemp("ports"), "--application", "port-slicer", "--full-audit", "1")
    yield slicer
    assert slicer.stop() == 0


class Switch:
    def __init__(self, ovs, slicer):
        number = next(_numbers)
        self.name, self.dpid, self.ovs, self.slicer = f"b{number:x}", f"{number:016x}", ovs, slicer
        ovs.bridge(self.name, self.dpid, range(1, 7), slicer.target)
        slicer.connected(self.dpid)

    def post(self, **body):
        status, answer = self.slicer.call("POST", f"v1/config/{self.dpid}", body)
        assert status == 200, answer
        return sorted(sorted(ports) for ports in answer)

    def put(self, key, **body):
        return self.slicer.call("PUT", f"v2/{self.dpid}/slices/{key}", body)

    def reached(self, port, data):
        """The ports that a frame comes out of, when no other could come after it."""
        self.ovs.wires[self.name, port].send(data)
        last = frame(mac(99), BROADCAST, payload=b"last")
        self.ovs.wires[self.name, port].send(last)
        out = []
        for other in range(1, 7):
            wire = self.ovs.wires[self.name, other]
            got = eventually_last(wire, last) if other in self.floods_to(port) else wire.drain()
            out += [other for each in got if each == data]
        return out

    def floods_to(self, port):
        _, sets = self.slicer.call("GET", f"v1/config/{self.dpid}")
        found = self.slicer.slices(self.dpid)["slices"]
        joined = [*sets, *(slice_["ports"] for slice_ in found.values())]
        return {other for ports in joined if port in ports for other in ports} - {port}


def eventually_last(wire, last):
    got = []
    while not got or got[-1] != last:
        got.append(wire.get())
    return got


@pytest.fixture
def switch(ovs, port_slicer):
    switch = Switch(ovs, port_slicer)
    yield switch
    ovs.remove(switch.name)


def test_it_says_what_it_is(port_slicer):
    status, told = port_slicer.call("GET", "v2")
    assert (status, told["application"]) == (200, "port-slicer")


def test_sets_of_ports_as_the_first_interface_has_them(switch):
    assert switch.post(slices=[[1, 2, 3], [4, 5]], disused=[6]) == [[1, 2, 3], [4, 5]]
    assert switch.reached(1, frame(mac(1), BROADCAST, 7)) == [2, 3]
    assert switch.reached(4, frame(mac(4), mac(5))) == [5]
    assert switch.post(slices=[[3, 6]]) == [[1, 2], [3, 6], [4, 5]]  # who is named anew leaves his old set
    assert switch.reached(1, frame(mac(1), BROADCAST)) == [2]
    assert switch.post(disused=[4]) == [[1, 2], [3, 6], [5]]
    assert switch.reached(5, frame(mac(5), BROADCAST)) == []
    status, answer = switch.slicer.call("GET", f"v1/config/{switch.dpid}")
    assert (status, sorted(sorted(ports) for ports in answer)) == (200, [[1, 2], [3, 6], [5]])


def test_a_learning_switch_above_two_ports_static_rules_for_two(switch):
    switch.post(slices=[[1, 2, 3], [4, 5]])
    switch.reached(2, frame(mac(2), BROADCAST))
    eventually(lambda: any("cookie=0xdc" in line for line in switch.ovs.flows(switch.name)), "a sender is learned")
    assert switch.reached(1, frame(mac(1), mac(2))) == [2]
    assert "CONTROLLER" not in "".join(
        line for line in switch.ovs.ofctl("dump-flows", switch.name, "in_port=4").splitlines() if "in_port=4" in line
    )


def test_an_address_can_be_learned_by_hand(switch):
    switch.post(slices=[[1, 2, 3]], learn={"mac": "02:00:00:00:00:07", "tuple": 3, "timeout": 60})
    eventually(lambda: any("02:00:00:00:00:07" in line for line in switch.ovs.flows(switch.name)), "it is learned")
    assert switch.reached(1, frame(mac(1), mac(7))) == [3]


def test_dhcp_is_blocked_where_asked(switch):
    udp = bytes.fromhex("0044004300080000")
    dhcp = frame(
        mac(1), BROADCAST, ethertype=0x0800, payload=bytes.fromhex("4500001c00000000401100007f0000017f000001") + udp
    )
    switch.post(slices=[[1, 2, 3]])
    assert switch.reached(1, dhcp) == [2, 3]
    switch.post(dhcp=False)
    assert switch.reached(1, dhcp) == []


def test_slices_by_key_of_bare_ports(switch):
    assert switch.put("a", ports=[1, 2, 3]) == (200, {"ports": [1, 2, 3], "dhcp": True})
    assert switch.put("b", ports=[5, 4], dhcp=False)[0] == 200
    assert switch.slicer.slices(switch.dpid)["slices"] == {
        "a": {"ports": [1, 2, 3], "dhcp": True},
        "b": {"ports": [5, 4], "dhcp": False},
    }
    assert switch.slicer.call("GET", f"v2/{switch.dpid}/slices/b") == (200, {"ports": [5, 4], "dhcp": False})
    assert switch.reached(1, frame(mac(1), BROADCAST)) == [2, 3]
    status, answer = switch.put("c", ports=[3, 6])
    assert (status, answer["code"], answer["key"], answer["circuit"]) == (409, "overlap", "a", [3])
    batch = {"slices": {"a": {"ports": [1, 2]}, "c": {"ports": [3, 6]}, "d": {"circuits": []}}}
    status, answer = switch.slicer.call("POST", f"v2/{switch.dpid}/slices", batch)
    assert (status, answer["slices"]["a"], answer["slices"]["c"]) == (200, None, None)
    assert answer["slices"]["d"]["code"] == "bad-argument"
    assert switch.slicer.call("POST", f"v2/{switch.dpid}/retain", {"prefix": "", "keys": ["c"]})[0] == 200
    assert set(switch.slicer.slices(switch.dpid)["slices"]) == {"c"}


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"ports": [1]}, "$.ports"), ({"ports": [1, 1]}, "$.ports"), ({"ports": [1, [2]]}, "$.ports[1]"),
        ({"ports": [1, 0]}, "$.ports[1]"), ({"ports": [1, "2"]}, "$.ports[1]"), ({"ports": {}}, "$.ports"),
        ({"ports": [1, 2], "dhcp": 1}, "$.dhcp"), ({"circuits": [[1], [2]]}, "$.circuits"),
    ],
)  # fmt: skip
def test_a_wrong_slice_is_told_by_its_field(switch, wrong, field):
    status, answer = switch.put("a", **wrong)
    assert (status, answer["code"], answer["field"]) == (422, "bad-argument", field)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"slices": [[1, [2]]]}, "$.slices[0][1]"), ({"slices": [[{"circuit": [1]}]]}, "$.slices[0][0]"),
        ({"slices": [[1, 1]]}, "$.slices[0]"), ({"disused": [[6]]}, "$.disused[0]"),
    ],
)  # fmt: skip
def test_a_wrong_set_is_told_by_its_field(switch, wrong, field):
    status, answer = switch.slicer.call("POST", f"v1/config/{switch.dpid}", wrong)
    assert (status, answer["code"], answer["field"]) == (422, "bad-argument", field)


def test_a_restart_finds_its_slices_and_touches_nothing(ovs, tmp_path):
    slicer = Slicer(tmp_path, "--application", "port-slicer")
    switch = None
    try:
        switch = Switch(ovs, slicer)
        switch.put("a", ports=[1, 2, 3])
        switch.post(slices=[[4, 5]])
        before = ovs.flows(switch.name)
        slicer.kill()
        slicer.start()
        slicer.connected(switch.dpid)
        assert slicer.call("POST", f"v2/{switch.dpid}/retain", {"prefix": "", "keys": ["a"]})[0] == 200
        assert slicer.slices(switch.dpid)["slices"] == {"a": {"ports": [1, 2, 3], "dhcp": True}}
        assert slicer.call("GET", f"v1/config/{switch.dpid}") == (200, [[4, 5]])
        assert ovs.flows(switch.name) == before
    finally:
        slicer.stop()
        if switch is not None:
            ovs.remove(switch.name)


def test_what_a_tuple_slicer_left_is_told_as_it_is(ovs, tmp_path):
    tuples = Slicer(tmp_path / "t")
    switch = Switch(ovs, tuples)
    try:
        assert tuples.put(switch.dpid, "a", [1, 30], [2])[0] == 200
        tuples.stop()
        ports = Slicer(tmp_path / "p", "--application", "port-slicer", openflow=tuples.openflow)
        try:
            ports.connected(switch.dpid)
            unnamed = ports.slices(switch.dpid)["unnamed"]
            assert [slice_["ports"] for slice_ in unnamed] == [[[1, 30], 2]]
        finally:
            ports.stop()
    finally:
        tuples.stop()
        ovs.remove(switch.name)
