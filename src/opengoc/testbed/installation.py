"""The installation that a testbed stands for: settings, entries, policy and registry of an ordinary grid.

Written where absent, never over what an operator wrote.
"""

from __future__ import annotations

from pathlib import Path

from opengoc.testbed.configuration import render
from opengoc.testbed.files import write_atomically
from opengoc.testbed.layout import Layout
from opengoc.testbed.ports import Ports

_FACILITY = "Example University Grid"
_FILES = ("goc.toml", "entries.toml", "policy.toml")
_REGISTRY = {
    "contacts.yaml": "contacts.yaml",
    f"topology/{_FACILITY}/FACILITY.yaml": "facility.yaml",
    f"topology/{_FACILITY}/ITB-POOL/SITE.yaml": "site-pool.yaml",
    f"topology/{_FACILITY}/ITB-POOL/ITB-POOL.yaml": "group-pool.yaml",
    f"topology/{_FACILITY}/ITB-CONDOR/SITE.yaml": "site-condor.yaml",
    f"topology/{_FACILITY}/ITB-CONDOR/ITB-CONDOR.yaml": "group-condor.yaml",
    f"topology/{_FACILITY}/ITB-SLURM/SITE.yaml": "site-slurm.yaml",
    f"topology/{_FACILITY}/ITB-SLURM/ITB-SLURM.yaml": "group-slurm.yaml",
    "virtual-organizations/REPORTING_GROUPS.yaml": "reporting-groups.yaml",
    "virtual-organizations/cms.yaml": "vo-cms.yaml",
    "virtual-organizations/ligo.yaml": "vo-ligo.yaml",
}


def write_installation(layout: Layout, ports: Ports) -> tuple[Path, ...]:
    """Write the files that are not there; returns those. A registry that exists is left as a whole."""
    wanted = {layout.home / name: f"installation/{name}" for name in _FILES}
    registry = layout.home / "registry"
    if not registry.exists():
        wanted |= {registry / path: f"installation/registry/{name}" for path, name in _REGISTRY.items()}
    written = []
    for path, template in wanted.items():
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, render(template, ports=ports))
        written.append(path)
    return tuple(written)
