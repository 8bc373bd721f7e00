"""Requests about services that change them or wait for them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from dpb_framework.errors import ServiceGone
from dpb_framework.model import Status
from dpb_nbi import codec, operations
from dpb_nbi.access import orders
from dpb_nbi.access.orders import Kind
from dpb_nbi.ssh.asking import Ask
from dpb_nbi.ssh.watching import Watch

Plain = dict[str, Any]


async def new_service(ask: Ask) -> Plain:
    """Make a service; with a handle that one has, it is that one."""
    handle = codec.handle_of(ask.content.get("handle"))
    service, _ = await operations.create(ask.asking, ask.network, handle)
    return {"service-id": service.id}


async def define_service(ask: Ask) -> Plain:
    """Define it and wait until it is established, 30 s at most."""
    service = ask.service()
    segment = codec.segment(ask.get("segment"), codec.FIRST)
    await operations.define(ask.asking, service, segment, codec.FIRST)
    return {}


def command(kind: Kind) -> Callable[[Ask], Awaitable[Plain]]:
    """Return what answers a command without an argument; a service that is gone has been released."""

    async def answer(ask: Ask) -> Plain:
        try:
            await operations.command(ask.asking, ask.service(), kind)
        except ServiceGone:
            if kind is not orders.RELEASE:
                raise
        return {}

    return answer


async def await_service_status(ask: Ask) -> Plain:
    """Wait until the status is one of those, or the time is over, or the session closed."""
    statuses, seconds = codec.awaited({k: v for k, v in ask.content.items() if k in ("acceptable", "timeout-millis")})
    try:
        service = ask.service()
    except ServiceGone:
        return {"status": Status.RELEASED.value}
    ask.last(1)
    try:
        status = await operations.await_status(ask.asking.calls, service, statuses, seconds, ask.session)
    finally:
        ask.last(-1)
    return {"status": status.value}


async def watch_service(ask: Ask) -> Plain:
    """Tell the status now, and from now on each change, until the service is released or the session closed."""
    try:
        service = ask.service()
    except ServiceGone:
        return {"status": Status.RELEASED.value}
    ask.last(1)
    watch = Watch(service, ask.changes, lambda: ask.last(-1))
    if watch.first is Status.RELEASED:
        watch.close()
    else:
        ask.session.begin_watch(watch)
    return {"status": watch.first.value}
