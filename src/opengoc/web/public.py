"""Free text as the public may read it: without mail addresses of people."""

from __future__ import annotations

import re

_ADDRESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@[A-Za-z0-9][A-Za-z0-9.-]{0,252}\.[A-Za-z]{2,63}")
WITHHELD = "(address withheld)"


def without_addresses(text: str) -> str:
    """The text with every mail address replaced; for descriptions, not for service addresses."""
    return _ADDRESS.sub(WITHHELD, text) if "@" in text else text


def is_address(text: object) -> bool:
    """Whether a value is a mail address and nothing else."""
    return isinstance(text, str) and _ADDRESS.fullmatch(text.strip()) is not None
