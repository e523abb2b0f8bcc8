"""Facts with two times, and the ledger: events seen, effects owed, cursors, leases."""

from alembic import op
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Integer,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import TEXT

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# A migration says again what schema.py says: it must stay as it ran, while the schema moves on.
NAME = Text().with_variant(TEXT(collation="C"), "postgresql")
IDENTITY = BigInteger().with_variant(Integer, "sqlite")


def upgrade() -> None:
    """Make every table of the first release."""
    _make_facts()
    _make_effects()
    op.create_table(
        "events",
        Column("source", NAME, primary_key=True),
        Column("event_id", NAME, primary_key=True),
        Column("fingerprint", Text, nullable=False),
        Column("restated", Integer, nullable=False),
    )
    op.create_table("cursors", Column("name", NAME, primary_key=True), Column("value", Text, nullable=False))
    op.create_table(
        "leases",
        Column("name", NAME, primary_key=True),
        Column("holder", Text, nullable=False),
        Column("expires_at", BigInteger, nullable=False),
        Column("fence", BigInteger, nullable=False),
    )


def _make_facts() -> None:
    op.create_table(
        "facts",
        Column("seq", BigInteger, primary_key=True, autoincrement=False),
        Column("kind", NAME, nullable=False),
        Column("key", NAME, nullable=False),
        Column("version", BigInteger, nullable=False),
        Column("valid_from", BigInteger, nullable=False),
        Column("valid_to", BigInteger),
        Column("known_from", BigInteger, nullable=False),
        Column("known_to", BigInteger),
        Column("value", Text),
        Column("who", Text, nullable=False),
        Column("why", Text, nullable=False),
        Column("source", Text, nullable=False),
        UniqueConstraint("kind", "key", "version", name="facts_version"),
        CheckConstraint("valid_from < valid_to", name="facts_valid"),
        CheckConstraint("known_from < known_to", name="facts_known"),
    )
    latest = text("known_to IS NULL")
    op.create_index(
        "facts_latest", "facts", ["kind", "key"], unique=True, sqlite_where=latest, postgresql_where=latest
    )
    op.create_table(
        "fact_clock",
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("last_seq", BigInteger, nullable=False),
        Column("closed_at", BigInteger, nullable=False),
        CheckConstraint("id = 1", name="fact_clock_one_row"),
    )
    op.execute("INSERT INTO fact_clock (id, last_seq, closed_at) VALUES (1, 0, 0)")


def _make_effects() -> None:
    op.create_table(
        "effects",
        Column("id", IDENTITY, primary_key=True, autoincrement=True),
        Column("kind", NAME, nullable=False),
        Column("key", NAME, nullable=False),
        Column("payload", Text, nullable=False),
        Column("state", Text, nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("error", Text, nullable=False),
        Column("due_at", BigInteger, nullable=False),
        Column("claimed_until", BigInteger),
        Column("token", Text),
        Column("settled_at", BigInteger),
        UniqueConstraint("kind", "key", name="effects_key"),
    )
    op.create_index("effects_due", "effects", ["kind", "state", "due_at"])
