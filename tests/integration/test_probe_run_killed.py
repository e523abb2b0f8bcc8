"""A probe run that is killed loses none of the results it had."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.command import answer, goc

from opengoc.base.interval import Interval
from opengoc.monitoring import store
from opengoc.store.lake import Lake

pytestmark = pytest.mark.integration

REGISTRY = Path(__file__).parents[1] / "data" / "registry" / "example"
PROBES = """
[[command]]
metric = "quick"
argv = ["/bin/echo", "done"]
services = ["CE"]

[[command]]
metric = "slow"
argv = ["/bin/sleep", "60"]
services = ["CE"]
"""


def test_results_that_came_before_the_kill_are_in_after_the_next_run(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert goc(home, "registry", "import", str(REGISTRY)).returncode == 0
    (home / "probes.toml").write_text(PROBES)
    run = subprocess.Popen([sys.executable, "-m", "opengoc", "--home", str(home), "probe", "run"])
    try:
        deadline = time.monotonic() + 60
        while not any(f.read_bytes().count(b"\n") >= 2 for f in (home / "raw" / "probes").glob("*.jsonl")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        run.send_signal(signal.SIGKILL)
        run.wait(30)
    (home / "probes.toml").write_text(PROBES.replace("/bin/sleep", "/bin/echo"))
    assert len(answer(home, "probe", "run", "--only", "slow")) == 2
    lake = Lake(home / "lake")
    store.declare(lake)
    now = datetime.now(UTC)
    kept = store.results(lake, Interval(now - timedelta(hours=1), now + timedelta(hours=1)))
    assert sorted(r.metric for r in kept) == ["quick", "quick", "slow", "slow"]
    assert not list((home / "raw" / "probes").glob("*.jsonl"))
    expected = answer(home, "probe", "expected")
    assert {(row["metric"], row["spells"][-1][1]) for row in expected} == {("quick", None), ("slow", None)}
