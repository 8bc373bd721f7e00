"""VFCs that are removed because they serve nothing, while commands work on others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, cast

import pytest
from dpb_corsa.address import Options
from dpb_corsa.switch import Switch
from dpb_corsa.vfcs import Vfc, Vfcs

OPTIONS = Options(
    prefix="p:", controller=("127.0.0.1", 6653), controller_tls=False, resources=1, traffic_class=None, netns=""
)
HALF, WHOLE = Vfc("br1", "1"), Vfc("br2", "2")


class SlowSwitch:
    """A switch with VFCs that while it removes one lets *meanwhile* happen."""

    where = "the switch"

    def __init__(self) -> None:
        self.descriptions = {"br1": OPTIONS.partial, "br2": OPTIONS.complete}
        self.meanwhile: Callable[[], None] = lambda: None

    def bridges(self) -> list[dict[str, Any]]:
        return [{"bridge": name, "dpid": name[2:], "bridge-descr": d} for name, d in self.descriptions.items()]

    def bridge(self, name: str) -> dict[str, Any] | None:
        return next((entry for entry in self.bridges() if entry["bridge"] == name), None)

    def change(self, name: str, _: str, value: str) -> None:
        self.descriptions[name] = value

    def destroy(self, name: str) -> None:
        self.meanwhile()
        del self.descriptions[name]


@contextmanager
def another(work: Callable[[], object]) -> Iterator[None]:
    """Another thread, which has done its work at the end."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield
    thread.join(10)
    assert not thread.is_alive(), "it waits"


@pytest.fixture
def switch() -> SlowSwitch:
    return SlowSwitch()


@pytest.fixture
def vfcs(switch: SlowSwitch) -> Vfcs:
    return Vfcs(cast(Switch, switch), OPTIONS)


def sweep(vfcs: Vfcs) -> None:
    vfcs.ours()


def remove(vfcs: Vfcs) -> None:
    vfcs.remove_if(WHOLE, lambda: True)


@pytest.mark.parametrize(("removing", "gone"), [(sweep, HALF), (remove, WHOLE)])
def test_nobody_waits_for_a_vfc_of_others_that_is_removed(
    switch: SlowSwitch, vfcs: Vfcs, removing: Callable[[Vfcs], None], gone: Vfc
) -> None:
    def command() -> None:
        vfcs.lost(vfcs.expected(), [])
        with vfcs.busy("br3"):
            pass

    def meanwhile() -> None:
        with another(command):
            pass

    switch.meanwhile = meanwhile
    removing(vfcs)
    assert gone.name not in switch.descriptions


def test_a_command_does_not_work_on_a_vfc_that_is_being_removed(switch: SlowSwitch, vfcs: Vfcs) -> None:
    there: list[bool] = []

    def command() -> None:
        with vfcs.busy(WHOLE.name):
            there.append(WHOLE.name in switch.descriptions)

    with ExitStack() as stack:
        switch.meanwhile = lambda: stack.enter_context(another(command))
        remove(vfcs)
    assert there == [False]


def test_who_looks_for_left_overs_finds_them_gone_though_another_removes_them(switch: SlowSwitch, vfcs: Vfcs) -> None:
    there: list[bool] = []
    looking = threading.Event()

    def look() -> None:
        bridges = switch.bridges()
        looking.set()
        vfcs.among(bridges)
        there.append(HALF.name in switch.descriptions)

    with ExitStack() as stack:

        def meanwhile() -> None:
            stack.enter_context(another(look))
            assert looking.wait(10)

        switch.meanwhile = meanwhile
        sweep(vfcs)
    assert there == [False]


def test_a_vfc_that_a_command_works_on_is_not_removed(switch: SlowSwitch, vfcs: Vfcs) -> None:
    with vfcs.busy(WHOLE.name), vfcs.busy(HALF.name):
        remove(vfcs)
        sweep(vfcs)
    assert set(switch.descriptions) == {HALF.name, WHOLE.name}
