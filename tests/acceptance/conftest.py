"""One run of the demo for all tests from outside, left running with its pages; and a browser."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from tests.acceptance.demo_run import JOBS, DemoRun, processes_of
from tests.command import goc


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def demo() -> Iterator[DemoRun]:
    """``goc demo --keep`` of 60 jobs, and its end afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="goc-demo-"))
    home, port = folder / "home", _free_port()
    done = goc(home, "demo", "--keep", "--jobs", str(JOBS), "--port", str(port), timeout=900)
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        yield DemoRun(home, f"http://127.0.0.1:{port}/", done.stdout)
    finally:
        stopped = goc(home, "demo", "--stop")
        left = processes_of(home)
        shutil.rmtree(folder, ignore_errors=True)
        assert stopped.returncode == 0, stopped.stderr
        assert not left, f"the demo left processes: {left}"


@pytest.fixture(scope="session")
def browser() -> Iterator[Chrome]:
    """Debian's Chromium without a screen."""
    # The browser and its driver are Debian's: nothing is to be looked for elsewhere.
    os.environ["SE_OFFLINE"] = "true"
    options = ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    with tempfile.TemporaryDirectory(prefix="goc-chromium-") as profile:
        for word in (
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1280,1000",
            f"--user-data-dir={profile}",
        ):
            options.add_argument(word)
        chrome = Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        yield chrome
        chrome.quit()
