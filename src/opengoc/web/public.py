"""Text as the public may read it: without mail addresses and certificates' subjects of people."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_ADDRESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@[A-Za-z0-9][A-Za-z0-9.-]{0,252}\.[A-Za-z]{2,63}")
WITHHELD = "(address withheld)"
#: The common names of a certificate's subject, as /…/CN=… or …,CN=….
_COMMON_NAME = re.compile(r"(?:^|[/,])\s*CN\s*=\s*([^/,]+(?:/[^/,=]+(?=$|/|,))?)", re.IGNORECASE)
_HOST = re.compile(r"(?:[a-z]+/)?(?:[a-z0-9*_-]+\.)+[a-z]{2,63}", re.IGNORECASE)
SUBJECT_WITHHELD = "(subject withheld)"


def without_addresses(text: str) -> str:
    """The text with every mail address replaced; for descriptions, not for service addresses."""
    return _ADDRESS.sub(WITHHELD, text) if "@" in text else text


def is_address(text: object) -> bool:
    """Whether a value is a mail address and nothing else."""
    return isinstance(text, str) and _ADDRESS.fullmatch(text.strip()) is not None


def is_personal_subject(text: str) -> bool:
    """Whether a value is a certificate's subject that names anything but hosts."""
    names = _COMMON_NAME.findall(text)
    return bool(names) and not all(_HOST.fullmatch(name.strip()) for name in names)


def without_subjects(value: Any) -> Any:
    """A tree of plain values with every subject of a person replaced; addresses of services stay."""
    if isinstance(value, str):
        return SUBJECT_WITHHELD if "=" in value and is_personal_subject(value) else value
    if isinstance(value, Mapping):
        return {key: without_subjects(each) for key, each in value.items()}
    return [without_subjects(each) for each in value] if isinstance(value, list | tuple) else value
