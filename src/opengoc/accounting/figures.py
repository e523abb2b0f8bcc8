"""Usage as figures of a report: each number with how good it is, and what it was read from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from opengoc.accounting.corrections import rule_set
from opengoc.accounting.model import Kind
from opengoc.accounting.state import SourceState
from opengoc.accounting.table import TABLE
from opengoc.accounting.usage import Question, UsageRow, usage
from opengoc.base.figure import Figure
from opengoc.base.instant import format_instant
from opengoc.base.interval import Interval
from opengoc.base.units import hours
from opengoc.store.lake import Lake


@dataclass(frozen=True, kw_only=True)
class _Measure:
    """One figure that rows of usage give."""

    name: str
    unit: str
    #: The value; None where it is not defined.
    value: Callable[[UsageRow], float | None]


_JOBS = {kind: _Measure(name=f"{kind.value}_jobs", unit="jobs", value=lambda row: row.jobs) for kind in Kind}
_WALL = _Measure(name="wall_hours", unit="hours", value=lambda row: hours(row.wall_seconds))
_CORE = _Measure(name="core_hours", unit="core hours", value=lambda row: hours(row.core_seconds))


def figures(
    lake: Lake,
    question: Question,
    states: Sequence[SourceState],
    *,
    expected: Sequence[Mapping[str, str]] = (),
) -> list[Figure]:
    """Figures for each value of ``question.by``, and for each of ``expected`` that has no record.

    ``states`` are those of all configured sources as known at ``question.as_of``. Jobs of a kind are named
    ``payload_jobs``, ``pilot_jobs``; ``wall_hours``, ``core_hours`` and ``cpu_efficiency`` (percent) carry
    the kind as a dimension. A figure is missing when no source of its kind reported anything of the window,
    partial when one lacks some of it, and zero only when all were read through it and nothing ran.
    """
    made = []
    for kind in [question.kind] if question.kind else list(Kind):
        answer = usage(lake, replace(question, kind=kind))
        reporting = [each for each in states if each.kind == kind.value]
        if not reporting and not answer.rows and question.kind is None:
            continue
        evidence = {
            "table": TABLE,
            "version": answer.table_version,
            "window": str(question.window),
            "kind": kind.value,
            "corrections": rule_set(question.corrections).name,
            "sources": [each.source for each in reporting],
        }
        there = {tuple(row.dimensions.items()) for row in answer.rows}
        empty = [_nothing(each) for each in expected if tuple(each.items()) not in there]
        for row in [*answer.rows, *empty]:
            made += _of_row(row, kind, reporting, question, evidence)
    return made


def _of_row(
    row: UsageRow, kind: Kind, states: Sequence[SourceState], question: Question, evidence: dict[str, Any]
) -> list[Figure]:
    lacking = [each.lacking(question.window) for each in states]
    told = "; ".join(each for each in lacking if each)
    unheard = bool(states) and all(_is_unheard(each, question.window) for each in states)
    made = []
    for measure in (_JOBS[kind], _WALL, _CORE):
        dimensions = row.dimensions if measure is _JOBS[kind] else {**row.dimensions, "kind": kind.value}
        if not row.jobs and (not states or unheard):
            reason = told or f"no source of {kind.value} records is configured"
            made.append(
                Figure.missing(
                    measure.name,
                    measure.unit,
                    reason,
                    as_of=question.as_of,
                    dimensions=dimensions,
                    evidence=evidence,
                )
            )
            continue
        made.append(
            Figure.known(
                measure.name,
                measure.value(row) or 0,
                measure.unit,
                as_of=question.as_of,
                lacking=told,
                dimensions=dimensions,
                evidence=evidence,
            )
        )
    return [*made, _efficiency(row, kind, told, question, evidence)]


def _efficiency(row: UsageRow, kind: Kind, told: str, question: Question, evidence: dict[str, Any]) -> Figure:
    counted = {**evidence, "jobs_without_cpu": row.jobs_without_cpu, "suspects": row.suspects}
    dimensions = {**row.dimensions, "kind": kind.value}
    if row.cpu_efficiency is None:
        reason = f"none of {row.jobs} records measures CPU" if row.jobs else told or "nothing ran"
        return Figure.missing(
            "cpu_efficiency",
            "percent",
            reason,
            as_of=question.as_of,
            dimensions=dimensions,
            evidence=counted,
        )
    parts = [told] if told else []
    if row.jobs_without_cpu:
        parts.append(f"{row.jobs_without_cpu} of {row.jobs} records without CPU are left out")
    if row.suspects:
        parts.append(f"{row.suspects} records claim more CPU than wall × processors")
    return Figure.known(
        "cpu_efficiency",
        100.0 * row.cpu_efficiency,
        "percent",
        as_of=question.as_of,
        lacking="; ".join(parts),
        dimensions=dimensions,
        evidence=counted,
    )


def _is_unheard(state: SourceState, window: Interval) -> bool:
    """Whether a source told nothing at all of a window."""
    begins_later = state.since is None or (window.end is not None and state.since >= window.end)
    return state.read_through is None or state.read_through <= window.start or begins_later


def _nothing(dimensions: Mapping[str, str]) -> UsageRow:
    return UsageRow(
        dimensions=dict(dimensions),
        jobs=0,
        wall_seconds=0.0,
        core_seconds=0.0,
        cpu_seconds=None,
        cpu_core_seconds=None,
        jobs_without_cpu=0,
        suspects=0,
    )


def completeness(states: Sequence[SourceState], window: Interval) -> dict[str, Any]:
    """What each source lacks of a window, as JSON values; ``complete`` when none lacks anything."""
    lacking = {each.source: each.lacking(window) for each in states}
    return {
        "complete": bool(states) and not any(lacking.values()),
        "sources": [
            {
                "source": each.source,
                "kind": each.kind,
                "site": each.site,
                "state": each.state.value,
                "read_through": format_instant(each.read_through) if each.read_through else None,
                "backlog_bytes": each.backlog_bytes,
                "lacking": lacking[each.source],
            }
            for each in states
        ],
    }
