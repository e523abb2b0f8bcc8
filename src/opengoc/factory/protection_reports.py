"""The ends of pilots on disk: kept beside each pilot's report, read again when a factory starts.

``$GOC_HOME/factory/pilots/DAY/PILOT/`` holds ``pilot.json`` (what it was told), ``pilot-report.json`` (what
it said) and ``pilot-end.json`` (how its job ended).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from opengoc.base.errors import InvalidInput, Permanent
from opengoc.base.instant import format_instant, parse_instant
from opengoc.factory.pilots import CONFIG_FILE, REPORT_FILE
from opengoc.factory.protection_ends import Judged, PilotEnd, judge

log = logging.getLogger(__name__)

END_FILE = "pilot-end.json"

#: What a pilot runs when its configuration lists nothing, by the pilot's own names (docs/reference/pilot.md).
BUILT_IN_VALIDATIONS = (
    "python",
    "account",
    "process-control",
    "scratch",
    "disk",
    "memory",
    "cores",
    "clock",
    "token",
    "condor",
    "collector",
    "pool-authorization",
)

#: A folder is of the day on which its pilot was submitted: it may wait and run for so long before it ends.
_LONGEST_LIFE = timedelta(days=14)

#: What a state rests on lies no further back: more than the longest pause, several times over.
_HORIZON = timedelta(days=1)


def keep_end(
    folder: Path,
    *,
    ended_at: datetime,
    exit_code: int | None = None,
    hold_reason: str = "",
    pauses: bool = False,
) -> PilotEnd | None:
    """Keep how a pilot's job ended, and give the whole end. None where its folder says not whose it was.

    Keeping it again changes nothing: the first time counts. Raises Permanent where it cannot be written.
    """
    path = folder / END_FILE
    content = {
        "ended_at": format_instant(ended_at),
        "exit_code": exit_code,
        "hold_reason": hold_reason,
        "pauses": pauses,
    }
    if not path.exists():
        beside = folder / f".{END_FILE}.unfinished"
        try:
            beside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
            beside.replace(path)
        except OSError as error:
            raise Permanent(f"cannot write {path}: {error}; free space or mend its rights") from error
    return read_end(folder)


def read_ends(folder: Path, *, since: datetime) -> tuple[PilotEnd, ...]:
    """Every pilot below ``folder`` (``…/factory/pilots``) that ended at ``since`` or later, oldest first."""
    first = (since - _LONGEST_LIFE).astimezone(UTC).date().isoformat()
    found = (end for day in _folders(folder) if day.name >= first for end in _ends(day))
    return tuple(sorted((end for end in found if end.ended_at >= since), key=lambda end: end.ended_at))


def read_end(folder: Path) -> PilotEnd | None:
    """The end of one pilot; None where it has not ended, or its files do not say whose it was."""
    ended, told = _json(folder / END_FILE), _json(folder / CONFIG_FILE)
    if ended is None or told is None:
        return None
    try:
        return PilotEnd(
            pilot_id=str(told["pilot_id"]),
            entry=str(told["entry"]),
            vo=",".join(told["vos"]),
            submitted_at=parse_instant(told["issued_at"]),
            ended_at=parse_instant(ended["ended_at"]),
            exit_code=ended["exit_code"],
            hold_reason=ended["hold_reason"],
            pauses=ended["pauses"],
            report=_json(folder / REPORT_FILE),
            expected=expected_validations(told),
        )
    except (KeyError, TypeError, AttributeError, InvalidInput) as error:
        log.warning("action=skip-end folder=%s reason=%s", folder, error)
        return None


def expected_validations(told: dict[str, Any]) -> tuple[str, ...]:
    """Names of the validations that a configuration asks for: those listed, else the built-in ones."""
    listed = told.get("validations")
    return BUILT_IN_VALIDATIONS if listed is None else tuple(str(each["name"]) for each in listed)


def _ends(day: Path) -> Iterator[PilotEnd]:
    for folder in _folders(day):
        end = read_end(folder)
        if end is not None:
            yield end


def _folders(folder: Path) -> list[Path]:
    return sorted(each for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else []


def _json(path: Path) -> dict[str, Any] | None:
    """A JSON object of a file; None where there is none: what a pilot sent back may be anything."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        log.warning("action=skip-file path=%s reason=%s", path, error)
        return None
    return found if isinstance(found, dict) else None


class Ends:
    """The pilots of one factory that ended of late, judged once each; read from disk when it starts."""

    def __init__(self, folder: Path, *, now: datetime) -> None:
        """``folder``: that of the factory, whose ``pilots`` are below it."""
        self._judged = {
            end.pilot_id: judge(end) for end in read_ends(folder / "pilots", since=now - _HORIZON)
        }

    @property
    def judged(self) -> tuple[Judged, ...]:
        """All of them, in no order."""
        return tuple(self._judged.values())

    def see(self, end: PilotEnd | None, *, now: datetime) -> None:
        """Take one more into account, and let go of those of long ago."""
        if end is not None and end.pilot_id not in self._judged:
            judged = judge(end)
            self._judged[end.pilot_id] = judged
            for each in judged.findings:
                log.warning(
                    "action=find kind=%s pilot=%s entry=%s host=%s detail=%s",
                    each.kind,
                    each.pilot_id,
                    each.entry,
                    each.host,
                    each.detail,
                )
        oldest = now - _HORIZON
        if any(each.end.ended_at < oldest for each in self._judged.values()):
            self._judged = {key: each for key, each in self._judged.items() if each.end.ended_at >= oldest}
