"""``goc downtime``: announce, change, cancel and list downtimes."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from opengoc.base.errors import InvalidInput
from opengoc.base.instant import format_instant, parse_instant, utc_now
from opengoc.base.interval import Interval
from opengoc.cli.output import AsOf, Json, emit, err, house_of, table
from opengoc.registry.downtime import Downtime, DowntimeState, Part, Severity
from opengoc.registry.feeds import replay, take_feed
from opengoc.registry.findings import Findings
from opengoc.registry.formats.downtime_events import read_events
from opengoc.registry.formats.gocdb_downtimes import read_gocdb_downtimes
from opengoc.registry.store import (
    announce,
    cancel_downtime,
    change_downtime,
    load_registry,
    read_downtime,
    reinstate_downtime,
)

app = typer.Typer(no_args_is_help=True, help="Announce, change and cancel downtimes.")

_RELATIVE = re.compile(r"([+-])(\d{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

_TIMES = "ISO 8601 with a zone, `now`, or `+2h` (s, m, h, d, w)"
_WORDS = {
    "outage": Severity.OUTAGE,
    "severe": Severity.SEVERE,
    "intermittent": Severity.INTERMITTENT,
    "at-risk": Severity.NO_OUTAGE,
}


def parse_moment(text: str, option: str, *, now: datetime, origin: datetime | None = None) -> datetime:
    """A time of the command line; ``+2h`` counts from ``origin``, else from ``now``. Raises InvalidInput."""
    if text.strip() == "now":
        return now
    found = _RELATIVE.fullmatch(text.strip())
    if found is None:
        try:
            return parse_instant(text, option)
        except InvalidInput as error:
            raise InvalidInput(option, text, f"{error.rule}, or `now`, or relative such as +2h") from error
    sign = 1 if found[1] == "+" else -1
    try:
        return (origin or now) + sign * timedelta(**{_UNITS[found[3]]: int(found[2])})
    except OverflowError as error:
        raise InvalidInput(option, text, "lies beyond the calendar") from error


def _severity(text: str) -> Severity:
    """``outage``, ``severe``, ``intermittent`` or ``at-risk``, or OSG Topology's own words."""
    by_name = _WORDS | {severity.value.lower(): severity for severity in Severity}
    if text.lower() not in by_name:
        raise InvalidInput("--severity", text, f"must be one of: {', '.join(_WORDS)}")
    return by_name[text.lower()]


Why = Annotated[str, typer.Option(help="The reason, kept with the change.")]
Services = Annotated[
    list[str] | None,
    typer.Option("--service", help="Kind of service affected, e.g. CE; repeat for several. Default: all."),
]


@app.command()
def add(
    ctx: typer.Context,
    resource: Annotated[
        list[str], typer.Argument(help="Name of the resource; several make one announcement.")
    ],
    end: Annotated[str, typer.Option(help=f"When it ends: {_TIMES}; +2h counts from the start.")],
    severity: Annotated[str, typer.Option(help="outage, severe, intermittent or at-risk.")],
    description: Annotated[str, typer.Option(help="What is done, and what users will notice.")],
    start: Annotated[str, typer.Option(help=f"When it starts: {_TIMES}.")] = "now",
    service: Annotated[
        list[str] | None,
        typer.Option(
            "--service",
            metavar="KIND[=START/END]",
            help="Kind of service affected, with its own time if that differs; repeatable. Default: all.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Announce a downtime; late is better than never, and shows as unscheduled.

    Several resources, or services with times of their own, are one announcement: all of it is taken or none.
    """
    if not description.strip():
        raise InvalidInput("--description", description, "say what is done: users and reports read it")
    house = house_of(ctx)
    now = utc_now().replace(microsecond=0)
    begins = parse_moment(start, "--start", now=now)
    interval = _interval(begins, parse_moment(end, "--end", now=now, origin=begins))
    with house.database.begin() as conn:
        made = announce(
            conn,
            _parts(resource, service or [], interval, now),
            severity=_severity(severity),
            description=description,
            who=house.who,
            now=now,
        )
    if len(made) == 1:
        _emit(made[0], as_json)
    else:
        emit(
            [_json(each, now) for each in made],
            as_json=as_json,
            text=lambda: "\n".join(_sentence(each, now) for each in made),
        )


@app.command()
def change(
    ctx: typer.Context,
    downtime_id: Annotated[str, typer.Argument(metavar="ID")],
    why: Why,
    start: Annotated[str | None, typer.Option(help=f"New start: {_TIMES}.")] = None,
    end: Annotated[str | None, typer.Option(help=f"New end: {_TIMES}; +2h counts from now.")] = None,
    severity: Annotated[str | None, typer.Option(help="outage, severe, intermittent or at-risk.")] = None,
    service: Services = None,
    description: Annotated[str | None, typer.Option(help="New description.")] = None,
    as_json: Json = False,
) -> None:
    """Shorten, extend, move or correct a downtime, however late; every version stays on record."""
    if all(said is None for said in (start, end, severity, service, description)):
        raise InvalidInput("change", downtime_id, "say what: --start, --end, --severity, --service …")
    house = house_of(ctx)
    now = utc_now().replace(microsecond=0)
    with house.database.begin() as conn:
        known, version = read_downtime(conn, downtime_id)
        interval = None
        if start is not None or end is not None:
            interval = _interval(
                known.interval.start if start is None else parse_moment(start, "--start", now=now),
                known.interval.end if end is None else parse_moment(end, "--end", now=now),
            )
        downtime = change_downtime(
            conn,
            downtime_id,
            who=house.who,
            why=why,
            interval=interval,
            services=service,
            severity=_severity(severity) if severity is not None else None,
            description=description,
            expect=version,
        )
    _emit(downtime, as_json)


@app.command()
def cancel(
    ctx: typer.Context,
    downtime_id: Annotated[str, typer.Argument(metavar="ID")],
    why: Why,
    as_json: Json = False,
) -> None:
    """Withdraw a downtime: none of its time counts. `change ID --end now` ends a running one early."""
    house = house_of(ctx)
    with house.database.begin() as conn:
        downtime = cancel_downtime(conn, downtime_id, who=house.who, why=why)
    _emit(downtime, as_json)


@app.command()
def reinstate(
    ctx: typer.Context,
    downtime_id: Annotated[str, typer.Argument(metavar="ID")],
    why: Why,
    as_json: Json = False,
) -> None:
    """Take a cancellation back."""
    house = house_of(ctx)
    with house.database.begin() as conn:
        downtime = reinstate_downtime(conn, downtime_id, who=house.who, why=why)
    _emit(downtime, as_json)


@app.command("import")
def import_(
    ctx: typer.Context,
    file: Annotated[
        Path, typer.Argument(help="GOCDB's get_downtime (.xml), or a history of events (.jsonl).")
    ],
    complete: Annotated[
        bool, typer.Option("--complete", help="The feed holds all there is: cancel what it no longer names.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Take downtimes from a feed of GOCDB, or replay a history with its own known times."""
    house = house_of(ctx)
    if not file.is_file():
        raise InvalidInput("FILE", str(file), "is no file")
    findings = Findings()
    with house.database.begin() as conn:
        if file.suffix == ".jsonl":
            taken = replay(conn, read_events(file), who=house.who)
        else:
            downtimes = read_gocdb_downtimes(file, load_registry(conn), findings)
            taken = take_feed(conn, downtimes, who=house.who, complete=complete)
    for finding in findings.ordered():
        err.print(f"{finding.grade}: {finding}", markup=False, highlight=False, soft_wrap=True)
    value = asdict(taken) | {"findings": [finding.to_json() for finding in findings.ordered()]}
    emit(
        value,
        as_json=as_json,
        text=lambda: (
            ", ".join(f"{count} {name}" for name, count in asdict(taken).items() if count)
            or "nothing to take"
        ),
    )


@app.command("list")
def list_(
    ctx: typer.Context,
    past: Annotated[bool, typer.Option("--past", help="Ended and cancelled ones too.")] = False,
    resource: Annotated[str | None, typer.Option(help="Those of one resource only.")] = None,
    as_of: AsOf = None,
    as_json: Json = False,
) -> None:
    """List downtimes that are on or to come, as known now or at --as-of, by their start."""
    now = utc_now() if as_of is None else as_of
    with house_of(ctx).database.read() as conn:
        registry = load_registry(conn, known_at=as_of)
    if resource is not None and resource not in {each.resource for each in registry.downtimes.values()}:
        registry.resource(resource)
    over = (DowntimeState.ENDED, DowntimeState.CANCELLED)
    shown = [
        downtime
        for downtime in sorted(registry.downtimes.values(), key=lambda each: (each.interval.start, each.id))
        if (past or downtime.state(now) not in over) and resource in (None, downtime.resource)
    ]
    emit(
        [_json(downtime, now) for downtime in shown],
        as_json=as_json,
        text=lambda: table(
            ["ID", "resource", "from, until UTC", "state"],
            [_row(downtime, now) for downtime in shown],
            empty="no downtime"
            if past
            else "no downtime is on or announced; --past shows those that are over",
        ),
    )


def _parts(resources: list[str], services: list[str], interval: Interval, now: datetime) -> list[Part]:
    """One part a resource, and one more for each service with a time of its own."""
    plain = [service for service in services if "=" not in service]
    timed = [(kind, times) for kind, _, times in (each.partition("=") for each in services) if times]
    parts = []
    for resource in resources:
        if plain or not timed:
            parts.append(Part(resource=resource, services=tuple(plain), interval=interval))
        for kind, times in timed:
            start, slash, end = times.partition("/")
            if not slash:
                raise InvalidInput("--service", times, "must be KIND=START/END")
            begins = parse_moment(start, "--service", now=now, origin=interval.start)
            own = _interval(begins, parse_moment(end, "--service", now=now, origin=begins))
            parts.append(Part(resource=resource, services=(kind,), interval=own))
    return parts


def _interval(start: datetime, end: datetime | None) -> Interval:
    if end is not None and end <= start:
        rule = f"must be after the start, {format_instant(start)}"
        raise InvalidInput("--end", format_instant(end), rule)
    return Interval(start, end)


def _emit(downtime: Downtime, as_json: bool) -> None:
    now = utc_now()
    emit(_json(downtime, now), as_json=as_json, text=lambda: _sentence(downtime, now))


def _sentence(downtime: Downtime, now: datetime) -> str:
    services = ", ".join(downtime.services)
    interval = downtime.interval
    return escape(
        f"{downtime.id}: {downtime.resource} ({services}) from {format_instant(interval.start)}"
        f" until {format_instant(interval.end or now)}: {downtime.severity}, {downtime.state(now)}"
    )


def _json(downtime: Downtime, now: datetime) -> dict[str, Any]:
    derived = downtime.derived_class()
    return {
        "id": downtime.id,
        "resource": downtime.resource,
        "services": list(downtime.services),
        "start": downtime.interval.start,
        "end": downtime.interval.end,
        "severity": downtime.severity,
        "state": downtime.state(now),
        "class": derived,
        "claimed_class": downtime.claimed_class,
        "declared_at": downtime.declared_at,
        "cancelled_at": downtime.cancelled_at,
        "announcement": downtime.announcement,
        "description": downtime.description,
    }


def _row(downtime: Downtime, now: datetime) -> tuple[str, ...]:
    """Two lines a downtime, so that a row keeps within 80 columns."""
    interval = downtime.interval
    start, end = (f"{moment:%Y-%m-%d %H:%M}" for moment in (interval.start, interval.end or now))
    word = next(word for word, severity in _WORDS.items() if severity is downtime.severity)
    derived = downtime.derived_class()
    return (
        escape(downtime.id),
        escape(f"{downtime.resource}\n{', '.join(downtime.services)}"),
        f"{start}\n{end}",
        f"{downtime.state(now)}, {word}\n{derived.value.lower() if derived else 'class unknown'}",
    )
