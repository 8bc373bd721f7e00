"""What a thread leaves to the end of its turn is done there, once, and kept back by nothing that may last."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from functools import partial

import pytest

from dpb_framework.runtime import MANY, Strand
from dpb_framework.turns import THREAD, at_last, begin_turn, do_last, end_turn, together, turn

PATIENCE = 20.0


def noting(seen: list[str], word: str) -> Callable[[], None]:
    return lambda: seen.append(word)


def test_outside_of_a_turn_nothing_waits() -> None:
    seen: list[str] = []
    at_last(noting(seen, "now"))
    Strand().post_last(noting(seen, "posted"))
    assert seen == ["now", "posted"]


def test_what_is_left_to_the_end_comes_after_all_strands_of_the_turn() -> None:
    one, other, seen = Strand(), Strand(), list[str]()

    def first() -> None:
        at_last(noting(seen, "last"))
        one.post_last(noting(seen, "posted last"))
        other.post(noting(seen, "other"))

    one.post(first)
    assert seen == ["other", "last", "posted last"]
    assert THREAD.last is None


def test_the_same_call_is_made_once_in_a_turn() -> None:
    strand, seen = Strand(), list[str]()
    call = noting(seen, "once")

    def many() -> None:
        for _ in range(10):
            at_last(call)
        assert seen == []

    strand.post(many)
    assert seen == ["once"]
    strand.post(many_again := lambda: at_last(call))
    assert seen == ["once", "once"], f"{many_again} was a turn of its own"


def test_what_comes_one_by_one_is_taken_together() -> None:
    taken: list[list[int]] = []
    together(taken.append, 1)
    assert taken == [[1]], "outside of a turn nothing waits"
    other: list[list[int]] = []
    with turn():
        for number in (2, 3, 4):
            together(taken.append, number)
            together(other.append, -number)
        assert taken == [[1]]
    assert taken == [[1], [2, 3, 4]]
    assert other == [[-2, -3, -4]]


def test_what_comes_last_may_leave_more() -> None:
    strand, seen = Strand(), list[str]()

    def last() -> None:
        seen.append("last")
        strand.post(noting(seen, "posted"))
        at_last(noting(seen, "very last"))

    strand.post(lambda: at_last(last))
    assert seen == ["last", "posted", "very last"]
    assert THREAD.last is None


def test_what_takes_long_can_let_it_be_done_before() -> None:
    strand, seen = Strand(), list[str]()

    def task() -> None:
        at_last(noting(seen, "last"))
        do_last()
        seen.append("long")

    strand.post(task)
    assert seen == ["last", "long"]


def test_tasks_that_go_on_coming_do_not_keep_it_back() -> None:
    """Also where the strand that is never empty is not the one with which the turn began."""
    for begins in (Strand(), None):
        strand, seen = Strand(), list[str]()

        def again(strand: Strand = strand, seen: list[str] = seen) -> None:
            seen.append("task")
            if len(seen) < 10 * MANY:
                strand.post(again)

        def first(strand: Strand = strand, seen: list[str] = seen, again: Callable[[], None] = again) -> None:
            at_last(noting(seen, "last"))
            strand.post(again)

        (begins or strand).post(first)
        assert seen.count("task") >= 10 * MANY - 1
        assert seen.index("last") <= MANY


def test_what_is_left_to_the_end_goes_no_deeper_however_much_it_is() -> None:
    """Each call posts to the strand, finds more to do at last, and so on."""
    strand, deepest, done = Strand(), 0, 0
    before = len(inspect.stack())

    def left(number: int) -> None:
        nonlocal deepest, done
        deepest, done = max(deepest, len(inspect.stack(0)) - before), done + 1
        for _ in range(2 * MANY):
            strand.post(lambda: at_last(noting([], "")))
        strand.post(do_last)

    def first() -> None:
        for number in range(100):
            at_last(partial(left, number))

    strand.post(first)
    assert done == 100
    assert deepest < 60


def test_a_task_that_comes_during_what_is_left_to_the_end_waits_for_none_of_it() -> None:
    """Another thread posts to the strand of which this thread has done all tasks."""
    strand, seen = Strand(), list[str]()
    ran = threading.Event()

    def last() -> None:
        thread = threading.Thread(target=lambda: strand.post(ran.set))
        thread.start()
        assert ran.wait(PATIENCE)
        thread.join(PATIENCE)
        seen.append("last")

    strand.post(lambda: at_last(last))
    assert seen == ["last"]


def test_a_turn_is_one_thread_s() -> None:
    strand, seen = Strand(), list[str]()

    def task() -> None:
        at_last(noting(seen, "mine"))
        thread = threading.Thread(target=lambda: at_last(noting(seen, "another's")))
        thread.start()
        thread.join(PATIENCE)

    strand.post(task)
    assert seen == ["another's", "mine"]


def test_only_who_begins_a_turn_ends_it() -> None:
    seen: list[str] = []
    assert begin_turn()
    with turn():
        assert not begin_turn()
        at_last(noting(seen, "last"))
    assert seen == []
    end_turn()
    assert seen == ["last"]
    with turn():
        at_last(noting(seen, "again"))
        assert seen == ["last"]
    assert seen == ["last", "again"]


def test_a_task_that_fails_leaves_the_turn_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    strand, seen = Strand(), list[str]()

    def fails() -> None:
        at_last(noting(seen, "last"))
        raise ValueError("a slip")

    strand.post(fails)
    assert seen == ["last"]
    assert "a slip" in caplog.text


def test_a_call_that_fails_takes_nothing_else_with_it(caplog: pytest.LogCaptureFixture) -> None:
    strand, seen = Strand(), list[str]()

    def fails() -> None:
        raise ValueError("a slip at the end")

    def task() -> None:
        at_last(fails)
        at_last(noting(seen, "next"))

    strand.post(task)
    strand.post(noting(seen, "later"))
    assert seen == ["next", "later"]
    assert "a slip at the end" in caplog.text
    assert THREAD.last is None
    assert not THREAD.forbidden
