"""The work directory goes, whatever the jobs have done to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from goc_pilot.scratch import remove_folder


def test_closed_folders_and_links_out_of_it_do_not_keep_it(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    work = tmp_path / "work"
    closed = work / "execute" / "closed" / "deeper"
    closed.mkdir(parents=True)
    (closed / "file").touch(mode=0o000)
    (work / "execute" / "link").symlink_to(outside)
    closed.chmod(0o000)
    closed.parent.chmod(0o000)

    remove_folder(str(work))

    assert not work.exists()
    assert (outside / "kept").exists()


def test_what_stays_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    remove_folder(str(tmp_path / "not-there"))
    assert capsys.readouterr().err == ""

    # A file in the place of the folder is not one to remove.
    (tmp_path / "file").touch()
    remove_folder(str(tmp_path / "file"))
    assert "could not be removed" in capsys.readouterr().err
