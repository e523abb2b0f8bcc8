"""``goc ar``: availability and reliability of sites, and where every lost second went."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.markup import escape
from rich.table import Table
from typer.core import TyperGroup

from opengoc.base.errors import InvalidInput
from opengoc.base.figure import Figure
from opengoc.base.instant import format_instant, utc_now
from opengoc.base.interval import Interval
from opengoc.cli import ar_month, ar_rules
from opengoc.cli.downtime import parse_moment
from opengoc.cli.output import AsOf, Json, emit, house_of, table
from opengoc.cli.probe import coloured
from opengoc.monitoring import circumstances, store
from opengoc.monitoring.assess import Assessment, assess
from opengoc.monitoring.availability import DayCount, day_counts
from opengoc.monitoring.circumstances import Circumstances
from opengoc.monitoring.explain import Cause, Loss, losses, seconds_by_cause
from opengoc.monitoring.vo_tests import profile_of


class SiteOrCommand(TyperGroup):
    """``goc ar ITB-SLURM`` is short for ``goc ar show ITB-SLURM``; a site named like a command needs it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The words after ``ar``, with ``show`` put in front where no command is named."""
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["show", *args]
        return list(super().parse_args(ctx, args))


app = typer.Typer(cls=SiteOrCommand, help="Availability and reliability of sites.")
app.command("replay")(ar_rules.replay)
app.command("profiles")(ar_rules.profiles)
app.command("recompute")(ar_rules.recompute)
app.command("requests")(ar_rules.requests)
app.command("withdraw")(ar_rules.withdraw)
app.command("federation")(ar_rules.federation)
app.command("tests")(ar_rules.tests)
app.command("month")(ar_month.month)

_TIMES = "ISO 8601 with a zone, a date, `now`, or `-7d`"


@app.command("show")
def show(
    ctx: typer.Context,
    site: Annotated[str | None, typer.Argument(help="One site. Default: all.", show_default=False)] = None,
    start: Annotated[str, typer.Option("--from", help=f"Start: {_TIMES}.")] = "-7d",
    end: Annotated[str, typer.Option("--to", help=f"End, not included: {_TIMES}.")] = "now",
    profile_name: ar_rules.ProfileName = None,
    as_of: AsOf = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say where every lost second went.")] = False,
    below: Annotated[
        float | None,
        typer.Option("--below", help="Only sites under this availability, in percent.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Availability and reliability of sites over a window, as known now or at --as-of."""
    house, now = house_of(ctx), utc_now()
    window = Interval(parse_moment(start, "--from", now=now), parse_moment(end, "--to", now=now))
    store.declare(house.lake)
    with house.database.read() as conn:
        rules = profile_of(conn, profile_name or house.settings.probes.profile, known_at=as_of)
        known = circumstances.read(conn, window=window, known_at=as_of)
    _check_site(known, site)
    assessed = assess(house.lake, known, window=window, profile=rules, as_of=as_of or now, site=site)
    names = [site] if site is not None else sorted(assessed.sites)
    if below is not None:
        names = [name for name in names if _is_below(assessed.figures(name)[0], below)]
    value = {
        "profile": rules.name,
        "profile_version": rules.version,
        "from": window.start,
        "to": window.end,
        "as_of": assessed.as_of,
        "sites": [_json(assessed, name, explain=explain) for name in names],
    }
    emit(value, as_json=as_json, text=lambda: _text(assessed, names, explain=explain))


def _check_site(known: Circumstances, site: str | None) -> None:
    if site is not None and site not in known.site_names():
        raise InvalidInput("site", site, "is no site with resources in use; see `goc registry show site`")


def _is_below(figure: Figure, percent: float) -> bool:
    return figure.value is not None and figure.value < percent


def _json(assessed: Assessment, site: str, *, explain: bool) -> dict[str, Any]:
    availability, reliability = assessed.figures(site)
    found: dict[str, Any] = {
        "site": site,
        "availability": availability.to_json(),
        "reliability": reliability.to_json(),
        "days": [],
    }
    node = assessed.sites.get(site)
    if node is None:
        return found
    found["days"] = [_day_json(assessed, count) for count in day_counts(node)]
    if explain:
        found["losses"] = {
            name: [_loss_json(piece) for piece in losses(node, formula)]
            for name, formula in (
                ("availability", assessed.profile.availability),
                ("reliability", assessed.profile.reliability),
            )
        }
    return found


def _day_json(assessed: Assessment, count: DayCount) -> dict[str, Any]:
    return {
        "day": _moment(count.day).date().isoformat(),
        "measured_seconds": {state.value: seconds for state, seconds in sorted(count.measured.items())},
        "overlaid_seconds": {state.value: seconds for state, seconds in sorted(count.overlaid.items())},
        "availability": count.ratio(assessed.profile.availability).percent,
        "reliability": count.ratio(assessed.profile.reliability).percent,
    }


def _loss_json(piece: Loss) -> dict[str, Any]:
    return {
        "from": _moment(piece.start),
        "to": _moment(piece.end),
        "seconds": piece.seconds,
        "state": piece.state.value,
        "counts_as_down": piece.counts,
        "causes": [
            {
                "resource": cause.resource,
                "service": cause.service,
                _kind(cause): cause.what,
            }
            for cause in piece.causes
        ],
    }


def _kind(cause: Cause) -> str:
    return "downtime" if cause.is_downtime else "request" if cause.is_request else "metric"


def _text(assessed: Assessment, names: Iterable[str], *, explain: bool) -> object:
    names = list(names)
    rows = []
    for name in names:
        availability, reliability = assessed.figures(name)
        reasons = dict.fromkeys(figure.reason for figure in (availability, reliability) if figure.reason)
        rows.append([escape(name), _percent(availability), _percent(reliability), "; ".join(reasons)])
    begin, until = assessed.window.start, assessed.window.end
    shown = table(
        ["Site", "Avail. %#", "Rel. %#", "Remark"],
        rows,
        title=(
            f"{_day(begin)} to {_day(until)}, profile {assessed.profile.name}\n"
            f"as known at {format_instant(assessed.as_of.replace(microsecond=0))}"
        ),
        empty="The registry holds no site with resources in use.",
    )
    if not explain:
        return shown
    return Group(shown, *(_explained(assessed, name) for name in names if name in assessed.sites))


def _explained(assessed: Assessment, site: str) -> Table | str:
    pieces = losses(assessed.sites[site], assessed.profile.availability)
    rows = [
        [coloured(state), str(timedelta(seconds=seconds)), ", ".join(escape(_cause(c)) for c in causes)]
        for (state, causes), seconds in seconds_by_cause(pieces).items()
    ]
    return table(
        ["State", "Lasted#", "Because of"],
        rows,
        title=f"{escape(site)}: where the time not available went",
        empty=f"{escape(site)}: no second was lost.",
    )


def _cause(cause: Cause) -> str:
    if cause.is_downtime:
        return f"downtime {cause.what} of {cause.resource}"
    if cause.is_request:
        return f"request {cause.what} about {cause.resource}/{cause.service}"
    return f"{cause.what or 'no metric'} of {cause.resource}/{cause.service}"


def _percent(figure: Figure) -> str | None:
    return None if figure.value is None else f"{figure.value:.2f}"


def _day(moment: datetime | None) -> str:
    if moment is None:
        return "…"
    return moment.strftime("%Y-%m-%d %H:%M")


def _moment(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)
