"""Takes the work directory away, with whatever the jobs have left in it."""

import os
import shutil

from goc_pilot.events import say

_OPEN = os.R_OK | os.W_OK | os.X_OK


def remove_folder(folder: str) -> None:
    """Remove a folder, and in it those that a job has closed to everybody. What stays is said, not raised."""
    for path, folders, _ in os.walk(folder):
        for name in folders:
            inner = os.path.join(path, name)
            if not os.path.islink(inner) and not os.access(inner, _OPEN):
                _open_folder(inner)
    shutil.rmtree(folder, ignore_errors=True)
    if os.path.exists(folder):
        say("{} could not be removed".format(folder))


def _open_folder(path: str) -> None:
    try:
        os.chmod(path, 0o700)
    except OSError as error:
        say("{} stays closed: {}".format(path, error))
