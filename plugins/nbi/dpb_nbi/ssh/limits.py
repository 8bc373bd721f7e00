"""How much of a client one connection takes, and for how long. Seconds, bytes, counts."""

from __future__ import annotations

from typing import Final

LOGIN_SECONDS: Final = 20.0
"""From the connection's first moment until the client has shown who it is."""
ALIVE_SECONDS: Final = 30.0
"""Of silence, after which a client is asked for a sign of life; it is gone when three stay unanswered."""
ALIVE_COUNT: Final = 3
CREDENTIAL_SECONDS: Final = 5.0
"""How often it is looked whether the credentials of those who are connected still hold."""
CONNECTIONS: Final = 1024
"""Connections at once."""
STRANGERS: Final = 128
"""Of these, how many whose client has not shown yet who it is; and how many of one address."""
STRANGERS_EACH: Final = 32
BACKLOG: Final = 128
"""Connections that are accepted at one go."""
CHANNELS: Final = 1024
"""Channels of one connection at once."""

MAX_FRAME: Final = 1 << 20
"""The longest frame that is taken."""
MAX_ANSWER: Final = 16 << 20
"""The longest frame that is sent."""
PENDING: Final = 4096
"""Requests of one channel that are not answered yet; nothing more is read until there are fewer."""
PENDING_BYTES: Final = 8 << 20
READING: Final = 8
"""Requests of one channel that are answered at once, of those that only read: their answers may be long, and for a
client that does not read them no more are worked out."""
WAITING: Final = 2048
"""Watches and waits of one channel at once."""
BEHIND: Final = 256
"""Changes that a watch remembers for a client that does not read; then the oldest are forgotten."""

COMMANDS: Final = 16
"""Commands of `dpb` that run at once, and how many of one user."""
COMMANDS_EACH: Final = 4
COMMAND_SECONDS: Final = 3600.0
MAX_COMMAND: Final = 65_536
"""The longest line with a command, in characters."""
PROMPT_SECONDS: Final = 900.0
"""For which a prompt waits for a line."""

GRACE: Final = 3.0
"""What is under way gets when the interface stops; then what is left is cut off."""
FAREWELL: Final = 1.0
"""For clients to close what was closed to them."""
