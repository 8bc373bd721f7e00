"""What creates left behind is looked for by one thread, for as long as it may come."""

from __future__ import annotations

import logging
import threading
import time

import pytest
from dpb_osm import cleaner
from dpb_osm.cleaner import Cleaner


class Broker:
    """Remembers who looked for what; nothing is left of what is `clean`."""

    def __init__(self):
        self.clean = frozenset()
        self.threads = set()
        self.looks = []

    def release(self, handles):
        self.threads.add(threading.current_thread())
        self.looks.append(handles)
        return handles & self.clean

    def until(self, condition):
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, self.looks
            time.sleep(0.01)

    def ended(self):
        return not any(thread.is_alive() for thread in self.threads)


@pytest.fixture
def broker(monkeypatch):
    monkeypatch.setattr(cleaner, "PAUSES", (0.01, 0.01))
    return Broker()


def test_one_thread_looks_for_all_and_ends_when_nothing_is_left(broker):
    made = Cleaner(broker.release, logging.getLogger())
    handles = frozenset(f"osm-{i}" for i in range(100))
    for handle in handles:
        made.add(handle, once=True)
    broker.until(lambda: broker.looks[-1:] == [handles])
    assert len(broker.threads) == 1
    broker.clean = handles
    broker.until(broker.ended)
    made.add("osm-0", once=True)
    broker.until(lambda: len(broker.threads) == 2 and broker.ended())


def test_what_may_come_late_is_looked_for_again(broker):
    broker.clean = frozenset({"osm-late", "osm-once"})
    made = Cleaner(broker.release, logging.getLogger())
    made.add("osm-once", once=True)
    made.add("osm-late", once=False)
    broker.until(lambda: broker.looks[-3:] == [frozenset({"osm-late"})] * 3)


@pytest.mark.parametrize(("clean", "told"), [(True, ""), (False, "osm-late may be left")])
def test_after_its_time_it_is_given_up_and_told_if_it_may_be_left(broker, monkeypatch, caplog, clean, told):
    monkeypatch.setattr(cleaner, "CLEANING", -1.0)
    broker.clean = frozenset({"osm-late"} if clean else ())
    Cleaner(broker.release, logging.getLogger()).add("osm-late", once=False)
    broker.until(lambda: broker.threads and broker.ended())
    assert told in caplog.text
    assert bool(caplog.text) == bool(told)


def test_a_fault_ends_nothing(broker, caplog):
    def fail(handles):
        broker.release(handles)
        if len(broker.looks) == 1:
            raise KeyError("status")
        return handles

    Cleaner(fail, logging.getLogger()).add("osm-1", once=True)
    broker.until(lambda: len(broker.looks) == 2 and broker.ended())
    assert "could not be looked for" in caplog.text
