"""Downtimes chosen, laid out as a month of weeks, and told version by version. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from opengoc.base.instant import parse_instant
from opengoc.base.interval import Interval
from opengoc.base.interval import day as day_interval
from opengoc.registry.downtime import Downtime, DowntimeState
from opengoc.registry.snapshot import Registry
from opengoc.reports.wording import moment_text
from opengoc.store.facts import Fact

_DAYS_OF_A_WEEK = 7


class When(StrEnum):
    """Which downtimes are asked for."""

    AHEAD = "current and future"
    CURRENT = "current"
    FUTURE = "future"
    PAST = "past"
    CANCELLED = "cancelled"
    ALL = "all"


_STATES: Mapping[When, frozenset[DowntimeState]] = {
    When.AHEAD: frozenset({DowntimeState.ACTIVE, DowntimeState.PLANNED}),
    When.CURRENT: frozenset({DowntimeState.ACTIVE}),
    When.FUTURE: frozenset({DowntimeState.PLANNED}),
    When.PAST: frozenset({DowntimeState.ENDED}),
    When.CANCELLED: frozenset({DowntimeState.CANCELLED}),
    When.ALL: frozenset(DowntimeState),
}


@dataclass(frozen=True, kw_only=True)
class Day:
    """A day of the calendar with the downtimes that stand and touch it."""

    date: date
    #: Whether it belongs to the month that is shown.
    inside: bool
    downtimes: tuple[Downtime, ...]


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version of a downtime: who said it, when, why, and what it changed."""

    number: int
    known_from: datetime
    who: str
    why: str
    #: What is said, in words: (field, before, after); of the first version, what it announced.
    changes: tuple[tuple[str, str, str], ...]


def chosen(
    registry: Registry, when: When, now: datetime, *, place: str = "", resource: str = ""
) -> list[Downtime]:
    """The downtimes asked for, by parts of names whatever their case: by start, those over newest first."""
    place, resource = place.casefold(), resource.casefold()
    found = [
        downtime
        for downtime in registry.downtimes.values()
        if downtime.state(now) in _STATES[when]
        and resource in downtime.resource.casefold()
        and (not place or place in place_of(registry, downtime).casefold())
    ]
    newest_first = when in (When.PAST, When.CANCELLED, When.ALL)
    return sorted(found, key=lambda each: (each.interval.start, each.resource), reverse=newest_first)


def place_of(registry: Registry, downtime: Downtime) -> str:
    """Site and facility of a downtime; empty where the registry no longer holds the resource."""
    resource = registry.resources.get(downtime.resource)
    return "" if resource is None else f"{resource.site} {registry.sites[resource.site].facility}"


def weeks_of(month: Interval, downtimes: Iterable[Downtime]) -> list[list[Day]]:
    """The weeks, Monday to Sunday, that cover a month; cancelled downtimes are left out."""
    assert month.end is not None
    week = timedelta(days=_DAYS_OF_A_WEEK)
    around = Interval(month.start - week, month.end + week)
    standing = [each for each in downtimes if not each.cancelled and each.interval.overlaps(around)]
    first, last = month.start.date(), (month.end - timedelta(days=1)).date()
    monday = first - timedelta(days=first.weekday())
    weeks = []
    while monday <= last:
        days = [monday + timedelta(days=number) for number in range(_DAYS_OF_A_WEEK)]
        weeks.append([_day(each, first <= each <= last, standing) for each in days])
        monday += timedelta(days=_DAYS_OF_A_WEEK)
    return weeks


def versions(history: Iterable[Fact]) -> list[Version]:
    """What each version of a downtime changed, the newest first."""
    told: list[Version] = []
    before: dict[str, str] = {}
    for fact in history:
        after = {} if fact.value is None else _said(fact.value)
        changes = tuple(
            (name, before.get(name, ""), after.get(name, ""))
            for name in (*after, *(name for name in before if name not in after))
            if before.get(name, "") != after.get(name, "")
        )
        told.append(
            Version(
                number=fact.version,
                known_from=fact.known_from,
                who=fact.who,
                why=fact.why,
                changes=changes,
            )
        )
        before = after
    return told[::-1]


def _day(of: date, inside: bool, downtimes: Iterable[Downtime]) -> Day:
    within = day_interval(of)
    touched = (each for each in downtimes if each.interval.overlaps(within))
    # What began last comes first, so that what is new is seen beside what lasts for months.
    by_name = sorted(touched, key=lambda each: each.resource)
    ordered = sorted(by_name, key=lambda each: each.interval.start, reverse=True)
    return Day(date=of, inside=inside, downtimes=tuple(ordered))


def _said(value: Mapping[str, Any]) -> dict[str, str]:
    """What a stored downtime says, in words."""
    interval = value["interval"]
    said = {
        "Resource": value["resource"],
        "Start": _moment(interval["start"]),
        "End": _moment(interval["end"]),
        "Services": ", ".join(value["services"]),
        "Severity": value["severity"],
        "Description": value.get("description") or "",
        "Cancelled": _moment(value.get("cancelled_at")),
    }
    return {name: words for name, words in said.items() if words}


def _moment(text: str | None) -> str:
    return "" if text is None else moment_text(parse_instant(text))
