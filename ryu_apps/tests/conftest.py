"""Fixtures of the controller application's tests."""

import os

import pytest

from .slicer_lab import Ovs, Slicer, missing


def pytest_runtest_setup(item):
    if item.get_closest_marker("dataplane") and (gone := missing()):
        text = f"Open vSwitch is not here ({', '.join(gone)}): apt-get install openvswitch-switch"
        if os.environ.get("DPB_REQUIRE_DATAPLANE") == "1":
            pytest.fail(text)
        pytest.skip(text)


@pytest.fixture(scope="module")
def ovs(tmp_path_factory):
    # Short: the path of a Unix socket has room for about a hundred characters.
    ovs = Ovs(tmp_path_factory.mktemp("ovs"))
    yield ovs
    ovs.stop()


@pytest.fixture(scope="module")
def slicer(tmp_path_factory):
    slicer = Slicer(tmp_path_factory.mktemp("slicer"), "--full-audit", "3", "--audit", "0.5")
    yield slicer
    assert slicer.stop() == 0
