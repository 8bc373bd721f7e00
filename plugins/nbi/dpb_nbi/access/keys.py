"""Public keys, as OpenSSH writes them in a line. Pure."""

from __future__ import annotations

import binascii
import hashlib
from base64 import b64decode, b64encode
from typing import Final

from attrs import frozen

from dpb_framework.errors import BadArgument
from dpb_nbi.values import CONTROL

TYPES: Final = frozenset(
    {
        "ssh-ed25519",
        "ssh-rsa",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "sk-ssh-ed25519@openssh.com",
        "sk-ecdsa-sha2-nistp256@openssh.com",
    }
)
MIN_RSA: Final = 2048
"""The fewest bits of an RSA key."""
MAX_LINE: Final = 8192
MAX_COMMENT: Final = 128


@frozen
class PublicKey:
    """A public key: its type, its wire form in base64, the comment behind it."""

    type: str
    base64: str
    comment: str = ""

    @classmethod
    def parse(cls, line: str, path: str = "key") -> PublicKey:
        """Return the key of a line such as stands in `id_ed25519.pub`. `BadArgument` with *path*.

        Nothing before the type: options of `authorized_keys` have no meaning here and would be passed over in silence.
        """
        if not isinstance(line, str) or len(line) > MAX_LINE:
            raise BadArgument(path, "expected a public key in one line, as in a file id_ed25519.pub")
        if "PRIVATE KEY" in line:
            raise BadArgument(path, "that is a private key: keep it secret, and give the one in the file .pub")
        words = line.strip().split(None, 2)
        if len(words) < 2 or words[0] not in TYPES:
            raise BadArgument(path, f"expected TYPE BASE64 COMMENT, TYPE one of {', '.join(sorted(TYPES))}")
        comment = words[2].strip() if len(words) > 2 else ""
        if len(comment) > MAX_COMMENT or CONTROL.search(comment):
            raise BadArgument(path, f"its comment has more than {MAX_COMMENT} characters, or a control character")
        try:
            parts = _parts(b64decode(words[1], validate=True))
        except (binascii.Error, ValueError):
            raise BadArgument(path, "what follows the type is no key in base64") from None
        if len(parts) < 2 or parts[0] != words[0].encode("ascii"):
            raise BadArgument(path, "what follows the type is no key of that type")
        if words[0] == "ssh-rsa" and (len(parts) != 3 or int.from_bytes(parts[2], "big").bit_length() < MIN_RSA):
            raise BadArgument(path, f"an RSA key has at least {MIN_RSA} bits; better make one of ed25519")
        return cls(words[0], words[1], comment)

    @property
    def blob(self) -> bytes:
        """Its wire form."""
        return b64decode(self.base64)

    @property
    def id(self) -> str:
        """What it is called: 16 hexadecimal digits of its SHA-256."""
        return hashlib.sha256(self.blob).hexdigest()[:16]

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` tells it."""
        return f"SHA256:{b64encode(hashlib.sha256(self.blob).digest()).decode('ascii').rstrip('=')}"

    @property
    def line(self) -> str:
        """As `parse` takes it."""
        return f"{self.type} {self.base64} {self.comment}".rstrip()


def _parts(blob: bytes) -> list[bytes]:
    """Take the texts of the wire form apart (RFC 4251, section 5); ValueError for what is none."""
    parts = []
    while blob:
        size = int.from_bytes(blob[:4], "big")
        if len(blob) < 4 + size:
            raise ValueError("it is cut off")
        parts.append(blob[4 : 4 + size])
        blob = blob[4 + size :]
    return parts
