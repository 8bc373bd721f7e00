"""The adaptor for Corsa DP2000 switches: fabrics over the switch's management API and a controller application."""

from dpb_corsa.perservice import PerServiceFabric
from dpb_corsa.shared import SharedFabric

__all__ = ["PerServiceFabric", "SharedFabric"]
