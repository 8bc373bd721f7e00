"""The table of request types: which networks have them, which role they need, what answers them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from enum import Enum
from typing import Any, Final

from attrs import frozen

from dpb_framework.contracts import AggregatorManagement, Network, SwitchManagement
from dpb_framework.errors import BadArgument
from dpb_nbi.access import orders
from dpb_nbi.access.orders import Kind, Order
from dpb_nbi.ssh import reading, services, terminals, trunks
from dpb_nbi.ssh.asking import Ask

Plain = dict[str, Any]


class On(Enum):
    """Which networks have a type; the value says it for people."""

    EVERY = "every network"
    MANAGED = "a network whose terminals are managed here"
    SWITCH = "a switch"
    AGGREGATOR = "an aggregator"

    def fits(self, network: Network) -> bool:
        """Whether *network* is one of them."""
        has_trunks = isinstance(network, AggregatorManagement)
        return {
            On.EVERY: True,
            On.MANAGED: isinstance(network, SwitchManagement),
            On.SWITCH: isinstance(network, SwitchManagement) and not has_trunks,
            On.AGGREGATOR: has_trunks,
        }[self]


@frozen
class Type:
    """One type of requests."""

    on: On
    kind: Kind
    answer: Callable[[Ask], Awaitable[Plain]]


TYPES: Final[Mapping[str, Type]] = {
    "get-terminals": Type(On.EVERY, orders.READ, reading.get_terminals),
    "check-terminal": Type(On.EVERY, orders.READ, reading.check_terminal),
    "get-services": Type(On.EVERY, orders.READ, reading.get_services),
    "check-service": Type(On.EVERY, orders.READ, reading.check_service),
    "find-service": Type(On.EVERY, orders.READ, reading.find_service),
    "get-model": Type(On.EVERY, orders.READ, reading.get_model),
    "dump-status": Type(On.EVERY, orders.READ, reading.dump_status),
    "new-service": Type(On.EVERY, orders.CREATE, services.new_service),
    "define-service": Type(On.EVERY, orders.DEFINE, services.define_service),
    "activate-service": Type(On.EVERY, orders.ACTIVATE, services.command(orders.ACTIVATE)),
    "deactivate-service": Type(On.EVERY, orders.DEACTIVATE, services.command(orders.DEACTIVATE)),
    "reset-service": Type(On.EVERY, orders.RESET, services.command(orders.RESET)),
    "release-service": Type(On.EVERY, orders.RELEASE, services.command(orders.RELEASE)),
    "await-service-status": Type(On.EVERY, orders.AWAIT, services.await_service_status),
    "watch-service": Type(On.EVERY, orders.AWAIT, services.watch_service),
    "remove-terminal": Type(On.MANAGED, orders.REMOVE_TERMINAL, terminals.remove_terminal),
    "add-terminal": Type(On.SWITCH, orders.PUT_TERMINAL, terminals.add_terminal),
    "get-switch-terminals": Type(On.SWITCH, orders.READ, terminals.get_switch_terminals),
    "modify-terminal-bandwidth": Type(On.SWITCH, orders.PUT_TERMINAL, terminals.modify_terminal_bandwidth),
    "map-terminal": Type(On.AGGREGATOR, orders.PUT_TERMINAL, terminals.map_terminal),
    "get-aggregator-terminals": Type(On.AGGREGATOR, orders.READ, terminals.get_aggregator_terminals),
    "get-trunks": Type(On.AGGREGATOR, orders.READ, trunks.get_trunks),
    "add-trunk": Type(On.AGGREGATOR, orders.PUT_TRUNK, trunks.add_trunk),
    "get-trunk-delay": Type(On.AGGREGATOR, orders.READ, trunks.get_trunk_delay),
    "set-trunk-delay": Type(On.AGGREGATOR, orders.PUT_TRUNK, trunks.set_trunk_delay),
    "increase-trunk-bw": Type(On.AGGREGATOR, orders.PUT_TRUNK, trunks.increase_trunk_bw),
    "decrease-trunk-bw": Type(On.AGGREGATOR, orders.PUT_TRUNK, trunks.decrease_trunk_bw),
    "define-trunk-label-range": Type(On.AGGREGATOR, orders.PUT_TRUNK, trunks.define_label_range),
    "revoke-trunk-start-label-range": Type(On.AGGREGATOR, orders.PUT_TRUNK, trunks.revoke_start_label_range),
    "revoke-trunk-end-label-range": Type(On.AGGREGATOR, orders.PUT_TRUNK, trunks.revoke_end_label_range),
    "decommission-trunk": Type(On.AGGREGATOR, orders.PUT_TRUNK, trunks.commissioning(wanted=False)),
    "recommission-trunk": Type(On.AGGREGATOR, orders.PUT_TRUNK, trunks.commissioning(wanted=True)),
    "is-trunk-commissioned": Type(On.AGGREGATOR, orders.READ, trunks.is_trunk_commissioned),
    "remove-trunk": Type(On.AGGREGATOR, orders.REMOVE_TRUNK, trunks.remove_trunk),
}


def is_reading(content: Any) -> bool:
    """Whether it is a request that is answered from what there is, without a change and without waiting."""
    name = content.get("type") if isinstance(content, dict) else None
    found = TYPES.get(name) if isinstance(name, str) else None
    return found is not None and found.kind is orders.READ


async def perform(ask: Ask) -> Plain:
    """Return what answers the request. `BadArgument` for a type that is not there; `RoleMissing` before all else."""
    name = ask.text("type")
    found = TYPES.get(name)
    if found is None:
        raise BadArgument("type", f"there is no type {name[:60]!r}")
    who, network = ask.asking.who, ask.network
    ask.asking.desk.check(who, Order(found.kind, network.name, service=_service(ask)))
    if not found.on.fits(network):
        raise BadArgument("type", f"{name} is for {found.on.value}, and {network.name!r} is of kind {network.kind!r}")
    return await found.answer(ask)


def _service(ask: Ask) -> int | None:
    """Return the service that a refusal is written down for, if the request has one."""
    value = ask.content.get("service-id")
    return value if isinstance(value, int) and not isinstance(value, bool) else None
