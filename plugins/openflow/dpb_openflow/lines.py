"""Connections that can be ended by another thread while somebody waits on them."""

from __future__ import annotations

import contextlib
import socket
import threading
import weakref
from typing import Any

import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

from dpb_openflow.answers import Answer

_MOST = 64
"""How many idle connections are kept: as many as there may be calls of one switch at a time."""


class Lines(HTTPAdapter):
    """The connections of one session. `end` breaks them off, and lets no new one come about."""

    def __init__(self) -> None:
        self._open: weakref.WeakSet[HTTPConnection] = weakref.WeakSet()
        self._guard = threading.Lock()
        self._ended = False
        super().__init__(pool_connections=2, pool_maxsize=_MOST, max_retries=0)

    def init_poolmanager(self, *args: Any, **keywords: Any) -> None:
        """Make the pools, of connections that tell us of themselves."""
        super().init_poolmanager(*args, **keywords)
        lines = self

        class Plain(HTTPConnection):
            response_class = Answer

            def connect(self) -> None:
                super().connect()
                lines.opened(self)

        class Secure(HTTPSConnection):
            response_class = Answer

            def connect(self) -> None:
                super().connect()
                lines.opened(self)

        class PlainPool(urllib3.HTTPConnectionPool):
            ConnectionCls = Plain

        class SecurePool(urllib3.HTTPSConnectionPool):
            ConnectionCls = Secure

        self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}

    def opened(self, connection: HTTPConnection) -> None:
        """Take note of a connection that came about."""
        with self._guard:
            if not self._ended:
                self._open.add(connection)
                return
        connection.close()
        raise ConnectionAbortedError("the fabric is stopped")

    def end(self) -> None:
        """Break all connections off."""
        with self._guard:
            self._ended = True
            connections = list(self._open)
        for connection in connections:
            line = connection.sock
            if line is not None:
                with contextlib.suppress(OSError):
                    line.shutdown(socket.SHUT_RDWR)
