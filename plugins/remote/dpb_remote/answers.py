"""What answers mean, and what the faults of connections do. Pure."""

from __future__ import annotations

from typing import Any

import aiohttp
from attrs import frozen

from dpb_framework.errors import DpbError, NetworkUnknown, Refused, Remembered, Unreachable
from dpb_remote import codec
from dpb_remote.settings import Door


@frozen
class Answer:
    """What the other broker answered: HTTP's status, what the body says, the moment at which what it tells was so."""

    status: int
    plain: Any
    moment: int = 0


def said(text: bytes) -> Any:
    """What a body says; None where it is no JSON."""
    try:
        return codec.read(text)
    except codec.Garbled:
        return None


def late(seconds: float) -> str:
    """What is told of an answer that did not come in time."""
    return f"no answer within {seconds:g} s"


def shortly(error: BaseException) -> str:
    """What is told of a fault of a connection: one line, without addresses of objects."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection to {error.host}:{error.port} ({error.strerror or error.os_error})"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the connection ended in the middle"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the connection ended without an answer"
    return " ".join(str(error).split())[:200] or type(error).__name__


def refused(where: str, answer: Answer, door: Door) -> DpbError | None:
    """What *answer* refuses with, or None where it does not refuse."""
    status = answer.status
    if 200 <= status < 300:
        return None
    if status == 401:
        how = "the credentials are not accepted" if door.authorization else "it asks for credentials, and none are set"
        return Unreachable(where, f"{how} (401); see token, user and password")
    if status == 403:
        return Refused(f"{where}: the credentials do not allow it (403)")
    found = codec.problem(answer.plain)
    if found is None or status == 500:
        detail = f": {found}" if found is not None else ", but not as a broker does; is the URL right?"
        return Unreachable(where, f"it answers {status}{detail}")
    if found.code == NetworkUnknown.code:
        return Unreachable(where, f"{found} there; see the setting network")
    if status == 503 and isinstance(found, Remembered):  # too busy to look at it: no refusal
        return Unreachable(where, str(found))
    if isinstance(found, Remembered) and found.code in ("no-route", "wrong-method", "bad-request"):
        return Unreachable(where, f"it answers {status}: {found}; its version may be older than ours")
    return found
