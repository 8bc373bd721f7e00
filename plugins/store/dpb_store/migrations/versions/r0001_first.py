"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table."""
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    number = sa.BigInteger()

    # Columns of any type.
    def table(name: str, key: list[str], owner: str | None, owned: list[str], *columns: sa.Column) -> None:  # type: ignore[type-arg]
        constraints: list[sa.Constraint] = [sa.PrimaryKeyConstraint(*key)]
        if owner is not None:
            targets = [f"{owner}.{column}" for column in owned]
            constraints.append(sa.ForeignKeyConstraint(key[: len(owned)], targets, ondelete="CASCADE"))
        op.create_table(name, *columns, *constraints, sqlite_with_rowid=False)

    # Of any type.
    def column(name: str, kind: sa.types.TypeEngine, nullable: bool = False) -> sa.Column:  # type: ignore[type-arg]
        return sa.Column(name, kind, nullable=nullable)

    table("meta", ["name"], None, [], column("name", text), column("value", text))
    table(
        "network",
        ["name"],
        None,
        [],
        column("name", text),
        column("kind", text),
        column("last_service", number),
    )
    table(
        "terminal",
        ["network", "name"],
        "network",
        ["name"],
        column("network", text),
        column("name", text),
        column("place", text),
        column("ingress_quota", number, nullable=True),
        column("egress_quota", number, nullable=True),
    )
    table(
        "terminal_label",
        ["network", "terminal", "position"],
        "terminal",
        ["network", "name"],
        column("network", text),
        column("terminal", text),
        column("position", number),
        column("first_label", number),
        column("last_label", number),
    )
    table(
        "trunk",
        ["network", "name"],
        "network",
        ["name"],
        column("network", text),
        column("name", text),
        column("start_network", text),
        column("start_terminal", text),
        column("end_network", text),
        column("end_terminal", text),
        column("upstream", number),
        column("downstream", number),
        column("delay", number),
        column("commissioned", sa.Boolean()),
    )
    table(
        "trunk_label",
        ["network", "trunk", "position"],
        "trunk",
        ["network", "name"],
        column("network", text),
        column("trunk", text),
        column("position", number),
        column("start_label", number),
        column("label_count", number),
        column("end_label", number),
    )
    table(
        "service",
        ["network", "id"],
        "network",
        ["name"],
        column("network", text),
        column("id", number),
        column("handle", text, nullable=True),
        column("owner", text),
        column("desired", text),
        column("status", text),
        column("remembered", sa.Boolean()),
        column("change", text),
        column("error", text, nullable=True),
    )
    table(
        "circuit",
        ["network", "service", "role", "position"],
        "service",
        ["network", "id"],
        column("network", text),
        column("service", number),
        column("role", text),
        column("position", number),
        column("terminal", text),
        column("asked_label", number, nullable=True),
        column("label", number, nullable=True),
        column("ingress", number),
        column("egress", number),
    )
    table(
        "attempt",
        ["network", "service", "number"],
        "service",
        ["network", "id"],
        column("network", text),
        column("service", number),
        column("number", number),
        column("role", text),
    )
    table(
        "tunnel",
        ["network", "service", "attempt", "position"],
        "attempt",
        ["network", "service", "number"],
        column("network", text),
        column("service", number),
        column("attempt", number),
        column("position", number),
        column("trunk", text),
        column("label", number),
        column("upstream", number),
        column("downstream", number),
    )
    table(
        "subservice",
        ["network", "service", "attempt", "position"],
        "attempt",
        ["network", "service", "number"],
        column("network", text),
        column("service", number),
        column("attempt", number),
        column("position", number),
        column("part", number),
        column("inferior", text),
        column("handle", text),
        column("segment", text),
    )
    table(
        "event",
        ["network", "number"],
        "network",
        ["name"],
        column("network", text),
        column("number", number),
        column("at", number),
        column("kind", text),
        column("data", text),
    )
    table(
        "inferior_model",
        ["network", "inferior"],
        "network",
        ["name"],
        column("network", text),
        column("inferior", text),
        column("model", text),
    )
    table(
        "item",
        ["namespace", "name"],
        None,
        [],
        column("namespace", text),
        column("name", text),
        column("version", number),
        column("value", text),
    )


def downgrade() -> None:
    """A store never goes back; restore the backup that was taken before the upgrade."""
    raise NotImplementedError(
        "a store never goes back to an older version: restore the backup taken before the upgrade"
    )
