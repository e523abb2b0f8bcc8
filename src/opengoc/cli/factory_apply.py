"""``goc factory plan``, ``apply``, ``rollback`` and ``log``: what is in force, and how that changes."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape

from opengoc.app import House
from opengoc.base.instant import format_instant, utc_now
from opengoc.cli.output import Json, emit, house_of, table
from opengoc.condor.observation import Observation
from opengoc.condor.session import Session
from opengoc.factory.applied import Applied, in_words
from opengoc.factory.model import Pilot
from opengoc.factory.observe import observe_pilots
from opengoc.factory.plan import Plan

app = typer.Typer()

FOLDER = "factory"

Why = Annotated[str, typer.Option("--why", help="The reason, kept in the log.")]


@app.command()
def plan(ctx: typer.Context, as_json: Json = False) -> None:
    """What applying entries and policy would change; exit code 1 when it would be refused."""
    house = house_of(ctx)
    change = house.desk().plan(_pilots(house), now=utc_now())
    emit(change.plan.to_json(), as_json=as_json, text=lambda: _plan_text(change.plan))
    if change.plan.refusals or change.plan.doubts:
        raise typer.Exit(1)


@app.command()
def apply(
    ctx: typer.Context,
    accept: Annotated[
        bool, typer.Option("--accept", help="Apply although much changes; failed canaries still refuse.")
    ] = False,
    why: Why = "",
    as_json: Json = False,
) -> None:
    """Put entries and policy in force, as one bundle named by its digest. A running factory follows."""
    house = house_of(ctx)
    desk = house.desk()
    now = utc_now()
    change = desk.plan(_pilots(house), now=now)
    if change.plan.changes_nothing:
        content = {"digest": change.plan.after, "applied": False}
        emit(content, as_json=as_json, text=lambda: f"{change.plan.after[:12]} is in force already")
        return
    applied = desk.apply(change, accept=accept, who=house.who, why=why, now=now)
    content = {**_applied_json(applied), "applied": True}
    emit(content, as_json=as_json, text=lambda: _applied_text(change.plan, applied))


@app.command()
def rollback(
    ctx: typer.Context,
    digest: Annotated[
        str | None, typer.Argument(help="How the digest begins; default: the one before.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what it would change; do nothing.")
    ] = False,
    why: Why = "",
    as_json: Json = False,
) -> None:
    """Put an earlier bundle in force again; the files stay as they are, and are to be mended next."""
    house = house_of(ctx)
    desk = house.desk()
    now = utc_now()
    change = desk.plan_rollback(digest, _pilots(house), now=now)
    if dry_run:
        emit(change.plan.to_json(), as_json=as_json, text=lambda: _plan_text(change.plan))
        return
    if change.plan.changes_nothing:
        content = {"digest": change.plan.after, "applied": False}
        emit(content, as_json=as_json, text=lambda: f"{change.plan.after[:12]} is in force already")
        return
    applied = desk.rollback(change, who=house.who, why=why, now=now)
    content = {**_applied_json(applied), "applied": True}
    emit(content, as_json=as_json, text=lambda: _applied_text(change.plan, applied))


@app.command("log")
def log_command(ctx: typer.Context, as_json: Json = False) -> None:
    """Everything that was ever in force: when, by whom, why, and what it changed."""
    applied = house_of(ctx).desk().log()
    rows = [
        (
            format_instant(each.at.replace(microsecond=0)),
            each.digest[:12],
            each.action,
            each.who,
            escape(each.why) or "–",
            in_words(each.difference),
        )
        for each in reversed(applied)
    ]
    columns = ("at", "digest", "action", "who", "why", "difference")
    emit(
        [_applied_json(each) for each in applied],
        as_json=as_json,
        text=lambda: table(columns, rows, empty="nothing was applied here yet; see `goc factory plan`"),
    )


def _pilots(house: House) -> Observation[Pilot]:
    settings = house.factory
    with Session(house.factory_pool()) as session:
        return observe_pilots(session, schedd=settings.schedd, factory_name=settings.name)


def _applied_json(applied: Applied) -> dict[str, Any]:
    return {
        "digest": applied.digest,
        "at": format_instant(applied.at),
        "who": applied.who,
        "why": applied.why,
        "action": applied.action,
        "difference": dict(applied.difference),
    }


def _applied_text(planned: Plan, applied: Applied) -> str:
    return f"{applied.digest[:12]} is in force; before: {planned.before[:12] or 'nothing'}"


def _plan_text(planned: Plan) -> object:
    if planned.changes_nothing:
        return f"nothing to apply: {planned.after[:12]} is in force"
    said = planned.to_json()
    lines = [f"in force {planned.before[:12] or 'nothing'}, planned {planned.after[:12]}"]
    for name in ("added", "removed"):
        lines += [f"  entry {name}: {entry}" for entry in said["entries"][name]]
    for entry, keys in said["entries"]["changed"].items():
        lines += [f"  {entry}: {key} {v['before']!r} → {v['after']!r}" for key, v in keys.items()]
    for name, by_vo in said["pairs"].items():
        lines += [f"  {vo} {name} {len(entries)}: {_few(entries)}" for vo, entries in by_vo.items()]
    affected = planned.affected
    lines.append(
        f"pilots that decide otherwise: {affected.pilots}"
        if affected.pilots is not None
        else f"pilots that decide otherwise: unknown, {affected.unknown}"
    )
    tried = planned.replay
    if tried is not None:
        lines.append(
            f"{tried.jobs} kinds of recent jobs: {sum(tried.gained.values())} pairs gained, "
            f"{sum(tried.lost.values())} lost of {sum(tried.pairs_before.values())}"
        )
        if tried.lacking:
            lines.append(f"  no recent job is known by: {', '.join(tried.lacking)}")
    else:
        lines.append("no recent jobs to try it on")
    ok = sum(song.is_well for song in planned.songs)
    lines.append(f"canaries: {ok} of {len(planned.songs)} well")
    lines += [f"warning: {warning}" for warning in planned.warnings]
    lines += [f"refused: {reason}" for reason in planned.refusals]
    lines += [f"needs --accept: {doubt}" for doubt in planned.doubts]
    # What stands in square brackets is no markup.
    return escape("\n".join(lines))


def _few(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
