"""The validations, on the machine that the tests run on."""

from __future__ import annotations

import base64
import json
import os
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from goc_pilot.access_token import Token, read_tokens
from goc_pilot.node import (
    Node,
    affordable_snapshot_seconds,
    cgroup_memory_limit_mib,
    find_condor,
    read_memory_available_mib,
    split_address,
)
from goc_pilot.validations import BUILT_IN, Row, read_validations, run_validations


@pytest.fixture
def collector() -> Iterator[str]:
    """Something that listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def node(tmp_path: Path, collector: str) -> Node:
    token = tmp_path / "pilot.token"
    token.touch(mode=0o600)
    token.write_text(jwt(exp=time.time() + 3600))
    return Node(
        work_directory=str(tmp_path),
        cores=1,
        memory_mib=1,
        disk_mib=1,
        ends_at=time.time() + 600,
        issued_at=time.time() - 5,
        collector=collector,
        token_file=str(token),
        condor_location=str(tmp_path / "condor"),
        condor_config=str(tmp_path / "condor_config"),
        environment={"PATH": os.environ["PATH"]},
    )


def jwt(**claims: float) -> str:
    parts = [{"alg": "HS256"}, {"iss": "pool.example.org", "sub": "pilot@pool.example.org", **claims}]
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, "c2lnbmF0dXJl"]) + "\n"


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def row(node: Node, name: str, **parameters: Any) -> Row:
    """The row of one validation, asked for alone."""
    rows = run_validations(node, read_validations([{"name": name, **parameters}]), lambda _: None)
    return next(row for row in rows if row.name == name)


def result(node: Node, name: str, **parameters: Any) -> str:
    return row(node, name, **parameters).result


def test_every_built_in_validation_leaves_a_row_and_says_when_it_was_not_asked_for(node: Node) -> None:
    recorded: list[Row] = []
    rows = run_validations(node, read_validations([{"name": "disk"}]), recorded.append)

    assert [row.name for row in rows] == list(BUILT_IN)
    assert rows == recorded
    others = [row for row in rows if row.name != "disk"]
    assert {(row.result, row.message) for row in others} == {("skipped", "not asked for")}
    assert not any(row.forbids_start for row in others)


@pytest.mark.parametrize("name", ["python", "process-control", "scratch", "disk", "memory", "cores", "clock"])
def test_a_node_that_is_good_enough_is_ok(node: Node, name: str) -> None:
    assert (result(node, name), row(node, name).forbids_start) == ("ok", False)


@pytest.mark.parametrize(
    ("name", "changes", "parameters"),
    [
        ("python", {}, {"minimum": "99.1"}),
        ("disk", {"disk_mib": 1 << 40}, {}),
        ("disk", {}, {"minimum_mib": 1 << 40}),
        ("memory", {"memory_mib": 1 << 40}, {}),
        ("cores", {"cores": 100_000}, {}),
        ("clock", {"issued_at": time.time() + 3600}, {}),
        ("clock", {"issued_at": time.time() - 3600}, {"max_queue_seconds": 60}),
        ("token", {"token_file": "/no/such/token"}, {}),
        ("condor", {}, {}),
        ("collector", {"collector": "127.0.0.1:1"}, {"timeout_seconds": 2}),
    ],
)
def test_a_node_that_is_not_good_enough_fails(
    node: Node, name: str, changes: dict[str, Any], parameters: dict[str, Any]
) -> None:
    found = row(node._replace(**changes), name, **parameters)

    assert found.result == "failed"
    assert found.forbids_start
    assert found.message


def test_an_ordinary_user_is_wanted(node: Node) -> None:
    assert result(node, "account") == ("failed" if os.geteuid() == 0 else "ok")


def test_a_failure_that_is_not_required_does_not_forbid_the_start(node: Node) -> None:
    found = row(node._replace(cores=100_000), "cores", required=False)

    assert (found.result, found.forbids_start) == ("failed", False)


def test_a_clock_cannot_be_checked_without_the_time_of_issue(node: Node) -> None:
    assert result(node._replace(issued_at=None), "clock") == "skipped"


def test_a_check_that_cannot_be_carried_out_is_an_error_and_forbids_the_start(node: Node) -> None:
    found = row(node, "disk", minimum_mib="plenty")

    assert found.result == "error"
    assert found.forbids_start
    assert "plenty" in found.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (jwt(exp=time.time() - 1), "expired"),
        (jwt(exp=time.time() + 5), "expired"),
        (jwt(exp=time.time() + 90000, nbf=time.time() + 86400), "not valid before"),
        ("nonsense\n", "not a JSON web token"),
        ("a.b.c\n", "not a JSON web token"),
    ],
)
def test_a_token_that_is_not_good_fails(node: Node, text: str, message: str) -> None:
    Path(node.token_file).write_text(text)

    found = row(node, "token")

    assert found.result == "failed"
    assert message in found.message


def test_an_empty_token_file_fails(node: Node) -> None:
    Path(node.token_file).write_text("# no token yet\n")

    assert row(node, "token").result == "failed"


def test_a_token_that_others_may_read_fails(node: Node) -> None:
    Path(node.token_file).chmod(0o644)

    assert "mode 644" in row(node, "token").message


def test_one_good_token_among_old_ones_is_enough(node: Node) -> None:
    Path(node.token_file).write_text(jwt(exp=1.0) + "# renewed\n" + jwt(exp=time.time() + 3600))

    assert row(node, "token").result == "ok"


def test_a_token_that_ends_before_the_pilot_is_remarked(node: Node) -> None:
    assert "before the pilot's end" not in row(node, "token").message
    assert "before the pilot's end" in row(node._replace(ends_at=time.time() + 7200), "token").message


def test_a_token_is_read_without_its_signature() -> None:
    assert read_tokens(jwt(exp=50.0, iat=10.0)) == [
        Token(issuer="pool.example.org", subject="pilot@pool.example.org", not_before=10.0, expires=50.0)
    ]


def test_a_command_decides_by_its_exit_code_and_its_output_is_kept(node: Node) -> None:
    good = row(node, "cvmfs", command=["sh", "-c", "echo mounted"])
    bad = row(node, "cvmfs", command=["sh", "-c", "echo not there >&2; exit 3"])

    assert (good.result, good.message) == ("ok", "mounted")
    assert (bad.result, bad.message) == ("failed", "ended with 3: not there")


def test_a_command_that_hangs_is_ended_with_its_children(node: Node) -> None:
    began = time.monotonic()
    found = row(node, "hangs", command=["sh", "-c", "sleep 77 & sleep 77"], timeout_seconds=0.3)

    assert found.result == "failed"
    assert "did not end within 0.3 s" in found.message
    assert time.monotonic() - began < 60


def test_a_command_that_is_not_there_is_an_error(node: Node) -> None:
    assert result(node, "cvmfs", command=["/no/such/program"]) == "error"


def test_htcondor_is_found_where_it_is_said_to_be(node: Node, tmp_path: Path) -> None:
    for name in ("condor_master", "condor_startd", "condor_starter"):
        program(tmp_path / "condor" / "sbin" / name, "echo '$CondorVersion: 23.9.6 $'")
    found = row(node, "condor")

    assert found.result == "ok"
    assert "CondorVersion" in found.message
    binaries = find_condor(node.condor_location, "")
    assert binaries is not None
    assert (binaries.release, binaries.ping) == (str(tmp_path / "condor"), "")


def test_an_htcondor_that_does_not_run_fails(node: Node, tmp_path: Path) -> None:
    for name in ("condor_master", "condor_startd", "condor_starter"):
        program(tmp_path / "condor" / "sbin" / name, "echo cannot open shared object; exit 127")

    assert "shared object" in row(node, "condor").message


def test_an_htcondor_without_a_starter_fails(node: Node, tmp_path: Path) -> None:
    for name in ("condor_master", "condor_startd"):
        program(tmp_path / "condor" / "sbin" / name, "true")

    assert "no condor_starter" in row(node, "condor").message


def test_what_needs_a_failed_validation_is_skipped_and_says_so(node: Node) -> None:
    names = ["token", "condor", "collector", "pool-authorization"]
    rows = run_validations(node, read_validations([{"name": name} for name in names]), lambda _: None)

    assert [(row.result, row.message) for row in rows if row.name == "pool-authorization"] == [
        ("skipped", "needs condor")
    ]


@pytest.mark.parametrize(
    ("collector", "expected"),
    [
        ("cm.example.org", ("cm.example.org", 9618)),
        ("cm.example.org:9620", ("cm.example.org", 9620)),
        ("cm.example.org:9620?sock=collector", ("cm.example.org", 9620)),
        ("<127.0.0.1:9618?addrs=127.0.0.1-9618>", ("127.0.0.1", 9618)),
        ("[2001:db8::1]:9618", ("2001:db8::1", 9618)),
        ("2001:db8::1", ("2001:db8::1", 9618)),
    ],
)
def test_a_collectors_address_is_read_in_all_its_spellings(collector: str, expected: tuple[str, int]) -> None:
    assert split_address(collector) == expected


def test_the_kernels_memory_figure_is_read_in_mebibytes() -> None:
    meminfo = "MemTotal:       24684084 kB\nMemFree: 1 kB\nMemAvailable:   24282312 kB\n"

    assert read_memory_available_mib(meminfo) == 23713
    assert read_memory_available_mib("MemTotal: 5 kB\n") is None


def test_the_least_limit_of_the_cgroups_above_counts(tmp_path: Path) -> None:
    job = tmp_path / "slurm" / "job_17"
    job.mkdir(parents=True)
    (job / "memory.max").write_text("max\n")
    (tmp_path / "slurm" / "memory.max").write_text(f"{512 * 1024 * 1024}\n")
    (tmp_path / "membership").write_text("0::/slurm/job_17\n")

    assert cgroup_memory_limit_mib(str(tmp_path), str(tmp_path / "membership")) == 512


def test_cgroups_of_version_1_and_nodes_without_any_are_read(tmp_path: Path) -> None:
    job = tmp_path / "memory" / "slurm"
    job.mkdir(parents=True)
    (job / "memory.limit_in_bytes").write_text(f"{256 * 1024 * 1024}\n")
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    (tmp_path / "membership").write_text("9:memory:/slurm\n4:cpu,cpuacct:/other\n")

    assert cgroup_memory_limit_mib(str(tmp_path), str(tmp_path / "membership")) == 256
    assert cgroup_memory_limit_mib(str(tmp_path), str(tmp_path / "absent")) is None


def test_a_crowded_node_is_looked_at_less_often() -> None:
    assert [affordable_snapshot_seconds(n) for n in (10, 999, 5000, 10**6)] == [1, 1, 10, 60]
