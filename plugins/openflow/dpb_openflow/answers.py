"""Answers that are bounded: whole within the time-out of their connection, and of a greatest size."""

from __future__ import annotations

import io
import socket
from http.client import HTTPResponse
from typing import Any

import requests

from dpb_framework.timedreads import TimedReads

LARGEST = 64_000_000
"""How many octets the body of an answer may have."""


class Answer(HTTPResponse):
    """What connections read, from the first octet of its status on."""

    fp: Any

    def __init__(self, line: socket.socket, *args: Any, **keywords: Any) -> None:
        super().__init__(line, *args, **keywords)
        self.fp = io.BufferedReader(TimedReads(self.fp.detach(), line))


def body_of(response: requests.Response) -> bytes | None:
    """Read the body of an answer that is streamed; None if it is too large."""
    body = bytearray()
    for part in response.iter_content(1 << 16):
        body += part
        if len(body) > LARGEST:
            return None
    return bytes(body)
