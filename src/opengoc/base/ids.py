"""Identifiers: random ones for new things, digests for content."""

from __future__ import annotations

import hashlib
import json
import secrets
from typing import Any


def new_id(prefix: str) -> str:
    """A fresh random id such as ``dt-3f9c2a71be04``; 48 random bits."""
    return f"{prefix}-{secrets.token_hex(6)}"


def canonical_json(value: Any) -> str:
    """One text per value: sorted keys, no blanks, no NaN. Equal values give equal texts."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(content: bytes | memoryview | str) -> str:
    """SHA-256 of the content, 64 hexadecimal digits."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()
