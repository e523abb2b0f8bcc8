"""What the pilot can know about its node: memory, cores, HTCondor's programs."""

import os
import shutil
from typing import Mapping, NamedTuple, Optional, Tuple

_KIB_PER_MIB = 1024
_PROCESSES_PER_SNAPSHOT_SECOND = 500
_RAREST_SNAPSHOT_SECONDS = 60
_BYTES_PER_MIB = 1024 * 1024
# A cgroup without a limit says "max" (version 2) or a number near 2^63 (version 1).
_UNLIMITED_BYTES = 1 << 60


class Binaries(NamedTuple):
    """Where one HTCondor installation has its parts."""

    master: str
    #: The folder above sbin.
    release: str
    sbin: str
    libexec: str
    #: condor_ping, or "" where the installation has none.
    ping: str


class Node(NamedTuple):
    """What the validations look at: the node, and what the pilot asks of it."""

    work_directory: str
    cores: int
    memory_mib: int
    disk_mib: Optional[int]
    #: Seconds since 1970.
    ends_at: float
    issued_at: Optional[float]
    #: host:port
    collector: str
    token_file: str
    #: Where HTCondor is looked for; "" for the usual places.
    condor_location: str
    #: The rendered configuration of the pilot's HTCondor.
    condor_config: str
    #: Of the processes that the pilot starts.
    environment: Mapping[str, str]


def find_condor(location: str, search_path: str) -> Optional[Binaries]:
    """HTCondor under ``location`` if given, else on ``search_path``, else in /usr/sbin; None: not there."""
    if location:
        places = [os.path.join(location, "sbin"), os.path.join(location, "bin")]
    else:
        places = [place for place in search_path.split(os.pathsep) if place] + [
            "/usr/sbin",
            "/usr/local/sbin",
        ]
    master = shutil.which("condor_master", path=os.pathsep.join(places))
    if master is None:
        return None
    sbin = os.path.dirname(os.path.abspath(master))
    release = os.path.dirname(sbin)
    # A distribution's package keeps its helpers in libexec/condor, HTCondor's own archive in libexec.
    packaged = os.path.join(release, "libexec", "condor")
    libexec = packaged if os.path.isdir(packaged) else os.path.join(release, "libexec")
    ping = shutil.which("condor_ping", path=os.pathsep.join([os.path.join(release, "bin"), sbin]))
    return Binaries(master=master, release=release, sbin=sbin, libexec=libexec, ping=ping or "")


def affordable_snapshot_seconds(processes: int) -> int:
    """How often /proc may be read on a node with so many processes visible.

    What a process used after the last reading is lost to accounting, so often is good; but each pilot of a
    node reads all of /proc: with thousands of processes and every second that costs a core.
    """
    return max(1, min(_RAREST_SNAPSHOT_SECONDS, processes // _PROCESSES_PER_SNAPSHOT_SECOND))


def visible_processes() -> int:
    """How many processes this one can see."""
    return sum(name.isdigit() for name in os.listdir("/proc"))


def split_address(collector: str) -> Tuple[str, int]:
    """Host and port of ``host[:port]``, ``host:port?options`` or ``<ip:port?options>``. Raises ValueError."""
    address = collector.strip("<>").split("?")[0]
    host, colon, port = address.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")):
        return address.strip("[]"), 9618
    return host.strip("[]"), int(port)


def read_memory_available_mib(proc_meminfo: str) -> Optional[int]:
    """MemAvailable of /proc/meminfo; None where the kernel does not say."""
    # MemAvailable:   24282312 kB
    for line in proc_meminfo.splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) // _KIB_PER_MIB
    return None


def cgroup_memory_limit_mib(
    root: str = "/sys/fs/cgroup", membership: str = "/proc/self/cgroup"
) -> Optional[int]:
    """The least memory limit of the control groups around this process; None: no limit, or not readable."""
    limits = []
    for folder in _memory_folders(root, membership):
        for name in ("memory.max", "memory.limit_in_bytes"):
            try:
                with open(os.path.join(folder, name), encoding="ascii") as limit_file:
                    text = limit_file.read().strip()
            except OSError:
                # Not a cgroup of this version, or hidden by the container: no limit is known from here.
                continue
            if text.isdigit() and int(text) < _UNLIMITED_BYTES:
                limits.append(int(text) // _BYTES_PER_MIB)
    return min(limits) if limits else None


def _memory_folders(root: str, membership: str) -> Tuple[str, ...]:
    """The memory cgroup of this process and those above it."""
    try:
        with open(membership, encoding="utf-8") as lines:
            groups = [line.rstrip("\n").split(":", 2) for line in lines]
    except OSError:
        return ()
    folders = []
    for fields in groups:
        # 0::/system.slice/slurmd.service          version 2
        # 9:memory:/slurm/uid_1000/job_17          version 1
        if len(fields) != 3 or (fields[1] and "memory" not in fields[1].split(",")):
            continue
        base = os.path.join(root, "memory") if fields[1] else root
        path = fields[2]
        while path not in ("", "/"):
            folders.append(base + path)
            path = os.path.dirname(path)
        folders.append(base)
    return tuple(folders)
