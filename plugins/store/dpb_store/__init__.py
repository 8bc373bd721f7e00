"""DataPlane Broker: durable stores on SQLAlchemy, for SQLite and PostgreSQL."""
