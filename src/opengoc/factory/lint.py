"""What is wrong in the files of a glideinWMS factory: every finding with its place and what to do. Pure.

The rules are a table (``factory/lint_rules.py``); each looks at one thing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from opengoc.factory.formats.foreign import ForeignEntry
from opengoc.factory.lint_rules import RULES, Level, Scene
from opengoc.registry.snapshot import Registry


@dataclass(frozen=True, kw_only=True, order=True)
class Finding:
    """One thing that is wrong."""

    file: str
    line: int
    entry: str
    #: Whether the entry is enabled: what is wrong in another one hurts nobody today.
    enabled: bool
    rule: str
    level: Level
    #: What was found.
    value: str
    #: What to do.
    advice: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.entry}: {self.rule}: {self.value}: {self.advice}"


@dataclass(frozen=True, kw_only=True)
class LintReport:
    """All findings, by place."""

    entries: int
    enabled: int
    findings: tuple[Finding, ...]
    #: Rules that could not be applied, with the reason: no findings of them says nothing.
    not_checked: tuple[tuple[str, str], ...]

    @property
    def is_clean(self) -> bool:
        """Whether nothing but notes was found."""
        return all(finding.level is Level.NOTE for finding in self.findings)

    def counts(self) -> dict[str, dict[str, int]]:
        """By rule: findings in all, and in enabled entries; rules without one are left out."""
        return {
            rule.name: {"all": len(found), "enabled": sum(each.enabled for each in found)}
            for rule in RULES
            if (found := [finding for finding in self.findings if finding.rule == rule.name])
        }


def lint(
    entries: Iterable[ForeignEntry], registry: Registry | None, *, only: Collection[str] = ()
) -> LintReport:
    """Every rule, or those named by ``only``, on every entry; ``registry`` None: there is none to ask."""
    given: Sequence[ForeignEntry] = tuple(entries)
    scene = Scene(entries=given, registry=registry)
    chosen = [rule for rule in RULES if not only or rule.name in only]
    usable = [rule for rule in chosen if registry is not None or not rule.needs_registry]
    findings = {
        Finding(
            file=hit.entry.file,
            line=hit.line or hit.entry.line,
            entry=hit.entry.name,
            enabled=hit.entry.enabled,
            rule=rule.name,
            level=rule.level if hit.entry.enabled or rule.of_disabled else Level.NOTE,
            value=hit.value,
            advice=hit.advice or rule.advice,
        )
        for rule in usable
        for hit in rule.check(scene)
    }
    reason = "the registry holds no resource: import it with `goc registry import`"
    return LintReport(
        entries=len(given),
        enabled=sum(entry.enabled for entry in given),
        findings=tuple(sorted(findings)),
        not_checked=tuple((rule.name, reason) for rule in chosen if rule not in usable),
    )
