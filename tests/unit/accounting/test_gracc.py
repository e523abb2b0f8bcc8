"""Our GRACC JSON of a Gratia record against the one that GRACC makes, field by field."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from opengoc.accounting.formats.ur_xml import flat, parse

FOLDER = Path(__file__).parents[2] / "data/accounting/foreign/gracc-ur-xml-json"
#: What docs/reference/gracc.md names: file → fields that differ, ours and theirs.
DIFFERENCES = {"JobUsageRecord02": {"CpuDuration": (None, 0)}}


@pytest.mark.parametrize("theirs", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_our_json_of_a_record_is_graccs(theirs: Path) -> None:
    xml = re.sub(rb"^\s*<\?xml.*?\?>", b"", theirs.with_suffix(".xml").read_bytes())
    made, expected = flat(parse(xml.strip())), json.loads(theirs.read_text())
    differ = {
        key: (made.get(key), expected.get(key))
        for key in made.keys() | expected.keys()
        if made.get(key) != expected.get(key)
    }
    assert differ == DIFFERENCES.get(theirs.stem, {})
