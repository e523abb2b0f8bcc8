"""The condor room against a real HTCondor: identities, whole and broken answers, deadlines."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.integration.testbed_grid import Grid, wait_for

from opengoc.base.errors import Permanent, Temporary
from opengoc.condor.session import Pool, Session
from opengoc.testbed import faults

pytestmark = pytest.mark.integration

JOB = {
    "universe": "vanilla",
    "executable": "/bin/sleep",
    "arguments": "600",
    "transfer_executable": "false",
    "hold": "true",
}
Open = Callable[..., Session]


@pytest.fixture
def session(grid: Grid) -> Iterator[Open]:
    """``session(tokens, pool="pool")``: a session with one folder of tokens; closed with the test."""
    opened: list[Session] = []

    def start(tokens: str, *, pool: str = "pool", timeout_seconds: float = 20.0) -> Session:
        opened.append(
            Session(
                Pool(
                    name=pool,
                    collector=grid.address(pool),
                    token_directory=grid.layout.tokens / tokens,
                    timeout_seconds=timeout_seconds,
                )
            )
        )
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def test_sessions_side_by_side_keep_their_own_identity(grid: Grid, session: Open) -> None:
    cms, ligo = session("cms"), session("ligo")
    clusters = [each.submit(grid.schedd("pool"), JOB).cluster for each in (cms, ligo, cms)]
    try:
        mine = " || ".join(f"ClusterId == {number}" for number in clusters)
        found = cms.jobs(grid.schedd("pool"), mine, ["ClusterId", "Owner", "VO"])
        assert found.complete
        assert sorted((ad["ClusterId"], ad["Owner"], ad["VO"]) for ad in found.items) == [
            (clusters[0], "cmsprod", "cms"),
            (clusters[1], "ligosearch", "ligo"),
            (clusters[2], "cmsprod", "cms"),
        ]
    finally:
        for each, cluster in zip((cms, ligo, cms), clusters, strict=True):
            assert each.remove(grid.schedd("pool"), f"ClusterId == {cluster}", reason="end of test") == 1


def test_a_token_file_opens_a_pool_like_a_folder_of_tokens(grid: Grid) -> None:
    (token,) = (grid.layout.tokens / "cms").iterdir()
    with Session(Pool(name="pool", collector=grid.address("pool"), token_file=token)) as session:
        assert session.ping("Schedd", grid.schedd("pool"), permission="WRITE").complete
        assert [ad["Name"] for ad in session.schedds(projection=["Name"]).items] == [grid.schedd("pool")]


def test_a_job_lives_in_queue_and_history_with_the_reasons_that_were_given(grid: Grid, session: Open) -> None:
    cms, schedd = session("cms"), grid.schedd("pool")
    # As condor_submit writes it: the value depends on an attribute that nobody asked for.
    asked = {"+RequestMemory": "ifThenElse(Learned =!= undefined, Learned, 7)", "+Learned": "2048"}
    submitted = cms.submit(schedd, JOB | asked, count=2)
    assert submitted.procs == 2
    mine = f"ClusterId == {submitted.cluster}"
    (first, _) = cms.jobs(schedd, mine, ["JobStatus", "RequestMemory", "NoSuchThing"]).items
    assert first == {"JobStatus": 5, "RequestMemory": 2048}
    assert cms.release(schedd, mine, reason="go") == 2
    assert cms.hold(schedd, mine, reason="not yet") == 2
    assert "not yet" in cms.jobs(schedd, mine, ["HoldReason"]).items[0]["HoldReason"]
    assert cms.remove(schedd, mine, reason="end of test") == 2
    history = wait_for(
        lambda: cms.history(schedd, mine, ["RemoveReason"]).items, "the jobs are in the history", seconds=20
    )
    assert all("end of test" in ad["RemoveReason"] for ad in history)
    assert not cms.history(schedd, mine, ["RemoveReason"], limit=1).complete


def test_a_failed_query_is_never_an_empty_answer(grid: Grid, session: Open, tmp_path: Path) -> None:
    schedd = grid.schedd("pool")
    cms = session("cms")
    nobody = Session(Pool(name="pool", collector=grid.address("pool"), token_directory=tmp_path))
    nowhere = Session(Pool(name="gone", collector="127.0.0.1:9", token_directory=tmp_path))
    with nobody, nowhere:
        for found in (
            cms.jobs("no-such-schedd"),
            cms.jobs(schedd, "(("),
            cms.slots("(("),
            nobody.jobs(schedd),
            nobody.slots(),
            nowhere.jobs(schedd),
            nowhere.schedds(),
        ):
            assert not found.complete
            assert found.items == ()
            assert found.error
        with pytest.raises((Temporary, Permanent)):
            nobody.submit(schedd, JOB)
    assert cms.jobs(schedd, "false").complete


def test_a_schedd_that_hangs_is_given_up_at_the_deadline_and_found_again(grid: Grid, session: Open) -> None:
    cms = session("cms", timeout_seconds=3)
    assert cms.jobs(grid.schedd("pool")).complete
    (schedd,) = faults.running_daemons(grid.layout, machine="pool", daemon="schedd")
    os.kill(schedd.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        found = cms.jobs(grid.schedd("pool"))
        assert not found.complete
        assert time.monotonic() - began < 60
    finally:
        os.kill(schedd.pid, signal.SIGCONT)
    wait_for(lambda: cms.jobs(grid.schedd("pool")).complete, "the schedd answers again", seconds=20)


def test_nothing_of_the_machines_own_htcondor_is_used(
    grid: Grid,
    session: Open,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    broken = tmp_path / "condor_config"
    broken.write_text("this is no configuration\n")
    monkeypatch.setenv("CONDOR_CONFIG", str(broken))
    monkeypatch.setenv("_CONDOR_COLLECTOR_HOST", "127.0.0.1:9")
    monkeypatch.setenv("_condor_SEC_CLIENT_AUTHENTICATION_METHODS", "KERBEROS")
    assert session("cms").jobs(grid.schedd("pool"), "false").complete
    assert capfd.readouterr().err == ""
