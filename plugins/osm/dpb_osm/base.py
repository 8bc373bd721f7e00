"""The base class and the error of RO's plugin interface: those of the RO that is installed, else ones of that shape.

None of RO's packages is on a package index, so they are taken where they are found. Between releases the module moved
and the names changed; the constructor's three positional arguments and the methods stayed.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import Any

_PLACES = (
    ("osm_ro_plugin.sdnconn", "SdnConnectorBase", "SdnConnectorError"),  # release 7 and later
    ("osm_ro.wim.sdnconn", "SdnConnectorBase", "SdnConnectorError"),  # release 6
    ("osm_ro.wim.wimconn", "WimConnector", "WimConnectorError"),  # release 5
)


class StandInError(Exception):
    """What a connector raises. `http_code` is the status that RO tells its user."""

    def __init__(self, message: str, http_code: int = 500) -> None:
        super().__init__(message)
        self.http_code = http_code


class StandInBase:
    """A connector's base class as RO has it: keeps what it is constructed with."""

    def __init__(self, wim: Any, wim_account: Any, config: Any = None, logger: logging.Logger | None = None) -> None:
        self.logger = logger or logging.getLogger("ro.sdn")
        self.wim = wim
        self.wim_account = wim_account
        self.config = config or {}
        self.service_endpoint_mapping = self.config.get("service_endpoint_mapping", [])


def _find() -> tuple[Any, Any]:
    for module, base, error in _PLACES:
        try:
            found = import_module(module)
            return getattr(found, base), getattr(found, error)
        except (ImportError, AttributeError):
            continue
    return StandInBase, StandInError


ConnectorBase, ConnectorError = _find()


def fault(message: str, http_code: int) -> Exception:
    """Return RO's error with *message* and the status that RO tells its user."""
    error: Exception = ConnectorError(message, http_code=http_code)
    return error
