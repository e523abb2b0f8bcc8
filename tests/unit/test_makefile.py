"""Set-up by `make`: interrupted, repeated, and after a change of what is needed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]

#: Stands for Python: `venv --clear` makes an empty environment, `pip install` installs two packages and ends
#: in the midst of the first while a file `cut-off` is there. Like pip, it leaves alone what looks installed.
PYTHON = """#!/bin/sh -e
echo "$2 $3" >>calls
case "$2 $3" in
"venv --clear") rm -rf .venv; mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
"pip install")
    [ -e .venv/first ] || { touch .venv/first; test ! -e cut-off; touch .venv/first.script; }
    touch .venv/second ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with this Makefile, where every Debian package is there and Python is the stand-in."""
    shutil.copy(CHECKOUT / "Makefile", tmp_path)
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).touch()
    (tmp_path / "tools").mkdir()
    for name, text in (("tools/apt-need", "#!/bin/sh\n"), ("python", PYTHON)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return tmp_path


def make_setup(checkout: Path) -> tuple[int, list[str]]:
    """Exit code of `make setup`, and what it called Python for."""
    (checkout / "calls").write_text("")
    # Not the make that may have started these tests.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    argv = ["make", "setup", f"PYTHON={checkout / 'python'}"]
    done = subprocess.run(argv, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, (checkout / "calls").read_text().splitlines()


def test_an_interrupted_installation_is_not_built_upon(checkout: Path) -> None:
    (checkout / "cut-off").touch()
    code, _ = make_setup(checkout)
    assert code != 0
    assert (checkout / ".venv/first").exists()
    (checkout / "cut-off").unlink()
    assert make_setup(checkout) == (0, ["venv --clear", "pip install"])
    assert (checkout / ".venv/first.script").exists()


def test_what_is_installed_is_left_alone(checkout: Path) -> None:
    assert make_setup(checkout) == (0, ["venv --clear", "pip install"])
    assert make_setup(checkout) == (0, [])


def test_a_change_is_installed_on_top_and_afresh_where_that_is_interrupted(checkout: Path) -> None:
    make_setup(checkout)
    ready = checkout / ".venv/.ready"
    os.utime(ready, (0, 0))
    assert make_setup(checkout) == (0, ["pip --version", "pip install"])
    os.utime(ready, (0, 0))
    (checkout / ".venv/first").unlink()
    (checkout / "cut-off").touch()
    code, _ = make_setup(checkout)
    assert code != 0
    assert not ready.exists()
    (checkout / "cut-off").unlink()
    assert make_setup(checkout) == (0, ["venv --clear", "pip install"])
