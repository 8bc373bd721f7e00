"""Who may call: the token in a file, as an operator would keep it."""

from __future__ import annotations

import hmac
import os
import secrets
from pathlib import Path

from dpb_corsa_emulator.values import Refused


class Tokens:
    """The token of a file, made there when there is none; read for each call, so that a new one counts at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.expired = False
        if not path.exists():
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(48) + "\n")

    @property
    def token(self) -> str:
        """The token; lines are joined."""
        return "".join(self._path.read_text("utf-8").split())

    def check(self, told: str | None) -> None:
        """Refuse a call without the token."""
        if not told:
            raise Refused(401, "the header Authorization is missing")
        if not hmac.compare_digest(told.encode(), self.token.encode()):
            raise Refused(401, "the token is not known")
        if self.expired:
            raise Refused(401, "the token has expired")
