"""Downtimes from elsewhere, on every database: a history with its own known times, and a feed of GOCDB."""

import json
from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.shared_data import SHARED_DATA, needs_shared_data

from opengoc.base.errors import InvalidInput
from opengoc.registry.downtime import Severity
from opengoc.registry.feeds import Taken, replay, take_feed
from opengoc.registry.findings import Findings, Grade
from opengoc.registry.formats.downtime_events import read_events
from opengoc.registry.formats.gocdb_downtimes import read_gocdb_downtimes
from opengoc.registry.snapshot import Registry
from opengoc.registry.store import import_tree, load_registry
from opengoc.store.database import Database

EXAMPLE = Path(__file__).parents[1] / "data" / "registry" / "example"
EMPTY = Registry(
    known_at=None,
    facilities={},
    sites={},
    groups={},
    resources={},
    vos={},
    reporting_groups={},
    service_kinds={},
    support_centers={},
    downtimes={},
)
FEED = """<?xml version="1.0" encoding="UTF-8"?>
<results>{}</results>"""
ELEMENT = """<DOWNTIME ID="1" PRIMARY_KEY="77G0" CLASSIFICATION="SCHEDULED"><HOSTNAME>{host}</HOSTNAME>
<SERVICE_TYPE>{service}</SERVICE_TYPE><SEVERITY>OUTAGE</SEVERITY><DESCRIPTION>power</DESCRIPTION>
<INSERT_DATE>1763000000</INSERT_DATE><START_DATE>1763100000</START_DATE><END_DATE>{end}</END_DATE></DOWNTIME>"""


def load(database: Database, known_at: datetime | None = None) -> Registry:
    with database.read() as conn:
        return load_registry(conn, known_at=known_at)


def line(op: str, tx: str, start: str, end: str, **more: Any) -> dict[str, Any]:
    plain = {"id": "1", "cls": "SCHEDULED", "severity": "Outage", "resource": "CE", "services": ["CE"]}
    return {"op": op, "tx": tx, "start": start, "end": end, "created": None} | plain | more


def say(database: Database, folder: Path, *lines: dict[str, Any]) -> Taken:
    path = folder / "events.jsonl"
    path.write_text("\n".join(json.dumps(each) for each in lines))
    with database.begin() as conn:
        return replay(conn, read_events(path), who="test")


ADD = line("add", "2020-01-01T00:00:00Z", "2020-02-01T00:00:00Z", "2020-02-02T00:00:00Z")
CANCEL = ADD | {"op": "delete", "tx": "2020-01-10T00:00:00Z"}
ARCHIVE = ADD | {"op": "delete", "tx": "2020-03-01T00:00:00Z"}
AGAIN = ADD | {"tx": "2020-01-20T00:00:00Z"}
BACKWARDS = ADD | {"op": "edit", "tx": "2020-01-05T00:00:00Z", "end": "2020-01-31T00:00:00Z"}


def test_what_was_known_at_a_moment_is_answered_for_that_moment(database: Database, tmp_path: Path) -> None:
    taken = say(database, tmp_path, ADD, CANCEL, AGAIN, ARCHIVE)
    assert taken == Taken(added=1, cancelled=1, changed=1, unchanged=1)
    days = {
        "2019-12-31": None,
        "2020-01-02": False,
        "2020-01-11": True,
        "2020-01-21": False,
        "2021-01-01": False,
    }
    for day, cancelled in days.items():
        known = load(database, datetime.fromisoformat(f"{day}T00:00:00+00:00")).downtimes.get("1")
        assert (None if known is None else known.cancelled) is cancelled, day


def test_a_history_replayed_again_changes_nothing(database: Database, tmp_path: Path) -> None:
    lines = (ADD, BACKWARDS, CANCEL, AGAIN, ARCHIVE)
    say(database, tmp_path, *lines)
    assert say(database, tmp_path, *lines) == Taken(unchanged=5)


def test_what_ends_before_it_starts_is_quarantined_and_what_stood_stays(
    database: Database, tmp_path: Path
) -> None:
    say(database, tmp_path, ADD, BACKWARDS)
    registry = load(database)
    assert (set(registry.downtimes), set(registry.quarantined)) == ({"1"}, {"1"})
    say(database, tmp_path, ADD, BACKWARDS, CANCEL)
    assert load(database).quarantined == {}


def test_a_line_that_cannot_be_read_is_named(database: Database, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"events.jsonl:2"):
        say(database, tmp_path, ADD, ADD | {"severity": "Earthquake"})
    assert load(database).downtimes == {}


@needs_shared_data
def test_eight_years_of_real_events_answer_as_of_any_moment(database: Database) -> None:
    path = SHARED_DATA / "downtime-events.jsonl"
    with database.begin() as conn:
        taken = replay(conn, read_events(path), who="test")
    lines = [json.loads(text) for text in path.read_text().splitlines()]
    assert len(lines) == 5900
    # 79 were withdrawn before their end; 21 additions and edits end before they start.
    assert (taken.cancelled, taken.quarantined) == (79, 21)
    moments = [at(lines[index]["tx"]) + timedelta(seconds=1) for index in range(0, 5900, 590)]
    for moment in [at("2018-01-01T00:00:00Z"), *moments, at("2030-01-01T00:00:00Z")]:
        known = load(database, moment).downtimes
        said = told_by(lines, moment)
        assert {key: facts_of(each) for key, each in known.items()} == said, moment


def at(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def told_by(lines: list[dict[str, Any]], moment: datetime) -> dict[str, tuple[Any, ...]]:
    """The same, told again without a database: the last word on each id up to the moment."""
    told: dict[str, tuple[Any, ...]] = {}
    count = bisect_right([at(each["tx"]) for each in lines], moment)
    for each in lines[:count]:
        key, start, end = each["id"], at(each["start"]), at(each["end"])
        if each["op"] == "delete":
            if key in told and at(each["tx"]) < told[key][1]:
                told[key] = (*told[key][:-1], True)
        elif start < end:
            told[key] = (start, end, each["severity"], tuple(dict.fromkeys(each["services"])), False)
    return told


def facts_of(downtime: Any) -> tuple[Any, ...]:
    interval = downtime.interval
    return (interval.start, interval.end, downtime.severity.value, downtime.services, downtime.cancelled)


def feed(folder: Path, *elements: str) -> Path:
    path = folder / "feed.xml"
    path.write_text(FEED.format("".join(elements)))
    return path


def element(host: str = "ce.itb-slurm.example.org", service: str = "CE", end: int = 1763200000) -> str:
    return ELEMENT.format(host=host, service=service, end=end)


def take(database: Database, path: Path, **more: Any) -> Taken:
    with database.begin() as conn:
        downtimes = read_gocdb_downtimes(path, load_registry(conn), Findings())
        return take_feed(conn, downtimes, who="test", now=datetime(2025, 11, 14, tzinfo=UTC), **more)


def test_a_downtime_of_gocdb_is_one_of_the_resource_that_has_the_host(
    database: Database, tmp_path: Path
) -> None:
    with database.begin() as conn:
        import_tree(conn, EXAMPLE, "test")
    path = feed(tmp_path, element(), element(service="Squid"))
    assert take(database, path) == Taken(added=1)
    assert take(database, path) == Taken(unchanged=1)
    downtime = load(database).downtimes["gocdb-77G0-ITB-SLURM-CE"]
    assert (downtime.resource, downtime.services) == ("ITB-SLURM-CE", ("CE", "Squid"))
    assert downtime.severity is Severity.OUTAGE
    assert take(database, feed(tmp_path, element(), element(service="Squid", end=1763300000))).changed == 1


def test_what_leaves_a_complete_feed_before_its_end_is_cancelled(database: Database, tmp_path: Path) -> None:
    take(database, feed(tmp_path, element()))
    assert take(database, feed(tmp_path)) == Taken()
    assert take(database, feed(tmp_path), complete=True) == Taken(cancelled=1)
    assert all(each.cancelled for each in load(database).downtimes.values())


@needs_shared_data
def test_the_feed_of_argo_is_read() -> None:
    findings = Findings()
    path = SHARED_DATA / "ar" / "gocdb-downtimes.xml"
    downtimes = read_gocdb_downtimes(path, EMPTY, findings)
    assert {key: each.severity for key, each in downtimes.items()} == {
        "gocdb-123456G0-mock1.foo1": Severity.INTERMITTENT,
        "gocdb-567890G0-mock2.foo2": Severity.OUTAGE,
        "gocdb-11111G0-mock3.foo3": Severity.OUTAGE,
    }
    assert {finding.grade for finding in findings.found} == {Grade.DOUBT}


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        ('<!DOCTYPE x [<!ENTITY a "aaaa">]><results>&a;</results>', "declares entities"),
        ('<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><results>&f;</results>', "declares entities"),
        ("<results><DOWNTIME>", "is not XML"),
        ("<html/>", "no answer of GOCDB"),
    ],
)
def test_a_hostile_or_foreign_feed_is_refused(tmp_path: Path, content: str, rule: str) -> None:
    path = tmp_path / "feed.xml"
    path.write_text(content)
    with pytest.raises(InvalidInput, match=rule):
        read_gocdb_downtimes(path, EMPTY, Findings())


def test_an_element_that_cannot_be_read_is_a_fault_and_the_others_are_taken(
    database: Database, tmp_path: Path
) -> None:
    bad = element(host="x.example.org", end=1)
    findings = Findings()
    found = read_gocdb_downtimes(feed(tmp_path, bad, element()), load(database), findings)
    assert len(found) == 1
    assert Grade.FAULT in {finding.grade for finding in findings.found}
