"""The weekly report from real stores: records collected, probes kept, downtimes cancelled, revisions made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from opengoc.accounting.ingest import Stores as AccountingStores
from opengoc.accounting.ingest import collect
from opengoc.accounting.model import Kind
from opengoc.accounting.raw import RawStore
from opengoc.accounting.source import Source
from opengoc.base.figure import Figure, FigureState
from opengoc.base.instant import utc_now
from opengoc.base.interval import Interval, week, week_name
from opengoc.factory import cycle
from opengoc.factory.act import SUBMISSION
from opengoc.factory.model import EntryRow, Limit
from opengoc.flows import publication
from opengoc.flows.weekly import Stores
from opengoc.monitoring import store as probe_store
from opengoc.monitoring.model import ProbeResult, Status, Target
from opengoc.monitoring.profile import profile
from opengoc.registry.downtime import Severity
from opengoc.registry.past import PastRegistries
from opengoc.registry.store import add_downtime, cancel_downtime, import_tree
from opengoc.reports.document import content_hash
from opengoc.reports.model import Report
from opengoc.reports.notes import add_note
from opengoc.store import ledger
from opengoc.store.database import Database
from opengoc.store.lake import Lake

pytestmark = pytest.mark.integration

REGISTRY = Path(__file__).parents[1] / "data/registry/example"
HOUR = timedelta(hours=1)
CE = Target("ITB-SLURM-CE", "CE")


def record(number: int, ended_at: datetime, *, vo: str = "cms", wall_seconds: int = 7200) -> str:
    """One payload in a schedd's history: one core of ITB-CONDOR, three quarters busy."""
    end = int(ended_at.timestamp())
    return f"""ClusterId = {number}
CompletionDate = {end}
CpusProvisioned = 1
EnteredCurrentStatus = {end}
GlobalJobId = "pool-schedd@itb.example#{number}.0#{end - wall_seconds}"
JobStartDate = {end - wall_seconds}
JobStatus = 4
MachineAttrGLIDEIN_Site0 = "ITB-CONDOR"
Owner = "user"
ProcId = 0
QDate = {end - wall_seconds - 60}
RemoteSysCpu = 0.0
RemoteUserCpu = {wall_seconds * 0.75}
RemoteWallClockTime = {wall_seconds}.0
RequestCpus = 1
User = "user@itb.example"
VO = "{vo}"
*** Offset = -1 ClusterId = {number} ProcId = 0 Owner = "user" CompletionDate = {end}
"""


@dataclass
class Home:
    """An installation with a history of payloads, in the week that ended last."""

    folder: Path
    stores: Stores
    week: str

    @property
    def window(self) -> Interval:
        return week(self.week)

    def at(self, hours: float) -> datetime:
        """A moment, in hours after Monday."""
        return self.window.start + hours * HOUR

    def collect(self, *records: str) -> None:
        with (self.folder / "history").open("a") as file:
            file.write("".join(records))
        raw = RawStore(self.folder / "raw")
        into = AccountingStores(database=self.stores.database, lake=self.stores.lake, raw=raw)
        (source,) = self.stores.accounting
        collect(source, into, who="test")

    def probe(self, results: Iterable[tuple[float, Status]], batch: str) -> None:
        kept = [
            ProbeResult(
                metric="ce",
                resource=CE.resource,
                service=CE.service,
                status=status,
                at=self.at(hours),
                summary=status.value,
                agent="test",
            )
            for hours, status in results
        ]
        probe_store.declare(self.stores.lake)
        probe_store.record(
            self.stores.lake, self.stores.database, kept, batch_id=batch, known_at=utc_now(), who="test"
        )

    def draft(self, *, as_of: datetime | None = None) -> Report:
        return publication.draft(self.stores, self.week, as_of=as_of or utc_now(), now=utc_now())

    def publish(self) -> publication.Publication:
        return publication.publish(self.stores, self.week, who="production coordinator")


@pytest.fixture
def home(tmp_path: Path, sqlite_database: Database) -> Home:
    """A registry of two VOs, one source of payloads that is read since before the week, nothing else."""
    with sqlite_database.begin() as conn:
        import_tree(conn, REGISTRY, "test")
        # The example's own downtime lies in one certain week, these tests in any.
        cancel_downtime(conn, "9001", who="test", why="not of this test")
    source = Source(name="pool", format="condor-history", path=tmp_path / "history", kind=Kind.PAYLOAD)
    stores = Stores(
        database=sqlite_database,
        lake=Lake(tmp_path / "lake"),
        registries=PastRegistries(sqlite_database),
        accounting=(source,),
        intervals={("ce", CE): 1800.0},
        profile=profile("argo-egi"),
        entry_sites={"ITB-SLURM-1core": "ITB-SLURM"},
    )
    made = Home(tmp_path, stores, week_name(utc_now() - timedelta(days=7)))
    made.collect(record(1, made.at(-200)))
    return made


def figure(report: Report, name: str, **dimensions: str) -> Figure:
    (found,) = [f for f in report.figures if f.name == name and dict(f.dimensions) == dimensions]
    return found


def test_figures_are_those_of_the_records_that_ended_in_the_week(home: Home) -> None:
    inside = [record(n, home.at(n)) for n in range(10, 15)]
    home.collect(*inside, record(20, home.at(-0.01)), record(21, home.at(168)))
    report = home.draft()
    jobs = figure(report, "payload_jobs", vo="cms")
    assert (jobs.state, jobs.value) == (FigureState.VALUE, 5)
    assert figure(report, "payload_wall_hours", vo="cms").value == pytest.approx(10)
    assert figure(report, "payload_cpu_efficiency", vo="cms").value == pytest.approx(75)
    assert figure(report, "payload_jobs_at_site", vo="cms", site="ITB-CONDOR").value == 5
    assert figure(report, "payload_jobs", vo="ligo").state is FigureState.ZERO
    assert figure(report, "pilot_jobs", vo="cms").reason == "no source of pilot records"


def test_the_first_and_the_last_instant_of_the_week_fall_on_the_right_side(home: Home) -> None:
    home.collect(
        record(30, home.at(0)), record(31, home.at(168) - timedelta(seconds=1)), record(32, home.at(168))
    )
    assert figure(home.draft(), "payload_jobs", vo="cms").value == 2


def test_an_unregistered_vo_and_one_spelt_otherwise_are_reported(home: Home) -> None:
    home.collect(record(40, home.at(1), vo="CMS"), record(41, home.at(2), vo="atlas"))
    report = home.draft()
    assert figure(report, "payload_jobs", vo="cms").value == 1
    assert figure(report, "payload_jobs", vo="atlas").value == 1


def test_a_source_that_is_away_gives_no_number_and_says_why(home: Home) -> None:
    (source,) = home.stores.accounting
    away = replace(source, name="other", path=home.folder / "nowhere")
    home.stores = replace(home.stores, accounting=(away,))
    jobs = figure(home.draft(), "payload_jobs", vo="ligo")
    assert (jobs.state, jobs.reason) == (FigureState.MISSING, "other: never read: run goc accounting collect")


def test_a_late_record_makes_a_revision_that_names_it_and_the_past_stays(home: Home) -> None:
    home.collect(record(50, home.at(1)))
    first = home.publish()
    assert first.report.revision == 1
    assert not home.publish().new
    home.collect(record(51, home.at(2)))
    (now_wrong, *_) = publication.outdated(home.stores, now=utc_now())
    assert (now_wrong.week, now_wrong.published) == (home.week, False)
    second = home.publish()
    assert (second.new, second.report.revision) == (True, 2)
    (told,) = [c for c in second.report.corrections if c.figure.name == "payload_jobs"]
    assert (told.old and told.old.value, told.new and told.new.value) == (1, 2)
    assert "1 payload records at ITB-CONDOR from pool came in" in [cause.what for cause in told.causes]
    assert publication.outdated(home.stores, now=utc_now()) == ()
    again = home.draft(as_of=first.report.as_of)
    assert content_hash(again) == first.content_hash


def test_a_cancelled_downtime_corrects_reliability_and_is_named(home: Home) -> None:
    down = range(10, 20)
    home.probe(
        ((h, Status.CRITICAL if int(h) in down else Status.OK) for h in (n / 2 for n in range(-48, 336))),
        "b1",
    )
    with home.stores.database.begin() as conn:
        downtime = add_downtime(
            conn,
            resource=CE.resource,
            interval=Interval(home.at(10), home.at(20)),
            severity=Severity.OUTAGE,
            description="Scheduler upgrade",
            who="site administrator",
            now=home.at(-100),
        )
    first = home.publish()
    assert figure(first.report, "reliability", site="ITB-SLURM").value == pytest.approx(100)
    with home.stores.database.begin() as conn:
        cancel_downtime(conn, downtime.id, who="site administrator", why="never took place")
    second = home.publish()
    (told,) = [c for c in second.report.corrections if c.figure.name == "reliability"]
    assert told.figure.dimensions == {"site": "ITB-SLURM"}
    assert told.new is not None
    assert told.new.value == pytest.approx(100 * 158 / 168, abs=0.7)
    (cause,) = [cause for cause in told.causes if cause.what == f"downtime {downtime.id} cancelled"]
    assert (cause.who, cause.why) == ("site administrator", "never took place")


def test_the_next_week_tells_what_was_corrected_in_the_one_before(home: Home) -> None:
    home.collect(record(60, home.at(1)))
    home.publish()
    home.collect(record(61, home.at(2)))
    home.publish()
    now = utc_now()
    this_week = publication.draft(home.stores, week_name(now), as_of=now, now=now)
    assert {c.week for c in this_week.corrections} == {home.week}


def test_in_a_running_week_only_what_came_late_is_a_correction(home: Home) -> None:
    home.week = week_name(utc_now())
    home.collect(record(70, home.at(0)))
    first = home.publish()
    home.collect(record(71, utc_now() + timedelta(seconds=2)))
    second = home.publish()
    assert figure(second.report, "payload_jobs", vo="cms").value == 2
    assert second.report.corrections == ()
    home.collect(record(72, max(home.at(0), first.report.as_of - timedelta(seconds=30))))
    third = home.publish()
    told = {c.figure.name: c for c in third.report.corrections}
    assert [cause.what for cause in told["payload_jobs"].causes] == [
        "1 payload records at ITB-CONDOR from pool came in"
    ]


def test_a_note_survives_and_makes_a_revision(home: Home) -> None:
    home.publish()
    with home.stores.database.begin() as conn:
        add_note(conn, week=home.week, section="actions", text="Ask.", who="x", sections=["actions"])
    second = home.publish()
    assert (second.report.revision, second.report.corrections) == (2, ())
    assert [note.text for note in second.report.notes] == ["Ask."]


def test_the_factory_has_its_pilots_and_limits(home: Home) -> None:
    history = cycle.History(home.stores.lake)
    for minutes, running in ((0, 0), (10, 3), (20, 1)):
        history.write(_cycle(home.at(5 + minutes / 60), running))
    with home.stores.database.begin() as conn:
        for name in ("plt-1", "plt-2"):
            payload = {"entry": "ITB-SLURM-1core", "vo": "cms", "digest": "d"}
            ledger.owe(conn, kind=SUBMISSION, key=name, payload=payload, due_at=home.at(5))
        for effect in ledger.claim(conn, SUBMISSION, now=home.at(5), limit=9, lease_seconds=60):
            ledger.settle(conn, effect, now=home.at(5))
    report = home.draft()
    assert figure(report, "pilots_submitted", entry="ITB-SLURM-1core").value == 2
    peak = figure(report, "running_pilots_peak", vo="cms")
    assert (peak.value, peak.state) == (3, FigureState.PARTIAL)
    assert peak.reason == "seen for 35 min of 168.0 h"
    assert figure(report, "running_pilots_mean", vo="cms").value == pytest.approx(
        (0 * 10 + 3 * 10 + 1 * 15) / 35
    )


def _cycle(at: datetime, running: int) -> cycle.Cycle:
    row = EntryRow(
        entry="ITB-SLURM-1core",
        vo="cms",
        matching_jobs=1,
        requested=1,
        allowed=0,
        limit=Limit.MAX_IDLE,
        detail="4 wait",
        idle=4,
        running=running,
        held=0,
        free_slots=0,
    )
    return cycle.Cycle(
        at=at,
        seconds=0.1,
        digest="d",
        frozen="",
        sources=(),
        rows=(row,),
        submitted={},
        removed=0,
        collected=0,
        idle_jobs=1,
        running_jobs=0,
        unmatched_jobs=0,
        pilots=4,
    )
