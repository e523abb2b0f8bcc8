"""Writes values as TOML (https://toml.io/en/v1.0.0); ``tomllib`` only reads it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from opengoc.base.errors import InvalidInput

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SHORT = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r", "\b": "\\b", "\f": "\\f"}
# What a basic string must not hold as it is (TOML, section "String").
_CONTROL = re.compile(r'[\\"\x00-\x1f\x7f]')


def toml_table(header: str, values: Mapping[str, Any]) -> str:
    """A table: its header and a line a key. ``header`` as it is written, ``[entries.submit]``."""
    return "\n".join(
        [header, *(f"{toml_key(key)} = {toml_value(value)}" for key, value in values.items()), ""]
    )


def toml_key(key: str) -> str:
    """A key, quoted where it must be."""
    return key if _BARE_KEY.fullmatch(key) else _string(key)


def toml_value(value: Any) -> str:
    """A value on one line. Raises InvalidInput for what TOML cannot hold: None, infinity, other types."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{toml_key(key)} = {toml_value(item)}" for key, item in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    raise InvalidInput("TOML", value, "must be a text, a number, a truth value, a list or a table of these")


def _string(text: str) -> str:
    return f'"{_CONTROL.sub(_escaped, text)}"'


def _escaped(found: re.Match[str]) -> str:
    return _SHORT.get(found[0], f"\\u{ord(found[0]):04x}")
