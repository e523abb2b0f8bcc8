"""A report that people wait for and do not get is an alarm."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.unit.reports.example_week import AS_OF, MONDAY, WEEK

from opengoc.flows.mail import Delivery, DeliveryState, unsent
from opengoc.reports.model import Report
from opengoc.reports.published import Publication

TO = "production@grid.example.org"


@pytest.fixture
def publication(report: Report) -> Publication:
    """The example week as revision 2."""
    return Publication(
        report=report.as_revision(2, ()),
        content_hash="h",
        feed=0,
        who="production coordinator",
        published_at=AS_OF,
    )


def delivery(revision: int) -> Delivery:
    return Delivery(
        key="k",
        week=WEEK,
        revision=revision,
        recipient=TO,
        state=DeliveryState.SENT,
        attempts=1,
        error="",
        next_try=None,
        sent_at=AS_OF,
    )


def test_the_latest_revision_must_have_gone_to_every_recipient(publication: Publication) -> None:
    told = (f"report {WEEK} revision 2 was never mailed to {TO}",)
    assert unsent([publication], [], [TO], AS_OF) == told
    assert unsent([publication], [delivery(1)], [TO], AS_OF) == told
    assert unsent([publication], [delivery(2)], [TO], AS_OF) == ()


def test_without_recipients_nobody_waits(publication: Publication) -> None:
    assert unsent([publication], [], [], AS_OF) == ()


def test_an_installation_that_never_published_is_not_late() -> None:
    assert unsent([], [], [TO], AS_OF) == ()


@pytest.mark.parametrize(
    ("days", "late"), [(6, False), (14, False), (14.9, False), (15.1, True), (22.1, True)]
)
def test_a_week_is_late_a_day_after_it_ended(publication: Publication, days: float, late: bool) -> None:
    now = MONDAY + timedelta(days=days)
    said = unsent([replace(publication)], [delivery(2)], [TO], now)
    assert bool(said) is late
    if late:
        assert said[0].endswith("is not published")
