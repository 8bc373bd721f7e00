"""DataPlane Broker: northbound interfaces (REST)."""
