"""Which services of the testbed answer now, asked with the field's own tools inside a sandbox."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from opengoc.testbed.configuration import client_environment
from opengoc.testbed.layout import CONDOR_SANDBOXES, SLURM_NODES, Layout
from opengoc.testbed.machines import login_sandbox
from opengoc.testbed.ports import Ports

#: What each pool advertises once it is up, by MyType of its ads.
_EXPECTED = {
    "pool": {"Collector", "DaemonMaster", "Negotiator", "Scheduler"},
    "factory": {"Collector", "DaemonMaster", "Scheduler"},
    "site-condor": {"Collector", "DaemonMaster", "Negotiator", "Scheduler", "Machine"},
}
_JOB_STATES = {"1": "idle", "2": "running", "3": "removed", "4": "completed", "5": "held"}

#: One shell process for all questions: a sandbox a question would double the cost of a look.
_QUESTIONS = """
for pool in pool factory site-condor; do
  eval "address=\\$ADDRESS_$(echo $pool | tr - _)"
  condor_status -pool $address -any -af:t MyType Name SlotType | sed "s/^/ad\\t$pool\\t/"
done 2>/dev/null
sinfo -h -N -o 'node\t%N\t%t' 2>/dev/null
if [ -n "$WITH_JOBS" ]; then
  for pool in pool factory site-condor; do
    eval "address=\\$ADDRESS_$(echo $pool | tr - _)"
    condor_q -pool $address -name $pool-schedd@itb.example.org -allusers -af:t JobStatus \\
      | sed "s/^/job\\t$pool\\t/"
  done
  squeue -h -o 'job\\tsite-slurm\\t%T'
fi 2>/dev/null
true
"""


@dataclass(frozen=True, kw_only=True)
class Services:
    """One look at the whole testbed."""

    #: Pool → kinds of ads missing that it has when it is up; empty sets when all answer.
    missing: Mapping[str, frozenset[str]]
    #: Slurm node → its state (idle, mix, alloc, down*, …).
    nodes: Mapping[str, str]
    #: Slots that pilots brought into the VO pool.
    pilot_slots: int
    #: Schedd or Slurm → job state → jobs; empty when not asked for.
    jobs: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def lacking(self) -> list[str]:
        """What does not answer yet, named for a person."""
        lacking = [f"{pool}: {kind}" for pool, kinds in self.missing.items() for kind in sorted(kinds)]
        usable = {"idle", "mix", "alloc", "comp"}
        return lacking + [
            f"site-slurm: {node} ({state})" for node, state in self.nodes.items() if state not in usable
        ]


def ask(layout: Layout, root: Path, ports: Ports, *, jobs: bool = False) -> Services:
    """Ask every daemon; one that does not answer is lacking. Raises Temporary when it takes too long."""
    environment = client_environment(layout.condor_config("pool"), layout.tokens / "operator")
    environment |= {
        "SLURM_CONF": str(layout.slurm_conf),
        "WITH_JOBS": "yes" if jobs else "",
        "ADDRESS_pool": f"127.0.0.1:{ports.pool}",
        "ADDRESS_factory": f"127.0.0.1:{ports.factory}",
        "ADDRESS_site_condor": f"127.0.0.1:{ports.site_condor}",
        # A daemon that is not up yet must not hold the answer of the others.
        "_CONDOR_QUERY_TIMEOUT": "5",
    }
    said = login_sandbox(layout, root).run(["/bin/sh", "-c", _QUESTIONS], environment, timeout=60)
    return _read(said)


def _read(said: str) -> Services:
    # ad<TAB>pool<TAB>Scheduler<TAB>pool-schedd@itb.example.org<TAB>undefined
    # node<TAB>wn1<TAB>idle
    # job<TAB>pool<TAB>1
    seen: dict[str, set[str]] = {name: set() for name in CONDOR_SANDBOXES}
    nodes = dict.fromkeys(SLURM_NODES, "no answer")
    queues: dict[str, Counter[str]] = {}
    pilot_slots = 0
    for line in said.splitlines():
        words = line.split("\t")
        if words[0] == "ad":
            seen[words[1]].add(words[2])
            pilot_slots += words[1] == "pool" and words[2] == "Machine" and words[4] != "Dynamic"
        elif words[0] == "node":
            nodes[words[1]] = words[2]
        elif words[0] == "job":
            state = _JOB_STATES.get(words[2], words[2].lower())
            queues.setdefault(words[1], Counter())[state] += 1
    return Services(
        missing={name: frozenset(kinds - seen[name]) for name, kinds in _EXPECTED.items()},
        nodes=nodes,
        pilot_slots=pilot_slots,
        jobs={name: dict(states) for name, states in queues.items()},
    )
