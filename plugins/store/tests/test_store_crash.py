"""kill -9: what was told to be kept is there afterwards, and no batch is there by half."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
from dpb_store import SqlStore

from dpb_framework.contracts.store import AttemptRecord, ServiceRecord
from dpb_framework.errors import StoreLocked

ROUNDS = 400 if os.environ.get("DPB_SOAK") == "1" else 20
DEADLINE = 30.0

# Each batch makes a service with an attempt of two tunnels, an event and an item: all of it, or nothing. Several are
# on their way at once. The number of each that is settled goes through the pipe, in one write.
CHILD = """
import os, sys, threading
from dpb_framework.contracts.store import *
from dpb_framework.model import *
from dpb_store import SqlStore

store = SqlStore(url=sys.argv[1])
store.open()
first = store.load().last_events.get("net", 0) + 1
store.submit(Batch([NetworkRecord("net", "aggregator", first)])).result()
slots = threading.Semaphore(int(sys.argv[2]))

def settled(reply, number):
    if reply.error is None:
        os.write(1, b"%d\\n" % number)
    slots.release()

for number in range(first, first + 1000000):
    slots.acquire()
    tunnels = [Tunnel("t", number % 4094, number, 1), Tunnel("u", number % 4094, number, 1)]
    batch = Batch([
        ServiceRecord("net", number, f"h{number}", "me", Desired.ACTIVE, Status.ESTABLISHING),
        AttemptRecord("net", number, 1, Role.CURRENT, tunnels),
        EventRecord(Event("net", number, EventKind.SERVICE, {"id": number})),
        Item("ns", str(number), number),
    ])
    store.submit(batch).then(lambda reply, number=number: settled(reply, number))
"""


def _run(url, chance):
    """Let a child write, kill it at a random moment, and return the numbers that it reported."""
    command = [sys.executable, "-c", CHILD, url, str(chance.choice([1, 4, 50]))]
    child = subprocess.Popen(command, stdout=subprocess.PIPE)
    reported = b""
    try:
        # The moment is counted in reports, not in time: a slow machine tests the same.
        wanted = chance.randrange(1, 400)
        while len(reported) < wanted:
            chunk = os.read(child.stdout.fileno(), 4096)
            assert chunk, "the child ended by itself"
            reported += chunk
    finally:
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read()
        child.stdout.close()
        child.wait(DEADLINE)
    return [int(line) for line in (reported + rest).split(b"\n")[:-1]]


def _open(url):
    store = SqlStore(url=url)
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            store.open()
            return store
        except StoreLocked:
            # A server notices the end of its client a moment later.
            assert time.monotonic() < deadline


@pytest.mark.parametrize("rounds", [ROUNDS])
def test_what_was_reported_survives_kill_9_and_nothing_is_there_by_half(url, rounds):
    if url.startswith("postgresql"):
        rounds //= 4  # the server survives; there is only the lease and the last group to go wrong
    chance = random.Random(4753)
    reported = set()
    identity = None
    for _ in range(rounds):
        reported.update(_run(url, chance))
        store = _open(url)
        identity = identity or store.uuid
        assert store.uuid == identity
        contents = store.load()
        services = {record.id for record in contents.tables[ServiceRecord]}
        assert reported <= services
        assert services == set(range(1, len(services) + 1))
        attempts = {record.service: len(record.tunnels) for record in contents.tables[AttemptRecord]}
        assert attempts == dict.fromkeys(services, 2)
        assert {item.value for item in store.items("ns").values()} == services
        assert contents.last_events == {"net": len(services)}
        store.close()
