"""Counters of availability computed before, and the batches of results they do not know yet."""

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, Text
from sqlalchemy.dialects.postgresql import TEXT

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

NAME = Text().with_variant(TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    """Make both tables, empty: what they hold is computed again when it is asked for."""
    op.create_table(
        "ar_cells",
        Column("profile", NAME, primary_key=True),
        Column("site", NAME, primary_key=True),
        Column("day", BigInteger, primary_key=True, autoincrement=False),
        Column("measured", Text, nullable=False),
        Column("counts", Text),
        Column("inputs", Text, nullable=False),
    )
    op.create_index("ar_cells_site_day", "ar_cells", ["site", "day"])
    op.create_table(
        "ar_batches",
        Column("batch", NAME, primary_key=True),
        Column("arrived", Integer, nullable=False),
        Column("told_at", BigInteger, nullable=False),
        Column("days", Text, nullable=False),
    )
