"""A network's events as a stream that goes on after interruptions."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from attrs import frozen

from dpb_cli.client import BrokerAway, BrokerRefused, Client

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 5.0
"""How long to wait before trying again, in seconds: at first, and at most (it doubles)."""


@frozen
class Told:
    """One event: its number (None for one without), its kind, and its data."""

    number: int | None
    kind: str
    data: Any


def follow(
    client: Client,
    network: str,
    after: int,
    lost: Callable[[BrokerAway], None],
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[Told]:
    """Yield the events of *network* with numbers above *after*, for ever.

    When the stream ends it is opened again after the last event seen, so none is missed and none comes twice; *lost* is
    told why it ended. `BrokerRefused` when the broker knows no such network; `BrokerAway` if the first attempt fails.
    *pause* waits for seconds.
    """
    last, wait, reached = after, FIRST_PAUSE, False
    while True:
        try:
            with client.stream("networks", network, "events", after=last) as pieces:
                reached, wait = True, FIRST_PAUSE
                for event in parse(pieces):
                    if event.kind == "resync" and isinstance(event.data, dict):
                        last = int(event.data.get("last", last))
                    elif event.number is not None:
                        last = event.number
                    yield event
        except BrokerAway as error:
            if not reached:
                raise
            lost(error)
        except BrokerRefused as error:
            # A broker that is stopping or starting says so; anything else would be said again and again.
            if not reached or error.status < 500:
                raise
            lost(BrokerAway(client.shown, str(error)))
        pause(wait)
        wait = min(wait * 2, LONGEST_PAUSE)


def parse(pieces: Iterable[bytes]) -> Iterator[Told]:
    """Yield the server-sent events in *pieces*, however these are cut; comments are left out."""
    fields: dict[str, list[str]] = {}
    for line in _lines(pieces):
        if not line:
            if "data" in fields:
                yield _event(fields)
            fields = {}
            continue
        name, _, value = line.partition(":")
        if name:
            fields.setdefault(name, []).append(value.removeprefix(" "))


def _lines(pieces: Iterable[bytes]) -> Iterator[str]:
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r").decode("utf-8", "replace")


def _event(fields: dict[str, list[str]]) -> Told:
    text = "\n".join(fields["data"])
    try:
        data = json.loads(text)
    except ValueError:
        data = text
    number = fields.get("id", [""])[-1]
    return Told(int(number) if number.isdecimal() else None, fields.get("event", ["message"])[-1], data)
