"""``goc accounting``: collect usage records, and answer who used what."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from opengoc.accounting import corrections
from opengoc.accounting.corrections import Standing
from opengoc.accounting.export import FORMATS as EXPORTS
from opengoc.accounting.export import Wanted, export, has_source
from opengoc.accounting.figures import completeness
from opengoc.accounting.ingest import Collected, collect
from opengoc.accounting.live import collect_live
from opengoc.accounting.model import Kind
from opengoc.accounting.source import Source
from opengoc.accounting.state import SourceState, State, load_imported
from opengoc.accounting.usage import DIMENSIONS, Question, UsageRow, sql
from opengoc.accounting.usage import usage as ask
from opengoc.app import House
from opengoc.base.errors import InvalidInput
from opengoc.base.instant import format_instant, utc_now
from opengoc.base.interval import week_name
from opengoc.base.units import hours
from opengoc.cli.accounting_completeness import expect_app, gaps, heartbeat, refuse_unknown, runs, window_of
from opengoc.cli.accounting_corrections import app as corrections_app
from opengoc.cli.accounting_corrections import rule_sets
from opengoc.cli.accounting_import import import_
from opengoc.cli.accounting_lake import compact, summarise, vacuum
from opengoc.cli.accounting_quarantine import app as quarantine_app
from opengoc.cli.accounting_send import send
from opengoc.cli.output import AsOf, Json, emit, house_of, progress, table
from opengoc.flows.completeness import look, source_states
from opengoc.reports import published
from opengoc.store.writer import sole_writer

app = typer.Typer(no_args_is_help=True, help="Collect usage records and answer who used what.")
#: Engines that a question can be printed for.
_SQL = ("clickhouse", "duckdb", "postgres")
SourceName = Annotated[
    list[str] | None, typer.Option("--source", help="Name of a source; repeat for several. Default: all.")
]


app.command(name="import")(import_)
app.command()(send)
app.add_typer(corrections_app, name="corrections")
app.add_typer(quarantine_app, name="quarantine")
app.command()(summarise)
app.command()(compact)
app.command()(vacuum)
app.add_typer(expect_app, name="expect")
app.command()(heartbeat)
app.command()(runs)
app.command()(gaps)


def _states(house: House, as_of: datetime | None) -> list[SourceState]:
    """The sources of the settings and those that are expected, then those that files were imported as."""
    with house.database.read() as conn:
        found = source_states(conn, house.accounting_sources(), as_of)
        names = {state.source for state in found}
        return [*found, *(e for e in load_imported(conn, known_at=as_of) if e.source not in names)]


def _complete(house: House, states: list[SourceState], question: Question) -> dict[str, Any]:
    """What each source lacks of the window; runs, batch numbers and norms go before how far it was read."""
    found = completeness(states, question.window)
    window, as_of = question.window, question.as_of
    looked = look(house.database, house.lake, house.accounting_sources(), window=window, as_of=as_of)
    lacking = looked.lacking()
    over = window.end is not None and window.end <= as_of
    for each in found["sources"]:
        if lacking.get(each["source"]) or (over and each["source"] in lacking):
            each["lacking"] = lacking[each["source"]]
    found["complete"] = bool(states) and not any(each["lacking"] for each in found["sources"])
    return found


@app.command(name="collect")
def collect_(ctx: typer.Context, source: SourceName = None, as_json: Json = False) -> None:
    """Read what is new in every source; exit code 1 when one of them cannot be read."""
    house = house_of(ctx)
    sources = house.accounting_sources(source or ())
    if not sources:
        raise InvalidInput(
            str(house.home / "goc.toml"),
            "accounting",
            "names no source: add [[accounting]] with name, kind, path",
        )
    with sole_writer(house.home, house.database, "accounting"), progress() as bar:
        collected = [_collect(house, each, bar) for each in sources]
    emit(
        [_collected_json(each) for each in collected],
        as_json=as_json,
        text=lambda: table(
            ["Source", "Read#", "Stored#", "Duplicate#", "Restated#", "Quarantined#", "State"],
            [
                (
                    each.source,
                    each.counts.read,
                    each.counts.stored,
                    each.counts.duplicate,
                    each.counts.restated,
                    each.counts.quarantined,
                    _state_text(each.state),
                )
                for each in collected
            ],
        ),
    )
    if any(each.state.state is not State.OK for each in collected):
        raise typer.Exit(1)


def _collect(house: House, source: Source, bar: Any) -> Collected:
    task = bar.add_task(source.name, total=None)
    feed = house.accounting_feed(source.name)
    if feed is not None:
        return collect_live(source, feed, house.accounting_stores(), who=house.who)
    return collect(
        source,
        house.accounting_stores(),
        who=house.who,
        progress=lambda done, total, read: bar.update(
            task, completed=done, total=total, description=f"{source.name}: {read} records, bytes"
        ),
    )


@app.command()
def usage(
    ctx: typer.Context,
    start: Annotated[
        str | None, typer.Option("--from", help="Jobs that ended at this UTC time or later.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="Jobs that ended before this UTC time.")] = None,
    week_: Annotated[str | None, typer.Option("--week", help="An ISO week, 2026-W47, instead.")] = None,
    by: Annotated[
        str,
        typer.Option(help=f"Some of {', '.join(DIMENSIONS)}, with commas. Default: the sum of each kind."),
    ] = "",
    kind: Annotated[str, typer.Option(help=f"{', '.join(Kind)}, or all of them, each apart.")] = "all",
    rules: Annotated[
        str | None,
        typer.Option("--corrections", help="Rules that must be there, as a published figure names them."),
    ] = None,
    dialect: Annotated[
        str | None, typer.Option("--sql", help=f"Print the question for another engine: {', '.join(_SQL)}.")
    ] = None,
    as_of: AsOf = None,
    as_json: Json = False,
) -> None:
    """Jobs, hours and CPU efficiency of a time; of the current week where none is given."""
    house = house_of(ctx)
    moment = as_of or utc_now()
    if not (start or end or week_):
        week_ = week_name(moment)
    question = Question(
        window=window_of(start, end, week_),
        by=[name for name in (part.strip() for part in by.split(",")) if name],
        kind=_kind(kind),
        as_of=moment,
        pilots=house.known_pilots(moment),
        countries=_countries(house, moment),
        corrections=_corrections(house, moment),
        rule_set=rules or _published_rules(house, week_, as_of),
    )
    if dialect is not None:
        if dialect not in _SQL:
            raise InvalidInput("--sql", dialect, f"must be one of {', '.join(_SQL)}")
        emit({"sql": sql(question, dialect)}, as_json=as_json, text=lambda: escape(sql(question, dialect)))
        return
    states = _states(house, as_of)
    answer = ask(house.lake, question)
    asked = [each for each in states if question.kind is None or each.kind == question.kind.value]
    complete = _complete(house, asked, question)
    emit(
        {
            "rows": [_row_json(row) for row in answer.rows],
            "as_of": question.as_of,
            "window": {"from": question.window.start, "to": question.window.end},
            "table_version": answer.table_version,
            "summary_version": answer.summary_version,
            "corrections": corrections.rule_set(question.corrections).name,
            "completeness": complete,
        },
        as_json=as_json,
        text=lambda: _usage_text(question, answer.rows, complete),
    )


@app.command(name="export")
def export_(
    ctx: typer.Context,
    output: Annotated[Path, typer.Argument(help="File to write.")],
    form: Annotated[str, typer.Option("--format", help=f"One of {', '.join(EXPORTS)}.")] = "json",
    start: Annotated[str | None, typer.Option("--from", help="Ended at this UTC time or later.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Ended before this UTC time.")] = None,
    week_: Annotated[str | None, typer.Option("--week", help="An ISO week, 2026-W47, instead.")] = None,
    kind: Annotated[str, typer.Option(help=f"{', '.join(Kind)}, or all.")] = "all",
    source: Annotated[str | None, typer.Option(help="Only records of this source.")] = None,
    as_of: AsOf = None,
    as_json: Json = False,
) -> None:
    """Write the records that stand to a file, in a format of ours or of others."""
    house = house_of(ctx)
    wanted = Wanted(
        window=window_of(start, end, week_), kind=_kind(kind), source=source, as_of=as_of or utc_now()
    )
    if source is not None and not has_source(house.lake, source):
        refuse_unknown(house, source)
    count = export(house.lake, wanted, form, output)
    emit(
        {"file": str(output), "format": form, "records": count},
        as_json=as_json,
        text=lambda: f"{count} records to {escape(str(output))}",
    )


@app.command()
def sources(ctx: typer.Context, as_of: AsOf = None, as_json: Json = False) -> None:
    """How each source stands, and up to when it was read."""
    house = house_of(ctx)
    states = _states(house, as_of)
    emit(
        [_state_json(each) for each in states],
        as_json=as_json,
        text=lambda: table(
            ["Source", "Records", "Site", "State", "Read through", "Backlog bytes#"],
            [
                (
                    each.source,
                    each.kind,
                    each.site,
                    _state_text(each),
                    format_instant(each.read_through) if each.read_through else None,
                    each.backlog_bytes,
                )
                for each in states
            ],
            empty="no source: add [[accounting]] to goc.toml",
        ),
    )


def _corrections(house: House, as_of: datetime) -> list[Standing]:
    with house.database.read() as conn:
        return corrections.standing(conn, known_at=as_of)


def _published_rules(house: House, week_: str | None, as_of: datetime | None) -> str | None:
    """The rules that the report of a week was made with, where one was published as of this very time."""
    if week_ is None or as_of is None:
        return None
    with house.database.read() as conn:
        reports = [each.report for each in published.revisions(conn, week_)]
    return next((name for each in reports if each.as_of == as_of for name in rule_sets(each)), None)


def _countries(house: House, as_of: datetime) -> dict[str, str]:
    sites = house.registry(known_at=as_of).sites.values()
    return {site.name: site.country for site in sites if site.country}


def _kind(name: str) -> Kind | None:
    if name == "all":
        return None
    try:
        return Kind(name)
    except ValueError as error:
        raise InvalidInput("--kind", name, f"must be {', '.join(Kind)} or all") from error


def _row_json(row: UsageRow) -> dict[str, Any]:
    return {
        **row.dimensions,
        "jobs": row.jobs,
        "wall_hours": hours(row.wall_seconds),
        "core_hours": hours(row.core_seconds),
        "cpu_hours": None if row.cpu_seconds is None else hours(row.cpu_seconds),
        "cpu_efficiency": row.cpu_efficiency,
        "jobs_without_cpu": row.jobs_without_cpu,
        "suspects": row.suspects,
        "estimated": row.estimated,
        "records": row.records,
        "hs06_hours": None if row.hs06_seconds is None else hours(row.hs06_seconds),
        "hepscore23_hours": None if row.hepscore23_seconds is None else hours(row.hepscore23_seconds),
        "jobs_without_hs06": row.jobs_without_hs06,
        "jobs_without_hepscore23": row.jobs_without_hepscore23,
        "bytes": row.bytes,
    }


def _usage_text(question: Question, rows: tuple[UsageRow, ...], complete: dict[str, Any]) -> Any:
    lacking = [each["lacking"] for each in complete["sources"] if each["lacking"]]
    title = f"{question.window}, as of {format_instant(question.as_of)}"
    if lacking:
        title += "\nincomplete: " + escape("; ".join(lacking))
    elif not complete["sources"]:
        title += "\nincomplete: no source of these records is configured"
    names = [name.capitalize() for name in question.dimensions]
    return table(
        [*names, "Jobs#", "Wall hours#", "Core hours#", "CPU hours#", "CPU/wall#", "No CPU#", "Suspect#"],
        [
            (
                *(escape(row.dimensions[name]) for name in question.dimensions),
                row.jobs,
                _hours_text(row.wall_seconds),
                _hours_text(row.core_seconds),
                None if row.cpu_seconds is None else _hours_text(row.cpu_seconds),
                None if row.cpu_efficiency is None else f"{100 * row.cpu_efficiency:.1f} %",
                row.jobs_without_cpu,
                row.suspects,
            )
            for row in rows
        ],
        title=title,
        empty=f"{title}\nno record",
    )


def _hours_text(seconds: float) -> str:
    """Hours to a tenth; what is less is not written as nothing."""
    value = hours(seconds)
    return f"{value:.1g}" if 0 < value < 0.05 else f"{value:.1f}"


def _collected_json(each: Collected) -> dict[str, Any]:
    return {
        "source": each.source,
        "read": each.counts.read,
        **asdict(each.counts),
        "bytes": each.bytes,
        **_state_json(each.state),
    }


def _state_json(each: SourceState) -> dict[str, Any]:
    return {
        "source": each.source,
        "kind": each.kind,
        "site": each.site,
        "state": each.state.value,
        "reason": each.reason,
        "tried_at": each.tried_at,
        "read_through": each.read_through,
        "since": each.since,
        "backlog_bytes": each.backlog_bytes,
        "notices": list(each.notices),
        "gaps": [{"from": gap.start, "to": gap.end, "reason": gap.reason} for gap in each.gaps],
    }


def _state_text(each: SourceState) -> str:
    return escape("; ".join([each.state.value, *([each.reason] if each.reason else []), *each.notices]))
