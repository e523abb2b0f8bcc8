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

from opengoc.base.errors import InvalidInput, Permanent
from opengoc.base.ids import canonical_json, digest
from opengoc.base.instant import format_instant
from opengoc.base.interval import Interval
from opengoc.store import facts
from opengoc.store.facts import Assertion, Fact

KIND = "accounting-correction"
#: A rule without a beginning holds from here on: no record is older.
_ALWAYS = datetime(1990, 1, 1, tzinfo=UTC)
#: Later than any record: every engine's times reach so far.
NEVER = datetime(2200, 1, 1, tzinfo=UTC)


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
        if not self.value.strip():
            raise InvalidInput("value", self.value, "must not be empty")
        if self.field in _NUMBERS:
            self._check_number()

    def _check_number(self) -> None:
        try:
            number = float(self.value)
        except ValueError as error:
            raise InvalidInput(self.field.value, self.value, "must be a number") from error
        # No whole number are those without an end, and what is none at all.
        whole = self.field is not Field.PROCESSORS or number.is_integer()
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


@dataclass(frozen=True, kw_only=True)
class RuleSet:
    """Which rules were applied: the same name for the same rules, whoever holds them."""

    rules: int
    #: SHA-256 of what they say.
    sha256: str

    @property
    def name(self) -> str:
        """As published figures and people call it; ``none`` is that of no rule."""
        return self.sha256[:12] if self.rules else "none"

    @property
    def number(self) -> int:
        """The same as a number of 60 bits."""
        return int(self.sha256[:15], 16)


def rule_set(rules: Sequence[Standing]) -> RuleSet:
    """The set that rules make."""
    said = sorted([each.rule.key, each.rule.value] for each in rules)
    return RuleSet(rules=len(said), sha256=digest(canonical_json(said)))


def require(rules: Sequence[Standing], name: str, as_of: datetime) -> None:
    """Refuse to answer with other rules than those that a published figure was made with.

    Raises Permanent when the rules that are known to have stood at ``as_of`` are not those of the set.
    """
    found = rule_set(rules)
    if found.name != name:
        raise Permanent(
            f"the corrections {name} of figures as of {format_instant(as_of)} are missing: this database"
            f" knows {found.rules} rules of that time ({found.name}); restore the one that has them"
        )


def rule_of(fact: Fact) -> Correction:
    """The rule that a fact states; not of one that takes it back."""
    value = fact.value or {}
    return Correction(
        scope=value["scope"], field=Field(value["field"]), value=value["value"], valid=fact.valid
    )


def _of(fact: Fact) -> Standing:
    rule = rule_of(fact)
    return Standing(rule=rule, version=fact.version, who=fact.who, why=fact.why, known_from=fact.known_from)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Rules for one field whose scopes name the same columns: one join of equals applies them all."""

    number: int
    field: Field
    scope: tuple[str, ...]
    rules: tuple[Correction, ...]

    @property
    def name(self) -> str:
        """What ``rows`` are called in a query."""
        return f"correction_{self.number}"

    def column(self, what: str) -> str:
        """A column of ``rows``: one of the scope, ``value``, ``holds_from``, ``holds_to``."""
        return f"rule_{self.number}_{what}"

    def rows(self) -> pyarrow.Table:
        """The rules as a table."""
        time = pyarrow.timestamp("us", tz="UTC")
        columns = {
            name: pyarrow.array([rule.scope[name] for rule in self.rules], pyarrow.string())
            for name in self.scope
        }
        values = [rule.value for rule in self.rules]
        if self.field is Field.PROCESSORS:
            columns["value"] = pyarrow.array([int(float(value)) for value in values], pyarrow.int32())
        elif self.field in _NUMBERS:
            columns["value"] = pyarrow.array([float(value) for value in values], pyarrow.float64())
        else:
            columns["value"] = pyarrow.array(values, pyarrow.string())
        columns["holds_from"] = pyarrow.array([rule.valid.start for rule in self.rules], time)
        columns["holds_to"] = pyarrow.array([rule.valid.end or NEVER for rule in self.rules], time)
        return pyarrow.table({self.column(name): column for name, column in columns.items()})


def shapes(rules: Sequence[Correction]) -> list[Shape]:
    """Rules as they are joined to records, those whose scope names more first."""
    found: dict[tuple[Field, tuple[str, ...]], list[Correction]] = {}
    for rule in rules:
        names = tuple(name for name in SCOPES if name in rule.scope)
        found.setdefault((rule.field, names), []).append(rule)
    ordered = sorted(found, key=lambda shape: (-len(shape[1]), shape))
    return [
        Shape(number=number, field=what, scope=names, rules=tuple(found[what, names]))
        for number, (what, names) in enumerate(ordered)
    ]
