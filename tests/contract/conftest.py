"""Concurrency for the contract suites: threads that start together, and whole processes."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from opengoc.base.errors import GocError

Together = Callable[..., list[object]]
StartPython = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def together() -> Together:
    """``together(count, call)``: ``call(0) … call(count-1)`` in threads that start at one moment.

    Gives what each returned, or the GocError it raised; any other error fails the test.
    """

    def run(count: int, call: Callable[[int], object]) -> list[object]:
        barrier = threading.Barrier(count)

        def one(number: int) -> object:
            barrier.wait(timeout=30)
            try:
                return call(number)
            except GocError as error:
                return error

        with ThreadPoolExecutor(count) as threads:
            return list(threads.map(one, range(count)))

    return run


@pytest.fixture
def start_python() -> Iterator[StartPython]:
    """``start_python(program, *arguments)``: a process of its own that runs the text of a program."""
    started: list[subprocess.Popen[str]] = []

    def start(program: str, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=30)
