"""The switch's configuration in a file, so that a restart keeps it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from attrs import asdict

from dpb_corsa_emulator.values import Bridge, Controller, Meter, State, Tunnel


class BadStateFile(Exception):
    """The file is none of ours; the text says which and why."""


def save(path: Path, state: State) -> None:
    """Write *state*; a crash in the middle leaves the old file."""
    partial = path.with_name(path.name + ".part")
    with partial.open("w", encoding="utf-8") as file:
        json.dump(asdict(state), file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def load(path: Path) -> State:
    """Read what `save` wrote; an empty state where there is no file."""
    try:
        written = path.read_text("utf-8")
    except FileNotFoundError:
        return State()
    try:
        return State({name: _bridge(told) for name, told in json.loads(written)["bridges"].items()})
    except (ValueError, TypeError, KeyError, AttributeError) as fault:
        raise BadStateFile(f"{path}: no state of this emulator ({fault}); remove it, or start with --forget") from None


def _bridge(told: dict[str, Any]) -> Bridge:
    controllers = {identity: Controller(**held) for identity, held in told.pop("controllers").items()}
    tunnels = {
        int(ofport): Tunnel(**{**held, "meter": Meter(**held["meter"])}) for ofport, held in told.pop("tunnels").items()
    }
    return Bridge(**told, controllers=controllers, tunnels=tunnels)
