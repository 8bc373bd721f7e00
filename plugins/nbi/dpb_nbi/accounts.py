"""Users and tokens under `/api/v1`: for those who manage all networks."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import quote

from dpb_framework.errors import BadArgument
from dpb_nbi.access import EVERYWHERE, orders
from dpb_nbi.access.credentials import public
from dpb_nbi.access.keys import PublicKey
from dpb_nbi.access.registry import Token, User
from dpb_nbi.resource import Resource
from dpb_nbi.values import array, moment, table, text
from dpb_nbi.wire import Request, Response, answer


def _user(user: User) -> dict[str, Any]:
    return {
        "name": user.name,
        "roles": user.roles.texts(),
        "password": user.password is not None,
        "keys": [_key(key) for key in user.keys],
    }


def _key(key: PublicKey) -> dict[str, Any]:
    return {"id": key.id, "type": key.type, "fingerprint": key.fingerprint, "comment": key.comment}


def _token(token: Token) -> dict[str, Any]:
    return {
        "id": token.id,
        "user": token.user,
        "name": token.name,
        "roles": None if token.roles is None else token.roles.texts(),
        "created": token.created.isoformat(timespec="seconds"),
        "expires": None if token.expires is None else token.expires.isoformat(timespec="seconds"),
    }


def _roles(value: Any) -> list[str] | None:
    if value is None:
        return None
    return [text(item, f"roles[{i}]") for i, item in enumerate(array(value, "roles"))]


class Users(Resource):
    """`/users`."""

    kinds: ClassVar = {"GET": orders.LIST_ACCESS}

    async def on_get(self, request: Request, response: Response) -> None:
        """List the users, by name."""
        answer(response, {"users": [_user(user) for _, user in sorted(self.access.registry.users.items())]})


class OneUser(Resource):
    """`/users/{user}`."""

    kinds: ClassVar = {"PUT": orders.SET_USER, "DELETE": orders.REMOVE_USER}

    async def on_put(self, request: Request, response: Response, user: str) -> None:
        """Make a user, or change roles or password; what is left out stays."""
        body = table(await request.json(), "", ("roles", "password"))
        roles = _roles(body.get("roles"))
        password = None if body.get("password") is None else _secret(body["password"])
        made = await self.give(
            request,
            orders.SET_USER,
            EVERYWHERE,
            lambda _: self.access.change(lambda registry: registry.set_user(user, roles, password)),
            user=user,
        )
        answer(response, _user(made))

    async def on_delete(self, request: Request, response: Response, user: str) -> None:
        """Remove a user with all tokens."""
        await self.give(
            request,
            orders.REMOVE_USER,
            EVERYWHERE,
            lambda _: self.access.change(lambda registry: registry.remove_user(user)),
            user=user,
        )
        response.status = 204


def _secret(value: Any) -> str:
    if not isinstance(value, str):
        raise BadArgument("password", "expected a text")
    return value


class Keys(Resource):
    """`/users/{user}/keys`."""

    kinds: ClassVar = {"POST": orders.ADD_KEY}

    async def on_post(self, request: Request, response: Response, user: str) -> None:
        """Let the user in by a public key."""
        line = text(table(await request.json(), "", ("key",), ("key",))["key"], "key")
        made = await self.calls.reply(
            self.desk.give(
                request.who,
                orders.Order(orders.ADD_KEY, user=user),
                lambda _: self.access.change(lambda registry: registry.add_key(user, line)),
                lambda made: {"key": made.id},
            )
        )
        response.set_header("Location", f"{quote(request.path)}/{made.id}")
        answer(response, _key(made), 201)


class OneKey(Resource):
    """`/users/{user}/keys/{key}`."""

    kinds: ClassVar = {"DELETE": orders.REMOVE_KEY}

    async def on_delete(self, request: Request, response: Response, user: str, key: str) -> None:
        """Let the user in by it no more; connections that it opened end within seconds."""
        await self.give(
            request,
            orders.REMOVE_KEY,
            EVERYWHERE,
            lambda _: self.access.change(lambda registry: registry.remove_key(user, key)),
            user=user,
            key=key,
        )
        response.status = 204


class Tokens(Resource):
    """`/tokens`."""

    kinds: ClassVar = {"GET": orders.LIST_ACCESS, "POST": orders.CREATE_TOKEN}

    async def on_get(self, request: Request, response: Response) -> None:
        """List the tokens, the oldest first; what they are is not known to the broker either."""
        found = sorted(self.access.registry.tokens.values(), key=lambda token: (token.created, token.id))
        answer(response, {"tokens": [_token(token) for token in found]})

    async def on_post(self, request: Request, response: Response) -> None:
        """Make a token; this answer is the only one that tells it."""
        body = table(await request.json(), "", ("user", "name", "roles", "expires"), ("user",))
        user, name = text(body["user"], "user"), text(body.get("name") or "", "name")
        roles, expires = _roles(body.get("roles")), moment(body.get("expires"), "expires")
        made, secret = await self.calls.reply(
            self.desk.give(
                request.who,
                orders.Order(orders.CREATE_TOKEN, user=user),
                lambda _: self.access.change(lambda registry: registry.create_token(user, name, roles, expires)),
                lambda made: {"token": made[0].id},
            )
        )
        response.set_header("Location", f"{quote(request.path)}/{made.id}")
        response.set_header("Cache-Control", "no-store")
        answer(response, {**_token(made), "token": secret}, 201)


class OneToken(Resource):
    """`/tokens/{token}`."""

    kinds: ClassVar = {"DELETE": orders.REVOKE_TOKEN}

    async def on_delete(self, request: Request, response: Response, token: str) -> None:
        """Revoke it: from now on it is a stranger's."""
        id = public(token)
        await self.give(
            request,
            orders.REVOKE_TOKEN,
            EVERYWHERE,
            lambda _: self.access.change(lambda registry: registry.revoke(id)),
            token=id,
        )
        response.status = 204
