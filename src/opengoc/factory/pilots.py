"""What is submitted for one pilot: its configuration file and its job. Pure.

The pilot's own side of this contract: docs/reference/pilot.md.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from opengoc.base.instant import format_instant
from opengoc.condor.classads import literal
from opengoc.factory import arc
from opengoc.factory.configuration import Configuration
from opengoc.factory.entries import Entry

CONFIG_FILE = "pilot.json"
REPORT_FILE = "pilot-report.json"
STDOUT, STDERR = "stdout", "stderr"

#: How each batch system is told a job's name, by which its completion log is joined to the pilot.
_JOB_NAME = {"slurm": "--job-name={}", "pbs": "-N {}", "lsf": "-J {}", "sge": "-N {}"}


@dataclass(frozen=True, kw_only=True)
class Premises:
    """What every pilot of this factory shares."""

    #: Name of the factory.
    name: str
    #: Schedd that the pilots are submitted to.
    schedd: str
    #: Collector of the pool that they join, host:port.
    collector: str
    #: IDTOKEN that they join it with.
    token_file: Path
    #: The pilot as one executable file.
    pilot_file: Path
    #: Folder that the pilots' configurations and output are kept in.
    folder: Path
    #: Name under which it shares what is applied with its mirrors; empty: its own.
    shared_name: str = ""

    @property
    def group(self) -> str:
        """Name under which things are applied, paused and limited."""
        return self.shared_name or self.name

    def pilot_folder(self, pilot_id: str, now: datetime) -> Path:
        """Where one pilot's files are kept: a folder a day."""
        return self.folder / "pilots" / f"{now:%Y-%m-%d}" / pilot_id


def pilot_config(
    premises: Premises,
    configuration: Configuration,
    entry: Entry,
    *,
    vo: str,
    pilot_id: str,
    now: datetime,
) -> dict[str, Any]:
    """The pilot's configuration, as JSON values."""
    own = {
        "pilot_id": pilot_id,
        "factory": premises.name,
        "entry": entry.name,
        "site": entry.site,
        "resource": entry.resource,
        "vos": [vo],
        "policy_digest": configuration.digest,
        "collector": premises.collector,
        "start": configuration.start(entry, vo),
        "cores": entry.cores,
        "memory_mib": entry.memory_mib,
        "disk_mib": entry.disk_mib,
        "walltime_seconds": entry.walltime_seconds,
        "token_file": premises.token_file.name,
        "issued_at": format_instant(now.replace(microsecond=0)),
        "attributes": dict(entry.attributes),
    }
    return {**entry.pilot, **own}


def submit_description(
    premises: Premises,
    configuration: Configuration,
    entry: Entry,
    *,
    vo: str,
    pilot_id: str,
    folder: Path,
) -> dict[str, str]:
    """The pilot's job, as submit commands; its files are in ``folder`` and are to be spooled."""
    attributes = {
        "GOC_PilotId": pilot_id,
        "GOC_Entry": entry.name,
        "GOC_VO": vo,
        "GOC_Digest": configuration.digest,
        "GLIDEIN_Site": entry.site,
        "GLIDEIN_Resource": entry.resource,
        "GLIDEIN_Entry_Name": entry.name,
        "GLIDEIN_Factory": premises.name,
    }
    return {
        "universe": "grid",
        "grid_resource": entry.grid_resource,
        "executable": str(premises.pilot_file),
        "transfer_executable": "true",
        "arguments": f"--config {CONFIG_FILE}",
        "initialdir": str(folder),
        "transfer_input_files": f"{folder / CONFIG_FILE},{premises.token_file}",
        "should_transfer_files": "YES",
        "when_to_transfer_output": "ON_EXIT",
        # The report comes back in standard output, which is there however a pilot ends: a file that is named
        # here and was never written would put the job on hold, and keep the rest from coming back.
        "transfer_output_files": "",
        "output": STDOUT,
        "error": STDERR,
        "request_cpus": str(entry.cores),
        "request_memory": str(entry.memory_mib),
        "batch_name": f"pilots of {entry.name}",
        **_at_the_site(entry, attributes, pilot_id),
        **{f"+{name}": literal(value) for name, value in attributes.items()},
    }


def _at_the_site(entry: Entry, attributes: Mapping[str, str], pilot_id: str) -> dict[str, str]:
    """What the site's own batch system is told: who the pilot is, and how long it runs."""
    kind, system = entry.grid_resource.split()[:2]
    if kind == "condor":
        # A gridmanager hands what is called remote_X on to the site's schedd as X.
        told = {f"+remote_{name}": literal(value) for name, value in attributes.items()}
        return {**told, "+maxWallTime": str(-(-entry.walltime_seconds // 60)), **entry.submit}
    if kind == arc.GRID_TYPE:
        # No attribute of the job gets there: GridJobId, in the factory's schedd, says which one the pilot is.
        return arc.commands(entry)
    arguments = [
        _JOB_NAME[system].format(shlex.quote(pilot_id)) if system in _JOB_NAME else "",
        entry.submit.get("batch_extra_submit_args", ""),
    ]
    return {
        "batch_runtime": str(entry.walltime_seconds),
        # blahp takes the number of cores from here, not from request_cpus.
        "+remote_SMPGranularity": str(entry.cores),
        **entry.submit,
        "batch_extra_submit_args": " ".join(filter(None, arguments)),
    }
