"""The one converter: what it writes comes back equal, and whatever does not fit is a fault with its path."""

from __future__ import annotations

import copy
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, field, frozen
from attrs.validators import ge
from dpb_store import SqlStore
from hypothesis import given
from hypothesis import strategies as st

from dpb_framework.contracts import Batch, Capability, ModelRecord, NetworkRecord, Role, ServiceRecord
from dpb_framework.emulated.rack import Kept
from dpb_framework.errors import BadArgument, CommitFailed, ConfigInvalid, StoreInvalid
from dpb_framework.model import (
    Caller,
    Change,
    Chord,
    Circuit,
    Condition,
    Desired,
    Event,
    EventKind,
    Fault,
    Fragment,
    NetworkModel,
    Segment,
    ServiceView,
    Status,
    Terminal,
    Totals,
    TrafficFlow,
    Trunk,
    TrunkUse,
    Tunnel,
)
from dpb_framework.serialise import build, plain
from dpb_framework.testing.store_machine import JSON, NAMES, OBJECTS, RECORDS, SEGMENTS

NUMBERS = st.integers(-(10**12), 10**12)
FAULTS = st.builds(Fault, NAMES, NAMES, OBJECTS)
CONDITIONS = st.builds(Condition, NAMES, NAMES, NAMES)
EVENTS = st.builds(Event, NAMES, NUMBERS, st.sampled_from(EventKind), OBJECTS)
ROWS = st.lists(st.tuples(NAMES, NUMBERS, NUMBERS, NUMBERS), max_size=3).map(tuple)
TABLES = st.dictionaries(NAMES, ROWS, max_size=3)
PORTS = st.none() | st.integers(0, 48)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    **{record.__name__: strategy for record, strategy in RECORDS.items()},
    "Caller": st.builds(Caller, NAMES, st.booleans()),
    "Condition": CONDITIONS,
    "Event": EVENTS,
    "Fault": FAULTS,
    "Kept": st.builds(Kept, TABLES, TABLES, st.lists(NAMES).map(tuple), PORTS, PORTS),
    "ServiceView": st.builds(
        ServiceView,
        NAMES,
        NUMBERS,
        st.none() | NAMES,
        NAMES,
        st.sampled_from(Status),
        st.sampled_from(Desired),
        st.sampled_from(Change),
        st.none() | SEGMENTS,
        st.none() | FAULTS,
        st.lists(CONDITIONS, max_size=2).map(tuple),
    ),
    "Totals": st.builds(Totals, NUMBERS, NUMBERS, NUMBERS, NUMBERS),
    "TrafficFlow": st.builds(TrafficFlow, NUMBERS, NUMBERS),
    "TrunkUse": st.builds(
        TrunkUse,
        next(strategy for record, strategy in RECORDS.items() if record.__name__ == "TrunkRecord").map(
            lambda record: record.trunk
        ),
        NUMBERS,
        NUMBERS,
        NUMBERS,
        st.lists(NUMBERS, max_size=3).map(tuple),
    ),
    "Tunnel": st.builds(Tunnel, NAMES, NUMBERS, NUMBERS, NUMBERS),
}

MODEL = NetworkModel(
    (
        Fragment(("a", "b"), (Chord("a", "b", 1, 2, 3), Chord("b", "c", 4, 5, 6))),
        Fragment(("c",)),
    )
)


# -- there and back -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", VALUES)
@given(data=st.data())
def test_what_is_written_as_json_comes_back_equal(name: str, data: st.DataObject) -> None:
    value = data.draw(VALUES[name])
    text = json.dumps(plain(value), allow_nan=False)
    again = build(type(value), json.loads(text))
    assert again == value
    assert type(again) is type(value)
    assert repr(again) == repr(value)  # 1, 1.0 and True are equal, and not the same


@pytest.mark.parametrize("kind", [Status, Desired, Change, EventKind, Role, Capability])
def test_enumerations_go_by_their_value(kind: type[Enum]) -> None:
    for member in kind:
        assert plain(member) == member.value
        assert type(plain(member)) is str
        assert build(kind, member.value) is member


@given(JSON)
def test_plain_data_stays_what_it_is(value: object) -> None:
    assert repr(plain(value)) == repr(value)
    assert repr(build(Any, value)) == repr(value)


def test_the_form_of_a_model() -> None:
    """Stores have it: it may only be changed together with what they keep."""
    assert plain(MODEL) == {
        "fragments": [
            {
                "terminals": ["a", "b"],
                "chords": [
                    {"a": "a", "b": "b", "upstream": 1, "downstream": 2, "delay": 3},
                    {"a": "b", "b": "c", "upstream": 4, "downstream": 5, "delay": 6},
                ],
            },
            {"terminals": ["c"], "chords": None},
        ]
    }


def test_plain_data_in_a_value_becomes_what_json_has() -> None:
    fault = Fault("code", "text", {"pair": (1, 2), "status": Status.ACTIVE, "deep": {"list": [None, {"x": 0.5}]}})
    facts = plain(fault)["facts"]
    assert facts == {"pair": [1, 2], "status": "ACTIVE", "deep": {"list": [None, {"x": 0.5}]}}
    assert type(facts["status"]) is str


def test_nothing_is_shared_between_a_value_and_its_data() -> None:
    fault = Fault("code", "text", {"list": [1]})
    written = plain(fault)
    again = build(Fault, written)
    written["facts"]["list"].append(2)
    assert fault.facts == again.facts == {"list": [1]}


def test_annotations_can_be_read_as_well_as_classes() -> None:
    assert build(tuple[str, int], ["a", 1]) == ("a", 1)
    assert build(tuple[tuple[str, float], ...], [["a", 1.5]]) == (("a", 1.5),)
    assert build(tuple[Circuit, int], [{"terminal": "a", "label": None}, 3]) == (Circuit("a", None), 3)
    assert build(dict[str, Status], {"x": "ACTIVE"}) == {"x": Status.ACTIVE}
    assert build(int | None, None) is None
    assert build(int | None, 3) == 3


# -- faults when reading ------------------------------------------------------------------------


def changed(value: object, *way: str | int, to: object) -> Any:
    """The plain data of *value* with another item at the end of *way*."""
    data = copy.deepcopy(plain(value))
    place = data
    for step in way[:-1]:
        place = place[step]
    place[way[-1]] = to
    return data


SEGMENT = Segment.of(("a", 1, 10, 20), ("b", None, 10, 20))
SERVICE = ServiceRecord("net", 1, None, "me", Desired.ACTIVE, Status.ACTIVE, error=Fault("c", "t", {"x": 1}))
TRUNK = Trunk("t", ("n1", "a"), ("n2", "b"), 1, 2)
FAULTY: list[tuple[Any, Any, str]] = [
    (
        NetworkModel,
        changed(MODEL, "fragments", 0, "chords", 1, "delay", to="1"),
        "$.fragments[0].chords[1].delay: expected an integer, got '1'",
    ),
    (NetworkModel, changed(MODEL, "fragments", 1, to=None), "$.fragments[1]: expected an object, got nothing"),
    (NetworkModel, changed(MODEL, "fragments", 1, to="ab"), "$.fragments[1]: expected an object, got 'ab'"),
    (NetworkModel, changed(MODEL, "fragments", to={"0": 1}), "$.fragments: expected a list, got an object"),
    (NetworkModel, changed(MODEL, "fragments", 0, "terminals", to="ab"), "terminals: expected a list, got 'ab'"),
    (NetworkModel, changed(MODEL, "fragments", 0, "terminals", 1, to=7), "terminals[1]: expected text, got 7"),
    (NetworkModel, [], "$: expected an object, got a list"),
    (
        NetworkModel,
        changed(MODEL, "fragments", 0, "chord", to=1),
        "$.fragments[0].chord: unknown key; did you mean 'chords'?",
    ),
    (NetworkModel, {"fragments": [{"terminals": []}]}, "$.fragments[0].chords: this key is needed and not there"),
    (Terminal, {"name": "x"}, "$.place: this key is needed and not there"),
    (Segment, changed(SEGMENT, "ends", 1, "flow", "ingress", to=1.0), "flow.ingress: expected an integer, got 1.0"),
    (Segment, changed(SEGMENT, "ends", 1, "flow", "ingress", to=True), "flow.ingress: expected an integer, got true"),
    (Segment, changed(SEGMENT, "ends", 0, "circuit", "label", to="1"), "circuit.label: expected an integer, got '1'"),
    (ServiceRecord, changed(SERVICE, "remembered", to=0), "$.remembered: expected true or false, got 0"),
    (ServiceRecord, changed(SERVICE, "handle", to=5), "$.handle: expected text, got 5"),
    (ServiceRecord, changed(SERVICE, "desired", to="FAILED"), "$.desired: expected one of 'DORMANT', 'INACTIVE',"),
    (ServiceRecord, changed(SERVICE, "desired", to=["ACTIVE"]), "'RELEASED', got a list"),
    (ServiceRecord, changed(SERVICE, "error", to=False), "$.error: expected an object, got false"),
    (ServiceRecord, changed(SERVICE, "error", "facts", to=[]), "$.error.facts: expected an object, got a list"),
    (ServiceRecord, changed(SERVICE, "error", "facts", to={7: 1}), "$.error.facts: expected text as a key, got 7"),
    (
        ServiceRecord,
        changed(SERVICE, "error", "facts", "a key/1", to=[float("nan")]),
        "$.error.facts['a key/1'][0]: expected a finite number, got nan",
    ),
    (ServiceRecord, changed(SERVICE, "error", "facts", "x", to=b"1"), "$.error.facts.x: bytes is no plain data"),
    (Trunk, changed(TRUNK, "start", to=["n1"]), "$.start: expected a list of 2, got 1"),
    (Trunk, changed(TRUNK, "start", to=["n1", 1]), "$.start[1]: expected text, got 1"),
    (Trunk, changed(TRUNK, "start", to="n1"), "$.start: expected a list, got 'n1'"),
    (Trunk, changed(TRUNK, "labels", 0, "count", to=None), "$.labels[0].count: expected an integer, got nothing"),
    (float, 1, "$: expected a number with a point, got 1"),
    (float, float("inf"), "$: expected a finite number, got inf"),
    (int, "x" * 200, f"$: expected an integer, got 'x{'x' * 58}..."),
    (Capability, "meter", "$: expected one of 'metering', 'shaping',"),
    (dict[str, Kept], {"d": {**plain(Kept({}, {}, (), 3, None)), "ports": -1}}, "$.d: Kept refuses it: 'ports' must"),
]


@pytest.mark.parametrize(("kind", "data", "problem"), FAULTY)
def test_what_does_not_fit_is_a_fault_with_its_path(kind: Any, data: object, problem: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        build(kind, data)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_path_begins_where_the_data_stands() -> None:
    with pytest.raises(ConfigInvalid) as caught:
        build(tuple[tuple[str, int], ...], [["a", 1], ["b", False]], "channels")
    assert (caught.value.path, caught.value.problem) == ("channels[1][1]", "expected an integer, got false")


@given(st.sampled_from([NetworkModel, ServiceRecord, Segment, Trunk, Kept, Event]), JSON)
def test_nothing_but_a_fault_comes_of_anything_else(kind: Any, data: object) -> None:
    with pytest.raises(ConfigInvalid):
        build(kind, data)


def test_data_without_end_is_a_fault() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ConfigInvalid, match="nested too deeply"):
        build(Fault, {"code": "", "text": "", "facts": {"x": endless}})
    with pytest.raises(BadArgument, match="nested too deeply"):
        plain(Fault("", "", {"x": endless}))


# -- faults when writing ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (evolve(SERVICE, id=True), "$.id: expected an integer, got true"),
        (evolve(SERVICE, owner=7), "$.owner: expected text, got 7"),
        (evolve(SERVICE, status="bogus"), "$.status: expected Status, got 'bogus'"),
        (evolve(SERVICE, status=Desired.ACTIVE), "$.status: expected Status, got"),
        (evolve(SERVICE, error=Fault("c", "t", {"x": {"y": {1, 2}}})), "$.error.facts.x.y: set is no plain data"),
        (evolve(SERVICE, error=Fault("c", "t", {"x": SEGMENT})), "$.error.facts.x: Segment is no plain data"),
        (evolve(SERVICE, error=Fault("c", "t", {"x": float("inf")})), "$.error.facts.x: expected a finite number"),
        (evolve(SERVICE, error=Fault("c", "t", {"x": {1: 2}})), "$.error.facts.x: expected text as a key, got 1"),
        (NetworkModel((Fragment(("a",)), MODEL)), "$.fragments[1]: expected Fragment, got"),
        (evolve(TRUNK, start=("a",)), "$.start: expected a tuple of 2, got 1"),
        (evolve(TRUNK, start=("a", 1)), "$.start[1]: expected text, got 1"),
        (evolve(TRUNK, start="ab"), "$.start: expected a tuple, got 'ab'"),
    ],
)
def test_what_could_not_be_read_again_is_not_written(value: object, problem: str) -> None:
    with pytest.raises(BadArgument) as caught:
        plain(value)
    assert problem in str(caught.value)


@frozen
class Mail:
    size: int = field(validator=ge(0))


@frozen
class Post:
    mails: tuple[Mail, ...]


def test_a_subclass_that_comes_later_loses_no_fields() -> None:
    """A plugin's class is made after its parent was converted for the first time."""
    assert plain(Post((Mail(1),))) == {"mails": [{"size": 1}]}
    registered = frozen(type("Registered", (Mail,), {"__annotations__": {"number": str}, "number": ""}))
    one = registered(1, "RR12")
    assert plain(one) == {"size": 1, "number": "RR12"}
    assert build(registered, plain(one)) == one
    with pytest.raises(BadArgument) as caught:
        plain(Post((Mail(1), one)))
    assert str(caught.value) == ("$.mails[1]: Registered is a subclass of Mail, whose place cannot hold its fields")


def test_what_a_class_refuses_has_the_path_of_the_object() -> None:
    with pytest.raises(ConfigInvalid, match=r"^\$\.mails\[0\]: Mail refuses it: 'size' must be >= 0: -1$"):
        build(Post, {"mails": [{"size": -1}]})


@frozen
class Crate:
    things: set[int]


@frozen
class Choice:
    either: int | str


@frozen
class Numbered:
    by_number: Mapping[int, str]


@frozen
class Photo:
    pixels: bytes


@frozen
class File:
    path: Path


@pytest.mark.parametrize("kind", [Crate, Choice, Numbered, Photo, File])
def test_a_class_with_fields_of_other_kinds_is_refused_before_anything_is_lost(kind: Any) -> None:
    with pytest.raises(TypeError, match="the converter does not understand"):
        build(kind, {kind.__attrs_attrs__[0].name: {}})
    with pytest.raises(TypeError, match="the converter does not understand"):
        plain(kind({}))


# -- in the store -------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    opened = SqlStore(url=str(tmp_path / "dpb.sqlite"))
    opened.open()
    opened.submit(Batch((NetworkRecord("net", "aggregator", 1),))).result(30)
    yield opened
    opened.close()


def test_a_fault_that_cannot_be_read_again_fails_its_batch(store: SqlStore) -> None:
    record = evolve(SERVICE, error=Fault("c", "t", {"x": {1, 2}}))
    with pytest.raises(CommitFailed, match=r"a ServiceRecord cannot be kept: \$\.facts\.x: set is no plain data"):
        store.submit(Batch((record,))).result(30)


def test_a_model_of_another_form_is_one_line_with_its_path(store: SqlStore, tmp_path: Path) -> None:
    store.submit(Batch((ModelRecord("net", "inferior", MODEL),))).result(30)
    text = json.dumps(changed(MODEL, "fragments", 0, "chords", 1, "delay", to="6"))
    with closing(sqlite3.connect(tmp_path / "dpb.sqlite")) as database, database:
        database.execute("UPDATE inferior_model SET model = ?", (text,))
    with pytest.raises(StoreInvalid, match=r"\$\.fragments\[0\]\.chords\[1\]\.delay: expected an integer, got '6'"):
        store.load()


# -- its place in the house ---------------------------------------------------------------------


def test_the_command_line_does_not_wait_for_cattrs() -> None:
    """Importing it takes longer than all else that a client's command begins with."""
    program = "import sys, dpb_framework.cli; print('cattrs' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


def test_only_the_converter_uses_cattrs() -> None:
    root = Path(__file__).resolve().parent.parent
    modules = [*root.glob("dpb_framework/**/*.py"), *root.glob("plugins/*/dpb_*/**/*.py")]
    users = {module.name for module in modules if "cattrs" in module.read_text("utf-8").replace("_cattrs_", "")}
    assert users == {"serialise.py"}
