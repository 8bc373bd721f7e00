"""DataPlane Broker: path computation and its bench."""
