"""Canaries: jobs that must, or must not, run behind an entry, kept beside the policy that they watch over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from opengoc.factory.expression import Scalar, Vocabulary
from opengoc.factory.faults import Document, Fault

TABLE = "canaries"
_KINDS = {"must_run": True, "must_not_run": False}
_KEYS = frozenset({"name", "entry", "job"})


@dataclass(frozen=True, kw_only=True)
class Canary:
    """One job and one entry, and whether the one may run behind the other."""

    name: str
    entry: str
    must_run: bool
    #: The job's attributes by their declared names; ``VO`` is among them.
    job: Mapping[str, Scalar] = field(default_factory=dict)

    @property
    def vo(self) -> str:
        """The VO of the job."""
        return str(self.job["VO"])


def read_canaries(
    text: str, file: str, *, vocabulary: Vocabulary, entries: frozenset[str]
) -> tuple[tuple[Canary, ...], tuple[Fault, ...]]:
    """The canaries of a policy file, in its order, and every fault. Raises InvalidInput where it is no TOML.

    ``entries`` are the names that canaries may point at.
    """
    document = Document(text, file)
    table = document.content.get(TABLE, {})
    if not isinstance(table, dict):
        rule = "must be [[canaries.must_run]] and [[canaries.must_not_run]]"
        return (), (Fault(line=document.line(TABLE), subject=TABLE, rule=rule),)
    faults = [
        Fault(
            line=document.line(TABLE, key),
            subject=f"{TABLE}.{key}",
            rule="is neither must_run nor must_not_run",
        )
        for key in table.keys() - _KINDS.keys()
    ]
    found = []
    for kind, must_run in _KINDS.items():
        several = table.get(kind, [])
        if not isinstance(several, list) or not all(isinstance(each, dict) for each in several):
            rule = f"must be [[{TABLE}.{kind}]]"
            faults.append(Fault(line=document.line(TABLE, kind), subject=f"{TABLE}.{kind}", rule=rule))
            continue
        for number, content in enumerate(several):
            rules = _rules(content, vocabulary, entries)
            line = document.line(TABLE, kind, number)
            subject = f"{TABLE}.{kind} number {number + 1}"
            faults += [Fault(line=line, subject=subject, rule=rule) for rule in rules]
            if not rules:
                found.append(_canary(content, vocabulary, must_run=must_run))
    return tuple(found), tuple(faults)


def _rules(content: dict[str, Any], vocabulary: Vocabulary, entries: frozenset[str]) -> list[str]:
    """The rules that a canary breaks."""
    broken = [f"{key} is no known key" for key in sorted(content.keys() - _KEYS)]
    if not isinstance(content.get("name", ""), str):
        broken.append("name is no text")
    if content.get("entry") not in entries:
        broken.append(f"entry {content.get('entry')!r} is none of the entries")
    job = content.get("job")
    if not isinstance(job, dict):
        return [*broken, 'needs job = { VO = "…" } with the attributes of a job']
    for name, value in job.items():
        attribute = vocabulary.job.get(name.casefold())
        if attribute is None:
            broken.append(f"job.{name} is not declared: add [job.{name}] with its type")
        elif not attribute.accepts(value):
            broken.append(f"job.{name} must be a {attribute.type}, not {value!r}")
    if "vo" not in {name.casefold() for name in job}:
        broken.append("job has no VO")
    return broken


def _canary(content: dict[str, Any], vocabulary: Vocabulary, *, must_run: bool) -> Canary:
    job = {vocabulary.job[name.casefold()].name: value for name, value in content["job"].items()}
    words = "runs" if must_run else "does not run"
    name = content.get("name") or f"a job of {job['VO']} {words} behind {content['entry']}"
    return Canary(name=name, entry=content["entry"], must_run=must_run, job=job)
