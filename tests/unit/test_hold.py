"""One process per role in a home."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from opengoc.base.errors import InvalidInput, Permanent, Temporary
from opengoc.store.hold import hold

HOLDER = """
import sys, time
from pathlib import Path
from opengoc.store.hold import hold
sys.argv = ["/usr/local/bin/goc", "factory", "run"]
with hold(Path(HOME), "factory"):
    print("held", flush=True)
    sys.stdin.readline()
"""


def start_holder(home: Path) -> subprocess.Popen[str]:
    """Another process that holds the role until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER.replace("HOME", repr(str(home)))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_process_is_told_who_holds_the_home_and_what_to_do(tmp_path: Path) -> None:
    process = start_holder(tmp_path)
    with pytest.raises(Temporary) as refused, hold(tmp_path, "factory"):
        pass
    process.communicate("", timeout=30)
    told = (
        f"home {re.escape(str(tmp_path))} is held by process {process.pid} "
        r"\(goc factory run, since 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ\): stop it or choose another --home"
    )
    assert re.fullmatch(told, str(refused.value))


def test_a_home_that_a_lock_makes_is_its_owners_alone(tmp_path: Path) -> None:
    with hold(tmp_path / "made" / "home", "factory"):
        for folder in ("made/home", "made/home/locks"):
            assert (tmp_path / folder).stat().st_mode & 0o777 == 0o700


def test_a_role_is_free_again_when_its_block_ends_even_by_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), hold(tmp_path, "factory"):
        raise ZeroDivisionError
    with hold(tmp_path, "factory") as path:
        assert path == tmp_path / "locks" / "factory.lock"


def test_a_role_is_free_again_when_its_holder_is_killed(tmp_path: Path) -> None:
    process = start_holder(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=30)
    assert str(process.pid) in (tmp_path / "locks" / "factory.lock").read_text()
    with hold(tmp_path, "factory") as path:
        assert str(os.getpid()) in path.read_text()


@pytest.mark.parametrize(
    "stale",
    [
        b"",
        b'{"pid": 1, "command": "goc factory run", "since": "2026-11-16T00:00:00Z"}',
        b"\xff\x00 no text at all" * 1000,
        b"[]",
        b"7",
    ],
)
def test_what_an_old_lock_file_says_never_blocks(tmp_path: Path, stale: bytes) -> None:
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "factory.lock").write_bytes(stale)
    with hold(tmp_path, "factory"):
        pass


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"\xff",
        b"[]",
        b'{"pid": 1}',
        b'{"pid": -1, "command": "goc", "since": ""}',
        b'{"pid": 999999999999999999999999, "command": "goc", "since": ""}',
    ],
)
def test_a_holder_whose_note_says_nothing_true_still_holds(tmp_path: Path, note: bytes) -> None:
    with hold(tmp_path, "factory") as path:
        path.write_bytes(note)
        with pytest.raises(Temporary, match="held by another process"), hold(tmp_path, "factory"):
            pass


def test_roles_and_homes_do_not_disturb_one_another(tmp_path: Path) -> None:
    with (
        hold(tmp_path, "factory"),
        hold(tmp_path, "monitoring"),
        hold(tmp_path / "other", "factory"),
        pytest.raises(Temporary),
        hold(tmp_path, "monitoring"),
    ):
        pass


def test_of_threads_that_come_together_one_holds(tmp_path: Path) -> None:
    barrier = threading.Barrier(8)
    held: list[int] = []
    refused: list[int] = []

    def try_it(number: int) -> None:
        barrier.wait(timeout=30)
        try:
            with hold(tmp_path, "factory"):
                held.append(number)
                all_tried.wait(timeout=30)
        except Temporary:
            refused.append(number)
            if len(refused) == 7:
                all_tried.set()

    all_tried = threading.Event()
    threads = [threading.Thread(target=try_it, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert (len(held), len(refused)) == (1, 7)


@pytest.mark.parametrize("role", ["", "../escape", ".hidden", "a/b"])
def test_a_role_that_is_no_file_name_is_refused(tmp_path: Path, role: str) -> None:
    with pytest.raises(InvalidInput), hold(tmp_path, role):
        pass


def test_a_home_that_cannot_be_written_is_permanent(tmp_path: Path) -> None:
    (tmp_path / "locks").write_text("a file in the way")
    with pytest.raises(Permanent, match="cannot make the lock"), hold(tmp_path, "factory"):
        pass
