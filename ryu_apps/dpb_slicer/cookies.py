"""Cookies: which slice a flow belongs to, so that the switch itself tells which slices it holds.

A flow of a slice: a magic byte, 16 bits of a digest of the key's namespace, 40 bits of a digest of the key.
A learned flow: another magic byte, 24 bits of the slice's number, 16 of the circuit's index, 16 zeros.
"""

from __future__ import annotations

from hashlib import blake2b

STATIC = 0xDB
LEARNED = 0xDC
MAGIC_MASK = 0xFF << 56
BASE = STATIC << 56
"""The cookie of flows that belong to no single slice."""


def namespace_of(key: str) -> str:
    """What stands up to and including the key's last slash."""
    return key[: key.rfind("/") + 1]


def _digest(text: str, size: int, person: bytes) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=size, person=person).digest(), "big")


def namespace_digest(prefix: str) -> int:
    """16 bits for a namespace."""
    return _digest(prefix, 2, b"dpb-namespace")


def cookie_of(key: str, kind: str = "v2") -> int:
    """The cookie of the slice *key*; slices of another *kind* of interface have other cookies for the same key."""
    key_digest = _digest(f"{kind}\0{key}", 5, b"dpb-key") or 1
    return STATIC << 56 | namespace_digest(f"{kind}\0{namespace_of(key)}") << 40 | key_digest


def in_namespace(cookie: int, prefix: str, kind: str = "v2") -> bool:
    """Whether a slice with this cookie is of the namespace *prefix*."""
    return cookie >> 56 == STATIC and cookie >> 40 & 0xFFFF == namespace_digest(f"{kind}\0{prefix}")


def is_slice(cookie: int) -> bool:
    """Whether it is the cookie of a slice's flows."""
    return cookie >> 56 == STATIC and cookie != BASE


def is_learned(cookie: int) -> bool:
    """Whether it is the cookie of a learned flow."""
    return cookie >> 56 == LEARNED


def learned(number: int, index: int) -> int:
    """The cookie of what was learned at a circuit."""
    return LEARNED << 56 | number << 32 | index << 16


def learned_at(cookie: int) -> tuple[int, int]:
    """The slice's number and the circuit's index of a learned flow's cookie."""
    return cookie >> 32 & 0xFFFFFF, cookie >> 16 & 0xFFFF


LEARNED_SLICE_MASK = MAGIC_MASK | 0xFFFFFF << 32
LEARNED_CIRCUIT_MASK = LEARNED_SLICE_MASK | 0xFFFF << 16
