"""A sandbox: processes of a private Debian root in their own namespaces, started by bubblewrap.

Needs no privilege. The user, PID, host name and mount namespaces are private, the network is the machine's.
Whoever is outside is uid 1000 inside. The whole sandbox ends when its first process or its starter ends.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from opengoc.base.errors import Permanent, Temporary
from opengoc.testbed.layout import CONDOR_SANDBOXES, SLURM_SITE, Layout

#: Marks every process of a testbed: ``/proc/PID/environ`` of each holds it.
HOME_VARIABLE = "GOC_TESTBED_HOME"

_TOP_LEVEL = ("bin", "sbin", "lib", "lib64")


@dataclass(frozen=True, kw_only=True)
class Sandbox:
    """What a process started here sees of the machine and of the testbed."""

    name: str
    root: Path
    layout: Layout
    #: Folders of the testbed whose ``private`` this sandbox may read.
    reads_private: tuple[str, ...] = ()
    #: Whether the tokens of operator and VOs are seen here.
    reads_tokens: bool = False
    #: Folders seen under another, short path as well.
    binds: Mapping[Path, str] = field(default_factory=dict)
    #: The machine's name as its processes see it; empty: the sandbox's.
    hostname: str = ""

    def argv(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> list[str]:
        """The bubblewrap command line that runs ``command`` inside."""
        hostname = self.hostname or self.name
        home = str(self.layout.home)
        argv = ["bwrap", "--die-with-parent", "--unshare-user", "--uid", "1000", "--gid", "1000"]
        argv += ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--hostname", hostname]
        argv += [*self._system(), "--bind", home, home, *self._masks()]
        for folder, inside_path in self.binds.items():
            argv += ["--bind", str(folder), inside_path]
        argv += ["--chdir", self._folder()]
        argv += ["--clearenv"]
        inside = {
            "PATH": "/usr/sbin:/usr/bin",
            "HOME": self._folder(),
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            HOME_VARIABLE: home,
            **(environment or {}),
        }
        for variable, value in inside.items():
            argv += ["--setenv", variable, value]
        return [*argv, "--", *command]

    def run(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None, *, timeout: float = 30.0
    ) -> str:
        """Standard output of a command that ends. Raises Temporary on a timeout, Permanent on failure."""
        try:
            done = subprocess.run(
                self.argv(command, environment), capture_output=True, text=True, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired as error:
            logs = self.layout.log(self.name)
            raise Temporary(f"{command[0]} in {self.name} took over {timeout:.0f} s; see {logs}") from error
        except FileNotFoundError as error:
            raise Permanent("bubblewrap (bwrap) is not installed; run `goc testbed install`") from error
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
            raise Permanent(f"{' '.join(command)} in {self.name}: {said}")
        return done.stdout

    def _folder(self) -> str:
        return str(self.layout.sandbox(self.name))

    def _system(self) -> list[str]:
        # The root itself is mounted nowhere: its parts are, on an empty file system, so that mount points
        # for the home can be made and the cached root is never written to.
        argv = ["--ro-bind", str(self.root / "usr"), "/usr"]
        for name in _TOP_LEVEL:
            path = self.root / name
            if path.is_symlink():
                argv += ["--symlink", str(path.readlink()), f"/{name}"]
            elif path.is_dir():
                argv += ["--ro-bind", str(path), f"/{name}"]
        argv += ["--ro-bind", str(self.root / "etc"), "/etc"]
        for name in ("passwd", "group", "hosts"):
            argv += ["--ro-bind", str(self.layout.etc / name), f"/etc/{name}"]
        argv += ["--tmpfs", "/tmp", "--tmpfs", "/run", "--tmpfs", "/var/tmp"]
        return [*argv, "--proc", "/proc", "--dev", "/dev", "--ro-bind", "/sys", "/sys"]

    def _masks(self) -> list[str]:
        hidden = [
            self.layout.private(name)
            for name in (*CONDOR_SANDBOXES, SLURM_SITE)
            if name not in self.reads_private
        ]
        if not self.reads_tokens:
            hidden.append(self.layout.tokens)
        return [word for path in hidden for word in ("--tmpfs", str(path))]
