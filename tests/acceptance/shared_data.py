"""Real data in ../shared/data beside the project, or $GOC_SHARED_DATA; with CI=true it must be there."""

import os
from pathlib import Path

import pytest

SHARED_DATA = Path(os.environ.get("GOC_SHARED_DATA") or Path(__file__).parents[2].parent / "shared" / "data")

needs_shared_data = pytest.mark.skipif(
    not SHARED_DATA.is_dir() and os.environ.get("CI") != "true",
    reason=f"no data in {SHARED_DATA}: set GOC_SHARED_DATA",
)
