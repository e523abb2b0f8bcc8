"""Usage records in the formats of others, one module each: records in, text out. Pure.

What a format cannot say is left out; what it says reads back as the same values (``formats``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from opengoc.accounting.model import UsageRecord
from opengoc.accounting.writing import apel, gracc, json_lines, ur_xml

#: Writes records as pieces of text.
Writer = Callable[[Iterable[UsageRecord]], Iterator[str]]

WRITERS: dict[str, Writer] = {
    "apel": apel.jobs,
    "apel-summary": apel.summaries,
    "apel-sync": apel.syncs,
    "gracc": gracc.write,
    "json": json_lines.write,
    "ur-xml": ur_xml.write,
}
