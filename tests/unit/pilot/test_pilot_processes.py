"""Every process that a pilot started can be found and ended, wherever it went."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from goc_pilot.processes import descendants, parent_of

PILOT_SOURCES = str(Path(sys.modules["goc_pilot"].__file__ or "").parent.parent)

# Children in sessions of their own, whose parents have ended, one deaf to polite signals; shells that start
# the next process when their first one is killed.
SPAWNS = """
import os, subprocess, sys, time
sys.path.insert(0, sys.argv[1])
from goc_pilot.processes import become_subreaper, descendants, end_all
assert become_subreaper()
deaf = "(trap '' TERM HUP INT; setsid sleep 300) & "
subprocess.Popen(["sh", "-c", deaf + "setsid sh -c 'sleep 300 & sleep 300' &"]).wait()
subprocess.Popen(["sh", "-c", "for i in 1 2 3 4 5 6 7 8; do (sleep 300; sleep 300) & done; wait"])
time.sleep(0.5)
print(len(descendants(os.getpid())))
print(end_all(10), descendants(os.getpid()))
"""


def test_orphans_in_sessions_of_their_own_are_found_and_ended() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SPAWNS, PILOT_SOURCES], capture_output=True, text=True, timeout=60, check=True
    )
    found, left = done.stdout.splitlines()

    assert int(found) >= 12
    assert left == "[] []"


def test_a_child_is_below_its_parent() -> None:
    with subprocess.Popen(["sleep", "30"]) as child:
        assert child.pid in descendants(os.getpid())
        assert parent_of(child.pid) == os.getpid()
        child.kill()


def test_a_process_that_is_gone_has_no_parent() -> None:
    with subprocess.Popen(["true"]) as child:
        child.wait()
    deadline = time.monotonic() + 5
    while parent_of(child.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert parent_of(child.pid) == 0
