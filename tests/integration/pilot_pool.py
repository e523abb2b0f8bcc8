"""A small real pool of HTCondor, and a worker node beside it, for the tests of the pilot.

Both run in sandboxes of the testbed's private root, as an ordinary user with a PID namespace of their own:
what is left of a pilot can be counted exactly, and ends with its sandbox.
"""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from opengoc.factory.pilot_file import build_pilot
from opengoc.testbed.root import build_root

Found = TypeVar("Found")

DOMAIN = "pilot.example.org"

_POOL_CONFIG = """
RELEASE_DIR = /usr
LIBEXEC = /usr/libexec/condor
LOCAL_DIR = {folder}
LOG = {folder}/log
SPOOL = {folder}/spool
EXECUTE = {folder}/execute
LOCK = {folder}/lock
RUN = {folder}
DAEMON_LIST = MASTER, COLLECTOR, NEGOTIATOR, SCHEDD
COLLECTOR_HOST = 127.0.0.1:{port}
NETWORK_INTERFACE = 127.0.0.1
BIND_ALL_INTERFACES = False
NO_DNS = True
DEFAULT_DOMAIN_NAME = {domain}
UID_DOMAIN = {domain}
TRUST_DOMAIN = {domain}
USE_SHARED_PORT = False
USE_PROCD = False
SCHEDD_NAME = pilot-test
SEC_DEFAULT_AUTHENTICATION = REQUIRED
SEC_DEFAULT_AUTHENTICATION_METHODS = IDTOKENS, FS
SEC_DEFAULT_INTEGRITY = REQUIRED
SEC_DEFAULT_ENCRYPTION = REQUIRED
SEC_PASSWORD_DIRECTORY = {folder}/passwords.d
SEC_TOKEN_POOL_SIGNING_KEY_FILE = {folder}/passwords.d/POOL
SEC_TOKEN_DIRECTORY = {folder}/tokens.d
ALLOW_READ = *
ALLOW_WRITE = *@{domain}
ALLOW_ADMINISTRATOR = grid@{domain}
ALLOW_DAEMON = grid@{domain}, condor@{domain}
ALLOW_NEGOTIATOR = grid@{domain}
ALLOW_ADVERTISE_SCHEDD = grid@{domain}
ALLOW_ADVERTISE_STARTD = pilot@{domain}
ALLOW_ADVERTISE_MASTER = pilot@{domain}, grid@{domain}
NEGOTIATOR_INTERVAL = 2
NEGOTIATOR_MIN_INTERVAL = 1
NEGOTIATOR_CYCLE_DELAY = 1
SCHEDD_INTERVAL = 5
SCHEDD_MIN_INTERVAL = 1
"""

# Runs the pilot and, inside its own PID namespace, what a test writes into the file "do"; then says how it
# ended and which processes are left.
_WORKER_SCRIPT = """
./goc-pilot --config pilot.json "$@" > stdout 2> stderr &
pilot=$!
export pilot
while kill -0 $pilot 2> /dev/null; do
    if [ -f do ]; then mv do doing; sh ./doing; mv doing done; fi
    sleep 0.05
done
wait $pilot
echo $? > status.new
# A process that gets its signal this moment may take another one to go.
sleep 0.5
ps -e -o comm= | grep -v -x -e sh -e ps -e grep -e bwrap -e sleep-of-the-test > left
mv status.new status
"""


def sandbox(root: Path, etc: Path, folder: Path, hostname: str) -> list[str]:
    """The words before a command that run it in the private root, with ``folder`` writable."""
    words = ["bwrap", "--die-with-parent", "--unshare-user", "--uid", "1000", "--gid", "1000"]
    words += ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--hostname", hostname]
    words += ["--ro-bind", str(root / "usr"), "/usr", "--ro-bind", str(root / "etc"), "/etc"]
    for name in ("passwd", "group", "hosts"):
        words += ["--ro-bind", str(etc / name), f"/etc/{name}"]
    for name in ("bin", "sbin", "lib", "lib64"):
        words += ["--symlink", f"usr/{name}", f"/{name}"]
    words += ["--proc", "/proc", "--dev", "/dev", "--ro-bind", "/sys", "/sys", "--tmpfs", "/tmp"]
    words += ["--bind", str(folder), str(folder), "--chdir", str(folder), "--clearenv"]
    return [*words, "--setenv", "PATH", "/usr/bin:/usr/sbin", "--setenv", "HOME", str(folder), "--"]


def wait_for(what: str, look: Callable[[], Found], seconds: float) -> Found:
    """The first true thing that ``look`` finds. Fails the test, naming ``what``, after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.05)


class PilotPool:
    """A running pool: collector, negotiator and schedd."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root = root
        self.folder = folder
        self.etc = folder / "etc"
        self._words = sandbox(root, self.etc, folder, "pool")
        with socket.socket() as chosen:
            chosen.bind(("127.0.0.1", 0))
            self.port: int = chosen.getsockname()[1]

    @property
    def collector(self) -> str:
        """host:port"""
        return f"127.0.0.1:{self.port}"

    def write(self) -> None:
        """Lay out the pool's folders, keys and configuration."""
        for name in ("log", "spool", "execute", "lock", "jobs", "etc"):
            (self.folder / name).mkdir()
        for name in ("passwords.d", "tokens.d"):
            (self.folder / name).mkdir(mode=0o700)
        for name, line in (("passwd", "grid:x:1000:1000::/tmp:/bin/sh"), ("group", "grid:x:1000:")):
            text = (self.root / "etc" / name).read_text(encoding="utf-8")
            (self.etc / name).write_text(f"{text}{line}\n", encoding="utf-8")
        (self.etc / "hosts").write_text("127.0.0.1 localhost pool worker\n", encoding="utf-8")
        key = self.folder / "passwords.d" / "POOL"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(64))
        text = _POOL_CONFIG.format(folder=self.folder, port=self.port, domain=DOMAIN)
        (self.folder / "condor_config").write_text(text, encoding="utf-8")
        # The owner of daemons and jobs; without it the tools would speak as the holder of the signing key.
        self.tool(f"condor_token_create -identity grid@{DOMAIN} -lifetime 86400 -token owner")

    def start(self) -> subprocess.Popen[bytes]:
        """Start the daemons in the foreground of a sandbox, which ends them when it ends."""
        with (self.folder / "master.out").open("wb") as out:
            command = [*self._words, "sh", "-c", f"{self._config()} exec condor_master -f"]
            return subprocess.Popen(command, stdout=out, stderr=out)

    def tool(self, command: str, *, check: bool = True) -> str:
        """Standard output of one of HTCondor's tools, run as the pool's owner."""
        done = subprocess.run(
            [*self._words, "sh", "-c", f"{self._config()} {command}"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def ready(self) -> bool:
        """Whether every daemon has reported to the collector."""
        return len(self.tool("condor_status -any -af MyType", check=False).splitlines()) >= 4

    def token(self, identity: str = "pilot", lifetime_seconds: int = 3600) -> str:
        """A new token of this pool."""
        return self.tool(f"condor_token_create -identity {identity}@{DOMAIN} -lifetime {lifetime_seconds}")

    def slots(self, pilot_id: str) -> list[dict[str, str]]:
        """Name, START and GOC_Start of the pilot's partitionable slots, as the collector has them."""
        rows = self.tool(
            f"condor_status -constraint 'GOC_PilotId==\"{pilot_id}\" && PartitionableSlot' -json"
        )
        return json.loads(rows) if rows else []

    def submit(self, shell: str, vo: str, *extra: str) -> str:
        """Submit one job that runs a shell command; its id."""
        name = secrets.token_hex(4)
        (self.folder / "jobs" / f"{name}.sh").write_text(f"#!/bin/sh\n{shell}\n", encoding="utf-8")
        lines = [
            "universe = vanilla",
            f"executable = jobs/{name}.sh",
            f'My.VO = "{vo}"',
            "request_cpus = 1",
            "request_memory = 64",
            "request_disk = 1000",
            f"output = jobs/{name}.out",
            "should_transfer_files = yes",
            *extra,
            "queue 1",
        ]
        (self.folder / "jobs" / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        return self.tool(f"condor_submit -terse jobs/{name}").split()[0]

    def job_status(self, job: str) -> int:
        """JobStatus (1 idle, 2 running, 4 completed), from the queue or from the history."""
        known = self.tool(f"condor_q {job} -af JobStatus") or self.tool(
            f"condor_history {job} -limit 1 -af JobStatus"
        )
        return int(known)

    def remove(self, job: str) -> None:
        """Take a job out of the queue, so that it does not match another test's pilot."""
        self.tool(f"condor_rm {job}", check=False)

    def _config(self) -> str:
        return f"CONDOR_CONFIG={self.folder}/condor_config"


class Worker:
    """A worker node on which one pilot runs as the job of a batch system would."""

    def __init__(self, pool: PilotPool, folder: Path, config: dict[str, Any]) -> None:
        self.folder = folder
        self._pool = pool
        self.config = config
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str) -> None:
        """Put the pilot's files into its folder and start it."""
        (self.folder / "pilot.json").write_text(json.dumps(self.config), encoding="utf-8")
        (self.folder / "run").write_text(_WORKER_SCRIPT, encoding="utf-8")
        words = sandbox(self._pool.root, self._pool.etc, self.folder, "worker")
        self._process = subprocess.Popen([*words, "sh", "./run", *arguments])

    def do(self, shell: str) -> None:
        """Run a shell command on the node, where $pilot is the pilot's process id."""
        unfinished = self.folder / "do.new"
        unfinished.write_text(shell, encoding="utf-8")
        unfinished.rename(self.folder / "do")
        wait_for(shell, (self.folder / "done").exists, 10)
        (self.folder / "done").unlink()

    def exit_code(self, within_seconds: float) -> int:
        """Wait for the pilot's end."""
        status = self.folder / "status"
        wait_for("the pilot's end", status.exists, within_seconds)
        return int(status.read_text(encoding="utf-8"))

    def ended(self) -> bool:
        """Whether the pilot has ended."""
        return (self.folder / "status").exists()

    def left(self) -> list[str]:
        """Names of the processes that outlived the pilot, and of the files it did not remove."""
        processes = (self.folder / "left").read_text(encoding="utf-8").split()
        return processes + [path.name for path in self.folder.glob("goc-pilot-*")]

    def report(self) -> dict[str, Any]:
        """The report as it stands."""
        document: dict[str, Any] = json.loads((self.folder / "pilot-report.json").read_text(encoding="utf-8"))
        return document

    def stderr(self) -> str:
        """The pilot's own log."""
        return (self.folder / "stderr").read_text(encoding="utf-8")

    def end(self) -> None:
        """End the sandbox and with it whatever still runs in it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@contextmanager
def running_pool(folder: Path) -> Iterator[PilotPool]:
    """A pool that answers; ended on the way out."""
    pool = PilotPool(build_root(lambda *_: None), folder)
    pool.write()
    master = pool.start()
    try:
        wait_for("the pool", pool.ready, 60)
        yield pool
    finally:
        master.kill()
        master.wait()


def new_worker(pool: PilotPool, folder: Path, **changes: Any) -> Worker:
    """A worker node with a pilot built from the sources, not yet started."""
    folder.mkdir()
    digest = build_pilot(folder / "goc-pilot")
    token = folder / "pilot.token"
    token.touch(mode=0o600)
    token.write_text(pool.token() + "\n", encoding="utf-8")
    config = {
        "pilot_id": f"plt-{digest[:4]}{secrets.token_hex(4)}",
        "factory": "itb-factory",
        "entry": "ITB-TEST-1core",
        "site": "ITB-TEST",
        "resource": "ITB-TEST-CE",
        "vos": ["cms"],
        "policy_digest": "d1" * 32,
        "collector": pool.collector,
        "start": 'TARGET.VO =?= "cms"',
        "cores": 1,
        "memory_mib": 256,
        "walltime_seconds": 3600,
        "token_file": "pilot.token",
        "idle_seconds": 120,
        "failure_pause_seconds": 1,
        "condor_settings": {
            "NETWORK_INTERFACE": "127.0.0.1",
            "NO_DNS": "True",
            "DEFAULT_DOMAIN_NAME": DOMAIN,
        },
        **changes,
    }
    return Worker(pool, folder, config)
