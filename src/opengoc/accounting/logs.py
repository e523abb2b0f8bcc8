"""The files of a log while they are read: the log itself, its rotated predecessors, packed or plain."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from io import BufferedReader
from pathlib import Path

from opengoc.accounting.batch import read_part
from opengoc.accounting.follow import Notice, Part, locate, open_log
from opengoc.accounting.formats.piece import Tail
from opengoc.accounting.packed import QUIET_SECONDS, read_before, unpacked
from opengoc.accounting.position import FilePosition, Position
from opengoc.accounting.reading import Reading
from opengoc.accounting.source import Source

#: The longest record that is waited for.
_LONGEST_RECORD = 2**29


@dataclass(kw_only=True)
class OpenFile:
    """One open file of a log, and how far it is read."""

    file: BufferedReader
    position: FilePosition
    rotated: bool
    #: Of a packed file: it ends before its end. Should it be restored, it is read on after its last record.
    cut: bool = False

    @property
    def unread(self) -> int:
        """Bytes after the position."""
        return max(0, os.fstat(self.file.fileno()).st_size - self.position.offset)

    def read(self, source: Source, limit: int, now: datetime) -> tuple[bytes, Reading, Tail] | None:
        """The next whole records of at most ``limit`` bytes together; None when there is none yet.

        One record longer than that is read whole, up to ``_LONGEST_RECORD``: what goes on longer is a fault.
        """
        while True:
            self.file.seek(self.position.offset)
            data = self.file.read(limit)
            if not data:
                return None
            at_end = len(data) < limit
            # Whoever writes may still have a file open for a while after it was rotated.
            quiet = self.rotated and now.timestamp() - os.fstat(self.file.fileno()).st_mtime > QUIET_SECONDS
            over = quiet if self.position.packed is None else not self.cut
            tail = Tail.ENDED if (at_end and over) or limit > _LONGEST_RECORD else Tail.OPEN
            part = Part(path="", offset=self.position.offset, line=0, at=0, length=len(data))
            reading = read_part(data, part, source=source, tail=tail, known_from=now)
            if reading.end:
                return data[: reading.end], reading, tail
            if at_end:
                return None
            limit *= 2


@dataclass(kw_only=True)
class OpenFiles:
    """The files of a log as they stand, matched with how far they were read."""

    known: tuple[FilePosition, ...]
    stack: ExitStack
    logs: list[OpenFile] = field(default_factory=list)
    matched: list[FilePosition] = field(default_factory=list)
    #: Packed files that were read to their end.
    done: list[FilePosition] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)

    def open_plain(self, path: Path, *, rotated: bool) -> None:
        """Take up a file; after a rotation the log itself may not be there."""
        file = open_log(path, required=not (rotated or self.logs or self.done))
        if file is None:
            return
        self.stack.enter_context(file)
        position, match = locate(file, path, self.known)
        self.matched += [match] if match else []
        self.logs.append(OpenFile(file=file, position=position, rotated=rotated))

    def open_packed(self, path: Path, now: datetime) -> None:
        """Take up a packed file, unless it was read before and has not changed."""
        before = read_before(path, self.known)
        if before is not None:
            self.matched.append(before)
            self.done.append(replace(before, path=str(path)))
            return
        plain = self.stack.enter_context(unpacked(path, now))
        if isinstance(plain, Notice):
            self.notices.append(plain)
            return
        self.notices += plain.notices
        position, match = locate(plain.file, path, self.known, packed=plain.status)
        self.matched += [match] if match else []
        self.logs.append(OpenFile(file=plain.file, position=position, rotated=True, cut=bool(plain.notices)))

    def position(self) -> Position:
        """Where all files stand; a rotated one that is read to its end may go."""
        read = (
            replace(log.position, ended=log.rotated and (log.cut or log.unread == 0))
            for log in self.logs
            if log.position.offset or log.position.packed
        )
        return Position(files=(*self.done, *read))
