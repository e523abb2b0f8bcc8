"""Collectors that are killed, raced and starved of disk: every record is stored once all the same."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from opengoc.accounting import quarantine
from opengoc.accounting.table import TABLE
from opengoc.store.database import open_database
from opengoc.store.hold import hold
from opengoc.store.lake import Lake

pytestmark = pytest.mark.integration

SAMPLE = (Path(__file__).parents[1] / "data/accounting/condor-23.9-history.txt").read_bytes()
FIRST = SAMPLE[: SAMPLE.index(b"\n*** ") + 1]
RECORDS = 5_000
KILLS = 12

#: A collection in small batches, as a process of its own: many places to be killed at.
COLLECT = """
import sys
from pathlib import Path
from opengoc.accounting.ingest import Stores, collect
from opengoc.accounting.model import Kind
from opengoc.accounting.raw import RawStore
from opengoc.accounting.source import Source
from opengoc.store.database import open_database
from opengoc.store.hold import hold
from opengoc.store.lake import Lake
home, path = Path(sys.argv[1]), Path(sys.argv[2])
stores = Stores(database=open_database(f"sqlite:///{home / 'goc.db'}"), lake=Lake(home / "lake"),
                raw=RawStore(home / "raw"))
source = Source(name="pool", format="condor-history", path=path, kind=Kind.PAYLOAD)
print("ready", flush=True)
with hold(home, "accounting"):
    counts = collect(source, stores, who="test", batch_bytes=int(sys.argv[3])).counts
print(counts.read, counts.stored, counts.quarantined, flush=True)
"""


def record(number: int) -> bytes:
    """Job ``number``, that ran ``number % 97`` seconds; every 500th is broken."""
    ad = FIRST.replace(b"#1.2#", b"#%d.0#" % number).replace(
        b"\nClusterId = 1\n", b"\nClusterId = %d\n" % number
    )
    ad = ad.replace(b"\nProcId = 2\n", b"\nProcId = 0\n")
    wall = b"never" if number % 500 == 0 else b"%d.0" % (number % 97)
    ad = ad.replace(b"RemoteWallClockTime = 4.0", b"RemoteWallClockTime = " + wall)
    return (
        ad + b'*** Offset = -1 ClusterId = %d ProcId = 0 Owner = "vdt" CompletionDate = 1795367906\n' % number
    )


def good(numbers: range) -> list[int]:
    return [number for number in numbers if number % 500]


def start(home: Path, path: Path, batch_bytes: int = 150_000) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", COLLECT, str(home), str(path), str(batch_bytes)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(home: Path, path: Path) -> None:
    process = start(home, path, 4_000_000)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert out.startswith("ready")


def assert_all_stored_once(home: Path, numbers: range) -> None:
    sums = "count(*) n, count(DISTINCT global_job_id) d, sum(wall_seconds) w, max(version) v"
    (row,) = Lake(home / "lake").query(f"SELECT {sums} FROM {TABLE}", tables=[TABLE]).to_pylist()
    true = good(numbers)
    assert row == {"n": len(true), "d": len(true), "w": sum(n % 97 for n in true), "v": 1}
    database = open_database(f"sqlite:///{home / 'goc.db'}")
    with database.read() as conn:
        entries = quarantine.standing(conn)
    database.dispose()
    assert len(entries) == len(numbers) - len(true)
    assert all("RemoteWallClockTime" in each.reason for each in entries)


def test_a_collector_killed_at_any_moment_stores_every_record_once(tmp_path: Path) -> None:
    path = tmp_path / "history"
    path.write_bytes(b"".join(record(number) for number in range(RECORDS)))
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    under_way = 0
    for _ in range(KILLS):
        process = start(tmp_path, path)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(chance.uniform(0.0, 0.6))
        under_way += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
    finish(tmp_path, path)
    assert_all_stored_once(tmp_path, range(RECORDS))
    # Kills that come after the work is done prove nothing.
    assert under_way >= 3, f"seed {seed}"


def test_a_file_that_grows_and_rotates_while_it_is_read_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "history"
    path.write_bytes(b"".join(record(number) for number in range(1_500)))
    process = start(tmp_path, path, 400_000)
    for number in range(1_500, 3_000):
        if number in (2_000, 2_500):
            path.rename(tmp_path / f"history.20261122T18{number // 100}00")
        # As a schedd does it: a record may be seen half written.
        whole = record(number)
        with path.open("ab") as file:
            file.write(whole[:1_000])
            file.flush()
            file.write(whole[1_000:])
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    finish(tmp_path, path)
    assert_all_stored_once(tmp_path, range(3_000))


def test_a_second_collector_is_refused_and_told_who_collects(tmp_path: Path) -> None:
    (tmp_path / "goc.toml").write_text(
        '[[accounting]]\nname = "pool"\nkind = "condor-history"\npath = "history"\nrecords = "payload"\n'
    )
    (tmp_path / "history").write_bytes(record(1))
    command = [
        str(Path(sys.executable).parent / "goc"),
        "--home",
        str(tmp_path),
        "accounting",
        "collect",
        "--json",
    ]
    with hold(tmp_path, "accounting"):
        refused = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert refused.returncode == 4
    assert "is held by process" in refused.stderr
    collected = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert collected.returncode == 0, collected.stderr
    assert json.loads(collected.stdout)[0]["stored"] == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MiB, in a mount namespace of its own where we may not mount."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert mounted.returncode == 0, f"this test mounts a tmpfs and so runs as root: {mounted.stderr}"
    yield folder
    subprocess.run(["umount", str(folder)], check=True, timeout=30)


def test_a_full_disk_stops_with_a_message_and_loses_nothing(tmp_path: Path, small_disk: Path) -> None:
    path = tmp_path / "history"
    # The raw store packs what it keeps: the records hold what cannot be packed.
    noise = random.Random(1)
    path.write_bytes(
        b"".join(
            record(number).replace(b'Cmd = "', b'Cmd = "' + noise.randbytes(3_000).hex().encode())
            for number in range(2_000)
        )
    )
    process = start(small_disk, path)
    _, err = process.communicate(timeout=300)
    assert process.returncode != 0
    assert "Temporary" in err
    assert "space" in err
    again = start(small_disk, path)
    _, err = again.communicate(timeout=300)
    assert again.returncode != 0
    assert "Temporary" in err
    subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True, timeout=30)
    finish(small_disk, path)
    assert_all_stored_once(small_disk, range(2_000))
