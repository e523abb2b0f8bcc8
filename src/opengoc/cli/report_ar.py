"""``goc report ar`` and its kin: A/R reports, read, published, reviewed, approved and rejected."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from opengoc.app import House
from opengoc.base.errors import InvalidInput, Permanent
from opengoc.base.instant import utc_now
from opengoc.cli.ar_rules import ProfileName
from opengoc.cli.output import Json, emit, house_of, out, table
from opengoc.cli.report_weekly import SUFFIXES, Format, rendered
from opengoc.reports.model import dimensions_text
from opengoc.reports.wording import causes_text, figure_text, figure_title

if TYPE_CHECKING:
    from opengoc.flows.availability import Centre
    from opengoc.flows.availability_drafts import Rejection
    from opengoc.reports.model import Report
    from opengoc.reports.published import Publication

Month = Annotated[
    str | None, typer.Option("--month", metavar="YYYY-MM", help="Month; default: the last one that is over.")
]
OfWeek = Annotated[str | None, typer.Option("--week", metavar="YYYY-Www", help="An ISO week instead.")]


def ar(
    ctx: typer.Context,
    month: Month = None,
    week: OfWeek = None,
    profile_name: ProfileName = None,
    revision: Annotated[int | None, typer.Option(min=1, help="A published revision.")] = None,
    form: Annotated[Format, typer.Option("--format", help="What to write it as.")] = Format.TEXT,
    output: Annotated[Path | None, typer.Option(help="File to write; `-` for standard output.")] = None,
    as_json: Json = False,
) -> None:
    """Write a period's A/R report: a published revision (default: the latest), else the draft."""
    from opengoc.flows import availability

    house, centre = _opened(ctx)
    name, profile = _period(month, week), profile_name or house.settings.probes.profile
    found = availability.latest(centre, name, profile, revision)
    if found is None and revision is not None:
        raise InvalidInput("--revision", revision, f"{name} has no such revision under {profile}")
    report = found.report if found is not None else availability.draft(centre, name, profile, as_of=utc_now())
    chosen = Format.JSON if as_json else form
    if chosen not in SUFFIXES:
        raise typer.BadParameter("--format writes one format at a time")
    page = rendered(chosen, report)
    if output is None or str(output) == "-":
        out.file.write(page)
        return
    try:
        output.write_text(page, encoding="utf-8")
    except OSError as error:
        raise Permanent(f"cannot write {output}: {error}") from error


def publish_ar(
    ctx: typer.Context,
    month: Month = None,
    week: OfWeek = None,
    profile_name: ProfileName = None,
    why: Annotated[str, typer.Option(help="The reason, kept with the revision.")] = "",
    as_json: Json = False,
) -> None:
    """Publish a period's A/R report as known now; a new revision only where it says something new."""
    from opengoc.flows import availability

    house, centre = _opened(ctx)
    profile = profile_name or house.settings.probes.profile
    made = availability.publish(centre, _period(month, week), profile, who=house.who, why=why)
    words = "published" if made.new else "stands: nothing changed"
    emit(
        _publication_json(made, profile) | {"new": made.new},
        as_json=as_json,
        text=lambda: f"{made.report.week} revision {made.report.revision} {words}",
    )


def review(ctx: typer.Context, as_json: Json = False) -> None:
    """Look at every published A/R report: reissue what changed, or open a draft once its window is over.

    Run it from a timer; ``goc serve`` does it by itself.
    """
    from opengoc.flows import availability

    _, centre = _opened(ctx)
    found = availability.review(centre, now=utc_now())
    rows: list[dict[str, Any]] = [
        {
            "report": each.report.week,
            "profile": each.profile,
            "outcome": each.outcome,
            "revision": each.report.revision,
            "corrections": _corrections_json(each.report),
        }
        for each in found
    ]
    emit(
        rows,
        as_json=as_json,
        text=lambda: table(
            ["Report", "Profile", "Outcome", "Revision#", "Corrections#"],
            [
                [r["report"], r["profile"], r["outcome"], r["revision"] or "draft", len(r["corrections"])]
                for r in rows
            ],
            empty="No A/R report is published.",
        ),
    )


def drafts(ctx: typer.Context, as_json: Json = False) -> None:
    """Drafts of A/R reports that wait for approval, with what they would correct and why."""
    from opengoc.flows import availability_drafts

    with house_of(ctx).database.read() as conn:
        found = availability_drafts.drafts(conn)

    def text() -> object:
        return table(
            ["Report", "Figure", "Was", "Is", "Cause"],
            [
                [
                    escape(each.report.week),
                    escape(f"{figure_title(c.figure.name)} {dimensions_text(c.figure.dimensions)}"),
                    figure_text(c.old) if c.old is not None else "not reported",
                    figure_text(c.new) if c.new is not None else "no longer reported",
                    escape(causes_text(c.causes)),
                ]
                for each in found
                for c in each.report.corrections
            ],
            empty="No draft waits for approval.",
        )

    value = [
        {
            "report": each.report.week,
            "profile": each.profile,
            "hash": each.content_hash,
            "opened_at": each.opened_at,
            "corrections": _corrections_json(each.report),
        }
        for each in found
    ]
    emit(value, as_json=as_json, text=text)


def approve(
    ctx: typer.Context,
    period: Annotated[str, typer.Argument(metavar="PERIOD", help="Month or week, such as 2026-10.")],
    why: Annotated[str, typer.Option(help="Why the correction is accepted.")],
    profile_name: ProfileName = None,
    as_json: Json = False,
) -> None:
    """Publish the draft that waits for a period whose correction window is over."""
    from opengoc.flows import availability

    house, centre = _opened(ctx)
    profile = profile_name or house.settings.probes.profile
    made = availability.approve(centre, period, profile, who=house.who, why=why, now=utc_now())
    emit(
        _publication_json(made, profile),
        as_json=as_json,
        text=lambda: f"{made.report.week} revision {made.report.revision} published",
    )


def reject(
    ctx: typer.Context,
    period: Annotated[str, typer.Argument(metavar="PERIOD", help="Month or week, such as 2026-10.")],
    why: Annotated[str, typer.Option(help="Why the correction is not wanted; stays on record.")],
    profile_name: ProfileName = None,
    as_json: Json = False,
) -> None:
    """Refuse the draft that waits for a period: the published revision stands."""
    from opengoc.flows import availability_drafts

    house = house_of(ctx)
    profile = profile_name or house.settings.probes.profile
    with house.database.begin() as conn:
        made = availability_drafts.reject(conn, period, profile, who=house.who, why=why)
    emit(
        _rejection_json(made),
        as_json=as_json,
        text=lambda: f"{made.report}: the draft is rejected, the published revision stands",
    )


def rejections(ctx: typer.Context, as_json: Json = False) -> None:
    """The last rejected draft of each report, with who rejected it and why."""
    from opengoc.flows import availability_drafts

    with house_of(ctx).database.read() as conn:
        rows = [_rejection_json(each) for each in availability_drafts.rejections(conn)]
    emit(
        rows,
        as_json=as_json,
        text=lambda: table(
            ["Report", "Profile", "Rejected", "By", "Why"],
            [
                [
                    r["report"],
                    r["profile"],
                    f"{r['rejected_at']:%Y-%m-%d %H:%M}",
                    escape(r["who"]),
                    escape(r["why"]),
                ]
                for r in rows
            ],
            empty="No draft was rejected.",
        ),
    )


def revisions(ctx: typer.Context, as_json: Json = False) -> None:
    """Every published revision of every A/R report."""
    from opengoc.flows import availability

    _, centre = _opened(ctx)
    rows = [
        _publication_json(each, profile)
        for profile, several in availability.published_periods(centre)
        for each in several
    ]
    emit(
        rows,
        as_json=as_json,
        text=lambda: table(
            ["Report", "Profile", "Revision#", "Published", "By", "Hash"],
            [
                [
                    r["report"],
                    r["profile"],
                    r["revision"],
                    f"{r['published_at']:%Y-%m-%d %H:%M}",
                    escape(r["who"]),
                    r["document_hash"][:12],
                ]
                for r in rows
            ],
            empty="No A/R report is published.",
        ),
    )


def _opened(ctx: typer.Context) -> tuple[House, Centre]:
    from opengoc.flows.availability import Centre

    house = house_of(ctx)
    return house, Centre.of(house.database, house.lake)


def _period(month: str | None, week: str | None) -> str:
    if month is not None and week is not None:
        raise typer.BadParameter("--month and --week exclude each other")
    if month is None and week is None:
        today = utc_now()
        year, number = (today.year - 1, 12) if today.month == 1 else (today.year, today.month - 1)
        return f"{year:04d}-{number:02d}"
    return month or week or ""


def _rejection_json(made: Rejection) -> dict[str, Any]:
    return {
        "report": made.report,
        "profile": made.profile,
        "rejected_at": made.rejected_at,
        "who": made.who,
        "why": made.why,
        "hash": made.content_hash,
    }


def _publication_json(made: Publication, profile: str) -> dict[str, Any]:
    return {
        "report": made.report.week,
        "profile": profile,
        "revision": made.report.revision,
        "as_of": made.report.as_of,
        "published_at": made.published_at,
        "who": made.who,
        "hash": made.content_hash,
        "document_hash": made.document_hash,
        "corrections": _corrections_json(made.report),
    }


def _corrections_json(report: Report) -> list[dict[str, Any]]:
    from opengoc.reports.document import to_json

    found: list[dict[str, Any]] = to_json(report)["corrections"]
    return found
