"""The configuration files of a testbed, rendered from ``templates/`` at every start."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from opengoc.testbed.files import write_atomically
from opengoc.testbed.layout import CONDOR_SANDBOXES, SLURM_NODES, SLURM_SITE, VO_USERS, Layout
from opengoc.testbed.ports import Ports

#: What the sites say they have; the machine has less, and pilots mostly wait.
SITE_CPUS = 16
SITE_MEMORY_MIB = 32_768
NODE_CPUS = 8
NODE_MEMORY_MIB = 16_384

_TEMPLATES = Environment(
    loader=PackageLoader("opengoc.testbed"),
    undefined=StrictUndefined,
    keep_trailing_newline=True,
    trim_blocks=False,
    autoescape=False,
)


def trust_domain(name: str) -> str:
    """The trust domain of an HTCondor sandbox: tokens of one are worth nothing in another."""
    return f"{name}.itb.example.org"


def render(template: str, **values: object) -> str:
    """One template of the testbed, filled; an undefined value is an error."""
    return _TEMPLATES.get_template(template).render(**values)


def make_folders(layout: Layout) -> None:
    """Every folder that daemons expect; keys and tokens under 0700."""
    for private in (layout.state, layout.tokens, layout.delays):
        private.mkdir(mode=0o700, parents=True, exist_ok=True)
    layout.etc.mkdir(exist_ok=True)
    layout.jobs.mkdir(exist_ok=True)
    for name in (*CONDOR_SANDBOXES, SLURM_SITE):
        folder = layout.sandbox(name)
        for part in ("log", "spool", "execute", "run"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        layout.private(name).mkdir(mode=0o700, exist_ok=True)
    (layout.sandbox(SLURM_SITE) / "controller").mkdir(exist_ok=True)
    for node in SLURM_NODES:
        (layout.sandbox(SLURM_SITE) / "spool" / node).mkdir(exist_ok=True)


def write_configuration(layout: Layout, ports: Ports) -> None:
    """Render everything that daemons read. Safe while nothing of the testbed runs."""
    names = (*CONDOR_SANDBOXES, SLURM_SITE, *SLURM_NODES)
    for name in ("passwd", "group", "hosts"):
        write_atomically(layout.etc / name, render(name, users=VO_USERS, names=names))
    for name in CONDOR_SANDBOXES:
        _write_condor(layout, name, ports)
    slurm = layout.sandbox(SLURM_SITE)
    text = render(
        "slurm.conf",
        ports=ports,
        folder=slurm,
        nodes=SLURM_NODES,
        node_cpus=NODE_CPUS,
        node_memory_mib=NODE_MEMORY_MIB,
    )
    write_atomically(layout.slurm_conf, text)
    write_atomically(slurm / "cgroup.conf", render("cgroup.conf"))


def _write_condor(layout: Layout, name: str, ports: Ports) -> None:
    folder = layout.sandbox(name)
    values = {
        "name": name,
        "domain": trust_domain(name),
        "folder": folder,
        "private": layout.private(name),
        "port": getattr(ports, name.replace("-", "_")),
        "users": VO_USERS,
        "site_cpus": SITE_CPUS,
        "site_memory_mib": SITE_MEMORY_MIB,
    }
    text = render("condor_common.conf", **values) + "\n" + render(f"{name}.conf", **values)
    write_atomically(layout.condor_config(name), text)
    if name == "pool":
        write_atomically(folder / "vos.map", render("vos.map", users=VO_USERS))


def client_environment(config: Path, tokens: Path) -> dict[str, str]:
    """Environment of an HTCondor tool that acts with the tokens of one folder."""
    return {
        "CONDOR_CONFIG": str(config),
        "_CONDOR_SEC_TOKEN_DIRECTORY": str(tokens),
        "_CONDOR_SEC_TOKEN_SYSTEM_DIRECTORY": str(tokens),
    }
