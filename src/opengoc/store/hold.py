"""One process per role in a home: a lock that the kernel releases when its holder dies.

The lock is ``flock`` on ``$GOC_HOME/locks/<role>.lock``. What the file says is only for people: a file left
by a killed process, empty or full of anything, never blocks the next one. The file is never removed, for a
removed lock file can be held by two processes at once. ``flock`` works between processes of one machine.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from opengoc.base.errors import InvalidInput, Permanent, Temporary
from opengoc.base.instant import format_instant, utc_now


@contextmanager
def hold(home: Path, role: str) -> Iterator[Path]:
    """Hold ``role`` in ``home`` for the length of a block; gives the path of the lock file.

    Raises Temporary naming the holder while another process (or another block of this one) holds it, and
    Permanent where the lock cannot be made at all. A child made by ``fork`` without ``exec`` shares the hold.
    """
    if not role or "/" in role or role.startswith("."):
        raise InvalidInput("role", role, "must be a plain file name")
    path = home / "locks" / f"{role}.lock"
    handle = _open(path)
    try:
        _lock(handle, home, path, role)
        _write_holder(handle)
        try:
            yield path
        finally:
            os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def _open(path: Path) -> int:
    try:
        # One by one: of folders made on the way the mode does not count.
        for folder in (path.parent.parent, path.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Temporary(f"no space left to make {path}: free some, then run again") from error
        raise Permanent(f"cannot make the lock {path}: {error.strerror}; check who owns the home") from error


def _lock(handle: int, home: Path, path: Path, role: str) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = _read_holder(path) or f"another process (role {role})"
        raise Temporary(
            f"home {home} is held by {holder}: stop it or choose another --home", retry_after=5.0
        ) from error


def _write_holder(handle: int) -> None:
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
    content = {
        "pid": os.getpid(),
        "command": command,
        "since": format_instant(utc_now().replace(microsecond=0)),
    }
    # The lock holds without its note: a full disk must not stop a process that could free it.
    with suppress(OSError):
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(content).encode(), 0)


def _read_holder(path: Path) -> str | None:
    """Who holds it, or None where the file does not say it truly.

    Between taking the lock and writing the note the file is empty or tells of an earlier, dead holder: wait a
    little for the note of the living one.
    """
    for _ in range(20):
        try:
            note = json.loads(path.read_text())
            if _is_alive(int(note["pid"])):
                return f"process {note['pid']} ({note['command']}, since {note['since']})"
        except (OSError, ValueError, KeyError, TypeError):
            pass
        time.sleep(0.01)
    return None


def _is_alive(pid: int) -> bool:
    return pid > 0 and Path(f"/proc/{pid}").exists()
