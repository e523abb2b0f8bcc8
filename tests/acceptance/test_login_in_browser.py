"""Login by a provider in a real browser without scripts: there and back across sites, by keyboard."""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from tests.acceptance.served_registry import free_port, served
from tests.command import goc
from tests.contract.login_provider import CLIENT, SECRET, login_provider
from tests.contract.test_login import SETTINGS

pytestmark = pytest.mark.acceptance

EXAMPLE = Path(__file__).parents[1] / "data" / "registry" / "example"
FORM = "/downtimes/new?site=ITB-SLURM&site=ITB-CONDOR"


def test_who_is_led_to_the_login_comes_back_to_the_form_of_several_sites(
    tmp_path: Path, browser: Chrome
) -> None:
    home = tmp_path / "home"
    shutil.copytree(EXAMPLE, home / "registry")
    # Another name of this machine: to the browser another site, whose way back may bring no strict cookie.
    with login_provider("localhost") as provider:
        provider.claims = {"groups": ["goc-operators"]}
        port = free_port()
        address = f"http://127.0.0.1:{port}"
        settings = SETTINGS.format(issuer=provider.issuer, client=CLIENT)
        (home / "goc.toml").write_text(settings.replace("https://testserver", address))
        (home / "login.secret").write_text(SECRET)
        assert goc(home, "registry", "import").returncode == 0
        # Reading the log empties it of what pages opened by other tests left there.
        browser.get_log("browser")
        with served(home, port):
            browser.get(address + FORM)
            assert urlsplit(browser.current_url).path == "/login"
            browser.find_element(By.LINK_TEXT, "Log in with your organisation").send_keys(Keys.ENTER)
            WebDriverWait(browser, 60).until(lambda seen: seen.current_url == address + FORM)
            # The address is there before the page is.
            WebDriverWait(browser, 60).until(lambda seen: seen.find_elements(By.TAG_NAME, "main"))
            assert "Logged in as operators" in browser.find_element(By.TAG_NAME, "main").text
            assert len(browser.find_elements(By.CSS_SELECTOR, "input[name=resource]")) == 2
            assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
