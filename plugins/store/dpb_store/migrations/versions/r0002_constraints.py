"""Constraints on the way that a service takes."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table of constraints; services that are there have none."""
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.create_table(
        "segment_constraints",
        sa.Column("network", text, nullable=False),
        sa.Column("service", sa.BigInteger(), nullable=False),
        sa.Column("role", text, nullable=False),
        sa.Column("constraints", text, nullable=False),
        sa.PrimaryKeyConstraint("network", "service", "role"),
        sa.ForeignKeyConstraint(["network", "service"], ["service.network", "service.id"], ondelete="CASCADE"),
        sqlite_with_rowid=False,
    )
