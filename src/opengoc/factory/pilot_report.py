"""What a pilot says of its life: the last report in its standard output."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from opengoc.factory.pilots import REPORT_FILE, STDOUT

_BEGIN = "=== GOC PILOT REPORT BEGIN ==="
_END = "=== GOC PILOT REPORT END ==="


def read_report(stdout: str) -> dict[str, Any] | None:
    """The last whole report; None where there is none: the pilot never started, or its output was lost.

    Other programs write between the lines, too::

        === GOC PILOT REPORT BEGIN ===
        {"schema": "goc-pilot-report/1", "pilot_id": "plt-3f9c2a71be04", "state": "ended", ...}
        === GOC PILOT REPORT END ===
    """
    for block in reversed(stdout.split(_BEGIN)[1:]):
        text, end, _ = block.partition(_END)
        if end:
            try:
                report = json.loads(text)
            except json.JSONDecodeError:
                continue
            if isinstance(report, dict):
                return report
    return None


def keep_report(folder: Path) -> dict[str, Any] | None:
    """Write the report in a pilot's standard output beside it, as a file; None where there is none."""
    try:
        stdout = (folder / STDOUT).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    report = read_report(stdout)
    if report is not None:
        (folder / REPORT_FILE).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return report
