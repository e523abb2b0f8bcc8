"""The match policy: attributes that requirements may name, and what each VO requires of an entry."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from opengoc.base.errors import InvalidInput
from opengoc.condor.classads import render
from opengoc.factory.check import Mistake
from opengoc.factory.expression import (
    Attribute,
    Requirements,
    TypeName,
    Vocabulary,
    parse_requirements,
)
from opengoc.factory.faults import Document, Fault
from opengoc.factory.tree import Node

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
VO_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")

#: What every job has.
JOB_ATTRIBUTES = (
    Attribute(name="VO", type="string"),
    Attribute(name="RequestCpus", type="int", unit="cores", default=1),
    Attribute(name="RequestMemory", type="int", unit="MiB", default=128),
    Attribute(name="RequestDisk", type="int", unit="KiB", default=1024),
    Attribute(name="DESIRED_Sites", type="string", default=""),
)
#: What every entry has; the values come from its own keys and from the registry.
ENTRY_ATTRIBUTES = (
    Attribute(name="Name", type="string"),
    Attribute(name="Resource", type="string"),
    Attribute(name="Site", type="string"),
    Attribute(name="Cores", type="int", unit="cores"),
    Attribute(name="MemoryMiB", type="int", unit="MiB"),
    Attribute(name="DiskMiB", type="int", unit="MiB"),
    Attribute(name="WalltimeSeconds", type="int", unit="s"),
)

#: Always required beside what a VO requires: the pilot is of the job's VO and large enough. Without it a job
#: that fits nowhere would ask for pilots for ever.
ALWAYS = (
    'job.VO =?= "{vo}" && job.RequestCpus <= entry.Cores && job.RequestMemory <= entry.MemoryMiB'
    " && job.RequestDisk <= entry.DiskMiB * 1024 && ({requirements})"
)


@dataclass(frozen=True, kw_only=True)
class Own:
    """What a VO wrote itself, without ``ALWAYS``."""

    #: Line of the file at which it begins.
    line: int
    #: As read; places in it count from its own beginning.
    written: Node


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Who may run what where."""

    vocabulary: Vocabulary
    #: By VO, in lower case; ``ALWAYS`` is part of each.
    requirements: Mapping[str, Requirements]
    #: By VO.
    own: Mapping[str, Own]

    @property
    def job_attributes(self) -> tuple[str, ...]:
        """Every job attribute that any VO's requirements name: what has to be fetched of a job."""
        return tuple(sorted({n for each in self.requirements.values() for n in each.job_attributes}))

    def content(self) -> dict[str, Any]:
        """What the digest is made of: all that decides which job runs where, as JSON values."""
        return {
            **{
                side: {each.name: [each.type, each.default] for each in declared.values()}
                for side, declared in (("job", self.vocabulary.job), ("entry", self.vocabulary.entry))
            },
            "vos": {vo: render(each.match) for vo, each in self.requirements.items()},
        }


def read_policy(text: str, file: str) -> tuple[Policy, tuple[Fault, ...]]:
    """The policy of a file, without what is at fault in it. Raises InvalidInput where it is no TOML."""
    document = Document(text, file)
    faults = [
        Fault(
            line=document.line(key), subject=key, rule="is no known table: job, entry, vos, canaries, limits"
        )
        for key in document.content.keys() - {"job", "entry", "vos", "canaries", "limits"}
    ]
    vocabulary = Vocabulary(
        job=_declared(document, "job", JOB_ATTRIBUTES, faults),
        entry=_declared(document, "entry", ENTRY_ATTRIBUTES, faults),
    )
    requirements, own = _requirements(document, vocabulary, faults)
    if not requirements and not faults:
        faults.append(Fault(line=0, subject="vos", rule="needs at least one table such as [vos.cms]"))
    return Policy(vocabulary=vocabulary, requirements=requirements, own=own), tuple(faults)


def _declared(
    document: Document, side: str, built_in: tuple[Attribute, ...], faults: list[Fault]
) -> dict[str, Attribute]:
    known = {attribute.name.casefold(): attribute for attribute in built_in}
    for name, declaration in _tables(document, side, faults).items():
        problem = _problem(name, declaration, known)
        if problem:
            subject = f"{side}.{name}"
            faults.append(Fault(line=document.line(side, name), subject=subject, rule=problem))
        else:
            known[name.casefold()] = Attribute(name=name, **declaration)
    return known


def _problem(name: str, declaration: dict[str, Any], known: Mapping[str, Attribute]) -> str:
    """Why this declaration cannot stand; empty when it can."""
    if not NAME.fullmatch(name):
        return "is no attribute name: letters, digits and _"
    if name.casefold() in known:
        return "is declared already (names differ by more than their case)"
    if extra := sorted(declaration.keys() - {"type", "unit", "default"}):
        return f"has unknown keys {', '.join(extra)}: type, unit and default are known"
    if declaration.get("type") not in get_args(TypeName):
        return f"needs a type of {', '.join(get_args(TypeName))}"
    if not isinstance(declaration.get("unit", ""), str):
        return "has a unit that is no text"
    attribute = Attribute(name=name, type=declaration["type"])
    default = declaration.get("default")
    if default is not None and not attribute.accepts(default):
        return f"has a default {default!r} that is no {attribute.type}"
    return ""


def _requirements(
    document: Document, vocabulary: Vocabulary, faults: list[Fault]
) -> tuple[dict[str, Requirements], dict[str, Own]]:
    """What each VO requires: with ``ALWAYS``, and as it wrote it."""
    whole, own = {}, {}
    for vo, table in _tables(document, "vos", faults).items():
        line = document.line("vos", vo, "requirements")
        try:
            whole[vo], by_itself = _requirement(vo, table, vocabulary)
        except InvalidInput as error:
            rule = f"{error.where}: {error.value!r} {error.rule}"
            faults.append(Fault(line=line, subject=f"vos.{vo}", rule=rule))
        else:
            own[vo] = Own(line=line, written=by_itself.written)
            faults += [fault_of(vo, line, mistake) for mistake in by_itself.mistakes()]
    return whole, own


def fault_of(vo: str, line: int, mistake: Mistake) -> Fault:
    """A mistake in what a VO wrote, as a fault of the file."""
    return Fault(line=line, subject=f"vos.{vo}", rule=f"requirements, {mistake}")


def _requirement(vo: str, table: dict[str, Any], vocabulary: Vocabulary) -> tuple[Requirements, Requirements]:
    """What a VO requires, with ``ALWAYS``, and its own part by itself."""
    if not VO_NAME.fullmatch(vo):
        raise InvalidInput("vos", vo, "is no VO name: lower case letters, digits, . _ -")
    if extra := sorted(table.keys() - {"requirements"}):
        raise InvalidInput("vos", ", ".join(extra), "unknown key: only requirements is known")
    text = table.get("requirements")
    if not isinstance(text, str):
        raise InvalidInput("vos", text, 'needs requirements: a ClassAd expression ("true" takes all)')
    # The VO's own text has to stand by itself: a bracket in it must not close the one around it.
    own = parse_requirements(text, vocabulary, "requirements")
    # The closing bracket on its own line: the text may end in a comment.
    whole = ALWAYS.format(vo=vo, requirements=f"{text}\n")
    return parse_requirements(whole, vocabulary, "requirements"), own


def _tables(document: Document, name: str, faults: list[Fault]) -> dict[str, dict[str, Any]]:
    """The tables below ``name``; anything else there is a fault."""
    content = document.content.get(name, {})
    if not isinstance(content, dict):
        faults.append(Fault(line=document.line(name), subject=name, rule=f"must be tables [{name}.NAME]"))
        return {}
    for key in [key for key, value in content.items() if not isinstance(value, dict)]:
        rule = f"must be a table [{name}.{key}]"
        faults.append(Fault(line=document.line(name, key), subject=f"{name}.{key}", rule=rule))
    return {key: value for key, value in content.items() if isinstance(value, dict)}
