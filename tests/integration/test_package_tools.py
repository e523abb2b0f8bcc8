"""Debian packages are installed on a machine whose package tools are in use, or were cut off."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from opengoc.base.errors import Temporary
from opengoc.testbed import tools

APT_NEED = Path(__file__).parents[2] / "tools" / "apt-need"

#: Stand for dpkg and apt-get. A folder beside them makes them refuse: `interrupted` until dpkg was told to
#: finish, `lists` and `frontend` once, as if another run had held that lock.
DPKG = """#!/bin/sh
cd "$(dirname "$0")"
if rmdir frontend 2>/dev/null; then
    echo "dpkg: error: dpkg frontend lock was locked by another process with pid 42" >&2
    exit 2
fi
[ "$*" != "--configure -a" ] || rm -rf interrupted
"""
APT = """#!/bin/sh
cd "$(dirname "$0")"
case "$*" in
*update*)
    rmdir lists 2>/dev/null || exit 0
    echo "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 42 (apt-get)" >&2
    exit 100 ;;
*absent*) echo "E: Unable to locate package absent" >&2; exit 100 ;;
*install*) [ ! -e interrupted ] || { echo "E: dpkg was interrupted" >&2; exit 100; }; touch installed ;;
esac
"""

#: Installs the package that it is given; code and what was said.
Install = Callable[[str], tuple[int, str]]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the stand-ins, first in the path; nothing waits long."""
    texts = {"dpkg": DPKG, "apt-get": APT, "sudo": '#!/bin/sh\n[ "$1" != -n ] || shift\nexec "$@"\n'}
    texts |= {"dpkg-query": "#!/bin/sh\nexit 1\n", "sleep": "#!/bin/sh\n"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(tools, "_LOCK_POLL_SECONDS", 0.0)
    return tmp_path


def by_goc(package: str) -> tuple[int, str]:
    """As `goc testbed up` installs."""
    said: list[str] = []
    try:
        tools.install([package], said.append)
    except Temporary as error:
        return 1, str(error)
    return 0, "\n".join(said)


def by_make(package: str) -> tuple[int, str]:
    """As `make setup` installs."""
    done = subprocess.run([APT_NEED, package], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("install", [by_goc, by_make])
class TestInstall:
    def test_a_package_run_that_was_cut_off_is_finished_first(self, install: Install, machine: Path) -> None:
        (machine / "interrupted").mkdir()
        assert install("bubblewrap")[0] == 0
        assert (machine / "installed").exists()

    @pytest.mark.parametrize("lock", ["frontend", "lists"])
    def test_another_package_run_is_waited_for(self, lock: str, install: Install, machine: Path) -> None:
        (machine / lock).mkdir()
        code, said = install("bubblewrap")
        assert code == 0
        assert "waiting for another package run of this machine to end" in said
        assert (machine / "installed").exists()

    def test_any_other_failure_is_told_at_once(self, install: Install, machine: Path) -> None:
        code, said = install("absent")
        assert code != 0
        assert "E: Unable to locate package absent" in said
        assert "waiting" not in said
        assert not (machine / "installed").exists()
