"""Keeps foreign entries as facts: files and entries with all they say; importing again keeps changes alone.

Lines stand in the fact of the file. A fact of an entry counts them from its own, so that an entry that was
only moved in its file has not changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from opengoc.base.interval import Interval
from opengoc.factory.formats.foreign import ForeignAttribute, ForeignEntry, ForeignLimits
from opengoc.factory.formats.glideinwms import ForeignFile
from opengoc.store import facts
from opengoc.store.facts import Assertion, Fact

FILE = "factory-import-file"
ENTRY = "factory-import-entry"

_SOURCE = "goc factory import"


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What an import did: keys ``FILE/NAME`` of entries."""

    files: tuple[str, ...]
    entries: int
    enabled: int
    added: tuple[str, ...]
    changed: tuple[str, ...]
    #: Stood in one of these files before, and do not any more.
    retracted: tuple[str, ...]
    unchanged: int = field(default=0)


def import_files(conn: Connection, files: Iterable[ForeignFile], *, who: str, now: datetime) -> Imported:
    """Keep what is new in these files; entries of other files stay as they are."""
    files = tuple(files)
    entries = {key: entry for file in files for key, entry in _keyed(file.entries)}
    names = {file.name for file in files}
    before = {fact.key: fact for fact in facts.standing(conn, ENTRY) if _file_of(fact) in names}
    values = {key: _relative(_value(entry), -entry.line) for key, entry in entries.items()}
    done = _settle(conn, ENTRY, values, before, who=who, now=now)
    lines = {
        file.name: {
            "lines": {key: entry.line for key, entry in _keyed(file.entries)},
            "ignored": dict(file.ignored),
        }
        for file in files
    }
    known = {fact.key: fact for fact in facts.standing_of(conn, FILE, names)}
    _settle(conn, FILE, lines, known, who=who, now=now)
    added, changed, retracted = done
    return Imported(
        files=tuple(sorted(names)),
        entries=len(entries),
        enabled=sum(entry.enabled for entry in entries.values()),
        added=added,
        changed=changed,
        retracted=retracted,
        unchanged=len(entries) - len(added) - len(changed),
    )


def kept_entries(conn: Connection, *, known_at: datetime | None = None) -> tuple[ForeignEntry, ...]:
    """Every entry that stands, by file and line."""
    lines: dict[str, int] = {}
    for fact in facts.standing(conn, FILE, known_at=known_at):
        lines |= (fact.value or {})["lines"]
    found = [
        _entry(fact.value or {}, lines[fact.key]) for fact in facts.standing(conn, ENTRY, known_at=known_at)
    ]
    return tuple(sorted(found, key=lambda entry: (entry.file, entry.line)))


def _settle(
    conn: Connection,
    kind: str,
    values: Mapping[str, dict[str, Any]],
    before: Mapping[str, Fact],
    *,
    who: str,
    now: datetime,
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Make the facts of a kind say these values: keys added, changed and retracted."""
    added = tuple(sorted(values.keys() - before.keys()))
    changed = tuple(sorted(key for key in values.keys() & before.keys() if before[key].value != values[key]))
    retracted = tuple(sorted(before.keys() - values.keys()))
    valid = Interval(now)
    assertions = [Assertion(key=key, value=values[key], valid=valid) for key in added]
    facts.assert_many(conn, kind=kind, assertions=assertions, who=who, source=_SOURCE)
    for key in changed:
        expect = before[key].version
        facts.supersede(
            conn, kind=kind, key=key, value=values[key], valid=valid, who=who, source=_SOURCE, expect=expect
        )
    for key in retracted:
        facts.retract(conn, kind=kind, key=key, who=who, source=_SOURCE, expect=before[key].version)
    return added, changed, retracted


def _keyed(entries: Iterable[ForeignEntry]) -> Iterator[tuple[str, ForeignEntry]]:
    """Entries under keys of their own: the second of a name in one file gets a number."""
    seen: Counter[str] = Counter()
    for entry in entries:
        key = f"{entry.file}/{entry.name}"
        seen[key] += 1
        yield (key if seen[key] == 1 else f"{key}#{seen[key]}"), entry


def _file_of(fact: Fact) -> str:
    return str((fact.value or {})["file"])


def _value(entry: ForeignEntry) -> dict[str, Any]:
    """An entry as JSON values."""
    value = asdict(entry)
    return {key: list(each) if isinstance(each, tuple) else each for key, each in value.items()}


def _entry(value: Mapping[str, Any], line: int) -> ForeignEntry:
    found = dict(_relative(value, line))
    for key in ("attributes", "submit"):
        found[key] = tuple(ForeignAttribute(**each) for each in found[key])
    for key in ("per_entry", "default_per_frontend"):
        found[key] = ForeignLimits(**found[key]) if found[key] else None
    found["per_frontend"] = tuple(ForeignLimits(**each) for each in found["per_frontend"])
    found["rest"] = tuple(found["rest"])
    return ForeignEntry(**found)


def _relative(value: Any, shift: int) -> Any:
    """The same JSON values with every ``line`` shifted."""
    if isinstance(value, dict):
        return {
            key: item + shift if key == "line" and isinstance(item, int) else _relative(item, shift)
            for key, item in value.items()
        }
    return [_relative(item, shift) for item in value] if isinstance(value, list | tuple) else value
