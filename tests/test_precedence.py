"""What computes for long stands aside for what is short, and never for ever."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from dpb_framework import precedence
from dpb_framework import reply as reply_module
from dpb_framework.precedence import Steps, begin_search, end_search, give_way, pauses
from dpb_framework.reply import Reply, to_asyncio
from dpb_framework.runtime import Runtime

PATIENCE = 20.0


@pytest.fixture(autouse=True)
def nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """What other tests of this process have begun, and perhaps not ended, counts for nobody here."""
    monkeypatch.setattr(precedence, "_places", ())


@pytest.fixture
def steps() -> Steps:
    return Steps()


def search(slices: int = 3) -> int:
    """Compute for so many slices; how often it stood aside."""
    before, turn = pauses(), begin_search()
    for _ in range(slices):
        time.sleep(2 * precedence.SLICE)
        give_way()
    end_search(turn)
    return pauses() - before


def in_thread(call: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(call()), daemon=True)
    thread.start()
    return thread, found


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_without_steps_nobody_stands_aside() -> None:
    assert search() == 0


def test_a_search_goes_on_whatever_comes(steps: Steps) -> None:
    steps.expect()
    assert search() == 3


def test_within_a_slice_nobody_looks(steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precedence, "SLICE", 1000.0)
    steps.expect()
    before, turn = pauses(), begin_search()
    for _ in range(1000):
        give_way()
    end_search(turn)
    assert pauses() == before


def test_it_goes_on_as_soon_as_the_last_step_is_over(steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precedence, "PAUSE", 1000.0)
    other = Steps()
    steps.expect()
    other.expect()
    thread, found = in_thread(lambda: search(1))
    until(lambda: precedence._aside)
    steps.over()
    time.sleep(0.01)
    assert not found
    other.over()
    thread.join(PATIENCE)
    assert found == [1]


def test_a_place_that_is_closed_counts_for_nobody() -> None:
    place = Steps()
    place.expect()
    place.close()
    assert search() == 0


def test_searches_do_not_wait_for_each_other() -> None:
    """A worker's task is a step until it turns out to be a search."""
    runtime = Runtime(workers=2)
    try:
        both = threading.Barrier(2)

        def together() -> int:
            turn = begin_search()
            time.sleep(2 * precedence.SLICE)
            give_way()  # now it is known to be one
            both.wait(PATIENCE)
            found = search()
            both.wait(PATIENCE)
            end_search(turn)
            return found

        asked = [runtime.work(together) for _ in range(2)]
        assert [reply.result(PATIENCE) for reply in asked] == [0, 0]
    finally:
        runtime.stop()


def test_what_waits_for_a_worker_is_a_step_and_what_follows_a_search_too() -> None:
    runtime = Runtime(workers=1)
    go_on, searched = threading.Event(), threading.Event()
    try:

        def searching() -> int:
            runtime.soon(lambda: None)  # waits for this very worker
            found = search()
            searched.set()
            go_on.wait(PATIENCE)
            return found

        asked = runtime.work(searching)
        assert searched.wait(PATIENCE)
        assert search() == 3
        go_on.set()
        assert asked.result(PATIENCE) == 3
        until(lambda: search(1) == 0)
    finally:
        runtime.stop()


def test_what_a_runtime_drops_is_no_step_any_more() -> None:
    runtime = Runtime(workers=1)
    begun, free = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        free.wait(PATIENCE)

    runtime.soon(hold)
    assert begun.wait(PATIENCE)
    for _ in range(3):
        runtime.soon(lambda: None)
    thread, _ = in_thread(runtime.stop)
    until(lambda: runtime._stopped)
    free.set()
    thread.join(PATIENCE)
    runtime.soon(lambda: None)
    assert search() == 0


def test_an_answer_on_its_way_into_an_event_loop_is_a_step(steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reply_module, "STEPS", steps)

    async def scene() -> list[int]:
        reply: Reply[int] = Reply()
        waiting = asyncio.ensure_future(to_asyncio(reply))
        await asyncio.sleep(0)
        found = [search(1)]
        reply.resolve(1)
        found.append(search(1))  # the loop has not taken it up yet
        await waiting
        found.append(search(1))  # whoever awaited it is still at work
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        found.append(search(1))
        return found

    assert asyncio.run(scene()) == [0, 1, 1, 0]
