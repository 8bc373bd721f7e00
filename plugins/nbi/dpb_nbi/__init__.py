"""DataPlane Broker: northbound interfaces (REST)."""

from dpb_nbi.app import create_app
from dpb_nbi.server import RestNbi

__all__ = ["RestNbi", "create_app"]
