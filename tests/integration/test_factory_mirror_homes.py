"""Two homes with one database: what is applied or paused in one is so in the other."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from tests.command import goc
from tests.integration.factory_home import factory_home

pytestmark = pytest.mark.integration


@pytest.fixture
def homes(tmp_path: Path) -> tuple[Path, Path]:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    factory_home(one)
    shutil.copytree(one, other, ignore=shutil.ignore_patterns("goc.db*"))
    settings = other / "goc.toml"
    named = settings.read_text().replace("[factory]", '[factory]\nname = "other"\ngroup = "factory"')
    settings.write_text(f'{named}\n[store]\nurl = "sqlite:///{one / "goc.db"}"\n')
    return one, other


def said(home: Path, *words: str, code: int = 0) -> Any:
    done = goc(home, "factory", *words, "--json")
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def test_what_one_home_applies_and_pauses_is_so_in_the_other(homes: tuple[Path, Path]) -> None:
    one, other = homes
    digest = said(one, "apply", "--why", "first")["digest"]
    assert [each["digest"] for each in said(other, "log")] == [digest]
    assert not (other / "factory" / "bundles").exists()
    # To plan it fetches the bundle, for its home has none.
    assert said(other, "plan")["changes_nothing"]
    assert (other / "factory" / "bundles" / digest / "bundle.json").is_file()

    said(other, "pause", "A", "--why", "the site asks for it")
    assert [each["entry"] for each in said(one, "findings")["paused"]] == ["A"]
    said(one, "resume", "A", "--why", "it is over")
    assert said(other, "findings")["paused"] == []
    # Neither has seen its queue, so neither says that it holds nothing.
    assert said(one, "mirrors") == []


def test_a_copy_of_a_bundle_that_was_changed_in_the_database_is_refused(homes: tuple[Path, Path]) -> None:
    one, other = homes
    said(one, "apply", "--why", "first")
    with sqlite3.connect(one / "goc.db") as connection:
        connection.execute(
            "UPDATE factory_bundles SET files = replace(files, 'max_pilots = 10', 'max_pilots = 99')"
        )
    done = goc(other, "factory", "plan")
    assert done.returncode == 1
    assert "there is no bundle" in done.stderr
    assert not (other / "factory" / "bundles").exists()
