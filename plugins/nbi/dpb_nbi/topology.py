"""Networks, terminals and trunks under `/api/v1/networks`."""

from __future__ import annotations

from typing import ClassVar
from urllib.parse import quote

from dpb_framework.contracts import AggregatorManagement, Network, SwitchManagement
from dpb_framework.errors import DpbError, TerminalUnknown
from dpb_framework.model import Caller, Terminal, Trunk
from dpb_framework.reply import Reply
from dpb_nbi import render, topology_codec
from dpb_nbi.access import orders
from dpb_nbi.jsontext import write
from dpb_nbi.problems import Problem, in_terminal, in_trunk
from dpb_nbi.resource import Resource
from dpb_nbi.wire import Request, Response, answer, answer_text


class Networks(Resource):
    """`/networks`."""

    async def on_get(self, request: Request, response: Response) -> None:
        """List the networks, in the order of the configuration."""
        answer(response, {"networks": [render.network(network) for network in self.desk.networks(request.who)]})


class OneNetwork(Resource):
    """`/networks/{network}`."""

    async def on_get(self, request: Request, response: Response, network: str) -> None:
        """Show one network."""
        answer(response, render.network(self.network(request, network)))


class Model(Resource):
    """`/networks/{network}/model`."""

    async def on_get(self, request: Request, response: Response, network: str) -> None:
        """Tell what the network shows to a superior."""
        found = self.network(request, network)
        # An aggregator looks for the ways between all its terminals: a planner's work, so not the loop's.
        answer_text(response, await self.calls.work(lambda: write(render.model(found.model()))))


def _terminals(network: Network) -> SwitchManagement:
    if not isinstance(network, SwitchManagement):
        raise Problem(
            404,
            "not-managed",
            f"network {network.name!r} is of kind {network.kind!r}: its terminals are managed elsewhere",
        )
    return network


def managed_trunks(network: Network) -> AggregatorManagement:
    """Return the network if it has trunks; `Problem` 404."""
    if not isinstance(network, AggregatorManagement):
        raise Problem(404, "no-trunks", f"network {network.name!r} is of kind {network.kind!r}: it has no trunks")
    return network


class Terminals(Resource):
    """`.../terminals`."""

    kinds: ClassVar = {"POST": orders.PUT_TERMINAL}

    async def on_get(self, request: Request, response: Response, network: str) -> None:
        """List the terminals."""
        found = _terminals(self.network(request, network)).list_terminals()
        answer(response, {"terminals": [render.terminal(terminal) for terminal in found]})

    async def on_post(self, request: Request, response: Response, network: str) -> None:
        """Make a terminal."""
        managed = _terminals(self.network(request, network))
        terminal = topology_codec.terminal(await request.json())
        made = await _put_terminal(self, request, network, managed, terminal, new=True)
        response.set_header("Location", f"{quote(request.path)}/{quote(made.name)}")
        answer(response, render.terminal(made), 201)


class OneTerminal(Resource):
    """`.../terminals/{terminal}`."""

    kinds: ClassVar = {"PUT": orders.PUT_TERMINAL, "DELETE": orders.REMOVE_TERMINAL}

    async def on_get(self, request: Request, response: Response, network: str, terminal: str) -> None:
        """Show the terminal."""
        found = _terminals(self.network(request, network)).list_terminals()
        for one in found:
            if one.name == terminal:
                answer(response, render.terminal(one))
                return
        raise TerminalUnknown(network, terminal)

    async def on_put(self, request: Request, response: Response, network: str, terminal: str) -> None:
        """Make or change it."""
        managed = _terminals(self.network(request, network))
        wanted = topology_codec.terminal(await request.json(), terminal)
        answer(response, render.terminal(await _put_terminal(self, request, network, managed, wanted, new=False)))

    async def on_delete(self, request: Request, response: Response, network: str, terminal: str) -> None:
        """Remove it."""
        managed = _terminals(self.network(request, network))
        kind = orders.REMOVE_TERMINAL
        await self.give(
            request, kind, network, lambda caller: managed.remove_terminal(terminal, caller), terminal=terminal
        )
        response.status = 204


async def _put_terminal(
    resource: Resource, request: Request, network: str, managed: SwitchManagement, terminal: Terminal, *, new: bool
) -> Terminal:
    def put(caller: Caller) -> Reply[Terminal]:
        return managed.put_terminal(terminal, caller, new=new)

    try:
        return await resource.give(request, orders.PUT_TERMINAL, network, put, terminal=terminal.name)
    except DpbError as error:
        raise in_terminal(error, terminal) from error


class Trunks(Resource):
    """`.../trunks`."""

    kinds: ClassVar = {"POST": orders.PUT_TRUNK}

    async def on_get(self, request: Request, response: Response, network: str) -> None:
        """List the trunks with what is left of each."""
        found = managed_trunks(self.network(request, network)).trunks()
        answer(response, {"trunks": [render.trunk(use) for use in found]})

    async def on_post(self, request: Request, response: Response, network: str) -> None:
        """Make a trunk."""
        managed = managed_trunks(self.network(request, network))
        trunk = topology_codec.trunk(await request.json())
        await _put_trunk(self, request, network, managed, trunk, new=True)
        response.set_header("Location", f"{quote(request.path)}/{quote(trunk.name)}")
        answer(response, render.trunk(managed.trunk(trunk.name)), 201)


class OneTrunk(Resource):
    """`.../trunks/{trunk}`."""

    kinds: ClassVar = {"PUT": orders.PUT_TRUNK, "PATCH": orders.PUT_TRUNK, "DELETE": orders.REMOVE_TRUNK}

    async def on_get(self, request: Request, response: Response, network: str, trunk: str) -> None:
        """Show the trunk with what is left of it."""
        answer(response, render.trunk(managed_trunks(self.network(request, network)).trunk(trunk)))

    async def on_put(self, request: Request, response: Response, network: str, trunk: str) -> None:
        """Make or change it."""
        managed = managed_trunks(self.network(request, network))
        await self._put(request, response, network, managed, topology_codec.trunk(await request.json(), trunk))

    async def on_patch(self, request: Request, response: Response, network: str, trunk: str) -> None:
        """Change some of it."""
        managed = managed_trunks(self.network(request, network))
        body = await request.json()
        await self._put(
            request, response, network, managed, topology_codec.trunk(body, trunk, managed.trunk(trunk).trunk)
        )

    async def _put(
        self, request: Request, response: Response, network: str, managed: AggregatorManagement, trunk: Trunk
    ) -> None:
        await _put_trunk(self, request, network, managed, trunk, new=False)
        answer(response, render.trunk(managed.trunk(trunk.name)))

    async def on_delete(self, request: Request, response: Response, network: str, trunk: str) -> None:
        """Remove it."""
        managed = managed_trunks(self.network(request, network))
        kind = orders.REMOVE_TRUNK
        await self.give(request, kind, network, lambda caller: managed.remove_trunk(trunk, caller), trunk=trunk)
        response.status = 204


async def _put_trunk(
    resource: Resource, request: Request, network: str, managed: AggregatorManagement, trunk: Trunk, *, new: bool
) -> None:
    def put(caller: Caller) -> Reply[None]:
        return managed.put_trunk(trunk, caller, new=new)

    try:
        await resource.give(request, orders.PUT_TRUNK, network, put, trunk=trunk.name)
    except DpbError as error:
        raise in_trunk(error, trunk) from error
