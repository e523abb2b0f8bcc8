"""What the tests of the registry as facts share: the example tree, and short ways to take and load it."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

from opengoc.registry.contacts import named_persons, read_contacts
from opengoc.registry.formats.persons_write import Persons
from opengoc.registry.model import Contact
from opengoc.registry.snapshot import Registry
from opengoc.registry.store import (
    ImportResult,
    import_tree,
    load_registry,
)
from opengoc.store import facts
from opengoc.store.database import Database

EXAMPLE = Path(__file__).parents[1] / "data" / "registry" / "example"
FACILITY = "topology/Example University Grid"
SLURM = f"{FACILITY}/ITB-SLURM"
DOWNTIMES = f"{SLURM}/ITB-SLURM_downtime.yaml"
BEFORE = datetime(2026, 11, 12, tzinfo=UTC)
DURING = datetime(2026, 11, 14, 12, tzinfo=UTC)
AFTER = datetime(2026, 11, 15, tzinfo=UTC)


def copied(folder: Path) -> Path:
    """A copy of the example to change."""
    return Path(shutil.copytree(EXAMPLE, folder / "tree"))


def edit(tree: Path, name: str, old: str, new: str) -> None:
    path = tree / name
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new))


def take(database: Database, tree: Path, *, now: datetime = BEFORE, strict: bool = False) -> ImportResult:
    with database.begin() as conn:
        return import_tree(conn, tree, "test", now=now, strict=strict)


def load(database: Database, known_at: datetime | None = None) -> Registry:
    with database.read() as conn:
        return load_registry(conn, known_at=known_at)


def people(database: Database) -> dict[str, Contact]:
    with database.begin() as conn:
        return read_contacts(conn, who="test", why="test")


def names(database: Database) -> Persons:
    with database.begin() as conn:
        return named_persons(conn, who="test", why="test")


def written(result: ImportResult) -> int:
    counts = (result.added, result.changed, result.retracted)
    return result.cancelled + sum(sum(count.values()) for count in counts)


def head(database: Database) -> int:
    with database.read() as conn:
        return facts.head(conn)


def known_now(database: Database) -> datetime:
    with database.begin() as conn:
        return facts.known_now(conn)
