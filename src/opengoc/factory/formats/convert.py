"""Foreign entries as ours: the values of ``[[entries]]`` tables, and a draft of the policy they need. Pure.

What another factory does not say is not made up: an entry that lacks something ours must have is left out,
with the reason.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from opengoc.base.errors import InvalidInput
from opengoc.factory import arc
from opengoc.factory.entries import ENTRY_NAME, GRID_RESOURCE, OWN_COMMANDS
from opengoc.factory.expression import Scalar, TypeName
from opengoc.factory.formats.foreign import ForeignEntry, in_force, whole_number
from opengoc.factory.policy import ENTRY_ATTRIBUTES, NAME, VO_NAME

CORES = "GLIDEIN_CPUS"
ESTIMATED_CORES = "GLIDEIN_ESTIMATED_CPUS"
MEMORY = "GLIDEIN_MaxMemMBs"
WALLTIME = "GLIDEIN_Max_Walltime"
SITE = "GLIDEIN_Site"
RESOURCE = "GLIDEIN_ResourceName"
VOS = "GLIDEIN_Supported_VOs"

#: Said by keys of our entries, not as attributes.
_AS_KEYS = frozenset({CORES, ESTIMATED_CORES, MEMORY, WALLTIME, SITE, RESOURCE, VOS})
_BUILT_IN = frozenset(attribute.name.casefold() for attribute in ENTRY_ATTRIBUTES)
#: Submit attributes that say what our factory says itself, out of ``cores`` and ``memory_mib``.
_AS_COMMANDS = OWN_COMMANDS | {"requestcpus", "requestmemory"}
_RSL = re.compile(r"\b(count|memory)\s*=\s*(\d+)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """An entry that cannot be one of ours."""

    file: str
    line: int
    entry: str
    enabled: bool
    reason: str


@dataclass(frozen=True, kw_only=True)
class Converted:
    """Entries as ours."""

    #: ``[[entries]]`` tables by name of the entry.
    tables: Mapping[str, Mapping[str, Any]]
    #: Entry attributes in them, with the type that every value has.
    types: Mapping[str, TypeName]
    left_out: tuple[LeftOut, ...]

    @property
    def vos(self) -> tuple[str, ...]:
        """VOs that any of them serves."""
        return tuple(sorted({vo for table in self.tables.values() for vo in table["vos"]}))


def convert(
    entries: Iterable[ForeignEntry],
    *,
    resources: Mapping[str, str],
    vo_names: Mapping[str, str] | None = None,
) -> Converted:
    """Foreign entries as ours.

    ``resources``: names of the registry's resources by name and by host name, as ``resource_of`` takes them;
    ``vo_names``: our names of VOs by theirs, where more than the case differs.
    """
    given = list(entries)
    chosen = in_force(given)
    left_out = [
        _left_out(each, f"replaced by the entry of the same name in {other.file}:{other.line}")
        for each in given
        if (other := chosen[each.name]) is not each
    ]
    types = _types(chosen.values())
    tables: dict[str, Mapping[str, Any]] = {}
    for name, entry in sorted(chosen.items()):
        try:
            tables[name] = _table(entry, types=types, resources=resources, vo_names=vo_names or {})
        except InvalidInput as lack:
            left_out.append(_left_out(entry, f"{lack.value} {lack.rule}"))
    used = {attribute for table in tables.values() for attribute in table["attributes"]}
    return Converted(
        tables=tables,
        types={name: each for name, each in sorted(types.items()) if name in used},
        left_out=tuple(left_out),
    )


def resource_of(entry: ForeignEntry, resources: Mapping[str, str]) -> str:
    """The registry's resource: the one it names, else the one at its gatekeeper's host; else empty."""
    said = (entry.value(RESOURCE), *entry.hosts)
    return next((resources[name] for name in said if name in resources), "")


def vos_of(entry: ForeignEntry) -> tuple[str, ...]:
    """What it lists as VOs, as written, each once."""
    return tuple(dict.fromkeys(word for word in re.split(r"[,\s]+", entry.value(VOS)) if word))


def cores_of(entry: ForeignEntry) -> int | None:
    """Cores of one pilot; None where the node says so only when the pilot is there, or nobody does.

    Of GLIDEIN_CPUS itself, of what stands for it where that is ``auto``, of what the site is asked for; one
    core where nothing says anything, as in glideinWMS.
    """
    said = (
        entry.value(CORES),
        entry.value(ESTIMATED_CORES),
        entry.submit_value("+xcount", "request_cpus", "RequestCpus"),
        _of_rsl(entry, "count"),
    )
    found = next((number for text in said if (number := whole_number(text)) is not None and number > 0), None)
    says_nothing = not any((*said, entry.submit_value("+WantWholeNode")))
    return 1 if found is None and says_nothing else found


def memory_of(entry: ForeignEntry) -> int | None:
    """Memory of one pilot in MiB; None where nobody says it.

    glideinWMS says MB and means 1024 × 1024 bytes: the value becomes the startd's MEMORY.
    """
    said = [entry.value(MEMORY), entry.submit_value("+maxMemory", "request_memory")]
    per_core, cores = whole_number(_of_rsl(entry, "memory")), cores_of(entry)
    if per_core and cores:
        # ARC takes memory for each of ``count`` cores.
        said.append(str(per_core * cores))
    return next((number for text in said if (number := whole_number(text)) is not None and number > 0), None)


def typed(value: str, wanted: TypeName) -> Scalar:
    """An attribute's text in a type that ``_types`` found for it."""
    if wanted == "bool":
        return value.strip().casefold() == "true"
    if wanted == "int":
        return int(value)
    return float(value) if wanted == "float" else value


def _table(
    entry: ForeignEntry,
    *,
    types: Mapping[str, TypeName],
    resources: Mapping[str, str],
    vo_names: Mapping[str, str],
) -> dict[str, Any]:
    """One table. Raises InvalidInput for what cannot be one."""
    name = _right(entry.name, ENTRY_NAME, "has letters that our names have not")
    grid_resource = f"{entry.grid_type} {entry.gatekeeper}"
    vos = [vo_names.get(vo, vo.casefold()) for vo in vos_of(entry)]
    for vo in vos:
        _right(vo, VO_NAME, "is no VO name")
    caps = entry.per_entry
    glideins = _there(caps and caps.cap("glideins"), "glideins", "is not given for the entry as a number")
    idle = _there(caps and caps.cap("idle"), "idle", "is not given for the entry as a number")
    resource = resource_of(entry, resources) or entry.value(RESOURCE)
    table: dict[str, Any] = {
        "name": name,
        "resource": _there(resource, RESOURCE, "is not given, and the registry does not know the host"),
        "grid_resource": _right(grid_resource, GRID_RESOURCE, "is nothing that the factory submits to"),
        "cores": _there(cores_of(entry), CORES, "is not given as a number"),
        "memory_mib": _there(memory_of(entry), MEMORY, "is not given"),
        "walltime_seconds": _there(whole_number(entry.value(WALLTIME)), WALLTIME, "is not given as a number"),
        "vos": _there(vos, VOS, "names no VO"),
        "max_pilots": glideins,
        # A cap above the total never binds: equal is the same.
        "max_idle": min(idle, glideins),
        "enabled": entry.enabled,
    }
    if not entry.enabled:
        table["reason"] = entry.comment or f"disabled in {entry.file}, no reason given"
    submit = _submit(entry)
    if entry.enabled and entry.grid_type == arc.GRID_TYPE and not submit.keys() & set(arc.CREDENTIALS):
        # There the credentials come from the frontends.
        table |= {"enabled": False, "reason": f"needs {' or '.join(arc.CREDENTIALS)} in its submit table"}
    return table | {"attributes": _attributes(entry, types), "submit": submit}


def _attributes(entry: ForeignEntry, types: Mapping[str, TypeName]) -> dict[str, Scalar]:
    """What it publishes for matching, or in its pilots' ads; what only configures a glidein stays behind."""
    return {
        each.name: typed(each.value, types[each.name])
        for each in entry.attributes
        if each.name in types and (each.says("publish") or each.says("glidein_publish"))
    }


def _submit(entry: ForeignEntry) -> dict[str, str]:
    commands = {each.name: each.value for each in entry.submit if each.name.casefold() not in _AS_COMMANDS}
    for name, value in commands.items():
        if "\n" in value:
            raise InvalidInput(entry.name, name, "is a submit attribute of several lines")
    return commands


def _types(entries: Iterable[ForeignEntry]) -> dict[str, TypeName]:
    """One type for each attribute: the narrowest that holds every value, text where a file says so."""
    values: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for entry in entries:
        for each in entry.attributes:
            if (
                each.name not in _AS_KEYS
                and each.name.casefold() not in _BUILT_IN
                and NAME.fullmatch(each.name)
            ):
                values[each.name].append((each.type, each.value))
    return {name: _narrowest(found) for name, found in values.items()}


def _narrowest(values: list[tuple[str, str]]) -> TypeName:
    if {kind for kind, _ in values} == {"string"}:
        return "string"
    texts = [text for _, text in values]
    if all(text.strip().casefold() in ("true", "false") for text in texts):
        return "bool"
    return "int" if all(whole_number(text) is not None for text in texts) else "string"


def _of_rsl(entry: ForeignEntry, word: str) -> str:
    pairs: list[tuple[str, str]] = _RSL.findall(entry.given.get("rsl", ""))
    return next((value for name, value in pairs if name.casefold() == word), "")


def _there(value: Any, what: str, lack: str) -> Any:
    if value in (None, "", []):
        raise InvalidInput("entry", what, lack)
    return value


def _right(text: str, pattern: re.Pattern[str], lack: str) -> str:
    if not pattern.fullmatch(text):
        raise InvalidInput("entry", text, lack)
    return text


def _left_out(entry: ForeignEntry, reason: str) -> LeftOut:
    return LeftOut(file=entry.file, line=entry.line, entry=entry.name, enabled=entry.enabled, reason=reason)
