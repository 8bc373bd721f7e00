"""How much of a client one connection takes, and for how long. Seconds and bytes."""

from __future__ import annotations

import contextlib
import resource
from typing import Final

MAX_HEAD: Final = 65_536
"""The longest head of a request: the line and all headers."""
MAX_URL: Final = 16_384
MAX_HEADERS: Final = 100
MAX_AHEAD: Final = 65_536
"""How much is read of requests that wait until an earlier one of their connection is answered."""
HEAD_SECONDS: Final = 10.0
"""For the head, from the connection's or the request's first moment."""
BODY_SECONDS: Final = 30.0
"""For the body, from the end of the head."""
IDLE_SECONDS: Final = 75
"""For a connection without a request, after an answer."""
STALLED_SECONDS: Final = 60.0
"""For a client that does not read what it asked for, or sends more than `MAX_AHEAD`."""
HANDSHAKE_SECONDS: Final = 10.0
CONNECTIONS: Final = 4096
"""Connections at once."""
STREAMS_EACH: Final = 256
"""Event streams of one user, where access is controlled."""
WAITS_EACH: Final = 1024
"""Waiting calls of one user, where access is controlled."""
_BESIDE: Final = 256
"""Files that the rest of the process needs."""


def connections() -> int:
    """Return how many connections there may be: `CONNECTIONS`, or what the process may have of open files.

    The soft limit is raised as far as it goes and is needed: many systems begin with 1024.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = CONNECTIONS + _BESIDE
    if soft != resource.RLIM_INFINITY and soft < needed:
        most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
    return CONNECTIONS if soft == resource.RLIM_INFINITY else max(16, min(CONNECTIONS, soft - _BESIDE))
