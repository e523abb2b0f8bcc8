"""Usage of whole weeks by VO, site and day, with what each source of records lacks of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta

from sqlalchemy import Connection

from opengoc.accounting import corrections
from opengoc.accounting import table as usage_table
from opengoc.accounting.gaps import LACKING, Completeness, DayState, Watched, day_states
from opengoc.accounting.source import Source
from opengoc.accounting.usage import UNKNOWN, Pilot, Question, Usage, usage
from opengoc.base.interval import Interval
from opengoc.base.interval import week as week_interval
from opengoc.factory.model import SUBMISSION
from opengoc.flows.completeness import watched
from opengoc.registry.snapshot import Registry
from opengoc.reports.inputs import Coverage, DayUsage, WeekUsage
from opengoc.store import ledger
from opengoc.store.database import Database
from opengoc.store.lake import Lake
from opengoc.store.ledger import EffectState


def usage_of_weeks(
    database: Database,
    lake: Lake,
    sources: Sequence[Source],
    registry: Registry,
    weeks: Sequence[str],
    *,
    as_of: datetime,
) -> tuple[list[WeekUsage], list[Watched]]:
    """Every one of some weeks that follow one another, and the sources, as known at ``as_of``.

    Raises Temporary when the lake cannot be read.
    """
    window = Interval(week_interval(weeks[0]).start, week_interval(weeks[-1]).end)
    ended = _pilots_that_ended(lake, window, as_of)
    with database.read() as conn:
        expected = watched(conn, lake, sources, registry, window=window, as_of=as_of)
        rules = corrections.standing(conn, known_at=as_of)
        pilots = _known_pilots(conn, ended, as_of)
    answer = usage(
        lake,
        Question(
            window=window,
            by=("vo", "site", "day"),
            kind=None,
            as_of=as_of,
            pilots=pilots,
            corrections=rules,
        ),
    )
    return [_week_usage(answer, week, expected, registry, as_of) for week in weeks], expected


def vo_name(registry: Registry, name: str) -> str:
    """The registry's spelling: on the wire VOs are lower case."""
    if name == UNKNOWN:
        return "VO not stated"
    vo = registry.vo(name)
    return vo.name if vo is not None else name


def _pilots_that_ended(lake: Lake, window: Interval, as_of: datetime) -> list[str]:
    """Ids of the pilots whose records a window has; of all that ever were, only these are looked up."""
    usage_table.declare(lake)
    found = lake.query(
        f"SELECT DISTINCT pilot_id FROM {usage_table.TABLE} WHERE pilot_id IS NOT NULL"
        " AND ended_at >= $start AND ended_at < $end AND known_from <= $as_of",
        {"start": window.start, "end": window.end, "as_of": as_of},
        tables=[usage_table.TABLE],
    )
    return [str(each) for each in found.column("pilot_id").to_pylist()]


def _known_pilots(conn: Connection, ids: Collection[str], as_of: datetime) -> tuple[Pilot, ...]:
    """What the factory knows of these pilots.

    Where it sent none of them, the first it ever sent: a factory that sent none at all leaves open whose the
    jobs are, one that sent others tells that these are not its own.
    """
    found = ledger.effects(conn, SUBMISSION, EffectState.SETTLED, keys=ids)
    return tuple(
        Pilot(id=effect.key, vo=effect.payload["vo"], entry=effect.payload["entry"])
        for effect in found or ledger.effects(conn, SUBMISSION, EffectState.SETTLED, limit=1)
        if effect.settled_at is not None and effect.settled_at <= as_of
    )


def _week_usage(
    answer: Usage, week: str, sources: Sequence[Watched], registry: Registry, as_of: datetime
) -> WeekUsage:
    window = week_interval(week)
    days = {(window.start + timedelta(days=n)).date().isoformat() for n in range(7)}
    return WeekUsage(
        week=week,
        interval=window,
        days=tuple(
            DayUsage(
                vo=vo_name(registry, row.dimensions["vo"]),
                site="" if row.dimensions["site"] == UNKNOWN else row.dimensions["site"],
                day=date.fromisoformat(row.dimensions["day"]),
                kind=row.dimensions["kind"],
                jobs=row.jobs,
                wall_seconds=row.wall_seconds,
                core_seconds=row.core_seconds,
                cpu_core_seconds=row.cpu_core_seconds,
                cpu_seconds=row.cpu_seconds,
                jobs_without_cpu=row.jobs_without_cpu,
                suspects=row.suspects,
                bytes=row.bytes,
            )
            for row in answer.rows
            if row.dimensions["day"] in days
        ),
        coverage=tuple(
            _coverage(states, each)
            for each in sources
            if _is_expected(states := day_states(each, window, as_of=as_of))
        ),
        evidence={
            "table": usage_table.TABLE,
            "version": answer.table_version,
            "window": str(window),
            "corrections": corrections.rule_set(answer.question.corrections).name,
        },
    )


def _is_expected(states: Sequence[DayState]) -> bool:
    """Whether anything is expected of a week that has not wholly to begin yet: else nobody knows of it."""
    return not states or any(each.state is not Completeness.NOT_EXPECTED for each in states)


def _coverage(states: Sequence[DayState], source: Watched) -> Coverage:
    """Which days a source has whole; of a day that it is not expected to report nothing lacks."""
    lacking = [each for each in states if each.state in LACKING]
    why = "; the site was down" if all(each.explained for each in lacking) else ""
    return Coverage(
        source=source.state.source,
        kind=source.state.kind,
        site=source.state.site or "",
        days=frozenset(each.day for each in states if each.state not in LACKING),
        reasons={each.day: f"{each.reason}{why}" for each in lacking},
    )
