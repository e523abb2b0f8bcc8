"""The entries file: typed, checked against registry and policy, every fault at once."""

from __future__ import annotations

from tests.unit.factory.world import POLICY, RESOURCES, configuration, entries, entry_table, policy

from opengoc.factory.configuration import digest_of
from opengoc.factory.entries import KnownResource, read_entries


def faults_of(text: str, **resources: KnownResource) -> list[str]:
    _, faults = read_entries(
        text, "entries.toml", vocabulary=policy().vocabulary, resources=RESOURCES | resources
    )
    return [str(fault) for fault in faults]


def test_an_entry_has_its_site_from_the_registry_and_defaults_from_the_policy() -> None:
    (entry,) = entries(entry_table("A"))
    assert (entry.site, entry.enabled, entry.disk_mib) == ("SITE-A", True, 4096)
    assert entry.values()["HasSquid"] is False
    assert entry.values()["WalltimeSeconds"] == 3600


def test_every_fault_of_every_entry_is_named_with_its_line() -> None:
    text = (
        entry_table("A", cores='"two"', memory_mib=None, colour='"blue"')
        + "[entries.attributes]\nHasSquid = 1\nHasTape = true\n"
        + '[entries.submit]\nuniverse = "local"\n'
        + entry_table("B", walltime_seconds=5, vos='["CMS"]')
    )
    found = faults_of(text)
    assert len(found) == 8
    assert "line 5: entry A: cores: must be a int, not 'two'" in found
    assert "line 1: entry A: memory_mib: is missing" in found
    assert "line 10: entry A: colour: is no known key" in found
    assert "line 12: entry A: attributes.HasSquid: must be a bool, not 1" in found
    assert "line 13: entry A: attributes.HasTape: is not declared: add [entry.HasTape] to the policy" in found
    assert "line 15: entry A: submit.universe: is the factory's own submit command" in found
    assert any("entry B: walltime_seconds: must be at least 60" in line for line in found)
    assert any("'CMS' is no VO name" in line for line in found)


def test_an_entry_that_names_no_known_resource_is_refused() -> None:
    (fault,) = faults_of(entry_table("A", resource='"CE-X"'))
    assert fault == "line 3: entry A: resource: 'CE-X' is no resource of the registry"


def test_an_entry_of_an_unused_resource_has_to_be_disabled() -> None:
    dead = KnownResource(site="SITE-D", unusable="is not in use, says the registry")
    table = {"resource": '"CE-D"'}
    (fault,) = faults_of(entry_table("A", **table), **{"CE-D": dead})
    assert "CE-D is not in use" in fault
    disabled = table | {"enabled": "false", "reason": '"decommissioned"'}
    assert faults_of(entry_table("A", **disabled), **{"CE-D": dead}) == []


def test_a_vo_that_the_resource_does_not_let_in_is_refused() -> None:
    picky = KnownResource(site="SITE-P", vos=frozenset({"ligo"}))
    (fault,) = faults_of(entry_table("A", resource='"CE-P"'), **{"CE-P": picky})
    assert "does not let cms in" in fault


def test_a_disabled_entry_says_why() -> None:
    (fault,) = faults_of(entry_table("A", enabled="false"))
    assert "entry A: reason: is missing" in fault


def test_a_name_stands_once() -> None:
    (fault,) = faults_of(entry_table("A") + entry_table("A"))
    assert fault.endswith("entry A: name: stands in another entry already")


def test_more_waiting_pilots_than_pilots_is_a_fault() -> None:
    (fault,) = faults_of(entry_table("A", max_idle=11))
    assert "max_idle: is more than max_pilots (10)" in fault


def test_a_grid_resource_is_one_that_the_factory_submits_to() -> None:
    for good in ("condor schedd@x host:9619", "batch slurm", "batch pbs user@host"):
        assert faults_of(entry_table("A", grid_resource=f'"{good}"')) == []
    for bad in ("condor schedd", "gt2 host", "slurm", ""):
        assert "grid_resource: must be" in faults_of(entry_table("A", grid_resource=f'"{bad}"'))[0]


def test_the_digest_is_of_the_content_not_of_the_layout() -> None:
    one = entry_table("A") + entry_table("B", resource='"CE-B"')
    other = "# a note\n" + entry_table("B", resource='"CE-B"') + "\n" + entry_table("A", enabled="true")
    assert digest_of(entries(one), policy()) == digest_of(entries(other), policy())
    assert configuration(one).digest != configuration(entry_table("A", cores=3)).digest


def test_the_digest_sees_what_a_requirement_says_not_how_it_is_laid_out() -> None:
    found = entries(entry_table("A"))
    rewritten = POLICY.replace("// a site of the list, where there is one", "// another note").replace(
        "\n&& (!job", "   &&\n(!job"
    )
    assert digest_of(found, policy(rewritten)) == digest_of(found, policy())
    for old, new in (("&& (!job", "|| (!job"), ("default = false", "default = true")):
        assert digest_of(found, policy(POLICY.replace(old, new))) != digest_of(found, policy())


def test_the_digest_changes_with_the_site_that_start_speaks_of() -> None:
    moved, _ = read_entries(
        entry_table("A"),
        "entries.toml",
        vocabulary=policy().vocabulary,
        resources={"CE-A": KnownResource(site="SITE-MOVED")},
    )
    assert digest_of(moved, policy()) != digest_of(entries(entry_table("A")), policy())


def test_a_limit_that_came_later_changes_the_digest_only_where_it_is_set() -> None:
    # As releases without max_per_minute gave it: what they applied stands.
    assert configuration().digest == "d0733df765327a27c907410efe05152955f4a6409888afca909b84bf7909d1db"
    slow = configuration(entry_table("A", max_per_minute=6), entry_table("B", resource='"CE-B"'))
    assert slow.digest != configuration().digest


def test_an_entry_of_an_arc_ce_needs_a_credential_and_xml_that_can_be_read() -> None:
    def found(submit: str, **changes: str) -> list[str]:
        table = entry_table("A", grid_resource='"arc https://arc.example.org/arex/rest/1.0"', **changes)
        return [line.split("entry A: ")[1] for line in faults_of(f"{table}[entries.submit]\n{submit}")]

    token = 'scitokens_file = "/etc/tokens/arc"\n'
    assert found(token + "arc_resources = '<NetworkInfo>infiniband</NetworkInfo>'\n") == []
    assert found("") == ["submit: needs scitokens_file or x509userproxy: the CE lets nobody in without"]
    assert found("", enabled="false", reason='"no credential yet"') == []
    (fault,) = found(token + "Arc_Resources = '<WallTime>5'\n")
    assert fault.startswith("submit.arc_resources: is no XML: mismatched tag")
    (fault,) = found('x509userproxy = "proxy"\n')
    assert fault.startswith("submit.x509userproxy: must be a whole path")
    assert any('"arc URL"' in fault for fault in faults_of(entry_table("A", grid_resource='"arc"')))
