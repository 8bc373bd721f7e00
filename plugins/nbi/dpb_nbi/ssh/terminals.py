"""Requests about terminals of switches and aggregators."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from attrs import evolve

from dpb_framework.errors import BadArgument, DpbError, TerminalUnknown
from dpb_framework.model import Caller, Terminal, kbps
from dpb_framework.reply import Reply
from dpb_nbi.access import orders
from dpb_nbi.problems import in_terminal
from dpb_nbi.ssh.asking import Ask
from dpb_nbi.topology_codec import place
from dpb_nbi.values import number, table, text

Plain = dict[str, Any]


async def get_switch_terminals(ask: Ask) -> Plain:
    """The terminals of a switch with the interfaces that they are."""
    return {"terminals": {terminal.name: terminal.place for terminal in ask.switch().list_terminals()}}


async def get_aggregator_terminals(ask: Ask) -> Plain:
    """The terminals of an aggregator with those that they are mapped to."""
    found = {}
    for terminal in ask.aggregator().list_terminals():
        network, below = terminal.subterminal
        found[terminal.name] = {"subnetwork-name": network, "subterminal-name": below}
    return {"terminals": found}


async def add_terminal(ask: Ask) -> Plain:
    """Make a terminal of a switch: `terminal-config` is the fabric's name of its interface."""
    await _put(ask, Terminal(ask.name("terminal-name"), place(ask.get("terminal-config"), "terminal-config")), new=True)
    return {}


async def map_terminal(ask: Ask) -> Plain:
    """Make a terminal of an aggregator from one of an inferior network."""
    below = f"{ask.name('subnetwork-name')}:{ask.name('subterminal-name')}"
    await _put(ask, Terminal(ask.name("terminal-name"), below), new=True)
    return {}


async def remove_terminal(ask: Ask) -> Plain:
    """Remove it."""
    name = ask.text("terminal-name")
    await ask.give(orders.REMOVE_TERMINAL, lambda caller: ask.switch().remove_terminal(name, caller), terminal=name)
    return {}


async def modify_terminal_bandwidth(ask: Ask) -> Plain:
    """Set or adjust its quotas; what is left out stays."""
    name = ask.text("terminal-name")
    async with ask.lock:
        before = next((one for one in ask.switch().list_terminals() if one.name == name), None)
        if before is None:
            raise TerminalUnknown(ask.network.name, name)
        wanted = evolve(
            before,
            ingress_quota=_changed(ask.content.get("ingress"), before.ingress_quota, "ingress"),
            egress_quota=_changed(ask.content.get("egress"), before.egress_quota, "egress"),
        )
        await _put(ask, wanted, new=False)
    return {}


def _changed(value: Any, before: int | None, path: str) -> int | None:
    """Return the quota, kbit/s, that `{"action", "amount"}` makes of *before*; None is no limit."""
    if value is None:
        return before
    body = table(value, path, ("action", "amount"), ("action", "amount"))
    action, amount = text(body["action"], f"{path}.action"), body["amount"]
    if action not in ("set", "adjust"):
        raise BadArgument(f"{path}.action", f"expected set or adjust, got {action[:60]!r}")
    if amount is None:
        return None
    where = f"{path}.amount"
    found = number(amount, where, "a rate in Mbit/s (a number) or null")
    if action == "set":
        return kbps(found, where)
    if before is None:
        kbps(abs(Decimal(found)), where)
        return None  # more or less than no limit is no limit
    after = before + (kbps(found, where) if found >= 0 else -kbps(-found, where))
    if after < 0:
        raise BadArgument(where, f"the quota is {before} kbit/s: that is more than can be taken away")
    return after


async def _put(ask: Ask, terminal: Terminal, *, new: bool) -> None:
    def put(caller: Caller) -> Reply[Terminal]:
        return ask.switch().put_terminal(terminal, caller, new=new)

    try:
        await ask.give(orders.PUT_TERMINAL, put, terminal=terminal.name)
    except DpbError as error:
        raise in_terminal(error, terminal) from error
