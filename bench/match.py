"""How long matching jobs with entries takes, in CPU seconds: from ads as Python dicts to counts per entry.

Entries: those of production glideinWMS factories where they are found ($GOC_SHARED_DATA or
../shared/data/gfactory), else made up; cloned with small changes where more are asked for. Jobs: ten
attributes, about half of the pairs match.

The next cycle has 1 % new jobs in place of others. It is measured twice: told what came and went by id
(``Matcher.update``), and given the whole list again, in which a job that did not change is the same object
(``Matcher.follow``, as the factory's loop gives it). Each should take less than a tenth of the first one.

Run: python -m bench.match [--jobs N --entries E --distinct F] [--json]; without a shape: all that have goals.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from opengoc.condor.classads import Ad
from opengoc.factory.engine import Matcher, Matches
from opengoc.factory.expression import Attribute
from opengoc.factory.reader import read

#: Jobs, entries, part of the jobs that is distinct; goals in CPU seconds and GiB.
SHAPES = (
    (10_000, 200, 1.0, 0.1, 1.0),
    (100_000, 500, 0.1, 0.3, 1.0),
    (100_000, 500, 1.0, 1.0, 1.0),
    (1_000_000, 1_000, 0.1, 10.0, 4.0),
)
#: glideinWMS's countMatch in CPU seconds: the OSPool's production expression, 471 production entries, such a
#: machine. By jobs, entries and part that is distinct; it works all of it out again in every cycle.
PEER = {
    (10_000, 200, 0.1): "1.45",
    (10_000, 200, 1.0): "25",
    (100_000, 500, 0.01): "11",
    (100_000, 500, 0.1): "87",
    (100_000, 500, 1.0): "5,500-8,700 (extrapolated)",
}
#: Part of the jobs that is new in the next cycle.
NEW = 0.01
#: Cycles measured after the first.
CYCLES = 5

JOB = {
    "VO": "string",
    "RequestCpus": "int",
    "RequestMemory": "int",
    "RequestDisk": "int",
    "DESIRED_Sites": "string",
    "UNDESIRED_Sites": "string",
    "ProjectName": "string",
    "MaxWallSeconds": "int",
    "RequiredOS": "string",
    "WantCOVID": "bool",
}
ENTRY = {
    "Site": "string",
    "Cores": "int",
    "MemoryMiB": "int",
    "DiskMiB": "int",
    "WalltimeSeconds": "int",
    "OS": "string",
    "VOs": "string",
    "IsCOVID19": "bool",
}
REQUIREMENTS = """
job.RequestCpus <= entry.Cores
&& job.RequestMemory <= (entry.MemoryMiB ?: 2048)
&& job.RequestDisk <= entry.DiskMiB * 1024
&& (job.MaxWallSeconds ?: 3600) + 600 < entry.WalltimeSeconds
&& ((job.DESIRED_Sites ?: "") == "" || stringListMember(entry.Site, job.DESIRED_Sites))
&& !stringListMember(entry.Site, job.UNDESIRED_Sites ?: "")
&& (entry.OS == "any" || job.RequiredOS =?= undefined || stringListIMember(job.RequiredOS, entry.OS))
&& (stringListIMember(job.VO, entry.VOs) || job.ProjectName =!= undefined)
&& (job.WantCOVID =!= true || entry.IsCOVID19 =?= true)
"""
VOS = ["osg", "OSG", "cms", "ligo", "gluex"]
FOLDER = Path(os.environ.get("GOC_SHARED_DATA") or Path(__file__).parents[2] / "shared" / "data") / "gfactory"


def real_entries() -> list[dict[str, Any]]:
    """The entries of production factories, by our names; none where the files are not there."""
    found: list[dict[str, Any]] = []
    for file in sorted(FOLDER.glob("*.xml")):
        for element in ET.parse(file).iter("entry"):
            attributes = {each.get("name"): each.get("value", "") for each in element.iter("attr")}
            entry = {
                "Site": attributes.get("GLIDEIN_Site"),
                "Cores": _whole(attributes.get("GLIDEIN_CPUS")) or 1,
                "MemoryMiB": _whole(attributes.get("GLIDEIN_MaxMemMBs")),
                "DiskMiB": 10_000 + 500 * (len(found) % 40),
                "WalltimeSeconds": _whole(attributes.get("GLIDEIN_Max_Walltime")),
                "OS": attributes.get("GLIDEIN_REQUIRED_OS", "any"),
                "VOs": attributes.get("GLIDEIN_Supported_VOs"),
                "IsCOVID19": True if attributes.get("IsCOVID19") == "True" else None,
            }
            found.append({name: value for name, value in entry.items() if value is not None})
    return found


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None


def made_up_entries() -> list[dict[str, Any]]:
    """Entries much like real ones."""
    chance = random.Random(2)
    return [
        {
            "Site": f"SITE-{number // 3}",
            "Cores": chance.choice([1, 1, 4, 8, 16, 64]),
            "MemoryMiB": chance.choice([2048, 2500, 4096, 16_000, 64_000]),
            "DiskMiB": 10_000 + 500 * (number % 40),
            "WalltimeSeconds": chance.choice([86_400, 172_800, 259_200]),
            "OS": chance.choice(["any", "any", "rhel7", "rhel8, rhel9"]),
            "VOs": chance.choice(["OSG", "OSGVO, CMS", "LIGO,OSG", "Gluex"]),
        }
        for number in range(471)
    ]


def entries_of(count: int) -> dict[str, dict[str, Any]]:
    """So many entries; those that are cloned differ in site and disk."""
    originals = real_entries() or made_up_entries()
    found = {}
    for number in range(count):
        turn, place = divmod(number, len(originals))
        entry = dict(originals[place])
        if turn:
            entry["Site"] = f"{entry.get('Site', 'NONE')}-{turn}"
            entry["DiskMiB"] += turn
        found[f"entry-{number:04}"] = entry
    return found


def job_ads(count: int, sites: list[str], *, seed: int) -> list[dict[str, Any]]:
    """Job ads, all different."""
    chance = random.Random(seed)
    found = []
    for _ in range(count):
        job: dict[str, Any] = {
            "VO": chance.choice(VOS),
            "RequestCpus": chance.choice([1, 1, 1, 1, 1, 2, 4]),
            "RequestMemory": int(chance.paretovariate(2) * 700),
            "RequestDisk": chance.randrange(1, 12_000_000),
            "MaxWallSeconds": chance.randrange(600, 100_000),
            "WantCOVID": chance.random() < 0.02,
        }
        if chance.random() < 0.9:
            job["ProjectName"] = f"project-{chance.randrange(300)}"
        if chance.random() < 0.08:
            job["DESIRED_Sites"] = ", ".join(chance.sample(sites, chance.randrange(1, 6)))
        if chance.random() < 0.5:
            job["UNDESIRED_Sites"] = ",".join(chance.sample(sites, chance.randrange(1, 6)))
        if chance.random() < 0.2:
            job["RequiredOS"] = chance.choice(["rhel7", "rhel8", "RHEL9"])
        found.append(job)
    return found


def ads_like(count: int, distinct: float, sites: list[str], *, seed: int) -> list[dict[str, Any]]:
    """Job ads, so many of which are different; each a dict of its own."""
    different = job_ads(max(1, round(count * distinct)), sites, seed=seed)
    return [dict(different[number % len(different)]) for number in range(count)]


def cpu_seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """CPU time of this process, all its threads, and what the work gives."""
    gc.collect()
    start = time.process_time()
    found = work()
    return time.process_time() - start, found


def measure(jobs: int, entries: int, distinct: float, *, runs: int) -> dict[str, Any]:
    """The figures of one shape; medians of so many runs."""
    tree = read(
        REQUIREMENTS,
        job={name.casefold(): Attribute(name=name, type=kind) for name, kind in JOB.items()},  # type: ignore[arg-type]
        entry={name.casefold(): Attribute(name=name, type=kind) for name, kind in ENTRY.items()},  # type: ignore[arg-type]
    )
    table = entries_of(entries)
    sites = sorted({entry["Site"] for entry in table.values() if "Site" in entry})
    ads = ads_like(jobs, distinct, sites, seed=1)
    # As distinct as the others.
    fresh = [ads_like(round(jobs * NEW), distinct, sites, seed=3 + cycle) for cycle in range(CYCLES)]
    took: dict[str, list[float]] = {"full": [], "told": [], "listed": [], "same": [], "entry": []}
    for _ in range(runs):
        seconds, matches = cpu_seconds(lambda: Matcher(tree, table).match(ads))
        took["full"].append(seconds)
    for _ in range(runs):
        _cycles_by_id(Matcher(tree, table), ads, fresh, took)
        _cycles_by_list(Matcher(tree, table), ads, fresh, took)
        matcher = Matcher(tree, table)
        matcher.match(ads)
        seconds, _ = cpu_seconds(lambda: matcher.match(ads))  # noqa: B023
        took["same"].append(seconds)
        name, entry = next(iter(table.items()))
        changed = {**table, name: {**entry, "MemoryMiB": 1000}}
        seconds, _ = cpu_seconds(lambda: matcher.change_entries(changed))  # noqa: B023
        took["entry"].append(seconds)
    median = {name: statistics.median(each) for name, each in took.items()}
    return {
        "jobs": jobs,
        "entries": entries,
        "distinct": distinct,
        "clusters": matches.clusters,
        "pairs": matches.pairs,
        "pairs_fraction": round(matches.pairs / (jobs * entries), 3),
        "cpu_seconds": round(median["full"], 4),
        "cpu_seconds_1_percent_new": round(median["told"], 4),
        "ratio_1_percent_new": round(median["told"] / median["full"], 4),
        "cpu_seconds_1_percent_new_whole_list": round(median["listed"], 4),
        "ratio_1_percent_new_whole_list": round(median["listed"] / median["full"], 4),
        "cpu_seconds_one_entry_changed": round(median["entry"], 4),
        "cpu_seconds_same_jobs_read_again": round(median["same"], 4),
        "peer_cpu_seconds": PEER.get((jobs, entries, distinct)),
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2, 3),
        "runs": runs,
        "real_entries": bool(real_entries()),
        "machine": machine(),
    }


def _cycles_by_id(
    matcher: Matcher, ads: Sequence[Ad], fresh: Sequence[Sequence[Ad]], took: dict[str, list[float]]
) -> None:
    matcher.update(added=dict(enumerate(ads)))
    for cycle, ads_of_cycle in enumerate(fresh):
        new: dict[Hashable, Ad] = {(cycle, number): ad for number, ad in enumerate(ads_of_cycle)}
        gone = range(cycle * len(new), (cycle + 1) * len(new))
        seconds, _ = cpu_seconds(lambda: matcher.update(added=new, removed=gone))  # noqa: B023
        took["told"].append(seconds)


def _cycles_by_list(
    matcher: Matcher, ads: Sequence[Ad], fresh: Sequence[Sequence[Ad]], took: dict[str, list[float]]
) -> None:
    matcher.follow(ads)
    there = ads
    for ads_of_cycle in fresh:
        there = [*there[len(ads_of_cycle) :], *ads_of_cycle]

        def cycle() -> Matches:
            matcher.follow(there)  # noqa: B023
            return matcher.matches()

        seconds, _ = cpu_seconds(cycle)
        took["listed"].append(seconds)


def machine() -> dict[str, Any]:
    """Where the figures come from."""
    models = [line for line in _text("/proc/cpuinfo").splitlines() if line.startswith("model name")]
    return {
        "cpu": models[0].partition(":")[2].strip() if models else platform.processor(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def _text(file: str) -> str:
    return Path(file).read_text() if Path(file).exists() else ""


def every_shape() -> None:
    """Each shape in a process of its own, so that memory is its own, beside its goals."""
    print(
        f"{'jobs':>9} {'entries':>7} {'distinct':>8} {'CPU s':>8} {'goal':>6} {'1 % new':>8} {'of it':>6}"
        f" {'listed':>8} {'of it':>6} {'entry':>7} {'GiB':>6} {'goal':>5}  peer CPU s"
    )
    for jobs, entries, distinct, seconds, gib in SHAPES:
        shape = ["--jobs", str(jobs), "--entries", str(entries), "--distinct", str(distinct)]
        runs = "3" if jobs > 100_000 else "5"
        command = [sys.executable, "-m", "bench.match", *shape, "--runs", runs, "--json"]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=3600)
        found = json.loads(done.stdout)
        print(
            f"{jobs:9} {entries:7} {distinct:8.0%} {found['cpu_seconds']:8.3f} {seconds:6}"
            f" {found['cpu_seconds_1_percent_new']:8.4f} {found['ratio_1_percent_new']:6.1%}"
            f" {found['cpu_seconds_1_percent_new_whole_list']:8.4f}"
            f" {found['ratio_1_percent_new_whole_list']:6.1%}"
            f" {found['cpu_seconds_one_entry_changed']:7.4f} {found['peak_gib']:6.2f} {gib:5}"
            f"  {found['peer_cpu_seconds'] or '-'}"
        )
    print("machine:", json.dumps(machine()))


def main() -> None:
    """Read the command line and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--entries", type=int, default=500)
    parser.add_argument("--distinct", type=float, default=1.0, metavar="F", help="part of the jobs, 0 to 1")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    if asked.jobs is None:
        every_shape()
        return
    found = measure(asked.jobs, asked.entries, asked.distinct, runs=asked.runs)
    if asked.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name:28} {value}")


if __name__ == "__main__":
    main()
