"""``goc ar month``: A/R of a month or week, day by day, from what was computed before."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape

from opengoc.base.errors import InvalidInput
from opengoc.base.figure import Figure
from opengoc.base.instant import utc_now
from opengoc.cli.ar_rules import ProfileName
from opengoc.cli.output import Json, emit, house_of, table
from opengoc.monitoring.period import Period, assess_period
from opengoc.monitoring.vo_tests import profile_of


def month(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="PERIOD", help="A month such as 2026-10, or 2026-W47.")],
    site: Annotated[str | None, typer.Option(help="One site. Default: all.", show_default=False)] = None,
    profile_name: ProfileName = None,
    below: Annotated[
        float | None,
        typer.Option("--below", help="Only those under this availability, in percent.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """A/R of sites and federations over a month or week as known now; only what is dirty is computed."""
    house, now = house_of(ctx), utc_now()
    with house.database.read() as conn:
        rules = profile_of(conn, profile_name or house.settings.probes.profile)
    sites = None if site is None else {site}
    found = assess_period(house.lake, house.database, rules, name, now=now, sites=sites)
    pairs = list(zip(found.figures()[::2], found.figures()[1::2], strict=True))
    if site is not None and not pairs:
        raise InvalidInput("--site", site, f"had no resource in use in {name}; see `goc registry show site`")
    if below is not None:
        pairs = [(a, r) for a, r in pairs if a.value is not None and a.value < below]
    value = {
        "period": name,
        "profile": rules.name,
        "profile_version": rules.version,
        "as_of": found.as_of,
        "figures": [figure.to_json() for pair in pairs for figure in pair],
        "days": {
            site: [_day(found, index, site) for index in range(len(days))]
            for site, days in found.days.items()
        },
    }

    def text() -> object:
        return table(
            ["Site", "Avail. %#", "Rel. %#", "Remark"],
            [
                [
                    escape(next(iter(a.dimensions.values()))),
                    _percent(a),
                    _percent(r),
                    "; ".join(dict.fromkeys(figure.reason for figure in (a, r) if figure.reason)),
                ]
                for a, r in pairs
            ],
            title=f"{name}, profile {rules.name}",
            empty="No site.",
        )

    emit(value, as_json=as_json, text=text)


def _day(found: Period, index: int, site: str) -> dict[str, Any]:
    count = found.days[site][index]
    return {
        "availability": count.ratio(found.profile.availability).percent,
        "reliability": count.ratio(found.profile.reliability).percent,
        "overlaid_seconds": {state.value: seconds for state, seconds in sorted(count.overlaid.items())},
    }


def _percent(figure: Figure) -> str | None:
    return None if figure.value is None else f"{figure.value:.2f}"
