"""The fabric `corsa-shared`: one VFC for all services of a logical switch."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from dpb_corsa.fabric import CorsaFabric, by_service
from dpb_corsa.tags import digest_of_key
from dpb_corsa.tunnels import Wanted
from dpb_corsa.vfcs import Vfc
from dpb_framework.contracts import Bridge


class SharedFabric(CorsaFabric):
    """A service's circuits are tunnels at free OpenFlow ports, which the VFC's controller joins; see `CorsaFabric`."""

    resources_each = 10

    def _vfc(self) -> Vfc | None:
        ours = self._vfcs.ours()
        return ours[0] if ours else None

    def _ensure(self, key: str, wanted: Sequence[Wanted]) -> None:
        vfc = self._vfc()
        if vfc is None:
            with self._making:
                vfc = self._vfc()
                if vfc is None:
                    self._application.status()
                    vfc = self._vfcs.make(self._controlled)
        there = self._switch.tunnels(vfc.name)
        self._refuse_overlap(wanted, there)
        self._changer.ensure(vfc, key, wanted, there, self._changer.slices(vfc))

    def _remove(self, key: str) -> None:
        vfc = self._vfc()
        if vfc is None:
            return
        digest = digest_of_key(key)
        mine = by_service(self._switch.tunnels(vfc.name)).get(digest, [])
        self._changer.part(vfc, key)
        self._changer.detach(vfc, digest, mine)

    def retain(self, keys: Collection[str], prefix: str) -> None:
        """Remove the services with *prefix* that are not among *keys*, which a restarted application learns by it."""
        self._know(keys)
        with self._alert():
            vfc = self._vfc()
            if vfc is None:
                return
            there = by_service(self._switch.tunnels(vfc.name))
            self._know(self._changer.slices(vfc).named)
            self._changer.settled(vfc, lambda: self._application.retain(vfc.dpid, keys, prefix))
            for digest, mine in there.items():
                if self._is_left_over(digest, mine, keys, prefix):
                    self._changer.detach(vfc, digest, mine)

    def bridges(self) -> Sequence[Bridge]:
        """The services whose tunnels are attached and joined, as switch and application tell."""
        with self._alert():
            vfc = self._vfc()
            if vfc is None:
                # Nothing is there; whether that can change is what the caller wants to know, too.
                self._application.status()
                return []
            return self._told(self._switch.tunnels(vfc.name), self._changer.slices(vfc))
