"""The values of the model: every validation, with the path of what is wrong."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpb_framework.contracts import Batch, EventRecord, ServiceRecord
from dpb_framework.errors import BadArgument, NoCapacity, SegmentInvalid
from dpb_framework.model import (
    MAX_KBPS,
    MAX_LABEL,
    Circuit,
    Condition,
    Fault,
    LabelRange,
    Segment,
    Terminal,
    Trunk,
    check_name,
    kbps,
    mbps,
)
from dpb_framework.model import value as values
from dpb_framework.model.lifecycle import Status
from dpb_framework.model.service import Change

# -- rates ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_rate", "expected"),
    [
        (10, 10_000),
        (0, 0),
        ("0.25", 250),
        (0.1, 100),
        (0.001, 1),
        (Decimal("1.500"), 1500),
        ("007", 7000),
        (10**9, MAX_KBPS),
        ("1.000000000", 1000),
        (1e3, 1_000_000),
        (Decimal("1E+2"), 100_000),
        (-0.0, 0),
    ],
)
def test_rates_are_whole_kilobits(given_rate: object, expected: int) -> None:
    found = kbps(given_rate)
    assert (found, type(found)) == (expected, int)


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (None, "expected a rate"),
        (True, "expected a rate"),
        ([1], "expected a rate"),
        ("", "expected a rate"),
        ("1e3", "expected a rate"),
        (" 1", "expected a rate"),
        ("-1", "expected a rate"),
        ("٣", "expected a rate"),
        ("1" * 13, "expected a rate"),
        (-1, "not negative"),
        (-0.5, "not negative"),
        (float("nan"), "finite"),
        (float("inf"), "finite"),
        (Decimal("sNaN"), "finite"),
        (0.0001, "three decimals"),
        ("0.1234", "three decimals"),
        (Decimal("1E-1000000"), "three decimals"),
        (10**9 + 1, "at most"),
        (10**400, "at most"),
        (Decimal("1E+1000000"), "at most"),
        (1e300, "at most"),
    ],
)
def test_rates_that_cannot_be(wrong: object, problem: str) -> None:
    with pytest.raises(BadArgument) as caught:
        kbps(wrong, "segment[3].ingress-bw")
    assert caught.value.path == "segment[3].ingress-bw"
    assert problem in caught.value.problem
    assert len(str(caught.value)) < 300


@given(st.integers(0, MAX_KBPS))
def test_a_rate_goes_out_and_comes_back(rate: int) -> None:
    out = mbps(rate)
    assert kbps(out) == rate
    assert isinstance(out, int) == (rate % 1000 == 0)
    assert kbps(str(Decimal(rate) / 1000)) == rate


# -- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "GÉANT", "x" * 128, "a.b-c_d", "300", "日本", "a+b@c"])
def test_names(name: str) -> None:
    assert check_name(name, "name") is name


@pytest.mark.parametrize(
    "name",
    ["", "x" * 129, "a b", "a/b", "a:b", "a\nb", "a\x00", "\x7f", ".", "..", None, 7, b"a", "\u200b", "a\u202eb"],
)
def test_names_that_cannot_be(name: object) -> None:
    with pytest.raises(BadArgument) as caught:
        check_name(name, "network[2].name")
    assert caught.value.path == "network[2].name"


# -- segments -------------------------------------------------------------------------------------

A, B = ("a", 1, 10, 10), ("b", 1, 10, 10)


@pytest.mark.parametrize(
    "ends",
    [
        [A, B],
        [A, ("a", 2, 1, 0)],
        [("a", None, 1, 1), ("a", None, 1, 1)],
        [("a", 0, 1, 0), ("b", MAX_LABEL, 0, MAX_KBPS)],
        [A, B, ("c", 5, 0, 1)],
    ],
)
def test_segments(ends: list[tuple[str, int | None, int, int]]) -> None:
    Segment.of(*ends).check()


@pytest.mark.parametrize(
    ("ends", "path"),
    [
        ([], "s"),
        ([A], "s"),
        ([A, B, A], "s[2]"),
        ([A, ("b", -1, 1, 1)], "s[1].label"),
        ([A, ("b", MAX_LABEL + 1, 1, 1)], "s[1].label"),
        ([("a", 1, -1, 1), B], "s[0]"),
        ([A, ("b", 1, 1, MAX_KBPS + 1)], "s[1]"),
        ([A, ("b", 1, 0, 0)], "s[1].ingress-bw"),
        ([("a", 1, 0, 5), ("b", 1, 0, 5)], "s[0].ingress-bw"),
        ([("a", 1, 5, 0), ("b", 1, 5, 0)], "s[0].egress-bw"),
    ],
)
def test_segments_that_cannot_be(ends: list[tuple[str, int | None, int, int]], path: str) -> None:
    with pytest.raises(SegmentInvalid) as caught:
        Segment.of(*ends).check("s")
    assert caught.value.path == path


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from([None, 1, 2]), st.integers(0, 2), st.integers(0, 2)),
        max_size=5,
    ),
    st.randoms(),
)
def test_the_order_of_ends_does_not_matter(ends: list[tuple[str, int | None, int, int]], random: object) -> None:
    shuffled = list(ends)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert Segment.of(*ends).same_as(Segment.of(*shuffled))
    assert not Segment.of(*ends).same_as(Segment.of(*ends, A))
    assert not Segment.of(*ends).same_as(None)


def test_segments_with_other_rates_or_labels_are_others() -> None:
    one = Segment.of(A, B)
    for other in (("b", 2, 10, 10), ("b", None, 10, 10), ("b", 1, 11, 10), ("b", 1, 10, 11), ("c", 1, 10, 10)):
        assert not one.same_as(Segment.of(A, other))


def test_how_circuits_are_written() -> None:
    assert (str(Circuit("a", 7)), str(Circuit("a", None)), str(Circuit("a", 0))) == ("a:7", "a", "a:0")


# -- topology -------------------------------------------------------------------------------------


def test_where_a_terminal_leads() -> None:
    assert Terminal("t", "east:a").subterminal == ("east", "a")
    assert Terminal("t", "nothing").subterminal == ("nothing", "")
    assert Terminal("t", "1").labels == ((1, 4094),)


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        (LabelRange(1, 0, 1), "labels[0].label-count"),
        (LabelRange(1, -5, 1), "labels[0].label-count"),
        (LabelRange(-1, 1, 1), "labels[0].start-label"),
        (LabelRange(1, 1, -1), "labels[0].end-label"),
        (LabelRange(MAX_LABEL, 2, 1), "labels[0].start-label"),
        (LabelRange(1, 2, MAX_LABEL), "labels[0].end-label"),
    ],
)
def test_label_ranges_that_cannot_be(wrong: LabelRange, path: str) -> None:
    with pytest.raises(BadArgument) as caught:
        wrong.check("labels[0]")
    assert caught.value.path == path


def test_all_labels_are_a_range() -> None:
    LabelRange(0, MAX_LABEL + 1, 0).check("labels")


def test_what_a_trunk_is_when_little_is_said() -> None:
    trunk = Trunk("x", ("a", "1"), ("b", "2"), 10, 20)
    assert (trunk.delay, trunk.commissioned, trunk.labels) == (0, True, (LabelRange(1, 4094, 1),))
    assert Trunk.default_name(trunk.start, trunk.end) == "a.1-b.2"


# -- faults and conditions ------------------------------------------------------------------------


def test_a_fault_is_an_error_as_data() -> None:
    error = NoCapacity("net", "nothing left")
    facts = {"network": "net", "reason": "nothing left", "proved": False, "certificate": {}}
    assert Fault.of(error) == Fault("no-capacity", str(error), facts)


def test_a_fault_of_something_else_is_an_internal_one() -> None:
    fault = Fault.of(KeyError("x"))
    assert fault.code == "internal"
    assert "KeyError: 'x'" in fault.text
    assert fault.facts == {}


def test_conditions_have_an_order() -> None:
    assert sorted([Condition("unconfirmed", "b"), Condition("port-down", "z"), Condition("unconfirmed", "a")]) == [
        Condition("port-down", "z"),
        Condition("unconfirmed", "a"),
        Condition("unconfirmed", "b"),
    ]


# -- values as such ---------------------------------------------------------------------------------


@pytest.mark.parametrize("of", [Circuit, Segment, Terminal, Trunk, Fault, ServiceRecord, EventRecord, Batch])
def test_tests_find_whoever_changes_a_value_in_place(of: type) -> None:
    name = attrs.fields(of)[0].name
    value = object.__new__(of)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(value, name, "other")


@pytest.mark.parametrize("options", [{}, {"order": True}, {"cache_hash": True}])
def test_an_unguarded_value_is_the_same_but_for_the_guard(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def rated() -> type:
        body = {"__annotations__": {"name": "str", "rate": "int"}, "rate": attrs.field(default=5, converter=int)}
        return values.value(type("Rated", (), body), **options)

    guarded = rated()
    monkeypatch.setattr(values, "GUARDED", False)
    plain = rated()
    for made in (guarded, plain):
        one, same, other = made("a", "1"), made("a", 1), made("b")
        assert (one == same, hash(one) == hash(same), one == other) == (True, True, False)
        assert attrs.evolve(one, name="b", rate=5) == other
        assert not hasattr(one, "__dict__")
        if options.get("order"):
            assert one < other
        else:
            with pytest.raises(TypeError):
                _ = one < other
    assert repr(plain("a", 1)) == repr(guarded("a", 1))


def test_a_word_is_found_by_its_text() -> None:
    assert {Change.NONE: 1}["none"] == 1
    assert {"ACTIVE": 2}[Status.ACTIVE] == 2
    assert hash(Change.NONE) == hash("none")
