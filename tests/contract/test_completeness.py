"""Gaps as findings: first seen once, closed when they are gone, as somebody expects. On both databases."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from tests.contract.conftest import Together

from opengoc.accounting import expected, findings, runs, sequences
from opengoc.accounting.expected import Expectation
from opengoc.accounting.findings import Finding
from opengoc.accounting.gaps import What
from opengoc.accounting.importing import import_file
from opengoc.accounting.ingest import Stores
from opengoc.accounting.model import Kind
from opengoc.accounting.raw import RawStore
from opengoc.accounting.source import Source
from opengoc.base.errors import Conflict, InvalidInput
from opengoc.base.instant import utc_now
from opengoc.base.interval import Interval
from opengoc.flows.completeness import review
from opengoc.store import facts
from opengoc.store.database import Database
from opengoc.store.lake import Lake

#: After all that the tests say: a review knows what was known at its time.
NOW = utc_now().replace(microsecond=0) + timedelta(hours=1)
DAY = timedelta(days=1)
SOURCE = Source(name="site-b", format="auto", path=Path(), kind=Kind.PILOT, site="SITE-B")


@dataclass
class House:
    """An installation that expects one source."""

    database: Database
    lake: Lake

    def review(self, after: timedelta = timedelta()) -> list[Finding]:
        return review(self.database, self.lake, (), now=NOW + after)

    def beat(self, after: timedelta) -> None:
        with self.database.begin() as conn:
            runs.report(conn, SOURCE, start=None, end=NOW + after, now=NOW + after, who="site-b")

    def versions(self) -> int:
        with self.database.read() as conn:
            return len(facts.changes(conn, kinds=[findings.KIND]))


def expectation(start: timedelta = -10 * DAY) -> Expectation:
    return Expectation(source="site-b", records=Kind.PILOT, site="SITE-B", interval=Interval(NOW + start))


@pytest.fixture
def house(database: Database, tmp_path: Path) -> House:
    with database.begin() as conn:
        expected.expect(conn, expectation(), who="operator", why="agreed")
    return House(database, Lake(tmp_path / "lake"))


def test_a_gap_is_first_seen_once_and_closed_when_it_is_gone(house: House) -> None:
    (first,) = house.review()
    assert (first.state, first.seen.start) == ("open", NOW)
    (again,) = house.review(DAY)
    assert (again.seen.start, again.gap.key) == (NOW, first.gap.key)
    # That it lasts a day longer is nothing new.
    assert house.versions() == 1
    house.beat(2 * DAY)
    assert house.review(2 * DAY) == []
    with house.database.read() as conn:
        (closed,) = findings.standing(conn, closed=True)
    assert (closed.state, closed.seen.end) == ("closed", NOW + 2 * DAY)
    (later,) = house.review(10 * DAY)
    assert later.seen.start == NOW + 10 * DAY


def test_what_is_expected_no_more_lacks_nothing_and_the_past_stays_readable(house: House) -> None:
    (found,) = house.review()
    before = utc_now()
    with house.database.begin() as conn:
        expected.end(conn, "site-b", at=NOW - 20 * DAY, who="operator", why="never was")
    assert house.review(DAY) == []
    with house.database.read() as conn:
        assert expected.standing(conn) == []
        (then,) = expected.standing(conn, known_at=before)
        assert (then.why, then.who) == ("agreed", "operator")
        assert [each.gap.key for each in findings.standing(conn, known_at=before)] == [found.gap.key]


def test_a_source_is_expected_again_after_it_was_not(house: House) -> None:
    with house.database.begin() as conn:
        expected.end(conn, "site-b", at=NOW - 5 * DAY, who="operator", why="closed")
        expected.expect(conn, expectation(-2 * DAY), who="operator", why="open again")
        spans = [each.interval for each in expected.standing(conn)]
        with pytest.raises(Conflict):
            expected.expect(conn, expectation(-DAY), who="operator", why="twice")
    assert spans == [Interval(NOW - 10 * DAY, NOW - 5 * DAY), Interval(NOW - 2 * DAY)]
    assert [each.gap.window.end for each in house.review()] == [NOW - 5 * DAY, NOW]


@pytest.mark.parametrize("said", ["", "s", "s/", "s/0", "s/-1", "s/1/2", "s t/1", "s/" + "9" * 20])
def test_a_number_that_is_not_well_said_is_refused(said: str) -> None:
    with pytest.raises(InvalidInput):
        sequences.parse(said)


def test_reviews_at_one_moment_find_the_same_once(house: House, together: Together) -> None:
    found = together(4, lambda _: house.review())
    assert [len(each) if isinstance(each, list) else each for each in found] == [1, 1, 1, 1]
    assert house.versions() == 1


#: In the month before the one that runs.
BEFORE = NOW.replace(day=1) - 5 * DAY


def apel(*counts: int, first: int = 1, of: datetime = BEFORE) -> bytes:
    """Three jobs of the month before, and messages of how many there are of a month."""
    at = int(BEFORE.timestamp())
    about = "Site: SITE-B\nSubmitHost: ce.example.org\n"
    used = f"WallDuration: 60\nCpuDuration: 6\nStartTime: {at}\nEndTime: {at + 60}\n"
    jobs = "".join(f"{about}LocalJobId: {n}\n{used}%%\n" for n in range(first, first + 3))
    month = f"Month: {of.month}\nYear: {of.year}\n"
    told = "".join(f"{about}NumberOfJobs: {each}\n{month}%%\n" for each in counts)
    return f"APEL-individual-job-message: v0.3\n{jobs}{told}".encode()


def test_a_count_that_does_not_fit_what_came_is_a_gap_until_it_does(house: House, tmp_path: Path) -> None:
    def give(content: bytes) -> list[str]:
        (path := tmp_path / "message").write_bytes(content)
        counts = import_file(replace(SOURCE, path=path), stores, who="test").counts
        assert counts.quarantined == 0
        found = house.review(timedelta(seconds=next(later)))
        return sorted(each.gap.reason for each in found if each.gap.what is What.SYNC)

    later = count(1)
    stores = Stores(database=house.database, lake=house.lake, raw=RawStore(tmp_path / "raw"))
    assert give(apel(3)) == []
    said = f"SITE-B ce.example.org sent 6 jobs of {BEFORE:%Y-%m} by its own count"
    assert give(apel(6)) == [f"{said}, 3 are here"]
    # A count of the month that runs is no record of the future.
    assert len(give(apel(5, of=NOW - timedelta(hours=1)))) == 2
    assert len(give(apel(first=4))) == 1
    # More are here than were sent in a month that is over.
    assert f"{said}, 9 are here" in give(apel(first=7))
