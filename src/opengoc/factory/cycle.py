"""What a cycle leaves behind: the state of now in a file, and the history of changes in the lake."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow

from opengoc.base.errors import Permanent
from opengoc.base.ids import canonical_json, digest
from opengoc.base.instant import format_instant, parse_instant
from opengoc.base.interval import Interval
from opengoc.factory.finding import Action, Finding, FindingKind
from opengoc.factory.findings import Known
from opengoc.factory.model import EntryRow, Limit
from opengoc.store.lake import Lake

TABLE = "factory_cycles"
STATUS_FILE = "status.json"

#: One row an entry and VO, whenever anything of them changed; at least one in ``_AT_LEAST``.
SCHEMA = pyarrow.schema(
    [
        pyarrow.field("cycle_at", pyarrow.timestamp("us", tz="UTC"), nullable=False),
        pyarrow.field("entry", pyarrow.string(), nullable=False),
        pyarrow.field("vo", pyarrow.string(), nullable=False),
        pyarrow.field("digest", pyarrow.string(), nullable=False),
        pyarrow.field("matching_jobs", pyarrow.int64()),
        pyarrow.field("requested", pyarrow.int64()),
        pyarrow.field("allowed", pyarrow.int64()),
        pyarrow.field("submitted", pyarrow.int64()),
        pyarrow.field("limit", pyarrow.string()),
        pyarrow.field("detail", pyarrow.string()),
        pyarrow.field("idle", pyarrow.int64()),
        pyarrow.field("running", pyarrow.int64()),
        pyarrow.field("held", pyarrow.int64()),
        pyarrow.field("free_slots", pyarrow.int64()),
        pyarrow.field("complete", pyarrow.bool_(), nullable=False),
    ]
)

QUEUE_TABLE = "queue_samples"

#: One row a VO, whenever its queue changed; at least one in ``_AT_LEAST``.
QUEUE_SCHEMA = pyarrow.schema(
    [
        pyarrow.field("cycle_at", pyarrow.timestamp("us", tz="UTC"), nullable=False),
        pyarrow.field("vo", pyarrow.string(), nullable=False),
        pyarrow.field("idle", pyarrow.int64(), nullable=False),
        pyarrow.field("running", pyarrow.int64(), nullable=False),
        pyarrow.field("complete", pyarrow.bool_(), nullable=False),
    ]
)

#: An unchanged row is written again after this, so that silence differs from no change.
_AT_LEAST = timedelta(minutes=10)


@dataclass(frozen=True, kw_only=True)
class Source:
    """How one observation of a cycle went."""

    name: str
    taken_at: datetime
    complete: bool
    error: str
    count: int


@dataclass(frozen=True, kw_only=True)
class Queue:
    """Payload jobs of one VO, in all its queues."""

    vo: str
    idle: int
    running: int


@dataclass(frozen=True, kw_only=True)
class Cycle:
    """One cycle as it went."""

    at: datetime
    seconds: float
    digest: str
    #: Why nothing was requested or removed; empty when the snapshot was whole.
    frozen: str
    sources: tuple[Source, ...]
    rows: tuple[EntryRow, ...]
    #: Pilots that arrived in the queue, by (entry, VO).
    submitted: Mapping[tuple[str, str], int]
    removed: int
    collected: int
    #: Jobs of all VOs, and idle ones that no entry takes.
    idle_jobs: int
    running_jobs: int
    unmatched_jobs: int
    #: Pilots in the factory's queue in any state, those on their way included.
    pilots: int
    #: Actions that failed, in words.
    failures: tuple[str, ...] = ()
    #: By VO; those without a job are named as long as an entry serves them.
    queues: tuple[Queue, ...] = ()
    #: Whether every queue of a VO answered.
    queues_complete: bool = True
    #: VOs for which nothing was requested or removed, with the reason, while others went on.
    frozen_vos: Mapping[str, str] = field(default_factory=dict)
    #: What the guard finds now, and since when.
    findings: tuple[Known, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether every observation was whole."""
        return all(source.complete for source in self.sources)

    def to_json(self) -> dict[str, Any]:
        """The cycle as JSON values."""
        content = asdict(replace(self, submitted={}))
        content["at"] = format_instant(self.at)
        content["findings"] = [_finding_json(known) for known in self.findings]
        for source in content["sources"]:
            source["taken_at"] = format_instant(source["taken_at"])
        for row in content["rows"]:
            row["submitted"] = self.submitted.get((row["entry"], row["vo"]), 0)
        del content["submitted"]
        return content


def write_status(folder: Path, cycle: Cycle) -> None:
    """Keep the last cycle; a reader never sees half of it."""
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / f".{STATUS_FILE}.{os.getpid()}"
    beside.write_text(json.dumps(cycle.to_json(), indent=1) + "\n", encoding="utf-8")
    beside.replace(folder / STATUS_FILE)


def read_status(folder: Path) -> Cycle | None:
    """The last cycle; None before the first. Raises Permanent where its file is damaged."""
    try:
        content = json.loads((folder / STATUS_FILE).read_text(encoding="utf-8"))
        return _read_cycle(content)
    except FileNotFoundError:
        return None
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        # Cut off by a power cut, or of a release that kept other things: the next cycle writes it anew.
        raise Permanent(f"{folder / STATUS_FILE} cannot be read; the next cycle writes it anew") from error


def _read_cycle(content: dict[str, Any]) -> Cycle:
    submitted = {(row["entry"], row["vo"]): row.pop("submitted") for row in content["rows"]}
    for row in content["rows"]:
        row["limit"] = Limit(row["limit"])
    for source in content["sources"]:
        source["taken_at"] = parse_instant(source["taken_at"])
    content |= {
        "at": parse_instant(content["at"]),
        "sources": tuple(Source(**source) for source in content["sources"]),
        "rows": tuple(EntryRow(**row) for row in content["rows"]),
        "failures": tuple(content["failures"]),
        "queues": tuple(Queue(**queue) for queue in content.get("queues", ())),
        "findings": tuple(map(_read_finding, content.get("findings", ()))),
        "submitted": submitted,
    }
    return Cycle(**content)


def _finding_json(known: Known) -> dict[str, Any]:
    said = known.to_json()
    return {**said, "first_seen": format_instant(said["first_seen"]), "ended": None}


def _read_finding(content: dict[str, Any]) -> Known:
    content = {name: value for name, value in content.items() if name != "ended"}
    since = Interval(parse_instant(content.pop("first_seen")))
    kind, action = FindingKind(content.pop("kind")), Action(content.pop("action"))
    return Known(finding=Finding(kind=kind, action=action, **content), seen=since)


class History:
    """Writes the rows that changed to the lake."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._last: dict[tuple[str, ...], tuple[datetime, dict[str, Any]]] = {}
        lake.declare(TABLE, SCHEMA)
        lake.declare(QUEUE_TABLE, QUEUE_SCHEMA)

    def write(self, cycle: Cycle) -> int:
        """Append what changed since the cycle before; how many rows."""
        entries = []
        for row in cycle.rows:
            content = {
                **asdict(row),
                "limit": row.limit.value,
                "digest": cycle.digest,
                "submitted": cycle.submitted.get((row.entry, row.vo), 0),
                "complete": cycle.is_complete,
            }
            if self._is_news((row.entry, row.vo), content, cycle.at):
                entries.append({"cycle_at": cycle.at, **content})
        self._append(TABLE, SCHEMA, entries, cycle.at)
        queues = []
        for queue in (*cycle.queues, *self._gone(cycle)):
            content = {**asdict(queue), "complete": cycle.queues_complete}
            if self._is_news((queue.vo,), content, cycle.at):
                queues.append({"cycle_at": cycle.at, **content})
        self._append(QUEUE_TABLE, QUEUE_SCHEMA, queues, cycle.at)
        return len(entries) + len(queues)

    def _gone(self, cycle: Cycle) -> Iterator[Queue]:
        """VOs that had jobs in the cycle before and have none now, as far as every queue answered."""
        named = {queue.vo for queue in cycle.queues}
        for place, (_, before) in self._last.items():
            had_jobs = len(place) == 1 and bool(before["idle"] or before["running"])
            if had_jobs and place[0] not in named and cycle.queues_complete:
                yield Queue(vo=place[0], idle=0, running=0)

    def _is_news(self, place: tuple[str, ...], content: dict[str, Any], at: datetime) -> bool:
        """Whether the row says something else than the last one of its place, or that one is too old."""
        written_at, before = self._last.get(place, (None, None))
        if content == before and written_at is not None and at - written_at < _AT_LEAST:
            return False
        self._last[place] = (at, content)
        return True

    def _append(self, table: str, schema: pyarrow.Schema, rows: list[dict[str, Any]], at: datetime) -> None:
        if rows:
            named = [row.get("entry", row["vo"]) for row in rows]
            batch = digest(canonical_json([format_instant(at), named]))
            self._lake.append(table, pyarrow.Table.from_pylist(rows, schema=schema), batch_id=batch)
