"""Who is logged in on the pages, for every process that serves them."""

from alembic import op
from sqlalchemy import BigInteger, Column, Text
from sqlalchemy.dialects.postgresql import TEXT

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

NAME = Text().with_variant(TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the table, empty: sessions of an earlier release were in memory."""
    op.create_table(
        "sessions",
        Column("id_digest", NAME, primary_key=True),
        Column("who", NAME, nullable=False),
        Column("csrf", Text, nullable=False),
        Column("grounds", Text, nullable=False),
        Column("opened_at", BigInteger, nullable=False),
        Column("expires_at", BigInteger, nullable=False),
    )
    op.create_index("sessions_expiry", "sessions", ["expires_at"])
