"""Starts the pilot's own HTCondor, looks at it, and signals it."""

import os
import shutil
import signal
import subprocess
import time
from typing import Dict, Mapping, Optional

from goc_pilot.condor_config import DRAINING, VACATING, Layout
from goc_pilot.condor_logs import StartLog, follow_start_log
from goc_pilot.node import Binaries
from goc_pilot.processes import collect, descendants, die_with_parent, name_of, send

# The startd needs this long to read the changed configuration before it is told to stop.
_RECONFIGURE_SECONDS = 0.5


class Condor:
    """One running condor_master with its startd. Use ``start_condor`` to make one."""

    def __init__(self, layout: Layout, process: "subprocess.Popen[bytes]") -> None:
        self.layout = layout
        self._process = process
        #: How much of the StartLog is read, and what it said.
        self._read_bytes = 0
        self._known = StartLog()

    def status(self) -> Optional[int]:
        """Exit status of the master, negative for a signal; None while it runs."""
        return self._process.poll()

    def start_log(self) -> StartLog:
        """What the startd has logged so far; nothing, as long as it has no log."""
        try:
            with open(self.layout.path("log/StartLog"), "rb") as log:
                log.seek(self._read_bytes)
                # Up to the last whole line; the rest comes next time.
                text = log.read().rpartition(b"\n")[0]
        except FileNotFoundError:
            return self._known
        if text:
            self._read_bytes += len(text) + 1
            self._known = follow_start_log(self._known, text.decode("utf-8", "replace"))
        return self._known

    def drain(self) -> None:
        """No new jobs; one that has just come may end; then the daemons end."""
        self._wind_down(DRAINING)

    def vacate(self) -> None:
        """No new jobs; running ones get their soft signal now; then the daemons end."""
        self._wind_down(DRAINING + VACATING)

    def _wind_down(self, settings: str) -> None:
        with open(self.layout.condor_config, "a", encoding="utf-8") as config:
            config.write(settings)
        # The startd alone: the procd beside it dies of this signal, and the running jobs with it.
        for pid in descendants(self._process.pid):
            if name_of(pid) == "condor_startd":
                send(pid, signal.SIGHUP)
        time.sleep(_RECONFIGURE_SECONDS)
        self._process.send_signal(signal.SIGTERM)

    def quit(self) -> None:
        """The daemons end jobs at once and then themselves."""
        self._process.send_signal(signal.SIGQUIT)

    def collect_orphans(self) -> None:
        """Take the exit status of ended processes that came back to the pilot; never that of the master."""
        collect([pid for pid in descendants(os.getpid()) if pid != self._process.pid])


def condor_environment(environment: Mapping[str, str], layout: Layout) -> Dict[str, str]:
    """The environment of the pilot's HTCondor: that of the site's own HTCondor, if there is one, taken out.

    Every variable _CONDOR_X is a setting to HTCondor, and CONDOR_INHERIT would make it the child of a foreign
    daemon. The ancestor marks stay: by them the site's HTCondor finds what it has to clean up.
    """
    kept = {
        name: value
        for name, value in environment.items()
        if name.upper().startswith("_CONDOR_ANCESTOR_")
        or not name.upper().startswith(("_CONDOR_", "CONDOR_"))
    }
    kept["CONDOR_CONFIG"] = layout.condor_config
    return kept


def make_folders(layout: Layout, token_file: str) -> None:
    """Make the private folders. A token that is there is copied into one of them. Raises OSError."""
    for folder in layout.folders:
        os.mkdir(folder, 0o700)
    if os.path.isfile(token_file):
        copy = layout.path("tokens/pilot.token")
        # Private from its first byte on.
        descriptor = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as target, open(token_file, "rb") as source:
            shutil.copyfileobj(source, target)


def start_condor(layout: Layout, binaries: Binaries, environment: Mapping[str, str]) -> Condor:
    """Start the master in the foreground of its own session. Raises OSError."""
    with open(layout.path("log/master.out"), "wb") as output:
        process = subprocess.Popen(
            [binaries.master, "-f"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=layout.work_directory,
            env=dict(environment),
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
    return Condor(layout, process)
