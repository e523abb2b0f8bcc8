"""What to do next with a running HTCondor: pure, from what is seen now.

Ending goes in stages, each with a deadline: drain, where no job runs (a job that the schedd sent in that very
moment is let finish), vacate (SIGTERM to the master: jobs get their soft signal and vacate_seconds), quit
(SIGQUIT: daemons end jobs at once), kill (SIGKILL to every descendant).
"""

from typing import NamedTuple, Optional

from goc_pilot.condor_config import Times
from goc_pilot.ends import Ending

# What SIGQUIT and the cleaning up get of the time.
_QUIT_SECONDS = 4
_CLEAN_SECONDS = 2
# The daemons' own time, on top of the jobs' vacate_seconds.
_SLACK_SECONDS = 8


# Exit statuses of a startd that was told to end: by condor_off, and by condor_drain (DAEMON_NO_RESTART).
_BIDDEN = (0, 99)
# The startd writes its log within a second; a master that cannot start one tries for ever.
_STARTUP_SECONDS = 60


class Seen(NamedTuple):
    """One look at the pilot's HTCondor."""

    now: float
    #: When the master was started.
    launched_at: float
    #: Exit status of the master (negative: signal); None while it runs.
    master_status: Optional[int]
    startd_starts: int
    startd_status: Optional[int]
    #: The startd ended itself because no job came.
    startd_idle: bool
    #: Slots that a schedd holds, each with a job or about to get one.
    claims: int
    #: Since when there has been no claim.
    idle_since: float
    #: Name of the first signal that reached the pilot, and when.
    signal_name: str
    signalled_at: Optional[float]


class Limits(NamedTuple):
    """How long a pilot waits for what; keys of the configuration."""

    idle_seconds: int
    signal_grace_seconds: int
    vacate_seconds: int


class Shutdown(NamedTuple):
    """An ending under way."""

    ending: Ending
    #: drain | vacate | quit | kill
    stage: str
    #: When the next stage begins.
    deadline: float


def next_shutdown(
    seen: Seen, times: Times, limits: Limits, under_way: Optional[Shutdown]
) -> Optional[Shutdown]:
    """The shutdown as it should stand now; None: go on running. Only ever goes from one stage to the next."""
    if under_way is not None:
        return _escalated(seen, times, limits, under_way)
    if seen.signalled_at is not None:
        ending = Ending("signal", "got {}".format(seen.signal_name))
        return Shutdown(ending=ending, stage="vacate", deadline=_vacated_by(seen, limits))
    gone = _unbidden_end(seen)
    if gone is not None:
        return Shutdown(ending=gone, stage="quit", deadline=seen.now + _QUIT_SECONDS)
    if seen.now >= times.stops_at:
        ending = Ending("walltime", "the time is used up with {} jobs running".format(seen.claims))
    elif seen.now >= times.accepts_until and seen.claims == 0:
        ending = Ending("walltime", "too little time left for another job, and none is running")
    elif seen.now - seen.idle_since >= limits.idle_seconds:
        ending = Ending("idle", "no job for {} s".format(limits.idle_seconds))
    else:
        return None
    if seen.claims == 0:
        return Shutdown(ending=ending, stage="drain", deadline=seen.now + _SLACK_SECONDS)
    return Shutdown(ending=ending, stage="vacate", deadline=_vacated_by(seen, limits))


def _vacated_by(seen: Seen, limits: Limits) -> float:
    """When jobs that are told to go now have to be gone."""
    if seen.signalled_at is not None:
        return seen.signalled_at + limits.signal_grace_seconds - _QUIT_SECONDS - _CLEAN_SECONDS
    return seen.now + limits.vacate_seconds + _SLACK_SECONDS


def _escalated(seen: Seen, times: Times, limits: Limits, shutdown: Shutdown) -> Shutdown:
    if shutdown.stage == "kill" or seen.master_status is not None:
        return shutdown._replace(stage="kill")
    if shutdown.stage == "drain":
        until = times.stops_at if seen.claims else shutdown.deadline
        if seen.now < until and seen.signalled_at is None:
            return shutdown
        return shutdown._replace(stage="vacate", deadline=_vacated_by(seen, limits))
    if seen.now < shutdown.deadline:
        return shutdown
    if shutdown.stage == "vacate":
        return shutdown._replace(stage="quit", deadline=seen.now + _QUIT_SECONDS)
    return shutdown._replace(stage="kill")


def _unbidden_end(seen: Seen) -> Optional[Ending]:
    """Why HTCondor ended by itself; None: it did not."""
    if seen.startd_idle:
        return Ending("idle", "no job came")
    if seen.startd_starts == 0 and seen.now - seen.launched_at >= _STARTUP_SECONDS:
        return Ending("startd-died", "no startd started within {} s".format(_STARTUP_SECONDS))
    if seen.startd_starts > 1:
        return Ending("startd-died", "the startd ended and was started again")
    if seen.startd_status in _BIDDEN:
        return Ending("drained", "the pool told the startd to stop")
    if seen.startd_status is not None:
        return Ending("startd-died", "the startd ended with status {}".format(seen.startd_status))
    if seen.master_status is not None:
        return Ending("startd-died", "the master ended with status {}".format(seen.master_status))
    return None
