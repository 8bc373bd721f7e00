"""What Alembic runs: the store hands over its open connection, in a transaction of the store's own."""

from alembic import context
from dpb_store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
