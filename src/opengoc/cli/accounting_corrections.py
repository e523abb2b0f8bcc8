"""``goc accounting corrections``: rules that say how records are read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from opengoc.accounting import corrections
from opengoc.accounting.correction_files import field_of, read
from opengoc.accounting.corrections import SCOPES, Correction, Standing
from opengoc.accounting.usage import Question, UsageRow, usage
from opengoc.app import House
from opengoc.base.errors import InvalidInput
from opengoc.base.instant import format_instant, parse_instant, utc_now
from opengoc.base.interval import Interval, week
from opengoc.base.units import hours
from opengoc.cli.output import AsOf, Json, emit, house_of, table
from opengoc.reports import published
from opengoc.reports.model import Report

app = typer.Typer(no_args_is_help=True, help="Rules that say how usage records are read.")
Why = Annotated[str, typer.Option(help="The reason, kept with the rule.")]


@app.command()
def add(
    ctx: typer.Context,
    field: Annotated[str, typer.Argument(help="vo, project, processors, hs06 or hepscore23.")],
    value: Annotated[str, typer.Argument(help="What it is in truth.")],
    on: Annotated[list[str], typer.Option(help=f"COLUMN=VALUE, repeatable; columns: {', '.join(SCOPES)}.")],
    why: Why,
    start: Annotated[
        str, typer.Option("--from", help="For jobs that ended at this UTC time or later.")
    ] = "1990-01-01",
    end: Annotated[str | None, typer.Option("--to", help="For jobs that ended before this UTC time.")] = None,
    as_json: Json = False,
) -> None:
    """Let a rule stand, in place of an earlier one about the same."""
    scope = dict(each.split("=", 1) for each in on if "=" in each)
    if len(scope) != len(on):
        raise InvalidInput("--on", on, "must be COLUMN=VALUE, each column once")
    valid = Interval(parse_instant(start, "--from"), parse_instant(end, "--to") if end else None)
    rule = Correction(scope=scope, field=field_of(field), value=value, valid=valid)
    _put(house_of(ctx), [rule], why, as_json=as_json)


@app.command(name="import")
def import_(ctx: typer.Context, file: Path, why: Why, as_json: Json = False) -> None:
    """Let the rules of a file stand: our CSV, jobs with processors (JSON), or sites with HS06."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(str(file), type(error).__name__, f"cannot be read: {error}") from error
    _put(house_of(ctx), read(text, str(file)), why, as_json=as_json)


def _put(house: House, rules: list[Correction], why: str, *, as_json: bool) -> None:
    with house.database.begin() as conn:
        changed = corrections.add(conn, rules, who=house.who, why=why)
    emit(
        {"rules": len(rules), "changed": changed, "keys": [rule.key for rule in rules]},
        as_json=as_json,
        text=lambda: f"{changed} of {len(rules)} rules are new or changed",
    )


@app.command()
def withdraw(ctx: typer.Context, key: str, why: Why, as_json: Json = False) -> None:
    """Take a rule back; what it did is still read as of a time when it stood."""
    house = house_of(ctx)
    with house.database.begin() as conn:
        corrections.withdraw(conn, key, who=house.who, why=why)
    emit({"withdrawn": key}, as_json=as_json, text=lambda: f"{escape(key)} is withdrawn")


@app.command(name="list")
def list_(ctx: typer.Context, as_of: AsOf = None, as_json: Json = False) -> None:
    """The rules that stand."""
    with house_of(ctx).database.read() as conn:
        found = corrections.standing(conn, known_at=as_of)
    emit(
        [_json(each) for each in found],
        as_json=as_json,
        text=lambda: table(
            ["Rule", "Value", "Since", "Who", "Why"],
            [
                (escape(e.rule.key), e.rule.value, format_instant(e.known_from), escape(e.who), escape(e.why))
                for e in found
            ],
            empty="no correction stands",
        ),
    )


@app.command()
def effect(
    ctx: typer.Context,
    week_: Annotated[str, typer.Option("--week", help="An ISO week, 2026-W47.")],
    as_json: Json = False,
) -> None:
    """What the rules that stand change of a week: against its last published report, else against none."""
    house, now = house_of(ctx), utc_now()
    with house.database.read() as conn:
        revisions = published.revisions(conn, week_)
        since = revisions[-1].report.as_of if revisions else None
        before = corrections.standing(conn, known_at=since) if since else []
        if revisions and since:
            for name in rule_sets(revisions[-1].report):
                corrections.require(before, name, since)
        after = corrections.standing(conn)
    ask = _Asked(house=house, window=week(week_))
    changes = _changes(ask.rows(before), ask.rows(after))
    emit(
        {
            "week": week_,
            "revision": revisions[-1].report.revision if revisions else None,
            "rules_before": len(before),
            "rules_after": len(after),
            "changes": changes,
            "as_of": now,
        },
        as_json=as_json,
        text=lambda: table(
            ["VO", "Site", "Kind", "Core hours before#", "after#", "Jobs before#", "after#"],
            [
                (c["vo"], c["site"], c["kind"], *(f"{c[n]:.1f}" for n in ("core_hours_before", "core_hours")),
                 c["jobs_before"], c["jobs"])
                for c in changes
            ],
            empty="the rules change nothing of this week",
        ),
    )  # fmt: skip


def rule_sets(report: Report) -> set[str]:
    """The sets of rules that figures of a report were made with."""
    return {str(each.evidence["corrections"]) for each in report.figures if "corrections" in each.evidence}


class _Asked:
    """Usage of a window by VO and site, under one set of rules or another."""

    def __init__(self, *, house: House, window: Interval) -> None:
        self._house, self._window, self._now = house, window, utc_now()
        self._pilots = house.known_pilots(self._now)

    def rows(self, rules: list[Standing]) -> dict[tuple[str, ...], UsageRow]:
        question = Question(
            window=self._window,
            by=("vo", "site"),
            kind=None,
            as_of=self._now,
            pilots=self._pilots,
            corrections=rules,
        )
        return {tuple(row.dimensions.values()): row for row in usage(self._house.lake, question).rows}


def _changes(
    before: dict[tuple[str, ...], UsageRow], after: dict[tuple[str, ...], UsageRow]
) -> list[dict[str, Any]]:
    found = []
    for key in sorted(before.keys() | after.keys()):
        was, now = before.get(key), after.get(key)
        told = {
            "jobs_before": was.jobs if was else 0,
            "jobs": now.jobs if now else 0,
            "core_hours_before": hours(was.core_seconds) if was else 0.0,
            "core_hours": hours(now.core_seconds) if now else 0.0,
            "hs06_hours_before": hours(was.hs06_seconds or 0.0) if was else 0.0,
            "hs06_hours": hours(now.hs06_seconds or 0.0) if now else 0.0,
        }
        if any(told[name] != told[f"{name}_before"] for name in ("jobs", "core_hours", "hs06_hours")):
            found.append({**dict(zip(("vo", "site", "kind"), key, strict=True)), **told})
    return found


def _json(each: Standing) -> dict[str, Any]:
    rule = each.rule
    return {
        "key": rule.key,
        **rule.to_json(),
        "from": rule.valid.start,
        "to": rule.valid.end,
        "version": each.version,
        "known_from": each.known_from,
        "who": each.who,
        "why": each.why,
    }
