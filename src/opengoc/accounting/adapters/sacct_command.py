"""Slurm's ``sacct``, run for the jobs that ended in a bounded time.

The times it is given and gives are UTC, for it is run with ``TZ=UTC``. It lists the jobs that were in one of
the states after the end at some time of the window, so only ended ones. Its header line comes whatever there
is to list: an answer without one is no answer. Source: Slurm manual, sacct(1), ``--starttime``, ``--state``.

slurmctld keeps the ends that it could not tell slurmdbd and tells them once it is back: some seconds later,
more for a long queue. sacct answers meanwhile, without them, whatever the time they lie back. So after a
silence the questions reach back over all of it for as long as ``overlap``.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from opengoc.accounting.follow import Unreadable
from opengoc.accounting.live import Page
from opengoc.base.instant import format_instant, parse_instant

#: The job's name comes last: it may hold the delimiter.
_COLUMNS = (
    "JobID,JobIDRaw,Cluster,Partition,Account,Group,User,Submit,Start,End,Elapsed,ExitCode,State,NNodes,"
    "NCPUS,NodeList,TotalCPU,UserCPU,SystemCPU,MaxRSS,JobName"
)
#: Every state after a job's end; a job that is requeued or resized ended once for each of its runs.
_STATES = "BF,CA,CD,DL,F,NF,OOM,PR,RQ,RS,TO"
#: The longest time that is asked for at once: what it lists has to fit into memory.
_LONGEST = timedelta(days=1)
_SHOWN = 500


@dataclass(frozen=True, kw_only=True)
class SacctCommand:
    """Asks a Slurm cluster's accounting database, by its own command."""

    command: Sequence[str] = ("sacct",)
    timeout_seconds: float = 120.0
    #: How far a question reaches back over the one before: ends come late into the database.
    overlap: timedelta = timedelta(hours=6)
    #: How far the first question reaches back.
    first: timedelta = timedelta(days=30)

    def since(self, cursor: Mapping[str, Any] | None, now: datetime) -> datetime:
        """From when on jobs are asked for."""
        if not cursor:
            return now - self.first
        start = parse_instant(cursor["through"]) - self.overlap
        silence = self._silence(cursor, now)
        return min(start, parse_instant(silence["from"])) if silence else start

    def pages(self, cursor: Mapping[str, Any] | None, now: datetime) -> Iterator[Page]:
        """The jobs that ended since then, a day at a time. Raises Unreadable."""
        through = parse_instant(cursor["through"]) if cursor else now - self.first
        # A clock that was set back must not leave a hole: the cursor stays where it is.
        start = min(self.since(cursor, now), now)
        silence = self._silence(cursor, now) if cursor else None
        while start < now:
            end = min(start + _LONGEST, now)
            content = self._run(start, end)
            through = max(through, end)
            yield Page(
                asked=f"{' '.join(self.command)} of {format_instant(start)} to {format_instant(end)}",
                content=content,
                preamble=content.split(b"\n", 1)[0],
                cursor={"through": format_instant(through)} | ({"silence": silence} if silence else {}),
            )
            start = end

    def _silence(self, cursor: Mapping[str, Any], now: datetime) -> Mapping[str, str] | None:
        """The silence that is asked over again: from when on, and until when; None where there is none.

        One no longer than half of the overlap needs no more than that: what ended in it is asked again for
        the other half, at least. Another silence does not put off the end of the one that stands, or
        questions that are always far apart would reach back ever farther.
        """
        through = parse_instant(cursor["through"])
        standing: Mapping[str, str] | None = cursor.get("silence")
        if standing and now >= parse_instant(standing["until"]):
            standing = None
        if now - through <= self.overlap / 2:
            return standing
        begun, until = through - self.overlap, now + self.overlap
        if standing:
            begun, until = min(begun, parse_instant(standing["from"])), parse_instant(standing["until"])
        return {"from": format_instant(begun), "until": format_instant(until)}

    def _run(self, start: datetime, end: datetime) -> bytes:
        words = [*self.command, "--allusers", "--parsable2", "--duplicates", f"--state={_STATES}"]
        words += [f"--starttime={start:%Y-%m-%dT%H:%M:%S}", f"--endtime={_rounded_up(end):%Y-%m-%dT%H:%M:%S}"]
        words.append(f"--format={_COLUMNS}")
        environment = os.environ | {"TZ": "UTC", "SLURM_TIME_FORMAT": "standard", "LC_ALL": "C.UTF-8"}
        named = self.command[0]
        try:
            done = subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self.timeout_seconds,
                env=environment,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            what = f"{named} gave no answer within {self.timeout_seconds:g} s and was ended"
            raise Unreadable(what, retry_after=60.0) from error
        except OSError as error:
            raise Unreadable(f"{named} cannot be run: {error.strerror or error}", retry_after=60.0) from error
        said = " ".join(done.stderr.decode("utf-8", "replace").split())[:_SHOWN] or "it said no word"
        if done.returncode:
            raise Unreadable(f"{named} ended with {done.returncode}: {said}", retry_after=60.0)
        if not done.stdout.startswith(b"JobID|"):
            raise Unreadable(f"{named} printed no header of columns: {said}", retry_after=60.0)
        return done.stdout


def _rounded_up(moment: datetime) -> datetime:
    """The next whole second: sacct knows no less."""
    return moment.replace(microsecond=0) + timedelta(seconds=1) if moment.microsecond else moment
