"""BLAH's log of a computing element: who owns which batch job. Its records join to those of usage. Pure.

One line a job, pairs in quotes::

    "timestamp=2011-02-03 21:19:16" "userDN=/DC=org/…/CN=Person00 259919" "userFQAN=/vdt/Role=NULL"
    "ceID=stress3.chtc.wisc.edu:8443/cream-condor" "jobID=CREAM313070026" "lrmsID=377231" "localUser=1003"

A line becomes a grant: whose the job is. Usage of a batch system that knows no VO takes the grant of its job
id with it when it is read (``usage``). Source: BLAH, "BLParser log"; EGI, "APEL parsers".
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from opengoc.accounting.formats import lines
from opengoc.accounting.formats.piece import Piece, Tail, text
from opengoc.accounting.formats.values import iso_instant, known
from opengoc.accounting.model import Kind, UsageRecord
from opengoc.accounting.source import Source
from opengoc.base.errors import InvalidInput

_PAIR = re.compile(r'"(\w+)=([^"]*)"')
_LINE = re.compile(r'\s*(?:"\w+=[^"]*"\s*)+')


def read(data: bytes, *, source: Source, offset: int, tail: Tail) -> Iterator[Piece]:  # noqa: ARG001
    """The grants of a log."""
    return lines.pieces(data, tail, lambda line: _record(line, source))


def _record(line: bytes, source: Source) -> UsageRecord:
    said = text(line)
    if _LINE.fullmatch(said) is None:
        raise InvalidInput("line", said[:60], 'must be pairs such as "lrmsID=377231"')
    values: dict[str, str] = {}
    for name, value in _PAIR.findall(said):
        # The first attribute of several is the primary one.
        values.setdefault(name, value)
    job, at = known(values.get("lrmsID")), known(values.get("timestamp"))
    if job is None or at is None:
        raise InvalidInput("lrmsID, timestamp", (job, at), "must be told")
    moment, fqan = iso_instant(at, "timestamp"), known(values.get("userFQAN"))
    return UsageRecord(
        instance=source.instance or source.name,
        global_job_id=job,
        attempt=int(moment.timestamp()),
        kind=Kind.GRANT,
        site=source.site,
        resource=None,
        vo=(fqan.split("/")[1] or None) if fqan is not None and fqan.startswith("/") else None,
        user=known(values.get("userDN")),
        project=None,
        queue=None,
        submitted_at=moment,
        started_at=None,
        ended_at=moment,
        wall_seconds=0.0,
        cpu_user_seconds=None,
        cpu_system_seconds=None,
        processors=1,
        memory_mib=None,
        status="granted",
        exit_code=None,
        exit_signal=None,
        policy_digest=None,
        pilot_id=None,
        entry=None,
        sequence=int(moment.timestamp()),
        fqan=fqan,
        submit_host=known(values.get("ceID")),
    )
