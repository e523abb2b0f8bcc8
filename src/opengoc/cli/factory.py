"""``goc factory``: send pilots where jobs wait, and say what is going on."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group

from opengoc.app import House
from opengoc.base.errors import InvalidInput, Permanent
from opengoc.base.instant import format_instant, utc_now
from opengoc.cli import (
    factory_apply,
    factory_explain,
    factory_guard,
    factory_import,
    factory_lint,
    factory_match,
    factory_mirrors,
)
from opengoc.cli.output import Json, emit, house_of, progress, table
from opengoc.factory.configuration import check_configuration
from opengoc.factory.cycle import Cycle, read_status
from opengoc.factory.loop import FactoryLoop
from opengoc.factory.model import Action, Decision, ReleasePilot, RemovePilot, StopStartd, SubmitPilots
from opengoc.factory.pilot_file import build_pilot
from opengoc.factory.pilots import Premises
from opengoc.registry.store import load_registry
from opengoc.settings import FactorySettings

app = typer.Typer(no_args_is_help=True, help="Send pilots to sites where VOs' jobs wait.")
app.command("import")(factory_import.import_)
app.command("lint")(factory_lint.lint_)
app.command()(factory_match.match)
app.add_typer(factory_explain.app, name="explain")

app.add_typer(factory_apply.app)
app.add_typer(factory_guard.app)
app.add_typer(factory_mirrors.app)

FOLDER = factory_apply.FOLDER


@app.callback()
def _noun() -> None:
    """The pilot factory of this installation."""


@app.command()
def run(
    ctx: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="One cycle, then end.")] = False,
    until_done: Annotated[
        bool, typer.Option("--until-done", help="End when no job can run and no pilot is left.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what the next cycle would do; do nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run the factory until it is told to end (SIGTERM, Ctrl-C): then the cycle under way is its last."""
    if once + until_done + dry_run > 1:
        raise typer.BadParameter("--once, --until-done and --dry-run exclude each other")
    loop = factory_loop(house_of(ctx))
    if dry_run:
        _, decision = loop.dry_run()
        emit(_decision_json(decision), as_json=as_json, text=lambda: _decision_text(decision))
        return
    if once:
        cycle = loop.once()
        emit(cycle.to_json(), as_json=as_json, text=lambda: _cycle_text(cycle))
        return
    with _ending_on_signals(loop), progress() as bar:
        task = bar.add_task("jobs", total=None)
        most = 0

        def watch(cycle: Cycle) -> None:
            nonlocal most
            left = cycle.idle_jobs + cycle.running_jobs
            most = max(most, left)
            words = f"{cycle.idle_jobs} idle, {cycle.running_jobs} running, {cycle.pilots} pilots"
            bar.update(task, description=words, total=most or None, completed=most - left)

        loop.run(until_done=until_done, watch=watch)


@app.command()
def status(ctx: typer.Context, as_json: Json = False) -> None:
    """The last cycle: per entry what was wanted, what was sent and which limit bound."""
    house = house_of(ctx)
    cycle = read_status(house.home / FOLDER)
    if cycle is None:
        raise Permanent(f"no cycle was run in {house.home}; start the factory with `goc factory run`")
    age = (utc_now() - cycle.at).total_seconds()
    content = {**cycle.to_json(), "age_seconds": round(age, 1)}
    emit(content, as_json=as_json, text=lambda: _cycle_text(cycle, age_seconds=age))


@app.command()
def entries(ctx: typer.Context, as_json: Json = False) -> None:
    """Check entries and policy; every fault at once, exit code 3 where there is one."""
    house = house_of(ctx)
    settings = _settings(house)
    with house.database.read() as connection:
        registry = load_registry(connection)
    configuration, faults = check_configuration(
        house.path(settings.entries), house.path(settings.policy), registry
    )
    found = [(file, fault) for file, several in faults.items() for fault in several]
    content = {
        "digest": configuration.digest,
        "entries": [asdict(entry) for entry in configuration.entries.values()],
        "faults": [{"file": str(file), **asdict(fault)} for file, fault in found],
    }
    emit(content, as_json=as_json, text=lambda: _entries_text(content))
    if found:
        raise InvalidInput("factory", f"{len(found)} fault(s)", "; ".join(f"{f}: {x}" for f, x in found))


def factory_loop(house: House) -> FactoryLoop:
    """The factory of an installation, ready to run what is in force."""
    settings = _settings(house)
    pool, desk = house.pool_settings(settings.pool), house.desk()
    folder = house.home / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    pilot_file = folder / "goc-pilot"
    build_pilot(pilot_file)
    return FactoryLoop(
        home=house.home,
        database=house.database,
        lake=house.lake,
        pool=house.pool(settings.pool),
        schedds=pool.schedds,
        factory=house.factory_pool(),
        premises=Premises(
            name=settings.name,
            schedd=settings.schedd,
            collector=pool.collector,
            token_file=_token(house.path(settings.pilot_token_file)),
            pilot_file=pilot_file,
            folder=folder,
            shared_name=settings.group_name,
        ),
        bundles=desk.bundles,
        sources=desk.sources,
        cycle_seconds=settings.cycle_seconds,
    )


def _settings(house: House) -> FactorySettings:
    if house.settings.factory is None:
        raise Permanent(f"{house.home / 'goc.toml'} has no [factory]; see docs/howto/run-a-factory.md")
    return house.settings.factory


def _token(path: Path) -> Path:
    if not path.is_file():
        raise InvalidInput(
            "factory.pilot_token_file", str(path), "is no file: make a token that may join the pool"
        )
    return path


@contextmanager
def _ending_on_signals(loop: FactoryLoop) -> Iterator[None]:
    """SIGTERM and SIGINT end the loop after the cycle under way."""
    before = {
        each: signal.signal(each, lambda *_: loop.stop.set()) for each in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _decision_json(decision: Decision) -> dict[str, Any]:
    return {
        "frozen": decision.frozen,
        "unmatched_jobs": decision.unmatched_jobs,
        "actions": [_action_json(action) for action in decision.actions],
        "rows": [asdict(row) for row in decision.rows],
    }


def _action_json(action: Action) -> dict[str, Any]:
    if isinstance(action, SubmitPilots):
        return {"action": "submit", **asdict(action)}
    if isinstance(action, StopStartd):
        stopped = {"pilot": action.slot, "entry": action.entry, "vo": ""}
        return {"action": "stop", **stopped, "reason": action.reason}
    kind = "collect"
    if isinstance(action, RemovePilot | ReleasePilot):
        kind = "remove" if isinstance(action, RemovePilot) else "release"
    pilot = action.pilot
    return {
        "action": kind,
        "pilot": pilot.id,
        "entry": pilot.entry,
        "vo": pilot.vo,
        "reason": action.reason,
    }


def _decision_text(decision: Decision) -> object:
    if decision.frozen:
        return f"frozen: {decision.frozen}"
    rows = [
        (a["action"], a["entry"], a["vo"], a.get("count", a.get("pilot")), a["reason"])
        for a in map(_action_json, decision.actions)
    ]
    return table(("action", "entry", "VO", "pilots#", "reason"), rows, empty="nothing to do")


def _cycle_text(cycle: Cycle, *, age_seconds: float = 0.0) -> object:
    state = f"frozen: {cycle.frozen}" if cycle.frozen else "whole"
    if cycle.frozen_vos:
        state = "frozen: " + "; ".join(f"{vo}: {why}" for vo, why in cycle.frozen_vos.items())
    # Who did not answer may have any number of jobs: what is counted is the least there is.
    jobs = "" if cycle.queues_complete else "≥ "
    least = "" if cycle.is_complete else "≥ "
    title = (
        f"cycle of {format_instant(cycle.at.replace(microsecond=0))}, {age_seconds:.0f} s ago; "
        f"jobs {jobs}{cycle.idle_jobs} idle, {jobs}{cycle.running_jobs} running, "
        f"{jobs}{cycle.unmatched_jobs} match no entry; {state}"
    )
    if cycle.failures:
        title += "; failed: " + "; ".join(cycle.failures)
    columns = (
        "entry",
        "VO",
        "jobs#",
        "asked#",
        "allowed#",
        "sent#",
        "limit",
        "wait/run/held#",
        "free slots#",
    )
    rows = [
        (
            row.entry,
            row.vo,
            f"{jobs}{row.matching_jobs}",
            row.requested,
            row.allowed,
            cycle.submitted.get((row.entry, row.vo), 0),
            # Why all is frozen stands above.
            f"{row.limit.value}: {row.detail}" if row.detail not in ("", cycle.frozen) else row.limit.value,
            f"{least}{row.idle}/{row.running}/{row.held}",
            f"{least}{row.free_slots}",
        )
        for row in cycle.rows
    ]
    shown = table(columns, rows, title=title)
    if not cycle.findings:
        return shown
    return Group(shown, factory_guard.findings_table(cycle.findings))


def _entries_text(content: dict[str, Any]) -> object:
    rows = [
        (e["name"], e["site"], ", ".join(e["vos"]), e["max_pilots"], "yes" if e["enabled"] else e["reason"])
        for e in content["entries"]
    ]
    title = f"digest {content['digest'][:12]}, {len(content['faults'])} fault(s)"
    return table(("entry", "site", "VOs", "max pilots#", "enabled"), rows, title=title)
