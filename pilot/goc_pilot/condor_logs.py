"""What the startd's own files say: did it join, did it stop, which jobs ran.

The formats are those of HTCondor 9 to 25; a sample stands above each parser.
"""

import glob
import os
import re
from typing import Dict, List, NamedTuple, Optional

# 11/22/26 17:12:57 Initial update sent to collector(s)
_JOINED = re.compile(r"Initial update sent to collector")
# 11/22/26 17:14:52 No resources have been claimed for 25 seconds
_IDLE = re.compile(r"No resources have been claimed for \d+ seconds")
# 11/22/26 17:14:52 **** condor_startd (condor_STARTD) pid 4 EXITING WITH STATUS 0
_EXITED = re.compile(r"\*\*\*\* condor_startd \(condor_STARTD\) pid \d+ EXITING WITH STATUS (-?\d+)")
# 11/22/26 17:12:55 ** condor_startd (CONDOR_STARTD) STARTING UP
_STARTED = re.compile(r"\*\* condor_startd \(CONDOR_STARTD\) STARTING UP")
# 11/22/26 17:27:29 slot1_1: New dSlot of type 1 allocated
_SLOT_MADE = re.compile(r"slot\d+_\d+: New (?:dSlot|dynamic slot)")
# 11/22/26 17:27:36 slot1_1: Changing state: Unclaimed -> Delete
_SLOT_GONE = re.compile(r"slot\d+_\d+: Changing state: \w+ -> Delete")
# 11/22/26 17:14:21 (pid:16) Starting a VANILLA universe job with ID: 1.0
_JOB_STARTED = re.compile(r"Starting a \w+ universe job with ID: (\S+)")


class StartLog(NamedTuple):
    """What the startd wrote into its log so far."""

    #: How often the startd started.
    starts: int = 0
    #: Its first update to the collector went out.
    joined: bool = False
    #: It ended itself because no job came.
    idle: bool = False
    #: None while it runs, and when it died without a word.
    exit_status: Optional[int] = None
    #: Dynamic slots that exist: one for each claim.
    claims: int = 0


def follow_start_log(known: StartLog, text: str) -> StartLog:
    """What is known after ``text``, the lines that have come since."""
    exits = _EXITED.findall(text)
    return StartLog(
        starts=known.starts + len(_STARTED.findall(text)),
        joined=known.joined or _JOINED.search(text) is not None,
        idle=known.idle or _IDLE.search(text) is not None,
        exit_status=int(exits[-1]) if exits else known.exit_status,
        claims=known.claims + len(_SLOT_MADE.findall(text)) - len(_SLOT_GONE.findall(text)),
    )


class Jobs(NamedTuple):
    """The jobs of this pilot."""

    running: int
    #: Started by a starter.
    seen: int
    #: Ended, with a record in the startd's history.
    finished: int
    #: Wall time of the finished ones.
    wall_seconds: float


def read_jobs(log_folder: str, execute_folder: str) -> Jobs:
    """Count the jobs from the starters' logs, the startd's history and the execute folder. Raises OSError."""
    finished, wall_seconds = 0, 0.0
    for path in glob.glob(os.path.join(log_folder, "startd_history*")):
        for ad in read_history(_text(path)):
            finished += 1
            wall_seconds += float(ad.get("RemoteWallClockTime", "0"))
    seen = sum(
        len(_JOB_STARTED.findall(_text(path)))
        for path in glob.glob(os.path.join(log_folder, "StarterLog.slot*"))
    )
    return Jobs(
        running=running_jobs(execute_folder),
        seen=seen,
        finished=finished,
        wall_seconds=round(wall_seconds, 1),
    )


def running_jobs(execute_folder: str) -> int:
    """How many starters have a scratch folder (dir_<pid>) for a job. Raises OSError."""
    return sum(name.startswith("dir_") for name in os.listdir(execute_folder))


def read_history(text: str) -> List[Dict[str, str]]:
    """The job ads of a startd history: attribute names and the texts of their values."""
    # JobStatus = 4
    # RemoteWallClockTime = 6
    # *** Offset = 0 ClusterId = 1 ProcId = 1 Owner = "pilot" CompletionDate = 1795367666
    ads: List[Dict[str, str]] = []
    ad: Dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("***"):
            if ad:
                ads.append(ad)
            ad = {}
        else:
            name, equals, value = line.partition(" = ")
            if equals:
                ad[name] = value
    return ads


def log_tails(log_folder: str, lines: int) -> Dict[str, List[str]]:
    """The last lines of every log of the pilot's HTCondor."""
    names = ["MasterLog", "StartLog"]
    names += sorted(os.path.basename(path) for path in glob.glob(os.path.join(log_folder, "StarterLog*")))
    paths = [(name, os.path.join(log_folder, name)) for name in names]
    return {name: _text(path).splitlines()[-lines:] for name, path in paths if os.path.exists(path)}


def _text(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as log:
        return log.read()
