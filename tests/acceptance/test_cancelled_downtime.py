"""The case the house was built for: a downtime is cancelled after the month's A/R report was published.

From outside: the command alone, a home of its own, a month that is over.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from tests.command import answer, goc
from tests.contract.late_correction import REGISTRY, RESOURCE, SITE, hourly_results

from opengoc.base.interval import Interval
from opengoc.monitoring import store
from opengoc.store.database import open_database
from opengoc.store.lake import Lake

pytestmark = pytest.mark.acceptance


def last_month(now: datetime) -> tuple[datetime, datetime]:
    end = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (end - timedelta(days=1)).replace(day=1), end


START, END = last_month(datetime.now(UTC))
MONTH = f"{START:%Y-%m}"
DOWN = Interval(START + timedelta(days=9, hours=6), START + timedelta(days=9, hours=12))


def instant(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A registry, a month of hourly results (down on the tenth from 06 to 12), and a downtime over them."""
    house = tmp_path / "home"
    assert goc(house, "registry", "import", str(REGISTRY)).returncode == 0
    lake, database = Lake(house / "lake"), open_database(f"sqlite:///{house / 'goc.db'}")
    store.declare(lake)
    results = hourly_results(Interval(START, END), DOWN)
    store.record(lake, database, results, batch_id="month", known_at=END, who="test")
    database.dispose()
    return house


def announce(home: Path) -> str:
    """A downtime over the outage, announced a month ahead; its id."""
    assert DOWN.end is not None
    added = answer(
        home,
        "downtime",
        "add",
        RESOURCE,
        "--start",
        instant(DOWN.start),
        "--end",
        instant(DOWN.end),
        "--severity",
        "Outage",
        "--description",
        "cooling",
    )
    return str(added["id"])


def figures(document: dict[str, Any]) -> dict[str, float]:
    return {f["name"]: f["value"] for f in document["figures"] if f["dimensions"] == {"site": SITE}}


def ar(home: Path, *words: str) -> dict[str, Any]:
    found: dict[str, Any] = answer(home, "report", "ar", "--month", MONTH, "--profile", "rsv-osg", *words)
    return found


def test_a_downtime_cancelled_after_the_month_was_published_makes_revision_2_with_its_cause(
    home: Path,
) -> None:
    downtime = announce(home)
    published = answer(home, "report", "publish-ar", "--month", MONTH, "--profile", "rsv-osg")
    assert (published["revision"], published["new"]) == (1, True)
    hours = 24 * (END - START).days
    first = ar(home)
    assert figures(first)["reliability"] == 100
    assert goc(home, "report", "review").returncode == 0
    assert ar(home)["revision"] == 1

    why = "the work was called off"
    assert goc(home, "downtime", "cancel", downtime, "--why", why).returncode == 0
    (reviewed,) = answer(home, "report", "review")
    if datetime.now(UTC) < END + timedelta(days=10):
        assert reviewed["outcome"] == "published"
    else:
        # The window is over: a draft waits, and the published revision stands until somebody approves.
        assert reviewed["outcome"] == "waits"
        assert ar(home)["revision"] == 1
        (waiting,) = answer(home, "report", "drafts")
        assert waiting["corrections"][0]["causes"][0]["what"] == f"downtime {downtime} cancelled"
        assert goc(home, "report", "approve", MONTH, "--profile", "rsv-osg", "--why", "seen").returncode == 0
        assert answer(home, "report", "drafts") == []

    second = ar(home, "--revision", "2")
    assert figures(second)["reliability"] == pytest.approx(100 * (hours - 6) / hours)
    (correction,) = [c for c in second["corrections"] if c["new"]["dimensions"] == {"site": SITE}]
    assert (correction["old"]["value"], correction["revision"]) == (100, 1)
    (cause,) = correction["causes"]
    assert (cause["what"], cause["why"]) == (f"downtime {downtime} cancelled", why)
    # The old revision is what it was, to the letter.
    assert ar(home, "--revision", "1") == first
    assert [r["revision"] for r in answer(home, "report", "revisions-ar")] == [1, 2]
    weekly = json.loads(goc(home, "report", "weekly", "--week", this_week(), "--json").stdout)
    assert any(c["week"] == f"A/R {MONTH}" for c in weekly["corrections"])


def this_week() -> str:
    year, week, _ = datetime.now(UTC).isocalendar()
    return f"{year}-W{week:02d}"


def test_a_month_that_runs_cannot_be_published_and_is_shown_as_a_draft(home: Path) -> None:
    now = datetime.now(UTC)
    refused = goc(home, "report", "publish-ar", "--month", f"{now:%Y-%m}")
    assert (refused.returncode, "is not over" in refused.stderr) == (3, True)
    assert answer(home, "report", "ar", "--month", f"{now:%Y-%m}")["revision"] == 0


@pytest.mark.parametrize("month", ["9999-12", "2026-13", "2026-1", "0000-01"])
def test_a_month_that_is_none_is_refused_and_one_far_ahead_has_no_figures(home: Path, month: str) -> None:
    done = goc(home, "report", "ar", "--month", month, "--json")
    if month == "9999-12":
        assert done.returncode in (0, 3)
    else:
        assert done.returncode == 3
    assert "Traceback" not in done.stderr


def test_where_the_lost_time_of_a_site_went_adds_up_to_what_it_lacks(home: Path) -> None:
    found = answer(
        home, "ar", SITE, "--from", instant(START), "--to", instant(END), "--profile", "rsv-osg", "--explain"
    )
    (site,) = found["sites"]
    lost = sum(piece["seconds"] for piece in site["losses"]["availability"])
    evidence = site["availability"]["evidence"]
    assert lost == evidence["total_seconds"] - evidence["up_seconds"]
    assert all(piece["causes"] for piece in site["losses"]["availability"])


def test_the_pages_show_the_month_the_site_and_both_revisions(home: Path, browser: Chrome) -> None:
    downtime = announce(home)
    publish = ("report", "publish-ar", "--month", MONTH, "--profile", "rsv-osg")
    assert goc(home, *publish).returncode == 0
    assert goc(home, "downtime", "cancel", downtime, "--why", "called off").returncode == 0
    assert goc(home, *publish, "--why", "approved").returncode == 0
    with serving(home) as address:
        browser.get(f"{address}availability/{MONTH}?profile=rsv-osg")
        row = browser.find_element(By.XPATH, f"//tr[th/a='{SITE}']")
        shades = [square.get_attribute("class") for square in row.find_elements(By.CSS_SELECTOR, "td.square")]
        assert len(shades) == (END - START).days
        assert [place for place, shade in enumerate(shades, start=1) if "low" in str(shade)] == [10]
        page = browser.find_element(By.TAG_NAME, "main").text
        assert f"downtime {downtime} cancelled (called off)" in page
        browser.save_screenshot(str(home.parent / "month.png"))
        browser.find_element(By.LINK_TEXT, SITE).click()
        assert browser.find_element(By.TAG_NAME, "h1").text == f"{SITE}, {MONTH}"
        critical = browser.find_elements(By.CSS_SELECTOR, ".strip .bar.critical")
        assert "6.0 h" in str(critical[0].get_attribute("title"))
        browser.save_screenshot(str(home.parent / "site.png"))
        for revision in ("1", "2"):
            browser.get(f"{address}availability/{MONTH}/report.html?profile=rsv-osg&revision={revision}")
            assert f"revision {revision}" in browser.find_element(By.CSS_SELECTOR, ".standing").text
        browser.get(f"{address}availability/2026-99")
        assert browser.find_element(By.CSS_SELECTOR, "[role=alert]").text


@contextmanager
def serving(home: Path) -> Iterator[str]:
    """``goc serve`` for the length of a block; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    server = subprocess.Popen(
        [sys.executable, "-m", "opengoc", "--home", str(home), "serve", "--port", str(port)],
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < deadline, "goc serve did not start"
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.wait(30)
