"""Jobs that were there of late, one of each kind: what a plan is tried on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from opengoc.base.instant import format_instant, parse_instant
from opengoc.factory.model import Payload, PayloadState

FILE = "recent-jobs.jsonl"
#: Kinds of jobs that are kept: the youngest.
_AT_MOST = 10_000
_FOR = timedelta(days=1)
#: Written at most so often; a job that stays is taken note of again so often.
_EVERY = timedelta(minutes=1)
_AGAIN = timedelta(minutes=10)

#: VO and attributes.
_Key = tuple[Any, ...]


class RecentJobs:
    """The kinds of jobs of the last day, kept in a file that the next process reads."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE
        self._seen: dict[_Key, tuple[Payload, datetime]] = {
            _key(payload): (payload, at) for payload, at in _read(self._file)
        }
        #: Jobs taken note of since the last time that all of them were.
        self._known: set[str] = set()
        self._all_at: datetime | None = None
        self._written_at: datetime | None = None
        self._has_news = False

    def see(self, payloads: Iterable[Payload], *, now: datetime) -> None:
        """Take note of jobs, and write them down every so often."""
        if self._all_at is None or now - self._all_at >= _AGAIN:
            self._known, self._all_at = set(), now
        for payload in payloads:
            if payload.id in self._known:
                continue
            self._known.add(payload.id)
            payload = _plain(payload)
            key = _key(payload)
            self._has_news = self._has_news or key not in self._seen
            # Put at the end: the oldest stand first.
            self._seen.pop(key, None)
            self._seen[key] = (payload, now)
        while self._seen and (len(self._seen) > _AT_MOST or self._oldest() < now - _FOR):
            del self._seen[next(iter(self._seen))]
        if self._has_news and (self._written_at is None or now - self._written_at >= _EVERY):
            self._write()
            self._written_at, self._has_news = now, False

    def _oldest(self) -> datetime:
        return self._seen[next(iter(self._seen))][1]

    def _write(self) -> None:
        lines = (
            json.dumps({"vo": payload.vo, "seen_at": format_instant(at), "job": dict(payload.attributes)})
            for payload, at in self._seen.values()
        )
        beside = self._file.with_name(f".{FILE}.{os.getpid()}")
        beside.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        beside.replace(self._file)


def recent_jobs(folder: Path, *, now: datetime) -> tuple[Payload, ...]:
    """The kinds of jobs of the last day, as far as a loop has run here."""
    return tuple(payload for payload, at in _read(folder / FILE) if at >= now - _FOR)


def _read(file: Path) -> list[tuple[Payload, datetime]]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    found = []
    for number, line in enumerate(lines):
        content = json.loads(line)
        payload = Payload(
            id=f"recent#{number}",
            vo=content["vo"],
            state=PayloadState.IDLE,
            attributes=content["job"],
        )
        found.append((payload, parse_instant(content["seen_at"])))
    return found


def _plain(payload: Payload) -> Payload:
    """The job without what JSON has no form for: such a value matches nothing."""
    plain = {n: v for n, v in payload.attributes.items() if isinstance(v, bool | int | float | str)}
    return replace(payload, attributes=plain)


def _key(payload: Payload) -> _Key:
    values = ((name, type(value), repr(value)) for name, value in sorted(payload.attributes.items()))
    return (payload.vo, *values)
