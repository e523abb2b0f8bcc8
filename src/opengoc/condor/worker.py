"""The process that talks to HTCondor for one Session: requests in on a pipe, answers out on another.

HTCondor's client library keeps its configuration and its choice of token per process, holds the interpreter
while it waits for a daemon, and may wait long. Here it has a process of its own, which its Session ends at
the deadline. Started as ``python -m opengoc.condor.worker``; ends when the pipe closes, whatever it is doing.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

# isort: off
import htcondor2
import classad2

# isort: on

from opengoc.condor.classads import UNDEFINED, evaluated, from_classad
from opengoc.condor.wire import read_message, write_message

#: Rounds of fetching what the fetched expressions refer to; more than any sane ad nests.
_MAX_REFERENCE_ROUNDS = 4


class Worker:
    """The operations, by name, on one pool."""

    def __init__(self, collector: str) -> None:
        self._collector = htcondor2.Collector(collector)
        self._schedds: dict[str, htcondor2.Schedd] = {}

    def answer(self, operation: str, arguments: dict[str, Any]) -> Any:
        """The result of one operation. Raises what HTCondor raises."""
        known: dict[str, Callable[..., Any]] = {
            "ads": self.ads,
            "jobs": self.jobs,
            "history": self.history,
            "submit": self.submit,
            "retrieve": self.retrieve,
            "act": self.act,
            "stop_startd": self.stop_startd,
            "ping": self.ping,
        }
        try:
            return known[operation](**arguments)
        except htcondor2.HTCondorException:
            # A schedd that restarted has another address: look it up again next time.
            self._schedds.clear()
            raise

    def ads(
        self, kind: str, constraint: str, projection: list[str], texts: list[str]
    ) -> list[dict[str, Any]]:
        """Ads of the collector; ``texts`` as the expressions that they are."""
        ad_type = getattr(htcondor2.AdType, kind)
        return _fetch(
            lambda names: self._collector.query(ad_type, constraint or None, names or None), projection, texts
        )

    def jobs(self, schedd: str, constraint: str, projection: list[str]) -> list[dict[str, Any]]:
        """Ads of a job queue."""
        queue = self._schedd(schedd)
        return _fetch(lambda names: queue.query(constraint, names), projection)

    def history(
        self, schedd: str, constraint: str, projection: list[str], limit: int, until: str
    ) -> list[dict[str, Any]]:
        """Ads of jobs that left the queue, youngest first, up to the one that makes ``until`` true."""
        queue = self._schedd(schedd)
        return _fetch(lambda names: list(queue.history(constraint, names, limit, until or None)), projection)

    def submit(self, schedd: str, description: dict[str, str], spool: bool, count: int) -> dict[str, int]:
        """Submit a cluster of ``count`` jobs, and upload its files where ``spool``."""
        queue = self._schedd(schedd)
        result = queue.submit(htcondor2.Submit(description), count=count, spool=spool)
        if spool:
            queue.spool(result)
        return {"cluster": result.cluster(), "procs": result.num_procs()}

    def retrieve(self, schedd: str, constraint: str) -> None:
        """Download the output of spooled jobs into the folders that they were submitted from."""
        self._schedd(schedd).retrieve(constraint)

    def act(self, schedd: str, action: str, constraint: str, reason: str) -> int:
        """Remove, release or hold jobs; how many were touched."""
        # The reason goes as a pair: htcondor2 25.14 drops a plain string.
        answer = self._schedd(schedd).act(getattr(htcondor2.JobAction, action), constraint, (reason, 0))
        return int(answer["TotalSuccess"])

    def stop_startd(self, slot: str) -> None:
        """Have the master of a slot's startd end it: they bear one name."""
        name = slot.partition("@")[2] or slot
        kind, known = htcondor2.AdType.Master, f"Name == {classad2.quote(name)}"
        if not self._collector.query(kind, known, ["Name"]):
            # htcondor2 25.14 takes no startd for the target of a command.
            raise LookupError(f"the collector knows no master of {name}, by whom its startd could be ended")
        # With an address HTCondor goes there, and a worker node's daemons know nobody's token. Without one it
        # asks the collector first, which gives an administrator the capability that they left with it.
        master = classad2.ClassAd(
            {"MyType": "DaemonMaster", "Name": name, "MyAddress": classad2.Value.Undefined}
        )
        htcondor2.send_command(master, htcondor2.DaemonCommand.DaemonOffFast, "STARTD")

    def ping(self, kind: str, name: str, permission: str) -> list[dict[str, Any]]:
        """Who we are to a daemon, and whether it grants us ``permission``."""
        daemon = getattr(htcondor2.DaemonType, kind)
        location = self._collector.locate(daemon, name or None)
        if location is None:
            raise LookupError(f"the collector knows no {kind} {name}".rstrip())
        return [evaluated(htcondor2.ping(location, permission))]

    def _schedd(self, name: str) -> Any:
        if name not in self._schedds:
            location = self._collector.locate(htcondor2.DaemonType.Schedd, name)
            if location is None:
                raise LookupError(f"the collector knows no schedd {name}")
            self._schedds[name] = htcondor2.Schedd(location)
        return self._schedds[name]


def _fetch(
    query: Callable[[list[str]], Sequence[Any]], projection: list[str], texts: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Ads with the projected attributes evaluated, and with ``texts`` as expressions.

    A daemon sends expressions as they are: ``RequestMemory`` may refer to ``MemoryUsage``, and without it
    comes to another value. What the expressions refer to is fetched as well, until nothing is lacking.
    """
    if not projection:
        return [evaluated(ad) for ad in query([])]
    names = {name.casefold(): name for name in (*projection, *texts)}
    as_texts = {name.casefold() for name in texts}
    for _ in range(_MAX_REFERENCE_ROUNDS):
        ads = query(list(names.values()))
        lacking = {name for ad in ads for name in _references(ad, as_texts)} - names.keys()
        if not lacking:
            break
        names |= {name: name for name in lacking}
    return [_evaluated(ad, projection) | _texts(ad, texts) for ad in ads]


def _texts(ad: Any, names: Sequence[str]) -> dict[str, str]:
    return {name: " ".join(str(ad.lookup(name)).split("\n")) for name in names if name in ad}


def _references(ad: Any, as_texts: set[str]) -> set[str]:
    """Attributes of the ad's own that its expressions need and that it lacks, in lower case."""
    expressions = [
        value
        for name, value in ad.items()
        if isinstance(value, classad2.ExprTree) and name.casefold() not in as_texts
    ]
    names = {name for expression in expressions for name in ad.externalRefs(expression)}
    return {name.casefold() for name in names if name.isidentifier()}


def _evaluated(ad: Any, projection: list[str]) -> dict[str, Any]:
    values = {name: from_classad(ad.eval(name)) for name in projection if name in ad}
    return {name: value for name, value in values.items() if value is not UNDEFINED}


@contextmanager
def dying_with_the_client(requests: int) -> Iterator[None]:
    """While this lasts, the kernel ends this process when the client's end of the pipe closes.

    A client that was killed must not leave a submission running on. A thread could not see to it, for
    HTCondor's library holds the interpreter; the parent-death signal comes when the thread that started this
    process ends, although the client lives. So the pipe is told to signal SIGIO, whose default is to end.
    """
    flags = fcntl.fcntl(requests, fcntl.F_GETFL)
    fcntl.fcntl(requests, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(requests, fcntl.F_SETFL, flags | os.O_ASYNC)
    watched = select.poll()
    watched.register(requests, 0)
    if watched.poll(0):
        # It closed before the pipe was told to say so.
        raise SystemExit
    try:
        yield
    finally:
        fcntl.fcntl(requests, fcntl.F_SETFL, flags)


def main() -> None:
    """Answer requests until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    requests = os.dup(sys.stdin.fileno())
    answers = os.dup(sys.stdout.fileno())
    # Whatever the library prints goes to standard error, never between the answers.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    warnings.simplefilter("ignore")
    worker: Worker | None = None
    while (request := read_message(requests)) is not None:
        try:
            with dying_with_the_client(requests):
                worker = worker or Worker(request["collector"])
                answer = {"value": worker.answer(request["operation"], request["arguments"])}
        except (htcondor2.HTCondorException, LookupError, OSError, ValueError, TypeError) as error:
            answer = {"error": str(error) or type(error).__name__, "type": type(error).__name__}
        write_message(answers, answer)


if __name__ == "__main__":
    main()
