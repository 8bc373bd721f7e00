"""Between the network and the API: makes calls meet their faults, and notes them."""

from __future__ import annotations

import contextlib
import io
import json
import threading
import time
import weakref
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from dpb_corsa_emulator.device import Device
from dpb_corsa_emulator.faults import Call, Fault, Faults
from dpb_corsa_emulator.rest import BASE
from dpb_corsa_emulator.rivals import rival
from dpb_corsa_emulator.values import Refused

PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body><h1>Sign in</h1></body></html>\n"
_Answer = tuple[str, list[tuple[str, str]], bytes]


class Interference:
    """A WSGI application around that of the API; *cut* ends a call's connection without an answer."""

    def __init__(
        self, app: Any, device: Device, faults: Faults, peer: str, cut: Callable[[dict[str, Any]], None]
    ) -> None:
        self._app, self._device, self._faults = app, device, faults
        self._peer, self._cut = peer, cut
        self._lock = threading.Lock()
        self._connections: weakref.WeakSet[Any] = weakref.WeakSet()
        self._restarting = 0
        self._up_at = 0.0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        """Serve one call."""
        with self._lock:
            if environ.get(self._peer) is not None:
                self._connections.add(environ[self._peer])
            away = self._restarting > 0 or time.monotonic() < self._up_at
        if away:
            return self._lost(environ, start_response)
        path = environ["PATH_INFO"].removeprefix(BASE).strip("/")
        call, fault = self._faults.take(environ["REQUEST_METHOD"], path)
        answer = self._perform(environ) if fault is None else self._meet(fault, environ, path)
        if answer is None:
            return self._lost(environ, start_response)
        return _given(call, answer, start_response)

    def restart(self, keep: bool, seconds: float) -> None:
        """As after a loss of power: connections end, and for so long nobody is answered."""
        with self._lock:
            self._restarting += 1
            connections = list(self._connections)
        for connection in connections:
            self._cut({self._peer: connection})
        try:
            self._device.restart(keep)
        finally:
            with self._lock:
                self._restarting -= 1
                self._up_at = time.monotonic() + seconds

    def _meet(self, fault: Fault, environ: dict[str, Any], path: str) -> _Answer | None:
        match fault.kind:
            case "latency":
                time.sleep(fault.seconds)
                return self._perform(environ)
            case "race":
                self._race(environ, path)
                return self._perform(environ)
        if fault.done:
            self._perform(environ)
        match fault.kind:
            case "error":
                return _answer(fault, "application/json", json.dumps({"message": "an emulated fault"}).encode())
            case "html":
                return _answer(fault, "text/html; charset=utf-8", PAGE)
            case "restart":
                self._cut(environ)
                self.restart(fault.keep, fault.seconds)
        return None

    def _perform(self, environ: dict[str, Any]) -> _Answer:
        told: list[Any] = []

        def take(status: str, headers: list[tuple[str, str]], _fault: Any = None) -> Any:
            told[:] = status, headers
            return None

        answered = self._app(environ, take)
        body = b"".join(answered)
        with contextlib.suppress(AttributeError):
            answered.close()
        return told[0], told[1], body

    def _race(self, environ: dict[str, Any], path: str) -> None:
        """Let another client be faster by a moment."""
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        with contextlib.suppress(Refused, ValueError):
            step = rival(environ["REQUEST_METHOD"], path, json.loads(body) if body else None, self._device.limits)
            self._device.change(step)

    def _lost(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        self._cut(environ)
        start_response("503 Service Unavailable", [("Connection", "close"), ("Content-Length", "0")])
        return []


def _answer(fault: Fault, kind: str, body: bytes) -> _Answer:
    status = fault.status or 500
    phrase = HTTPStatus(status).phrase if status in list(HTTPStatus) else "Emulated"
    return f"{status} {phrase}", [("Content-Type", kind), ("Content-Length", str(len(body)))], body


def _given(call: Call, answer: _Answer, start_response: Any) -> list[bytes]:
    status, headers, body = answer
    call.status = int(status[:3])
    start_response(status, headers)
    return [body]
