"""Behind each figure: values with labels, and the command that computes it again."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from opengoc.base.figure import Figure
from opengoc.reports.evidence import command_of, evidence_lines

AS_OF = datetime(2026, 11, 17, 9, 30, tzinfo=UTC)
WINDOW = "2026-11-09T00:00:00Z/2026-11-16T00:00:00Z"


def figure(evidence: dict[str, object], **dimensions: str) -> Figure:
    return Figure.known("jobs", 3, "jobs", as_of=AS_OF, dimensions=dimensions, evidence=evidence)


def test_values_have_labels_and_units() -> None:
    evidence = {
        "table": "accounting_usage",
        "version": 1017,
        "window": WINDOW,
        "sites": ["ITB-CONDOR", ""],
        "jobs": 2240,
        "seen_seconds": 7200.0,
        "until": None,
    }
    assert evidence_lines(figure(evidence)) == (
        ("Table", "accounting_usage, version 1017"),
        ("Window", "2026-11-09 00:00 UTC to 2026-11-16 00:00 UTC"),
        ("Sites", "ITB-CONDOR, not stated"),
        ("Jobs", "2,240"),
        ("Seen", "2.0 h"),
        ("Until", "unknown"),
    )


@pytest.mark.parametrize(
    ("dimensions", "by"), [({"vo": "cms"}, "vo"), ({"vo": "cms", "site": "X"}, "vo,site"), ({}, "kind")]
)
def test_usage_names_its_week_kind_and_grouping(dimensions: dict[str, str], by: str) -> None:
    made = figure({"window": WINDOW, "records": "pilot"}, **dimensions)
    assert command_of(made) == (
        f"goc accounting usage --week 2026-W46 --kind pilot --by {by} --as-of 2026-11-17T09:30:00Z"
    )


def test_availability_names_its_site_and_profile() -> None:
    evidence: dict[str, object] = {"window": WINDOW, "until": "2026-11-12T00:00:00Z", "profile": "argo-egi"}
    assert command_of(figure(evidence, site="ITB CONDOR; ls")) == (
        "goc ar 'ITB CONDOR; ls' --from 2026-11-09T00:00:00Z --to 2026-11-12T00:00:00Z --profile argo-egi"
        " --as-of 2026-11-17T09:30:00Z"
    )


def test_what_no_command_computes_has_none() -> None:
    assert command_of(figure({"seen_seconds": 3})) == ""
