"""Changes of bridges, patch ports and controllers, as arguments of one `ovs-vsctl`; pure."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from dpb_corsa_emulator.ovs.carrying import Place, patch, physical, places
from dpb_corsa_emulator.values import Bridge, Controller, State, number_of

MARK = "corsa-emulator"
"""The key in a bridge's external_ids that says whose it is."""


@frozen
class Names:
    """How things are called in Open vSwitch: *prefix* keeps several emulators on one apart."""

    prefix: str = "corsa"
    datapath: str = "netdev"

    @property
    def backplane(self) -> str:
        """The bridge with the physical ports."""
        return f"{self.prefix}bp"

    def bridge(self, name: str) -> str:
        """A VFC's bridge."""
        return f"{self.prefix}{name}"

    def inside(self, place: Place) -> str:
        """A tunnel's patch port in the VFC's bridge."""
        return f"{self.prefix}{number_of(place[0])}v{place[1]}"

    def outside(self, place: Place) -> str:
        """A tunnel's patch port in the backplane."""
        return f"{self.prefix}{number_of(place[0])}p{place[1]}"


@frozen
class Interface:
    """What a physical port is made of: a name, and columns of OVSDB's Interface such as `type=dummy`."""

    port: str
    name: str
    columns: tuple[str, ...] = field(default=())


def backplane(names: Names, interfaces: tuple[Interface, ...]) -> list[str]:
    """Make the backplane, unless it is there."""
    bridge = names.backplane
    made = ["--", "--may-exist", "add-br", bridge, *_bridge(names, bridge)]
    for interface in interfaces:
        made += ["--", "--may-exist", "add-port", bridge, interface.name, "--", "set", "interface", interface.name]
        made += [f"ofport_request={physical(interface.port)}", *interface.columns]
    return made


def additions(names: Names, before: State, after: State, numbers: Mapping[Place, int]) -> list[str]:
    """What is there after and was not before, and what changes."""
    made: list[str] = []
    for name, bridge in after.bridges.items():
        old = before.bridges.get(name)
        if old is None:
            made += ["--", "add-br", names.bridge(name), *_bridge(names, names.bridge(name))]
        made += _settings(names.bridge(name), old, bridge)
    known = set(places(before))
    for place in places(after):
        if place not in known:
            made += _patch_pair(names, place, numbers[place])
    return made


def back(names: Names, state: State, changed: State) -> list[str]:
    """What a change to *changed* had added to *state*, taken away, and its settings as they were."""
    made = removals(names, changed, state)
    for name, bridge in state.bridges.items():
        if name in changed.bridges:
            made += _settings(names.bridge(name), changed.bridges[name], bridge)
    return made


def removals(names: Names, before: State, after: State) -> list[str]:
    """What was there before and is there no more."""
    made: list[str] = []
    for place in sorted(set(places(before)) - set(places(after))):
        made += ["--", "--if-exists", "del-port", names.backplane, names.outside(place)]
        if place[0] in after.bridges:
            made += ["--", "--if-exists", "del-port", names.bridge(place[0]), names.inside(place)]
    for name in sorted(set(before.bridges) - set(after.bridges)):
        made += ["--", "--if-exists", "del-br", names.bridge(name)]
    return made


def target(controller: Controller) -> str:
    """A controller in the words of Open vSwitch."""
    host = f"[{controller.ip}]" if ":" in controller.ip else controller.ip
    return f"{'ssl' if controller.tls else 'tcp'}:{host}:{controller.port}"


def _bridge(names: Names, bridge: str) -> list[str]:
    return [
        "--", "set", "bridge", bridge, f"datapath_type={names.datapath}", "fail_mode=secure", "protocols=OpenFlow13",
        f"external_ids:{MARK}={names.prefix}",
    ]  # fmt: skip


def _settings(bridge_name: str, old: Bridge | None, bridge: Bridge) -> list[str]:
    made: list[str] = []
    if old is None or old.dpid != bridge.dpid:
        made += ["--", "set", "bridge", bridge_name, f"other_config:datapath-id={bridge.dpid}"]
    if (old.controllers if old else {}) != bridge.controllers:
        made += _controllers(bridge_name, bridge)
    return made


def _controllers(bridge_name: str, bridge: Bridge) -> list[str]:
    made = ["--", "clear", "bridge", bridge_name, "controller"]
    targets = {target(controller): identity for identity, controller in bridge.controllers.items()}
    # Named for the bridge, too: there may be several in one command.
    rows = [f"@{bridge_name}c{place}" for place in range(len(targets))]
    for row, (where, identity) in zip(rows, targets.items(), strict=True):
        made += ["--", f"--id={row}", "create", "controller", f'target="{where}"', "max_backoff=1000"]
        made += ["inactivity_probe=5000", f'external_ids:{MARK}="{identity}"']
    if rows:
        made += ["--", "set", "bridge", bridge_name, f"controller=[{','.join(rows)}]"]
    return made


def _patch_pair(names: Names, place: Place, slot: int) -> list[str]:
    inside, outside = names.inside(place), names.outside(place)
    made: list[str] = []
    for bridge, port, peer, number in (
        (names.bridge(place[0]), inside, outside, place[1]),
        (names.backplane, outside, inside, patch(slot)),
    ):
        made += ["--", "add-port", bridge, port, "--", "set", "interface", port, "type=patch"]
        made += [f"options:peer={peer}", f"ofport_request={number}"]
    return made
