"""What RO gives, and what becomes of it: accounts, port mappings, connection points, statuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from dpb_osm import points
from dpb_osm.account import Account, EndPoint, read_account
from dpb_osm.base import ConnectorError
from dpb_osm.status import STATUSES, explain, told

URL = {"wim_url": "http://broker:4753"}


def refused(code: int, call, *args, **named) -> str:
    with pytest.raises(ConnectorError) as caught:
        call(*args, **named)
    assert caught.value.http_code == code
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_current_interface_gives_the_record_twice():
    wim = {**URL, "user": "osm", "password": "secret", "config": {"network": "wan"}}
    account = read_account(wim, wim, {"timeout": 5})
    assert account[:4] == ("http://broker:4753", "wan", "osm", "secret")
    assert (account.timeout, account.verify) == (5.0, True)


def test_release_5_gives_an_account_with_a_configuration_of_its_own():
    account = read_account(URL, {"user": "osm", "passwd": "secret", "config": {"network": "lan"}}, {"network": "wan"})
    assert account[:4] == ("http://broker:4753", "wan", "osm", "secret")


@pytest.mark.parametrize("empty", [None, "", " \n", "null"])
def test_a_configuration_may_be_text_as_in_the_database_or_empty(empty):
    pytest.importorskip("yaml")  # RO has it
    account = read_account({**URL, "config": "network: wan\ntimeout: 5\n"}, {"config": empty}, '{"bandwidth": 7}')
    assert (account.network, account.timeout, account.ingress) == ("wan", 5.0, 7.0)


@pytest.mark.parametrize("url", ["http://broker/network/wan", "http://broker/network/wan/"])
def test_the_network_may_stand_in_the_url_as_the_first_broker_had_it(url):
    assert read_account({"wim_url": url}, None, None)[:2] == ("http://broker", "wan")


@pytest.mark.parametrize("name", ["wim_port_mapping", "service_endpoint_mapping"])
def test_the_port_mapping_gives_terminals_and_rates(name):
    mapping = [
        {"service_endpoint_id": "a", "service_mapping_info": {"terminal": "A", "ingress": 5, "egress": "7.5"}},
        {"service_endpoint_id": "b", "service_mapping_info": {"bandwidth": 3}},
        {"wan_service_endpoint_id": "c", "wan_service_mapping_info": json.dumps({"bandwidth": 4})},
        {"service_endpoint_id": "d"},
    ]
    found = read_account(URL, URL, {name: mapping}).end_points
    assert found == {
        "a": EndPoint("A", 5.0, 7.5),
        "b": EndPoint("b", 3.0, 3.0),
        "c": EndPoint("c", 4.0, 4.0),
        "d": EndPoint("d"),
    }


def test_an_entry_without_a_name_is_passed_over():
    """It may be another connector's, or a row of release 5 that has none."""
    mapping = [
        {"device_id": "d", "switch_dpid": "1", "switch_port": 2, "service_mapping_info": {"bandwidth": "much"}},
        {"wan_service_endpoint_id": None, "wan_service_mapping_info": None},
        {},
        {"service_endpoint_id": "a"},
    ]
    assert read_account(URL, URL, {"wim_port_mapping": mapping}).end_points == {"a": EndPoint("a")}


def test_a_mapping_may_be_grouped_by_datacentre_as_release_5_has_it():
    mapping = [
        {"datacenter_name": "site1", "pop_wan_mappings": [{"service_endpoint_id": "a"}, {"service_endpoint_id": "b"}]},
        {"datacenter_name": "site2", "pop_wan_mappings": None},
        {"service_endpoint_id": "c"},
    ]
    assert sorted(read_account(URL, URL, {"wim_port_mapping": mapping}).end_points) == ["a", "b", "c"]


def test_the_readmes_mapping_is_as_ro_and_lcm_read_it():
    yaml = pytest.importorskip("yaml")
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    mapping = yaml.safe_load(readme.partition("```yaml\n")[2].partition("```")[0])
    assert all(entry["datacenter_id"] for entry in mapping)
    assert read_account(URL, URL, {"wim_port_mapping": mapping}).end_points == {
        "site1-uplink": EndPoint("site1-opst", 50.0, 400.0),
        "site2-uplink": EndPoint("site2-opst", 20.0, 20.0),
    }


@pytest.mark.parametrize(
    ("wim", "config", "named"),
    [
        ({}, {}, "wim_url"),
        ({"wim_url": "broker:4753"}, {}, "wim_url"),
        (URL, {"wim_port_mapping": "a"}, "wim_port_mapping"),
        (URL, {"wim_port_mapping": ["a"]}, "wim_port_mapping[0]"),
        (URL, {"wim_port_mapping": [{"pop_wan_mappings": "a"}]}, "wim_port_mapping[0].pop_wan_mappings"),
        (URL, {"wim_port_mapping": [{"pop_wan_mappings": [7]}]}, "wim_port_mapping[0].pop_wan_mappings[0]"),
        (
            URL,
            {"wim_port_mapping": [{"service_endpoint_id": "a", "service_mapping_info": {"bandwidth": "much"}}]},
            "wim_port_mapping[0].service_mapping_info.bandwidth",
        ),
        (URL, {"bandwidth": -1}, "config.bandwidth"),
        (URL, {"ingress": float("nan")}, "config.ingress"),
        (URL, {"timeout": 0}, "config.timeout"),
        (URL, {"timeout": "1_0"}, "config.timeout"),
        (URL, {"patience": True}, "config.patience"),
        (URL, {"bandwidth": " 12 "}, "config.bandwidth"),
        (URL, {"bandwidth": "inf"}, "config.bandwidth"),
        (URL, ["network"], "config"),
        (URL, "network", "config"),
        (URL, "{network", "config"),
    ],
)
def test_what_is_wrong_with_a_configuration_is_named(wim, config, named):
    assert refused(400, read_account, wim, wim, config).startswith(named)


def point(name, vlan=None, kind="dot1q"):
    info = {"vlan": vlan}
    return {
        "service_endpoint_id": name,
        "service_endpoint_encapsulation_type": kind,
        "service_endpoint_encapsulation_info": info,
    }


MAPPED = Account("http://b", end_points={"a": EndPoint("A", 5.0, 6.0)}, egress=9.0)


def test_a_rate_comes_from_the_mapping_then_the_caller_then_the_configuration_then_the_default():
    made = points.segment(MAPPED, "ELAN", [point("a", 1), point("b", "2"), point("c")], None)
    assert made == [
        {"terminal": "A", "label": 1, "ingress": 5.0, "egress": 6.0},
        {"terminal": "b", "label": 2, "ingress": 10.0, "egress": 9.0},
        {"terminal": "c", "label": None, "ingress": 10.0, "egress": 9.0},
    ]
    made = points.segment(MAPPED, "ELINE", [point("a"), point("b")], 2)
    assert [(end["ingress"], end["egress"]) for end in made] == [(5.0, 6.0), (2.0, 2.0)]


def test_an_edit_asks_again_for_the_labels_that_the_broker_chose():
    before = [
        {"service_endpoint_id": "a", "terminal": "A", "label": 7},
        {"service_endpoint_id": "a", "terminal": "A", "label": 8},
        {"service_endpoint_id": "b", "terminal": "b", "label": 9},
    ]
    made = points.segment(MAPPED, "ELAN", [point("a"), point("a", 7), point("b"), point("c")], None, before)
    assert [end["label"] for end in made] == [8, 7, 9, None]


def test_what_the_broker_chose_is_kept_for_each_point():
    wanted = points.segment(MAPPED, "ELAN", [point("a"), point("a", 7), point("b")], None)
    found = [{"terminal": "A", "label": 7}, {"terminal": "A", "label": 3}, {"terminal": "b", "label": 4}]
    kept = points.ends([point("a"), point("a", 7), point("b")], wanted, found)
    assert [(end["service_endpoint_id"], end["label"]) for end in kept] == [("a", 3), ("a", 7), ("b", 4)]


@pytest.mark.parametrize(
    ("kind", "given", "named"),
    [
        ("ELINE", [point("a")], "connection_points: ELINE joins exactly two"),
        ("ELINE", [point("a"), point("b"), point("c")], "connection_points: ELINE joins exactly two"),
        ("ELAN", [point("a")], "connection_points: ELAN joins at least two"),
        ("ELAN", None, "connection_points"),
        ("ELAN", [point("a"), {}], "connection_points[1].service_endpoint_id"),
        (
            "ELAN",
            [point("a"), {**point("b"), "service_endpoint_encapsulation_info": "vlan"}],
            "connection_points[1].service_endpoint_encapsulation_info",
        ),
        ("ELAN", [point("a"), point("b", "x")], "connection_points[1].service_endpoint_encapsulation_info.vlan"),
        ("ELAN", [point("a"), point("b", True)], "connection_points[1].service_endpoint_encapsulation_info.vlan"),
        *(
            ("ELAN", [point("a"), point("b", vlan)], "connection_points[1].service_endpoint_encapsulation_info.vlan")
            for vlan in ("1_0", " 12 ", "\u0663", "-1", 7.0, -1, 1 << 24, [])
        ),
        ("ELAN", [point("a"), point("b", 1, "vxlan")], "connection_points[1].service_endpoint_encapsulation_type"),
    ],
)
def test_what_is_wrong_with_connection_points_is_named(kind, given, named):
    assert refused(400, points.segment, MAPPED, kind, given, None).startswith(named)


def test_a_word_may_be_in_capitals_and_a_number_in_text():
    made = points.segment(MAPPED, "ELINE", [point("a", "007", "DOT1Q"), point("b", None, "NONE")], "2.5")
    assert [(end["label"], end["ingress"]) for end in made] == [(7, 5.0), (None, 2.5)]
    account = read_account({"wim_url": "HTTP://broker"}, None, {"timeout": "10", "patience": "0.5"})
    assert (account.url, account.timeout, account.patience) == ("HTTP://broker", 10.0, 0.5)


@pytest.mark.parametrize(
    ("config", "verify"),
    [({}, True), ({"ca": "/a.pem"}, "/a.pem"), ({"ca_cert": "/b.pem"}, "/b.pem"), ({"ca": "", "ca_cert": ""}, True)],
)
def test_the_certificate_is_verified_with_what_the_user_or_ro_wrote(config, verify):
    assert read_account(URL, URL, config).verify == verify


def test_only_layer_2_services_are_offered():
    assert [points.check_type(t) for t in ("ELINE", "elan", "E-LAN")] == ["ELINE", "ELAN", "ELAN"]
    for other in ("ETREE", "L3", None):
        assert refused(400, points.check_type, other).startswith("service_type")


def service(status, **more):
    return {"id": 4, "network": "wan", "status": status, "error": None, "conditions": [], **more}


def test_every_status_has_a_word_of_ros():
    assert {told(service(status))["sdn_status"] for status in STATUSES} == {"INACTIVE", "BUILD", "ACTIVE", "DOWN"}
    for status in STATUSES:
        answer = told(service(status))
        assert answer["wim_status"] == answer["sdn_status"]
        assert "error_msg" not in answer
    for status in ("RELEASING", "RELEASED"):
        refused(404, told, service(status))


def test_reasons_are_told():
    error = {"code": "no-capacity", "text": "it does not fit", "facts": {}}
    assert told(service("DORMANT", error=error))["sdn_status"] == "ERROR"
    assert told(service("DORMANT", error=error))["error_msg"] == "it does not fit"
    dead = {"kind": "port-down", "where": "lon", "text": "interface 1 is down"}
    assert told(service("ACTIVE", conditions=[dead]))["sdn_status"] == "DOWN"
    away = {"kind": "unconfirmed", "where": "lon", "text": "the device is not reached"}
    answer = told(service("ACTIVE", conditions=[away]))
    assert (answer["sdn_status"], answer["error_msg"]) == ("ACTIVE", "unconfirmed at lon: the device is not reached")
    assert explain(service("FAILED")) == "service 4 is FAILED"
