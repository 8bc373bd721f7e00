"""What computes for long stands aside for what is short, and never for ever."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable

import pytest

from dpb_framework import precedence
from dpb_framework.precedence import begin_search, end_search, expect_step, give_way, pauses, step_over
from dpb_framework.reply import Reply, bring, to_asyncio
from dpb_framework.runtime import Runtime

PATIENCE = 20.0


@pytest.fixture(autouse=True)
def nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """What another case has begun, and perhaps not ended, counts for nobody here."""
    monkeypatch.setattr(precedence, "_steps", deque())
    monkeypatch.setattr(precedence, "SHORT", 1000.0)


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


def test_a_search_goes_on_whatever_comes() -> None:
    expect_step()
    assert search() == 3


def test_within_a_slice_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precedence, "SLICE", 1000.0)
    expect_step()
    before, turn = pauses(), begin_search()
    for _ in range(1000):
        give_way()
    end_search(turn)
    assert pauses() == before


def test_it_goes_on_as_soon_as_the_last_step_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precedence, "PAUSE", 1000.0)
    expect_step()
    expect_step()
    thread, found = in_thread(lambda: search(1))
    until(lambda: precedence._aside)
    step_over()
    time.sleep(0.01)
    assert not found
    step_over()
    thread.join(PATIENCE)
    assert found == [1]


def test_what_has_not_ended_for_long_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow disk, a search that never gives way, a step that was dropped: and what is short beside it still counts."""
    expect_step()
    monkeypatch.setattr(precedence, "SHORT", 0.05)
    time.sleep(0.06)
    assert search() == 0
    expect_step()
    monkeypatch.setattr(precedence, "SHORT", 1000.0)
    assert search() == 3
    monkeypatch.setattr(precedence, "SHORT", 0.05)
    step_over()
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


def test_an_answer_on_its_way_into_an_event_loop_is_a_step() -> None:
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


def test_an_answer_whose_taking_up_fails_is_no_step_any_more() -> None:
    async def scene() -> list[int]:
        told: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        reply: Reply[int] = Reply()

        def fails() -> None:
            raise LookupError

        bring(reply, fails)
        reply.resolve(1)
        found = [search(1)]
        while not told:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        found.append(search(1))
        return found

    assert asyncio.run(scene()) == [1, 0]
