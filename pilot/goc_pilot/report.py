"""The pilot's report: one JSON document that always holds the last known state.

Written early and again at every change, so that a pilot that is killed leaves more than nothing.
"""

import json
import os
import platform
import socket
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

from goc_pilot.clock import format_epoch
from goc_pilot.condor_logs import Jobs
from goc_pilot.config import Config
from goc_pilot.ends import Ending
from goc_pilot.processes import Usage
from goc_pilot.validations import Row

SCHEMA = "goc-pilot-report/1"
BEGIN_MARKER = "=== GOC PILOT REPORT BEGIN ==="
END_MARKER = "=== GOC PILOT REPORT END ==="


class Record(NamedTuple):
    """What the pilot knows about itself; replaced, never changed."""

    #: Digest of the pilot's own file; "" when it does not run from one file.
    pilot_file: str
    started_at: float
    log_tails: Mapping[str, List[str]]
    #: configuring | validating | starting | running | ending | ended
    state: str = "configuring"
    #: As far as known before a configuration is read.
    pilot_id: str = ""
    config: Optional[Config] = None
    validations: Tuple[Row, ...] = ()
    startd_started_at: Optional[float] = None
    #: When the startd had sent its first update to the collector.
    joined_at: Optional[float] = None
    #: None: not known.
    jobs: Optional[Jobs] = None
    #: Why ``jobs`` is not known.
    jobs_reason: str = "no startd was started"
    ending: Optional[Ending] = None
    ended_at: Optional[float] = None


def report(record: Record, now: float, usage: Usage) -> Dict[str, Any]:
    """The report as JSON values. Times are ISO 8601 UTC; what is not known is null with a reason, never 0."""
    config = record.config
    return {
        "schema": SCHEMA,
        "pilot_id": config.pilot_id if config else record.pilot_id or None,
        "pilot_file": record.pilot_file or None,
        "policy_digest": config.policy_digest if config else None,
        "factory": config.factory if config else None,
        "entry": config.entry if config else None,
        "site": config.site if config else None,
        "resource": config.resource if config else None,
        "vos": list(config.vos) if config else [],
        "overrides": dict(config.overrides) if config else {},
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "state": record.state,
        "started_at": format_epoch(record.started_at),
        "updated_at": format_epoch(now),
        "ended_at": format_epoch(record.ended_at),
        "end": _end(record.ending),
        "validations": [dict(row._asdict()) for row in record.validations],
        "startd": {
            "started_at": format_epoch(record.startd_started_at),
            "joined_at": format_epoch(record.joined_at),
        },
        "jobs": _jobs(record),
        "usage": dict(usage._asdict(), wall_seconds=round(now - record.started_at, 1)),
        "log_tails": dict(record.log_tails),
    }


def _end(ending: Optional[Ending]) -> Optional[Dict[str, Any]]:
    if ending is None:
        return None
    return {"reason": ending.reason, "message": ending.message, "exit_code": ending.exit_code}


def _jobs(record: Record) -> Dict[str, Any]:
    if record.jobs is None:
        return {
            "running": None,
            "seen": None,
            "finished": None,
            "wall_seconds": None,
            "reason": record.jobs_reason,
        }
    return dict(record.jobs._asdict(), reason="")


def write_report(path: str, document: Dict[str, Any]) -> None:
    """Write the report so that a reader sees the old one or the new one whole. Raises OSError."""
    written = "{}.{}".format(path, os.getpid())
    with open(written, "w", encoding="utf-8") as report_file:
        json.dump(document, report_file, indent=1, sort_keys=True)
        report_file.write("\n")
        report_file.flush()
        os.fsync(report_file.fileno())
    os.replace(written, path)


def framed(document: Dict[str, Any]) -> str:
    """The report between its marker lines, for a batch system that brings back standard output alone."""
    return "\n".join((BEGIN_MARKER, json.dumps(document, indent=1, sort_keys=True), END_MARKER))
