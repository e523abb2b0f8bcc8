"""Renders the configuration of the pilot's own HTCondor.

What decides which jobs start stands apart and visible in the slot's ad: GOC_Start is the policy's text
exactly as the factory rendered it, GOC_Accepting is the pilot's own condition (time left, not draining), and
START is their conjunction and nothing else.
"""

from typing import List, Mapping, NamedTuple, Tuple

from goc_pilot.classad_text import literal, plain, setting
from goc_pilot.config import Config
from goc_pilot.node import Binaries

_KIB_PER_MIB = 1024
_MAX_LOG_BYTES = 10 * 1024 * 1024
_UPDATE_SECONDS = 120

#: Appended to the configuration when the pilot drains: no new jobs.
DRAINING = "\nGOC_Draining = True\n"
#: And when it cannot wait for running ones: they are vacated at once.
VACATING = "MAXJOBRETIREMENTTIME = 0\n"

_SECURITY = """
SEC_DEFAULT_AUTHENTICATION = REQUIRED
SEC_DEFAULT_AUTHENTICATION_METHODS = IDTOKENS
SEC_CLIENT_AUTHENTICATION = REQUIRED
SEC_CLIENT_AUTHENTICATION_METHODS = IDTOKENS
SEC_DEFAULT_INTEGRITY = REQUIRED
SEC_DEFAULT_ENCRYPTION = REQUIRED
SEC_TOKEN_SYSTEM_DIRECTORY = $(SEC_TOKEN_DIRECTORY)
SEC_ENABLE_MATCH_PASSWORD_AUTHENTICATION = True
# The pool's administrator can drain this startd with the capability that its ad carries.
SEC_ENABLE_REMOTE_ADMINISTRATION = True
# A collector on this very machine would be taken for a member of the pilot's own family of daemons.
SEC_USE_FAMILY_SESSION = False
"""

_DAEMONS = """
DAEMON_LIST = MASTER, STARTD
# What the account keeps in ~/.condor is not the pilot's.
USER_CONFIG_FILE =
# A folder of programs that is updated under a running pilot must not restart it.
MASTER_NEW_BINARY_RESTART = NEVER
USE_SHARED_PORT = False
# Without condor_procd the starter of HTCondor 23 crashes on a job that ends within its first second, and the
# CPU time of short jobs is lost. It needs no privilege.
USE_PROCD = True
BASE_CGROUP =
BIND_ALL_INTERFACES = False
CGROUP_MEMORY_LIMIT_POLICY = none
DISCARD_SESSION_KEYRING_ON_STARTUP = False
# Behind a NAT nobody can connect to the node: the collector asks the startd to connect back (CCB), always.
CCB_ADDRESS = $(COLLECTOR_HOST)
UPDATE_COLLECTOR_WITH_TCP = True
ENABLE_STARTD_DAEMON_AD = False
RUNBENCHMARKS = False
BENCHMARKS_JOBLIST =
STARTD_CRON_JOBLIST =
VMGAHP_LIST =
JOB_RENICE_INCREMENT = 0
"""

_POLICY = """
START = GOC_Start && GOC_Accepting
RANK = 0
SUSPEND = False
CONTINUE = True
PREEMPT = False
KILL = False
WANT_SUSPEND = False
WANT_VACATE = True
"""


class Layout(NamedTuple):
    """The files and folders of one pilot's HTCondor, all below one work directory."""

    work_directory: str

    def path(self, name: str) -> str:
        """A file or folder in the work directory."""
        return self.work_directory + "/" + name

    @property
    def folders(self) -> Tuple[str, ...]:
        """Folders to be made, with mode 700."""
        return tuple(
            self.path(name) for name in ("log", "execute", "spool", "lock", "run", "tokens", "passwords")
        )

    @property
    def condor_config(self) -> str:
        """The rendered configuration."""
        return self.path("condor_config")


class Times(NamedTuple):
    """When a pilot stops what. Seconds since 1970; begun < accepts_until < stops_at < ends_at."""

    begun: float
    #: From here on no job of unknown length is accepted, and a pilot without a job ends.
    accepts_until: float
    #: Jobs that still run are vacated now.
    stops_at: float
    #: The batch system kills what is left.
    ends_at: float


def times_of(config: Config, begun: float) -> Times:
    """The moments of a pilot that began at ``begun``."""
    ends_at = begun + config.walltime_seconds
    stops_at = ends_at - config.end_margin_seconds
    return Times(
        begun=begun, accepts_until=stops_at - config.drain_seconds, stops_at=stops_at, ends_at=ends_at
    )


def render_condor_config(
    config: Config, layout: Layout, times: Times, binaries: Binaries, pilot_file: str, snapshot_seconds: int
) -> str:
    """The text of CONDOR_CONFIG.

    ``pilot_file`` is the digest of the pilot's own file; ``snapshot_seconds`` how often the processes of jobs
    are looked at for their CPU time.
    """
    attributes = slot_attributes(config, times, pilot_file)
    lines = ["# Written by the pilot {}; read by its own HTCondor alone.".format(config.pilot_id)]
    # The factory's attributes come first: whatever they are called, the settings below stand over them.
    lines += ["{} = {}".format(name, literal(value)) for name, value in config.attributes.items()]
    lines += ["{} = {}".format(name, text) for name, text in attributes.items()]
    lines += _places(config, layout, binaries)
    lines += [_SECURITY.strip(), _DAEMONS.strip(), _POLICY.strip()]
    lines += _slot(config, times)
    lines.append("PID_SNAPSHOT_INTERVAL = {}".format(snapshot_seconds))
    lines.append("PROCD_MAX_SNAPSHOT_INTERVAL = {}".format(snapshot_seconds))
    lines.append("STARTD_ATTRS = {}".format(", ".join(list(config.attributes) + list(attributes))))
    lines += ["{} = {}".format(name, plain(value)) for name, value in config.condor_settings.items()]
    return "\n".join(lines) + "\n"


def slot_attributes(config: Config, times: Times, pilot_file: str) -> Mapping[str, str]:
    """The attributes that the pilot advertises: names and ClassAd expressions, as configuration texts."""
    return {
        "GLIDEIN_Site": literal(config.site),
        "GLIDEIN_Resource": literal(config.resource),
        "GLIDEIN_Entry_Name": literal(config.entry),
        "GLIDEIN_Factory": literal(config.factory),
        "GOC_PilotId": literal(config.pilot_id),
        "GOC_Digest": literal(config.policy_digest),
        "GOC_PilotFile": literal(pilot_file),
        "GOC_VO": literal(",".join(config.vos)),
        "GOC_EndAt": str(int(times.ends_at)),
        "GOC_Draining": "False",
        "GOC_Accepting": accepting(config, times),
        "GOC_Start": setting(config.start),
        # A slot whose node died must not be matched longer than need be: the collector drops it at its first
        # housekeeping after this, instead of after a quarter of an hour more.
        "ClassAdLifetime": "3 * $(UPDATE_INTERVAL)",
    }


def accepting(config: Config, times: Times) -> str:
    """The pilot's own condition: not draining, and the job ends before the pilot has to.

    A job that does not say how long it runs is taken to need drain_seconds.
    """
    return "GOC_Draining =!= True && time() + (TARGET.{} ?: {}) <= {}".format(
        config.job_wall_seconds_attribute, config.drain_seconds, int(times.stops_at)
    )


def _places(config: Config, layout: Layout, binaries: Binaries) -> List[str]:
    settings = {
        "RELEASE_DIR": binaries.release,
        "SBIN": binaries.sbin,
        "BIN": binaries.release + "/bin",
        "LIBEXEC": binaries.libexec,
        "LOCAL_DIR": layout.work_directory,
        "LOG": layout.path("log"),
        "EXECUTE": layout.path("execute"),
        "SPOOL": layout.path("spool"),
        "LOCK": layout.path("lock"),
        "RUN": layout.path("run"),
        "SEC_TOKEN_DIRECTORY": layout.path("tokens"),
        "SEC_PASSWORD_DIRECTORY": layout.path("passwords"),
        "STARTD_HISTORY": layout.path("log/startd_history"),
        "COLLECTOR_HOST": config.collector,
        "STARTD_NAME": config.pilot_id,
        "MASTER_NAME": config.pilot_id,
        # No other node is on the pilot's private network or shares its files, whatever its host is called.
        "PRIVATE_NETWORK_NAME": config.pilot_id,
        "FILESYSTEM_DOMAIN": config.pilot_id,
    }
    return ["{} = {}".format(name, plain(value)) for name, value in settings.items()]


def _slot(config: Config, times: Times) -> List[str]:
    stops_at = int(times.stops_at)
    lines = [
        "NUM_CPUS = {}".format(config.cores),
        "MEMORY = {}".format(config.memory_mib),
        "NUM_SLOTS = 1",
        "NUM_SLOTS_TYPE_1 = 1",
        "SLOT_TYPE_1 = 100%",
        "SLOT_TYPE_1_PARTITIONABLE = True",
        "STARTD_NOCLAIM_SHUTDOWN = {}".format(config.idle_seconds),
        "MAXJOBRETIREMENTTIME = ifThenElse(time() < {0}, {0} - time(), 0)".format(stops_at),
        "MachineMaxVacateTime = {}".format(config.vacate_seconds),
        "SHUTDOWN_GRACEFUL_TIMEOUT = {}".format(config.walltime_seconds),
        "MAX_DEFAULT_LOG = {}".format(_MAX_LOG_BYTES),
        # The pilot follows this one by its offset: it must not be cut.
        "MAX_STARTD_LOG = 0",
        "UPDATE_INTERVAL = {}".format(_UPDATE_SECONDS),
    ]
    if config.disk_mib is not None:
        lines.append("DISK = {}".format(config.disk_mib * _KIB_PER_MIB))
    return lines
