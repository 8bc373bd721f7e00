"""RFC 8466 over RESTCONF as the stock clients of OSM and TeraFlow send it, over the real kernel and a real store."""

from __future__ import annotations

import asyncio
import base64
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from dpb_nbi.access import Access
from dpb_nbi.l2vpn.locks import Locks

from dpb_framework.broker import Broker
from dpb_framework.config import parse
from dpb_framework.contracts import Batch, Item
from dpb_framework.emulated import device
from dpb_framework.model import Caller

from .conftest import Client

ROOT = "/restconf/data/ietf-l2vpn-svc:l2vpn-svc"
V1 = "/api/v1/networks"
SITES = ("ams", "lon", "par")


class World:
    """A broker of three switches whose store outlives it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.access = False
        self.start()
        for name in SITES:
            for place, terminal in (("1", "access"), ("2", "east"), ("3", "west")):
                assert self.put(f"{V1}/{name}/terminals/{terminal}", {"place": place}).status == 200
            assert self.put(f"{V1}/wan/terminals/{name}", {"place": f"{name}:access"}).status == 200
        for a, b in (("ams", "lon"), ("lon", "par"), ("par", "ams")):
            trunk = {"start": f"{a}:east", "end": f"{b}:west", "upstream": 100, "delay": 5}
            assert self.put(f"{V1}/wan/trunks/{a}-{b}", trunk).status == 200

    def start(self) -> None:
        switches = [
            {"name": n, "kind": "switch", "fabric": "emulated", "fabric-settings": {"device": f"{self.folder}-{n}"}}
            for n in SITES
        ]
        top = {"name": "wan", "kind": "aggregator", "inferiors": list(SITES)}
        store = {"kind": "sql", "url": f"sqlite:///{self.folder}/dpb.sqlite"}
        nbi = {"kind": "rest", "port": 0, "access": self.access}
        self.broker = Broker(parse({"store": store, "nbi": [nbi], "network": [*switches, top]}, self.folder))
        self.broker.start()
        self.client = Client(self.broker.nbis[0][1].address)

    def stop(self) -> None:
        self.client.close()
        self.broker.stop()

    def refuse(self, switch):
        """Let the switch's device refuse whatever it is asked to make."""
        device(f"{self.folder}-{switch}").fault(refuse="no meters left", on="ensure", count=None)

    def relent(self, switch):
        """Let it refuse nothing any more."""
        device(f"{self.folder}-{switch}").script.clear()

    def get(self, path, **headers):
        return self.client("GET", path, **headers)

    def post(self, path, body):
        return self.client("POST", path, body)

    def put(self, path, body):
        return self.client("PUT", path, body)

    def delete(self, path):
        return self.client("DELETE", path)

    def services(self):
        return self.client.get(f"{V1}/wan/services").json["services"]

    def nothing_left(self) -> bool:
        trunks = self.client.get(f"{V1}/wan/trunks").json["trunks"]
        return not self.services() and all(
            (t["upstream-left"], t["downstream-left"], t["labels-left"]) == (100, 100, 4094) for t in trunks
        )


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.stop()


def vpn(id_, kind="vpls"):
    asked = {"vpn-id": id_, "vpn-svc-type": kind, "svc-topo": "any-to-any", "customer-name": "osm"}
    return {"ietf-l2vpn-svc:vpn-service": [asked]}


def access(id_, vpn_id, terminal, vlan, service=None):
    """As recorded, with a bandwidth if given."""
    made = {
        "network-access-id": id_,
        "connection": {
            "encapsulation-type": "dot1q-vlan-tagged",
            "tagged-interface": {"dot1q-vlan-tagged": {"cvlan-id": vlan}},
        },
        "vpn-attachment": {"vpn-id": vpn_id, "site-role": "any-to-any-role"},
        "bearer": {"bearer-reference": terminal},
    }
    if service is not None:
        made["service"] = service
    return {"ietf-l2vpn-svc:site-network-access": [made]}


def at(site):
    return f"{ROOT}/sites/site={site}/site-network-accesses/"


def test_the_sequence_as_recorded(world):
    headers = {"Authorization": "Basic " + base64.b64encode(b"osm:secret").decode()}
    assert world.get(f"{ROOT}/vpn-services", **headers).status == 200
    assert world.post(f"{ROOT}/vpn-services", vpn("v1")).status == 201
    assert world.post(f"{ROOT}/vpn-services", vpn("v1")).status == 409
    one = f"{ROOT}/vpn-services/vpn-service=v1/"
    assert world.get(one).status == 504
    rates = {"svc-input-bandwidth": 20_000_000, "svc-output-bandwidth": "5000001"}
    assert world.post(at("site1"), access("a", "v1", "ams", 10, rates)).status == 201
    assert world.get(one).status == 504
    assert not world.services()
    assert world.post(at("site2"), access("b", "v1", "lon", 10)).status == 201
    answer = world.get(one)
    assert answer.status == 200
    assert answer.json["ietf-l2vpn-svc:vpn-service"][0]["vpn-id"] == "v1"
    (service,) = world.services()
    assert service["status"] == "ACTIVE"
    # RFC 8466 looks from the site: its input is what leaves the network there; bit/s are rounded up to kbit/s.
    assert {"terminal": "ams", "label": 10, "ingress": 5.001, "egress": 20} in service["segment"]
    assert {"terminal": "lon", "label": 10, "ingress": 10, "egress": 10} in service["segment"]

    assert world.post(at("site3"), access("c", "v1", "par", 30)).status == 201
    assert [s["id"] for s in world.services()] == [service["id"]]
    assert len(world.services()[0]["segment"]) == 3
    listed = world.get(f"{ROOT}/sites/site=site3/site-network-accesses").json
    assert [a["network-access-id"] for a in listed["ietf-l2vpn-svc:site-network-accesses"]["site-network-access"]] == [
        "c"
    ]

    assert world.put(at("site3"), access("c", "v1", "par", 31)).status == 204
    assert {end["label"] for end in world.services()[0]["segment"]} == {10, 31}
    assert world.delete(one).status == 204
    assert world.delete(one).status == 404
    assert world.get(one).status == 404
    assert world.nothing_left()


def test_rates_in_the_list_form_and_labels_that_are_left_open(world):
    world.post(f"{ROOT}/vpn-services", vpn("v", "vpws"))
    listed = {
        "svc-bandwidth": {
            "bandwidth": [
                {"direction": "ietf-l2vpn-svc:input-bw", "type": "bw-per-access", "cir": "7000000", "cbs": 1},
                {"direction": "output-bw", "type": "bw-per-access", "cir": 3000000, "cbs": 1},
            ]
        }
    }
    wish = access("a", "v", "ams", 10, listed)
    wish["ietf-l2vpn-svc:site-network-access"][0]["connection"] = {}
    assert world.post(at("s"), wish).status == 201
    assert world.post(at("s"), access("b", "v", "lon", 20)).status == 201
    (service,) = world.services()
    (end,) = [end for end in service["segment"] if end["terminal"] == "ams"]
    assert (end["ingress"], end["egress"]) == (3, 7)
    assert 1 <= end["label"] <= 4094
    third = world.post(at("s"), access("c", "v", "par", 30))
    assert (third.status, third.json["code"]) == (409, "vpn-full")


@pytest.mark.parametrize(
    ("kind", "third"),
    [("vpws", 409), ("vpws-evpn", 409), ("pwe3", 409), ("vpls", 201), ("bgp-vpls", 201), ("ldp-l2tp-vpls", 201)],
)
def test_each_type_is_e_line_or_e_lan_and_told_as_it_was_sent(world, kind, third):
    assert world.post(f"{ROOT}/vpn-services", vpn("v", f"ietf-l2vpn-svc:{kind}")).status == 201
    for name in ("ams", "lon"):
        assert world.post(at("s"), access(name, "v", name, 10)).status == 201
    assert world.post(at("s"), access("par", "v", "par", 10)).status == third
    listed = world.get(f"{ROOT}/vpn-services").json["ietf-l2vpn-svc:vpn-services"]["vpn-service"]
    assert [one["vpn-svc-type"] for one in listed] == [kind]


def bearers(world, site):
    listed = world.get(at(site)).json["ietf-l2vpn-svc:site-network-accesses"]["site-network-access"]
    return [one["bearer"]["bearer-reference"] for one in listed]


def test_a_bearer_that_is_no_name_tells_the_place_of_a_terminal(world):
    """TeraFlow's bearers are always `device:endpoint`."""
    world.post(f"{ROOT}/vpn-services", vpn("v", "vpws"))
    refused = world.post(at("1"), access("a", "v", "ams:nowhere", 10))
    assert (refused.status, refused.json["code"]) == (400, "site-unknown")
    assert "'ams:nowhere'" in refused.json["detail"]
    free = access("a", "v", "ams:access", 10)
    free["ietf-l2vpn-svc:site-network-access"][0]["connection"] = {}
    assert world.post(at("1"), free).status == 201
    world.stop()
    world.start()
    assert world.post(at("2"), access("b", "v", "lon:access", 10)).status == 201
    assert {end["terminal"] for end in world.services()[0]["segment"]} == {"ams", "lon"}
    assert (bearers(world, "1"), bearers(world, "2")) == (["ams:access"], ["lon:access"])
    before = world.services()[0]["segment"]
    free["ietf-l2vpn-svc:site-network-access"][0]["bearer"] = {"bearer-reference": "ams"}
    assert world.put(at("1"), free).status == 204
    assert world.services()[0]["segment"] == before  # the same terminal: its label stays
    assert bearers(world, "1") == ["ams"]


def test_in_a_switch_a_place_is_an_interface(world):
    root = f"/network/ams{ROOT}"
    world.post(f"{root}/vpn-services", vpn("v", "vpws"))
    sites = f"{root}/sites/site=s/site-network-accesses/"
    assert world.post(sites, access("a", "v", "1", 10)).status == 201
    assert world.post(sites, access("b", "v", "4", 10)).status == 400
    assert world.post(sites, access("b", "v", "2", 10)).status == 201
    (service,) = world.client.get(f"{V1}/ams/services").json["services"]
    assert {end["terminal"] for end in service["segment"]} == {"access", "east"}


def test_an_edit_keeps_the_rates_that_it_does_not_name_and_may_move_an_access(world):
    """The stock client's edit puts access i at the site of its connection point i, and never sends `service`."""
    world.post(f"{ROOT}/vpn-services", vpn("v"))
    rates = {"svc-input-bandwidth": 50_000_000, "svc-output-bandwidth": 40_000_000}
    assert world.post(at("s"), access("a", "v", "ams", 10, rates)).status == 201
    assert world.post(at("t"), access("b", "v", "lon", 10)).status == 201

    def rates_of(terminal):
        (end,) = [end for end in world.services()[0]["segment"] if end["terminal"] == terminal]
        return end["ingress"], end["egress"]

    assert world.put(at("u"), access("a", "v", "par", 11)).status == 204
    assert rates_of("par") == (40, 50)
    assert (bearers(world, "s"), bearers(world, "u")) == ([], ["par"])
    assert world.put(at("u"), access("a", "v", "par", 11, {"svc-mtu": 1500})).status == 204
    assert rates_of("par") == (40, 50)
    assert world.put(at("u"), access("a", "v", "par", 11, {"svc-input-bandwidth": 7_000_000})).status == 204
    assert rates_of("par") == (7, 7)


def test_what_is_refused_changes_nothing(world):
    world.post(f"{ROOT}/vpn-services", vpn("v"))
    for code, site, wish in (
        (404, "s", access("a", "nobody", "ams", 10)),
        (400, "s", access("a", "v", "moon", 10)),
        (422, "s", access("a", "v", "ams", 4095)),
        (422, "s", access("a", "v", "ams", 10, {"svc-input-bandwidth": -1})),
        (422, "s", {"ietf-l2vpn-svc:site-network-access": [{}]}),
        (422, "s", {}),
    ):
        answer = world.post(at(site), wish)
        assert answer.status == code, (wish, answer.body)
        assert answer.json["ietf-restconf:errors"]["error"][0]["error-message"]
    for name, wish in (
        ("topo", {"svc-topo": "hub-spoke"}),
        ("type", {"vpn-svc-type": "pseudo"}),
        ("vpn-id", {"vpn-id": 3}),
    ):
        body = vpn("w")
        body["ietf-l2vpn-svc:vpn-service"][0].update(wish)
        answer = world.post(f"{ROOT}/vpn-services", body)
        assert answer.status == 422, name
        assert name in answer.json["field"]
    assert world.put(at("s"), access("a", "v", "ams", 10)).status == 400
    assert world.put(at("s"), access("a", "nobody", "ams", 10)).status == 400
    big = {"svc-input-bandwidth": 900_000_000, "svc-output-bandwidth": 900_000_000}
    assert world.post(at("s"), access("a", "v", "ams", 10, big)).status == 201
    full = world.post(at("s"), access("b", "v", "lon", 10, big))
    assert (full.status, full.json["code"]) == (409, "no-capacity")
    assert world.nothing_left()
    assert world.post(at("s"), access("a", "v", "lon", 10)).status == 409
    assert world.post(at("s"), access("b", "v", "lon", 10)).status == 201
    third = world.post(at("s"), access("c", "v", "par", 10, big))
    assert (third.status, third.json["code"]) == (409, "no-capacity")
    assert [len(s["segment"]) for s in world.services()] == [2]
    assert world.delete(f"{ROOT}/vpn-services/vpn-service=v").status == 204
    assert world.nothing_left()


def test_what_a_device_refuses_at_once_is_refused(world):
    """Else the client would hold an access for good whose VPN is never active."""
    world.post(f"{ROOT}/vpn-services", vpn("v"))
    assert world.post(at("s"), access("a", "v", "ams", 10)).status == 201
    world.refuse("lon")
    refused = world.post(at("s"), access("b", "v", "lon", 10))
    assert (refused.status, refused.json["code"]) == (409, "inferior-failed")
    assert "no meters left" in refused.json["detail"]
    assert world.nothing_left()
    assert bearers(world, "s") == ["ams"]


def test_a_service_that_worked_and_is_dormant_stays_so_when_a_device_refuses(world):
    world.post(f"{ROOT}/vpn-services", vpn("v"))
    for name in ("ams", "lon"):
        assert world.post(at("s"), access(name, "v", name, 10)).status == 201
    (service,) = world.services()
    assert world.post(f"{V1}/wan/services/{service['id']}/reset", {}).status == 200
    assert world.get(f"{V1}/wan/services/{service['id']}/await?status=DORMANT").json["status"] == "DORMANT"
    world.refuse("lon")
    assert world.put(at("s"), access("lon", "v", "lon", 11)).status == 409
    assert [(s["id"], s["status"]) for s in world.services()] == [(service["id"], "DORMANT")]
    world.relent("lon")
    assert world.put(at("s"), access("lon", "v", "lon", 11)).status == 204
    assert [(s["id"], s["status"]) for s in world.services()] == [(service["id"], "ACTIVE")]


def test_a_service_of_another_under_a_vpns_handle_is_left_alone(world):
    wan = world.broker.network("wan")
    one = wan.create(Caller("mia"), "l2vpn-own").result()
    refused = world.post(f"{ROOT}/vpn-services", vpn("own"))
    assert (refused.status, refused.json["code"]) == (409, "handle-taken")
    assert world.delete(f"{ROOT}/vpn-services/vpn-service=own").status == 404
    assert world.post(f"{ROOT}/vpn-services", vpn("late")).status == 201
    assert world.post(at("s"), access("a", "late", "ams", 10)).status == 201
    two = wan.create(Caller("mia"), "l2vpn-late").result()
    refused = world.post(at("s"), access("b", "late", "lon", 10))
    assert (refused.status, refused.json["code"]) == (409, "handle-taken")
    assert world.get(f"{ROOT}/vpn-services/vpn-service=late/").status == 504
    assert world.delete(f"{ROOT}/vpn-services/vpn-service=late").status == 204
    assert [service["id"] for service in world.services()] == [one.id, two.id]


def test_a_service_that_was_released_behind_its_vpns_back_is_told_and_made_anew(world):
    world.post(f"{ROOT}/vpn-services", vpn("v"))
    one = f"{ROOT}/vpn-services/vpn-service=v/"
    assert world.post(at("s"), access("ams", "v", "ams", 10)).status == 201
    assert "two accesses, and has 1" in world.get(one).json["detail"]
    assert world.post(at("s"), access("lon", "v", "lon", 10)).status == 201
    path = f"{V1}/wan/services/{world.services()[0]['id']}"
    assert world.delete(path).status == 200
    assert world.get(f"{path}/await?status=RELEASED").json["status"] == "RELEASED"
    answer = world.get(one)
    assert (answer.status, "was released" in answer.json["detail"]) == (504, True)
    assert world.put(at("s"), access("lon", "v", "lon", 10)).status == 204
    assert world.get(one).status == 200


@pytest.mark.parametrize("id_", ["a/b", "a?b", "a#b", "a%2fb", "a\nb"])
def test_ids_that_no_path_can_hold_are_refused(world, id_):
    """The stock clients write them into paths as they are."""
    world.post(f"{ROOT}/vpn-services", vpn("v"))
    whole = document(("w", ("ams", 1, None)))
    whole["ietf-l2vpn-svc:l2vpn-svc"]["sites"]["site"][0]["site-id"] = id_
    for path, body, field in (
        (f"{ROOT}/vpn-services", vpn(id_), "vpn-service[0].vpn-id"),
        (at("s"), access(id_, "v", "ams", 10), "site-network-access[0].network-access-id"),
        (ROOT, whole, "l2vpn-svc.sites.site[0].site-id"),
    ):
        answer = world.post(path, body)
        assert (answer.status, answer.json["field"]) == (422, field)
    assert len(world.get(f"{ROOT}/vpn-services").json["ietf-l2vpn-svc:vpn-services"]["vpn-service"]) == 1


def test_a_vpn_that_worked_keeps_what_fails_later(world):
    world.post(f"{ROOT}/vpn-services", vpn("v"))
    for name in ("ams", "lon"):
        assert world.post(at("s"), access(name, "v", name, 10)).status == 201
    (service,) = world.services()
    path = f"{V1}/wan/services/{service['id']}"
    assert world.post(f"{path}/deactivate", {}).status == 200
    assert world.get(f"{path}/await?status=INACTIVE").json["status"] == "INACTIVE"
    world.refuse("lon")
    assert world.post(f"{path}/activate", {}).status == 200
    assert world.get(f"{path}/await?status=FAILED").json["status"] == "FAILED"
    assert world.get(f"{ROOT}/vpn-services/vpn-service=v/").status == 504
    assert world.put(at("s"), access("lon", "v", "lon", 10)).status == 204
    assert [s["id"] for s in world.services()] == [service["id"]]


def document(*vpns):
    names = [name for name, *_ in vpns]
    services = [vpn(name)["ietf-l2vpn-svc:vpn-service"][0] for name in names]
    sites = []
    for name, *ends in vpns:
        for i, (terminal, vlan, service) in enumerate(ends):
            wish = access(f"{name}-{i}", name, terminal, vlan, service)
            accesses = {"site-network-access": wish["ietf-l2vpn-svc:site-network-access"]}
            sites.append({"site-id": f"site-{terminal}", "site-network-accesses": accesses})
    return {"ietf-l2vpn-svc:l2vpn-svc": {"vpn-services": {"vpn-service": services}, "sites": {"site": sites}}}


@pytest.mark.parametrize("path", [ROOT, f"{ROOT}/vpn-services", f"/network/wan{ROOT}/"])
def test_a_whole_document_is_made_or_nothing_of_it(world, path):
    big = {"svc-input-bandwidth": 900_000_000}
    refused = world.post(
        path, document(("x", ("ams", 1, None), ("lon", 1, None)), ("y", ("ams", 2, big), ("par", 2, big)))
    )
    assert refused.status == 409
    assert world.nothing_left()
    assert world.get(f"{ROOT}/vpn-services").json["ietf-l2vpn-svc:vpn-services"]["vpn-service"] == []
    made = world.post(
        path, document(("x", ("ams", 1, None), ("lon", 1, None)), ("y", ("ams", 2, None), ("par", 2, None)))
    )
    assert made.status == 201, made.body
    assert [s["status"] for s in world.services()] == ["ACTIVE", "ACTIVE"]
    assert world.delete(f"{ROOT}/vpn-services").status == 204
    assert world.nothing_left()


def test_an_access_that_is_taken_away_shrinks_the_service(world):
    world.post(f"{ROOT}/vpn-services", vpn("v"))
    for name, terminal in (("a", "ams"), ("b", "lon"), ("c", "par")):
        assert world.post(at("s"), access(name, "v", terminal, 10)).status == 201
    assert world.delete(f"{at('s')}site-network-access=b").status == 204
    assert {end["terminal"] for end in world.services()[0]["segment"]} == {"ams", "par"}
    assert world.delete(f"{at('s')}site-network-access=b").status == 404
    assert world.delete(f"{at('s')}site-network-access=a/").status == 204
    assert world.nothing_left()
    assert world.post(at("s"), access("a", "v", "ams", 11)).status == 201
    assert {end["label"] for end in world.services()[0]["segment"]} == {10, 11}


def test_a_vpn_that_is_being_built_outlives_the_broker(world):
    world.post(f"{ROOT}/vpn-services", vpn("v"))
    world.post(at("s"), access("a", "v", "ams", 10))
    world.stop()
    world.start()
    assert world.post(f"{ROOT}/vpn-services", vpn("v")).status == 409
    assert world.post(at("s"), access("a", "v", "ams", 10)).status == 409
    assert world.post(at("s"), access("b", "v", "lon", 10)).status == 201
    world.stop()
    world.start()
    assert world.put(f"{at('s')}site-network-access=b/", access("b", "v", "lon", 12)).status == 204
    assert {end["label"] for end in world.services()[0]["segment"]} == {10, 12}
    assert world.delete(f"{ROOT}/vpn-services/vpn-service=v/").status == 204
    assert world.nothing_left()


def test_requests_for_one_vpn_come_one_after_the_other(world):
    steps = [
        ("POST", f"{ROOT}/vpn-services", vpn("v")),
        ("POST", at("s"), access("a", "v", "ams", 10)),
        ("POST", at("s"), access("b", "v", "lon", 10)),
        ("DELETE", f"{ROOT}/vpn-services/vpn-service=v", None),
    ]

    def ask(first):
        client = Client(world.broker.nbis[0][1].address)
        try:
            answers = [client(*steps[(first + n) % 4]) for n in range(24)]
        finally:
            client.close()
        return {(a.status, a.json["code"] if a.status >= 400 else "") for a in answers}

    with ThreadPoolExecutor(8) as pool:
        told = set().union(*pool.map(ask, range(8)))
    assert told <= {(201, ""), (204, ""), (404, "vpn-unknown"), (409, "vpn-exists"), (409, "access-exists")}
    assert world.delete(f"{ROOT}/vpn-services/vpn-service=v").status in (204, 404)
    assert world.nothing_left()


def test_a_lock_is_there_while_somebody_wants_it():
    locks, order = Locks(), []

    async def work(name, may_end):
        async with locks.hold("v"):
            order.append(f"{name} begins")
            await may_end.wait()
            order.append(f"{name} ends")

    async def run():
        ends = [asyncio.Event() for _ in range(3)]
        first, second = (asyncio.ensure_future(work(n, ends[n])) for n in (0, 1))
        await asyncio.sleep(0)
        ends[0].set()
        await first
        third = asyncio.ensure_future(work(2, ends[2]))  # comes while the second goes on with the first's lock
        ends[2].set()
        await asyncio.sleep(0)
        ends[1].set()
        await asyncio.gather(second, third)

    asyncio.run(run())
    assert order == [f"{n} {what}" for n in range(3) for what in ("begins", "ends")]
    assert not locks._locks


def test_a_vpn_that_was_kept_before_there_were_bearers_is_read(world):
    world.post(f"{ROOT}/vpn-services", vpn("v"))
    world.post(at("s"), access("a", "v", "ams", 10))
    store = world.broker.store
    item = store.items("l2vpn/wan")["v"]
    del item.value["accesses"][0]["bearer"]
    store.submit(Batch(puts=[Item("l2vpn/wan", "v", item.value, item.version + 1)])).result(10)
    world.stop()
    world.start()
    assert world.post(at("s"), access("b", "v", "lon", 10)).status == 201


def test_the_client_of_release_5_writes_some_names_in_other_ways(world):
    asked = {"vpn-id": "v", "vpn-scv-type": "vpws", "svc-topo": "any-to-any", "customer-name": "osm"}
    assert world.post(f"{ROOT}/vpn-services", {"vpn-service": [asked]}).status == 201
    for site in ("ams", "lon"):  # it names no bearer: the site is the terminal
        wish = access(f"a-{site}", "v", site, 10)["ietf-l2vpn-svc:site-network-access"][0]
        del wish["bearer"]
        assert world.post(at(site), {"site-network-access": [wish]}).status == 201
    assert world.get(f"{ROOT}/vpn-services/vpn-service=v/").status == 200


def test_who_may_do_what(world):
    """By the default path, too: the network that is meant is the one whose role counts; a VPN has an owner."""
    world.stop()
    world.access = True
    world.start()
    access = Access.enter(world.broker)
    credentials = {}
    try:
        for name, role in (("ann", "control"), ("bob", "control"), ("eve", "read"), ("mia", "manage"), ("joe", "")):
            roles = [f"{role}@wan"] if role else []
            access.change(lambda registry, n=name, r=roles: registry.set_user(n, r, f"pw-{n}-long-enough")).result(10)
            credentials[name] = "Basic " + base64.b64encode(f"{name}:pw-{name}-long-enough".encode()).decode()

        def ask(who, method, path, body=None):
            return world.client(method, path, body, Authorization=credentials[who]).status

        services = f"{ROOT}/vpn-services"
        assert world.get(services).status == 401
        assert [ask(who, "GET", services) for who in ("ann", "eve", "joe")] == [200, 200, 404]
        assert [ask(who, "POST", services, vpn("v")) for who in ("eve", "joe", "ann")] == [403, 404, 201]
        assert ask("bob", "POST", at("s"), access_of("a", "ams")) == 403
        assert ask("ann", "POST", at("s"), access_of("a", "ams")) == 201
        assert ask("mia", "POST", at("s"), access_of("b", "lon")) == 201
        assert [ask(who, "DELETE", f"{services}/vpn-service=v") for who in ("eve", "bob", "ann")] == [403, 403, 204]
        assert ask("ann", "POST", services, vpn("w")) == 201
        assert ask("bob", "DELETE", services) == 204
        assert ask("ann", "DELETE", f"{services}/vpn-service=w") == 204
        # Access ids are of a site: two owners may both have an "a" at "s", and each removes the own one.
        for who, id_, terminal in (("bob", "first", "ams"), ("ann", "second", "lon")):
            assert ask(who, "POST", services, vpn(id_)) == 201
            assert ask(who, "POST", at("s"), access_of("a", terminal, id_)) == 201
        removed = f"{at('s')}site-network-access=a"
        assert [ask("ann", "DELETE", removed), ask("ann", "DELETE", removed)] == [204, 403]
        assert ask("bob", "DELETE", removed) == 204
    finally:
        access.leave()


def access_of(id_, terminal, vpn_id="v"):
    return access(id_, vpn_id, terminal, 10)
