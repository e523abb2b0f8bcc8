"""Make the registry say what a tree says: only what differs is written, and what vanished is taken back.

Every call takes the connection of a transaction and keeps or loses its writes with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from opengoc.base.ids import digest, new_id
from opengoc.base.instant import utc_now
from opengoc.base.interval import Interval
from opengoc.registry.contacts import drop_contacts, take_contacts
from opengoc.registry.downtime import Downtime, DowntimeState
from opengoc.registry.findings import Finding
from opengoc.registry.lint import read_sound_tree
from opengoc.registry.matching import match
from opengoc.registry.references import numbered
from opengoc.registry.rows import decode, encode
from opengoc.registry.tree import BY_ID, CONTACT, KINDS, Entry, Tree, Value, name_of
from opengoc.store import facts
from opengoc.store.facts import Assertion, Fact

#: Source of facts that a tree states; any other source is a change made here, which an unchanged tree leaves.
TREE = "registry tree"


@dataclass(frozen=True, kw_only=True)
class ImportResult:
    """What an import wrote, counted by kind."""

    added: Mapping[str, int]
    changed: Mapping[str, int]
    unchanged: Mapping[str, int]
    #: Entries that vanished from the tree and stand no longer.
    retracted: Mapping[str, int]
    #: Downtimes that vanished from the tree before their end.
    cancelled: int
    #: Downtimes of the tree kept apart because nobody can act on them.
    quarantined: int = 0
    #: What the import passed over: doubts, and the faults of quarantined downtimes.
    findings: tuple[Finding, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The result as JSON values."""
        return {
            "added": dict(self.added),
            "changed": dict(self.changed),
            "unchanged": dict(self.unchanged),
            "retracted": dict(self.retracted),
            "cancelled": self.cancelled,
            "quarantined": self.quarantined,
            "findings": [finding.to_json() for finding in self.findings],
        }


def import_tree(
    conn: Connection, path: Path, who: str, *, strict: bool = False, now: datetime | None = None
) -> ImportResult:
    """Make the registry say what the tree at ``path`` says; only what differs is written.

    1. Read and check the whole tree; raise FaultyTree before anything is written (see ``read_sound_tree``).
    2. Persons go to the vault, which gives the ids that roles refer to.
    3. Kind by kind, parents first: add what is new, supersede what the tree says differently than last time.
       What was changed here (``goc downtime``) stands until the tree changes it.
    4. Children first: retract what vanished. A downtime that vanished before its end is cancelled; one that
       had ended stays (vanishing is how trees archive); one that never stood in a tree is left alone.

    Raises InvalidInput when ``path`` is no registry tree.
    """
    tree, findings = read_sound_tree(path, strict=strict)
    work = _Import(conn, tree, who, utc_now() if now is None else now)
    work.take_persons()
    for kind in KINDS:
        work.write(kind)
    for kind in reversed(list(KINDS)):
        work.take_back(kind)
    return ImportResult(
        added=dict(work.added),
        changed=dict(work.changed),
        unchanged=dict(work.unchanged),
        retracted=dict(work.retracted),
        cancelled=work.cancelled,
        quarantined=len(tree.of("quarantined-downtime")),
        findings=findings,
    )


class _Import:
    """One import under way: ids of what stands or was just added, and what is counted."""

    def __init__(self, conn: Connection, tree: Tree, who: str, now: datetime) -> None:
        self.added: Counter[str] = Counter()
        self.changed: Counter[str] = Counter()
        self.unchanged: Counter[str] = Counter()
        self.retracted: Counter[str] = Counter()
        self.cancelled = 0
        self._conn = conn
        self._tree = tree
        self._who = who
        self._now = now
        #: Kind → name in the tree → id.
        self._ids: dict[str, dict[str, str]] = {}
        self._vanished: dict[str, list[Fact]] = {}

    def take_persons(self) -> None:
        """Persons into the vault, and those that the tree names no more out of it."""
        written = take_contacts(self._conn, self._tree, who=self._who)
        self._ids[CONTACT] = dict(written.ids)
        self.added[CONTACT] = written.added
        if written.changed:
            self.changed[CONTACT] = written.changed
        if unchanged := written.unchanged + written.refused:
            self.unchanged[CONTACT] = unchanged
        gone = drop_contacts(self._conn, set(written.ids.values()), who=self._who)
        if gone:
            self.retracted[CONTACT] = gone

    def write(self, kind: str) -> None:
        """Add and supersede; remember what vanished."""
        standing = {fact.key: fact for fact in facts.standing(self._conn, kind)}
        found = match(kind, self._tree.of(kind), {key: fact.value or {} for key, fact in standing.items()})
        ids = {name_of(entry.value): key for key, entry in found.continued.items()}
        ids |= _new_ids(kind, found.new, self._tree.of(kind).values(), taken=standing)
        self._ids[kind] = ids
        self._vanished[kind] = [standing[key] for key in found.vanished]
        for key, entry in found.continued.items():
            self._continue(standing[key], entry)
        assertions = [
            Assertion(
                key=ids[name_of(entry.value)],
                value=encode(kind, entry.value, self._ids),
                valid=self._valid(entry.value),
            )
            for entry in found.new
        ]
        facts.assert_many(self._conn, kind=kind, assertions=assertions, who=self._who, source=TREE)
        self.added[kind] += len(assertions)

    def _continue(self, fact: Fact, entry: Entry) -> None:
        row = encode(entry.kind, entry.value, self._ids)
        stored = fact.value or {}
        if entry.kind == "downtime":
            # A tree has no word for announcements.
            row["announcement"] = stored.get("announcement")
            if row["resource_id"] == stored.get("resource_id"):
                # A resource that was renamed changes itself, not its downtimes.
                row["resource"] = stored["resource"]
        if row == fact.value or (fact.source != TREE and self._was_said_before(fact, row)):
            self.unchanged[entry.kind] += 1
            return
        facts.supersede(
            self._conn,
            kind=fact.kind,
            key=fact.key,
            value=row,
            valid=self._valid(entry.value) if isinstance(entry.value, Downtime) else None,
            who=self._who,
            why="changed in the tree",
            source=TREE,
            expect=fact.version,
        )
        self.changed[entry.kind] += 1

    def _was_said_before(self, fact: Fact, row: dict[str, Any]) -> bool:
        """Whether the tree repeats itself, or an older announcement, of what was changed here since."""
        history = facts.history(self._conn, fact.kind, fact.key)
        said = [version.value for version in history if version.source == TREE]
        return row == said[-1] if said else row in [version.value for version in history]

    def _valid(self, value: Value) -> Interval:
        return value.interval if isinstance(value, Downtime) else Interval(self._now)

    def take_back(self, kind: str) -> None:
        """Retract what vanished; downtimes have their own rule."""
        for fact in self._vanished[kind]:
            if kind == "downtime":
                self._cancel_vanished(fact)
                continue
            facts.retract(
                self._conn,
                kind=kind,
                key=fact.key,
                who=self._who,
                why="vanished from the tree",
                source=TREE,
                expect=fact.version,
            )
            self.retracted[kind] += 1

    def _cancel_vanished(self, fact: Fact) -> None:
        downtime: Downtime = decode("downtime", fact.key, fact.value or {})
        over = downtime.state(self._now) in (DowntimeState.CANCELLED, DowntimeState.ENDED)
        if over or fact.key in self._tree.of("quarantined-downtime"):
            return
        history = facts.history(self._conn, "downtime", fact.key)
        if not any(version.source == TREE for version in history):
            return
        cancelled = replace(downtime, cancelled_at=self._now)
        facts.supersede(
            self._conn,
            kind=fact.kind,
            key=fact.key,
            value=encode(fact.kind, cancelled, {"resource": {}}),
            who=self._who,
            why="vanished from the tree before its end",
            source=TREE,
            expect=fact.version,
        )
        self.cancelled += 1


def _new_ids(
    kind: str, new: Iterable[Entry], entries: Iterable[Entry], *, taken: Mapping[str, Fact]
) -> dict[str, str]:
    """Ids of new entries by name: the tree's own number where it is alone, else made from the name.

    So what vanished and comes back has the id it had; the id of what was merely renamed is not given again.
    """
    uses = Counter(numbered(entry) for entry in entries)
    ids = {}
    for entry in new:
        name, number = name_of(entry.value), numbered(entry)
        if kind in BY_ID:
            ids[name] = name
            continue
        alone = number is not None and uses[number] == 1
        wanted = str(number) if alone else f"{kind}-{digest(name)[:12]}"
        ids[name] = new_id(kind) if wanted in taken else wanted
    return ids
