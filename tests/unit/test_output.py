"""What commands print for people."""

from __future__ import annotations

import pytest

from opengoc.cli.output import emit, table

STEERING = "cms\x1b]0;owned\x07\x1b[2J\u202e"


@pytest.mark.parametrize("text", [lambda: STEERING, lambda: table(["VO"], [[STEERING]])])
def test_no_name_steers_the_terminal(text: object, capsys: pytest.CaptureFixture[str]) -> None:
    emit({}, as_json=False, text=text)  # type: ignore[arg-type]
    said = capsys.readouterr().out
    assert "cms" in said
    assert not set("\x1b\x07\u202e") & set(said)
