"""Files that people name to be written."""

from __future__ import annotations

import os
from pathlib import Path

from opengoc.base.errors import InvalidInput


def plain_file(path: Path) -> Path:
    """The file that a path names, links followed, to be put in place by a rename.

    Raises InvalidInput for a folder, a device and a pipe: a rename would put a file where ``/dev/null`` was.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise InvalidInput(str(path), "a folder, device or pipe", "must be a plain file: name another")
    return target
