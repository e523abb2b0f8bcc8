"""``goc registry`` and ``goc downtime``: what they print, how they exit, and no person unless asked for."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from opengoc.base.errors import GocError
from opengoc.cli.main import app

EXAMPLE = Path(__file__).parents[2] / "data" / "registry" / "example"


class Goc:
    """The command on one home, in this process: starting Python 40 times over is what takes long."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def __call__(self, *words: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, ["--home", str(self.home), *words])
        error = done.exception
        if isinstance(error, GocError):
            assert error.exit_code == code, error
            return str(error)
        assert done.exit_code == code, done.output
        return done.stdout

    def json(self, *words: str, code: int = 0) -> Any:
        return json.loads(self(*words, "--json", code=code))


@pytest.fixture
def goc(tmp_path: Path) -> Goc:
    """A home with the example registry in it, imported."""
    shutil.copytree(EXAMPLE, tmp_path / "home" / "registry")
    goc = Goc(tmp_path / "home")
    goc("registry", "import")
    return goc


def test_a_second_import_says_that_nothing_changed(goc: Goc) -> None:
    assert "nothing changed: 19 entries" in goc("registry", "import")


def test_a_dry_run_counts_and_writes_nothing(goc: Goc) -> None:
    site = goc.home / "registry/topology/Example University Grid/ITB-SLURM/SITE.yaml"
    site.write_text(site.read_text().replace("Example City", "Elsewhere"))
    assert goc.json("registry", "import", "--dry-run")["changed"] == {"site": 1}
    assert goc.json("registry", "show", "site", "ITB-SLURM")["city"] == "Example City"


def test_lint_answers_no_with_exit_code_1_and_the_place(goc: Goc) -> None:
    assert "no fault" in goc("registry", "lint")
    vo = goc.home / "registry/virtual-organizations/cms.yaml"
    vo.write_text(vo.read_text() + "Colour: [red]\n")
    assert goc("registry", "lint", code=1) == (
        "virtual-organizations/cms.yaml:13: fault: 'Colour': is not a key of a vo here\n"
    )
    assert goc.json("registry", "lint", code=1)[0]["where"] == "virtual-organizations/cms.yaml:13"
    assert "is not a key of a vo here" in goc("registry", "import", code=3)


def test_tables_keep_within_80_columns(goc: Goc) -> None:
    kinds = ("facility", "site", "group", "resource", "vo", "support-center", "contact")
    for text in (*(goc("registry", "show", kind) for kind in kinds), goc("downtime", "list", "--past")):
        assert max(map(len, text.splitlines())) <= 80


def test_persons_are_shown_on_request_only(goc: Goc) -> None:
    for words in (["contact"], ["vo", "cms"], ["resource", "ITB-SLURM-CE"]):
        text = goc("registry", "show", *words) + goc("registry", "show", *words, "--json")
        assert "admin@itb.example.org" not in text
        assert "Site administrator" not in text
    shown = goc.json("registry", "show", "contact", "--persons", "--why", "call")
    assert "admin@itb.example.org" in [each["email"] for each in shown]


def test_names_need_a_reason_and_the_reading_is_logged(goc: Goc) -> None:
    assert "--why" in goc("registry", "show", "contact", "--persons", code=3)
    goc("registry", "show", "contact", "--persons", "--why", "ticket 17")
    log = goc.json("registry", "accesses")
    assert {(line["act"], line["why"]) for line in log} == {
        ("write", "named in the tree"),
        ("read", "ticket 17"),
    }
    assert "@" not in json.dumps(log)


def test_an_erased_person_is_not_brought_back_by_the_tree(goc: Goc) -> None:
    shown = goc.json("registry", "show", "contact", "--persons", "--why", "erasure")
    person = next(each["id"] for each in shown if each["email"] == "admin@itb.example.org")
    goc("registry", "erase", person, "--why", "asked for it")
    assert "nothing changed" in goc("registry", "import")
    assert "admin@itb" not in goc("registry", "show", "contact", "--persons", "--why", "check")
    assert b"admin@itb.example.org" not in (goc.home / "goc.db").read_bytes()
    assert goc.json("registry", "accesses", person)[0]["act"] == "erase"


def test_a_downtime_is_announced_changed_cancelled_and_listed(goc: Goc) -> None:
    words = ["--end", "+4h", "--severity", "outage", "--description", "[kernel] upgrade"]
    added = goc.json("downtime", "add", "ITB-CONDOR-CE", *words)
    assert (added["state"], added["class"], added["services"]) == ("active", "UNSCHEDULED", ["CE"])
    assert added["id"] in goc("downtime", "list")
    changed = goc.json(
        "downtime", "change", added["id"], "--severity", "at-risk", "--why", "half the nodes are up"
    )
    assert changed["severity"] == "No Significant Outage Expected"
    goc("downtime", "cancel", added["id"], "--why", "not needed")
    assert goc.json("downtime", "list") == []
    past = {each["id"]: each["state"] for each in goc.json("downtime", "list", "--past")}
    assert past[added["id"]] == "cancelled"


def test_several_resources_and_services_with_times_of_their_own_are_one_announcement(goc: Goc) -> None:
    words = ["--start", "2026-12-01T00:00:00Z", "--end", "+4h", "--severity", "outage", "--description", "x"]
    made = goc.json("downtime", "add", "ITB-CONDOR-CE", "ITB-SLURM-CE", *words)
    assert {each["resource"] for each in made} == {"ITB-CONDOR-CE", "ITB-SLURM-CE"}
    assert len({each["announcement"] for each in made}) == 1
    timed = goc.json("downtime", "add", "ITB-SLURM-CE", *words, "--service", "CE=+1h/+30m")
    assert (timed["start"], timed["end"]) == ("2026-12-01T01:00:00Z", "2026-12-01T01:30:00Z")
    before = goc.json("downtime", "list", "--past")
    both = ["--service", "CE", "--service", "CE=+1h/+1h"]
    assert "down twice at once" in goc("downtime", "add", "ITB-SLURM-CE", *words, *both, code=3)
    assert "is no resource" in goc("downtime", "add", "ITB-SLURM-CE", "nowhere", *words, code=3)
    assert goc.json("downtime", "list", "--past") == before


def test_a_feed_that_is_no_feed_is_refused(goc: Goc, tmp_path: Path) -> None:
    (tmp_path / "feed.xml").write_text("<html/>")
    assert "no answer of GOCDB" in goc("downtime", "import", str(tmp_path / "feed.xml"), code=3)
    assert "is no file" in goc("downtime", "import", str(tmp_path / "none.xml"), code=3)


def test_a_token_is_shown_once_and_kept_as_a_digest(goc: Goc) -> None:
    secret = goc.json("token", "add", "site operator", "--right", "downtimes", "--site", "ITB-SLURM")["token"]
    assert goc.json("token", "list") == [
        {"name": "site operator", "rights": ["downtimes"], "sites": ["ITB-SLURM"]}
    ]
    assert secret.encode() not in (goc.home / "goc.db").read_bytes()
    assert "already stands" in goc("token", "add", "site operator", "--right", "contacts", code=4)
    assert "is no site" in goc("token", "add", "x", "--right", "downtimes", "--site", "nowhere", code=3)
    goc("token", "revoke", "site operator", "--why", "left")
    assert goc.json("token", "list") == []


def test_a_list_as_of_a_time_before_the_first_import_is_empty(goc: Goc) -> None:
    assert goc.json("downtime", "list", "--past", "--as-of", "2020-01-01T00:00:00Z") == []
    assert goc.json("registry", "show", "--as-of", "2020-01-01T00:00:00Z")["site"] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["downtime", "add", "nowhere", "--end", "+1h"], "is no resource of the registry"),
        (["downtime", "add", "ITB-SLURM-CE", "--end", "+1h", "--service", "Squid"], "is no service of this"),
        (["downtime", "add", "ITB-SLURM-CE", "--end", "soon"], "--end: 'soon'"),
        (["downtime", "add", "ITB-SLURM-CE", "--end", "-1h"], "must be after the start"),
    ],
)
def test_what_cannot_be_announced_ends_with_exit_code_3(goc: Goc, words: list[str], message: str) -> None:
    assert message in goc(*words, "--severity", "outage", "--description", "x", code=3)


def test_a_downtime_that_says_nothing_is_refused(goc: Goc) -> None:
    words = ["ITB-SLURM-CE", "--end", "+1h", "--severity", "outage", "--description"]
    assert "say what is done" in goc("downtime", "add", *words, " ", code=3)
    made = goc.json("downtime", "add", *words, "disks")["id"]
    assert "say what: --start" in goc("downtime", "change", made, "--why", "x", code=3)
    assert "--severity: ''" in goc("downtime", "change", made, "--why", "x", "--severity", "", code=3)


def test_a_month_of_a_site_that_nobody_knows_is_refused(goc: Goc) -> None:
    assert "had no resource in use" in goc("ar", "month", "2026-10", "--site", "ITB-SLRM", code=3)


def test_tests_of_no_kind_of_service_are_refused(goc: Goc) -> None:
    assert "must name a kind of service" in goc("ar", "tests", "cms", "=org.x", code=3)


def test_an_export_imports_back_unchanged(goc: Goc, tmp_path: Path) -> None:
    goc("registry", "export", str(tmp_path / "out"))
    assert "nothing changed" in goc("registry", "import", str(tmp_path / "out"))
    assert "must be an empty or new folder" in goc("registry", "export", str(tmp_path / "out"), code=3)


def test_a_federation_names_each_site_once(goc: Goc) -> None:
    again = goc("ar", "federation", "North", "ITB-SLURM=1", "ITB-SLURM=2", code=3)
    assert "names a site for the second time" in again
    goc("ar", "federation", "North", "ITB-SLURM=1", "ITB-CONDOR")
    (north,) = goc.json("ar", "federation", "North")
    assert north == {"name": "North", "weights": {"ITB-CONDOR": 1.0, "ITB-SLURM": 1.0}}
