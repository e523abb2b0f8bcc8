"""Runs one command to its end or to its deadline, with everything it started."""

import os
import signal
import subprocess
from typing import List, Mapping, NamedTuple

_LONGEST_OUTPUT = 2000


class Finished(NamedTuple):
    """How a command ended."""

    exit_code: int
    #: stdout and stderr together, the last 2000 characters.
    output: str
    timed_out: bool


def run_command(
    argv: List[str], timeout_seconds: float, environment: Mapping[str, str], directory: str
) -> Finished:
    """Run ``argv`` in its own process group and wait. Raises OSError when it cannot be started.

    At the deadline the whole group is killed: a script that left children behind must not hold the node.
    """
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=directory,
        env=dict(environment),
        start_new_session=True,
    )
    timed_out = False
    try:
        output, _ = process.communicate(timeout=timeout_seconds)
    except subprocess.TimeoutExpired:
        timed_out = True
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
    text = output.decode("utf-8", "replace").strip()
    return Finished(exit_code=process.returncode, output=text[-_LONGEST_OUTPUT:], timed_out=timed_out)
