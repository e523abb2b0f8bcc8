"""Is a registry tree fit to be imported? Every finding at once, and the tree that is left of it."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from opengoc.registry.findings import FaultyTree, Finding, Findings, Grade
from opengoc.registry.formats.topology_tree import quarantined, read_tree
from opengoc.registry.references import check_references
from opengoc.registry.tree import Tree


def lint_tree(root: Path) -> tuple[Tree, tuple[Finding, ...]]:
    """The tree below ``root`` and all that is wrong with it, by file and line.

    Raises InvalidInput when ``root`` holds no registry tree.
    """
    findings = Findings()
    tree = read_tree(root, findings)
    check_references(tree, findings)
    return tree, tuple(findings.ordered())


def read_sound_tree(root: Path, *, strict: bool) -> tuple[Tree, tuple[Finding, ...]]:
    """The tree to import, and the findings that were passed over.

    Strict: any finding refuses the tree. Else doubts pass, and a downtime with a fault is quarantined (what
    stands under its id stays as it is); any other fault refuses the tree. Raises FaultyTree with all reasons.
    """
    tree, findings = lint_tree(root)
    reasons = [finding for finding in findings if strict or not _passes(finding)]
    if reasons:
        raise FaultyTree(reasons)
    faults: defaultdict[str, list[str]] = defaultdict(list)
    for finding in findings:
        if finding.grade is Grade.FAULT:
            faults[finding.where].append(f"{finding.value} {finding.rule}")
    for downtime_id, entry in list(tree.of("downtime").items()):
        if entry.where in faults:
            tree.quarantine(
                quarantined(downtime_id, entry.row, entry.where, faults[entry.where]), entry.where
            )
    return tree, findings


def _passes(finding: Finding) -> bool:
    return finding.grade is Grade.DOUBT or finding.kind == "downtime"
