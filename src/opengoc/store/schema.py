"""The tables of facts and ledger, as this release reads and writes them. ``migrations`` makes them.

Times are whole microseconds since 1970-01-01T00:00:00Z in 64-bit integers: they compare, sort and round the
same on SQLite and PostgreSQL. JSON is canonical text, for the same reason. Names sort by code point on
both.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Connection,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import TEXT

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

metadata = MetaData()
_name = Text().with_variant(TEXT(collation="C"), "postgresql")
_identity = BigInteger().with_variant(Integer, "sqlite")


def to_micros(moment: datetime) -> int:
    """Microseconds since 1970 UTC; exact."""
    return (moment - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """The aware UTC time of ``to_micros``."""
    return _EPOCH + micros * _MICROSECOND


def insert_into(conn: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An INSERT that can say what is to be done about a row that is there already."""
    return postgresql.insert(table) if conn.dialect.name == "postgresql" else sqlite.insert(table)


facts = Table(
    "facts",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", _name, nullable=False),
    Column("key", _name, nullable=False),
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
#: At most one version of a key is the latest: two concurrent writers cannot both win.
Index(
    "facts_latest",
    facts.c.kind,
    facts.c.key,
    unique=True,
    sqlite_where=facts.c.known_to.is_(None),
    postgresql_where=facts.c.known_to.is_(None),
)

#: One row that every writer of facts updates first, so that writers of facts follow one another.
fact_clock = Table(
    "fact_clock",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("closed_at", BigInteger, nullable=False),
    CheckConstraint("id = 1", name="fact_clock_one_row"),
)

events = Table(
    "events",
    metadata,
    Column("source", _name, primary_key=True),
    Column("event_id", _name, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("restated", Integer, nullable=False),
)

effects = Table(
    "effects",
    metadata,
    Column("id", _identity, primary_key=True, autoincrement=True),
    Column("kind", _name, nullable=False),
    Column("key", _name, nullable=False),
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
Index("effects_due", effects.c.kind, effects.c.state, effects.c.due_at)

cursors = Table(
    "cursors",
    metadata,
    Column("name", _name, primary_key=True),
    Column("value", Text, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("name", _name, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("fence", BigInteger, nullable=False),
)

#: Personal data, one row a person: see vault.py.
vault = Table(
    "vault",
    metadata,
    Column("id", _name, primary_key=True),
    Column("reference", _name, nullable=False),
    Column("value", Text),
    Column("written_at", BigInteger, nullable=False),
    UniqueConstraint("reference", name="vault_reference"),
)

vault_accesses = Table(
    "vault_accesses",
    metadata,
    Column("seq", _identity, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("who", Text, nullable=False),
    Column("act", Text, nullable=False),
    Column("person", _name, nullable=False),
    Column("why", Text, nullable=False),
)
Index("vault_accesses_person", vault_accesses.c.person)

#: Availability and reliability computed before, one row a profile, site and UTC day: monitoring/cells.py.
ar_cells = Table(
    "ar_cells",
    metadata,
    Column("profile", _name, primary_key=True),
    Column("site", _name, primary_key=True),
    Column("day", BigInteger, primary_key=True, autoincrement=False),
    Column("measured", Text, nullable=False),
    Column("counts", Text),
    Column("inputs", Text, nullable=False),
)
Index("ar_cells_site_day", ar_cells.c.site, ar_cells.c.day)

#: Batches of probe results that no cell was brought up to date with yet.
ar_batches = Table(
    "ar_batches",
    metadata,
    Column("batch", _name, primary_key=True),
    Column("arrived", Integer, nullable=False),
    Column("told_at", BigInteger, nullable=False),
    Column("days", Text, nullable=False),
)

#: Factories that share what is applied and its limits: factory/mirror_store.py.
factory_groups = Table(
    "factory_groups",
    metadata,
    Column("name", _name, primary_key=True),
    Column("version", BigInteger, nullable=False),
)

factory_mirrors = Table(
    "factory_mirrors",
    metadata,
    Column("group_name", _name, primary_key=True),
    Column("mirror", _name, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("holder", Text, nullable=False),
    Column("schedd", Text, nullable=False),
    Column("collector", Text, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("counted_at", BigInteger),
    Column("is_able", Integer, nullable=False),
    Column("holdings", Text, nullable=False),
)

#: What was applied, whole, so that every mirror can fetch it: factory/mirror_bundles.py.
factory_bundles = Table(
    "factory_bundles",
    metadata,
    Column("digest", _name, primary_key=True),
    Column("files", Text, nullable=False),
)

#: Who is logged in on the pages: sessions.py.
sessions = Table(
    "sessions",
    metadata,
    Column("id_digest", _name, primary_key=True),
    Column("who", _name, nullable=False),
    Column("csrf", Text, nullable=False),
    Column("grounds", Text, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)
Index("sessions_expiry", sessions.c.expires_at)
