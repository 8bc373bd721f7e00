"""What every resource has: the broker, its calls, its event streams; and HEAD wherever there is GET."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from dpb_framework.contracts import BrokerApi
from dpb_nbi.calls import Calls

if TYPE_CHECKING:
    from dpb_nbi.events import Streams
    from dpb_nbi.mirror import Copies


@frozen
class Context:
    """What the resources of one application share."""

    broker: BrokerApi
    calls: Calls
    streams: Streams
    copies: Copies


class Resource:
    """The base of all resources; one object serves all requests of its route."""

    def __init__(self, context: Context) -> None:
        self.broker = context.broker
        self.calls = context.calls
        self.streams = context.streams

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        get = getattr(cls, "on_get", None)
        if get is not None and "on_head" not in cls.__dict__:
            cls.on_head = get  # type: ignore[attr-defined]

    @classmethod
    def methods(cls) -> tuple[str, ...]:
        """The methods that it answers, in capitals and sorted; OPTIONS is answered by falcon everywhere."""
        return tuple(sorted(name[3:].upper() for name in dir(cls) if name.startswith("on_")))
