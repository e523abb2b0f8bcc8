"""Rules about names and attributes: given twice, in two types, or not at all. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from opengoc.factory.formats import convert
from opengoc.factory.formats.foreign import ForeignEntry, whole_number
from opengoc.factory.lint_scene import Hit, Scene

#: The node says how much memory a pilot has, by its share of the cores.
_ESTIMATE = "GLIDEIN_MaxMemMBs_Estimate"


def duplicate_names(scene: Scene) -> Iterator[Hit]:
    """An entry whose name another one has."""
    for several in scene.by_name.values():
        last = several[-1]
        for entry in several if len(several) > 1 else ():
            others = ", ".join(f"{o.file}:{o.line}" for o in several if o is not entry)
            states = (
                "" if len({o.enabled for o in several}) == 1 else " (enabled in one, disabled in another)"
            )
            place = f"{last.file}:{last.line}"
            advice = (
                f"only the one in {place} runs: remove this one"
                if entry is not last
                else "this one runs, being the last: remove the others"
            )
            yield Hit(entry=entry, value=f"also in {others}{states}", advice=advice)


def duplicate_attributes(scene: Scene) -> Iterator[Hit]:
    """An attribute that stands twice in one entry."""
    for entry in scene.entries:
        counts = Counter(each.name for each in entry.attributes)
        for name in (name for name, count in counts.items() if count > 1):
            given = [each for each in entry.attributes if each.name == name]
            said = ", ".join(repr(each.value) for each in given)
            yield Hit(entry=entry, line=given[-1].line, value=f"{name}: {said}")


def attribute_types(scene: Scene) -> Iterator[Hit]:
    """An attribute in another type than most entries give it."""
    for entry in scene.entries:
        for each in entry.attributes:
            kinds = scene.types[each.name]
            usual, count = max(kinds.items(), key=lambda pair: (pair[1], pair[0]))
            if each.type != usual:
                yield Hit(
                    entry=entry,
                    line=each.line,
                    value=f"{each.name}: {each.type} in {kinds[each.type]}, {usual} in {count}",
                    advice=f'write type="{usual}"',
                )


def attribute_values(scene: Scene) -> Iterator[Hit]:
    """An integer that is none."""
    for entry in scene.entries:
        for each in entry.attributes:
            if each.type == "int" and whole_number(each.value) is None:
                yield Hit(entry=entry, line=each.line, value=f"{each.name}: {each.value!r}")


def list_repeats(scene: Scene) -> Iterator[Hit]:
    """A VO that is listed twice."""
    for entry in scene.entries:
        listed = Counter(word.strip() for word in entry.value(convert.VOS).split(","))
        twice = [name for name, count in listed.items() if count > 1]
        if twice:
            yield Hit(entry=entry, line=_line(entry, convert.VOS), value=f"{convert.VOS}: {', '.join(twice)}")


def list_blanks(scene: Scene) -> Iterator[Hit]:
    """A list with blanks in it, or with an item that is empty."""
    for entry in scene.entries:
        text = entry.value(convert.VOS)
        if text and any(not word or word != word.strip() for word in text.split(",")):
            yield Hit(entry=entry, line=_line(entry, convert.VOS), value=f"{convert.VOS}: {text!r}")


def missing(scene: Scene, attribute: str) -> Iterator[Hit]:
    """An attribute that every entry should have; an empty one is none."""
    for entry in scene.entries:
        if not entry.value(attribute) and not (attribute == convert.MEMORY and _is_estimated(entry)):
            instead = _instead(entry, attribute)
            value = f"no {attribute}" + (f"; {instead}" if instead else "")
            yield Hit(entry=entry, value=value, line=_line(entry, attribute))


def estimated_memory(scene: Scene) -> Iterator[Hit]:
    """An entry that leaves its memory to the node."""
    for entry in scene.entries:
        if not entry.value(convert.MEMORY) and _is_estimated(entry):
            yield Hit(entry=entry, value=f"{_ESTIMATE} True", line=_line(entry, _ESTIMATE))


def disabled_with_reason(scene: Scene) -> Iterator[Hit]:
    """A disabled entry, with its reason."""
    for entry in scene.entries:
        if not entry.enabled and entry.comment:
            yield Hit(entry=entry, value=entry.comment)


def disabled_without_reason(scene: Scene) -> Iterator[Hit]:
    """A disabled entry that says nothing of the reason."""
    for entry in scene.entries:
        if not entry.enabled and not entry.comment:
            yield Hit(entry=entry, value="no comment")


def _instead(entry: ForeignEntry, attribute: str) -> str:
    """What the entry says in place of an attribute that it lacks."""
    if attribute == convert.CORES:
        return _asked(_told_cores(entry), "cores")
    return _asked(convert.memory_of(entry), "MiB") if attribute == convert.MEMORY else ""


def _is_estimated(entry: ForeignEntry) -> bool:
    return entry.value(_ESTIMATE) == "True"


def _told_cores(entry: ForeignEntry) -> int | None:
    # One core that glideinWMS takes where nobody says anything was told by nobody.
    told = entry.value(convert.ESTIMATED_CORES) or entry.submit_value(
        "+xcount", "request_cpus", "RequestCpus"
    )
    return convert.cores_of(entry) if told or entry.given.get("rsl") else None


def _asked(amount: int | None, unit: str) -> str:
    return f"elsewhere it says {amount} {unit}" if amount else ""


def _line(entry: ForeignEntry, attribute: str) -> int:
    found = entry.attribute(attribute)
    return found.line if found else 0
