"""The Debian packages that a testbed needs on the machine itself."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from opengoc.base.errors import Permanent, Temporary

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
#: What apt-get and dpkg say when another package run holds a lock.
_LOCKED = ("Could not get lock", "lock was locked")
_LOCK_SECONDS = 600.0
_LOCK_POLL_SECONDS = 5.0


def missing_packages(*, root_is_built: bool) -> list[str]:
    """Packages to be installed; those that only build the private root are left out once it is built."""
    present = {"bubblewrap": shutil.which("bwrap") is not None}
    if not root_is_built:
        present["mmdebstrap"] = shutil.which("mmdebstrap") is not None
        present["debian-archive-keyring"] = _KEYRING.exists()
        # Without being root, packages are unpacked in a user namespace of many uids.
        present["uidmap"] = os.geteuid() == 0 or shutil.which("newuidmap") is not None
    return sorted(name for name, there in present.items() if not there)


def install(packages: list[str], tell: Callable[[str], None]) -> None:
    """Install with apt, as root or by ``sudo -n``. Raises Permanent with the command for an administrator."""
    if not packages:
        return
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if prefix and not _sudo_works():
        raise Permanent(f"{', '.join(packages)} must be installed by an administrator: {' '.join(command)}")
    tell(f"install {', '.join(packages)} (apt-get)")
    steps = (
        # A package run that was interrupted leaves dpkg half-configured, and apt installs nothing then.
        ["dpkg", "--configure", "-a"],
        # An image without package lists, or with old ones, cannot install: fetch them first.
        ["apt-get", "update", "-qq"],
        command,
    )
    for step in steps:
        _run_patiently([*prefix, *step], tell)


def _run_patiently(argv: list[str], tell: Callable[[str], None]) -> None:
    """Run a package tool once no other holds its lock: a machine just started updates itself for minutes."""
    # Apt waits for some of the locks only; what it says of them is known in English.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    until = time.monotonic() + _LOCK_SECONDS
    told = False
    while True:
        done = subprocess.run(argv, capture_output=True, text=True, env=environment, timeout=900, check=False)
        if done.returncode == 0:
            return
        if not any(words in done.stderr for words in _LOCKED) or time.monotonic() > until:
            raise Temporary(f"{' '.join(argv)} failed: {done.stderr.strip()[-400:]}")
        if not told:
            tell("waiting for another package run of this machine to end")
            told = True
        time.sleep(_LOCK_POLL_SECONDS)


def require_id_ranges(etc: Path = Path("/etc")) -> None:
    """That this user has ids to unpack Debian packages with (subuid(5)), as mmdebstrap looks for them.

    ``adduser`` gives them to people, a directory service mostly does not. Raises Permanent with the command.
    """
    user = pwd.getpwuid(os.geteuid())
    lacking, first_free = [], 100_000
    for name in ("subuid", "subgid"):
        try:
            # newcomer:100000:65536
            lines = [line.split(":") for line in (etc / name).read_text(encoding="utf-8").splitlines()]
        except FileNotFoundError:
            lines = []
        ranges = [line for line in lines if len(line) == 3 and line[1].isdigit() and line[2].isdigit()]
        first_free = max([first_free, *(int(start) + int(count) for _, start, count in ranges)])
        if not any(owner in (user.pw_name, str(user.pw_uid)) for owner, _, _ in ranges):
            lacking.append(name)
    if lacking:
        last = first_free + 65_535
        options = " ".join(f"--add-{name}s {first_free}-{last}" for name in lacking)
        files = " and ".join(str(etc / name) for name in lacking)
        raise Permanent(
            f"{user.pw_name} has no line in {files}, and building the private root takes one: have an "
            f"administrator run `usermod {options} {user.pw_name}`, or name a root of HTCondor and Slurm "
            "with --root"
        )


def _sudo_works() -> bool:
    if shutil.which("sudo") is None:
        return False
    return (
        subprocess.run(["sudo", "-n", "true"], capture_output=True, timeout=20, check=False).returncode == 0
    )
