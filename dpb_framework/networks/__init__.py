"""The networks of this broker: switches and aggregators, what they hold, and the drivers of their services."""

from dpb_framework.networks.aggregator import Aggregator
from dpb_framework.networks.switch import Switch

__all__ = ["Aggregator", "Switch"]
