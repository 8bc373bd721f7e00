"""What the interfaces that listen have in common: where, who may ask, what is written down, start and stop."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from abc import abstractmethod
from typing import ClassVar, Generic, Protocol, TypeVar

from attrs import frozen

from dpb_framework.contracts import BrokerApi, Nbi
from dpb_framework.errors import ConfigInvalid
from dpb_nbi import listening
from dpb_nbi.access import Access, Audit

_log = logging.getLogger("dpb_nbi")

Prepared = TypeVar("Prepared")


class Server(Protocol):
    """What answers in a thread of its own."""

    def stop(self) -> None:
        """End it: what waits ends at once, answers under way get a few seconds."""


@frozen
class Footing:
    """What a server stands on."""

    broker: BrokerApi
    access: Access
    audit: Audit | None
    listener: socket.socket
    host: str
    port: int


class ListeningNbi(Nbi, Generic[Prepared]):
    """An interface at an address of its own; a subclass prepares, says what an operator should know, and serves.

    Who asks must be a user with a role where access is `controlled`; that is needed on all addresses but loopback,
    where not `insecure` says that anybody may do anything.
    """

    via: ClassVar[str]
    """As the audit log calls it."""

    def __init__(self, host: str, port: int, *, access: bool, insecure: bool, audit: str) -> None:
        listening.check_place(host, port)
        if access and insecure:
            raise ConfigInvalid("insecure", "access is controlled already; leave one of the two out")
        self._place = (host, port)
        self.controlled = access
        self.insecure = insecure
        self._audit_path = audit
        with contextlib.suppress(ValueError):  # a name: what it stands for is seen when it is bound
            self._check_exposure(host)
        self._lock = threading.Lock()
        self._server: Server | None = None
        self._access: Access | None = None
        self._audit: Audit | None = None
        self._address = ""

    def _check_exposure(self, address: str) -> None:
        listening.check_exposure(address, controlled=self.controlled, insecure=self.insecure)

    @property
    def address(self) -> str:
        """Where clients find it; empty while it is not started."""
        return self._address

    @abstractmethod
    def prepare(self) -> Prepared:
        """Read what is needed before anything is bound. `ConfigInvalid`."""

    def tell(self, on: Footing, prepared: Prepared) -> None:
        """Say what an operator should know who may not have meant it."""
        what = f"{self.via.upper()} at {on.host}"
        if self.insecure and not listening.is_loopback(on.host):
            _log.warning("%s: anybody who reaches it may do anything (insecure = true)", what)
        if self.controlled and not on.access.registry.users:
            _log.warning("%s: there are no users yet; stop the broker and make one by dpb admin-token", what)

    @abstractmethod
    def serve(self, on: Footing, prepared: Prepared) -> Server:
        """Begin to answer. `ConfigInvalid`."""

    @abstractmethod
    def written(self, place: str, prepared: Prepared) -> str:
        """Return *place* (host and port) as clients write it."""

    def start(self, broker: BrokerApi) -> None:
        """Bind and answer. `ConfigInvalid` names the setting of what cannot be had."""
        with self._lock:
            if self._server is not None:
                return
            prepared = self.prepare()
            listener = listening.bind(*self._place)
            try:
                host, port = listener.getsockname()[:2]
                self._check_exposure(host)
                if self._audit_path or self.controlled or self.insecure:
                    self._audit = Audit(self._audit_path, self.via)
                    self._audit.start()
                self._access = Access.enter(broker)
                on = Footing(broker, self._access, self._audit, listener, host, port)
                self.tell(on, prepared)
                self._server = self.serve(on, prepared)
                self._address = self.written(listening.place(host, port), prepared)
            except BaseException:
                listener.close()
                self._leave()
                raise

    def _leave(self) -> None:
        access, audit = self._access, self._audit
        self._access = self._audit = None
        self._address = ""
        if audit is not None:
            audit.close()
        if access is not None:
            access.leave()

    def stop(self) -> None:
        """End. What waits ends at once, answers under way get a few seconds."""
        with self._lock:
            server, self._server = self._server, None
            if server is not None:
                server.stop()
                self._leave()
