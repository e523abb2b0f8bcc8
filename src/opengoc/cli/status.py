"""``goc status``: how every service stands now."""

from __future__ import annotations

from datetime import datetime

import typer
from rich.markup import escape

from opengoc.base.instant import format_instant, utc_now
from opengoc.cli.output import Json, emit, house_of, table
from opengoc.cli.probe import ago, coloured, say_what_is_unknown
from opengoc.monitoring.current import current_statuses
from opengoc.monitoring.standing import ServiceState, service_states

app = typer.Typer()


@app.command()
def status(ctx: typer.Context, as_json: Json = False) -> None:
    """The state of every probed service now: since when, and the last line of its probe."""
    house, now = house_of(ctx), utc_now()
    say_what_is_unknown(house)
    with house.checks() as (registry, checks):
        intervals = {(check.metric, check.target): check.interval_seconds for check in checks}
    current = current_statuses(house.lake, house.database, now=now)
    states = service_states(registry, current, intervals, now=now)
    rows = [
        {
            "site": state.site,
            "resource": state.target.resource,
            "service": state.target.service,
            "status": state.status.value,
            "since": state.since,
            "at": state.at,
            "summary": state.summary,
            "decided_by": state.decided_by,
        }
        for state in states
    ]
    emit(rows, as_json=as_json, text=lambda: _table(states, now))


def _table(states: list[ServiceState], now: datetime) -> object:
    return table(
        ["Resource", "Service", "Status", "For", "Says"],
        [
            [
                escape(state.target.resource),
                escape(state.target.service),
                coloured(state.status),
                None if state.since is None else ago(state.since, now),
                escape(state.summary),
            ]
            for state in states
        ],
        title=f"Services at {format_instant(now.replace(microsecond=0))}",
        empty="No service is probed yet: `goc probe list` says what would be.",
    )
