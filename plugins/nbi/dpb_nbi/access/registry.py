"""Users and tokens: what the broker knows of those who may ask. Kept in the store, read from memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from attrs import evolve, field, frozen

from dpb_framework.contracts import Batch, Item, Store
from dpb_framework.errors import BadArgument
from dpb_framework.model import ANYBODY, SYSTEM, check_name
from dpb_nbi.access import credentials
from dpb_nbi.access.faults import KeyUnknown, TokenUnknown, UserUnknown
from dpb_nbi.access.keys import PublicKey
from dpb_nbi.access.roles import Grants
from dpb_nbi.values import CONTROL

_log = logging.getLogger("dpb_nbi")

USERS: Final = "access.users"
TOKENS: Final = "access.tokens"
"""The namespaces of the store's items."""
MAX_NAME: Final = 128
MAX_KEYS: Final = 64
"""How many public keys a user may have."""
_RESERVED: Final = frozenset({ANYBODY.name, SYSTEM.name})
"""Owners of services that no user may pass for."""
_PATIENCE: Final = 30.0


@frozen
class User:
    """Who may ask: roles, what is kept of the password (None: has none), public keys."""

    name: str
    roles: Grants
    password: credentials.Password | None = field(default=None, repr=False)
    keys: tuple[PublicKey, ...] = ()
    version: int = field(default=0, eq=False)


@frozen
class Token:
    """What is kept of a token of *user*; with `roles` it may do no more than these. Times are UTC."""

    id: str
    user: str
    name: str
    digest: str = field(repr=False)
    created: datetime
    expires: datetime | None = None
    roles: Grants | None = None

    def holds(self, now: datetime) -> bool:
        """Whether it has not expired."""
        return self.expires is None or now < self.expires


def now() -> datetime:
    """Return the time, UTC."""
    return datetime.now(UTC)


class Registry:
    """All users and tokens of a broker.

    `users` and `tokens` are read from any thread; they are replaced, never changed. The methods that change them block
    until the change is kept (`CommitFailed` and the like when it cannot be), and belong to one thread at a time.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.users: Mapping[str, User] = {}
        self.tokens: Mapping[str, Token] = {}
        self._read()

    def _read(self) -> None:
        self.users = dict(_parsed(self._store.items(USERS), _user))
        self.tokens = dict(_parsed(self._store.items(TOKENS), _token))

    def roles(self, token: Token) -> Grants | None:
        """What the bearer of *token* may do; None when its user is not there any more."""
        user = self.users.get(token.user)
        if user is None:
            return None
        return user.roles if token.roles is None else token.roles.within(user.roles)

    def set_user(self, name: str, roles: Iterable[str] | None = None, password: str | None = None) -> User:
        """Make a user, or change roles or password or both. `BadArgument` names the field."""
        known = self.users.get(name)
        if known is None:
            check_name(name, "user")
            if name in _RESERVED:
                raise BadArgument("user", f"{name!r} is the broker's own word; choose another name")
        user = known or User(name, Grants())
        if roles is not None:
            user = evolve(user, roles=Grants.parse(roles))
        elif known is None:
            raise BadArgument("roles", "a new user needs a role")
        if password is not None:
            user = evolve(user, password=credentials.Password.of(_password(password)))
        return self._keep_user(user)

    def add_key(self, name: str, line: str) -> PublicKey:
        """Let a user in by a public key; one that is there gets the new comment. `UserUnknown`, `BadArgument`."""
        user, key = self._user(name), PublicKey.parse(line)
        others = tuple(known for known in user.keys if known.base64 != key.base64)
        if len(others) >= MAX_KEYS:
            raise BadArgument("key", f"a user has at most {MAX_KEYS} public keys")
        self._keep_user(evolve(user, keys=(*others, key)))
        return key

    def remove_key(self, name: str, id: str) -> None:
        """Let a user in by that key no more. `UserUnknown`, `KeyUnknown`."""
        user = self._user(name)
        left = tuple(known for known in user.keys if known.id != id)
        if len(left) == len(user.keys):
            raise KeyUnknown(name, id[:64])
        self._keep_user(evolve(user, keys=left))

    def _user(self, name: str) -> User:
        if name not in self.users:
            raise UserUnknown(name)
        return self.users[name]

    def _keep_user(self, user: User) -> User:
        self._keep(Item(USERS, user.name, _plain_user(user), user.version + 1), user.version)
        user = evolve(user, version=user.version + 1)
        self.users = {**self.users, user.name: user}
        return user

    def remove_user(self, name: str) -> None:
        """Remove a user with all tokens. `UserUnknown`."""
        if name not in self.users:
            raise UserUnknown(name)
        theirs = [token.id for token in self.tokens.values() if token.user == name]
        self._submit(Batch(drops=[(Item, (USERS, name)), *_tokens(theirs)]))
        self.users = {known: user for known, user in self.users.items() if known != name}
        self.tokens = {id: token for id, token in self.tokens.items() if id not in theirs}

    def create_token(
        self, user: str, name: str = "", roles: Iterable[str] | None = None, expires: datetime | None = None
    ) -> tuple[Token, str]:
        """Make a token and return what is kept of it, and the token itself, which nobody can tell again.

        Those that have expired are forgotten with it, so that they do not grow in number. `BadArgument`, `UserUnknown`.
        """
        if user not in self.users:
            raise UserUnknown(user)
        if len(name) > MAX_NAME or CONTROL.search(name):
            raise BadArgument("name", f"expected at most {MAX_NAME} characters, none of them a control character")
        created = now()
        if expires is not None and expires <= created:
            raise BadArgument("expires", "expected a time that is still to come")
        id = credentials.new_id()
        text = credentials.new_token(id)
        bound = None if roles is None else Grants.parse(roles)
        token = Token(id, user, name, credentials.digest(text), created, expires, bound)
        hold = {known: one for known, one in self.tokens.items() if one.holds(created)}
        self._keep(Item(TOKENS, id, _plain_token(token)), 0, self.tokens.keys() - hold.keys())
        self.tokens = {**hold, id: token}
        return token, text

    def revoke(self, id: str) -> None:
        """Forget a token. `TokenUnknown`."""
        if id not in self.tokens:
            raise TokenUnknown(id)
        self._submit(Batch(drops=_tokens([id])))
        self.tokens = {known: token for known, token in self.tokens.items() if known != id}

    def _keep(self, item: Item, version: int, ended: Iterable[str] = ()) -> None:
        self._submit(Batch(puts=[item], drops=_tokens(ended), expects={(item.namespace, item.name): version}))

    def _submit(self, batch: Batch) -> None:
        reply = self._store.submit(batch)
        try:
            reply.result(_PATIENCE)
        except Exception:
            # Whether it was kept may not be known: what is in the store holds.
            self._read()
            raise


def _tokens(ids: Iterable[str]) -> list[tuple[type[Item], tuple[str, str]]]:
    return [(Item, (TOKENS, id)) for id in ids]


def _password(text: str) -> str:
    least, most = credentials.MIN_PASSWORD, credentials.MAX_PASSWORD
    if not least <= len(text) <= most or CONTROL.search(text):
        raise BadArgument("password", f"expected {least} to {most} characters, none of them a control character")
    return text


def _plain_user(user: User) -> dict[str, Any]:
    return {
        "roles": user.roles.texts(),
        "password": user.password and user.password.plain(),
        "keys": [key.line for key in user.keys],
    }


def _user(item: Item) -> User:
    password = item.value["password"]
    kept = None if password is None else credentials.Password.parse(password)
    keys = tuple(PublicKey.parse(line) for line in item.value.get("keys", ()))  # older stores have none
    return User(item.name, Grants.parse(item.value["roles"]), kept, keys, item.version)


def _plain_token(token: Token) -> dict[str, Any]:
    return {
        "user": token.user,
        "name": token.name,
        "digest": token.digest,
        "created": token.created.isoformat(),
        "expires": token.expires and token.expires.isoformat(),
        "roles": None if token.roles is None else token.roles.texts(),
    }


def _token(item: Item) -> Token:
    plain = item.value
    return Token(
        item.name,
        plain["user"],
        plain["name"],
        plain["digest"],
        datetime.fromisoformat(plain["created"]),
        plain["expires"] and datetime.fromisoformat(plain["expires"]),
        None if plain["roles"] is None else Grants.parse(plain["roles"]),
    )


def _parsed(items: Mapping[str, Item], parse: Callable[[Item], Any]) -> Iterable[tuple[str, Any]]:
    for name, item in items.items():
        try:
            yield name, parse(item)
        except (KeyError, TypeError, ValueError, BadArgument):
            # Whoever it was is let in no more; nothing of the content is told, it may be a secret.
            _log.error("%s %r in the store cannot be understood; it counts as not there", item.namespace, name)
