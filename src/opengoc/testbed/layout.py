"""Where a testbed keeps its things: one folder per sandbox under ``$GOC_HOME/testbed``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

#: The sandboxes that run HTCondor, by name; each is a pool of its own with its own trust domain.
CONDOR_SANDBOXES = ("pool", "factory", "site-condor")
#: The site behind Slurm: one folder shared by its controller and its nodes.
SLURM_SITE = "site-slurm"
#: Worker nodes of the Slurm site, each a sandbox of its own so that it can die like a machine.
SLURM_NODES = ("wn1", "wn2")

#: Each VO and the login of its production user.
VO_USERS = {"cms": "cmsprod", "ligo": "ligosearch"}


@dataclass(frozen=True)
class Layout:
    """Paths of one testbed; nothing is made here."""

    #: $GOC_HOME, absolute. Seen at the same path from every sandbox.
    home: Path

    @property
    def state(self) -> Path:
        """All that belongs to the testbed alone."""
        return self.home / "testbed"

    def sandbox(self, name: str) -> Path:
        """State of one sandbox: configuration, logs, spool, history."""
        return self.state / name

    def log(self, name: str) -> Path:
        """Logs of one sandbox's daemons."""
        return self.sandbox(name) / "log"

    def private(self, name: str) -> Path:
        """Keys and daemon tokens of one sandbox (0700); the others see an empty folder."""
        return self.sandbox(name) / "private"

    def condor_config(self, name: str) -> Path:
        """The configuration of an HTCondor sandbox."""
        return self.sandbox(name) / "condor_config"

    @property
    def slurm_conf(self) -> Path:
        """The one file that controller, nodes and clients of the Slurm site read."""
        return self.sandbox(SLURM_SITE) / "slurm.conf"

    @property
    def tokens(self) -> Path:
        """Token folders of the people: ``operator``, one for each VO, and ``pilot``."""
        return self.state / "tokens"

    @property
    def pilot_token(self) -> Path:
        """The token that pilots carry to join the pool."""
        return self.tokens / "pilot" / "pool"

    @property
    def etc(self) -> Path:
        """passwd, group and hosts as the sandboxes see them."""
        return self.state / "etc"

    @property
    def root(self) -> Path:
        """Names the root that the sandboxes were last started on."""
        return self.state / "root.txt"

    @property
    def ports(self) -> Path:
        """The ports chosen at the first start."""
        return self.state / "ports.json"

    @property
    def status(self) -> Path:
        """What the supervisor last wrote about its sandboxes."""
        return self.state / "status.json"

    @property
    def supervisor_log(self) -> Path:
        """Standard error of the supervisor."""
        return self.state / "supervisor.log"

    @property
    def delays(self) -> Path:
        """One file per sandbox that is to stay down for a while: the instant it may come back."""
        return self.state / "delays"

    @property
    def jobs(self) -> Path:
        """Submit files, payload and output of the jobs that ``submit`` queued."""
        return self.state / "jobs"

    @property
    def history_of_pool(self) -> Path:
        """Finished payload jobs of the VOs."""
        return self.sandbox("pool") / "history"

    @property
    def history_of_site(self) -> Path:
        """Finished pilot jobs at the HTCondor site."""
        return self.sandbox("site-condor") / "history"

    @property
    def completions_of_slurm(self) -> Path:
        """Finished pilot jobs at the Slurm site (jobcomp/filetxt)."""
        return self.sandbox(SLURM_SITE) / "jobcomp.txt"
