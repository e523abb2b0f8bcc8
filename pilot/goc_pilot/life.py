"""A pilot's life, from its configuration to its report.

LIFE is the table of states and their steps, in order. A step that returns an Ending takes the pilot straight
to its end; whatever happens, every process is ended, the work directory goes and the report is written.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from types import FrameType
from typing import Any, Dict, List, Optional, TypeVar

from goc_pilot.condor import Condor, condor_environment, make_folders, start_condor
from goc_pilot.condor_config import Layout, Times, render_condor_config, times_of
from goc_pilot.condor_logs import log_tails, read_jobs
from goc_pilot.config import Config, ConfigError, read_config
from goc_pilot.ends import Ending
from goc_pilot.events import say
from goc_pilot.node import Binaries, Node, affordable_snapshot_seconds, find_condor, visible_processes
from goc_pilot.processes import become_subreaper, end_all, usage
from goc_pilot.report import Record, framed, report, write_report
from goc_pilot.scratch import remove_folder
from goc_pilot.supervision import Limits, Seen, Shutdown, next_shutdown
from goc_pilot.validations import Row, run_validations

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)
_POLL_SECONDS = 0.5
_KILL_SECONDS = 5
_TAIL_LINES = 40


_Made = TypeVar("_Made")


class Interrupted(Exception):
    """A signal asked the pilot to end while it had no HTCondor to wind down."""


class Pilot:
    """One pilot. ``run`` it once."""

    def __init__(self, config_path: str, arguments: List[str], report_path: str, pilot_file: str) -> None:
        self._config_path = config_path
        self._arguments = arguments
        self._report_path = report_path
        self.record = Record(
            pilot_file=pilot_file,
            started_at=time.time(),
            log_tails={},
            pilot_id=os.environ.get("GOC_PILOT_ID", ""),
        )
        self.config: Optional[Config] = None
        self.layout: Optional[Layout] = None
        self.binaries: Optional[Binaries] = None
        self.condor: Optional[Condor] = None
        self._signal_name = ""
        self._signalled_at: Optional[float] = None
        self._signal_interrupts = True
        self._idle_since = self.record.started_at

    def run(self) -> int:
        """Live, and return the exit code. What ends a step unforeseen ends the pilot as ``pilot-error``."""
        for number in _SIGNALS:
            signal.signal(number, self._on_signal)
        # Whether or not its validation is asked for: the end relies on it.
        become_subreaper()
        ending = Ending("pilot-error", "the pilot broke off; see its standard error")
        try:
            ending = self._live()
        except Interrupted as signalled:
            ending = Ending("signal", "got {}".format(signalled))
        except (OSError, subprocess.SubprocessError) as error:
            ending = Ending(
                "pilot-error", "{} while {}: {}".format(type(error).__name__, self.record.state, error)
            )
        finally:
            self._end(ending)
        return ending.exit_code

    def _live(self) -> Ending:
        for state, steps in LIFE:
            self._note(state=state)
            for step in steps:
                ending = step(self)
                if ending is not None:
                    return ending
        return Ending("pilot-error", "the life came to its end without a reason")

    # configuring

    def read_configuration(self) -> Optional[Ending]:
        """Read the configuration with what the site overrides."""
        try:
            with open(self._config_path, encoding="utf-8") as config_file:
                text = config_file.read()
        except (OSError, UnicodeDecodeError) as error:
            return Ending("config-error", "{} cannot be read: {}".format(self._config_path, error))
        try:
            self.config = read_config(text, os.environ, self._arguments)
        except ConfigError as error:
            return Ending("config-error", str(error))
        self._note(config=self.config)
        return None

    def make_work_directory(self) -> Optional[Ending]:
        """Make the folder that everything of this pilot lives in, private to it."""
        parent = os.path.abspath(self._given().work_directory or os.getcwd())
        self.layout = Layout(tempfile.mkdtemp(prefix="goc-pilot-", dir=parent))
        return None

    # validating

    def prepare_condor(self) -> Optional[Ending]:
        """Find HTCondor and render its configuration; the validations look at both."""
        config, layout = self._given(), self._placed()
        make_folders(layout, os.path.abspath(config.token_file))
        self.binaries = find_condor(self._condor_location(), os.environ.get("PATH", ""))
        if self.binaries is not None:
            snapshot_seconds = config.snapshot_seconds or affordable_snapshot_seconds(visible_processes())
            text = render_condor_config(
                config, layout, self._times(), self.binaries, self.record.pilot_file, snapshot_seconds
            )
            with open(layout.condor_config, "w", encoding="utf-8") as target:
                target.write(text)
        return None

    def validate_node(self) -> Optional[Ending]:
        """Run the validations; on a node that fails one, wait a while so as not to eat pilots, and end."""
        config, layout = self._given(), self._placed()
        node = Node(
            work_directory=layout.work_directory,
            cores=config.cores,
            memory_mib=config.memory_mib,
            disk_mib=config.disk_mib,
            ends_at=self._times().ends_at,
            issued_at=config.issued_at,
            collector=config.collector,
            token_file=os.path.abspath(config.token_file),
            condor_location=self._condor_location(),
            condor_config=layout.condor_config,
            environment=condor_environment(os.environ, layout),
        )
        rows = run_validations(node, config.validations, self._record_row)
        failed = [row.name for row in rows if row.forbids_start]
        if not failed:
            return None
        ending = Ending("validation-failed", "failed: {}".format(", ".join(failed)))
        self._note(ending=ending)
        time.sleep(config.failure_pause_seconds)
        return ending

    def _record_row(self, row: Row) -> None:
        self._note(validations=(*self.record.validations, row))
        say("validation {} {}: {}".format(row.name, row.result, row.message))

    # starting

    def start_condor(self) -> Optional[Ending]:
        """Start the master, which starts the startd."""
        if self.binaries is None:
            return Ending("validation-failed", "there is no HTCondor, and its validation was not required")
        layout = self._placed()
        # From here on a signal is answered by winding HTCondor down.
        self._signal_interrupts = False
        self.condor = start_condor(layout, self.binaries, condor_environment(os.environ, layout))
        self._note(startd_started_at=time.time())
        return None

    # running

    def supervise(self) -> Optional[Ending]:
        """Look at HTCondor until it has to end, then take it through the stages of its shutdown."""
        config, times = self._given(), self._times()
        limits = Limits(
            idle_seconds=config.idle_seconds,
            signal_grace_seconds=config.signal_grace_seconds,
            vacate_seconds=config.vacate_seconds,
        )
        shutdown: Optional[Shutdown] = None
        reported_at = time.time()
        while shutdown is None or shutdown.stage != "kill":
            time.sleep(_POLL_SECONDS)
            seen = self._look()
            stage_before = shutdown.stage if shutdown else ""
            shutdown = next_shutdown(seen, times, limits, shutdown)
            if shutdown is not None and shutdown.stage != stage_before:
                self._apply(shutdown)
            if seen.now - reported_at >= config.report_seconds:
                reported_at = seen.now
                self._started().collect_orphans()
                self._note_jobs()
        return shutdown.ending

    def _look(self) -> Seen:
        condor = self._started()
        log = condor.start_log()
        if log.joined and self.record.joined_at is None:
            self._note(joined_at=time.time())
            # Standard output comes back from most batch systems even when the pilot is killed.
            self._print_report()
        now = time.time()
        if log.claims or not log.starts:
            self._idle_since = now
        return Seen(
            now=now,
            launched_at=self.record.startd_started_at or now,
            master_status=condor.status(),
            startd_starts=log.starts,
            startd_status=log.exit_status,
            startd_idle=log.idle,
            claims=log.claims,
            idle_since=self._idle_since,
            signal_name=self._signal_name,
            signalled_at=self._signalled_at,
        )

    def _apply(self, shutdown: Shutdown) -> None:
        say("{}: {} ({})".format(shutdown.stage, shutdown.ending.reason, shutdown.ending.message))
        condor = self._started()
        if shutdown.stage == "drain":
            self._note(state="ending", ending=shutdown.ending)
            condor.drain()
        elif shutdown.stage == "vacate":
            self._note(state="ending", ending=shutdown.ending)
            condor.vacate()
        elif shutdown.stage == "quit":
            condor.quit()

    # the end, from wherever it came

    def _end(self, ending: Ending) -> None:
        """End every process, take the results, clean up, report."""
        self._signal_interrupts = False
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        self._note(state="ending", ending=ending)
        left = end_all(_KILL_SECONDS)
        if left:
            say("processes that could not be killed: {}".format(left))
        if self.condor is not None:
            self._note_jobs(all_ended=True)
        if self.layout is not None:
            if ending.is_failure and self.condor is not None:
                self._note_log_tails(self.layout)
            remove_folder(self.layout.work_directory)
        self._note(state="ended", ended_at=time.time())
        self._print_report()
        say("ended: {} ({})".format(ending.reason, ending.message))

    def _note_jobs(self, *, all_ended: bool = False) -> None:
        layout = self._placed()
        try:
            jobs = read_jobs(layout.path("log"), layout.path("execute"))
        except (OSError, ValueError) as error:
            self._note(jobs=None, jobs_reason="HTCondor's files cannot be read: {}".format(error))
        else:
            # A scratch folder may outlive its killed starter; no process does.
            self._note(jobs=jobs._replace(running=0) if all_ended else jobs)

    def _note_log_tails(self, layout: Layout) -> None:
        try:
            self._note(log_tails=log_tails(layout.path("log"), _TAIL_LINES))
        except OSError as error:
            say("HTCondor's logs cannot be read: {}".format(error))

    def _note(self, **changes: Any) -> None:
        """Keep what is now known and write it out. A report that cannot be written is no reason to end."""
        self.record = self.record._replace(**changes)
        try:
            write_report(self._report_path, self._report())
        except OSError as error:
            say("the report cannot be written: {}".format(error))

    def _print_report(self) -> None:
        try:
            sys.stdout.write(framed(self._report()) + "\n")
            sys.stdout.flush()
        except OSError as error:
            say("the report cannot be printed: {}".format(error))

    def _report(self) -> Dict[str, Any]:
        return report(self.record, time.time(), usage())

    def _on_signal(self, number: int, _frame: Optional[FrameType]) -> None:
        if self._signalled_at is None:
            self._signal_name = signal.Signals(number).name
            self._signalled_at = time.time()
            if self._signal_interrupts:
                raise Interrupted(self._signal_name)

    # what earlier steps have made

    def _times(self) -> Times:
        return times_of(self._given(), self.record.started_at)

    def _condor_location(self) -> str:
        return self._given().condor_location or os.environ.get("CONDOR_LOCATION", "")

    def _given(self) -> Config:
        return _made(self.config, "configuration")

    def _placed(self) -> Layout:
        return _made(self.layout, "work directory")

    def _started(self) -> Condor:
        return _made(self.condor, "HTCondor")


#: The states of a pilot in order, each with its steps.
LIFE = (
    ("configuring", (Pilot.read_configuration, Pilot.make_work_directory)),
    ("validating", (Pilot.prepare_condor, Pilot.validate_node)),
    ("starting", (Pilot.start_condor,)),
    ("running", (Pilot.supervise,)),
)


def _made(thing: Optional[_Made], name: str) -> _Made:
    """What an earlier step has made. Raises RuntimeError when the steps stand in the wrong order."""
    if thing is None:
        raise RuntimeError("no {} yet: the steps of LIFE stand in the wrong order".format(name))
    return thing
