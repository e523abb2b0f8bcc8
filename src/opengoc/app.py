"""The composition root: the only place that wires rooms together."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from opengoc.base.errors import Permanent
from opengoc.settings import Settings, load_settings

if TYPE_CHECKING:
    from opengoc.store.database import Database
    from opengoc.store.lake import Lake


def default_home() -> Path:
    """``$GOC_HOME``, else ``.goc`` in the current folder."""
    return Path(os.environ.get("GOC_HOME") or ".goc").absolute()


@dataclass(frozen=True)
class House:
    """One installation, opened: its home, its settings, and its stores (opened at first use)."""

    home: Path
    #: Who acts, written into every fact: the operator's login unless set.
    who: str = field(
        default_factory=lambda: os.environ.get("GOC_WHO") or os.environ.get("USER") or "operator"
    )

    @cached_property
    def settings(self) -> Settings:
        """The settings file, checked. Raises InvalidInput."""
        return load_settings(self.home)

    @cached_property
    def database(self) -> Database:
        """Facts and ledger, migrated to this release."""
        # Stores are imported where they are first used: a command that needs none of them starts at once.
        from opengoc.store.database import open_database

        self._require_home()
        return open_database(self.settings.store.url or f"sqlite:///{self.home / 'goc.db'}")

    @cached_property
    def lake(self) -> Lake:
        """High-volume records."""
        from opengoc.store.lake import Lake

        self._require_home()
        return Lake(self.home / "lake")

    def path(self, path: Path) -> Path:
        """A path of the settings: relative ones count from the home."""
        return self.home / path

    def close(self) -> None:
        """Let go of the database; safe when it was never opened."""
        if "database" in self.__dict__:
            self.database.dispose()

    def _require_home(self) -> None:
        try:
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise Permanent(
                f"cannot make the home {self.home}: {error}; choose another with --home"
            ) from error


@contextmanager
def open_house(home: Path) -> Iterator[House]:
    """The installation at ``home`` for the length of a block."""
    house = House(home)
    try:
        yield house
    finally:
        house.close()
