"""The description of the interface: OpenAPI 3.1, as Python data."""

from dpb_nbi.openapi.document import document

__all__ = ["document"]
