"""The pilot's command line: ``goc-pilot --config pilot.json [key=value ...]``."""

import argparse
import hashlib
import os
import sys
from typing import List

from goc_pilot.life import Pilot

REPORT_FILE = "pilot-report.json"

_EPILOG = (
    "Exit codes: 0 as planned, 1 pilot error, 10 configuration, 11 validation, 12 startd died, 13 signal."
)


def main(argv: List[str]) -> int:
    """Run one pilot in the current directory and return its exit code; the report is left there."""
    parser = argparse.ArgumentParser(
        prog="goc-pilot", description="Validate this node and join it to a pool for a while.", epilog=_EPILOG
    )
    parser.add_argument("--config", required=True, help="configuration written by the factory, JSON")
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="overrides a key of the configuration"
    )
    options = parser.parse_args(argv)
    pilot = Pilot(options.config, options.overrides, os.path.abspath(REPORT_FILE), digest_of_own_file())
    return pilot.run()


def digest_of_own_file() -> str:
    """SHA-256 of the single file that this pilot runs from; "" when it runs from a folder of sources."""
    path = sys.path[0]
    if not os.path.isfile(path):
        return ""
    with open(path, "rb") as own_file:
        return hashlib.sha256(own_file.read()).hexdigest()
