"""Many orders about services by one request: `/api/v1/orders`.

For a superior whose service goes through a dozen networks of this broker: one request instead of a dozen, and each
order is answered as soon as it can be, so that none waits for another.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Final

from dpb_framework.contracts import AggregatorManagement
from dpb_framework.errors import BadArgument, DpbError, ServiceGone
from dpb_framework.reply import Reply
from dpb_nbi import codec, operations
from dpb_nbi.access import Identity, orders
from dpb_nbi.access.desk import Given
from dpb_nbi.access.orders import Kind, Order
from dpb_nbi.answers import Answers, Understood
from dpb_nbi.resource import Context, Resource
from dpb_nbi.values import array, integer, kind, table, text
from dpb_nbi.wire import Request, Response

CONTENT_TYPE: Final = "application/x-ndjson"

_SUBJECT: Final = ("order", "network")
_DEFINITION: Final = ("segment", "constraints")
_NEW: Final = ("handle", *_DEFINITION)
_DEFINING: Final = ((*_SUBJECT, "service", *_DEFINITION), (*_SUBJECT, "service", "segment"))
_FORMS: Final[Mapping[str, tuple[Kind, tuple[str, ...], tuple[str, ...]]]] = {
    orders.CREATE.name: (orders.CREATE, (*_SUBJECT, *_NEW), _SUBJECT),
    orders.DEFINE.name: (orders.DEFINE, *_DEFINING),
    orders.PREPARE.name: (orders.PREPARE, *_DEFINING),
    **{found.name: (found, (*_SUBJECT, "service"), (*_SUBJECT, "service")) for found in operations.COMMANDS},
}
"""Each order: its kind, the fields that there are, and those that are needed."""


def _begin(line: list[Understood]) -> list[Reply[None] | None]:
    """Return for each order what settles before its own reply does, where that is enough for an answer.

    A change that is under way is; but of two of one service, which of them that is only their replies tell.
    """
    prepared: set[Order] = set()
    found: list[Reply[None] | None] = []
    for one in line:
        order, early = one.given.order, None
        if one.service is not None and order.kind is orders.PREPARE and order not in prepared:
            prepared.add(order)
            early = operations.under_way(one.service)
        found.append(early)
    return found


class Batch(Resource):
    """`/api/v1/orders`."""

    kinds: ClassVar = {"POST": orders.BATCH}

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._copies = context.copies

    async def on_post(self, request: Request, response: Response) -> None:
        """Give all orders at once, and answer each by a line as soon as its wish is kept."""
        asked = array(table(await request.json(), "", ("orders",), ("orders",))["orders"], "orders")
        if not 1 <= len(asked) <= codec.MAX_ORDERS:
            raise BadArgument("orders", f"expected 1 to {codec.MAX_ORDERS} orders, got {len(asked)}")
        answers = Answers(len(asked), self._copies)
        lines: dict[str, list[tuple[int, Understood]]] = defaultdict(list)
        for at, plain in enumerate(asked):
            try:
                found = self._understand(request.who, plain)
            except ServiceGone as error:
                answers.refuse(at, error, released=plain["order"] == orders.RELEASE.name)
            except DpbError as error:
                answers.refuse(at, error)
            else:
                lines[found.given.order.network if found.alone else ""].append((at, found))
        for line in lines.values():
            begun = _begin([found for _, found in line])
            replies = self.desk.give_all(request.who, [found.given for _, found in line])
            for (at, found), early, reply in zip(line, begun, replies, strict=True):
                answers.expect(at, found, early, reply)
        response.content_type = CONTENT_TYPE
        first = await answers.take()
        if answers.left:
            response.stream = answers.rest(first)
        else:
            response.data = first

    def _understand(self, who: Identity, plain: Any) -> Understood:
        name = plain.get("order") if isinstance(plain, dict) else None
        form = _FORMS.get(name) if isinstance(name, str) else None
        if form is None:
            table(plain, "", plain, ("order",))
            raise BadArgument("order", f"expected one of {', '.join(_FORMS)}, got {kind(name)}")
        wanted, known, needed = form
        table(plain, "", known, needed)
        number = None if wanted is orders.CREATE else integer(plain["service"], "service", 1, codec.MAX_ID)
        order = Order(wanted, text(plain["network"], "network"), number)
        self.desk.check(who, order)  # first: who may not give it is told nothing else
        network = self.desk.network(who, order.network)
        alone = isinstance(network, AggregatorManagement)
        if number is None:
            new = codec.wanted({field: plain[field] for field in _NEW if field in plain})
            make = operations.creating(network, new.handle, new.segment)
            return Understood(Given(order, make, operations.name_of), segment=new.segment, alone=alone)
        service = network.service(number)
        if (command := operations.COMMANDS.get(wanted)) is not None:
            return Understood(Given(order, partial(command, service)), service, alone=alone)
        segment = codec.definition({field: plain[field] for field in _DEFINITION if field in plain}, codec.V1)
        call = service.define if wanted is orders.DEFINE else service.prepare
        return Understood(Given(order, partial(call, segment)), service, segment, alone)
