"""What every resource has: the desk, its calls, its event streams; HEAD wherever there is GET; what may be ordered."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from attrs import frozen

from dpb_framework.contracts import Network
from dpb_framework.model import Caller
from dpb_framework.reply import Reply
from dpb_nbi.access import Access, Desk
from dpb_nbi.access.orders import READ, Kind, Order
from dpb_nbi.access.roles import EVERYWHERE
from dpb_nbi.calls import Calls
from dpb_nbi.operations import Asking
from dpb_nbi.wire import Request

if TYPE_CHECKING:
    from dpb_nbi.events import Streams
    from dpb_nbi.mirror import Copies

T = TypeVar("T")

_READING: Final = ("GET", "HEAD")


@frozen
class Context:
    """What the resources of one application share. `controlled`: who asks must be known."""

    access: Access
    desk: Desk
    calls: Calls
    streams: Streams
    copies: Copies
    controlled: bool = False


class Resource:
    """The base of all resources; one object serves all requests of its route.

    `kinds` says for each method what it orders. GET reads unless it says otherwise; of every other method it must say
    so, or there is no such class. `queries` are the parameters that the query of a method may have.
    """

    kinds: ClassVar[Mapping[str, Kind]] = {}
    queries: ClassVar[Mapping[str, Collection[str]]] = {}

    def __init__(self, context: Context) -> None:
        self.access = context.access
        self.desk = context.desk
        self.calls = context.calls
        self.streams = context.streams

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        get = getattr(cls, "on_get", None)
        if get is not None and "on_head" not in cls.__dict__:
            cls.on_head = get  # type: ignore[attr-defined]  # falcon looks for responders by name
        cls.kinds = {**dict.fromkeys(_READING, READ), **cls.kinds}
        if "GET" in cls.kinds:
            cls.kinds["HEAD"] = cls.kinds["GET"]
        if "GET" in cls.queries:
            cls.queries = {**cls.queries, "HEAD": cls.queries["GET"]}
        if silent := set(cls.methods()) - set(cls.kinds):
            raise TypeError(f"{cls.__qualname__} does not say what it orders by {', '.join(sorted(silent))}")

    @classmethod
    def methods(cls) -> tuple[str, ...]:
        """The methods that it answers, in capitals and sorted; OPTIONS is answered by falcon everywhere."""
        return tuple(sorted(name[3:].upper() for name in dir(cls) if name.startswith("on_")))

    def about(self, params: Mapping[str, Any]) -> str:
        """The name of the network that a request with these parts of its path is about; `EVERYWHERE` for none."""
        return str(params.get("network", EVERYWHERE))

    def network(self, request: Request, name: str) -> Network:
        """Return the network, if whoever asks may see it. `NetworkUnknown`."""
        return self.desk.network(request.who, name)

    def asking(self, request: Request, network: str) -> Asking:
        """Who asks, and of which network."""
        return Asking(self.desk, self.calls, request.who, network)

    async def give(
        self, request: Request, kind: Kind, network: str, call: Callable[[Caller], Reply[T]], **subject: str
    ) -> T:
        """Give an order about a terminal, trunk, user or token, and return what came of it."""
        order = Order(kind, network, **subject)  # type: ignore[arg-type]  # the words are fields of Order, all optional
        return await self.calls.reply(self.desk.give(request.who, order, call))
