"""Answers that are bounded: whole within the time-out of their connection, and of a greatest size."""

from __future__ import annotations

import io
import socket
from http.client import HTTPResponse
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

from dpb_framework.timedreads import TimedReads

LARGEST = 64_000_000
"""How many octets the body of an answer may have."""

_IDLE = 32
"""How many idle connections are kept."""


class Answer(HTTPResponse):
    """What connections read, from the first octet of its status on."""

    fp: Any

    def __init__(self, line: socket.socket, *args: Any, **keywords: Any) -> None:
        super().__init__(line, *args, **keywords)
        self.fp = io.BufferedReader(TimedReads(self.fp.detach(), line))


class _Plain(HTTPConnection):
    response_class = Answer


class _Secure(HTTPSConnection):
    response_class = Answer


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _Secure


class Lines(HTTPAdapter):
    """The connections with one server."""

    def __init__(self) -> None:
        super().__init__(pool_connections=1, pool_maxsize=_IDLE, max_retries=0)

    def init_poolmanager(self, *args: Any, **keywords: Any) -> None:
        """Make the pools."""
        super().init_poolmanager(*args, **keywords)
        self.poolmanager.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecurePool}


def body_of(response: requests.Response) -> bytes | None:
    """Read the body of an answer that is streamed; None if it is too large."""
    body = bytearray()
    for part in response.iter_content(1 << 16):
        body += part
        if len(body) > LARGEST:
            return None
    return bytes(body)
