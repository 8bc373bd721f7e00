"""All calls of the emulated API, without the network in between."""

import json

import pytest
from dpb_corsa_emulator.device import Device
from dpb_corsa_emulator.rest import create_app
from dpb_corsa_emulator.tokens import Tokens
from dpb_corsa_emulator.values import Limits
from falcon import testing


class Switch:
    def __init__(self, folder, **limits):
        self.folder, self.limits = folder, Limits(**limits)
        self.tokens = Tokens(folder / "token")
        self.start()

    def start(self):
        self.device = Device(self.limits, self.folder / "state.json")
        self._client = testing.TestClient(create_app(self.device, self.tokens))

    def call(self, method, path="", body=None, headers=None):
        path, _, query = path.partition("?")
        answer = self._client.simulate_request(
            method,
            f"/api/v1/{path}",
            query_string=query,
            body=body if isinstance(body, str) or body is None else json.dumps(body),
            headers={"Authorization": self.tokens.token} if headers is None else headers,
        )
        return answer.status_code, answer.json if answer.content else None

    def ok(self, method, path="", body=None):
        status, answer = self.call(method, path, body)
        assert status in (200, 201, 204), answer
        return answer

    def refused(self, status, method, path="", body=None):
        """A call is refused with one line that is given back, and changes nothing."""
        before = self.device.state
        got, answer = self.call(method, path, body)
        assert got == status, answer
        assert self.device.state == before
        assert set(answer) == {"message"}
        assert "\n" not in answer["message"]
        return answer["message"]


@pytest.fixture
def switch(tmp_path):
    return Switch(tmp_path, ports=8, lags=2, max_ofport=20)


@pytest.fixture
def vfc(switch):
    switch.ok("POST", "bridges", bridge(1))
    return switch


def bridge(number, **more):
    return {"bridge": f"br{number}", "subtype": "openflow", "resources": 1, **more}


def replace(**values):
    return [
        {"op": "replace", "path": "/" + k.replace("__", "/").replace("_", "-"), "value": v} for k, v in values.items()
    ]


def test_the_root_links_to_what_there_is(switch):
    links = switch.ok("GET")["links"]
    assert set(links) == {
        "users", "datapath", "bridges", "stats", "system", "equipment", "containers", "queue-profiles", "netns",
        "ports", "tunnels",
    }  # fmt: skip
    assert links["bridges"]["href"].endswith("/api/v1/bridges")


def test_a_bridge_is_made_read_changed_and_deleted(switch):
    made = bridge(7, resources=10, **{"traffic-class": 2, "netns": "mgmt", "bridge-descr": "dpb partial"}, dpid="0xAB")
    switch.ok("POST", "bridges", made)
    told = switch.ok("GET", "bridges/br7")
    links = told.pop("links")
    assert links["controllers"]["href"].endswith("/api/v1/bridges/br7/controllers")
    assert told == {
        "bridge": "br7",
        "dpid": "00000000000000ab",
        "subtype": "openflow",
        "resources": "10",
        "traffic-class": 2,
        "netns": "mgmt",
        "bridge-descr": "dpb partial",
        "protocols": ["OpenFlow13"],
    }
    assert switch.call("PATCH", "bridges/br7", replace(bridge_descr="dpb complete", resources=20, traffic_class=3,
                                                       netns="other", dpid="0x1")) == (204, None)  # fmt: skip
    told = switch.ok("GET", "bridges?list=true")["list"]
    assert [(b["bridge-descr"], b["resources"], b["traffic-class"], b["netns"], b["dpid"]) for b in told] == [
        ("dpb complete", "20", 3, "other", "0000000000000001")
    ]
    listed = switch.ok("GET", "bridges")
    assert set(listed["links"]) == {"br7"}
    assert "openflow" in listed["supported-subtypes"]
    assert switch.call("DELETE", "bridges/br7") == (204, None)
    assert switch.ok("GET", "bridges?list=true") == {"list": []}


def test_sixty_three_bridges_fit_and_each_has_a_dpid_of_its_own(switch):
    for number in range(1, 64):
        switch.ok("POST", "bridges", bridge(number))
    told = switch.ok("GET", "bridges?list=true")["list"]
    assert [b["bridge"] for b in told] == [f"br{number}" for number in range(1, 64)]
    assert len({b["dpid"] for b in told}) == 63
    for number in (0, 64, 100):
        assert "br1 to br63" in switch.refused(400, "POST", "bridges", bridge(number))


def test_a_name_that_is_taken_is_a_conflict(vfc):
    assert vfc.refused(409, "POST", "bridges", bridge(1, subtype="ls-vpn")) == "bridge br1 is there already"


def test_resources_run_out_and_come_back(vfc):
    vfc.ok("POST", "bridges", bridge(2, resources=99))
    assert vfc.refused(400, "POST", "bridges", bridge(3)) == "resources: 101 percent would be in use"
    vfc.refused(400, "PATCH", "bridges/br1", replace(resources=2))
    vfc.ok("PATCH", "bridges/br2", replace(resources=50))
    vfc.ok("POST", "bridges", bridge(3, resources=49))
    vfc.ok("DELETE", "bridges/br2")
    vfc.ok("POST", "bridges", bridge(4, resources=50))


@pytest.mark.parametrize(
    "wrong",
    [
        {"bridge": 1}, {"bridge": "br01"}, {"bridge": "brx"}, {"subtype": "l9"}, {"resources": "10"}, {"resources": 0},
        {"resources": 101}, {"resources": True}, {"resources": 1.0}, {"traffic-class": 8}, {"netns": ""}, {"netns": 1},
        {"dpid": "0x"}, {"dpid": 1}, {"dpid": "0x0"}, {"dpid": "12345678901234567"}, {"bridge-descr": None},
        {"protocols": ["OpenFlow10"]}, {"links": {}}, {"colour": "red"}, {"bridge-descr": "\ud800"},
    ],
)  # fmt: skip
def test_a_wrong_bridge_is_refused_by_its_field(switch, wrong):
    assert switch.refused(400, "POST", "bridges", bridge(1) | wrong).startswith(next(iter(wrong)))


@pytest.mark.parametrize("missing", ["bridge", "subtype", "resources"])
def test_what_a_bridge_needs(switch, missing):
    body = bridge(1)
    del body[missing]
    assert switch.refused(400, "POST", "bridges", body) == f"{missing}: required"


@pytest.mark.parametrize(
    "patch",
    [
        [], {}, [1], [{}], replace(subtype="ls-vpn"), replace(bridge="br2"), replace(protocols=[]),
        [{"op": "add", "path": "/netns", "value": "x"}], [{"op": "replace", "path": "/netns"}],
        [{"op": "replace", "path": 1, "value": "x"}], replace(netns="x") * 2,
        [*replace(netns="x"), *replace(resources="1")],
    ],
)  # fmt: skip
def test_a_wrong_patch_changes_nothing_at_all(vfc, patch):
    vfc.refused(400, "PATCH", "bridges/br1", patch)


def test_only_namespaces_that_there_are(tmp_path):
    switch = Switch(tmp_path, netns=("default", "mgmt"))
    switch.ok("POST", "bridges", bridge(1, netns="mgmt"))
    assert switch.refused(400, "POST", "bridges", bridge(2, netns="x")) == "netns: no x; there are default, mgmt"


def test_controllers_are_attached_and_detached(vfc):
    vfc.ok("POST", "bridges/br1/controllers", {"controller": "CON1", "ip": "10.1.0.1", "port": 6653, "tls": True})
    vfc.ok("POST", "bridges/br1/controllers", {"controller": "b", "ip": "::1", "port": 1})
    assert set(vfc.ok("GET", "bridges/br1/controllers")["links"]) == {"CON1", "b"}
    assert vfc.ok("GET", "bridges/br1/controllers/CON1") == {
        "controller": "CON1", "ip": "10.1.0.1", "port": 6653, "tls": True, "connected": False,
        "message": "not connected", "role": "nochange",
    }  # fmt: skip
    vfc.refused(409, "POST", "bridges/br1/controllers", {"controller": "b", "ip": "10.1.0.1", "port": 2})
    vfc.ok("DELETE", "bridges/br1/controllers/CON1")
    vfc.refused(404, "DELETE", "bridges/br1/controllers/CON1")
    vfc.refused(404, "GET", "bridges/br1/controllers/CON1")
    assert set(vfc.ok("GET", "bridges/br1/controllers")["links"]) == {"b"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"controller": ""}, {"controller": "a/b"}, {"ip": "example.org"}, {"ip": 1}, {"port": 0}, {"port": "6653"},
        {"port": 65536}, {"tls": 1}, {"connected": True}, {"role": "master"},
    ],
)  # fmt: skip
def test_a_wrong_controller_is_refused_by_its_field(vfc, wrong):
    body = {"controller": "c", "ip": "10.0.0.1", "port": 6653} | wrong
    assert vfc.refused(400, "POST", "bridges/br1/controllers", body).startswith(next(iter(wrong)))


@pytest.mark.parametrize(
    ("tags", "kind", "more"),
    [
        ({}, "passthrough", {}),
        ({"vlan-id": 0}, "untagged", {}),
        ({"vlan-id": 30}, "ctag", {}),
        ({"vlan-id": 30, "inner-vlan-id": 31}, "stag-ctag", {"tpid": "0x88a8"}),
    ],
)
def test_a_tunnel_of_each_type(vfc, tags, kind, more):
    vfc.ok("POST", "bridges/br1/tunnels", {"ofport": 5, "port": "3", "ifdescr": "mine", **tags})
    told = {
        "ofport": 5, "port": "3", "type": kind, "traffic-class": 0, "is-shaped": False, "queue-profile": "default",
        "ifdescr": "mine", "oper-state": "up", "meter": {}, **tags, **more,
    }  # fmt: skip
    assert vfc.ok("GET", "bridges/br1/tunnels/5") == told
    assert vfc.ok("GET", "bridges/br1/tunnels?list=true") == {"list": [told]}
    assert set(vfc.ok("GET", "bridges/br1/tunnels")["links"]) == {"5"}
    assert vfc.call("DELETE", "bridges/br1/tunnels/5") == (204, None)
    vfc.refused(404, "GET", "bridges/br1/tunnels/5")


def test_shaping_is_set_when_attaching_and_metering_by_patch(vfc):
    vfc.ok("POST", "bridges/br1/tunnels", {"ofport": 5, "port": "lag2", "is-shaped": True, "shaped-rate": 2.5})
    vfc.ok("PATCH", "bridges/br1/tunnels/5", replace(meter__cir=1000, meter__cbs=10))
    vfc.ok("PATCH", "bridges/br1/tunnels/5", replace(meter__eir=5, meter__ebs=1, ifdescr="later"))
    told = vfc.ok("GET", "bridges/br1/tunnels/5")
    assert (told["is-shaped"], told["shaped-rate"], told["ifdescr"]) == (True, 2.5, "later")
    assert told["meter"] == {"cir": 1000, "cbs": 10, "eir": 5, "ebs": 1}
    vfc.ok("PATCH", "bridges/br1/tunnels/5", replace(meter__cir=0, meter__cbs=0))
    assert vfc.ok("GET", "bridges/br1/tunnels/5")["meter"]["cir"] == 0
    for wrong in (
        replace(meter__cir=1), replace(meter__cbs=1), replace(meter__cir=1, meter__ebs=1), replace(shaped_rate=3),
        replace(vlan_id=3), replace(meter__cir=-1, meter__cbs=1), replace(meter__cir=1, meter__cbs=0),
        replace(meter__cir="1", meter__cbs=1), replace(ifdescr=1), replace(meter={"cir": 1, "cbs": 1}),
    ):  # fmt: skip
        vfc.refused(400, "PATCH", "bridges/br1/tunnels/5", wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"ofport": 0}, {"ofport": 21}, {"ofport": "1"}, {"port": 3}, {"port": "9"}, {"port": "03"}, {"port": "lag3"},
        {"port": "lag0"}, {"vlan-id": 4095}, {"vlan-id": "3"}, {"inner-vlan-id": 3}, {"traffic-class": 8},
        {"is-shaped": True}, {"is-shaped": 1}, {"meter": {}}, {"type": "ctag"}, {"tpid": "0x8100"},
        {"oper-state": "up"}, {"vlan-range": "1-5"}, {"queue-profile": 1}, {"ifdescr": 1},
    ],
)  # fmt: skip
def test_a_wrong_tunnel_is_refused_by_its_field(vfc, wrong):
    message = vfc.refused(400, "POST", "bridges/br1/tunnels", {"ofport": 1, "port": "3"} | wrong)
    assert message.startswith(next(iter(wrong)))


@pytest.mark.parametrize("rate", [0, -1, "5", True, 1e12])
def test_a_wrong_shaped_rate_is_refused(vfc, rate):
    vfc.refused(400, "POST", "bridges/br1/tunnels", {"ofport": 1, "port": "3", "is-shaped": True, "shaped-rate": rate})


def test_a_shaped_rate_needs_is_shaped(vfc):
    vfc.refused(400, "POST", "bridges/br1/tunnels", {"ofport": 1, "port": "3", "shaped-rate": 1})


KINDS = [{}, {"vlan-id": 0}, {"vlan-id": 3}, {"vlan-id": 3, "inner-vlan-id": 4}, {"vlan-id": 3, "inner-vlan-id": 5}]
TOGETHER = {(1, 2), (1, 3), (1, 4), (3, 4)}


@pytest.mark.parametrize("one", range(5))
@pytest.mark.parametrize("other", range(5))
def test_what_can_be_on_a_port_together_whatever_the_bridge(vfc, one, other):
    vfc.ok("POST", "bridges", bridge(2))
    vfc.ok("POST", "bridges/br1/tunnels", {"ofport": 1, "port": "3", **KINDS[one]})
    body = {"ofport": 1, "port": "3", **KINDS[other]}
    if tuple(sorted((one, other))) in TOGETHER:
        vfc.ok("POST", "bridges/br2/tunnels", body)
    else:
        assert "in use by ofport 1 of br1" in vfc.refused(409, "POST", "bridges/br2/tunnels", body)
    vfc.ok("POST", "bridges/br1/tunnels", {**body, "ofport": 2, "port": "4"})
    vfc.ok("DELETE", "bridges/br1")
    vfc.call("DELETE", "bridges/br2/tunnels/1")
    vfc.ok("POST", "bridges/br2/tunnels", body)


def test_an_ofport_that_is_in_use_is_a_conflict(vfc):
    vfc.ok("POST", "bridges/br1/tunnels", {"ofport": 1, "port": "3"})
    assert vfc.refused(409, "POST", "bridges/br1/tunnels", {"ofport": 1, "port": "4"}) == "ofport 1 of br1 is in use"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "ports"), ("GET", "bridges/br1/nothing"), ("GET", "bridges/br2"), ("PATCH", "bridges/br2"),
        ("DELETE", "bridges/br2"), ("GET", "bridges/br2/controllers"), ("POST", "bridges/br2/controllers"),
        ("GET", "bridges/br1/controllers/x"), ("GET", "bridges/br2/tunnels"), ("POST", "bridges/br2/tunnels"),
        ("GET", "bridges/br1/tunnels/1"), ("PATCH", "bridges/br1/tunnels/1"), ("DELETE", "bridges/br1/tunnels/1"),
        ("GET", "bridges/br1/tunnels/x"), ("GET", "bridges/br1/tunnels/01"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_404(vfc, method, path):
    vfc.refused(404, method, path, [] if method == "PATCH" else {})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", ""), ("PUT", "bridges"), ("PATCH", "bridges"), ("PUT", "bridges/br1"), ("POST", "bridges/br1"),
        ("PATCH", "bridges/br1/controllers/x"), ("PUT", "bridges/br1/tunnels/1"), ("DELETE", "bridges/br1/tunnels"),
    ],
)  # fmt: skip
def test_what_a_resource_does_not_know_is_405(vfc, method, path):
    vfc.refused(405, method, path, {})


@pytest.mark.parametrize("body", ["", "{", "nonsense", "[" * 100_000])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "bridges"), ("PATCH", "bridges/br1"), ("POST", "bridges/br1/controllers"),
        ("POST", "bridges/br1/tunnels"), ("PATCH", "bridges/br1/tunnels/1"),
    ],
)  # fmt: skip
def test_what_is_no_json_is_400(vfc, method, path, body):
    vfc.ok("POST", "bridges/br1/tunnels", {"ofport": 1, "port": "3"})
    assert vfc.refused(400, method, path, body).startswith("the body is not JSON")


def test_nobody_without_the_token(switch):
    for headers, message in (
        ({}, "the header Authorization is missing"),
        ({"Authorization": "wrong"}, "the token is not known"),
        ({"Authorization": f"Bearer {switch.tokens.token}"}, "the token is not known"),
    ):
        for path in ("", "bridges", "nothing"):
            assert switch.call("GET", path, headers=headers) == (401, {"message": message})
    switch.tokens.expired = True
    assert switch.call("GET") == (401, {"message": "the token has expired"})


def test_a_token_may_be_broken_over_lines_and_a_new_one_counts_at_once(switch):
    (switch.folder / "token").write_text("abc\ndef\n")
    assert switch.call("GET", headers={"Authorization": "abcdef"})[0] == 200


def test_a_restart_finds_what_was_there(vfc):
    vfc.ok("POST", "bridges/br1/controllers", {"controller": "c", "ip": "10.0.0.1", "port": 6653})
    vfc.ok("POST", "bridges/br1/tunnels", {"ofport": 1, "port": "3", "vlan-id": 0, "is-shaped": True, "shaped-rate": 3})
    vfc.ok("PATCH", "bridges/br1/tunnels/1", replace(meter__cir=7, meter__cbs=1))
    before = vfc.device.state
    vfc.start()
    assert vfc.device.state == before
    assert vfc.ok("GET", "bridges/br1/tunnels/1")["meter"] == {"cir": 7, "cbs": 1}
