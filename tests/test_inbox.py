"""What threads bring to an event loop arrives whole, in order, and wakes the loop seldom."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref

import pytest

from dpb_framework.inbox import Inbox

PATIENCE = 20.0


def test_calls_are_made_in_the_loop_and_in_their_order() -> None:
    seen: list[tuple[int, int]] = []

    async def main() -> None:
        inbox, done = Inbox.of(asyncio.get_running_loop()), asyncio.Event()
        here = threading.current_thread()

        def note(thread: int, number: int) -> None:
            assert threading.current_thread() is here
            seen.append((thread, number))
            if len(seen) == 4000:
                done.set()

        def bring(thread: int) -> None:
            for number in range(1000):
                inbox.put(lambda n=number: note(thread, n))  # type: ignore[misc]  # a default has no type

        threads = [threading.Thread(target=bring, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        await asyncio.wait_for(done.wait(), PATIENCE)
        for thread in threads:
            thread.join()

    asyncio.run(main())
    for thread in range(4):
        assert [number for t, number in seen if t == thread] == list(range(1000))


def test_what_is_left_for_afterwards_comes_after_all_that_the_calls_queued() -> None:
    seen: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        inbox = Inbox.of(loop)

        def arrive(word: str) -> None:
            loop.call_soon(seen.append, f"{word} goes on")
            inbox.afterwards(lambda: seen.append(f"{word} over"))

        for word in ("one", "other"):
            inbox.put(lambda w=word: arrive(w))  # type: ignore[misc]  # a default has no type
        for _ in range(3):
            await asyncio.sleep(0)

    asyncio.run(main())
    assert seen == ["one goes on", "other goes on", "one over", "other over"]


def test_what_comes_together_wakes_the_loop_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        loop, seen, woken = asyncio.get_running_loop(), list[int](), list[object]()
        wake = loop.call_soon_threadsafe
        monkeypatch.setattr(loop, "call_soon_threadsafe", lambda call: woken.append(call) or wake(call))
        inbox = Inbox.of(loop)
        for number in range(100):
            inbox.put(lambda n=number: seen.append(n))  # type: ignore[misc]  # nor has this
        assert len(woken) == 1
        await asyncio.sleep(0)
        assert seen == list(range(100))
        inbox.put(lambda: seen.append(-1))
        assert len(woken) == 2
        await asyncio.sleep(0)
        assert seen[-1] == -1

    asyncio.run(main())


def test_what_a_call_brings_comes_in_a_later_turn_of_the_loop() -> None:
    async def main() -> None:
        inbox, seen = Inbox.of(asyncio.get_running_loop()), list[str]()

        def again() -> None:
            seen.append("again")
            if len(seen) < 100:
                inbox.put(again)

        inbox.put(again)
        await asyncio.sleep(0)
        assert seen == ["again"], "others of the loop have their turn in between"
        while len(seen) < 100:
            await asyncio.sleep(0)

    asyncio.run(main())


def test_a_call_that_fails_is_told_and_takes_no_other_with_it() -> None:
    async def main() -> None:
        loop, seen, told = asyncio.get_running_loop(), list[int](), list[str]()
        loop.set_exception_handler(lambda _, context: told.append(str(context["exception"])))
        inbox = Inbox.of(loop)

        def fails() -> None:
            raise ValueError("a slip")

        inbox.put(fails)
        inbox.put(lambda: seen.append(1))
        await asyncio.sleep(0)
        assert (seen, told) == ([1], ["a slip"])

    asyncio.run(main())


def test_a_closed_loop_takes_nothing() -> None:
    loop = asyncio.new_event_loop()
    inbox = Inbox.of(loop)
    loop.close()
    for _ in range(2):
        with pytest.raises(RuntimeError):
            inbox.put(lambda: None)


def test_one_loop_has_one_inbox_and_takes_it_along() -> None:
    loop = asyncio.new_event_loop()
    assert Inbox.of(loop) is Inbox.of(loop)
    gone = weakref.ref(loop)
    loop.close()
    del loop
    gc.collect()
    assert gone() is None
