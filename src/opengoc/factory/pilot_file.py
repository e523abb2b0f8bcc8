"""Builds the one file that runs on worker nodes out of the installed pilot sources.

The bytes depend on the sources alone, not on the machine, the clock or the compression library: the digest of
the file names the pilot's version, travels with it and comes back in its report.
"""

from __future__ import annotations

import io
import zipfile
from importlib.resources import files
from pathlib import Path

from opengoc.base.ids import digest

_SHEBANG = b"#!/usr/bin/env python3\n"
_PACKAGE = "goc_pilot"
# The earliest date that a zip archive can hold.
_DATE = (1980, 1, 1, 0, 0, 0)
_MODE = 0o644 << 16
_UNIX = 3
_MAIN = """import sys

from goc_pilot.main import main

sys.exit(main(sys.argv[1:]))
"""


def build_pilot(target: Path) -> str:
    """Write the pilot to ``target``, executable, and return its SHA-256 digest.

    The file appears whole or not at all: a submission that reads it meanwhile sees the old one.
    """
    content = pilot_bytes()
    unfinished = target.with_name(f".{target.name}.unfinished")
    unfinished.write_bytes(content)
    unfinished.chmod(0o755)
    unfinished.replace(target)
    return digest(content)


def pilot_bytes() -> bytes:
    """The content of the pilot's file: a Python zip application (PEP 441), members ordered by name."""
    sources = {
        f"{_PACKAGE}/{source.name}": source.read_bytes()
        for source in files(_PACKAGE).iterdir()
        if source.name.endswith(".py")
    }
    sources["__main__.py"] = _MAIN.encode()
    archive = io.BytesIO()
    archive.write(_SHEBANG)
    # Stored and not compressed: versions of zlib differ in the bytes they make.
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_STORED) as members:
        for name in sorted(sources):
            member = zipfile.ZipInfo(name, _DATE)
            member.create_system = _UNIX
            member.external_attr = _MODE
            members.writestr(member, sources[name])
    return archive.getvalue()
