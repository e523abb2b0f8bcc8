"""``POST /accounting/batches``: sources send their usage records, and send again what was not answered.

``POST /accounting/heartbeats``: they say that they are alive, or what became of a run of what feeds them.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import threading
import zlib
from dataclasses import dataclass, field
from typing import Annotated

import pyarrow
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from opengoc.accounting import runs, table, tables
from opengoc.accounting.formats.detect import HEAD_BYTES
from opengoc.accounting.receiving import Receipt, receive
from opengoc.accounting.runs import Outcome
from opengoc.accounting.seen import Known
from opengoc.accounting.source import Source
from opengoc.accounting.unpack import packing_of
from opengoc.app import House
from opengoc.base.errors import Conflict, InvalidInput, Permanent, Temporary
from opengoc.base.instant import format_instant, utc_now
from opengoc.store.writer import sole_writer

router = APIRouter(prefix="/accounting")
_LOG = logging.getLogger(__name__)

#: Bytes of a body as it comes, and unpacked.
MOST_PACKED = 64 * 2**20
MOST_PLAIN = 256 * 2**20
#: Packed files that may be joined to one body.
_MOST_MEMBERS = 256
#: Batches that wait while one is stored; one more is asked to come later.
_MOST_WAITING = 4
_BUSY_SECONDS = 2
#: A body of which nothing comes for so long is given up: a sender that went away keeps no place.
_STALLED_SECONDS = 30.0
#: A body takes no longer than this, however it trickles.
_SLOWEST_SECONDS = 600.0


@dataclass
class _Intake:
    """What the receiver keeps between batches: one is stored at a time."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    places: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(_MOST_WAITING))
    known: Known | None = None


@router.post("/batches")
async def batches(request: Request) -> JSONResponse:
    """Take a batch.

    1. The token names the source, ``Goc-Batch`` the batch.
    2. The body is read and unpacked (gzip, zstd), up to the limits.
    3. Its records are stored; only then the answer says so. Full or busy: 429 with ``Retry-After``.
    """
    house: House = request.app.state.house
    source = _source_of(request, house)
    if isinstance(source, JSONResponse):
        return source
    intake = _intake(request)
    if not intake.places.acquire(blocking=False):
        return _later("other batches wait already", _BUSY_SECONDS)
    try:
        try:
            packed = await _body(request)
        except (TimeoutError, ClientDisconnect):
            return _refused(408, "the body stopped before its end: nothing of it was taken, send it again")
        if packed is None:
            return _refused(413, f"a batch may have {MOST_PACKED} bytes: send it as several")
        encoding = request.headers.get("content-encoding", "identity")
        plain = await run_in_threadpool(_unpacked, packed, encoding)
        _refuse_unreadable(plain)
        return await run_in_threadpool(_store, house, intake, plain, _Named.of(request), source)
    except InvalidInput as error:
        return _refused(413 if error.where == "batch" else 400, str(error))
    finally:
        intake.places.release()


class Heartbeat(BaseModel):
    """What a source says of itself."""

    model_config = ConfigDict(extra="forbid")

    #: Since when a run was to give records; none: all of its time up to ``through`` was given.
    since: AwareDatetime | None = None
    #: All records of jobs that ended before this were given, or were to be given; none: the time it comes.
    through: AwareDatetime | None = None
    outcome: Outcome = Outcome.OK
    #: How much waits at the source still, in its own count.
    backlog: Annotated[int, Field(ge=0, le=2**53)] | None = None
    message: Annotated[str, Field(max_length=500)] = ""


@router.post("/heartbeats")
def heartbeats(request: Request, said: Heartbeat) -> JSONResponse:
    """Keep that a source is alive, or how a run of what feeds it ended."""
    house: House = request.app.state.house
    source = _source_of(request, house)
    if isinstance(source, JSONResponse):
        return source
    now = utc_now()
    try:
        with house.database.begin() as conn:
            run = runs.report(
                conn,
                source,
                start=said.since,
                end=said.through or now,
                outcome=said.outcome,
                backlog=said.backlog,
                message=said.message,
                now=now,
                who=source.name,
            )
    except InvalidInput as error:
        return _refused(400, str(error))
    except Temporary as error:
        return _later(str(error), error.retry_after)
    return JSONResponse({"source": source.name, "through": format_instant(run.interval.end or now)})


def _source_of(request: Request, house: House) -> Source | JSONResponse:
    """The source whose token is shown, or why there is none."""
    try:
        sources = house.senders()
    except (InvalidInput, Permanent):
        _LOG.exception("tokens of [[received]] cannot be used", extra={"action": "accounting-tokens"})
        return _refused(503, "the receiver cannot read its tokens: its operator has to mend that")
    shown = request.headers.get("authorization", "").removeprefix("Bearer ").encode()
    found = None
    for token, source in sources.items():
        # Every token is compared, each in constant time: how long it takes tells nothing.
        if hmac.compare_digest(shown, token.encode()):
            found = source
    return found or _refused(401, "no source has this token: send Authorization: Bearer TOKEN")


def _intake(request: Request) -> _Intake:
    state = request.app.state
    if not hasattr(state, "accounting_intake"):
        state.accounting_intake = _Intake()
    intake: _Intake = state.accounting_intake
    return intake


async def _body(request: Request) -> bytes | None:
    """The body; None for one that is too large. Raises TimeoutError, ClientDisconnect when it stops."""
    parts, size = [], 0
    loop = asyncio.get_running_loop()
    latest = loop.time() + _SLOWEST_SECONDS
    async with asyncio.timeout(_STALLED_SECONDS) as patience:
        async for part in request.stream():
            size += len(part)
            if size > MOST_PACKED:
                return None
            parts.append(part)
            patience.reschedule(min(loop.time() + _STALLED_SECONDS, latest))
    return b"".join(parts)


def _unpacked(packed: bytes, encoding: str) -> bytes:
    """The plain bytes. Raises InvalidInput for a packing that is damaged, unknown, or swells too far."""
    if encoding == "identity":
        return packed
    if encoding not in ("gzip", "zstd"):
        raise InvalidInput("content-encoding", encoding, "must be gzip, zstd or identity")
    try:
        if encoding == "gzip":
            plain, whole = _of_gzip(packed)
        else:
            with pyarrow.CompressedInputStream(pyarrow.BufferReader(packed), "zstd") as stream:
                plain, whole = stream.read(MOST_PLAIN + 1), True
    except (OSError, zlib.error) as error:
        raise InvalidInput("body", encoding, f"cannot be unpacked: {error}") from error
    if len(plain) > MOST_PLAIN:
        raise InvalidInput("batch", encoding, f"may unpack to {MOST_PLAIN} bytes: send it as several")
    if not whole:
        raise InvalidInput("body", encoding, "is cut off")
    return plain


def _refuse_unreadable(plain: bytes) -> None:
    """Raise InvalidInput for bytes that are packed still, or columns: no record would be found in them."""
    packing = packing_of(plain[:HEAD_BYTES])
    if packing is not None:
        raise InvalidInput("body", packing, "is packed: unpack it, or say so with Content-Encoding")
    columns = tables.recognise(plain[:HEAD_BYTES])
    if columns is not None:
        raise InvalidInput("body", columns, "is a file of columns: import it, or send JSON lines")


def _of_gzip(packed: bytes) -> tuple[bytes, bool]:
    """What is packed, up to a byte more than may be, and whether its end is there. Raises zlib.error.

    Packed files that were joined are one packed file (RFC 1952, 2.2): every member is read.
    """
    plain = bytearray()
    # Each member costs a copy of what follows it: a flood of empty ones must not keep the receiver busy.
    for _ in range(_MOST_MEMBERS):
        unpacking = zlib.decompressobj(wbits=31)
        plain += unpacking.decompress(packed, MOST_PLAIN + 1 - len(plain))
        if not unpacking.eof or len(plain) > MOST_PLAIN:
            return bytes(plain), len(plain) > MOST_PLAIN
        # Zero bytes pad a packed file to a block of its medium.
        packed = unpacking.unused_data.lstrip(b"\0")
        if not packed:
            return bytes(plain), True
    raise InvalidInput("body", "gzip", f"is joined of more than {_MOST_MEMBERS} packed files")


@dataclass(frozen=True, kw_only=True)
class _Named:
    """How the sender calls a batch."""

    batch_id: str
    sequence: str

    @classmethod
    def of(cls, request: Request) -> _Named:
        return cls(
            batch_id=request.headers.get("goc-batch", ""), sequence=request.headers.get("goc-sequence", "")
        )


def _store(house: House, intake: _Intake, content: bytes, named: _Named, source: Source) -> JSONResponse:
    try:
        with intake.lock, sole_writer(house.home, house.database, "accounting"):
            receipt = _receive(house, intake, content, named, source)
    except Temporary as error:
        return _later(str(error), error.retry_after)
    except Conflict as error:
        return _refused(409, str(error))
    return JSONResponse(receipt.to_json())


def _receive(house: House, intake: _Intake, content: bytes, named: _Named, source: Source) -> Receipt:
    table.declare(house.lake)
    known = intake.known = intake.known or Known(house.lake)
    try:
        return receive(
            content,
            batch_id=named.batch_id,
            sequence=named.sequence,
            source=source,
            stores=house.accounting_stores(),
            known=known,
            who=source.name,
        )
    except Temporary:
        # What was stored of the batch is not known for sure: ask the lake anew.
        known.close()
        raise


def _refused(code: int, why: str) -> JSONResponse:
    return JSONResponse({"error": why}, status_code=code)


def _later(why: str, seconds: float) -> JSONResponse:
    return JSONResponse({"error": why}, status_code=429, headers={"Retry-After": str(max(1, round(seconds)))})
