"""``goc factory explain``: why a job does not run somewhere, and why an entry gets no more pilots."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.markup import escape

from opengoc.app import House
from opengoc.base.errors import InvalidInput, Permanent, Temporary
from opengoc.base.instant import utc_now
from opengoc.cli.factory_apply import FOLDER
from opengoc.cli.output import Json, emit, house_of, table
from opengoc.condor.classads import Ad, Special, Value, literal, parse_ads
from opengoc.condor.session import Session
from opengoc.factory import mirror_store
from opengoc.factory.configuration import Configuration
from opengoc.factory.cycle import Cycle, read_status
from opengoc.factory.explain import Clause, Verdict, explain_job
from opengoc.factory.explain_entry import Around, EntryExplanation, explain_entry
from opengoc.factory.findings import pauses
from opengoc.factory.mirror import mirrored
from opengoc.factory.model import Pace
from opengoc.factory.ramp import Ramp
from opengoc.factory.sent import sent_of_late

app = typer.Typer(no_args_is_help=True, help="Say why a job or an entry waits.")

Planned = Annotated[bool, typer.Option("--planned", help="By the files as they are, whatever is in force.")]

_ID = re.compile(r"(?:(?P<schedd>[^#]+)#)?(?P<cluster>\d+)(?:\.(?P<proc>\d+))?")
#: JobStatus in words (job ClassAd attributes, HTCondor manual).
_STATES = {1: "idle", 2: "running", 3: "removed", 4: "completed", 5: "held", 6: "running", 7: "suspended"}


@app.command()
def job(
    ctx: typer.Context,
    job_id: Annotated[
        str | None, typer.Argument(metavar="ID", help="CLUSTER.PROC or SCHEDD#CLUSTER.PROC.")
    ] = None,
    ad: Annotated[
        Path | None, typer.Option(help="A job's ad (condor_q -long, or JSON) in place of a queue.")
    ] = None,
    entry: Annotated[str | None, typer.Option(help="Look at this entry alone.")] = None,
    planned: Planned = False,
    as_json: Json = False,
) -> None:
    """The entries that may run a job, and for each other one the clause that rejects it."""
    if (job_id is None) == (ad is None):
        raise typer.BadParameter("give a job's ID or --ad FILE")
    house = house_of(ctx)
    configuration = _configuration(house, planned=planned)
    if entry is not None:
        _known_entry(configuration, entry)
    found = _read_ad(ad) if ad is not None else _from_queue(house, configuration, str(job_id))
    vo = str(_value_of(found, "VO") or "")
    verdicts = [
        verdict for verdict in explain_job(configuration, found, vo) if entry in (None, verdict.entry)
    ]
    cycle = read_status(house.home / FOLDER)
    content = _job_json(found, vo, verdicts, cycle)
    emit(content, as_json=as_json, text=lambda: _job_text(content, verdicts))


@app.command("entry")
def entry_(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the entry.")],
    planned: Planned = False,
    as_json: Json = False,
) -> None:
    """Every limit of an entry and how it stands; what the last cycle wanted and sent, and which one bound."""
    house = house_of(ctx)
    configuration = _configuration(house, planned=planned)
    known = _known_entry(configuration, name)
    cycle = read_status(house.home / FOLDER)
    if cycle is None:
        raise Permanent(f"no cycle was run in {house.home}; start the factory with `goc factory run`")
    explanation = explain_entry(
        configuration.entries[known], cycle.rows, _around(house, configuration, cycle)
    )
    content = _entry_json(explanation, cycle)
    emit(content, as_json=as_json, text=lambda: _entry_text(explanation, content))


def _configuration(house: House, *, planned: bool) -> Configuration:
    """What is in force, or what the files say. Raises Permanent before the first apply."""
    return house.planned(house.registry()) if planned else house.configuration()


def _around(house: House, configuration: Configuration, cycle: Cycle) -> Around:
    """What is known now beside the last cycle."""
    now = utc_now()
    with house.database.read() as connection:
        paused = {each.entry: each.why for each in pauses(connection, house.factory.group_name)}
        sent = sent_of_late(connection, now=now)
        others = mirror_store.read(connection, house.factory.group_name, own=house.factory.name)
    return Around(
        registry=house.registry(),
        limits=configuration.limits,
        ramp=Ramp(sent=sent, burst_seconds=max(Ramp.burst_seconds, house.factory.cycle_seconds)),
        paused=paused,
        frozen=cycle.frozen,
        removed=cycle.removed,
        mirrors=mirrored(house.factory.name, others, now=now),
        pace=Pace(),
        now=now,
    )


def _known_entry(configuration: Configuration, name: str) -> str:
    if name not in configuration.entries:
        known = ", ".join(sorted(configuration.entries)[:10]) or "none"
        raise InvalidInput("entry", name, f"is no entry that holds; known: {known}")
    return name


def _from_queue(house: House, configuration: Configuration, job_id: str) -> Ad:
    """The ad of a job in a live queue. Raises Temporary when a queue did not answer, Permanent for no job."""
    words = _ID.fullmatch(job_id)
    if words is None:
        raise InvalidInput("job", job_id, "must be CLUSTER.PROC or SCHEDD#CLUSTER.PROC, such as 42.0")
    pool = house.pool_settings(house.factory.pool)
    schedds = [words["schedd"]] if words["schedd"] else list(pool.schedds)
    names = [*configuration.policy.job_attributes, "VO", "JobStatus", "ClusterId", "ProcId", "HoldReason"]
    constraint = f"ClusterId == {words['cluster']} && ProcId == {words['proc'] or 0}"
    with Session(house.pool(pool.name)) as session:
        answers = [
            (schedd, session.jobs(schedd, constraint, list(dict.fromkeys(names)))) for schedd in schedds
        ]
    found = [{**ad, "_schedd": schedd} for schedd, answer in answers for ad in answer.items]
    errors = [answer.error for _, answer in answers if not answer.complete]
    if not found and errors:
        raise Temporary("; ".join(errors))
    if not found:
        raise Permanent(f"no job {job_id} is in the queue of {', '.join(schedds)}; it may have ended")
    if len(found) > 1:
        several = ", ".join(f"{ad['_schedd']}#{words['cluster']}.{words['proc'] or 0}" for ad in found)
        raise InvalidInput("job", job_id, f"is in several queues: name one of {several}")
    return found[0]


def _read_ad(path: Path) -> Ad:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(str(path), type(error).__name__, f"cannot be read: {error}") from error
    if text.lstrip().startswith("{"):
        try:
            found = json.loads(text)
        except json.JSONDecodeError as error:
            raise InvalidInput(f"{path}:{error.lineno}", error.msg, "must be one JSON object") from error
        return dict(found)
    ads = list(parse_ads(text))
    if len(ads) != 1:
        raise InvalidInput(str(path), f"{len(ads)} ads", "must hold one job's ad: condor_q -long ID, or JSON")
    return ads[0]


def _value_of(ad: Ad, name: str) -> Any:
    return next((value for key, value in ad.items() if key.casefold() == name.casefold()), None)


def _job_json(job_ad: Ad, vo: str, verdicts: Sequence[Verdict], cycle: Cycle | None) -> dict[str, Any]:
    rows = {(row.entry, row.vo): row for row in cycle.rows} if cycle is not None else {}
    entries = []
    for verdict in verdicts:
        row = rows.get((verdict.entry, vo))
        entries.append(
            {
                "entry": verdict.entry,
                "site": verdict.site,
                "matches": verdict.matches,
                "closed": verdict.closed,
                "rejected_by": [clause.text for clause in verdict.rejecting],
                "clauses": [_clause_json(clause) for clause in verdict.clauses],
                "last_cycle": None if row is None else {**asdict(row), "limit": row.limit.value},
            }
        )
    cluster = _value_of(job_ad, "ClusterId")
    return {
        "job": None if cluster is None else f"{cluster}.{_value_of(job_ad, 'ProcId') or 0}",
        "schedd": job_ad.get("_schedd"),
        "vo": vo,
        "state": _STATES.get(_value_of(job_ad, "JobStatus"), "unknown"),
        "hold_reason": _value_of(job_ad, "HoldReason"),
        "matches": [verdict.entry for verdict in verdicts if verdict.matches],
        "entries": entries,
        "cycle_at": None if cycle is None else cycle.at,
        "cycle_age_seconds": None if cycle is None else round((utc_now() - cycle.at).total_seconds(), 1),
    }


def _clause_json(clause: Clause) -> dict[str, Any]:
    return {
        "text": clause.text,
        "value": clause.value.value,
        "seen": {
            each.name: {"value": _json_value(each.value), "default": each.is_default} for each in clause.seen
        },
        "parts": [_clause_json(part) for part in clause.parts],
    }


def _json_value(value: Value) -> Any:
    return None if value is None or isinstance(value, Special) else value


def _job_text(content: Mapping[str, Any], verdicts: Sequence[Verdict]) -> str:
    who = f"job {content['job']}" if content["job"] else "the job"
    lines = [
        f"{who} of {content['vo'] or 'no VO'}, {content['state']}: "
        f"may run behind {', '.join(content['matches']) or 'no entry'}"
    ]
    if content["hold_reason"]:
        lines.append(f"held: {content['hold_reason']}")
    for verdict, shown in zip(verdicts, content["entries"], strict=True):
        lines.append(f"{verdict.entry} at {verdict.site}: {'yes' if verdict.matches else 'no'}")
        lines += [f"  {verdict.closed}"] if verdict.closed else []
        lines += [f"  {_rejection(clause)}" for clause in verdict.rejecting]
        cycle = shown["last_cycle"]
        if cycle and cycle["limit"]:
            lines.append(f"  last cycle, {cycle['limit']}: {cycle['detail']}".rstrip(": "))
    # Policies and reasons hold brackets, which rich would take for markup.
    return escape("\n".join(lines))


def _rejection(clause: Clause) -> str:
    """A clause that is not true, with what it saw."""
    seen = ", ".join(
        f"{each.name} = {_shown(each.value)}{' (default)' if each.is_default else ''}" for each in clause.seen
    )
    return (
        f"{clause.text} is {clause.value.value}: {seen}" if seen else f"{clause.text} is {clause.value.value}"
    )


def _shown(value: Value) -> str:
    return str(value) if isinstance(value, dict | datetime) else literal(value)


def _entry_json(explanation: EntryExplanation, cycle: Cycle) -> dict[str, Any]:
    entry = explanation.entry
    return {
        "entry": entry.name,
        "resource": entry.resource,
        "site": entry.site,
        "enabled": entry.enabled,
        "reason": entry.reason,
        "answer": explanation.answer,
        "binding": list(explanation.binding),
        "limits": [asdict(each) for each in explanation.limits],
        "rows": [
            {
                **asdict(row),
                "limit": row.limit.value,
                "submitted": cycle.submitted.get((row.entry, row.vo), 0),
            }
            for row in explanation.rows
        ],
        "cycle_at": cycle.at,
        "cycle_age_seconds": round((utc_now() - cycle.at).total_seconds(), 1),
        "cycle_complete": cycle.is_complete,
        "frozen": cycle.frozen,
    }


def _entry_text(explanation: EntryExplanation, content: Mapping[str, Any]) -> object:
    title = (
        f"{content['entry']} at {content['site']}, cycle {content['cycle_age_seconds']:.0f} s ago\n"
        f"{escape(explanation.answer)}"
    )
    rows = [
        (
            row["vo"],
            row["matching_jobs"],
            row["requested"],
            row["allowed"],
            row["submitted"],
            escape(f"{row['limit']}: {row['detail']}".strip(": ")),
            f"{row['idle']}/{row['running']}/{row['held']}",
            row["free_slots"],
        )
        for row in content["rows"]
    ]
    columns = ("VO", "jobs#", "asked#", "allowed#", "sent#", "limit", "wait/run/held#", "free slots#")
    limits = [
        ("→" if each.binds else "", each.limit, each.of, each.cap, each.used, each.left, escape(each.state))
        for each in explanation.limits
    ]
    names = ("binds", "limit", "of", "number#", "used#", "left#", "state")
    return Group(table(columns, rows, title=title), table(names, limits))
