"""``goc accounting expect``, ``heartbeat``, ``runs`` and ``gaps``: whether all records are there."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from opengoc.accounting import expected, findings
from opengoc.accounting import runs as told
from opengoc.accounting.expected import SILENT_HOURS, Expectation
from opengoc.accounting.findings import Finding
from opengoc.accounting.gaps import Gap
from opengoc.accounting.model import Kind
from opengoc.accounting.runs import Outcome, Run
from opengoc.accounting.source import Source
from opengoc.accounting.state import load_imported
from opengoc.app import House
from opengoc.base.errors import InvalidInput
from opengoc.base.instant import format_instant, parse_instant, utc_now
from opengoc.base.interval import Interval, week
from opengoc.cli.output import AsOf, Json, emit, house_of, table
from opengoc.flows import completeness

expect_app = typer.Typer(no_args_is_help=True, help="Which sources are expected to report.")

Why = Annotated[str, typer.Option(help="The reason, for people.")]
From = Annotated[str | None, typer.Option("--from", help="From this UTC time.")]
To = Annotated[str | None, typer.Option("--to", help="Up to this UTC time, which is left out.")]


@expect_app.command()
def add(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(help="Name of the source.")],
    records: Annotated[str, typer.Option(help=f"What its records count: {', '.join(Kind)}.")],
    site: Annotated[str, typer.Option(help="Site whose records they are; none: of any site.")] = "",
    start: From = None,
    end: To = None,
    silent_hours: Annotated[float, typer.Option(help="It may be silent for so long.")] = SILENT_HOURS,
    why: Why = "",
    as_json: Json = False,
) -> None:
    """Expect a source to report, from now on unless it is said otherwise; silent, it is then a gap."""
    house = house_of(ctx)
    begins = parse_instant(start, "--from") if start else utc_now()
    wanted = Expectation(
        source=source,
        records=_kind(records),
        site=site or None,
        interval=Interval(begins, parse_instant(end, "--to") if end else None),
        silent_hours=silent_hours,
    )
    with house.database.begin() as conn:
        made = expected.expect(conn, wanted, who=house.who, why=why)
    emit(_expectation_json(made), as_json=as_json, text=lambda: f"{source} is expected over {made.interval}")


@expect_app.command(name="list")
def list_(ctx: typer.Context, as_of: AsOf = None, as_json: Json = False) -> None:
    """What is expected by word of somebody; the sources of goc.toml are expected without it."""
    with house_of(ctx).database.read() as conn:
        found = expected.standing(conn, known_at=as_of)
    emit(
        [_expectation_json(each) for each in found],
        as_json=as_json,
        text=lambda: table(
            ["Source", "Records", "Site", "Over", "May be silent for hours#", "Who", "Why"],
            [
                (e.source, e.records, e.site, e.interval, f"{e.silent_hours:g}", e.who, escape(e.why))
                for e in found
            ],
            empty="no source is expected beside those of goc.toml",
        ),
    )


@expect_app.command()
def end(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(help="Name of the source.")],
    at: Annotated[str | None, typer.Option(help="Not from this UTC time on; default: now.")] = None,
    why: Why = "",
    as_json: Json = False,
) -> None:
    """Expect a source no more: from then on it may be silent."""
    house = house_of(ctx)
    moment = parse_instant(at, "--at") if at else utc_now()
    with house.database.begin() as conn:
        ended = expected.end(conn, source, at=moment, who=house.who, why=why)
    emit(
        _expectation_json(ended),
        as_json=as_json,
        text=lambda: f"{source} is not expected from {format_instant(moment)} on",
    )


def heartbeat(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(help="Name of the source.")],
    start: Annotated[
        str | None, typer.Option("--from", help="Of a run: since when. None: of all time before.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", help="All that ended before was given; default: now.")
    ] = None,
    outcome: Annotated[Outcome, typer.Option(help="How the run ended.")] = Outcome.OK,
    backlog: Annotated[int | None, typer.Option(help="How much waits still to be given.")] = None,
    message: Annotated[str, typer.Option(help="What happened, for people.")] = "",
    as_json: Json = False,
) -> None:
    """Say for a source that it is alive and has nothing new, or what became of a run of its probe."""
    house, now = house_of(ctx), utc_now()
    configured = {each.name: each for each in house.accounting_sources()}
    of = configured.get(source) or _other(house, source)
    with house.database.begin() as conn:
        run = told.report(
            conn,
            of,
            start=parse_instant(start, "--from") if start else None,
            end=parse_instant(end, "--to") if end else now,
            outcome=outcome,
            backlog=backlog,
            message=message,
            collected=source in configured,
            now=now,
            who=house.who,
        )
    emit(_run_json(run), as_json=as_json, text=lambda: f"{source}: {_run_words(run)}")


def runs(
    ctx: typer.Context,
    source: Annotated[str | None, typer.Option(help="Only those of this source.")] = None,
    as_of: AsOf = None,
    as_json: Json = False,
) -> None:
    """What was told of runs of probes and agents: of what time, with what outcome, and what waits."""
    house = house_of(ctx)
    with house.database.read() as conn:
        found = [each for each in told.standing(conn, known_at=as_of) if source in (None, each.source)]
    if not found:
        refuse_unknown(house, source)
    emit(
        [_run_json(each) for each in found],
        as_json=as_json,
        text=lambda: table(
            ["Source", "Told at", "Run", "Backlog#"],
            [(e.source, f"{e.at:%Y-%m-%d %H:%M}", escape(_run_words(e)), e.backlog) for e in found],
            empty="no run was told of",
        ),
    )


def gaps(
    ctx: typer.Context,
    start: Annotated[str | None, typer.Option("--from", help="From this UTC day.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="To this UTC day, which is left out.")] = None,
    week_: Annotated[str | None, typer.Option("--week", help="An ISO week, 2026-W47, instead.")] = None,
    as_of: AsOf = None,
    as_json: Json = False,
) -> None:
    """What sources lack; exit code 1 when it is not explained. By default of the last 35 days."""
    house, moment = house_of(ctx), as_of or utc_now()
    bounded = bool(start or end or week_)
    window = window_of(start, end, week_) if bounded else Interval(moment - timedelta(days=35), moment)
    sources = house.accounting_sources()
    if as_of is None:
        completeness.review(house.database, house.lake, sources, now=moment)
    with house.database.read() as conn:
        known = {each.gap.key: each for each in findings.standing(conn, known_at=as_of)}
    looked = completeness.look(house.database, house.lake, sources, window=window, as_of=moment)
    found = [_finding(each, known, moment) for each in looked.gaps]
    emit(
        {
            "findings": [each.to_json() for each in found],
            "days": [each.to_json() for each in looked.days],
            "as_of": moment,
        },
        as_json=as_json,
        text=lambda: table(
            ["Source", "Gap", "From", "To", "Reason"],
            [_gap_row(each) for each in found],
            empty=f"{window}: no expected source lacks anything",
        ),
    )
    if any(each.state == "open" for each in found):
        raise typer.Exit(1)


def window_of(start: str | None, end: str | None, name: str | None) -> Interval:
    """The window that options name. Raises InvalidInput."""
    if name is not None:
        if start or end:
            raise InvalidInput("--week", name, "cannot stand beside --from and --to")
        return week(name)
    if start is None or end is None:
        raise InvalidInput("--from, --to", (start, end), "give both, or --week")
    return Interval(parse_instant(start, "--from"), parse_instant(end, "--to"))


def _finding(gap: Gap, known: dict[str, Finding], now: datetime) -> Finding:
    """The gap as it is kept; one that is not kept is first seen now."""
    kept = known.get(gap.key)
    return Finding(gap=gap, seen=kept.seen if kept is not None else Interval(now))


def _gap_row(each: Finding) -> tuple[object, ...]:
    gap = each.gap
    explained = f" ({gap.explained})" if gap.explained else ""
    return (
        gap.source,
        f"{gap.what.value}, {each.state}",
        f"{gap.window.start:%Y-%m-%d %H:%M}",
        f"{gap.window.end:%Y-%m-%d %H:%M}",
        escape(f"{gap.reason}{explained}"),
    )


def _other(house: House, name: str) -> Source:
    """A source that is not read from here: known by what is expected of it, or by its name alone."""
    with house.database.read() as conn:
        found = expected.of_source(expected.standing(conn), name)
    kind, site = (found[-1].records, found[-1].site) if found else (Kind.BATCH, None)
    return Source(name=name, format="auto", path=Path(), kind=kind, site=site)


def refuse_unknown(house: House, name: str | None) -> None:
    """Raise InvalidInput where nothing is known of a source: "none" would answer a mistyped name."""
    if name is None:
        return
    settings = house.settings
    with house.database.read() as conn:
        known = {each.name for each in settings.accounting} | {each.name for each in settings.received}
        known |= {each.source for each in expected.standing(conn)}
        known |= {each.source for each in load_imported(conn)}
    if name not in known:
        raise InvalidInput("--source", name, "is no source; see `goc accounting sources`")


def _kind(name: str) -> Kind:
    try:
        return Kind(name)
    except ValueError as error:
        raise InvalidInput("--records", name, f"must be one of {', '.join(Kind)}") from error


def _run_words(run: Run) -> str:
    assert run.interval.end is not None
    if run.heartbeat:
        waits = f", {run.backlog} wait" if run.backlog else ""
        return f"alive, all given that ended before {run.interval.end:%Y-%m-%d %H:%M} UTC{waits}"
    return "all given of {} to {}".format(*_span(run)) if run.whole else run.words


def _span(run: Run) -> tuple[str, str]:
    assert run.interval.end is not None
    return format_instant(run.interval.start), format_instant(run.interval.end)


def _run_json(run: Run) -> dict[str, Any]:
    start, end = _span(run)
    return {
        "source": run.source,
        "from": None if run.heartbeat else start,
        "to": end,
        "outcome": run.outcome.value,
        "backlog": run.backlog,
        "message": run.message,
        "told_at": run.at,
    }


def _expectation_json(each: Expectation) -> dict[str, Any]:
    return {
        "source": each.source,
        "records": each.records.value,
        "site": each.site,
        "from": each.interval.start,
        "to": each.interval.end,
        "silent_hours": each.silent_hours,
        "who": each.who,
        "why": each.why,
    }
