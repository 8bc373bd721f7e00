"""Fixtures: another side that answers as it is told, and a near broker whose network `far` is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dpb_framework.runtime import Runtime
from dpb_framework.testing.layout import Layout
from dpb_framework.testing.world import World

from .remote_stub import Stub


@pytest.fixture
def stub() -> Iterator[Stub]:
    found = Stub()
    yield found
    found.close()


@pytest.fixture
def near(stub: Stub) -> Iterator[Callable[..., World]]:
    made: list[World] = []

    def make(**settings: Any) -> World:
        layout = Layout()
        layout.networks["far"] = {"kind": "remote", "url": stub.url, "network": "s1", "keep-alive": 60, **settings}
        made.append(World(layout, runtime=Runtime))
        return made[-1]

    yield make
    stub.over.set()
    for world in made:
        world.close()
