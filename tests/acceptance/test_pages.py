"""The pages in a real browser: each opens, leads on, needs no script and loads nothing from elsewhere."""

from __future__ import annotations

import json
import urllib.request

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from tests.acceptance.demo_run import DemoRun

pytestmark = pytest.mark.acceptance


def read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=20) as got:
        return str(got.read().decode())


def test_the_overview_leads_to_a_page_for_each_site_and_vo(demo: DemoRun, browser: Chrome) -> None:
    for name in ("ITB-CONDOR", "ITB-SLURM", "cms", "ligo"):
        browser.get(demo.address)
        assert "unknown" not in browser.find_element(By.CSS_SELECTOR, "dl.tiles").text
        browser.find_element(By.LINK_TEXT, name).click()
        assert browser.find_element(By.TAG_NAME, "h1").text == name
        assert "CPU/wall" in browser.page_source or "Availability" in browser.page_source


def test_a_vo_page_shows_the_jobs_of_the_week(demo: DemoRun, browser: Chrome) -> None:
    browser.get(demo.address + "vos/cms")
    row = browser.find_element(By.XPATH, "//tr[th='Payload jobs']")
    assert "30" in row.text


def test_the_weekly_report_opens_from_the_navigation(demo: DemoRun, browser: Chrome) -> None:
    browser.get(demo.address)
    browser.find_element(By.LINK_TEXT, "Weekly report").click()
    browser.find_element(By.LINK_TEXT, "read").click()
    assert browser.find_element(By.TAG_NAME, "h1").text.startswith("Production report")
    assert browser.find_elements(By.CSS_SELECTOR, "svg.plot")


def test_the_published_revision_and_the_draft_are_both_there(demo: DemoRun, browser: Chrome) -> None:
    browser.get(demo.address + "report")
    rows = [row.text for row in browser.find_elements(By.CSS_SELECTOR, "tbody tr")]
    assert any("draft" in row for row in rows)
    assert any("stands" in row for row in rows)


def test_the_pages_can_be_walked_with_the_keyboard(demo: DemoRun, browser: Chrome) -> None:
    browser.get(demo.address)
    body = browser.find_element(By.TAG_NAME, "body")
    body.send_keys(Keys.TAB)
    assert browser.switch_to.active_element.text == "Skip to the content"
    focused = []
    for _ in range(12):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        focused.append(browser.switch_to.active_element.text)
    assert {"Overview", "Factory", "Weekly report"} <= set(focused)


def test_no_page_has_a_script_or_loads_from_elsewhere(demo: DemoRun, browser: Chrome) -> None:
    # Reading the log empties it: what pages opened by other tests left there is not of these.
    browser.get_log("browser")
    for path in (
        "",
        "status",
        "sites",
        "sites/ITB-SLURM",
        "vos",
        "vos/cms",
        "downtimes",
        "downtimes/calendar",
        "factory",
        "report",
    ):
        browser.get(demo.address + path)
        assert not browser.find_elements(By.TAG_NAME, "script")
        loaded = browser.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
        assert all(url.startswith(demo.address) for url in loaded), loaded
        assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def test_an_unknown_site_gets_a_page_that_says_so(demo: DemoRun, browser: Chrome) -> None:
    browser.get(demo.address + "sites/NOWHERE")
    assert "holds no site" in browser.find_element(By.CSS_SELECTOR, "[role=alert]").text


def test_a_name_with_markup_is_shown_as_text(demo: DemoRun, browser: Chrome) -> None:
    browser.get(demo.address + "sites/<b>bold")
    assert "<b>bold" in browser.find_element(By.TAG_NAME, "main").text


def test_health_and_metrics_answer_machines(demo: DemoRun) -> None:
    assert json.loads(read(demo.address + "healthz"))["status"] == "ok"
    metrics = read(demo.address + "metrics")
    assert 'goc_payload_jobs{state="idle",vo="cms"} 0.0' in metrics
    assert 'goc_service_status{resource="ITB-SLURM-CE"' in metrics
