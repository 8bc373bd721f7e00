"""The quota, as the broker asks it, and in a broker."""

from __future__ import annotations

import pytest
from dpb_policy.quota import OwnerQuota

from dpb_framework.errors import ConfigInvalid, Refused
from dpb_framework.model import SYSTEM, Caller, Segment, Totals
from dpb_framework.plugins import Listeners
from dpb_framework.settings import check_call
from dpb_framework.testing.world import World, line

ANN, BOB = Caller("ann"), Caller("bob")


def ends(label=1, ingress=1000, egress=2000):
    return Segment.of(("t1", label, ingress, egress), ("t2", label, ingress, egress))


def ask(quota, totals=None, owner="ann", network="wan", caller=ANN):
    listeners = Listeners()
    listeners.register("owner-quota", quota)
    listeners.check_pending()
    facts = {"network": network, "service": 7, "segment": ends(), "caller": caller, "owner": owner}
    listeners.ask("ask_segment", **facts, totals=totals or Totals())


@pytest.mark.parametrize(
    ("settings", "totals", "why"),
    [
        ({"services": 2}, Totals(services=2), "ann would hold 3 services in network 'wan', 2 are allowed"),
        ({"circuits": 5}, Totals(circuits=4), "ann would hold 6 circuits in network 'wan', 5 are allowed"),
        ({"ingress": 1.999}, Totals(), "ann would hold 2 Mbit/s of ingress in network 'wan', 1.999 Mbit/s are allowed"),
        ({"egress": 5}, Totals(egress=1001), "5.001 Mbit/s of egress in network 'wan', 5 Mbit/s are allowed"),
        ({"services": 9, "owners": {"ann": {"services": 0}}}, Totals(), "1 services in network 'wan', 0 are allowed"),
    ],
)
def test_what_is_beyond_is_refused_with_the_numbers(settings, totals, why):
    with pytest.raises(Refused) as caught:
        ask(OwnerQuota(**settings), totals)
    assert str(caught.value).endswith(why)


def test_what_is_within_passes():
    limits = {"services": 3, "circuits": 6, "ingress": 4, "egress": 8}
    ask(OwnerQuota(**limits), Totals(2, 4, 2000, 4000))
    ask(OwnerQuota(services=0, owners={"ann": {"services": 1}}))
    ask(OwnerQuota(services=0, networks=["lan"]))
    ask(OwnerQuota(services=0), caller=SYSTEM)


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"services": -1}, "services"),
        ({"ingress": -1}, "ingress"),
        ({"ingress": 0.0001}, "ingress"),
        ({"owners": {"ann": {"service": 1}}}, "owners.ann.service"),
        ({"owners": {"ann": {"egress": "much"}}}, "owners.ann.egress"),
    ],
)
def test_a_wrong_setting_is_named(settings, path):
    with pytest.raises(ConfigInvalid) as caught:
        OwnerQuota(**check_call(OwnerQuota, settings, "$.listener[0]"))
    assert caught.value.path == path


def test_in_a_broker_each_owner_has_its_own():
    with World(line(2), listeners={"owner-quota": OwnerQuota(services=1, owners={"bob": {"ingress": 3}})}) as world:
        net = world.network("net")
        first = world.ask(net.create(ANN, None, ends(1)))
        with pytest.raises(Refused, match="ann would hold 2 services"):
            world.ask(net.create(ANN, None, ends(2)))
        world.ask(net.create(BOB, None, ends(3)))
        world.ask(first.release(ANN))
        world.ask(net.create(ANN, None, ends(4)))
