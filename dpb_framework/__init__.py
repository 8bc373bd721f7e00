"""The kernel of the DataPlane Broker: the model, the contracts, the hooks, and the networks that live by them."""

__version__ = "0.1.0"
