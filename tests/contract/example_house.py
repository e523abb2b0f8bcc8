"""A house with the example registry, and nothing else in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.contract.registry_trees import EXAMPLE

from opengoc.app import House
from opengoc.registry.store import import_tree


@contextmanager
def example_house(home: Path) -> Iterator[House]:
    """The house of an operator at ``home``, for the length of a block."""
    with closing(House(home, who="operator")) as house:
        with house.database.begin() as conn:
            import_tree(conn, EXAMPLE, "operator")
        yield house
