"""The algorithms that are compared: `NAME`, or `NAME:setting=value,setting=value`."""

from __future__ import annotations

from attrs import field, frozen

from dpb_framework import plugins
from dpb_framework.contracts import Algorithm
from dpb_framework.contracts.algorithm import Planner, Topology
from dpb_framework.errors import ConfigInvalid


@frozen
class Contestant:
    """An installed algorithm with its settings; `label` is how it was asked for."""

    label: str
    name: str
    settings: dict[str, bool | int | float | str]
    algorithm: Algorithm = field(eq=False, repr=False)

    def planner(self, topology: Topology) -> Planner:
        """Return a new planner for a network."""
        return self.algorithm.planner(topology)


def contestant(text: str) -> Contestant:
    """Return the algorithm that *text* names. Errors of `plugins.make`; `ConfigInvalid` for what is no setting."""
    name, colon, rest = text.partition(":")
    settings: dict[str, bool | int | float | str] = {}
    for pair in rest.split(",") if colon else ():
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise ConfigInvalid(f"--algorithm {text}", f"expected NAME:SETTING=VALUE,..., got {pair!r}")
        settings[key.strip()] = _value(value.strip())
    made = plugins.make(plugins.ALGORITHMS, name, Algorithm, settings, f"--algorithm {name}")
    return Contestant(text, name, settings, made)


def _value(text: str) -> bool | int | float | str:
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
