"""Trees of plain values as XML: an element a key, lists repeat their key, nothing is an empty element."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape, quoteattr

DECLARATION = '<?xml version="1.0" encoding="utf-8"?>\n'
#: Characters that XML 1.0 has no way to write.
_UNWRITABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def elements(tree: Mapping[str, Any], depth: int) -> str:
    """The keys of a tree as elements, each on its own line, indented by ``depth`` tabs."""
    lines: list[str] = []
    _write(tree, depth, lines)
    return "".join(lines)


def opening(name: str, attributes: Mapping[str, str]) -> str:
    """A start tag."""
    return f"<{name}{''.join(f' {key}={quoteattr(value)}' for key, value in attributes.items())}>"


def _write(tree: Mapping[str, Any], depth: int, lines: list[str]) -> None:
    indent = "\t" * depth
    for name, value in tree.items():
        for item in value if isinstance(value, list) else (value,):
            if isinstance(item, Mapping) and item:
                lines.append(f"{indent}<{name}>\n")
                _write(item, depth + 1, lines)
                lines.append(f"{indent}</{name}>\n")
            else:
                lines.append(f"{indent}<{name}>{_text(item)}</{name}>\n")


def _text(value: object) -> str:
    if value is None or isinstance(value, Mapping):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return escape(_UNWRITABLE.sub("\ufffd", str(value)))
