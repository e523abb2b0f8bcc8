"""The Debian packages that a testbed needs on the machine itself."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from opengoc.base.errors import Permanent, Temporary

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


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
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # An image without package lists, or with old ones, cannot install: fetch them first.
    for argv in ([*prefix, "apt-get", "update", "-qq"], [*prefix, *command]):
        done = subprocess.run(argv, capture_output=True, text=True, env=environment, timeout=900, check=False)
        if done.returncode != 0:
            raise Temporary(f"{' '.join(argv)} failed: {done.stderr.strip()[-400:]}")


def _sudo_works() -> bool:
    if shutil.which("sudo") is None:
        return False
    return (
        subprocess.run(["sudo", "-n", "true"], capture_output=True, timeout=20, check=False).returncode == 0
    )
