"""The registry as facts: load a snapshot, import a tree, announce and change downtimes.

Every call takes the connection of a transaction and keeps or loses its writes with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection

from opengoc.base.errors import InvalidInput, Permanent
from opengoc.base.ids import digest, new_id
from opengoc.base.instant import utc_now
from opengoc.base.interval import Interval
from opengoc.registry.downtime import Downtime, DowntimeClass, DowntimeState, Severity
from opengoc.registry.findings import Finding
from opengoc.registry.lint import read_sound_tree
from opengoc.registry.matching import match
from opengoc.registry.model import VO
from opengoc.registry.references import numbered
from opengoc.registry.rows import PARENTS, decode, encode
from opengoc.registry.snapshot import Registry
from opengoc.registry.tree import KINDS, Entry, Tree, Value, name_of
from opengoc.store import facts
from opengoc.store.facts import Assertion, Fact

#: Source of facts that a tree states; any other source is a change made here, which an unchanged tree leaves.
TREE = "registry tree"
_OPERATOR = "goc downtime"


def load_registry(conn: Connection, *, known_at: datetime | None = None) -> Registry:
    """The registry as it was known at ``known_at``; None: as it is known now.

    Raises Permanent when a stored value does not fit this release.
    """
    stored = {kind: facts.standing(conn, kind, known_at=known_at) for kind in KINDS}
    values = _decode(stored)
    return Registry(
        known_at=known_at,
        facilities=values["facility"],
        sites=values["site"],
        groups=values["group"],
        resources=values["resource"],
        vos=values["vo"],
        reporting_groups=values["reporting-group"],
        service_kinds=values["service-kind"],
        support_centers=values["support-center"],
        contacts=values["contact"],
        downtimes=values["downtime"],
    )


def _decode(stored: Mapping[str, list[Fact]]) -> dict[str, Mapping[str, Any]]:
    names: dict[str, dict[str, str]] = {kind: {} for kind in KINDS}
    values: dict[str, dict[str, Any]] = {}
    for kind, found in stored.items():
        values[kind] = {}
        for fact in found:
            row = dict(fact.value or {})
            if kind in PARENTS:
                field, parent = PARENTS[kind]
                row[field] = names[parent][row[field]]
            if kind == "resource":
                row["site"] = values["group"][row["group"]].site
            elif kind == "downtime":
                # A resource that is gone leaves the name it had.
                row["resource"] = names["resource"].get(row["resource_id"], row["resource"])
            try:
                value = decode(kind, fact.key, row)
            except ValidationError as error:
                raise Permanent(
                    f"{kind} {fact.key} was stored in a form this release cannot read: {error}"
                ) from error
            names[kind][fact.key] = name_of(value)
            values[kind][name_of(value)] = value
    groups = values["reporting-group"]
    for name, vo in values["vo"].items():
        values["vo"][name] = _with_fqans(vo, groups)
    return {kind: MappingProxyType(found) for kind, found in values.items()}


def _with_fqans(vo: VO, groups: Mapping[str, Any]) -> VO:
    fqans = [fqan for name in vo.reporting_groups if name in groups for fqan in groups[name].fqans]
    return replace(vo, fqans=tuple(dict.fromkeys(fqans)))


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
    #: What a lenient import passed over.
    findings: tuple[Finding, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The result as JSON values."""
        return {
            "added": dict(self.added),
            "changed": dict(self.changed),
            "unchanged": dict(self.unchanged),
            "retracted": dict(self.retracted),
            "cancelled": self.cancelled,
            "findings": [finding.to_json() for finding in self.findings],
        }


def import_tree(
    conn: Connection, path: Path, who: str, *, lenient: bool = False, now: datetime | None = None
) -> ImportResult:
    """Make the registry say what the tree at ``path`` says; only what differs is written.

    1. Read and check the whole tree; raise FaultyTree before anything is written (see ``read_sound_tree``).
    2. Kind by kind, parents first: add what is new, supersede what the tree says differently than last time.
       What was changed here (``goc downtime``) stands until the tree changes it.
    3. Children first: retract what vanished. A downtime that vanished before its end is cancelled; one that
       had ended stays (vanishing is how trees archive); one that never stood in a tree is left alone.

    Raises InvalidInput when ``path`` is no registry tree.
    """
    tree, findings = read_sound_tree(path, lenient=lenient)
    work = _Import(conn, tree, who, utc_now() if now is None else now)
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
        if entry.kind == "contact":
            # A tree may name persons by id alone: that takes nothing back.
            row = {key: stored.get(key) if said is None else said for key, said in row.items()}
        elif entry.kind == "downtime" and row["resource_id"] == stored.get("resource_id"):
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
        if over or fact.key in self._tree.left_out:
            return
        history = facts.history(self._conn, "downtime", fact.key)
        if not any(version.source == TREE for version in history):
            return
        _supersede(
            self._conn,
            fact,
            replace(downtime, cancelled_at=self._now),
            who=self._who,
            why="vanished from the tree before its end",
            source=TREE,
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
        if kind in ("contact", "downtime"):
            ids[name] = name
            continue
        alone = number is not None and uses[number] == 1
        wanted = str(number) if alone else f"{kind}-{digest(name)[:12]}"
        ids[name] = new_id(kind) if wanted in taken else wanted
    return ids


def add_downtime(
    conn: Connection,
    *,
    resource: str,
    interval: Interval,
    severity: Severity,
    description: str,
    who: str,
    services: Iterable[str] = (),
    claimed_class: DowntimeClass | None = None,
    now: datetime | None = None,
) -> Downtime:
    """Announce a downtime of a resource; no ``services`` means all that the resource offers.

    Late announcements are accepted: the class derived from ``declared_at`` says that they were late. Raises
    InvalidInput for an unknown resource and for a service that it does not offer.
    """
    known = load_registry(conn).resource(resource)
    kinds = tuple(services) or tuple(service.kind for service in known.services)
    for kind in kinds:
        known.endpoint(kind)
    downtime = Downtime(
        id=new_id("dt"),
        resource=known.name,
        resource_id=known.id,
        services=kinds,
        interval=interval,
        severity=severity,
        description=description,
        declared_at=(utc_now() if now is None else now).astimezone(UTC).replace(microsecond=0),
        claimed_class=claimed_class,
    )
    facts.assert_fact(
        conn,
        kind="downtime",
        key=downtime.id,
        value=encode("downtime", downtime, {}),
        valid=interval,
        who=who,
        why=description,
        source=_OPERATOR,
    )
    return downtime


def change_downtime(
    conn: Connection,
    downtime_id: str,
    *,
    who: str,
    why: str,
    interval: Interval | None = None,
    services: Iterable[str] | None = None,
    severity: Severity | None = None,
    description: str | None = None,
) -> Downtime:
    """Shorten, extend, move or correct a downtime, at any time, its past included; what is left out stays.

    Raises InvalidInput for an unknown downtime, Conflict when it was changed meanwhile.
    """
    fact, downtime = _downtime(conn, downtime_id)
    changed = replace(
        downtime,
        interval=downtime.interval if interval is None else interval,
        services=downtime.services if services is None else tuple(services),
        severity=downtime.severity if severity is None else severity,
        description=downtime.description if description is None else description,
    )
    if changed != downtime:
        _supersede(conn, fact, changed, who=who, why=why, source=_OPERATOR)
    return changed


def cancel_downtime(
    conn: Connection, downtime_id: str, *, who: str, why: str, now: datetime | None = None
) -> Downtime:
    """Withdraw a downtime: none of its time counts, past or future. Cancelling twice is cancelling once.

    To end a running downtime early and keep what it covered so far, shorten it with ``change_downtime``.
    Raises InvalidInput for an unknown downtime, Conflict when it was changed meanwhile.
    """
    fact, downtime = _downtime(conn, downtime_id)
    if downtime.cancelled:
        return downtime
    cancelled = replace(downtime, cancelled_at=utc_now() if now is None else now)
    _supersede(conn, fact, cancelled, who=who, why=why, source=_OPERATOR)
    return cancelled


def reinstate_downtime(conn: Connection, downtime_id: str, *, who: str, why: str) -> Downtime:
    """Take a cancellation back. Raises InvalidInput for an unknown downtime, Conflict when it was changed."""
    fact, downtime = _downtime(conn, downtime_id)
    standing = replace(downtime, cancelled_at=None)
    if downtime.cancelled:
        _supersede(conn, fact, standing, who=who, why=why, source=_OPERATOR)
    return standing


def _downtime(conn: Connection, downtime_id: str) -> tuple[Fact, Downtime]:
    fact = facts.get(conn, "downtime", downtime_id)
    if fact is None or fact.value is None:
        raise InvalidInput("downtime", downtime_id, "is no downtime; see `goc downtime list --past`")
    names = {known.key: (known.value or {})["name"] for known in facts.standing(conn, "resource")}
    row = fact.value | {"resource": names.get(fact.value["resource_id"], fact.value["resource"])}
    downtime: Downtime = decode("downtime", fact.key, row)
    return fact, downtime


def _supersede(conn: Connection, fact: Fact, downtime: Downtime, *, who: str, why: str, source: str) -> None:
    facts.supersede(
        conn,
        kind="downtime",
        key=fact.key,
        value=encode("downtime", downtime, {"resource": {}}),
        valid=downtime.interval,
        who=who,
        why=why,
        source=source,
        expect=fact.version,
    )
