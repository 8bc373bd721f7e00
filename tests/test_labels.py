"""Label pools against plain sets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpb_framework.errors import BadArgument
from dpb_framework.model import MAX_LABEL, LabelRange
from dpb_framework.networks.labels import LabelPool, check_ranges


@st.composite
def ranges(draw: st.DrawFn) -> tuple[LabelRange, ...]:
    """A few ranges that overlap at neither end, in any order; the ends are mapped in another order."""
    sizes = draw(st.lists(st.integers(1, 5), max_size=4))
    gaps = draw(st.lists(st.integers(0, 3), min_size=len(sizes), max_size=len(sizes)))
    order = draw(st.permutations(range(len(sizes))))
    starts, at = [], 0
    for size, gap in zip(sizes, gaps, strict=True):
        starts.append(at + gap)
        at += gap + size
    made: list[LabelRange] = []
    end = 100
    for place in order:
        made.append(LabelRange(starts[place], sizes[place], end))
        end += sizes[place] + gaps[place]
    return tuple(made)


def spelt_out(given_ranges: tuple[LabelRange, ...]) -> dict[int, int]:
    return {r.start + i: r.end + i for r in given_ranges for i in range(r.count)}


@given(
    ranges(),
    st.lists(st.tuples(st.sampled_from(["take", "give", "peek", "redefine"]), st.integers(0, 40)), max_size=40),
    st.data(),
)
def test_a_pool_is_as_a_set(first: tuple[LabelRange, ...], steps: list[tuple[str, int]], data: st.DataObject) -> None:
    pool, labels, taken = LabelPool(first), spelt_out(first), set[int]()
    for step, number in steps:
        if step == "take":
            label = pool.peek()
            assert (label is None) == (not labels.keys() - taken)
            if label is not None:
                assert label in labels.keys() - taken
                pool.take(label)
                taken.add(label)
        elif step == "give":
            label = sorted(taken)[number % len(taken)] if taken else number
            pool.give_back(label)
            taken.discard(label)
        elif step == "peek":
            avoid = data.draw(st.sets(st.sampled_from(sorted(labels)))) if labels else set()
            left = labels.keys() - taken - avoid
            seen = pool.peek(avoid)
            assert seen in left if left else seen is None
        else:
            other = data.draw(ranges())
            now = spelt_out(other)
            lost = sorted(label for label in taken if now.get(label) != labels[label])
            assert pool.missing(other) == lost
            if not lost:
                pool.redefine(other)
                labels = now
        assert pool.free == len(labels) - len(taken)
        assert set(pool.taken) == taken
        for label in range(-1, 50):
            assert pool.end_label(label) == labels.get(label)


def test_labels_come_in_order_and_those_given_back_come_first() -> None:
    pool = LabelPool([LabelRange(20, 2, 70), LabelRange(10, 2, 80)])
    for label in (10, 11, 20, 21):
        assert pool.peek() == label
        pool.take(label)
    assert pool.peek() is None
    for label in (20, 11):
        pool.give_back(label)
    assert pool.peek() == 11


def test_a_label_given_back_a_thousand_times_is_kept_once() -> None:
    """A pool does not grow with how often its labels are used: neither the label that is next, nor one behind it."""
    for again in (1, 2):
        pool = LabelPool([LabelRange(1, 4094, 1)])
        for label in (1, 2):
            pool.take(label)
        for label in (1, 2):
            pool.give_back(label)
        for _ in range(1000):
            pool.take(again)
            pool.give_back(again)
        assert pool.free == 4094
        assert len(pool._back) == 2
        for label in (1, 2, 3):
            assert pool.peek() == label
            pool.take(label)
        assert pool.free == 4091


def test_sixteen_million_labels_are_never_spelt_out() -> None:
    """A pool of all labels is made, used and changed at the price of what is taken."""
    whole = (LabelRange(0, MAX_LABEL + 1, 0),)
    pool = LabelPool(whole)
    assert pool.free == MAX_LABEL + 1
    for label in range(2000):
        assert pool.peek() == label
        pool.take(label)
    assert pool.end_label(MAX_LABEL) == MAX_LABEL
    halves = (LabelRange(0, 1 << 23, 0), LabelRange(1 << 23, 1 << 23, 1 << 23))
    assert pool.missing(halves) == []
    pool.redefine(halves)
    assert pool.peek() == 2000
    assert pool.peek(avoid={2000, 2001}) == 2002
    for label in range(2000):
        pool.give_back(label)
    assert pool.free == MAX_LABEL + 1


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ([LabelRange(1, 0, 1)], "labels[0].label-count"),
        ([LabelRange(-1, 1, 1)], "labels[0].start-label"),
        ([LabelRange(MAX_LABEL, 2, 1)], "labels[0].start-label"),
        ([LabelRange(1, 1, 1), LabelRange(2, 2, MAX_LABEL)], "labels[1].end-label"),
        ([LabelRange(1, 3, 1), LabelRange(3, 1, 9)], "labels[1].start"),
        ([LabelRange(5, 3, 10), LabelRange(1, 3, 8)], "labels[0].end"),
    ],
)
def test_ranges_that_cannot_be(wrong: list[LabelRange], path: str) -> None:
    with pytest.raises(BadArgument) as caught:
        check_ranges(wrong)
    assert caught.value.path == path


def test_ranges_that_touch_are_sound() -> None:
    check_ranges([LabelRange(1, 3, 11), LabelRange(4, 3, 1)])
    check_ranges([])
