"""``goc probe``: what is probed, and probing it now."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.markup import escape

from opengoc.app import House
from opengoc.base.errors import InvalidInput
from opengoc.base.instant import utc_now
from opengoc.cli.output import AsOf, Json, emit, err, house_of, progress, table
from opengoc.flows.probing import expect_checks, probe
from opengoc.monitoring import expectation
from opengoc.monitoring.current import current_statuses
from opengoc.monitoring.loop import due
from opengoc.monitoring.model import ProbeResult, Status
from opengoc.monitoring.probes.check import Check
from opengoc.monitoring.spool import put_in
from opengoc.registry.snapshot import Registry
from opengoc.store.hold import hold

app = typer.Typer(no_args_is_help=True, help="Probe the grid's services.")

_COLOURS = {
    Status.OK: "green",
    Status.WARNING: "yellow",
    Status.CRITICAL: "bold red",
    Status.UNKNOWN: "magenta",
    Status.MISSING: "magenta",
    Status.DOWNTIME: "blue",
}

Only = Annotated[
    list[str] | None,
    typer.Option(
        "--only", help="Only checks of this metric, resource, site or kind of service; repeat for several."
    ),
]


def coloured(status: Status) -> str:
    """A status in its colour."""
    colour = _COLOURS.get(status, "default")
    return f"[{colour}]{status.value}[/]"


def ago(moment: datetime, now: datetime) -> str:
    """How long ago, in the one or two units that are short to read."""
    seconds = max(0, int((now - moment).total_seconds()))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min" if minutes else f"{seconds} s"


@app.callback()
def _noun() -> None:
    """Probe the grid's services."""


@app.command("list")
def list_checks(ctx: typer.Context, only: Only = None, as_json: Json = False) -> None:
    """What is probed, how often, and when it is due."""
    house, now = house_of(ctx), utc_now()
    say_what_is_unknown(house)
    with house.checks() as (registry, checks):
        checks = _chosen(checks, only, registry)
        current = {(s.metric, s.target): s for s in current_statuses(house.lake, house.database, now=now)}
        waiting = set(map(str, due(checks, current.values(), now)))
    rows: list[dict[str, Any]] = []
    for check in checks:
        last = current.get((check.metric, check.target))
        rows.append(
            {
                "metric": check.metric,
                "resource": check.target.resource,
                "service": check.target.service,
                "interval_seconds": check.interval_seconds,
                "timeout_seconds": check.timeout_seconds,
                "last_at": None if last is None else last.at,
                "due": str(check) in waiting,
            }
        )

    def text() -> object:
        return table(
            ["Metric", "Resource", "Service", "Every#", "Last", "Due"],
            [
                [
                    escape(row["metric"]),
                    escape(row["resource"]),
                    escape(row["service"]),
                    f"{row['interval_seconds']:g} s",
                    "never" if row["last_at"] is None else f"{ago(row['last_at'], now)} ago",
                    "yes" if row["due"] else "no",
                ]
                for row in rows
            ],
            empty="Nothing is probed: goc.toml names no pool and no factory, and there is no probes.toml.",
        )

    emit(rows, as_json=as_json, text=text)


@app.command()
def run(
    ctx: typer.Context,
    only: Only = None,
    due_only: Annotated[bool, typer.Option("--due", help="Only checks whose interval is over.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be probed.")] = False,
    as_json: Json = False,
) -> None:
    """Probe now and keep the results. A test job takes up to two minutes."""
    house, now = house_of(ctx), utc_now()
    folder = house.home / "raw" / "probes"
    say_what_is_unknown(house)
    with house.checks() as (registry, every):
        checks = _chosen(every, only, registry)
        if due_only:
            checks = due(checks, current_statuses(house.lake, house.database, now=now), now)
        if dry_run:
            planned = [{"metric": c.metric, "target": str(c.target)} for c in checks]
            emit(planned, as_json=as_json, text=lambda: "\n".join(map(str, checks)) or "Nothing is due.")
            return
        with hold(house.home, "probe"), progress() as bar:
            # What a run that was killed had found comes first.
            put_in(house.lake, house.database, folder, known_at=now, who=house.who)
            # While nobody knows the entries, no check is taken for gone.
            complete = not house.entries()[1]
            expect_checks(house.database, every, complete=complete, now=now, who=house.who)
            task = bar.add_task("probing", total=len(checks))
            results = probe(
                house.lake,
                house.database,
                checks,
                folder=folder,
                agent=socket.gethostname(),
                who=house.who,
                clock=utc_now,
                tell=lambda _: bar.advance(task),
            )
    results = sorted(results, key=lambda result: (result.target, result.metric))
    emit([_json(result) for result in results], as_json=as_json, text=lambda: _table(results))


@app.command()
def expected(ctx: typer.Context, as_of: AsOf = None, as_json: Json = False) -> None:
    """Which metrics are expected of which service, and since when: what A/R is computed over."""
    with house_of(ctx).database.read() as conn:
        found = expectation.spells(conn, known_at=as_of)
    rows = [
        {"resource": key[0], "service": key[1], "metric": key[2], "spells": several}
        for key, several in found.items()
    ]
    emit(
        rows,
        as_json=as_json,
        text=lambda: table(
            ["Resource", "Service", "Metric", "Since", "Until"],
            [
                [*map(escape, key), f"{several[-1][0]:%Y-%m-%d %H:%M}", _until(several[-1][1])]
                for key, several in found.items()
            ],
            empty="Nothing is expected: no probe ever ran, and no result came in.",
        ),
    )


def _until(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment:%Y-%m-%d %H:%M}"


@app.command()
def retire(
    ctx: typer.Context,
    resource: Annotated[str, typer.Argument(help="Name of the resource.")],
    service: Annotated[str, typer.Argument(help="Kind of its service.")],
    metric: Annotated[str, typer.Argument(help="Metric that is expected no longer.")],
    why: Annotated[str, typer.Option(help="The reason, kept with the change.")],
    as_json: Json = False,
) -> None:
    """Expect a metric no longer from now on; what it said stays as it was."""
    house, now = house_of(ctx), utc_now()
    with house.database.begin() as conn:
        key = (resource, service, metric)
        changed = expectation.retire(conn, [key], at=now, who=house.who, why=why)
    emit(
        {"retired": bool(changed), "at": now},
        as_json=as_json,
        text=lambda: f"{metric} of {resource}/{service} {'retired' if changed else 'was retired before'}",
    )


def say_what_is_unknown(house: House) -> None:
    """Say on standard error why no compute element is checked, where that is so."""
    _, unknown = house.entries()
    if unknown:
        err.print(f"no compute element is probed: {unknown}", markup=False, soft_wrap=True)


def _chosen(checks: Sequence[Check], only: Sequence[str] | None, registry: Registry) -> list[Check]:
    """Checks that a word of ``only`` names. Raises InvalidInput for a word that names none."""
    chosen = []
    unused = set(only or ())
    for check in sorted(checks, key=lambda check: (check.target, check.metric)):
        resource = registry.resources.get(check.target.resource)
        names = {check.metric, check.metric.partition(":")[0], check.target.resource, check.target.service}
        if resource is not None:
            names.add(resource.site)
        if not only or names & set(only):
            chosen.append(check)
            unused -= names
    if unused:
        raise InvalidInput("--only", ", ".join(sorted(unused)), "names no check; see `goc probe list`")
    return chosen


def _table(results: Sequence[ProbeResult]) -> object:
    return table(
        ["Resource", "Metric", "Status", "s#", "Says"],
        [
            [
                escape(result.resource),
                escape(result.metric),
                coloured(result.status),
                f"{result.duration_seconds:.1f}",
                escape(result.summary),
            ]
            for result in results
        ],
        empty="Nothing was probed.",
    )


def _json(result: ProbeResult) -> dict[str, Any]:
    return {
        "metric": result.metric,
        "resource": result.resource,
        "service": result.service,
        "status": result.status.value,
        "at": result.at,
        "summary": result.summary,
        "detail": result.detail,
        "duration_seconds": result.duration_seconds,
        "agent": result.agent,
        "outcome": result.outcome.value,
    }
