"""What is wrong with registry data: every finding with its place, collected and shown at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from opengoc.base.errors import InvalidInput

#: So many findings are spelled out in an error message; all of them are in its ``findings``.
_SHOWN = 50


class Grade(StrEnum):
    """Whether an entry can be taken in spite of a finding."""

    #: The entry cannot be taken: no sound value follows from it.
    FAULT = "fault"
    #: The entry can be taken, yet is probably not what its author meant.
    DOUBT = "doubt"


@dataclass(frozen=True, kw_only=True, order=True)
class Finding:
    """One rule broken at one place."""

    #: ``path:line`` inside the tree.
    where: str
    value: str
    rule: str
    grade: Grade = Grade.FAULT
    #: Kind of the entry it is in: ``downtime``, ``resource``…; empty for a file as a whole.
    kind: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.value}: {self.rule}"

    def to_json(self) -> dict[str, Any]:
        """The finding as JSON values."""
        return {
            "grade": self.grade.value,
            "where": self.where,
            "value": self.value,
            "rule": self.rule,
            "kind": self.kind,
        }


class FaultyTree(InvalidInput):
    """A registry tree that was refused whole; ``findings`` holds every reason, by place."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        first = self.findings[0]
        super().__init__(first.where, first.value, first.rule)
        shown = [f"  {finding}" for finding in self.findings[:_SHOWN]]
        if len(self.findings) > _SHOWN:
            shown.append(f"  … and {len(self.findings) - _SHOWN} more: see `goc registry lint`")
        self.args = (
            "\n".join([f"the registry tree has {len(self.findings)} faults; nothing was imported", *shown]),
        )


@dataclass
class Findings:
    """Collects findings while a tree is read."""

    #: In the order found.
    found: list[Finding] = field(default_factory=list)

    def fault(self, where: str, value: object, rule: str, *, kind: str = "") -> None:
        """Note that an entry cannot be taken."""
        self.found.append(Finding(where=where, value=_shown(value), rule=rule, kind=kind))

    def doubt(self, where: str, value: object, rule: str, *, kind: str = "") -> None:
        """Note that an entry is probably not what was meant."""
        self.found.append(Finding(where=where, value=_shown(value), rule=rule, grade=Grade.DOUBT, kind=kind))

    def ordered(self) -> list[Finding]:
        """All findings, by file and line."""
        return sorted(self.found, key=lambda finding: _place(finding.where))


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _place(where: str) -> tuple[str, int]:
    path, _, line = where.rpartition(":")
    return (path, int(line)) if line.isdigit() else (where, 0)
