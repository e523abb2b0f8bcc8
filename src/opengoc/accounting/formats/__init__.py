"""Foreign formats of usage, one module each: bytes in, usage records and faults out. Pure.

A format cuts the bytes it is given into pieces that follow one another without a gap; each piece is one
record, or a fault with its reason, or nothing (blank lines, a header). So every byte is accounted for.
"""

from __future__ import annotations

from opengoc.accounting.formats import (
    apel,
    apel_bulk,
    batch_logs,
    blah,
    condor_history,
    condor_history_bulk,
    json_bulk,
    json_records,
    sacct,
    slurm_jobcomp,
    swf,
    unknown,
    ur_xml,
    ur_xml_bulk,
)
from opengoc.accounting.formats.piece import Bulk, Format

#: Changes when a reader learns to read more: what was read before is then read again.
READER = 1

FORMATS: dict[str, Format] = {
    "apel": apel.read,
    "blah": blah.read,
    "condor-apel": batch_logs.read_condor,
    "condor-history": condor_history.read,
    "json": json_records.read,
    "lsf": batch_logs.read_lsf,
    "pbs": batch_logs.read_pbs,
    "sacct": sacct.read,
    "sge": batch_logs.read_sge,
    "slurm-jobcomp": slurm_jobcomp.read,
    "swf": swf.read,
    "unknown": unknown.read,
    "ur-xml": ur_xml.read,
}
#: Formats that are also read many records at once.
BULK: dict[str, Bulk] = {
    "apel": apel_bulk.read,
    "condor-history": condor_history_bulk.read,
    "json": json_bulk.read,
    "ur-xml": ur_xml_bulk.read,
}
