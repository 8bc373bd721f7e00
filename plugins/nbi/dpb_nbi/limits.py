"""How much of a client one connection takes, and for how long. Seconds and bytes."""

from __future__ import annotations

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
"""Connections at once, of each REST interface."""
STREAMS_EACH: Final = 256
"""Event streams of one user, where access is controlled."""
MIRRORS_EACH: Final = 32
"""Mirrors of one network for one user, where access is controlled.

For each network: a superior has one of every network that it stands on, however many these are, and some more that
have broken and are not given up yet.
"""
WAITS_EACH: Final = 1024
"""Waiting calls of one user, where access is controlled."""
