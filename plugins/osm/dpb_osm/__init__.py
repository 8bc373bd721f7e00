"""The WIM connector for ETSI OSM: `rosdn_dpb`, for the current plugin interface of RO and for release 5."""

from dpb_osm.connector import DpbConnector

__all__ = ["DpbConnector"]
