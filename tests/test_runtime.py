"""Strands, leaves, timers and replies."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from dpb_framework.errors import NoCapacity, Stopped, TimedOut
from dpb_framework.networks.deadlines import Deadlines
from dpb_framework.reply import Reply, to_asyncio
from dpb_framework.runtime import Runtime, Strand
from dpb_framework.testing.manual import ManualRuntime
from dpb_framework.turns import turn

PATIENCE = 20.0


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    made = Runtime(workers=2, leaf_threads=1)
    yield made
    made.stop()


# -- strands --------------------------------------------------------------------------------------


def test_a_strand_runs_in_the_thread_that_posts() -> None:
    strand, seen = Strand(), []
    strand.post(lambda: seen.append(threading.current_thread()))
    assert seen == [threading.current_thread()]


def test_what_is_posted_from_within_comes_after() -> None:
    strand, seen = Strand(), list[str]()

    def outer() -> None:
        strand.post(lambda: seen.append("inner"))
        seen.append("outer")

    strand.post(outer)
    strand.post(lambda: seen.append("last"))
    assert seen == ["outer", "inner", "last"]


def test_whoever_finds_a_strand_busy_goes_on() -> None:
    strand, seen = Strand(), list[str]()
    busy, free = threading.Event(), threading.Event()

    def holds() -> None:
        busy.set()
        assert free.wait(PATIENCE)
        seen.append("first")

    thread = threading.Thread(target=strand.post, args=(holds,))
    thread.start()
    assert busy.wait(PATIENCE)
    strand.post(lambda: seen.append("second"))
    assert seen == [], "it was left to the thread that runs the strand"
    free.set()
    thread.join(PATIENCE)
    assert seen == ["first", "second"]


def test_tasks_of_many_threads_run_one_at_a_time_and_in_each_ones_order(runtime: Runtime) -> None:
    strand, seen = Strand(), list[tuple[int, int]]()
    inside = 0

    def task(thread: int, number: int) -> None:
        nonlocal inside
        inside += 1
        assert inside == 1
        seen.append((thread, number))
        inside -= 1

    def posts(thread: int) -> None:
        for number in range(300):
            if number % 3:
                strand.post(lambda n=number: task(thread, n))
            else:
                strand.hand_over(lambda n=number: task(thread, n), runtime)

    threads = [threading.Thread(target=posts, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    done = threading.Event()
    strand.hand_over(done.set, runtime)
    assert done.wait(PATIENCE)
    assert len(seen) == 1200
    for thread in range(4):
        assert [n for t, n in seen if t == thread] == list(range(300))


def test_what_is_handed_over_in_one_turn_is_one_worker_s_but_for_what_takes_long(runtime: Runtime) -> None:
    seen: list[tuple[str, int]] = []
    long_one, free, all_done = threading.Event(), threading.Event(), threading.Semaphore(0)

    def note(word: str) -> None:
        seen.append((word, threading.get_ident()))
        all_done.release()

    def takes_long() -> None:
        long_one.set()
        free.wait(PATIENCE)
        all_done.release()

    with turn():
        Strand.hand_over_together([(Strand(), takes_long)], runtime, alone=True)
        for number in range(5):
            tasks = [(Strand(), partial(note, f"{word} {number}")) for word in ("kept", "told")]
            Strand.hand_over_together(tasks, runtime)
        assert long_one.wait(PATIENCE)
        assert seen == [], "they are handed over at the end of the turn"
    for _ in range(10):
        assert all_done.acquire(timeout=PATIENCE), f"only {seen} while another takes long"
    assert [word for word, _ in seen] == [f"{word} {number}" for word in ("kept", "told") for number in range(5)]
    assert len({thread for _, thread in seen}) == 1
    free.set()
    assert all_done.acquire(timeout=PATIENCE)


def test_a_strand_outlives_a_faulty_task(caplog: pytest.LogCaptureFixture) -> None:
    strand, seen = Strand(), []

    def faulty() -> None:
        raise ValueError("a slip")

    strand.post(faulty)
    strand.post(lambda: seen.append(1))
    assert seen == [1]
    assert "a slip" in caplog.text


def test_nobody_blocks_on_a_strand() -> None:
    strand, told = Strand(), list[str]()

    def blocks() -> None:
        with pytest.raises(RuntimeError) as caught:
            Reply[None]().result(1)
        told.append(str(caught.value))
        assert Reply.of(7).result() == 7, "what is there already may be read"

    strand.post(blocks)
    assert "then()" in told[0]
    with pytest.raises(TimedOut):
        Reply[None]().result(0.001)


# -- leaves and workers ---------------------------------------------------------------------------


def test_a_leaf_tells_what_became_of_a_call(runtime: Runtime) -> None:
    leaf = runtime.leaf("a")
    assert leaf.submit(lambda: 7).result(PATIENCE) == 7

    def fails() -> None:
        raise NoCapacity("net", "nothing")

    with pytest.raises(NoCapacity):
        leaf.submit(fails).result(PATIENCE)
    assert leaf.submit(lambda: Reply.of(3).result()).result(PATIENCE) == 3


def test_a_slow_leaf_starves_nobody(runtime: Runtime) -> None:
    slow, other, free = runtime.leaf("slow"), runtime.leaf("other"), threading.Event()
    held = [slow.submit(lambda: free.wait(PATIENCE)) for _ in range(3)]
    assert other.submit(lambda: 1).result(PATIENCE) == 1
    assert runtime.work(lambda: 2).result(PATIENCE) == 2
    assert not any(reply.settled for reply in held)
    free.set()
    assert [reply.result(PATIENCE) for reply in held] == [True] * 3


def test_after_the_stop_nothing_is_taken() -> None:
    runtime = Runtime(1, 1)
    leaf = runtime.leaf("a")
    runtime.stop()
    runtime.stop()
    with pytest.raises(Stopped):
        leaf.submit(lambda: 1).result(PATIENCE)
    with pytest.raises(Stopped):
        runtime.work(lambda: 1).result(PATIENCE)
    runtime.soon(lambda: None)
    runtime.later(0, lambda: None)()


def test_a_worker_outlives_a_faulty_task(runtime: Runtime, caplog: pytest.LogCaptureFixture) -> None:
    def faulty() -> None:
        raise ValueError("a slip")

    for _ in range(4):
        runtime.soon(faulty)
    with pytest.raises(ValueError, match="a slip"):
        runtime.work(faulty).result(PATIENCE)
    assert runtime.work(lambda: 1).result(PATIENCE) == 1
    assert "a slip" in caplog.text


# -- timers ---------------------------------------------------------------------------------------


def test_timers_run_in_the_order_of_their_dates() -> None:
    runtime = Runtime(workers=1)
    seen: list[str] = []
    done = threading.Event()
    runtime.later(0.02, lambda: (seen.append("late"), done.set()))  # type: ignore[func-returns-value]
    runtime.later(0.0, lambda: seen.append("soon"))
    cancel = runtime.later(0.01, lambda: seen.append("cancelled"))
    cancel()
    cancel()
    assert done.wait(PATIENCE)
    assert seen == ["soon", "late"]
    runtime.stop()


def test_cancelled_timers_are_forgotten_long_before_their_date() -> None:
    """Patience that was not needed does not pile up; what was not cancelled still happens, in its order."""
    runtime = Runtime(workers=1)
    seen: list[int] = []
    done = threading.Event()
    dates = [(0.0, 1), (0.001, 2), (0.002, 3)]
    for _ in range(5000):
        cancel = runtime.later(3600, lambda: seen.append(0))
        cancel()
        cancel()
    for seconds, number in dates:
        runtime.later(seconds, lambda n=number: seen.append(n))  # type: ignore[misc]
    for cancel in [runtime.later(3600, lambda: seen.append(0)) for _ in range(5000)]:
        cancel()
    assert len(runtime._timers._heap) < 200
    runtime.later(0.003, done.set)
    assert done.wait(PATIENCE)
    assert seen == [1, 2, 3]
    runtime.stop()


def test_a_deadline_that_fails_is_not_the_others_fault(caplog: pytest.LogCaptureFixture) -> None:
    """Each that is over is called back, and those that come later too, though a callback before them fails."""
    runtime, strand, over = ManualRuntime(), Strand(), list[str]()
    deadlines = Deadlines(runtime, strand, 10.0)

    def faulty() -> None:
        raise ValueError("a slip")

    deadlines.begin("a", faulty)
    deadlines.begin("b", lambda: over.append("b"))
    runtime.advance(5)
    deadlines.begin("c", lambda: over.append("c"))
    runtime.advance(5)
    assert over == ["b"]
    runtime.advance(5)
    assert over == ["b", "c"]
    assert "a slip" in caplog.text


def test_the_manual_runtimes_time_passes_when_told() -> None:
    runtime, seen = ManualRuntime(), list[tuple[str, float]]()

    def chain() -> None:
        seen.append(("first", runtime.now()))
        runtime.later(1, lambda: seen.append(("second", runtime.now())))

    runtime.later(2, chain)
    runtime.later(5, lambda: seen.append(("never", 0)))()
    runtime.run()
    assert seen == []
    runtime.advance(10)
    assert seen == [("first", 2.0), ("second", 3.0)]
    assert runtime.now() == 10.0


def test_the_manual_runtime_tells_of_what_never_rests() -> None:
    runtime = ManualRuntime()

    def again() -> None:
        runtime.soon(again)

    again()
    with pytest.raises(RuntimeError, match="no rest"):
        runtime.run(100)


def test_deadlines_share_one_timer() -> None:
    runtime, strand, over = ManualRuntime(), Strand(), list[tuple[str, float]]()
    deadlines = Deadlines(runtime, strand, 10.0)

    def begin(key: str) -> None:
        deadlines.begin(key, lambda: over.append((key, runtime.now())))

    for key in "abc":
        begin(key)
        runtime.advance(3)
    deadlines.end("b")
    deadlines.end("nobody")
    begin("a")
    runtime.advance(100)
    assert over == [("c", 16.0), ("a", 19.0)]
    begin("d")
    runtime.advance(10)
    assert over[-1] == ("d", 119.0)


# -- replies --------------------------------------------------------------------------------------


def test_a_reply_settles_once() -> None:
    reply, seen = Reply[int](), list[int]()
    reply.then(lambda r: seen.append(r.value))
    with pytest.raises(RuntimeError, match="not come"):
        _ = reply.value
    assert reply.resolve(1)
    assert not reply.resolve(2)
    assert not reply.fail(ValueError("x"))
    reply.then(lambda r: seen.append(r.value))
    assert (seen, reply.value, reply.error, reply.settled) == ([1, 1], 1, None, True)


def test_a_failed_reply_raises_its_error() -> None:
    error = NoCapacity("net", "nothing")
    reply: Reply[int] = Reply.failed(error)
    assert reply.error is error
    with pytest.raises(NoCapacity):
        reply.result(0)


def test_a_reply_is_awaited_by_an_event_loop() -> None:
    async def wait() -> tuple[int, BaseException | None]:
        late: Reply[int] = Reply()
        threading.Timer(0.01, late.resolve, (7,)).start()
        found = await asyncio.wait_for(to_asyncio(late), PATIENCE)
        failed = await to_asyncio(Reply[int].failed(NoCapacity("net", "x")))
        return found.value, failed.error

    value, error = asyncio.run(wait())
    assert value == 7
    assert isinstance(error, NoCapacity)
