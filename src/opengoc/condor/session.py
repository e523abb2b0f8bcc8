"""Connections to HTCondor: bounded in time, one identity each, never an empty list for a failure."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from opengoc.base.errors import GocError, InvalidInput, Permanent, Temporary
from opengoc.base.instant import utc_now
from opengoc.condor.classads import Ad
from opengoc.condor.observation import Observation
from opengoc.condor.wire import read_message, write_message

AdKind = Literal["Any", "Collector", "Master", "Negotiator", "Schedd", "Startd"]

#: Parts of HTCondor's messages that no retry cures.
_DENIALS = ("authenticat", "authoriz", "permission denied", "security")


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Where a pool is and who we are to it."""

    #: Name in messages.
    name: str
    #: Address of the collector, host:port.
    collector: str
    #: Folder of IDTOKENS; HTCondor picks the one whose issuer the daemon trusts.
    token_directory: Path | None = None
    #: A single IDTOKEN instead of a folder.
    token_file: Path | None = None
    #: Seconds after which a query is given up and its worker ended.
    timeout_seconds: float = 20.0

    def __post_init__(self) -> None:
        if self.token_directory is not None and self.token_file is not None:
            raise InvalidInput(
                f"pool {self.name}", str(self.token_file), "give a token folder or a token file"
            )


@dataclass(frozen=True, kw_only=True)
class SubmittedJobs:
    """One cluster of jobs in a queue."""

    cluster: int
    procs: int


class Session:
    """A pool seen with one identity. A context manager; safe to share between threads, one call at a time.

    HTCondor's library keeps configuration and tokens per process, so each Session has a worker process of its
    own, started at first use, ended and replaced when a call passes its deadline. It ends with this process,
    however that ends.
    """

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self._lock = threading.Lock()
        self._worker: subprocess.Popen[bytes] | None = None
        self._token_folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the worker and let go of everything; a later call starts afresh."""
        with self._lock:
            self._end_worker()
            if self._token_folder is not None:
                self._token_folder.cleanup()
                self._token_folder = None

    def ads(
        self,
        kind: AdKind,
        constraint: str = "true",
        projection: Sequence[str] = (),
        *,
        texts: Sequence[str] = (),
    ) -> Observation[Ad]:
        """Ads of the collector; beside the projection, ``texts`` come as the expressions that they are."""
        return self._observe(
            f"{kind} ads of {self.pool.name}",
            "ads",
            kind=kind,
            constraint=constraint,
            projection=list(projection),
            texts=list(texts),
        )

    def slots(
        self, constraint: str = "true", projection: Sequence[str] = (), *, texts: Sequence[str] = ()
    ) -> Observation[Ad]:
        """Slots of the pool."""
        return self.ads("Startd", constraint, projection, texts=texts)

    def schedds(self, constraint: str = "true", projection: Sequence[str] = ()) -> Observation[Ad]:
        """Schedds of the pool."""
        return self.ads("Schedd", constraint, projection)

    def jobs(self, schedd: str, constraint: str = "true", projection: Sequence[str] = ()) -> Observation[Ad]:
        """Jobs in the queue of a schedd."""
        return self._observe(
            f"jobs of {schedd}", "jobs", schedd=schedd, constraint=constraint, projection=list(projection)
        )

    def history(
        self,
        schedd: str,
        constraint: str = "true",
        projection: Sequence[str] = (),
        *,
        limit: int = 1000,
        until: str = "",
    ) -> Observation[Ad]:
        """Jobs that left the queue of a schedd, youngest first. ``limit`` of them: then it is incomplete.

        -1: no limit. ``until``: an expression; the history is read back to the first job that makes it true,
        which is not given.
        """
        found = self._observe(
            f"history of {schedd}",
            "history",
            schedd=schedd,
            constraint=constraint,
            projection=list(projection),
            limit=limit,
            until=until,
        )
        if not found.complete or limit < 0 or len(found.items) < limit:
            return found
        return Observation(
            source=found.source,
            items=found.items,
            taken_at=found.taken_at,
            complete=False,
            error=f"more than {limit} jobs match; these are the youngest",
        )

    def ping(
        self, kind: Literal["Collector", "Schedd"], name: str = "", *, permission: str = "READ"
    ) -> Observation[Ad]:
        """Who we are to a daemon: one ad with the identity and whether ``permission`` is granted."""
        return self._observe(f"ping of {name or kind}", "ping", kind=kind, name=name, permission=permission)

    def submit(
        self, schedd: str, description: Mapping[str, str], *, spool: bool = False, count: int = 1
    ) -> SubmittedJobs:
        """Submit ``count`` jobs as one cluster; with ``spool`` their files are uploaded to the schedd.

        Raises Temporary or Permanent. After a Temporary the jobs may or may not be in the queue: look there
        before trying again.
        """
        for name, value in description.items():
            if "\n" in f"{name}{value}":
                raise InvalidInput("submit description", f"{name} = {value}", "must be one line")
        answer = self._call("submit", schedd=schedd, description=dict(description), spool=spool, count=count)
        return SubmittedJobs(cluster=answer["cluster"], procs=answer["procs"])

    def retrieve(self, schedd: str, constraint: str) -> None:
        """Download the output of spooled jobs. Raises Temporary or Permanent."""
        self._call("retrieve", schedd=schedd, constraint=constraint)

    def remove(self, schedd: str, constraint: str, *, reason: str) -> int:
        """Remove the jobs; how many. Raises Temporary or Permanent."""
        return self._act("Remove", schedd, constraint, reason)

    def release(self, schedd: str, constraint: str, *, reason: str) -> int:
        """Release held jobs; how many. Raises Temporary or Permanent."""
        return self._act("Release", schedd, constraint, reason)

    def hold(self, schedd: str, constraint: str, *, reason: str) -> int:
        """Hold the jobs; how many. Raises Temporary or Permanent."""
        return self._act("Hold", schedd, constraint, reason)

    def stop_startd(self, slot: str) -> None:
        """End the startd of a slot at once: its jobs return to their queues, its master starts it no more.

        Needs ADMINISTRATOR at the collector, and a startd that allows remote administration, as they do by
        default. Raises Permanent where it is refused, Temporary where nobody answers.
        """
        try:
            self._call("stop_startd", slot=slot)
        except Temporary as error:
            if "failed to start command" not in str(error).casefold():
                raise
            raise Permanent(
                f"{slot} is not told to end: the token needs ADMINISTRATOR at the collector of "
                f"{self.pool.name}, and the startd SEC_ENABLE_REMOTE_ADMINISTRATION; end it at its site"
            ) from error

    def _act(self, action: str, schedd: str, constraint: str, reason: str) -> int:
        touched = self._call("act", schedd=schedd, action=action, constraint=constraint, reason=reason)
        return int(touched)

    def _observe(self, source: str, operation: str, **arguments: Any) -> Observation[Ad]:
        try:
            items = self._call(operation, **arguments)
        except GocError as error:
            return Observation(source=source, items=(), taken_at=utc_now(), complete=False, error=str(error))
        return Observation(source=source, items=tuple(items), taken_at=utc_now(), complete=True)

    def _call(self, operation: str, **arguments: Any) -> Any:
        with self._lock:
            answer = self._ask(
                {"operation": operation, "arguments": arguments, "collector": self.pool.collector}
            )
        if "error" not in answer:
            return answer["value"]
        message = f"{self.pool.name}: {operation} failed: {answer['error']}"
        if any(part in answer["error"].casefold() for part in _DENIALS):
            raise Permanent(f"{message}; check the token and what it is granted")
        raise Temporary(message)

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        deadline = time.monotonic() + self.pool.timeout_seconds
        if self._worker is None or self._worker.poll() is not None:
            self._worker = self._start_worker()
        assert self._worker.stdin is not None and self._worker.stdout is not None
        try:
            write_message(self._worker.stdin.fileno(), request)
            answer = read_message(self._worker.stdout.fileno(), deadline=deadline)
        except TimeoutError as error:
            self._end_worker()
            waited = f"{self.pool.timeout_seconds:g} s"
            raise Temporary(
                f"{self.pool.name}: no answer to {request['operation']} within {waited}"
            ) from error
        except BrokenPipeError:
            answer = None
        if answer is None:
            self._end_worker()
            raise Temporary(
                f"{self.pool.name}: the process that talks to HTCondor ended; it is started again"
            )
        assert isinstance(answer, dict)
        return answer

    def _start_worker(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "opengoc.condor.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._environment(),
            bufsize=0,
        )

    def _end_worker(self) -> None:
        if self._worker is None:
            return
        self._worker.kill()
        self._worker.wait()
        for pipe in (self._worker.stdin, self._worker.stdout):
            if pipe is not None:
                pipe.close()
        self._worker = None

    def _environment(self) -> dict[str, str]:
        """The worker's environment: HTCondor configured from it alone, whatever the machine has in /etc."""
        kept = {k: v for k, v in os.environ.items() if not k.upper().startswith("_CONDOR_")}
        settings = {
            "COLLECTOR_HOST": self.pool.collector,
            # HTCondor's own waits end before the Session's deadline, so that its message is seen.
            "QUERY_TIMEOUT": f"{max(1, int(self.pool.timeout_seconds * 0.75))}",
            "Q_QUERY_TIMEOUT": f"{max(1, int(self.pool.timeout_seconds * 0.75))}",
        }
        folder = self._tokens()
        if folder is not None:
            settings["SEC_TOKEN_DIRECTORY"] = str(folder)
            settings["SEC_CLIENT_AUTHENTICATION_METHODS"] = "IDTOKENS"
        return kept | {"CONDOR_CONFIG": os.devnull} | {f"_CONDOR_{k}": v for k, v in settings.items()}

    def _tokens(self) -> Path | None:
        if self.pool.token_file is None:
            return self.pool.token_directory
        if self._token_folder is None:
            # HTCondor takes a folder: one with a link, so that the secret is not copied.
            self._token_folder = tempfile.TemporaryDirectory(prefix="goc-token-")
            (Path(self._token_folder.name) / "token").symlink_to(self.pool.token_file.absolute())
        return Path(self._token_folder.name)
