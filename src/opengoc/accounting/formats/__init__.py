"""Foreign formats of usage, one module each: bytes in, usage records and faults out. Pure.

A format cuts the bytes it is given into pieces that follow one another without a gap; each piece is one
record, or a fault with its reason, or nothing (blank lines, a header). So every byte is accounted for.
"""

from __future__ import annotations

from opengoc.accounting.formats import condor_history, slurm_jobcomp
from opengoc.accounting.formats.piece import Format

FORMATS: dict[str, Format] = {
    "condor-history": condor_history.read,
    "slurm-jobcomp": slurm_jobcomp.read,
}
