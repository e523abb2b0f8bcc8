"""The ports of a testbed: free ones, kept, and not given to two that start at the same time."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from opengoc.base.errors import Temporary
from opengoc.testbed import ports
from opengoc.testbed.ports import load_or_choose, reserved


def test_two_testbeds_that_start_together_get_different_ports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So few that both choose the same ones sooner or later.
    monkeypatch.setattr(ports, "_RANGE", range(20_000, 20_040))
    with reserved(tmp_path / "one.json") as one, reserved(tmp_path / "two.json") as two:
        assert not set(one.all()) & set(two.all())
        assert (load_or_choose(tmp_path / "one.json"), load_or_choose(tmp_path / "two.json")) == (one, two)
        with socket.socket() as daemon:
            # As HTCondor and Slurm do it.
            daemon.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            daemon.bind(("127.0.0.1", one.pool))
            daemon.listen()
            socket.create_connection(("127.0.0.1", one.pool), timeout=5).close()


def test_kept_ports_are_reserved_again_and_refused_while_somebody_else_listens(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    kept = load_or_choose(path)
    with reserved(path) as again:
        assert again == kept
    with socket.socket() as other:
        other.bind(("127.0.0.1", kept.factory))
        other.listen()
        with pytest.raises(Temporary, match=f"port {kept.factory} of the testbed is in use"), reserved(path):
            pass
