"""The books of trunks and terminals against naive models."""

from __future__ import annotations

import sys
import threading

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from dpb_framework.contracts import Residual
from dpb_framework.errors import (
    CircuitTaken,
    LabelsInUse,
    LabelsUnavailable,
    QuotaExceeded,
    TerminalBusy,
    TerminalUnknown,
    TrunkUnknown,
)
from dpb_framework.model import Circuit, End, LabelRange, Segment, Terminal, Totals, TrafficFlow, Trunk, Tunnel
from dpb_framework.networks.terminalbook import TerminalBook
from dpb_framework.networks.trunkbook import TrunkAccount, TrunkBook
from dpb_framework.testing.world import World, line

TRUNKS = {
    "x": Trunk("x", ("a", "1"), ("b", "1"), 100, 60, labels=(LabelRange(1, 4, 11),)),
    "y": Trunk("y", ("a", "2"), ("b", "2"), 50, 500, labels=(LabelRange(1, 4, 1),)),
}

# -- trunks ---------------------------------------------------------------------------------------

holds = st.tuples(
    st.integers(1, 3),  # service
    st.integers(1, 4),  # attempt
    st.sampled_from(["x", "y"]),
    st.integers(1, 4),  # label
    st.integers(0, 50),
    st.integers(0, 50),
)


@given(st.lists(holds, max_size=25), st.lists(st.integers(0, 24), max_size=25))
def test_held_capacity_is_the_larger_of_attempts_and_the_sum_of_services(
    taken: list[tuple[int, int, str, int, int, int]], given_back: list[int]
) -> None:
    book = TrunkBook()
    for trunk in TRUNKS.values():
        book.put(trunk)
    residual = Residual([0, 0], [0, 0])
    book.attach(residual, {"x": 0, "y": 1})
    naive: dict[tuple[str, int, int], dict[int, tuple[int, int]]] = {}
    made = []
    for service, attempt, name, label, up, down in taken:
        others = {key[1] for key in naive if key[0] == name and key[2] == label} - {service}
        if others or attempt in naive.get((name, service, label), {}):
            continue
        tunnel = Tunnel(name, label, up, down)
        book.take(service, attempt, [tunnel])
        naive.setdefault((name, service, label), {})[attempt] = (up, down)
        made.append((service, attempt, tunnel))
        check_trunks(book, residual, naive)
    for index in given_back:
        if index >= len(made):
            continue
        service, attempt, tunnel = made[index]
        book.credit(service, attempt, [tunnel])
        key = (tunnel.trunk, service, tunnel.label)
        naive.get(key, {}).pop(attempt, None)
        if not naive.get(key, True):
            del naive[key]
        check_trunks(book, residual, naive)


def test_planners_see_what_trunks_can_hold_in_all() -> None:
    book = TrunkBook()
    for trunk in TRUNKS.values():
        book.put(trunk)
    residual = Residual([0, 0], [0, 0], [0, 0], [0, 0])
    book.attach(residual, {"x": 0, "y": 1})
    book.take(1, 1, [Tunnel("x", 1, 7, 0)])
    trunk = TRUNKS["x"]
    assert (residual.upstream_capacity[0], residual.downstream_capacity[0]) == (trunk.upstream, trunk.downstream)
    assert residual.upstream[0] == trunk.upstream - 7
    assert residual.without([0]).upstream_capacity == residual.upstream_capacity


def check_trunks(
    book: TrunkBook, residual: Residual, naive: dict[tuple[str, int, int], dict[int, tuple[int, int]]]
) -> None:
    for edge, (name, trunk) in enumerate(TRUNKS.items()):
        mine = {key: loads for key, loads in naive.items() if key[0] == name}
        up = sum(max(load[0] for load in loads.values()) for loads in mine.values())
        down = sum(max(load[1] for load in loads.values()) for loads in mine.values())
        use = book.accounts[name].use()
        assert (use.upstream_left, use.downstream_left) == (trunk.upstream - up, trunk.downstream - down)
        assert book.left(name) == (trunk.upstream - up, trunk.downstream - down)
        assert use.labels_left == 4 - len(mine)
        assert use.services == tuple(sorted({key[1] for key in mine}))
        free = book.free_label(name)
        assert (free is None) == (len(mine) == 4)
        assert free not in {key[2] for key in mine}
        shown = (max(0, trunk.upstream - up), max(0, trunk.downstream - down)) if len(mine) < 4 else (0, 0)
        assert (residual.upstream[edge], residual.downstream[edge]) == shown
        for service in (1, 2, 3):
            held = {
                key[2]: (max(load[0] for load in loads.values()), max(load[1] for load in loads.values()))
                for key, loads in mine.items()
                if key[1] == service
            }
            assert book.held(service, name) == held


def test_a_trunk_that_is_not_commissioned_has_nothing_left_to_plan_with() -> None:
    book = TrunkBook()
    book.put(TRUNKS["x"])
    residual = Residual([0], [0])
    book.attach(residual, {"x": 0})
    book.put(evolve(TRUNKS["x"], commissioned=False))
    assert (residual.upstream, residual.downstream, book.left("x")) == ([0], [0], (0, 0))
    assert book.accounts["x"].use().upstream_left == 100, "an operator still sees what is free"
    book.put(TRUNKS["x"])
    assert (residual.upstream, residual.downstream) == ([100], [60])


def test_what_was_never_taken_is_not_given_back() -> None:
    book = TrunkBook()
    book.put(TRUNKS["x"])
    book.take(1, 1, [Tunnel("x", 1, 10, 10)])
    book.credit(2, 1, [Tunnel("x", 1, 10, 10)])
    book.credit(1, 2, [Tunnel("x", 1, 10, 10)])
    assert book.accounts["x"].use().upstream_left == 90
    for _ in range(2):
        book.credit(1, 1, [Tunnel("x", 1, 10, 10)])
    assert (book.accounts["x"].use().upstream_left, book.accounts["x"].use().labels_left) == (100, 4)


# -- terminals ------------------------------------------------------------------------------------

NAMES = ("a", "b", "c")
end = st.tuples(st.sampled_from(NAMES), st.integers(1, 4), st.integers(0, 30), st.integers(0, 30))
segments = st.lists(end, min_size=1, max_size=4, unique_by=lambda e: e[:2]).map(lambda ends: Segment.of(*ends))


def sound_segments(label: int) -> st.SearchStrategy[Segment]:
    """Segments that can be a service's; their labels are *label* and the next one."""
    one = st.tuples(st.sampled_from(NAMES), st.integers(label, label + 1), st.integers(1, 30), st.integers(1, 30))
    return st.lists(one, min_size=2, max_size=4, unique_by=lambda e: e[:2]).map(lambda ends: Segment.of(*ends))


def book_with_quotas() -> TerminalBook:
    book = TerminalBook("net")
    book.put(Terminal("a", "1", 60, 70, ((1, 4),)))
    book.put(Terminal("b", "2", None, 50, ((1, 2), (4, 4))))
    book.put(Terminal("c", "3"))
    return book


@given(st.lists(st.tuples(st.integers(1, 4), st.lists(segments, max_size=2)), max_size=20))
def test_circuits_quotas_and_totals(steps: list[tuple[int, list[Segment]]]) -> None:
    book = book_with_quotas()
    held: dict[int, list[Segment]] = {}
    for service, wanted in steps:
        taken = {e.circuit for other, kept in held.items() if other != service for s in kept for e in s.ends}
        if any(e.circuit in taken for segment in wanted for e in segment.ends):
            continue
        owner = "even" if service % 2 == 0 else "odd"
        book.hold(service, owner, wanted)
        held[service] = wanted
        check_terminals(book, held)


def share(kept: list[Segment], name: str, side: str) -> int:
    sums = [sum(getattr(e.flow, side) for e in s.ends if e.circuit.terminal == name) for s in kept]
    return max(sums, default=0)


def check_terminals(book: TerminalBook, held: dict[int, list[Segment]]) -> None:
    circuits = {e.circuit: service for service, kept in held.items() for s in kept for e in s.ends}
    assert book.holders == circuits
    for name in NAMES:
        assert book.used(name) == tuple(
            sum(share(k, name, side) for k in held.values()) for side in ("ingress", "egress")
        )
        assert book.labels_held(name) == {c.label: s for c, s in circuits.items() if c.terminal == name}
    for owner, rest in (("odd", 1), ("even", 0)):
        for without in (0, 1, 2):
            mine = {s: k for s, k in held.items() if s % 2 == rest and s != without and k}
            assert book.totals(owner, without) == Totals(
                len(mine),
                sum(len({e.circuit for s in k for e in s.ends}) for k in mine.values()),
                *(sum(share(k, name, side) for k in mine.values() for name in NAMES) for side in ("ingress", "egress")),
            )


@given(sound_segments(3), sound_segments(1), sound_segments(1))
def test_a_quota_is_exceeded_just_when_the_sum_of_the_larger_ones_is_too_much(
    first: Segment, old: Segment, new: Segment
) -> None:
    book = book_with_quotas()
    book.hold(1, "me", [first])
    book.hold(2, "me", [old])
    concerned = {e.circuit.terminal for e in (*old.ends, *new.ends)}
    too_much = any(
        limit is not None and share([first], name, side) + share([old, new], name, side) > limit
        for name, limits in (("a", (60, 70)), ("b", (None, 50)))
        for side, limit in zip(("ingress", "egress"), limits, strict=True)
        if name in concerned
    )
    if too_much:
        with pytest.raises(QuotaExceeded):
            book.resolve(2, new)
    else:
        assert book.resolve(2, new) == new


def test_open_labels_are_the_services_own_or_the_lowest_free() -> None:
    book = book_with_quotas()
    book.hold(1, "me", [Segment.of(("b", 1, 1, 1), ("c", 5, 1, 1))])
    fresh = book.resolve(2, Segment.of(("b", None, 1, 1), ("b", None, 1, 1), ("c", None, 1, 1)))
    assert [e.circuit.label for e in fresh.ends] == [2, 4, 1]
    own = book.resolve(1, Segment.of(("b", None, 1, 1), ("c", None, 1, 1)))
    assert [e.circuit.label for e in own.ends] == [1, 5]
    with pytest.raises(LabelsUnavailable) as caught:
        book.resolve(2, Segment.of(*(("b", None, 1, 1) for _ in range(3))))
    assert caught.value.label is None
    other = book.resolve(2, Segment.of(("b", None, 1, 1), ("c", 9, 1, 1)), avoid=[fresh.ends[0].circuit])
    assert other.ends[0].circuit.label == 4


def test_what_is_wrong_is_told() -> None:
    book = book_with_quotas()
    book.hold(1, "me", [Segment.of(("a", 1, 10, 10), ("c", 5, 1, 1))])
    with pytest.raises(CircuitTaken):
        book.resolve(2, Segment.of(("a", 1, 1, 1), ("c", 1, 1, 1)))
    assert book.resolve(1, Segment.of(("a", 1, 1, 1), ("c", 1, 1, 1)))
    with pytest.raises(TerminalUnknown) as unknown:
        book.resolve(2, Segment.of(("a", 2, 1, 1), ("z", 1, 1, 1)))
    assert unknown.value.path == "segment[1].terminal-name"
    with pytest.raises(LabelsUnavailable) as offered:
        book.resolve(2, Segment.of(("a", 2, 1, 1), ("b", 3, 1, 1)))
    assert (offered.value.terminal, offered.value.label) == ("b", 3)
    with pytest.raises(TerminalBusy):
        book.remove("a")
    with pytest.raises(TerminalUnknown):
        book.remove("z")
    a = book.terminals["a"]
    with pytest.raises(LabelsInUse):
        book.check_change(a, evolve(a, labels=((2, 4),)))
    with pytest.raises(QuotaExceeded):
        book.check_change(a, evolve(a, egress_quota=9))
    book.check_change(a, evolve(a, egress_quota=10, ingress_quota=10, labels=((1, 1),)))
    book.hold(1, "me", [])
    book.remove("a")
    assert set(book.terminals) == {"b", "c"}


def test_who_holds_what_may_be_asked_while_it_changes() -> None:
    book = book_with_quotas()
    before, ended = sys.getswitchinterval(), threading.Event()

    def change() -> None:
        for _ in range(20):
            for service in range(1, 100):
                book.hold(service, "me", [Segment.of(("c", service, 1, 1), ("c", service + 100, 1, 1))])
            for service in range(1, 100):
                book.hold(service, "me", [])
        ended.set()

    sys.setswitchinterval(1e-6)
    try:
        thread = threading.Thread(target=change)
        thread.start()
        while not ended.is_set() and thread.is_alive():
            assert all(1 <= service < 100 for service in book.holders.values())
        thread.join()
    finally:
        sys.setswitchinterval(before)
    assert ended.is_set()
    assert not book.holders


def test_trunks_may_be_listed_while_one_goes() -> None:
    """Whoever lists them does so in a thread of its own, beside the strand that removes one."""

    class Going(dict[str, TrunkAccount]):
        def copy(self) -> dict[str, TrunkAccount]:
            found = dict(self)
            self.clear()
            return found

    with World(line(2)) as world:
        network = world.aggregator("net")
        book = network.trunkbook  # type: ignore[attr-defined]  # of the kernel's own kind
        (name,) = book.accounts
        book.accounts = Going(book.accounts)
        assert [use.trunk.name for use in network.trunks()] == [name]
        with pytest.raises(TrunkUnknown):
            network.trunk(name)


def test_many_open_ends_of_one_terminal_are_chosen_in_one_look() -> None:
    book = TerminalBook("net")
    book.put(Terminal("t", "s1:t", labels=((1, 4094),)))
    looked: list[Circuit] = []
    ends = [End(Circuit("t", 7), TrafficFlow(1, 1))] + [End(Circuit("t", None), TrafficFlow(1, 1))] * 1000
    chosen = book.resolve(1, Segment(ends), also=lambda circuit: looked.append(circuit))
    assert len({end.circuit for end in chosen.ends}) == 1001
    assert len(looked) == 1 + 1001, "each label once, and the one that was asked for"
