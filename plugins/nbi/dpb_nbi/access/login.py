"""Credentials -> who asks. Whether a credential was wrong or its user unknown is told to nobody."""

from __future__ import annotations

import asyncio
import binascii
import hashlib
import hmac
import secrets
import threading
import time
from base64 import b64decode
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import Final

from dpb_nbi.access import credentials
from dpb_nbi.access.faults import Busy, Unauthenticated
from dpb_nbi.access.identity import Identity
from dpb_nbi.access.registry import Registry, User, now
from dpb_nbi.access.roles import Grants

REMEMBERED: Final = 60.0
"""Seconds for which a password that was right is not derived again."""
MAX_REMEMBERED: Final = 1024
MAX_PENDING: Final = 64
"""How many passwords wait at the most to be checked; one takes some 50 ms, one is checked at a time."""
MAX_PENDING_EACH: Final = 8
"""How many of them may come from one address."""

_WRONG: Final = "the credential does not hold: it is unknown, wrong, expired or revoked"


class Login:
    """Finds out who asks. The methods belong to any thread; those that are coroutines to any event loop."""

    def __init__(self, registry: Registry, clock: Callable[[], datetime] = now) -> None:
        self._registry = registry
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._lock = threading.RLock()
        self._remembered: dict[bytes, tuple[credentials.Password, float]] = {}
        self._pending: dict[bytes, Future[bool]] = {}
        self._waiting: Counter[str] = Counter()
        self._lent: dict[str, Identity] = {}
        self._checker = ThreadPoolExecutor(1, "dpb-password")

    def close(self) -> None:
        """End the thread that checks passwords."""
        self._checker.shutdown(cancel_futures=True)

    async def by_header(self, header: str, source: str) -> Identity:
        """Return who shows this `Authorization`, from address *source*. `Unauthenticated`, `Busy`."""
        scheme, _, rest = header.partition(" ")
        if scheme.lower() == "bearer":
            return self.by_token(rest.strip())
        if scheme.lower() == "basic":
            name, password = _pair(rest.strip())
            return await self.by_password(name, password, source)
        raise Unauthenticated("Authorization: expected Bearer TOKEN, or Basic with user and password")

    def by_token(self, text: str, user: str | None = None) -> Identity:
        """Return whose token it is; with *user* it must be that one's. `Unauthenticated`."""
        match = credentials.TOKEN.fullmatch(text)
        token = None if match is None else self._registry.tokens.get(match[1])
        if token is None or not credentials.same(credentials.digest(text), token.digest):
            raise Unauthenticated(_WRONG)
        roles = self._registry.roles(token)
        if roles is None or not token.holds(self._clock()) or user not in (None, token.user):
            raise Unauthenticated(_WRONG)
        return Identity(token.user, roles, f"token {token.id}", alive=partial(self._holds, token.id, roles))

    async def by_password(self, name: str, password: str, source: str) -> Identity:
        """Return the user of that name and password; a token of the user's will do as well. `Unauthenticated`, `Busy`.

        A right password is remembered for a minute under a keyed digest, so that not every request waits for scrypt.
        """
        if credentials.TOKEN.fullmatch(password):
            return self.by_token(password, name)
        user = self._registry.users.get(name)
        kept = credentials.NOBODYS if user is None or user.password is None else user.password
        mark = hmac.new(self._key, f"{name}\0{password}".encode("utf-8", "replace"), hashlib.sha256).digest()
        fits = self._is_remembered(mark, kept)
        if not fits and len(password) <= credentials.MAX_PASSWORD:
            fits = await self._check(mark, kept, password, source)
        # The user may have been changed meanwhile: only what is kept now counts.
        user = self._registry.users.get(name)
        if not fits or user is None or user.password is not kept:
            raise Unauthenticated(_WRONG)
        with self._lock:
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            self._remembered.setdefault(mark, (kept, time.monotonic() + REMEMBERED))
        return self._identity(user, "password", lambda user: user.password is kept)

    def by_certificate(self, name: str) -> Identity:
        """Return the user whom a certificate names that was checked already. `Unauthenticated`."""
        user = self._registry.users.get(name)
        if user is None:
            raise Unauthenticated("the certificate names no user")
        return self._identity(user, "certificate", lambda user: True)

    def by_key(self, name: str, blob: bytes) -> Identity:
        """Return the user of that name, who has that public key (its wire form). `Unauthenticated`.

        Whether whoever shows it has the private key too, the caller finds out.
        """
        user = self._registry.users.get(name)
        key = None if user is None else next((key for key in user.keys if key.blob == blob), None)
        if user is None or key is None:
            raise Unauthenticated(_WRONG)
        return self._identity(user, f"key {key.id}", lambda known: key in known.keys)

    def lend(self, who: Identity) -> str:
        """Return what stands for *who*, as a token does, until `take_back` or until *who* holds no more."""
        text = credentials.new_lent()
        self._lent[credentials.digest(text)] = who
        return text

    def take_back(self, text: str) -> None:
        """End what `lend` has begun."""
        self._lent.pop(credentials.digest(text), None)

    def by_lent(self, text: str) -> Identity:
        """Return for whom it stands. `Unauthenticated`."""
        who = self._lent.get(credentials.digest(text))
        if who is None or not who.alive():
            raise Unauthenticated(_WRONG)
        return who

    def _identity(self, user: User, credential: str, still: Callable[[User], bool]) -> Identity:
        def alive() -> bool:
            known = self._registry.users.get(user.name)
            return known is not None and known.roles == user.roles and still(known)

        return Identity(user.name, user.roles, credential, alive=alive)

    def _holds(self, id: str, roles: Grants) -> bool:
        token = self._registry.tokens.get(id)
        return token is not None and token.holds(self._clock()) and self._registry.roles(token) == roles

    def _is_remembered(self, mark: bytes, kept: credentials.Password) -> bool:
        with self._lock:
            found = self._remembered.get(mark)
            if found is None:
                return False
            if found[0] is not kept or found[1] < time.monotonic():
                del self._remembered[mark]
                return False
            return True

    async def _check(self, mark: bytes, kept: credentials.Password, password: str, source: str) -> bool:
        """Compare in the thread for it; who asks the same at the same time waits for the same answer."""
        with self._lock:
            future = self._pending.get(mark)
            if future is None:
                if self._waiting[source] >= MAX_PENDING_EACH or len(self._pending) >= MAX_PENDING:
                    raise Busy("too many passwords wait to be checked")
                future = self._pending[mark] = self._checker.submit(kept.fits, password)
                self._waiting[source] += 1
                future.add_done_callback(lambda _: self._checked(mark, source))
        return await asyncio.shield(asyncio.wrap_future(future))

    def _checked(self, mark: bytes, source: str) -> None:
        with self._lock:
            del self._pending[mark]
            self._waiting[source] -= 1
            if not self._waiting[source]:
                del self._waiting[source]


def _pair(text: str) -> tuple[str, str]:
    try:
        name, colon, password = b64decode(text, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, ValueError):
        name = colon = password = ""
    if not colon:
        raise Unauthenticated("Authorization: what follows Basic is no user and password in base64")
    return name, password
