"""Requests about the trunks of an aggregator.

A trunk is named by its two ends, in either direction: from the other end, upstream is downstream and start is end.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from attrs import evolve, frozen

from dpb_framework.errors import BadArgument, BandwidthUnavailable, DpbError, TrunkUnknown
from dpb_framework.model import MAX_LABEL, Caller, Trunk, check_name, mbps
from dpb_framework.reply import Reply
from dpb_nbi.access import orders
from dpb_nbi.problems import in_trunk
from dpb_nbi.ssh import labels
from dpb_nbi.ssh.asking import Ask
from dpb_nbi.values import delay, integer, rate

Plain = dict[str, Any]
Half = tuple[str, str]


@frozen
class Seen:
    """A trunk as the request names it: `turned` from its end."""

    trunk: Trunk
    turned: bool


def _ends(ask: Ask) -> tuple[Half, Half]:
    return (
        (ask.name("start-network-name"), ask.name("start-terminal-name")),
        (ask.name("end-network-name"), ask.name("end-terminal-name")),
    )


def _find(ask: Ask) -> Seen:
    start, end = _ends(ask)
    for use in ask.aggregator().trunks():
        if (use.trunk.start, use.trunk.end) in ((start, end), (end, start)):
            return Seen(use.trunk, use.trunk.start != start)
    raise TrunkUnknown(ask.network.name, Trunk.default_name(start, end))


async def _change(ask: Ask, change: Callable[[Seen], Trunk]) -> Plain:
    async with ask.lock:
        seen = _find(ask)
        wanted = change(seen)
        if wanted != seen.trunk:
            await _put(ask, wanted, new=False)
    return {}


async def _put(ask: Ask, trunk: Trunk, *, new: bool) -> None:
    def put(caller: Caller) -> Reply[None]:
        return ask.aggregator().put_trunk(trunk, caller, new=new)

    try:
        await ask.give(orders.PUT_TRUNK, put, trunk=trunk.name)
    except DpbError as error:
        raise in_trunk(error, trunk) from error


async def get_trunks(ask: Ask) -> Plain:
    """The trunks, each by its ends."""
    return {
        "trunks": [
            {
                "start-network-name": use.trunk.start[0],
                "start-terminal-name": use.trunk.start[1],
                "end-network-name": use.trunk.end[0],
                "end-terminal-name": use.trunk.end[1],
            }
            for use in ask.aggregator().trunks()
        ]
    }


async def add_trunk(ask: Ask) -> Plain:
    """Make a trunk: without bandwidth, delay or labels, until they are given to it."""
    start, end = _ends(ask)
    if start == end:
        raise BadArgument("end-terminal-name", "a trunk joins two different terminals")
    name = check_name(Trunk.default_name(start, end), "start-terminal-name")
    await _put(ask, Trunk(name, start, end, 0, 0, labels=()), new=True)
    return {}


async def remove_trunk(ask: Ask) -> Plain:
    """Remove the trunk that has such an end."""
    half = (ask.name("subnetwork-name"), ask.name("subterminal-name"))
    managed = ask.aggregator()
    found = next((use.trunk.name for use in managed.trunks() if half in (use.trunk.start, use.trunk.end)), None)
    if found is None:
        raise TrunkUnknown(ask.network.name, ".".join(half))
    await ask.give(orders.REMOVE_TRUNK, lambda caller: managed.remove_trunk(found, caller), trunk=found)
    return {}


# -- delay, bandwidth ---------------------------------------------------------------------------


async def get_trunk_delay(ask: Ask) -> Plain:
    """Its delay in milliseconds."""
    return {"delay": mbps(_find(ask).trunk.delay)}  # a thousandth of it, exactly, as for rates


async def set_trunk_delay(ask: Ask) -> Plain:
    """Give it a delay, in milliseconds."""
    wanted = delay(ask.get("delay"), "delay")
    return await _change(ask, lambda seen: evolve(seen.trunk, delay=wanted))


async def increase_trunk_bw(ask: Ask) -> Plain:
    """Give it more bandwidth."""
    return await _change_bandwidth(ask, 1)


async def decrease_trunk_bw(ask: Ask) -> Plain:
    """Take bandwidth away that is not allocated."""
    return await _change_bandwidth(ask, -1)


async def _change_bandwidth(ask: Ask, sign: int) -> Plain:
    up, down = rate(ask.get("upstream-bw"), "upstream-bw"), rate(ask.get("downstream-bw"), "downstream-bw")

    def change(seen: Seen) -> Trunk:
        more, less = (down, up) if seen.turned else (up, down)
        trunk = seen.trunk
        upstream = _bandwidth(ask, trunk, "upstream", trunk.upstream + sign * more)
        downstream = _bandwidth(ask, trunk, "downstream", trunk.downstream + sign * less)
        return evolve(trunk, upstream=upstream, downstream=downstream)

    return await _change(ask, change)


def _bandwidth(ask: Ask, trunk: Trunk, direction: str, wanted: int) -> int:
    if wanted < 0:
        raise BandwidthUnavailable(ask.network.name, trunk.name, direction, wanted, 0)
    return wanted


# -- labels -------------------------------------------------------------------------------------


def _count(ask: Ask) -> int:
    return integer(ask.get("label-count"), "label-count", 1, MAX_LABEL + 1)


def _label(ask: Ask, name: str, count: int) -> int:
    return integer(ask.get(name), name, 0, MAX_LABEL + 1 - count)


async def define_label_range(ask: Ask) -> Plain:
    """Give it labels: `label-count` from `start-label` on, at its end from `end-label` on (the same if left out)."""
    count = _count(ask)
    start = _label(ask, "start-label", count)
    end = start if ask.content.get("end-label") is None else _label(ask, "end-label", count)

    def change(seen: Seen) -> Trunk:
        first, last = (end, start) if seen.turned else (start, end)
        return evolve(seen.trunk, labels=labels.defined(seen.trunk.labels, first, count, last))

    return await _change(ask, change)


async def revoke_start_label_range(ask: Ask) -> Plain:
    """Take labels away by what they are at its start; those that it does not have are passed over."""
    count = _count(ask)
    return await _revoke(ask, _label(ask, "start-label", count), count, at_end=False)


async def revoke_end_label_range(ask: Ask) -> Plain:
    """Take labels away by what they are at its end; those that it does not have are passed over."""
    count = _count(ask)
    return await _revoke(ask, _label(ask, "end-label", count), count, at_end=True)


async def _revoke(ask: Ask, first: int, count: int, *, at_end: bool) -> Plain:
    def change(seen: Seen) -> Trunk:
        revoke = labels.revoked_at_end if at_end != seen.turned else labels.revoked_at_start
        return evolve(seen.trunk, labels=revoke(seen.trunk.labels, first, count))

    return await _change(ask, change)


# -- commissioning ------------------------------------------------------------------------------


def commissioning(*, wanted: bool) -> Callable[[Ask], Awaitable[Plain]]:
    """Return what answers a request to commission or decommission a trunk."""

    async def answer(ask: Ask) -> Plain:
        return await _change(ask, lambda seen: evolve(seen.trunk, commissioned=wanted))

    return answer


async def is_trunk_commissioned(ask: Ask) -> Plain:
    """Whether it takes services."""
    return {"commissioned": _find(ask).trunk.commissioned}
