"""The adaptor for OpenFlow switches: a fabric over one switch of a controller application ("tuple slicer")."""

from dpb_openflow.fabric import OpenFlowFabric

__all__ = ["OpenFlowFabric"]
