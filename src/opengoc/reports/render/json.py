"""The report as JSON, for programs."""

from __future__ import annotations

import json

from opengoc.reports.document import to_json
from opengoc.reports.model import Report


def render(report: Report) -> str:
    """The document of ``reports.document`` as indented text."""
    return json.dumps(to_json(report), ensure_ascii=False, indent=2) + "\n"
