"""Corrections: rules that say how records are read, with author and reason; records stay as they are.

A rule changes one field of the records in its scope that ended while it holds. Rules are facts: each has
versions, and usage as of a time applies those that were known then. Of several rules that fit a record, the
one whose scope names more counts. Rules of one scope never hold at the same time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as default_of
from datetime import UTC, datetime
from enum import StrEnum
from itertools import pairwise
from typing import Any

import pyarrow
from sqlalchemy import Connection

from opengoc.base.errors import InvalidInput
from opengoc.base.interval import Interval
from opengoc.store import facts
from opengoc.store.facts import Assertion, Fact

KIND = "accounting-correction"
#: A rule without a beginning holds from here on: no record is older.
_ALWAYS = datetime(1990, 1, 1, tzinfo=UTC)


class Field(StrEnum):
    """What a rule corrects."""

    VO = "vo"
    PROJECT = "project"
    PROCESSORS = "processors"
    #: What a core-second is worth, in HEPscore23 or HS06.
    HEPSCORE23 = "hepscore23"
    HS06 = "hs06"


#: What scopes can name: a column of the record as it was sent.
SCOPES = ("vo", "site", "resource", "project", "source", "instance", "global_job_id")
_NUMBERS = (Field.PROCESSORS, Field.HEPSCORE23, Field.HS06)


@dataclass(frozen=True, kw_only=True)
class Correction:
    """One rule. Raises InvalidInput for a scope or a value that cannot be."""

    #: Column → the value it must have; every one must fit.
    scope: Mapping[str, str]
    field: Field
    value: str
    #: When the records ended that it is for.
    valid: Interval = default_of(default_factory=lambda: Interval(_ALWAYS))

    def __post_init__(self) -> None:
        if not self.scope or not set(self.scope) <= set(SCOPES) or not all(self.scope.values()):
            raise InvalidInput(
                "scope", dict(self.scope), f"must name some of {', '.join(SCOPES)}, with values"
            )
        if not self.value:
            raise InvalidInput("value", self.value, "must not be empty")
        if self.field in _NUMBERS:
            self._check_number()

    def _check_number(self) -> None:
        try:
            number = float(self.value)
        except ValueError as error:
            raise InvalidInput(self.field.value, self.value, "must be a number") from error
        whole = self.field is not Field.PROCESSORS or number == int(number)
        if not 0 < number < 10**9 or not whole:
            raise InvalidInput(self.field.value, self.value, "must be a number above 0; processors are whole")

    @property
    def key(self) -> str:
        """What the rule is about: another value for the same is a new version of the rule."""
        scope = ",".join(f"{name}={self.scope[name]}" for name in SCOPES if name in self.scope)
        return f"{self.field.value}:{scope}:{self.valid}"

    def to_json(self) -> dict[str, Any]:
        """The rule as JSON values, its validity aside."""
        return {"scope": dict(self.scope), "field": self.field.value, "value": self.value}


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A rule that stands, and who made it stand."""

    rule: Correction
    version: int
    who: str
    why: str
    known_from: datetime


def add(conn: Connection, rules: Sequence[Correction], *, who: str, why: str) -> int:
    """Let rules stand, each in place of an earlier one about the same; gives how many are new or changed."""
    if not why.strip():
        raise InvalidInput("why", why, "a correction needs its reason")
    changed = 0
    new: list[Assertion] = []
    wanted = {rule.key: rule for rule in rules}
    _check_overlaps([*wanted.values(), *(s.rule for s in standing(conn) if s.rule.key not in wanted)])
    for rule in wanted.values():
        before = facts.get(conn, KIND, rule.key)
        if before is None:
            new.append(Assertion(key=rule.key, value=rule.to_json(), valid=rule.valid))
        elif before.value != rule.to_json():
            facts.supersede(
                conn,
                kind=KIND,
                key=rule.key,
                value=rule.to_json(),
                who=who,
                why=why,
                source="accounting",
                expect=before.version,
            )
            changed += 1
    if new:
        facts.assert_many(conn, kind=KIND, assertions=new, who=who, why=why, source="accounting")
    return changed + len(new)


def _check_overlaps(rules: Sequence[Correction]) -> None:
    """Raise InvalidInput for two rules of one scope that hold at the same time."""
    by_scope: dict[tuple[str, str], list[Correction]] = {}
    for rule in rules:
        by_scope.setdefault((rule.field.value, str(sorted(rule.scope.items()))), []).append(rule)
    for same in by_scope.values():
        same.sort(key=lambda rule: rule.valid.start)
        for earlier, later in pairwise(same):
            if earlier.valid.overlaps(later.valid):
                said = f"holds at the same time as {earlier.key}: withdraw that, or bound both"
                raise InvalidInput("correction", later.key, said)


def withdraw(conn: Connection, key: str, *, who: str, why: str) -> None:
    """Take a rule back. Raises InvalidInput when none of this key stands."""
    before = facts.get(conn, KIND, key)
    if before is None:
        raise InvalidInput("correction", key, "does not stand")
    facts.retract(conn, kind=KIND, key=key, who=who, why=why, source="accounting", expect=before.version)


def standing(conn: Connection, *, known_at: datetime | None = None) -> list[Standing]:
    """The rules that stood at a time, in order of their keys."""
    return [_of(fact) for fact in facts.standing(conn, KIND, known_at=known_at)]


def _of(fact: Fact) -> Standing:
    value = fact.value or {}
    rule = Correction(
        scope=value["scope"], field=Field(value["field"]), value=value["value"], valid=fact.valid
    )
    return Standing(rule=rule, version=fact.version, who=fact.who, why=fact.why, known_from=fact.known_from)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a query over ``record`` reads records with rules applied."""

    #: LEFT JOINs, none of which gives a record twice.
    joins: str
    #: SQL of the corrected value of each field, null where no rule fits; always as text.
    values: Mapping[Field, str]
    #: What the joins read.
    tables: Mapping[str, pyarrow.Table]


def plan(rules: Sequence[Standing]) -> Plan:
    """The joins that apply rules: one a field and set of columns, each a comparison of equals."""
    shapes: dict[tuple[Field, tuple[str, ...]], list[Correction]] = {}
    for each in rules:
        names = tuple(name for name in SCOPES if name in each.rule.scope)
        shapes.setdefault((each.rule.field, names), []).append(each.rule)
    joins, values, tables = [], dict[Field, list[str]](), {}
    for number, (what, names) in enumerate(sorted(shapes, key=lambda shape: (-len(shape[1]), shape[1]))):
        name = f"correction_{number}"
        tables[name] = _table(shapes[what, names], names)
        equal = " AND ".join(f"{name}.{column} = record.{column}" for column in names)
        joins.append(
            f"LEFT JOIN {name} ON {equal} AND record.ended_at >= {name}.holds_from"
            f" AND (record.ended_at < {name}.holds_to OR {name}.holds_to IS NULL)"
        )
        values.setdefault(what, []).append(f"{name}.value")
    told = {each: f"coalesce({', '.join(values.get(each, ['NULL']))}, NULL)::VARCHAR" for each in Field}
    return Plan(joins="\n".join(joins), values=told, tables=tables)


def _table(rules: Sequence[Correction], names: Sequence[str]) -> pyarrow.Table:
    time = pyarrow.timestamp("us", tz="UTC")
    columns = {name: pyarrow.array([rule.scope[name] for rule in rules], pyarrow.string()) for name in names}
    columns["value"] = pyarrow.array([rule.value for rule in rules], pyarrow.string())
    columns["holds_from"] = pyarrow.array([rule.valid.start for rule in rules], time)
    columns["holds_to"] = pyarrow.array([rule.valid.end for rule in rules], time)
    return pyarrow.table(columns)
