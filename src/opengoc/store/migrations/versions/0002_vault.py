"""The vault of personal data, and the persons that stood in facts moved into it."""

import json
import time

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import TEXT

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NAME = Text().with_variant(TEXT(collation="C"), "postgresql")
IDENTITY = BigInteger().with_variant(Integer, "sqlite")


def upgrade() -> None:
    """Make the vault; contacts leave the facts, for a fact could never be erased."""
    op.create_table(
        "vault",
        Column("id", NAME, primary_key=True),
        Column("reference", NAME, nullable=False),
        Column("value", Text),
        Column("written_at", BigInteger, nullable=False),
        UniqueConstraint("reference", name="vault_reference"),
    )
    op.create_table(
        "vault_accesses",
        Column("seq", IDENTITY, primary_key=True, autoincrement=True),
        Column("at", BigInteger, nullable=False),
        Column("who", Text, nullable=False),
        Column("act", Text, nullable=False),
        Column("person", NAME, nullable=False),
        Column("why", Text, nullable=False),
    )
    op.create_index("vault_accesses_person", "vault_accesses", ["person"])
    _move_persons()


def _move_persons() -> None:
    """Roles in facts go on referring by the id they have: only new persons get random ones."""
    conn = op.get_bind()
    latest = "SELECT key, value FROM facts WHERE kind = 'contact' AND known_to IS NULL AND value IS NOT NULL"
    insert = text("INSERT INTO vault (id, reference, value, written_at) VALUES (:id, :id, :value, :now)")
    for key, value in conn.execute(text(latest)).all():
        said = {name: content for name, content in json.loads(value).items() if content}
        kept = json.dumps(said, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        conn.execute(insert, {"id": key, "value": kept, "now": time.time_ns() // 1000})
    conn.execute(text("DELETE FROM facts WHERE kind = 'contact'"))
