"""One YAML table read key by key into typed values; what is wrong is noted with its line, never raised."""

from __future__ import annotations

from collections.abc import Iterator

from opengoc.registry.findings import Findings
from opengoc.registry.formats.yaml_document import (
    Mapping,
    Node,
    Plain,
    Scalar,
    Sequence,
    in_normal_form,
    is_null,
    plain,
)

_YES_NO = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


class Fields:
    """The keys of one table; ``refuse_unknown`` ends its reading.

    A key that is absent or null gives the default. ``line`` is where the table is named, above its first key.
    """

    def __init__(
        self, table: Mapping, path: str, kind: str, findings: Findings, *, line: int | None = None
    ) -> None:
        self.path = path
        self.kind = kind
        self.findings = findings
        self._table = table
        self._line = line or table.line
        self._read: set[str] = set()

    def where(self, key: str | None = None) -> str:
        """``path:line`` of a key, or of the table."""
        line = self._table.lines.get(key, self._line) if key else self._line
        return f"{self.path}:{line}"

    def fault(self, key: str | None, value: object, rule: str) -> None:
        """Note a fault at a key."""
        self.findings.fault(self.where(key), value, rule, kind=self.kind)

    def doubt(self, key: str | None, value: object, rule: str) -> None:
        """Note a doubt at a key."""
        self.findings.doubt(self.where(key), value, rule, kind=self.kind)

    def has(self, key: str) -> bool:
        """Whether the key is there and says something."""
        return self._node(key) is not None

    def text(self, key: str) -> str | None:
        """Text as written: a number or ``NO`` without quotes is text too where text is wanted."""
        node = self._node(key)
        if node is None:
            return None
        if not isinstance(node, Scalar):
            self.fault(key, key, "must be text")
            return None
        return in_normal_form(node.text)

    def required_text(self, key: str) -> str | None:
        """Text that must not be empty."""
        text = self.text(key)
        if not text and key not in self._table.entries:
            self.fault(None, key, "is missing")
        elif not text:
            self.fault(key, key, "must not be empty")
        return text or None

    def flag(self, key: str, default: bool | None) -> bool | None:
        """true or false."""
        node = self._node(key)
        if node is None:
            return default
        value = _YES_NO.get(node.text.lower()) if isinstance(node, Scalar) else None
        if value is None:
            self.fault(key, plain(node), f"{key} must be true or false")
            return default
        return value

    def whole_number(self, key: str) -> int | None:
        """A whole number, 0 or more."""
        node = self._node(key)
        if node is None:
            return None
        text = node.text if isinstance(node, Scalar) else ""
        if not (text.isascii() and text.isdigit() and len(text) <= 15):
            self.fault(key, plain(node), f"{key} must be a whole number, 0 or more")
            return None
        return int(text)

    def decimal(self, key: str) -> int | float | None:
        """A number."""
        value = self.carried(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            if value is not None:
                self.fault(key, value, f"{key} must be a number")
            return None
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; nothing is an empty list."""
        node = self._node(key)
        if node is None:
            return ()
        if not isinstance(node, Sequence) or not all(isinstance(item, Scalar) for item in node.items):
            self.fault(key, plain(node), f"{key} must be a list of texts")
            return ()
        return tuple(in_normal_form(item.text) for item in node.items if isinstance(item, Scalar))

    def table(self, key: str, *, kind: str | None = None) -> Fields:
        """A table below this one; an empty one where there is none."""
        node = self._node(key) or Mapping(line=self._line)
        if not isinstance(node, Mapping):
            self.fault(key, plain(node), f"{key} must be a table")
            node = Mapping(line=self._line)
        return Fields(node, self.path, kind or self.kind, self.findings)

    def tables(self, key: str) -> tuple[Fields, ...]:
        """A list of tables."""
        node = self._node(key)
        if node is None:
            return ()
        if not isinstance(node, Sequence) or not all(isinstance(item, Mapping) for item in node.items):
            self.fault(key, plain(node), f"{key} must be a list of tables")
            return ()
        return tuple(
            Fields(item, self.path, self.kind, self.findings)
            for item in node.items
            if isinstance(item, Mapping)
        )

    def carried(self, key: str) -> Plain:
        """A value as it is written, as JSON values."""
        node = self._node(key)
        return None if node is None else plain(node)

    def carry(self, keys: frozenset[str]) -> dict[str, Plain]:
        """Those of the keys that are there, as JSON values, null included."""
        self._read |= keys
        return {key: plain(node) for key, node in self._table.entries.items() if key in keys}

    def as_written(self) -> dict[str, Plain]:
        """The whole table as JSON values; counts as no reading."""
        return {key: plain(node) for key, node in self._table.entries.items()}

    def names(self) -> Iterator[str]:
        """The keys of a table whose keys are names, in order."""
        for name in self._table.entries:
            self._read.add(name)
            yield name

    def named_tables(self, *, kind: str | None = None) -> Iterator[tuple[str, Fields]]:
        """The tables below a table whose keys are names; a name without a table has an empty one."""
        for name in self.names():
            node = self._node(name) or Mapping(line=self._table.lines[name])
            if isinstance(node, Mapping):
                yield (
                    name,
                    Fields(node, self.path, kind or self.kind, self.findings, line=self._table.lines[name]),
                )
            else:
                self.fault(name, plain(node), f"{name} must be a table")

    def refuse_unknown(self) -> None:
        """Note a fault for every key that nobody read."""
        for key in self._table.entries:
            if key not in self._read:
                self.fault(key, key, f"is not a key of a {self.kind} here")

    def _node(self, key: str) -> Node | None:
        self._read.add(key)
        node = self._table.entries.get(key)
        return None if node is None or is_null(node) else node
