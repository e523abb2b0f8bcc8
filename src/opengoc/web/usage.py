"""/accounting: usage by VO and site in weeks, how complete it is, what lacks, and the quarantine."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse
from markupsafe import Markup

from opengoc.accounting import findings, quarantine
from opengoc.accounting.batch import Faulty
from opengoc.accounting.findings import Finding
from opengoc.accounting.gaps import Completeness, DayState
from opengoc.app import House
from opengoc.base.errors import InvalidInput
from opengoc.base.figure import Figure, FigureState
from opengoc.base.instant import format_instant, utc_now
from opengoc.base.interval import Interval, week, week_name
from opengoc.flows.completeness import look_at
from opengoc.flows.usage_weeks import usage_of_weeks
from opengoc.registry.snapshot import Registry
from opengoc.reports.footnotes import ShownTable, shown_table
from opengoc.reports.inputs import WeekUsage
from opengoc.reports.model import Bars, Cell, Series, Table
from opengoc.reports.render.svg import bars_svg
from opengoc.reports.usage import BATCH, PAYLOAD, PILOT, TRANSFER, figures_of_kind
from opengoc.reports.wording import figure_number, figure_title, partial_sign
from opengoc.web.pages import registry_of
from opengoc.web.parts import part_of
from opengoc.web.rendering import Pages

router = APIRouter(include_in_schema=False)

#: What records may be asked for; kinds overlap and are shown one at a time.
KINDS = (PILOT, PAYLOAD, BATCH, TRANSFER)
_WEEKS = ("2", "4", "6", "8", "12")
#: VOs or sites that are drawn; the table has them all.
_DRAWN = 6
#: Entries of the quarantine on one page.
_ENTRIES = 25
_QUOTED = re.compile(r"'[^']*'…?|\"[^\"]*\"…?")
#: ``699195 wall_seconds: -1.0: must be a number, not negative``: field, value as Python writes it, and rule.
_STATED = re.compile(
    r"""(?P<where>\b[A-Za-z_]\w*):\ # its field
    (?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[-+.\w]+|\[[^]]*\]|\([^)]*\))…?:\ # the value
    (?P<rule>.+)""",
    re.VERBOSE,
)
_UNNAMED = {"site": "site not stated"}

#: How a day of a source is shown: shade, sign, words.
SIGNS = {
    Completeness.COMPLETE: ("full", "●", "complete"),
    Completeness.TO_DATE: ("high", "◕", "to date"),
    Completeness.PARTIAL: ("low", "◔", "partial"),
    Completeness.MISSING: ("none", "✗", "missing"),
    Completeness.NOT_EXPECTED: ("unknown", "–", "not expected"),
}

Text = Annotated[str, Query(max_length=200)]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a reader asks for."""

    kind: str
    vo: str
    site: str
    weeks: tuple[str, ...]

    def dimensions(self, **more: str) -> dict[str, str]:
        """What all figures of the page are narrowed to."""
        return {name: value for name, value in {"vo": self.vo, "site": self.site, **more}.items() if value}


@dataclass(frozen=True, kw_only=True)
class Shown:
    """Usage by one dimension: the plot, the table, and the figures themselves."""

    title: str
    svg: Markup
    table: ShownTable
    figures: tuple[Figure, ...]


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """Everything one answer is made of."""

    asked: Asked
    as_of: datetime
    usage: Sequence[WeekUsage]
    days: Sequence[DayState]
    findings: Sequence[Finding]
    entries: Sequence[Faulty]


@router.get("/accounting", name="accounting", response_class=HTMLResponse)
def accounting(
    request: Request,
    kind: Text = PILOT,
    vo: Text = "",
    site: Text = "",
    weeks: Text = "6",
    last: Text = "",
    page: Annotated[int, Query(ge=1, le=10**6)] = 1,
) -> HTMLResponse:
    """The page."""
    registry = registry_of(request)
    seen = _see(request, registry, _asked(kind, vo, site, weeks, last))
    pages: Pages = request.app.state.templates
    shown, totals = [_by(seen, "vo"), _by(seen, "site")], _totals(seen)
    # What all of them lack is said once.
    common, often = Counter(figure.reason for figure in totals).most_common(1)[0]
    common = common if often > 1 else ""
    chosen = {"kind": kind, "vo": vo, "site": site, "weeks": weeks, "last": seen.asked.weeks[-1]}
    sources = sorted({each.source for each in seen.days})
    return pages.page(
        request,
        "accounting.html",
        title="Accounting",
        here="accounting",
        now=seen.as_of,
        asked=chosen,
        shown=shown,
        totals=[(figure_title(f.name), _text(f), f) for f in totals],
        common=common,
        strips=[(name, [each for each in seen.days if each.source == name]) for name in sources],
        signs=SIGNS,
        findings=seen.findings,
        reasons=_reasons(seen.entries),
        rule=_alike,
        part=part_of(seen.entries, page, size=_ENTRIES, asked=chosen),
        json_query=str(request.url.query),
        choices={
            "kind": KINDS,
            "vo": sorted(registry.vos, key=str.casefold),
            "site": sorted(registry.sites, key=str.casefold),
            "weeks": _WEEKS,
        },
    )


@router.get("/accounting.json", name="accounting_json")
def accounting_json(
    request: Request, kind: Text = PILOT, vo: Text = "", site: Text = "", weeks: Text = "6", last: Text = ""
) -> JSONResponse:
    """The same for programs: every figure with its state, reason and evidence."""
    seen = _see(request, registry_of(request), _asked(kind, vo, site, weeks, last))
    figures = [*_totals(seen), *_by(seen, "vo").figures, *_by(seen, "site").figures]
    return JSONResponse(
        {
            "as_of": format_instant(seen.as_of),
            "kind": kind,
            "weeks": list(seen.asked.weeks),
            "figures": [figure.to_json() for figure in figures],
            "days": [each.to_json() for each in seen.days],
            "findings": [each.to_json() for each in seen.findings],
            "quarantine": [
                {"source": source, "reason": reason, "entries": count}
                for (source, reason), count in _reasons(seen.entries)
            ],
        }
    )


def _asked(kind: str, vo: str, site: str, weeks: str, last: str) -> Asked:
    """The question. Raises InvalidInput for one that means nothing."""
    if kind not in KINDS:
        raise InvalidInput("kind", kind, f"must be one of: {', '.join(KINDS)}")
    if weeks not in _WEEKS:
        raise InvalidInput("weeks", weeks, f"must be one of: {', '.join(_WEEKS)}")
    end = week(last.strip()) if last.strip() else week(week_name(utc_now()))
    names = tuple(week_name(end.start - timedelta(weeks=n)) for n in reversed(range(int(weeks))))
    return Asked(kind=kind, vo=vo.strip(), site=site.strip(), weeks=names)


def _see(request: Request, registry: Registry, asked: Asked) -> _Seen:
    house: House = request.app.state.house
    now = utc_now()
    sources = house.accounting_sources()
    window = Interval(week(asked.weeks[0]).start, week(asked.weeks[-1]).end)
    usage, expected = usage_of_weeks(house.database, house.lake, sources, registry, asked.weeks, as_of=now)
    looked = look_at(expected, window=window, as_of=now)
    with house.database.read() as conn:
        known = {each.gap.key: each for each in findings.standing(conn)}
        entries = quarantine.standing(conn)
    gaps = [known.get(gap.key) or Finding(gap=gap, seen=Interval(now)) for gap in looked.gaps]
    return _Seen(
        asked=asked,
        as_of=now,
        usage=usage,
        days=[each for each in looked.days if asked.site in ("", each.site) or each.site is None],
        findings=[each for each in gaps if asked.site in ("", each.gap.site) or each.gap.site is None],
        entries=entries,
    )


def _by(seen: _Seen, name: str) -> Shown:
    """Usage by ``vo`` or ``site``: one figure a week, most of them first."""
    asked = seen.asked
    rows = [row for of in seen.usage for row in of.days if row.kind == asked.kind]
    narrowed = asked.dimensions()
    chosen = {getattr(row, name) for row in rows if all(getattr(row, k) == v for k, v in narrowed.items())}
    if narrowed.get(name):
        # Of what was asked for, nothing is an answer too.
        chosen |= {narrowed[name]}
    series = {value: _weekly(seen, {**narrowed, name: value}) for value in chosen}
    order = sorted(chosen, key=lambda value: (-sum(f.value or 0 for f in series[value]), value.casefold()))
    labels = tuple(each.partition("-")[2] for each in asked.weeks)
    what = _measure(asked.kind)
    title = f"{what} of {asked.kind} records by {'VO' if name == 'vo' else 'site'} and week"
    drawn = tuple(Series(name=_named(name, value), figures=series[value]) for value in order[:_DRAWN])
    table_rows: tuple[tuple[Cell, ...], ...] = tuple((_named(name, v), *series[v]) for v in order)
    table = Table(
        title=title,
        columns=("VO" if name == "vo" else "Site", *asked.weeks),
        rows=table_rows,
        empty=f"No {asked.kind} record in these weeks.",
    )
    unit = "bytes" if asked.kind == TRANSFER else "core hours"
    bars = Bars(title=title, unit=unit, labels=labels, series=drawn)
    return Shown(
        title=title,
        # Markup is safe here: ElementTree wrote the picture out and escaped its text.
        svg=Markup(bars_svg(bars, f"by-{name}")) if drawn else Markup(""),
        table=shown_table(table, None),
        figures=tuple(figure for value in order for figure in series[value]),
    )


def _weekly(seen: _Seen, dimensions: dict[str, str]) -> tuple[Figure, ...]:
    """The main figure of each week."""
    return tuple(
        _main(figures_of_kind(of, seen.asked.kind, {**dimensions}, seen.as_of), of.week) for of in seen.usage
    )


def _totals(seen: _Seen) -> list[Figure]:
    """Every measure of the last week, over all that was asked for."""
    last = seen.usage[-1]
    return [
        _of_week(figure, last.week)
        for figure in figures_of_kind(last, seen.asked.kind, seen.asked.dimensions(), seen.as_of)
    ]


def _text(figure: Figure) -> str:
    """The number with the sign of its state, without the reason."""
    if figure.value is None:
        return figure.state.value
    sign = f"{partial_sign(figure)} " if figure.state is FigureState.PARTIAL else ""
    return f"{sign}{figure_number(figure)}"


def _main(figures: Iterable[Figure], of: str) -> Figure:
    wanted = ("transferred_bytes", "core_hours")
    return _of_week(next(f for f in figures if f.name.endswith(wanted)), of)


def _of_week(figure: Figure, of: str) -> Figure:
    """The figure, which says itself of which week it is."""
    return replace(figure, dimensions={**figure.dimensions, "week": of})


def _measure(kind: str) -> str:
    return "Bytes" if kind == TRANSFER else "Core hours"


def _named(name: str, value: str) -> str:
    return value or _UNNAMED.get(name, "not stated")


def _reasons(entries: Iterable[Faulty]) -> list[tuple[tuple[str, str], int]]:
    """How many entries of each source are in quarantine for like reasons, most of them first."""
    return Counter((each.source, _alike(each.reason)) for each in entries).most_common()


def _alike(reason: str) -> str:
    """A reason without the job and the values that it names, which may be somebody's: its field and rule."""
    stated = _STATED.search(reason)
    said = f"{stated['where']} {stated['rule']}" if stated else _QUOTED.sub("…", reason).rpartition(": ")[2]
    return _QUOTED.sub("…", said)[:120]
