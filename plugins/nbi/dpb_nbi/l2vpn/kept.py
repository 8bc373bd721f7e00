"""The VPNs of one network as the store has them."""

from __future__ import annotations

import asyncio
from typing import Any

from dpb_framework.contracts import Batch, Item
from dpb_framework.serialise import build, plain
from dpb_nbi.access import orders
from dpb_nbi.access.orders import Kind, Order
from dpb_nbi.calls import Calls
from dpb_nbi.l2vpn.vpn import Vpn
from dpb_nbi.operations import Asking


class Kept:
    """VPNs by id, read once and kept one at a time. Belongs to the event loop."""

    def __init__(self, calls: Calls, namespace: str) -> None:
        self._calls = calls
        self._namespace = namespace
        self._found: dict[str, tuple[Vpn, int]] | None = None
        self._loading = asyncio.Lock()

    async def all(self) -> dict[str, Vpn]:
        """All of them."""
        return {id: vpn for id, (vpn, _) in (await self._known()).items()}

    async def get(self, id: str) -> Vpn | None:
        """The VPN of that id, if there is one."""
        found = (await self._known()).get(id)
        return None if found is None else found[0]

    async def put(self, vpn: Vpn, asking: Asking) -> None:
        """Keep it as it is now."""
        version = await self._version(vpn)
        item = Item(self._namespace, vpn.id, plain(vpn), version + 1)
        await self._give(vpn, asking, orders.PUT_VPN, Batch(puts=[item], expects={item.key: version}))
        (await self._known())[vpn.id] = (vpn, version + 1)

    async def drop(self, vpn: Vpn, asking: Asking) -> None:
        """Forget it."""
        key = (self._namespace, vpn.id)
        batch = Batch(drops=[(Item, key)], expects={key: await self._version(vpn)})
        await self._give(vpn, asking, orders.REMOVE_VPN, batch)
        del (await self._known())[vpn.id]

    async def _version(self, vpn: Vpn) -> int:
        known = await self._known()
        return known[vpn.id][1] if vpn.id in known else 0

    async def _give(self, vpn: Vpn, asking: Asking, kind: Kind, batch: Batch) -> None:
        store = self._calls.broker.store
        order = Order(kind, asking.network, vpn=vpn.id)
        await self._calls.reply(asking.desk.give(asking.who, order, lambda _: store.submit(batch)))

    async def _known(self) -> dict[str, tuple[Vpn, int]]:
        if self._found is None:
            async with self._loading:
                if self._found is None:
                    store = self._calls.broker.store
                    items = await self._calls.work(lambda: store.items(self._namespace))
                    self._found = {
                        name: (build(Vpn, _with_bearers(item.value), f"{self._namespace}/{name}"), item.version)
                        for name, item in items.items()
                    }
        return self._found


def _with_bearers(kept: dict[str, Any]) -> dict[str, Any]:
    """Fill in what VPNs that were kept before there were bearers do not have."""
    return {**kept, "accesses": [{"bearer": None, **access} for access in kept["accesses"]]}
