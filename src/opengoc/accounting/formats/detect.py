"""Which format a file is of, told by its first bytes. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

from opengoc.accounting.formats import apel, batch_logs, json_records, sacct, swf, ur_xml

#: How much of a file is looked at.
HEAD_BYTES = 64 * 1024
#: The format of bytes that are of none: all of them go to quarantine.
UNKNOWN = "unknown"


def _begins(pattern: bytes) -> Callable[[bytes], bool]:
    compiled = re.compile(pattern, re.I | re.M)
    return lambda head: compiled.match(head.lstrip()) is not None


#: In the order they are asked: the more a format gives itself away, the earlier.
_RECOGNISERS: dict[str, Callable[[bytes], bool]] = {
    "swf": swf.recognises,
    "slurm-jobcomp": _begins(rb"JobId=\d+ UserId="),
    "blah": _begins(rb'"(?:timestamp|userDN|jobID)='),
    "lsf": _begins(rb'"[A-Z_]{3,20}" "\d'),
    "pbs": _begins(rb"(?:\d{8}:)?\d\d/\d\d/\d{4} \d\d:\d\d:\d\d;[A-Z];"),
    "ur-xml": ur_xml.recognises,
    "json": json_records.recognises,
    "apel": apel.recognises,
    "condor-history": _begins(rb"(?:\[\s*)?[A-Za-z_][\w.]*[ \t]*=[ \t]*\S|\*\*\* "),
    "sacct": sacct.recognises,
    "condor-apel": _begins(rb"[\w.#-]+\|[\w.@-]*(?:\|\d+){3}\|\d{10}\|\d{10}\|"),
    "sge": batch_logs.recognises_sge,
}


def recognise(head: bytes) -> str:
    """The format of a file that begins so; ``unknown`` for none."""
    return next((name for name, is_it in _RECOGNISERS.items() if is_it(head)), UNKNOWN)


def preamble(form: str, head: bytes) -> bytes:
    """What later blocks of a file need to be told of its head."""
    if form == "swf":
        return b"".join(line for line in head.splitlines(keepends=True) if line.startswith(b";"))
    if form == "sacct":
        return head.lstrip().split(b"\n", 1)[0]
    return b""
