"""DataPlane Broker: northbound interfaces (REST, SSH).

What is offered is imported when it is asked for: a command over SSH needs no web server, and a broker without SSH none.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dpb_nbi.app import create_app
    from dpb_nbi.server import RestNbi
    from dpb_nbi.ssh.server import SshNbi

_WHERE = {"RestNbi": "dpb_nbi.server", "SshNbi": "dpb_nbi.ssh.server", "create_app": "dpb_nbi.app"}

__all__ = ["RestNbi", "SshNbi", "create_app"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)
