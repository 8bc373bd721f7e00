"""The connector against a real broker: the life of a service as RO drives it, and what goes wrong in between."""

from __future__ import annotations

import json
import time
from importlib.metadata import entry_points

import pytest
from dpb_osm import DpbConnector
from dpb_osm.base import ConnectorError

MAPPING = [
    {"service_endpoint_id": f"vim-{name}", "service_mapping_info": {"terminal": name, "bandwidth": 20}}
    for name in ("ams", "lon", "par")
]
CONFIG = {"wim_port_mapping": MAPPING, "timeout": 10, "patience": 5}


def connect(url, **config):
    wim = {"wim_url": url, "user": None, "password": None, "name": "wan"}
    return DpbConnector(wim, wim, {**CONFIG, **config})


@pytest.fixture
def connector(world):
    return connect(world.url)


def point(name, vlan=None):
    return {
        "service_endpoint_id": f"vim-{name}",
        "service_endpoint_encapsulation_type": "dot1q",
        "service_endpoint_encapsulation_info": {"vlan": vlan, "mac": "00:00:00:00:00:01"},
    }


def refused(code, call, *args, **named):
    with pytest.raises(ConnectorError) as caught:
        call(*args, **named)
    assert caught.value.http_code == code, caught.value
    assert "\n" not in str(caught.value)
    return str(caught.value)


def eventually(condition, what):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def test_ro_finds_it_by_its_entry_point():
    (found,) = (point for point in entry_points(group="osm_rosdn.plugins") if point.name == "rosdn_dpb")
    assert found.load() is DpbConnector


def test_the_life_of_a_service(world, connector):
    connector.check_credentials()
    uuid, info = connector.create_connectivity_service("ELAN", [point("ams", 10), point("lon"), point("par", "30")])
    assert json.loads(json.dumps(info)) == info
    status = connector.get_connectivity_service_status(uuid, info)
    assert (status["sdn_status"], status["wim_status"]) == ("ACTIVE", "ACTIVE")
    (made,) = world.rest("GET", "wan/services")["services"]
    assert {(end["terminal"], end["ingress"], end["egress"]) for end in made["segment"]} == {
        (name, 20, 20) for name in ("ams", "lon", "par")
    }
    assert [found["service_uuid"] for found in connector.get_all_active_connectivity_services()] == [uuid]
    chosen = [end["label"] for end in info["ends"]]
    assert chosen[0] == 10
    assert chosen[2] == 30

    info = connector.edit_connectivity_service(
        uuid, info, [point("ams", 10), point("lon"), point("par", 30), point("par", 31)]
    )
    assert [end["label"] for end in info["ends"]] == [*chosen, 31]
    info = connector.edit_connectivity_service(uuid, info, [point("ams", 10), point("lon")])
    assert [end["label"] for end in info["ends"]] == chosen[:2]
    assert connector.get_connectivity_service_status(uuid, info)["sdn_status"] == "ACTIVE"
    (made,) = world.rest("GET", "wan/services")["services"]
    assert {(end["terminal"], end["label"]) for end in made["segment"]} == {("ams", 10), ("lon", chosen[1])}

    connector.delete_connectivity_service(uuid, info)
    assert world.nothing_left()
    refused(404, connector.get_connectivity_service_status, uuid, info)
    refused(404, connector.delete_connectivity_service, uuid, info)
    refused(404, connector.edit_connectivity_service, uuid, info, [point("ams"), point("lon")])


def test_conn_info_is_a_short_cut_and_no_more(world, connector):
    """An id that means another service by now is noticed; without any, the uuid is enough."""
    one, info = connector.create_connectivity_service("ELINE", [point("ams"), point("lon")])
    other, its = connector.create_connectivity_service("ELINE", [point("ams"), point("par")])
    assert connector.get_connectivity_service_status(one)["sdn_info"]["id"] == info["service_id"]
    assert connector.get_connectivity_service_status(one, its)["sdn_info"]["id"] == info["service_id"]
    connector.delete_connectivity_service(one, its)
    assert connector.get_connectivity_service_status(other, its)["sdn_status"] == "ACTIVE"
    connector.clear_all_connectivity_services()
    assert world.nothing_left()


def test_conn_info_that_is_none_of_ours_is_refused(connector):
    for call in (
        connector.get_connectivity_service_status,
        connector.edit_connectivity_service,
        connector.delete_connectivity_service,
    ):
        assert refused(400, call, "some-uuid", ["x"]).startswith("conn_info: ")
        assert refused(400, call, "some-uuid", "7").startswith("conn_info: ")


def test_only_services_of_this_interface_are_cleared(world, connector):
    kept = world.rest("POST", "wan/services", {"handle": "mine"})
    connector.create_connectivity_service("ELINE", [point("ams"), point("lon")])
    connector.clear_all_connectivity_services()
    assert [s["id"] for s in world.rest("GET", "wan/services")["services"]] == [kept["id"]]


@pytest.mark.parametrize("text", [False, True])
def test_release_5_drives_the_same_class(world, text):
    connector = DpbConnector(
        {"wim_url": f"{world.url}/network/wan".replace("http", "HTTP")},
        {"user": "u", "passwd": "p", "config": "" if text else {}},
        json.dumps(CONFIG) if text else CONFIG,
    )
    points = [
        {**point("ams"), "service_endpoint_id": "ams"},
        {**point("lon"), "service_endpoint_id": "lon"},
    ]
    uuid, info = connector.create_connectivity_service("ELINE", points, bandwidth=7)
    (made,) = world.rest("GET", "wan/services")["services"]
    assert {end["ingress"] for end in made["segment"]} == {7}
    assert connector.get_connectivity_service_status(uuid)["wim_status"] == "ACTIVE"
    connector.delete_connectivity_service(uuid, info)
    assert world.nothing_left()


@pytest.mark.parametrize(
    ("points", "config", "code", "why"),
    [
        ([point("ams"), point("rome")], {}, 422, "vim-rome"),
        ([point("ams", 10), point("ams", 10)], {}, 422, "there twice"),
        ([point("ams"), point("lon")], {"wim_port_mapping": [], "bandwidth": 5}, 422, "vim-ams"),
        ([point("ams"), point("lon", 5000)], {}, 409, "5000"),
        ([point("ams", 99), point("lon")], {}, 409, "taken by service"),
    ],
)
def test_a_create_that_is_refused_says_why_and_leaves_nothing(world, points, config, code, why):
    first = connect(world.url)
    taken, info = first.create_connectivity_service("ELINE", [point("ams", 99), point("par", 99)])
    with pytest.raises(ConnectorError) as caught:
        connect(world.url, **config).create_connectivity_service("ELAN", points)
    assert why in str(caught.value)
    assert caught.value.http_code in (code, 422)
    first.delete_connectivity_service(taken, info)
    assert world.nothing_left()


def test_no_capacity_is_a_conflict_and_leaves_nothing(world, connector):
    world.rest("PATCH", "wan/trunks/ams-lon", {"upstream": 10})
    world.rest("PATCH", "wan/trunks/par-ams", {"downstream": 10})
    why = refused(409, connector.create_connectivity_service, "ELINE", [point("ams"), point("lon")])
    assert "ams" in why
    world.rest("PATCH", "wan/trunks/ams-lon", {"upstream": 100})
    world.rest("PATCH", "wan/trunks/par-ams", {"downstream": 100})
    assert world.nothing_left()


def test_a_fault_after_the_service_was_made_leaves_nothing_either(world, connector):
    """What RO hands over is read once more for what it keeps, and need not be what it was."""
    points = [point("ams"), point("lon")]

    class Named(str):
        def __str__(self):
            if world.rest("GET", "wan/services")["services"]:
                raise RuntimeError("not now")
            return "vim-par"

    points[1]["service_endpoint_id"] = Named("vim-par")
    with pytest.raises(RuntimeError):
        connector.create_connectivity_service("ELINE", points)
    assert world.nothing_left()


def test_an_edit_that_is_refused_leaves_the_service_as_it_is(world, connector):
    uuid, info = connector.create_connectivity_service("ELINE", [point("ams", 10), point("lon", 10)])
    for trunk in ("lon-par", "par-ams"):
        world.rest("PATCH", f"wan/trunks/{trunk}", {"commissioned": False})
    refused(409, connector.edit_connectivity_service, uuid, info, [point("ams", 10), point("lon", 10), point("par")])
    (made,) = world.rest("GET", "wan/services")["services"]
    assert (made["status"], made["change"], len(made["segment"])) == ("ACTIVE", "none", 2)
    connector.delete_connectivity_service(uuid, info)
    assert world.nothing_left()


def test_an_edit_that_a_device_refuses_after_all_is_undone(world, connector):
    uuid, info = connector.create_connectivity_service("ELAN", [point("ams"), point("par")])
    (before,) = world.rest("GET", "wan/services")["services"]
    world.device("lon").fault(refuse="no meters left", on="ensure", count=None)
    three = [point("ams"), point("par"), point("lon")]
    assert "no meters left" in refused(409, connector.edit_connectivity_service, uuid, info, three)
    assert world.rest("GET", "wan/services")["services"] == [before]
    world.device("lon").script.clear()
    info = connector.edit_connectivity_service(uuid, info, three)
    connector.delete_connectivity_service(uuid, info)
    assert world.nothing_left()


def test_an_edit_that_cannot_be_undone_says_so(world, connector, monkeypatch):
    restore = connector._restore

    def impatient(network, service):
        monkeypatch.setattr(connector, "_account", connector._account._replace(timeout=0.1))
        restore(network, service)

    monkeypatch.setattr(connector, "_restore", impatient)
    uuid, info = connector.create_connectivity_service("ELAN", [point("ams"), point("par")])
    world.device("lon").fault(refuse="no meters left", count=None)
    why = refused(409, connector.edit_connectivity_service, uuid, info, [point("ams"), point("par"), point("lon")])
    assert "no meters left" in why
    assert "could not be put back" in why
    eventually(lambda: connector.get_connectivity_service_status(uuid)["sdn_status"] == "DOWN", "it is not DOWN")
    (left,) = world.rest("GET", "wan/services")["services"]
    assert left["desired"] == "ACTIVE"


@pytest.mark.parametrize("aborted", [False, True])
def test_a_change_that_was_left_behind_gives_way(world, connector, aborted):
    """As when RO ends between prepare and commit."""
    uuid, info = connector.create_connectivity_service("ELAN", [point("ams"), point("par")])
    (made,) = world.rest("GET", "wan/services")["services"]
    more = {"terminal": "lon", "label": 77, "ingress": 20, "egress": 20}
    world.rest("POST", f"wan/services/{made['id']}/prepare", {"segment": [*made["segment"], more]})
    if aborted:
        world.rest("POST", f"wan/services/{made['id']}/abort")
    else:
        world.stop()
        world.start()
    info = connector.edit_connectivity_service(uuid, info, [point("ams"), point("par"), point("lon", 78)])
    (now,) = world.rest("GET", "wan/services")["services"]
    assert (now["status"], now["change"]) == ("ACTIVE", "none")
    assert [end["label"] for end in now["segment"] if end["terminal"] == "lon"] == [78]
    connector.delete_connectivity_service(uuid, info)
    assert world.nothing_left()


def test_a_lost_answer_doubles_nothing(world, wire):
    """Each request of a life loses its answer once."""
    connector = connect(wire.url)
    wire.lost = 1
    connector.check_credentials()
    wire.lost = 1
    uuid, info = connector.create_connectivity_service("ELAN", [point("ams"), point("lon"), point("par")])
    assert len(world.rest("GET", "wan/services")["services"]) == 1
    wire.lost = 1
    info = connector.edit_connectivity_service(uuid, info, [point("ams"), point("lon")])
    wire.lost = 1
    connector.delete_connectivity_service(uuid, info)
    assert world.nothing_left()


@pytest.mark.parametrize("after", [0, 1])
def test_a_broker_that_goes_away_in_a_create_keeps_nothing_when_it_is_back(world, wire, after):
    """The request arrives and its answer does not, then nothing gets through for longer than the connector waits."""
    connector = connect(wire.url, patience=0.3, network="wan")

    talk = wire._talk

    def cutting(client):
        if len(wire.requests) == after and not wire.cut:
            wire.lost = 1
            talk(client)
            wire.cut = True
        else:
            talk(client)

    wire._talk = cutting
    refused(503, connector.create_connectivity_service, "ELINE", [point("ams"), point("lon")])
    assert not world.nothing_left()
    wire.cut, wire._talk = False, talk
    eventually(world.nothing_left, "what an interrupted create left behind was not taken back")


def test_a_create_that_takes_effect_late_is_taken_back(world, wire):
    """That nothing was found says nothing while the request may still be under way."""
    connector = connect(wire.url, timeout=0.5, patience=0.1, network="wan")
    wire.open.clear()
    refused(503, connector.create_connectivity_service, "ELINE", [point("ams"), point("lon")])
    eventually(lambda: len(wire.requests) > 3, "it is not looked for any more")
    assert world.nothing_left()
    wire.open.set()
    eventually(lambda: wire.orders, "the request did not arrive")
    eventually(world.nothing_left, "what a late request made was not taken back")


def test_a_broker_that_restarts_meanwhile_is_waited_for(world):
    connector = connect(world.url)
    uuid, info = connector.create_connectivity_service("ELINE", [point("ams"), point("lon")])
    world.stop()
    refused(503, connect(world.url, patience=0.2).get_connectivity_service_status, uuid, info)
    world.start()
    assert connector.get_connectivity_service_status(uuid, info)["sdn_status"] == "ACTIVE"
    connector.delete_connectivity_service(uuid, info)
    assert world.nothing_left()


def test_what_is_no_broker_is_told(world):
    assert "does not answer" in refused(503, connect("http://127.0.0.1:1", patience=0.1).check_credentials)
    assert "no network 'moon'" in refused(404, connect(world.url, network="moon").check_credentials)
