"""The pilot's own log: one line for each event, on standard error."""

import sys
import time

from goc_pilot.clock import format_epoch


def say(message: str) -> None:
    """Write one event, with the time, at once: a pilot that is killed has said what it did."""
    sys.stderr.write("{} goc-pilot {}\n".format(format_epoch(time.time()), message))
    sys.stderr.flush()
