"""The machines of a testbed: what the supervisor starts, each in its own sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from opengoc.testbed.layout import CONDOR_SANDBOXES, SLURM_NODES, SLURM_SITE, Layout
from opengoc.testbed.sandbox import Sandbox

MUNGE = f"{SLURM_SITE}-munge"

#: blahp prefers this script, which calls what Python 3.12 removed (readfp) and sacct, which a site without
#: slurmdbd has not. Hidden, blahp falls back on its shell script, which asks scontrol.
_BROKEN_STATUS = "/usr/libexec/blahp/slurm_status.py"
_NOTHING = Path("/dev/null")


@dataclass(frozen=True, kw_only=True)
class Machine:
    """One sandbox and the first process in it; it ends with that process."""

    name: str
    sandbox: Sandbox
    command: tuple[str, ...]
    environment: Mapping[str, str]
    #: Log that says why it would not start.
    log: Path

    @property
    def argv(self) -> list[str]:
        """The command line that starts the machine."""
        return self.sandbox.argv(self.command, self.environment)


def machines_of(layout: Layout, root: Path) -> list[Machine]:
    """All machines in the order of their start."""
    machines = [_slurm(layout, root, MUNGE, _munged(layout), "munged.log")]
    machines.append(_slurm(layout, root, SLURM_SITE, ("slurmctld", "-D"), "slurmctld.log"))
    machines += [_condor(layout, root, name) for name in CONDOR_SANDBOXES]
    for node in SLURM_NODES:
        command = ("slurmd", "-D", "-N", node)
        machines.append(_slurm(layout, root, node, command, f"slurmd-{node}.log"))
    return machines


def login_sandbox(layout: Layout, root: Path) -> Sandbox:
    """A login node: tools of HTCondor and Slurm and the tokens of people, no daemon's secrets."""
    return Sandbox(
        name="factory",
        root=root,
        layout=layout,
        hostname="login",
        reads_tokens=True,
        binds=_munge_socket(layout),
    )


def _condor(layout: Layout, root: Path, name: str) -> Machine:
    config = layout.condor_config(name)
    environment = {"CONDOR_CONFIG": str(config)}
    # The factory is the one that talks to Slurm, as its login node does.
    clients: dict[Path, str] = {}
    if name == "factory":
        environment["SLURM_CONF"] = str(layout.slurm_conf)
        # A pilot must not inherit the factory's environment: at a site of its own it would not.
        environment["SBATCH_EXPORT"] = "PATH,LC_ALL,TZ"
        clients = {**_munge_socket(layout), _NOTHING: _BROKEN_STATUS}
    return Machine(
        name=name,
        sandbox=Sandbox(
            name=name,
            root=root,
            layout=layout,
            reads_private=(name,),
            reads_tokens=name == "factory",
            binds=clients,
        ),
        command=("condor_master", "-f"),
        environment=environment,
        log=layout.log(name) / "MasterLog",
    )


def _slurm(layout: Layout, root: Path, hostname: str, command: tuple[str, ...], log: str) -> Machine:
    return Machine(
        name=hostname,
        sandbox=Sandbox(
            name=SLURM_SITE,
            root=root,
            layout=layout,
            hostname=hostname,
            reads_private=(SLURM_SITE,) if hostname == MUNGE else (),
            binds={**_munge_socket(layout), layout.sandbox(SLURM_SITE) / "spool": "/run/slurm"},
        ),
        command=command,
        environment={"SLURM_CONF": str(layout.slurm_conf)},
        log=layout.log(SLURM_SITE) / log,
    )


def _munge_socket(layout: Layout) -> dict[Path, str]:
    # One socket for the machines of the site; short inside, however long the path of the home is.
    return {layout.sandbox(SLURM_SITE) / "run": "/run/munge"}


def _munged(layout: Layout) -> tuple[str, ...]:
    folder = layout.sandbox(SLURM_SITE)
    return (
        "munged",
        "--foreground",
        "--force",
        f"--key-file={layout.private(SLURM_SITE) / 'munge.key'}",
        "--socket=/run/munge/munge.socket",
        "--pid-file=/run/munge/munged.pid",
        f"--log-file={folder / 'log' / 'munged.log'}",
        f"--seed-file={folder / 'munge.seed'}",
        "--num-threads=4",
    )
