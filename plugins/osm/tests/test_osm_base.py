"""The connector takes RO's base class and error where RO is installed, of whichever release."""

from __future__ import annotations

import subprocess
import sys

import pytest

BASE = """
class {base}:
    def __init__(self, wim, wim_account, config=None, logger=None):
        self.wim, self.wim_account, self.config, self.logger = wim, wim_account, config or {{}}, logger

class {error}(Exception):
    def __init__(self, message, http_code=500):
        Exception.__init__(self, message)
        self.http_code = http_code
"""

PROBE = """
from {module} import {base}, {error}
from dpb_osm import DpbConnector
assert issubclass(DpbConnector, {base})
try:
    DpbConnector({{"wim_url": "nowhere"}}, {{}}, {{}})
except {error} as error:
    print(error.http_code)
"""


@pytest.mark.parametrize(
    ("module", "base", "error"),
    [
        ("osm_ro_plugin.sdnconn", "SdnConnectorBase", "SdnConnectorError"),
        ("osm_ro.wim.sdnconn", "SdnConnectorBase", "SdnConnectorError"),
        ("osm_ro.wim.wimconn", "WimConnector", "WimConnectorError"),
    ],
)
def test_ros_own_classes_are_used_where_ro_is(tmp_path, module, base, error):
    *packages, name = module.split(".")
    folder = tmp_path
    for package in packages:
        folder = folder / package
        folder.mkdir()
        (folder / "__init__.py").touch()
    (folder / f"{name}.py").write_text(BASE.format(base=base, error=error))
    probe = PROBE.format(module=module, base=base, error=error)
    ran = subprocess.run(
        [sys.executable, "-c", probe], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.stdout == "400\n", ran.stderr
