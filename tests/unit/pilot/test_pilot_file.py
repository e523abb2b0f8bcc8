"""The one file that runs on worker nodes: always the same bytes, old Pythons, the standard library alone."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from opengoc.factory.pilot_file import build_pilot, pilot_bytes

SOURCES = sorted(Path(str(files("goc_pilot"))).glob("*.py"))

#: Syntax and names that came after Python 3.6, the oldest a worker node may have.
TOO_NEW_NODES = ("NamedExpr", "Match", "TryStar", "TypeAlias", "TemplateStr")
TOO_NEW_NAMES = {
    "removeprefix",
    "removesuffix",
    "fromisoformat",
    "time_ns",
    "monotonic_ns",
    "cached_property",
}
TOO_NEW_KEYWORDS = {"capture_output", "text", "missing_ok", "dirs_exist_ok", "onexc", "strict"}


CONFIG: dict[str, Any] = {
    "pilot_id": "plt-1",
    "factory": "f",
    "entry": "E",
    "site": "S",
    "resource": "R",
    "vos": ["cms"],
    "policy_digest": "d" * 64,
    "collector": "127.0.0.1:1",
    "start": "true",
    "cores": 1,
    "memory_mib": 1,
    "walltime_seconds": 3600,
    "token_file": "no.token",
    "failure_pause_seconds": 0,
}


def pythons() -> list[str]:
    """Every Python 3 of this machine, by version: on the path and in the folders of pyenv."""
    named = [shutil.which(f"python3.{minor}") for minor in range(6, 15)]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = {sys.executable, *filter(None, named), *map(str, pyenv.glob("3.*/bin/python3"))}
    by_version = {}
    for python in sorted(found):
        done = subprocess.run([python, "-V"], capture_output=True, text=True, timeout=20, check=False)
        if done.returncode == 0:
            by_version[done.stdout.strip()] = python
    return [by_version[version] for version in sorted(by_version)]


@pytest.fixture
def pilot(tmp_path: Path) -> Path:
    build_pilot(tmp_path / "goc-pilot")
    return tmp_path / "goc-pilot"


def test_two_builds_are_the_same_bytes_whatever_the_time_and_the_files_dates(tmp_path: Path) -> None:
    first = build_pilot(tmp_path / "one")
    os.utime(SOURCES[0], (time.time(), time.time()))
    second = build_pilot(tmp_path / "two")

    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert first == second == hashlib.sha256(pilot_bytes()).hexdigest()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_it_is_an_executable_of_the_nodes_python(pilot: Path) -> None:
    assert pilot.read_bytes().startswith(b"#!/usr/bin/env python3\n")
    assert pilot.stat().st_mode & 0o777 == 0o755
    with zipfile.ZipFile(pilot) as archive:
        assert set(archive.namelist()) == {"__main__.py", *(f"goc_pilot/{path.name}" for path in SOURCES)}


def imported(tree: ast.Module) -> set[str]:
    modules = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            modules.add(node.module or "")
    return {module.split(".")[0] for module in modules}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_a_module_imports_the_standard_library_alone(source: Path) -> None:
    foreign = imported(ast.parse(source.read_text())) - set(sys.stdlib_module_names) - {"goc_pilot"}

    assert foreign == set()


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_a_module_uses_nothing_newer_than_python_3_6(source: Path) -> None:
    tree = ast.parse(source.read_text())
    too_new = []
    for node in ast.walk(tree):
        if type(node).__name__ in TOO_NEW_NODES:
            too_new.append(type(node).__name__)
        elif isinstance(node, ast.ImportFrom) and node.module in ("__future__", "dataclasses", "contextvars"):
            too_new.append(f"from {node.module}")
        elif isinstance(node, ast.Attribute) and node.attr in TOO_NEW_NAMES:
            too_new.append(node.attr)
        elif isinstance(node, ast.Call):
            too_new += [word.arg for word in node.keywords if word.arg in TOO_NEW_KEYWORDS]
        elif isinstance(node, ast.arguments) and node.posonlyargs:
            too_new.append("positional-only parameters")
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            # PEP 604 and the union of dictionaries; the pilot's one real "or" of bits is of named masks.
            too_new += [] if source.name == "checks.py" or is_of_flags(node) else [ast.unparse(node)]
        elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            too_new += [node.value.id] if node.value.id in ("dict", "list", "set", "tuple", "type") else []
        elif isinstance(node, ast.AnnAssign | ast.arg) and contains_builtin_generic(node.annotation):
            too_new.append("built-in generic")

    assert too_new == []


def is_of_flags(node: ast.BinOp) -> bool:
    """Whether both sides are flags of the os module."""
    sides = [side for side in ast.walk(node) if isinstance(side, ast.Attribute)]
    return all(isinstance(side.value, ast.Name) and side.value.id == "os" for side in sides) and bool(sides)


def contains_builtin_generic(annotation: ast.expr | None) -> bool:
    """Whether dict[...] and the like stand in an annotation, in a text as well."""
    shown = ast.unparse(annotation) if annotation is not None else ""
    return any(f"{name}[" in shown for name in ("dict", "list", "tuple", "set"))


def run(
    python: str, pilot: Path, folder: Path, *arguments: str, config: Any
) -> subprocess.CompletedProcess[str]:
    (folder / "pilot.json").write_text(json.dumps(config))
    return subprocess.run(
        [python, str(pilot), "--config", "pilot.json", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("python", pythons(), ids=lambda path: Path(path).parent.parent.name)
def test_it_validates_and_reports_on_every_python_of_this_machine(
    python: str, pilot: Path, tmp_path: Path
) -> None:
    done = run(python, pilot, tmp_path, "pilot_id=plt-2", config=CONFIG)

    assert done.returncode == 11, done.stderr
    report = json.loads((tmp_path / "pilot-report.json").read_text())
    assert report["state"] == "ended"
    assert report["end"]["reason"] == "validation-failed"
    assert (report["pilot_id"], report["overrides"]) == ("plt-2", {"pilot_id": "argument"})
    assert report["pilot_file"] == hashlib.sha256(pilot.read_bytes()).hexdigest()
    results = {row["name"]: row["result"] for row in report["validations"]}
    assert (results["python"], results["scratch"], results["disk"]) == ("ok", "ok", "ok")
    assert (results["token"], results["collector"], results["pool-authorization"]) == (
        "failed",
        "failed",
        "skipped",
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "goc-pilot",
        "pilot-report.json",
        "pilot.json",
    ]


def test_a_signal_during_a_validation_ends_the_pilot_and_the_command(pilot: Path, tmp_path: Path) -> None:
    # The command's own arguments tell its process from any other of this machine.
    seconds = str(70_000 + os.getpid() / 1_000_000)
    slow = {"name": "slow", "command": ["sh", "-c", f"setsid sleep {seconds} & sleep {seconds}"]}
    (tmp_path / "pilot.json").write_text(json.dumps({**CONFIG, "validations": [slow]}))
    words = [sys.executable, str(pilot), "--config", "pilot.json"]
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 20
        while len(processes_with(seconds)) < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(processes_with(seconds)) == 3
        process.terminate()
        process.communicate(timeout=20)

    assert process.returncode == 13
    report = json.loads((tmp_path / "pilot-report.json").read_text())
    assert report["end"] == {"reason": "signal", "message": "got SIGTERM", "exit_code": 13}
    assert processes_with(seconds) == []


def processes_with(word: str) -> list[str]:
    """Command lines on this machine that hold a word."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return [line for line in lines if word in line]


def test_a_failed_validation_holds_the_node_for_a_while(pilot: Path, tmp_path: Path) -> None:
    failing = {"name": "always-fails", "command": ["false"]}
    config = {**CONFIG, "validations": [failing], "failure_pause_seconds": 2}
    began = time.monotonic()
    done = run(sys.executable, pilot, tmp_path, config=config)

    assert (done.returncode, time.monotonic() - began >= 2) == (11, True)


def test_a_wrong_configuration_is_reported_with_all_its_faults(pilot: Path, tmp_path: Path) -> None:
    done = run(sys.executable, pilot, tmp_path, config={"cores": 0, "colour": "red"})

    assert done.returncode == 10
    report = json.loads((tmp_path / "pilot-report.json").read_text())
    assert report["end"]["reason"] == "config-error"
    assert "colour: unknown key" in report["end"]["message"]
    assert "cores: 0: must be" in report["end"]["message"]
    assert "start: missing" in report["end"]["message"]
    assert report["jobs"]["seen"] is None


def test_a_configuration_that_is_not_there_is_reported(pilot: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(pilot), "--config", "absent.json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 10
    assert "absent.json cannot be read" in done.stderr
