"""Plugins for the DataPlane Broker by somebody else: a fabric, an algorithm, a listener."""
