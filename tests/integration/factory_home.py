"""A home with a registry and a factory whose daemons nobody runs, for the command line's tests."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

from tests.unit.factory.world import POLICY, entry_table

from opengoc.app import House
from opengoc.registry.store import import_tree

_REGISTRY = Path(__file__).parents[1] / "data" / "registry" / "example"
_SETTINGS = """
[[pools]]
name = "vo-pool"
collector = "127.0.0.1:9"
schedds = ["pool-schedd"]
token_directory = "tokens"

[factory]
schedd = "factory-schedd"
collector = "127.0.0.1:9"
token_directory = "tokens"
pool = "vo-pool"
pilot_token_file = "tokens/pilot"
"""


def factory_home(home: Path) -> Path:
    """Make such a home, with the entry A in its files and nothing applied."""
    (home / "goc.toml").write_text(_SETTINGS)
    (home / "tokens").mkdir()
    (home / "tokens" / "pilot").write_text("no token\n")
    (home / "policy.toml").write_text(POLICY)
    (home / "entries.toml").write_text(entry_table("A", resource='"ITB-SLURM-CE"'))
    shutil.copytree(_REGISTRY, home / "registry")
    with closing(House(home)) as house, house.database.begin() as connection:
        import_tree(connection, home / "registry", "test")
    return home
