"""What the adaptor writes into a tunnel's `ifdescr`, so that a restart recovers which tunnels are a service. Pure.

    dpb1:NAMESPACE:KEY:FORM REST

NAMESPACE and KEY are digests (72 and 96 bits, base64url) of the kernel's key up to and including its last slash, and of
the whole of it; FORM is one letter, by which name the circuit was given. REST is the end of the key for people to read;
nobody parses it. A key may be longer than a description, hence digests: the kernel names its keys when it starts.
"""

from __future__ import annotations

import base64
import hashlib
import re

from attrs import frozen

from dpb_corsa.names import Form

LIMIT = 64
"""How many characters a description has at most."""

_TEXT = re.compile(r"dpb1:([\w-]{12}):([\w-]{16}):([pcdi])(?: .*)?", re.ASCII)
_UNPRINTABLE = re.compile(r"[^\w./-]", re.ASCII)


@frozen
class Tag:
    """Whose tunnel it is, and the form of its channel's interface."""

    namespace: str
    key: str
    form: Form
    rest: str = ""

    @classmethod
    def of(cls, key: str, form: Form) -> Tag:
        """Make the tag of a bridge's tunnel."""
        return cls(digest_of_prefix(namespace_of(key)), digest_of_key(key), form, _UNPRINTABLE.sub("?", key))

    @classmethod
    def read(cls, text: object) -> Tag | None:
        """Return the tag that a description is; None for somebody else's."""
        match = _TEXT.fullmatch(text) if isinstance(text, str) else None
        return None if match is None else cls(match[1], match[2], Form(match[3]))

    def __str__(self) -> str:
        head = f"dpb1:{self.namespace}:{self.key}:{self.form.value}"
        room = LIMIT - len(head) - 1
        return f"{head} {self.rest[-room:]}" if self.rest else head


def namespace_of(key: str) -> str:
    """Return the key up to and including its last slash."""
    return key[: key.rfind("/") + 1]


def digest_of_key(key: str) -> str:
    """Return what stands for a key."""
    return _digest(b"key\0" + key.encode(), 12)


def digest_of_prefix(prefix: str) -> str:
    """Return what stands for a namespace."""
    return _digest(b"namespace\0" + prefix.encode(), 9)


def _digest(data: bytes, size: int) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()[:size]).decode()
