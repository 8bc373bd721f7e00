"""Tokens and passwords: how they are made, what is kept of them, how they are compared.

A token is random and long: its plain digest is as good as the token is. A password is neither: what is kept is made by
scrypt (RFC 7914), whose cost is what a thief of the store pays for each guess.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from base64 import b64decode, b64encode
from typing import Any, Final

from attrs import field, frozen

TOKEN: Final = re.compile(r"dpb_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
"""A token: a mark that scanners for lost secrets find, its public id, 256 random bits."""
LENT: Final = re.compile(r"dpb_lent_[A-Za-z0-9_-]{43}")
"""What stands for somebody who came in otherwise, while a command of theirs runs; never kept."""
_ID: Final = re.compile(r"[0-9a-f]{12}")
COST, BLOCK, LANES = 1 << 14, 8, 1
"""scrypt's parameters: 16 MiB and some 50 ms for each guess."""
_MEMORY: Final = 64 << 20
MIN_PASSWORD, MAX_PASSWORD = 8, 256
"""How many characters a password may have."""


def public(text: str) -> str:
    """Return the id that *text* is, or that the token has which it is; `?` for anything else, which may be a secret."""
    match = TOKEN.fullmatch(text)
    return match[1] if match else text if _ID.fullmatch(text) else "?"


def new_id() -> str:
    """Return a new public id of a token."""
    return secrets.token_hex(6)


def new_token(id: str) -> str:
    """Return a new token with that id."""
    return f"dpb_{id}_{secrets.token_urlsafe(32)}"


def new_lent() -> str:
    """Return a new one of `LENT`."""
    return f"dpb_lent_{secrets.token_urlsafe(32)}"


def digest(token: str) -> str:
    """Return what is kept of a token."""
    return hashlib.sha256(token.encode("utf-8")).hexdigest()


def same(one: str, other: str) -> bool:
    """Compare two digests in the same time, however much of them is equal."""
    return hmac.compare_digest(one.encode("utf-8"), other.encode("utf-8"))


@frozen
class Password:
    """What is kept of a password."""

    salt: bytes = field(repr=False)
    key: bytes = field(repr=False)
    cost: int = COST
    block: int = BLOCK
    lanes: int = LANES

    @classmethod
    def of(cls, text: str) -> Password:
        """Make it, with a salt of its own. Takes its time."""
        salt = secrets.token_bytes(16)
        return cls(salt, _derive(text, salt, COST, BLOCK, LANES))

    def fits(self, text: str) -> bool:
        """Whether *text* is the password. Takes its time, whatever the answer."""
        return hmac.compare_digest(_derive(text, self.salt, self.cost, self.block, self.lanes), self.key)

    def plain(self) -> dict[str, Any]:
        """As it goes into the store."""
        return {
            "kdf": "scrypt",
            "salt": b64encode(self.salt).decode("ascii"),
            "key": b64encode(self.key).decode("ascii"),
            "n": self.cost,
            "r": self.block,
            "p": self.lanes,
        }

    @classmethod
    def parse(cls, plain: Any) -> Password:
        """As it comes out of the store; KeyError, TypeError or ValueError for what it never wrote."""
        if plain["kdf"] != "scrypt":
            raise ValueError("an unknown way to keep a password")
        return cls(b64decode(plain["salt"]), b64decode(plain["key"]), plain["n"], plain["r"], plain["p"])


def _derive(text: str, salt: bytes, cost: int, block: int, lanes: int) -> bytes:
    return hashlib.scrypt(text.encode("utf-8"), salt=salt, n=cost, r=block, p=lanes, maxmem=_MEMORY, dklen=32)


NOBODYS: Final = Password(b"nobody has this.", bytes(32))
"""Compared with where there is no such user or no password, so that the time it takes does not tell which."""
