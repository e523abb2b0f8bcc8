"""The testbed for tests: one shared by the run, and private ones for tests that break them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.integration.testbed_grid import Grid

from opengoc.testbed import lifecycle, root
from opengoc.testbed.layout import Layout


@pytest.fixture(scope="session")
def testbed_root() -> Path:
    """The private root with HTCondor and Slurm; built when this machine has none yet."""
    return root.build_root(lambda what, done, total: None)


@pytest.fixture(scope="session")
def grid(tmp_path_factory: pytest.TempPathFactory, testbed_root: Path) -> Iterator[Grid]:
    """A running testbed that all tests of the run share: leave its queues as you found them."""
    home = tmp_path_factory.mktemp("grid")
    try:
        yield Grid(lifecycle.up(home, testbed_root, lambda what, done, total: None))
    finally:
        lifecycle.end_processes(Layout(home))


@pytest.fixture
def private_grid(testbed_root: Path) -> Iterator[Callable[[Path], Grid]]:
    """Starts a testbed of the test's own in a home it names; it is ended with the test."""
    homes: list[Path] = []

    def start(home: Path) -> Grid:
        homes.append(home)
        return Grid(lifecycle.up(home, testbed_root, lambda what, done, total: None))

    try:
        yield start
    finally:
        for home in homes:
            lifecycle.end_processes(Layout(home))
