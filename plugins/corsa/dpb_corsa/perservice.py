"""The fabric `corsa-per-service`: one VFC for each service."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from dpb_corsa.application import Absent, Slices
from dpb_corsa.fabric import CorsaFabric, by_service
from dpb_corsa.tags import digest_of_key
from dpb_corsa.tunnels import Tunnel, Wanted
from dpb_corsa.vfcs import Vfc
from dpb_framework.contracts import Bridge

_NOTHING = Slices({}, frozenset())


class PerServiceFabric(CorsaFabric):
    """Each VFC is controlled by the same application, which joins all its ports; see `CorsaFabric`."""

    _index: dict[str, str] | None = None
    """Names of VFCs by what stands for a service's key; None when all have to be looked at."""
    _turn = 0
    """How many VFCs were made."""

    def _suspect(self) -> None:
        self._index = None

    # -- finding ------------------------------------------------------------------------------------

    def _all(self) -> list[tuple[Vfc, list[Tunnel]]]:
        """All VFCs of ours with their tunnels; those that serve nothing are removed."""
        turn = self._turn
        vfcs = self._vfcs.ours()
        found = []
        index = {}
        for vfc, tunnels in zip(vfcs, self._tunnels(vfcs), strict=True):
            services = by_service(tunnels)
            if services:
                index.update(dict.fromkeys(services, vfc.name))
                found.append((vfc, tunnels))
            else:
                name = vfc.name
                self._vfcs.remove_if(vfc, lambda: not by_service(self._switch.tunnels(name)))  # noqa: B023  # at once
        with self._making:
            # One that was made meanwhile may be missing.
            self._index = index if turn == self._turn else None
        return found

    def _find(self, key: str) -> tuple[Vfc, list[Tunnel]] | None:
        """The VFC of a service with its tunnels, or None."""
        digest = digest_of_key(key)
        index = self._index
        if index is not None:
            name = index.get(digest)
            if name is None:
                return None
            vfc = next((vfc for vfc in self._vfcs.ours() if vfc.name == name), None)
            if vfc is not None:
                tunnels = self._switch.tunnels(name)
                if digest in by_service(tunnels):
                    return vfc, tunnels
        return next(((vfc, tunnels) for vfc, tunnels in self._all() if digest in by_service(tunnels)), None)

    # -- commands -----------------------------------------------------------------------------------

    def _ensure(self, key: str, wanted: Sequence[Wanted]) -> None:
        found = self._find(key)
        if found is None:
            self._application.status()
            vfc = self._vfcs.make(lambda vfc: self._changer.ensure(vfc, key, wanted, (), _NOTHING))
            with self._making:
                self._turn += 1
                if self._index is not None:
                    self._index[digest_of_key(key)] = vfc.name
            return
        vfc, tunnels = found
        with self._vfcs.busy(vfc.name):
            self._changer.ensure(vfc, key, wanted, tunnels, self._changer.slices(vfc))

    def _remove(self, key: str) -> None:
        found = self._find(key)
        if found is not None:
            self._unmake(found[0], digest_of_key(key), key)

    def _unmake(self, vfc: Vfc, digest: str, key: str | None) -> None:
        self._changer.forget(vfc, digest, key)
        self._vfcs.unmake(vfc)
        with self._making:
            if self._index is not None:
                self._index.pop(digest, None)

    def retain(self, keys: Collection[str], prefix: str) -> None:
        """Remove the VFCs of services with *prefix* that are not among *keys*."""
        self._know(keys)
        with self._alert():
            stay = []
            for vfc, tunnels in self._all():
                ((digest, mine), *_) = by_service(tunnels).items()
                if self._is_left_over(digest, mine, keys, prefix):
                    self._unmake(vfc, digest, self._keys.get(digest))
                else:
                    stay.append(vfc)
            connected = self._application.status().connected
            self._crew.each(
                lambda vfc: self._application.retain(vfc.dpid, keys, prefix),
                [vfc for vfc in stay if vfc.dpid in connected],
                self._where,
            )

    def bridges(self) -> Sequence[Bridge]:
        """The services whose tunnels are attached and joined, as switch and application tell."""
        with self._alert():
            found = self._all()
            connected = self._application.status().connected
            told = self._crew.each(self._bridges_of, [pair for pair in found if pair[0].dpid in connected], self._where)
            return [bridge for bridges in told for bridge in bridges]

    def _bridges_of(self, pair: tuple[Vfc, list[Tunnel]]) -> list[Bridge]:
        vfc, tunnels = pair
        try:
            return self._told(tunnels, self._application.slices(vfc.dpid))
        except Absent:  # gone since it was asked for: not there as it should be
            return []
