"""What an ARC CE is told of a pilot: HTCondor's grid type ``arc`` speaks its REST interface. Pure.

HTCondor writes the job description (ADL) from the job's ad: executable, arguments, files, cores, queue. The
rest is XML that stands in submit commands, in ``arc_resources`` for what goes below ``<Resources>`` (HTCondor
manual, "The arc Grid Type"; EMI-ES 1.16, "Activity Description Language").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree

if TYPE_CHECKING:
    from opengoc.factory.entries import Entry

GRID_TYPE: Final = "arc"
RESOURCES: Final = "arc_resources"

#: Either one is what the CE knows the factory by.
CREDENTIALS: Final = ("scitokens_file", "x509userproxy")

_XML_COMMANDS: Final = (RESOURCES, "arc_application")
_BYTES_PER_MIB: Final = 1 << 20
#: The prefix that HTCondor declares around what is put in.
_AROUND: Final = '<x xmlns:ng-adl="http://www.nordugrid.org/es/2011/12/nordugrid-adl">{}</x>'


def commands(entry: Entry) -> dict[str, str]:
    """The entry's submit commands, with wall time and memory where its own ``arc_resources`` do not say them.

    Without the memory HTCondor would ask for the whole pilot's, and ARC takes it for each core.
    """
    submit = {name.casefold(): value for name, value in entry.submit.items()}
    own = submit.get(RESOURCES, "")
    said = {element.tag for element in _parse(own)}
    per_core = -(-entry.memory_mib * _BYTES_PER_MIB // entry.cores)
    asked = {"WallTime": entry.walltime_seconds, "IndividualPhysicalMemory": per_core}
    rest = "".join(f"<{name}>{number}</{name}>" for name, number in asked.items() if name not in said)
    return submit | {RESOURCES: own + rest}


def faults(submit: Mapping[str, object], *, enabled: bool) -> dict[str, str]:
    """Submit command → why it cannot stand in an entry of an ARC CE; ``submit`` for what is missing."""
    found = {}
    for name in _XML_COMMANDS:
        try:
            _parse(str(submit.get(name, "")))
        except ElementTree.ParseError as error:
            found[name] = f"is no XML: {error}"
    given = [name for name in CREDENTIALS if submit.get(name)]
    if enabled and not given:
        found["submit"] = f"needs {' or '.join(CREDENTIALS)}: the CE lets nobody in without"
    for name in given:
        if not str(submit[name]).startswith("/"):
            found[name] = "must be a whole path, of a file that the factory's schedd can read"
    return found


def _parse(xml: str) -> ElementTree.Element:
    return ElementTree.fromstring(_AROUND.format(xml))
