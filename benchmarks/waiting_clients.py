"""Run as a program: hold many waiting calls and event streams open until the standard input ends.

    waiting_clients.py URL SERVICE WAITERS STREAMS

Prints `open` when the broker has begun to answer every stream and has had every waiting call for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import sys
from urllib.parse import urlsplit

HOUR = 3_600_000
PACE = 100  # connections that are being opened at a time


async def main(url: str, service: str, waiters: int, streams: int) -> None:
    """Open everything, say so, and wait for the end of the standard input."""
    parts = urlsplit(url)
    wait = f"/network/wan/service/{service}/await-status?acceptable=FAILED&timeout-millis={HOUR}"
    paths = [wait] * waiters + ["/api/v1/networks/wan/events"] * streams
    gate = asyncio.Semaphore(PACE)
    hearing = 0
    tasks = []

    async def hold(path: str, started: asyncio.Event) -> None:
        nonlocal hearing
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: b\r\n\r\n".encode())
        await writer.drain()
        try:
            if path is not wait:
                answered = bool(await reader.read(65536))
                hearing += answered
            started.set()
            while await reader.read(65536):
                if path is wait:
                    raise SystemExit("a call that was to wait was answered")
        finally:
            started.set()
            writer.close()

    async def begin(path: str) -> None:
        async with gate:
            started = asyncio.Event()
            tasks.append(asyncio.ensure_future(hold(path, started)))
            await started.wait()

    await asyncio.gather(*map(begin, paths))
    if hearing != streams:
        raise SystemExit(f"only {hearing} of {streams} streams were answered")
    await asyncio.sleep(0.5)
    print("open", flush=True)
    end = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    done, _ = await asyncio.wait([end, *tasks], return_when=asyncio.FIRST_COMPLETED)
    if end not in done:
        sys.stderr.write("a connection was ended by the broker\n")
        sys.exit(1)
    for task in tasks:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
