"""What is submitted for a pilot, and what it reports."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.unit.factory.world import NOW, configuration, entry_table

from opengoc.condor.classads import parse
from opengoc.factory.pilot_report import keep_report, read_report
from opengoc.factory.pilots import Premises, pilot_config, submit_description

CONFIGURATION = configuration(
    entry_table("A", vos='["cms"]')
    + '[entries.submit]\nbatch_queue = "grid"\nbatch_extra_submit_args = "--qos=low"\n'
    + "[entries.pilot]\nidle_seconds = 20\n",
    entry_table("B", resource='"CE-B"', grid_resource='"condor schedd@b b.example.org:9619"'),
)
PREMISES = Premises(
    name="factory",
    schedd="factory-schedd",
    collector="127.0.0.1:9618",
    token_file=Path("/secret/pool"),
    pilot_file=Path("/home/factory/goc-pilot"),
    folder=Path("/home/factory"),
)


def description(entry: str) -> dict[str, str]:
    return submit_description(
        PREMISES,
        CONFIGURATION,
        CONFIGURATION.entries[entry],
        vo="cms",
        pilot_id="plt-1",
        folder=PREMISES.pilot_folder("plt-1", NOW),
    )


def test_the_configuration_holds_start_and_digest_and_no_secret() -> None:
    entry = CONFIGURATION.entries["A"]
    config = pilot_config(PREMISES, CONFIGURATION, entry, vo="cms", pilot_id="plt-1", now=NOW)
    assert config["policy_digest"] == CONFIGURATION.digest
    assert config["start"] == CONFIGURATION.start(entry, "cms")
    assert parse(config["start"]).references() <= {
        f"TARGET.{name}" for name in CONFIGURATION.policy.job_attributes
    }
    assert (config["vos"], config["site"], config["idle_seconds"]) == (["cms"], "SITE-A", 20)
    assert config["token_file"] == "pool"
    assert config["issued_at"] == "2026-11-16T12:00:00Z"


def test_an_entry_cannot_change_what_is_the_factorys() -> None:
    entry = replace(CONFIGURATION.entries["A"], pilot={"start": "true", "policy_digest": "x"})
    config = pilot_config(PREMISES, CONFIGURATION, entry, vo="cms", pilot_id="plt-1", now=NOW)
    assert config["start"] != "true"
    assert config["policy_digest"] == CONFIGURATION.digest


def test_a_batch_job_bears_the_pilots_name_beside_the_entrys_own_arguments() -> None:
    job = description("A")
    assert job["batch_extra_submit_args"] == "--job-name=plt-1 --qos=low"
    assert (job["batch_queue"], job["batch_runtime"]) == ("grid", "3600")
    assert job["+remote_SMPGranularity"] == "2"
    assert (job["request_cpus"], job["request_memory"]) == ("2", "2048")
    assert job["+GOC_PilotId"] == '"plt-1"'


def test_a_remote_schedd_is_told_who_the_pilot_is() -> None:
    job = description("B")
    for name in ("GOC_PilotId", "GOC_Entry", "GOC_VO", "GOC_Digest", "GLIDEIN_Site", "GLIDEIN_Resource"):
        assert job[f"+remote_{name}"] == job[f"+{name}"]
    assert job["grid_resource"] == "condor schedd@b b.example.org:9619"


def test_files_are_kept_by_day_and_pilot() -> None:
    assert description("A")["initialdir"] == "/home/factory/pilots/2026-11-16/plt-1"


def report(text: str) -> str:
    return f"=== GOC PILOT REPORT BEGIN ===\n{text}\n=== GOC PILOT REPORT END ===\n"


def test_the_last_whole_report_counts() -> None:
    stdout = "noise\n" + report('{"state": "running"}') + "noise" + report('{"state": "ended"}')
    assert read_report(stdout) == {"state": "ended"}
    cut_off = stdout + '=== GOC PILOT REPORT BEGIN ===\n{"state": "en'
    assert read_report(cut_off) == {"state": "ended"}
    assert read_report(stdout + report("{broken")) == {"state": "ended"}


def test_no_report_is_none_and_not_an_empty_one() -> None:
    assert read_report("") is None
    assert read_report("segmentation fault\n" + report("[]")) is None


def test_a_report_is_kept_beside_the_output(tmp_path: Path) -> None:
    assert keep_report(tmp_path) is None
    (tmp_path / "stdout").write_bytes(b"\xff\n" + report('{"state": "ended"}').encode())
    assert keep_report(tmp_path) == {"state": "ended"}
    assert '"ended"' in (tmp_path / "pilot-report.json").read_text()
