"""The reference fabric: an emulated device, in the broker's memory or in a process of its own."""

from dpb_framework.emulated.client import ProcessFabric
from dpb_framework.emulated.device import Device
from dpb_framework.emulated.fabric import BlockingFabric, EmulatedFabric, device, forget_device

__all__ = ["BlockingFabric", "Device", "EmulatedFabric", "ProcessFabric", "device", "forget_device"]
