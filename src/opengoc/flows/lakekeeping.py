"""Keeping the lake's tables small: files are joined, and those that nothing needs any more removed.

Each table has one writer at a time, see ``store.writer``: whoever collects, joins or removes holds its role.
A process killed meanwhile leaves the table as it was, and perhaps files that the next vacuum removes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Connection

from opengoc.accounting import summary
from opengoc.accounting.summary import Refreshed
from opengoc.accounting.summary_table import SUMMARY_TABLE
from opengoc.accounting.table import TABLE
from opengoc.base.errors import InvalidInput
from opengoc.reports import published
from opengoc.store import facts
from opengoc.store.database import Database
from opengoc.store.lake import Lake
from opengoc.store.writer import sole_writer

#: Versions are the evidence behind figures: each can be read for so long.
EVIDENCE = timedelta(days=400)
#: The summary can be made again at any time: its files stay as long as somebody may be reading them.
_SUMMARY = timedelta(days=7)
#: Whoever reads or writes now needs files of the last days.
_LEAST = timedelta(days=7)
#: Who writes a table; of others, nobody but those here.
_ROLES = {TABLE: "accounting", SUMMARY_TABLE: "accounting-summary"}


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the tables are, and what keeps others from writing them."""

    home: Path
    database: Database
    lake: Lake

    @contextmanager
    def writing(self, table: str) -> Iterator[None]:
        """Be the only writer of a table. Raises Temporary naming the one there is."""
        with sole_writer(self.home, self.database, _ROLES.get(table, f"lake-{table}")):
            yield


def summarise(place: Place) -> Refreshed:
    """Bring the summary of usage up to date."""
    with place.writing(SUMMARY_TABLE):
        return summary.refresh(place.lake, place.database)


def compact(place: Place, table: str) -> int:
    """Join small files of a table; gives how many went."""
    with place.writing(table):
        return place.lake.compact(table)


def vacuum(place: Place, table: str, *, older_than: timedelta = EVIDENCE, dry_run: bool = False) -> int:
    """Remove files that no version of the time that is kept needs; gives how many.

    A version that a published figure names stays readable, however old. Raises InvalidInput for a time so
    short that somebody may still be reading or writing.
    """
    if older_than < _LEAST:
        raise InvalidInput("older than", str(older_than), f"must be {_LEAST.days} days at least")
    if table == SUMMARY_TABLE:
        older_than = min(older_than, _SUMMARY)
    with place.writing(table):
        with place.database.read() as conn:
            keep = _published_versions(conn, table)
        return place.lake.vacuum(table, older_than=older_than, keep=keep, dry_run=dry_run)


def _published_versions(conn: Connection, table: str) -> frozenset[int]:
    """The versions of a table that figures of published reports name, in every revision."""
    return frozenset(
        int(figure.evidence["version"])
        for fact in facts.standing(conn, published.KIND)
        for revision in published.revisions(conn, fact.key)
        for figure in revision.report.figures
        if figure.evidence.get("table") == table and figure.evidence.get("version") is not None
    )
