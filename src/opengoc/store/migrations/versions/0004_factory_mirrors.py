"""Factories that share what is applied and its limits, and the bundles that they run."""

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, Text
from sqlalchemy.dialects.postgresql import TEXT

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

NAME = Text().with_variant(TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables, empty: each factory writes itself and its bundles down when it starts."""
    op.create_table(
        "factory_groups",
        Column("name", NAME, primary_key=True),
        Column("version", BigInteger, nullable=False),
    )
    op.create_table(
        "factory_mirrors",
        Column("group_name", NAME, primary_key=True),
        Column("mirror", NAME, primary_key=True),
        Column("version", BigInteger, nullable=False),
        Column("holder", Text, nullable=False),
        Column("schedd", Text, nullable=False),
        Column("collector", Text, nullable=False),
        Column("expires_at", BigInteger, nullable=False),
        Column("counted_at", BigInteger),
        Column("is_able", Integer, nullable=False),
        Column("holdings", Text, nullable=False),
    )
    op.create_table(
        "factory_bundles",
        Column("digest", NAME, primary_key=True),
        Column("files", Text, nullable=False),
    )
