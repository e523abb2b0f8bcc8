"""POST /api/results: what remote agents probed."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from opengoc.base.errors import Conflict, GocError, InvalidInput, Temporary
from opengoc.base.ids import digest
from opengoc.base.instant import utc_now
from opengoc.monitoring.intake import Intake, check
from opengoc.monitoring.model import ProbeResult, RunOutcome, Status, Target
from opengoc.registry.live import LiveRegistry
from opengoc.registry.tokens import Right
from opengoc.web.api.asking import Credentials, require
from opengoc.web.api.models import GUARDED, Problem
from opengoc.web.api.route import problem

router = APIRouter(prefix="/api", tags=["results"], responses=GUARDED)

#: Largest body: some 20,000 results of the usual length.
MAX_BODY = 8 * 1024 * 1024
MAX_RESULTS = 20_000

_Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]
_Text = Annotated[str, Field(max_length=4000, pattern=r"^[^\x00]*$")]


class ResultIn(BaseModel):
    """One answer of one metric about one service."""

    model_config = ConfigDict(extra="forbid")

    metric: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$", max_length=200)]
    resource: _Name
    service: _Name
    status: Status
    at: AwareDatetime
    summary: _Text = ""
    detail: Annotated[str, Field(max_length=65_536, pattern=r"^[^\x00]*$")] = ""
    duration_seconds: Annotated[float, Field(ge=0, le=86_400)] = 0.0
    outcome: RunOutcome = RunOutcome.DONE


class BatchIn(BaseModel):
    """Results under an id that the agent chose; sent again, the same id must carry the same results."""

    model_config = ConfigDict(extra="forbid")

    batch: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9._:/-]+$")]
    results: Annotated[list[ResultIn], Field(min_length=1, max_length=MAX_RESULTS)]


class Taken(BaseModel):
    """What became of a batch."""

    batch: str
    results: int
    #: False: it was in already.
    new: bool


def _described(model: type[BaseModel]) -> Any:
    """The schema of a body, by itself: FastAPI does not see the models of one that is streamed."""
    whole = model.model_json_schema()
    parts = whole.pop("$defs", {})

    def in_place(piece: Any) -> Any:
        if isinstance(piece, dict):
            if "$ref" in piece:
                return in_place(parts[piece["$ref"].rpartition("/")[2]]) | {
                    key: value for key, value in piece.items() if key != "$ref"
                }
            return {key: in_place(value) for key, value in piece.items()}
        return [in_place(each) for each in piece] if isinstance(piece, list) else piece

    return in_place(whole)


@router.post(
    "/results",
    response_model=Taken,
    responses={
        201: {"model": Taken, "description": "Kept"},
        415: {"model": Problem, "description": "The body is coded"},
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _described(BatchIn)}},
        }
    },
)
async def take(request: Request, credentials: Credentials = None) -> Response:
    """Keep a batch of results; the answer comes when it is kept. Safe to send again."""
    try:
        # Before the body is read: a stranger's is not.
        token = await run_in_threadpool(require, request, credentials, Right.RESULTS)
        body = await _body(request)
        return await run_in_threadpool(_take, request, token.name, body)
    except HTTPException as error:
        return problem(error.status_code, str(error.detail), headers=dict(error.headers or {}))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        broken = first["type"] == "json_invalid"
        where = ".".join(map(str, first["loc"]))
        return problem(400 if broken else 422, str(first["msg"]), where)
    except InvalidInput as error:
        return problem(422, f"{error.where}: {error.rule}", error.where)
    except Conflict as error:
        return problem(409, str(error))
    except Temporary as error:
        return problem(503, str(error), headers={"Retry-After": "5"})
    except GocError as error:
        return problem(500, str(error))


async def _body(request: Request) -> bytes:
    """The body, up to the limit. Raises HTTPException 413 before more than that is read."""
    if request.headers.get("content-encoding", "identity") != "identity":
        raise HTTPException(415, "send the body as it is, without Content-Encoding")
    size, parts = 0, []
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY:
            raise HTTPException(413, f"the body must hold {MAX_BODY} bytes at most: send smaller batches")
        parts.append(part)
    return b"".join(parts)


def _take(request: Request, agent: str, body: bytes) -> Response:
    sent = BatchIn.model_validate_json(body)
    results = [_result(each, agent) for each in sent.results]
    live: LiveRegistry = request.app.state.live
    registry = live.current()[0]

    def offers(target: Target) -> bool:
        resource = registry.resources.get(target.resource)
        return resource is not None and resource.offers(target.service)

    check(results, offers, now=utc_now())
    intake: Intake = request.app.state.intake
    new = intake.take(agent, sent.batch, results, digest(body))
    answer = Taken(batch=sent.batch, results=len(results), new=new)
    return Response(answer.model_dump_json(), 201 if new else 200, media_type="application/json")


def _result(said: ResultIn, agent: str) -> ProbeResult:
    return ProbeResult(**dict(said), agent=agent)
