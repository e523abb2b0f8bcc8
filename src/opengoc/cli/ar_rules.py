"""``goc ar …``: the rules of A/R: profiles, requests to recompute, federations, tests of VOs, replays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from opengoc.base.errors import InvalidInput
from opengoc.base.instant import utc_now
from opengoc.base.interval import Interval
from opengoc.cli.downtime import parse_moment
from opengoc.cli.output import AsOf, Json, emit, house_of, table
from opengoc.monitoring import federation as federations
from opengoc.monitoring import recomputation, vo_tests
from opengoc.monitoring.federation import Federation
from opengoc.monitoring.model import MEASURED, Status
from opengoc.monitoring.profile import PROFILES
from opengoc.monitoring.replay import Answer
from opengoc.monitoring.replay import replay as replay_vectors
from opengoc.monitoring.terms import Request

ProfileName = Annotated[
    str | None,
    typer.Option(
        "--profile",
        help=f"{', '.join(sorted(PROFILES))} or sam-wlcg:VO. Default: that of goc.toml.",
        show_default=False,
    ),
]

Why = Annotated[str, typer.Option(help="The reason, kept with the change.")]


def replay(
    files: Annotated[list[Path], typer.Argument(help="Files of vectors, or a folder of them.")],
    as_json: Json = False,
) -> None:
    """Compute the peers' published answers again, digit for digit; exit code 1 where one is missed."""
    answers: list[tuple[str, Answer]] = []
    for path in (
        each for file in files for each in (sorted(file.glob("*.json")) if file.is_dir() else [file])
    ):
        try:
            vectors = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InvalidInput(str(path), type(error).__name__, f"cannot be read: {error}") from error
        answers += [(path.name, answer) for answer in replay_vectors(vectors)]
    missed = [(name, a) for name, a in answers if not a.agrees and not a.because]
    value = [
        {
            "file": name,
            "case": answer.case,
            "quantity": answer.quantity,
            "expected": answer.expected,
            "ours": answer.ours,
            "agrees": answer.agrees,
            "because": answer.because,
        }
        for name, answer in answers
    ]

    def text() -> object:
        differing = [(name, answer) for name, answer in answers if not answer.agrees]
        met = len(answers) - len(differing)
        return table(
            ["File", "Case", "Number", "Theirs#", "Ours#", "Because"],
            [
                [name, escape(a.case), a.quantity, a.expected, a.ours, a.because or "not known"]
                for name, a in differing
            ],
            title=f"{met} of {len(answers)} numbers met to the last printed digit",
            empty=f"{met} of {len(answers)} numbers met to the last printed digit.",
        )

    emit(value, as_json=as_json, text=text)
    if missed or not answers:
        raise typer.Exit(1)


def profiles(as_json: Json = False) -> None:
    """The profiles: how results become states, and states A/R."""
    rows = [
        {
            "name": profile.name,
            "version": profile.version,
            "digest": profile.digest,
            "quirks": sorted(quirk.value for quirk in profile.quirks),
        }
        for profile in sorted(PROFILES.values(), key=lambda profile: profile.name)
    ]
    emit(
        rows,
        as_json=as_json,
        text=lambda: table(
            ["Profile", "Version#", "Digest", "Defects of the peer that it repeats"],
            [[r["name"], r["version"], str(r["digest"])[:12], ", ".join(r["quirks"])] for r in rows],  # type: ignore[arg-type]
        ),
    )


def recompute(
    ctx: typer.Context,
    start: Annotated[str, typer.Option("--from", help="Start of the time that is to count otherwise.")],
    end: Annotated[str, typer.Option("--to", help="Its end, not included.")],
    why: Annotated[str, typer.Option(help="The reason: it stands in every explanation.")],
    site: Annotated[str, typer.Option(help="Site it is about.")] = "",
    resource: Annotated[str, typer.Option(help="Resource it is about.")] = "",
    service: Annotated[str, typer.Option(help="Kind of service it is about.")] = "",
    metric: Annotated[str, typer.Option(help="Metric it is about.")] = "",
    status: Annotated[
        str, typer.Option(help=f"EXCLUDED takes the time out; or {', '.join(sorted(MEASURED))}.")
    ] = Status.EXCLUDED.value,
    as_json: Json = False,
) -> None:
    """Ask that time be left out of A/R, or counted in another state than what was measured."""
    house, now = house_of(ctx), utc_now()
    if status not in Status.__members__:
        raise InvalidInput("--status", status, f"must be one of {', '.join(Status)}")
    registry = house.registry()
    if site:
        registry.site(site)
    if resource:
        registry.resource(resource)
    interval = Interval(parse_moment(start, "--from", now=now), parse_moment(end, "--to", now=now))
    with house.database.begin() as conn:
        asked = recomputation.ask(
            conn,
            interval=interval,
            status=Status(status),
            who=house.who,
            why=why,
            site=site,
            resource=resource,
            service=service,
            metric=metric,
        )
    emit(_request_json(asked), as_json=as_json, text=lambda: f"{asked.id}: {_scope(asked)} {asked.status}")


def requests(ctx: typer.Context, as_of: AsOf = None, as_json: Json = False) -> None:
    """The requests to recompute that stand."""
    with house_of(ctx).database.read() as conn:
        standing = recomputation.requests(conn, known_at=as_of)
    emit(
        [_request_json(each) for each in standing],
        as_json=as_json,
        text=lambda: table(
            ["Request", "About", "Time", "State", "By", "Why"],
            [
                [r.id, escape(_scope(r)), str(r.interval), r.status.value, escape(r.who), escape(r.why)]
                for r in standing
            ],
            empty="No request stands: A/R is what was measured.",
        ),
    )


def withdraw(
    ctx: typer.Context,
    request: Annotated[str, typer.Argument(help="Id of the request.")],
    why: Why = "",
    as_json: Json = False,
) -> None:
    """Take a request to recompute back; its history stays."""
    house = house_of(ctx)
    with house.database.begin() as conn:
        recomputation.withdraw(conn, request, who=house.who, why=why)
    emit({"id": request, "withdrawn": True}, as_json=as_json, text=lambda: f"{request} withdrawn")


def federation(
    ctx: typer.Context,
    name: Annotated[str | None, typer.Argument(help="Name of the federation; default: list all.")] = None,
    members: Annotated[
        list[str] | None, typer.Argument(help="SITE=WEIGHT …: its sites from now on.", metavar="SITE=WEIGHT")
    ] = None,
    why: Why = "",
    as_of: AsOf = None,
    as_json: Json = False,
) -> None:
    """List the federations, or say which sites one has and how much each weighs."""
    house = house_of(ctx)
    if name is not None and members:
        registry = house.registry()
        weights: dict[str, float] = {}
        for member in members:
            site, _, weight = member.rpartition("=")
            known = registry.site(site or member).name
            if known in weights:
                raise InvalidInput("federation", member, "names a site for the second time")
            weights[known] = _weight(weight) if site else 1.0
        with house.database.begin() as conn:
            federations.define(conn, Federation(name=name, weights=weights), who=house.who, why=why)
    with house.database.read() as conn:
        found = [each for each in federations.federations(conn, known_at=as_of) if name in (None, each.name)]
    if name is not None and not found:
        raise InvalidInput("federation", name, "is no federation: name its sites as SITE=WEIGHT")
    emit(
        [{"name": each.name, "weights": dict(each.weights)} for each in found],
        as_json=as_json,
        text=lambda: table(
            ["Federation", "Sites and weights"],
            [[escape(f.name), escape(", ".join(f"{s} {w:g}" for s, w in f.weights.items()))] for f in found],
            empty="There is no federation.",
        ),
    )


def tests(
    ctx: typer.Context,
    vo: Annotated[str, typer.Argument(help="The VO.")],
    named: Annotated[
        list[str], typer.Argument(help="KIND=METRIC,METRIC …: what counts.", metavar="KIND=METRICS")
    ],
    why: Why = "",
    as_json: Json = False,
) -> None:
    """Say which metrics of which kinds of service count for a VO: the profile ``sam-wlcg:VO``."""
    house = house_of(ctx)
    if house.registry().vo(vo) is None:
        raise InvalidInput("VO", vo, "is no VO of the registry; see `goc registry show vo`")
    said: dict[str, tuple[str, ...]] = {}
    for each in named:
        kind, _, metrics = each.partition("=")
        if not kind.strip():
            raise InvalidInput("KIND=METRICS", each, "must name a kind of service, as in CE=org.x,org.y")
        said[kind] = tuple(metric for metric in metrics.split(",") if metric)
    with house.database.begin() as conn:
        vo_tests.define(conn, vo, said, who=house.who, why=why)
        made = vo_tests.profile_of(conn, f"sam-wlcg:{vo}")
    value = {"profile": made.name, "version": made.version, "tests": {k: list(v) for k, v in said.items()}}
    emit(value, as_json=as_json, text=lambda: f"{made.name} version {made.version}")


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InvalidInput("weight", text, "must be a number, as in SITE=12.5") from error


def _scope(request: Request) -> str:
    names = [request.site, request.resource, request.service, request.metric]
    return "/".join(name for name in names if name)


def _request_json(request: Request) -> dict[str, Any]:
    return {
        "id": request.id,
        "from": request.interval.start,
        "to": request.interval.end,
        "status": request.status.value,
        "site": request.site,
        "resource": request.resource,
        "service": request.service,
        "metric": request.metric,
        "who": request.who,
        "why": request.why,
    }
