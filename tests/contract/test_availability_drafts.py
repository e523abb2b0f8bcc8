"""A late correction that waits: approved or rejected, with who and why, and never brought up twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.contract.late_correction import NOW, PROFILE, WEEK, published_week, shorten

from opengoc.base.errors import Conflict, InvalidInput
from opengoc.flows import availability
from opengoc.flows.availability import Centre
from opengoc.flows.availability_drafts import Draft, Rejection, drafts, reject, rejections
from opengoc.store.database import Database
from opengoc.store.lake import Lake


@pytest.fixture
def late(tmp_path: Path, database: Database) -> tuple[Centre, str]:
    """A published week, and the downtime in it."""
    return published_week(Lake(tmp_path / "lake"), database)


def outcome(centre: Centre) -> str:
    (reviewed,) = availability.review(centre, now=NOW)
    return reviewed.outcome


def waiting(centre: Centre) -> list[Draft]:
    with centre.database.read() as conn:
        return drafts(conn)


def refuse(centre: Centre, *, why: str = "the log of the site says otherwise", **more: str) -> Rejection:
    with centre.database.begin() as conn:
        return reject(conn, WEEK, PROFILE, who="site operator", why=why, **more)


def test_what_was_rejected_is_not_brought_up_again_until_the_facts_move_on(late: tuple[Centre, str]) -> None:
    centre, downtime = late
    assert outcome(centre) == "stands"
    shorten(centre.database, downtime, 4)
    assert outcome(centre) == "waits"
    made = refuse(centre)
    with centre.database.read() as conn:
        assert rejections(conn) == [made]
    assert (made.who, made.why) == ("site operator", "the log of the site says otherwise")
    for _ in range(2):
        assert (outcome(centre), waiting(centre)) == ("rejected", [])
    shorten(centre.database, downtime, 2)
    assert outcome(centre) == "waits"
    # Back to what was rejected: still rejected, and the draft of the other correction goes.
    shorten(centre.database, downtime, 4)
    assert (outcome(centre), waiting(centre)) == ("rejected", [])
    shorten(centre.database, downtime, 2)
    assert outcome(centre) == "waits"
    availability.approve(centre, WEEK, PROFILE, who="operator", why="seen", now=NOW)
    assert outcome(centre) == "stands"
    published = availability.latest(centre, WEEK, PROFILE)
    assert published is not None and published.report.revision == 2


def test_a_decision_needs_a_draft_a_reason_and_the_draft_that_was_read(late: tuple[Centre, str]) -> None:
    centre, downtime = late
    with pytest.raises(InvalidInput, match="no draft waits"):
        refuse(centre)
    shorten(centre.database, downtime, 4)
    outcome(centre)
    (read,) = waiting(centre)
    shorten(centre.database, downtime, 2)
    outcome(centre)
    with pytest.raises(InvalidInput, match="say why"):
        refuse(centre, why=" ")
    with pytest.raises(Conflict, match="read it again"):
        refuse(centre, content=read.content_hash)
    with pytest.raises(Conflict, match="read it again"):
        availability.approve(
            centre, WEEK, PROFILE, who="operator", why="seen", now=NOW, content=read.content_hash
        )
    with pytest.raises(InvalidInput, match="say why"):
        availability.approve(centre, WEEK, PROFILE, who="operator", why="", now=NOW)
    (still,) = waiting(centre)
    assert refuse(centre, content=still.content_hash).content_hash == still.content_hash
