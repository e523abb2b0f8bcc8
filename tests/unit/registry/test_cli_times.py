"""Times of the command line: ISO 8601, ``now`` and relative ones."""

from datetime import UTC, datetime, timedelta

import pytest

from opengoc.base.errors import InvalidInput
from opengoc.cli.downtime import parse_moment

NOW = datetime(2026, 11, 14, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("now", NOW),
        ("+2h", NOW + timedelta(hours=2)),
        ("-30m", NOW - timedelta(minutes=30)),
        ("+1d", NOW + timedelta(days=1)),
        ("+2w", NOW + timedelta(weeks=2)),
        ("2026-11-20T06:00:00Z", datetime(2026, 11, 20, 6, tzinfo=UTC)),
        ("2026-11-20T06:00:00+02:00", datetime(2026, 11, 20, 4, tzinfo=UTC)),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
    ],
)
def test_a_time_is_read(text: str, moment: datetime) -> None:
    assert parse_moment(text, "--start", now=NOW) == moment


def test_a_relative_end_counts_from_the_start() -> None:
    start = NOW + timedelta(days=3)
    assert parse_moment("+4h", "--end", now=NOW, origin=start) == start + timedelta(hours=4)


@pytest.mark.parametrize("text", ["", "tomorrow", "2h", "+2y", "2026-11-20T06:00:00", "+999999w"])
def test_what_is_no_time_is_refused_and_the_option_named(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_moment(text, "--start", now=NOW)
    assert refused.value.where == "--start"
