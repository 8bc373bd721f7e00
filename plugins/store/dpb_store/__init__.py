"""DataPlane Broker: durable stores on SQLAlchemy, for SQLite and PostgreSQL."""

from dpb_store.store import SqlStore

__all__ = ["SqlStore"]
