"""``python -m opengoc``: the same as ``goc``."""

from opengoc.cli.main import run

run()
