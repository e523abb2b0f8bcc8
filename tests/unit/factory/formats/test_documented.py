"""The reference of glideinWMS entries says what the code does."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.shared_data import SHARED_DATA, needs_shared_data

from opengoc.factory.formats.foreign import in_force
from opengoc.factory.formats.glideinwms import read_files
from opengoc.factory.lint_rules import RULES

REFERENCE = Path(__file__).parents[4] / "docs" / "reference" / "glideinwms.md"


def test_every_rule_is_documented_with_its_level() -> None:
    table = REFERENCE.read_text().split("## Lint")[1].split("### ")[0]
    rows = [
        [cell.strip() for cell in line.split("|")] for line in table.splitlines() if line.startswith("| `")
    ]
    documented = [(row[1].strip("`"), row[2]) for row in rows]
    assert documented == [(rule.name, f"{rule.level}{' *' * rule.of_disabled}") for rule in RULES]


@needs_shared_data
def test_the_documented_counts_are_those_of_the_files() -> None:
    files = read_files((SHARED_DATA / "gfactory").glob("*.xml"))
    entries = [entry for file in files for entry in file.entries]
    chosen = in_force(entries)
    pairs = [(each, chosen[each.name]) for each in entries if chosen[each.name] is not each]
    mixed = sum(early.enabled != late.enabled for early, late in pairs)
    words = " ".join(REFERENCE.read_text().split())
    assert f"{len(entries)} entries, {sum(e.enabled for e in entries)} enabled. {len(pairs)} names" in words
    enabled = sum(entry.enabled for entry in chosen.values())
    assert (
        f"so {len(chosen)} entries are in force, {enabled} of them enabled; in {mixed} of the pairs" in words
    )
