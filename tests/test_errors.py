"""Every error's text, once, and what all errors have in common."""

from __future__ import annotations

import json
import pickle

import attrs
import pytest

from dpb_framework import errors
from dpb_framework.errors import DpbError
from dpb_framework.model import StepImpossible

TEXTS: list[tuple[DpbError, str]] = [
    (errors.ConfigInvalid("$.network[2].fabric", "unknown key"), "$.network[2].fabric: unknown key"),
    (
        errors.PluginMissing("dpb.stores", "sq", ["memory", "sql"]),
        "no plugin 'sq' in dpb.stores; installed: memory, sql; install the distribution that has it, or correct the"
        " name",
    ),
    (
        errors.PluginMissing("dpb.stores", "sq", []),
        "no plugin 'sq' in dpb.stores; installed: none; install the distribution that has it, or correct the name",
    ),
    (
        errors.PluginBroken("dpb.stores", "x", "it is no class"),
        "plugin 'x' of dpb.stores cannot be used: it is no class",
    ),
    (errors.InferiorCycle(["a", "b", "a"]), "networks are inferior to themselves: a -> b -> a; break the circle"),
    (errors.NetworkUnknown("net"), "there is no network 'net'"),
    (errors.ServiceUnknown("net", 7), "network 'net' has no service 7"),
    (errors.ServiceGone("net", 7), "service 7 of network 'net' has been released"),
    (errors.TerminalUnknown("net", "a"), "network 'net' has no terminal 'a'"),
    (errors.TerminalExists("net", "a"), "network 'net' already has a terminal 'a'"),
    (
        errors.TerminalBusy("net", "a", "service 7"),
        "terminal 'a' of network 'net' is in use by service 7; release that first",
    ),
    (errors.SubnetworkUnknown("net", "s1"), "network 'net' has no inferior network 's1'"),
    (
        errors.SubterminalBusy("net", "s1", "x", "trunk 't'"),
        "terminal 'x' of inferior network 's1' is already used in network 'net' by trunk 't'",
    ),
    (errors.TrunkUnknown("net", "t"), "network 'net' has no trunk 't'"),
    (errors.TrunkExists("net", "t"), "network 'net' already has a trunk 't'"),
    (
        errors.TrunkBusy("net", "t", (1, 2)),
        "trunk 't' of network 'net' carries services 1, 2; decommission it and release or change them first",
    ),
    (
        errors.TrunkBusy("net", "t", tuple(range(1, 10))),
        "trunk 't' of network 'net' carries services 1, 2, 3, 4, 5, 6, 7, 8, ...; decommission it and release or"
        " change them first",
    ),
    (errors.BadArgument("labels[0].count", "too small"), "labels[0].count: too small"),
    (errors.SegmentInvalid("segment[0]", "wrong"), "segment[0]: wrong"),
    (errors.CircuitTaken("net", "a", 100, 7), "circuit a:100 of network 'net' is taken by service 7"),
    (
        errors.LabelsUnavailable("net", "a"),
        "terminal 'a' of network 'net' has no free label; release a service there, or give the terminal more labels",
    ),
    (
        errors.LabelsUnavailable("net", "a", 7, ((1, 5), (9, 9))),
        "terminal 'a' of network 'net' does not offer label 7; it offers 1 to 5, 9 to 9",
    ),
    (
        errors.LabelsUnavailable("net", "a", 7),
        "terminal 'a' of network 'net' does not offer label 7; it offers others",
    ),
    (errors.LabelsInUse("net", "t", (3, 4)), "labels 3, 4 of trunk 't' in network 'net' are in use"),
    (
        errors.LabelsInUse("net", "t", tuple(range(9))),
        "labels 0, 1, 2, 3, 4, 5, 6, 7, ... of trunk 't' in network 'net' are in use",
    ),
    (
        errors.QuotaExceeded("net", "a", "ingress", 100, 20),
        "terminal 'a' of network 'net' has 20 kbit/s of ingress left, 100 kbit/s are asked for",
    ),
    (errors.NoCapacity("net", "t lacks 5 kbit/s"), "network 'net' cannot carry the segment: t lacks 5 kbit/s"),
    (
        errors.BandwidthUnavailable("net", "t", "upstream", 5, 10),
        "trunk 't' of network 'net' has 10 kbit/s upstream allocated; its capacity cannot become 5 kbit/s",
    ),
    (
        errors.ServiceLogic("net", 7, "change", "it is DORMANT"),
        "cannot change service 7 of network 'net': it is DORMANT",
    ),
    (errors.Refused("not today", "quotas"), "refused by quotas: not today"),
    (errors.Refused("not today"), "refused: not today"),
    (
        errors.NotOwner("net", 7, "alice"),
        "service 7 of network 'net' belongs to 'alice': only its owner or a manager of the network changes it",
    ),
    (
        errors.PlanInvalid("mine", "a circle"),
        "algorithm 'mine' has a fault, there is no plan that holds: a circle; report it to its author",
    ),
    (errors.InterfaceInvalid("f", "x y", "a blank"), "interface 'x y' of fabric 'f': a blank"),
    (errors.FabricRefused("switch 1", "no memory"), "switch 1 refused: no memory"),
    (
        errors.Unreachable("switch 1", "no answer"),
        "switch 1 cannot be reached: no answer; its services keep their reservations until it is back",
    ),
    (errors.PortDown("network 's1'", "3"), "interface '3' of network 's1' is down"),
    (errors.InferiorFailed("s1", "it is full"), "inferior network 's1': it is full"),
    (
        errors.StoreLocked("x.sqlite", "process 7"),
        "store x.sqlite is in use by process 7; stop that broker, or give this one a store of its own",
    ),
    (errors.StoreInvalid("x.sqlite", "it is a picture"), "store x.sqlite cannot be used: it is a picture"),
    (
        errors.CommitFailed("the disk is full"),
        "the change was not stored and not made: the disk is full; try again when the store works",
    ),
    (errors.VersionStale("osm", "k", 1, 2), "item 'k' of 'osm' is at version 2, not 1; read it again"),
    (errors.TimedOut("the device", 0.5), "the device did not answer within 0.5 s"),
    (errors.Stopped(), "the broker is stopping; ask again when it is back"),
    (errors.Stopped("the store"), "the store is stopping; ask again when it is back"),
    (errors.Remembered("quota", "there is no more", {"left": 5}), "there is no more"),
]


def kinds() -> list[type[DpbError]]:
    return [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, DpbError)]


@pytest.mark.parametrize(("error", "text"), TEXTS, ids=lambda value: type(value).__name__)
def test_the_text(error: DpbError, text: str) -> None:
    assert str(error) == text
    assert "\n" not in text


def test_every_error_is_here() -> None:
    assert {type(error) for error, _ in TEXTS} == set(kinds()) - {DpbError}


def test_codes_are_distinct_and_programs_can_read_them() -> None:
    codes = [kind.code for kind in kinds() if kind is not errors.Remembered]
    assert len(set(codes)) == len(codes)
    for code in codes:
        assert code == code.lower().strip()
        assert " " not in code
    assert StepImpossible.code == errors.ServiceLogic.code, "to a program both are the same"


@pytest.mark.parametrize("error", [error for error, _ in TEXTS], ids=lambda value: type(value).__name__)
def test_facts_are_plain_data(error: DpbError) -> None:
    facts = json.loads(json.dumps(error.facts))
    if isinstance(error, errors.Remembered):  # it stands for another fault, with that one's facts
        assert (error.code, facts) == (error.kind, error.known)
        return
    assert list(facts) == [field.name for field in attrs.fields(type(error))]


@pytest.mark.parametrize(("error", "text"), TEXTS, ids=lambda value: type(value).__name__)
def test_errors_can_be_raised_chained_and_sent(error: DpbError, text: str) -> None:
    with pytest.raises(type(error)) as caught:
        raise error from ValueError("the cause")
    assert isinstance(caught.value.__cause__, ValueError)
    assert str(pickle.loads(pickle.dumps(error))) == text
