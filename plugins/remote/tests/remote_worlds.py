"""Two brokers in one process: a far one with a REST interface on loopback, and a near one that has its network."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from dpb_nbi import RestNbi
from dpb_remote import Remote

from dpb_framework.contracts import Network
from dpb_framework.runtime import Runtime
from dpb_framework.testing.layout import Layout
from dpb_framework.testing.world import World

PATIENCE = 20.0


def eventually(holds: Callable[[], Any], told: Callable[[], object] = lambda: "") -> None:
    """Wait until *holds* is true."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"what must come did not come in time {told()}"
        time.sleep(0.005)


class Far:
    """A world that is served."""

    def __init__(self, layout: Layout, port: int = 0, **options: Any) -> None:
        self.layout = layout
        self.world = World(layout, runtime=Runtime, **options)
        self.rest = RestNbi(port=port)
        self.rest.start(self.world.broker)
        self.url = self.rest.address
        self.port = int(self.url.rpartition(":")[2])

    def stop(self) -> None:
        self.rest.stop()
        self.world.stop()

    def start(self) -> None:
        self.world.start()
        self.rest = RestNbi(port=self.port)
        self.rest.start(self.world.broker)

    def start_anew(self) -> None:
        """Start with an empty store, where the old one was."""
        self.close()
        self.world = World(self.layout, runtime=Runtime)
        self.rest = RestNbi(port=self.port)
        self.rest.start(self.world.broker)

    def close(self) -> None:
        self.rest.stop()
        self.world.close()


class Pair:
    """A far world and a near one whose only network is the far one's *name*. A context manager."""

    def __init__(self, layout: Layout, name: str, server: Far | None = None, **settings: Any) -> None:
        self.server = server or Far(layout)
        near = Layout()
        url = settings.pop("url", self.server.url)
        near.networks["far"] = {"kind": "remote", "url": url, "network": name, "keep-alive": 1, **settings}
        try:
            self.near = World(near, runtime=Runtime)
        except BaseException:
            self.server.close()
            raise
        self.until_up()

    @property
    def far(self) -> World:
        return self.server.world

    @property
    def network(self) -> Remote:
        found: Network = self.near.network("far")
        assert isinstance(found, Remote)
        return found

    def until_up(self) -> None:
        eventually(lambda: self.network.health()["contact"] == "up", lambda: self.network.health())

    def restart(self) -> None:
        self.near.stop()
        self.server.stop()
        self.server.start()
        self.near.start()
        self.until_up()

    def __enter__(self) -> Pair:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.near.close()
        self.server.close()
