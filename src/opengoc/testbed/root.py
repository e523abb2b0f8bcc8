"""The private Debian root that holds HTCondor and Slurm: built once, kept in a cache, shared by all testbeds.

Packages come from the mirror that the machine's own apt is set to; the root's folder is named after the
digest of its package list, so a changed list makes a new root and leaves the old one usable.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from opengoc.base.errors import Permanent, Temporary
from opengoc.base.ids import digest
from opengoc.testbed.tools import require_id_ranges

SUITE = "trixie"
VARIANT = "essential"
#: By name, in the versions of the suite; the package list inside the root says which.
PACKAGES = (
    "bash",
    "ca-certificates",
    "condor",
    "munge",
    "procps",
    "python3",
    "slurm-client",
    "slurmctld",
    "slurmd",
)

#: Told of each step of a build: (name of the step, steps done, steps in all).
Progress = Callable[[str, int, int], None]

_BUILD_SECONDS = 1800.0
#: An interrupted mmdebstrap removes what it made in ``/tmp`` within seconds.
_CLEAN_UP_SECONDS = 15.0


def cache_folder() -> Path:
    """``$GOC_CACHE``, else ``$XDG_CACHE_HOME/opengoc``, else ``~/.cache/opengoc``."""
    named = os.environ.get("GOC_CACHE")
    if named:
        return Path(named).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "opengoc"


def root_folder() -> Path:
    """Where the root of this package list stands once it is built."""
    name = digest("\n".join((SUITE, VARIANT, *PACKAGES)))[:16]
    return cache_folder() / f"root-{SUITE}-{name}"


def is_built() -> bool:
    """Whether the private root is there, whole: it gets its name only when it is.

    Raises Temporary where the cache belongs to another user, who keeps it closed.
    """
    try:
        return root_folder().is_dir()
    except OSError as error:
        raise _no_cache(error) from error


def require_root(path: Path) -> Path:
    """``path``, when HTCondor and Slurm are installed in it. Raises Permanent naming what is missing."""
    needed = ("condor_master", "condor_schedd", "slurmctld", "slurmd", "munged")
    missing = [name for name in needed if not os.path.lexists(path / "usr/sbin" / name)]
    if not missing:
        return path
    if not path.is_dir():
        raise Permanent(f"root {path} is not a folder; leave out --root to have a private root built")
    raise Permanent(
        f"root {path} lacks {', '.join(missing)} in usr/sbin; leave out --root to have a private root built, "
        "or install HTCondor, Slurm and munge there (on Debian 13: "
        "apt-get install condor munge slurm-client slurmctld slurmd)"
    )


def build_root(progress: Progress) -> Path:
    """The private root, built when it is not there yet (about half a minute, 400 MB).

    It is built beside its place and renamed: an interrupted build leaves a folder that the next one removes.
    A second builder waits for the first. Raises Temporary (mirror away, disk full) or Permanent (no tools).
    """
    root = root_folder()
    if is_built():
        return root
    try:
        return _build(root, progress)
    except OSError as error:
        raise _no_cache(error) from error


def _no_cache(error: OSError) -> Temporary:
    """What to do about a cache that cannot be read or written."""
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        remedy = "make it yours (sudo chown)"
    elif error.errno in (errno.ENOSPC, errno.EDQUOT):
        remedy = "make room"
    else:
        remedy = "mend it"
    where = error.filename or cache_folder()
    return Temporary(
        f"the private root cannot be kept in {cache_folder()} ({where}: {error.strerror}): {remedy}, or name "
        "another folder in the environment variable GOC_CACHE"
    )


def _build(root: Path, progress: Progress) -> Path:
    with _only_builder(root):
        if root.is_dir():
            return root
        for left_over in root.parent.glob(f".{root.name}.*"):
            shutil.rmtree(left_over)
        building = Path(tempfile.mkdtemp(prefix=f".{root.name}.", dir=root.parent))
        try:
            progress("fetch and unpack Debian packages", 0, 2)
            archive = building / "root.tar"
            _mmdebstrap(archive, building)
            progress("lay out the root", 1, 2)
            made = building / "root"
            made.mkdir()
            # Unpacked here and not by mmdebstrap: every file then belongs to whoever runs this, who can
            # remove it again; inside a sandbox that is the only uid there is.
            _run(
                ["tar", "--extract", "--no-same-owner", "--exclude=./dev/*", "--file", str(archive)],
                folder=made,
                log=building / "tar.log",
            )
            made.rename(root)
            progress("root is ready", 2, 2)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    return root


def mirror() -> str:
    """The Debian mirror that this machine's apt uses. Raises Permanent when it has none."""
    if shutil.which("apt-get") is None:
        raise Permanent("this machine has no apt; name a root that has HTCondor and Slurm with --root")
    listed = subprocess.run(
        [
            "apt-get",
            "indextargets",
            "--format",
            "$(CREATED_BY)|$(COMPONENT)|$(RELEASE)|$(REPO_URI)|$(ORIGIN)",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    # Packages|main|bookworm|http://…/debian/|Debian
    lines = [line.split("|") for line in listed.stdout.splitlines()]
    # Security and update archives do not hold a whole suite: their release names carry a suffix.
    whole = [words for words in lines if words[:2] == ["Packages", "main"] and "-" not in words[2]]
    for _, _, _, address, origin in whole:
        # Without fetched lists (a fresh image, or an update under way) apt does not know the origin.
        if origin == "Debian" or (not origin and address.rstrip("/").endswith("/debian")):
            return address
    raise Permanent(
        "apt of this machine knows no Debian archive; add one to /etc/apt, or name a root that has HTCondor "
        "and Slurm with --root"
    )


def _mmdebstrap(archive: Path, folder: Path) -> None:
    keyring = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    argv = ["mmdebstrap", f"--variant={VARIANT}", f"--include={','.join(PACKAGES)}"]
    if keyring.exists():
        argv.append(f"--keyring={keyring}")
    # Documentation and message catalogues are a third of the root and of no use in it.
    for pattern in ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*"):
        argv.append(f"--dpkgopt=path-exclude={pattern}")
    if os.geteuid() != 0:
        # Left to itself, mmdebstrap falls back to fakechroot, which cannot run a Debian newer than this.
        require_id_ranges()
        argv.append("--mode=unshare")
    argv += ["--format=tar", SUITE, str(archive), mirror()]
    _run(argv, folder=folder, log=folder / "mmdebstrap.log")


def _run(argv: list[str], *, folder: Path, log: Path) -> None:
    try:
        with log.open("w", encoding="utf-8") as out:
            process = subprocess.Popen(argv, cwd=folder, stdout=out, stderr=subprocess.STDOUT)
            try:
                code = process.wait(timeout=_BUILD_SECONDS)
            except BaseException:
                # An interrupt as well: killed at once, it leaves folders of foreign uids in /tmp.
                _end(process)
                raise
    except FileNotFoundError as error:
        raise Permanent(f"{argv[0]} is not installed; run `goc testbed install`") from error
    except subprocess.TimeoutExpired as error:
        raise Temporary(f"{argv[0]} did not end within 30 minutes; is the mirror reachable?") from error
    if code != 0:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-8:]
        # A failed call of dpkg names every package in one line of thousands of characters.
        last = "\n".join(line if len(line) <= 400 else f"{line[:300]} … {line[-80:]}" for line in lines)
        raise Temporary(f"building the root failed in {argv[0]}; nothing was left behind. It said:\n{last}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end, and give it the time to clean up, however often somebody presses Ctrl-C meanwhile."""
    process.send_signal(signal.SIGINT)
    deadline = time.monotonic() + _CLEAN_UP_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            process.wait(timeout=max(0.1, deadline - time.monotonic()))
    if process.poll() is None:
        process.kill()
        process.wait()


@contextmanager
def _only_builder(root: Path) -> Iterator[None]:
    root.parent.mkdir(parents=True, exist_ok=True)
    with (root.parent / f"{root.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
