"""One request: its fields, who asks, of which network."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import frozen

from dpb_framework.contracts import AggregatorManagement, Network, Service, SwitchManagement
from dpb_framework.errors import BadArgument, ServiceGone, ServiceUnknown
from dpb_framework.model import Caller, check_name
from dpb_framework.reply import Reply
from dpb_nbi.access.orders import Kind, Order
from dpb_nbi.operations import Asking
from dpb_nbi.values import digits, integer, text

if TYPE_CHECKING:
    from dpb_nbi.ssh.conversation import Session
    from dpb_nbi.ssh.watching import Changes

T = TypeVar("T")

_MOST_ID = 10**18 - 1


@frozen(eq=False)
class Ask:
    """One request.

    `lock` is the network's, for what is read, changed and written; `last` counts what lasts, by 1 or -1. Fields
    that a type does not know are passed over, as the first broker did.
    """

    network: Network
    content: Mapping[str, Any]
    asking: Asking
    session: Session
    lock: asyncio.Lock
    last: Callable[[int], None]
    changes: Changes

    def get(self, name: str) -> Any:
        """A field's value; `BadArgument` when it is missing."""
        if name not in self.content:
            raise BadArgument(name, "the field is missing")
        return self.content[name]

    def text(self, name: str) -> str:
        """A field that is a text."""
        return text(self.get(name), name)

    def name(self, name: str) -> str:
        """A field that is a name."""
        return check_name(self.text(name), name)

    def service_id(self) -> int:
        """The field `service-id`: a number, or a text of digits."""
        value = self.get("service-id")
        if isinstance(value, str):
            found = digits(value)
            if found is not None:
                return found
        return integer(value, "service-id", 0, _MOST_ID)

    def service(self) -> Service:
        """The service that is meant. `ServiceUnknown`, `ServiceGone`."""
        return self.network.service(self.service_id())

    def is_there(self) -> bool:
        """Whether the service that is meant is there."""
        try:
            self.service()
        except (ServiceGone, ServiceUnknown):
            return False
        return True

    def switch(self) -> SwitchManagement:
        """The network, as one whose terminals are managed."""
        assert isinstance(self.network, SwitchManagement)
        return self.network

    def aggregator(self) -> AggregatorManagement:
        """The network, as one with trunks."""
        assert isinstance(self.network, AggregatorManagement)
        return self.network

    async def give(self, kind: Kind, call: Callable[[Caller], Reply[T]], **subject: str) -> T:
        """Give an order about a terminal or a trunk, and return what came of it."""
        # The words are fields of Order, all optional.
        order = Order(kind, self.asking.network, **subject)  # type: ignore[arg-type]
        return await self.asking.calls.reply(self.asking.desk.give(self.asking.who, order, call))
