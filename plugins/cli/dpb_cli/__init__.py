"""DataPlane Broker: the client commands of dpb."""
