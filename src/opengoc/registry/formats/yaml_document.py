"""YAML files as nodes that know their line.

Nodes are made from the parser's events, without recursion, and nothing but text is constructed from tags: a
file cannot run code, cannot multiply itself through aliases and cannot exhaust the stack.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from pathlib import Path
from unicodedata import normalize

import yaml

from opengoc.registry.findings import Findings

#: The parser written in C is 10 times as fast; builds of PyYAML without it fall back.
_LOADER: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_RESOLVER = yaml.resolver.Resolver()

_MAX_BYTES = 8 * 1024 * 1024
_MAX_DEPTH = 40

#: What a node converts to: JSON values.
Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]


@dataclass(frozen=True, kw_only=True)
class Scalar:
    """A single value, as written."""

    text: str
    #: Last part of the YAML tag the plain text resolves to: ``str``, ``int``, ``float``, ``bool``, ``null``…
    type: str
    line: int


@dataclass(frozen=True, kw_only=True)
class Sequence:
    """A list."""

    items: list[Node] = field(default_factory=list)
    line: int


@dataclass(frozen=True, kw_only=True)
class Mapping:
    """A table; keys are unique, in Unicode normal form C, and each knows its own line."""

    entries: dict[str, Node] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    line: int


Node = Scalar | Sequence | Mapping


def in_normal_form(text: str) -> str:
    """Text in Unicode normal form C: two writings of one name are one name."""
    return normalize("NFC", text)


def is_null(node: Node) -> bool:
    """Whether the node is written as no value: ``null``, ``~`` or nothing."""
    return isinstance(node, Scalar) and node.type == "null"


def plain(node: Node) -> Plain:
    """The node as JSON values. Times stay text: the file's own writing of them is kept."""
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    if isinstance(node, Mapping):
        return {key: plain(value) for key, value in node.entries.items()}
    if node.type == "null":
        return None
    if node.type == "bool":
        return node.text.lower() in ("true", "yes", "on")
    number = _number(node)
    return node.text if number is None else number


def _number(node: Scalar) -> int | float | None:
    kinds = {"int": int, "float": float}
    try:
        number = kinds[node.type](node.text)
    except (KeyError, ValueError):
        # YAML 1.1 calls 0o17, 1:30 and .inf numbers too; as registry data they are text.
        return None
    return number if abs(number) < 1e15 else None


def read_document(path: Path, where: str, findings: Findings) -> Node | None:
    """The only document of a YAML file; None when it is empty or was found faulty.

    ``where`` is the path that findings name. Faults: not readable, not UTF-8, not YAML, more than one
    document, an alias or a tag, a key twice, too deep, too large.
    """
    text = _read_text(path, where, findings)
    if text is None:
        return None
    try:
        return _Composer(where, findings).compose(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        findings.fault(f"{where}:{line}", error.problem or "", "is not YAML here")
    except yaml.YAMLError as error:
        findings.fault(f"{where}:1", str(error).splitlines()[0], "is not YAML")
    except _Refused as refusal:
        findings.fault(f"{where}:{refusal.line}", refusal.value, refusal.rule)
    return None


def _read_text(path: Path, where: str, findings: Findings) -> str | None:
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            # A pipe would be waited for without end, and a device read without end.
            findings.fault(f"{where}:1", path.name, "is a pipe, socket or device, or a link to one: no file")
            return None
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        findings.fault(f"{where}:1", error.strerror, "cannot be read")
        return None
    if len(content) > _MAX_BYTES:
        findings.fault(f"{where}:1", path.name, f"is larger than {_MAX_BYTES} bytes")
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        findings.fault(
            f"{where}:{line}", content[error.start : error.start + 4], "is not UTF-8: save the file as UTF-8"
        )
        return None


class _Refused(Exception):
    """The document breaks a rule of the house that plain YAML allows."""

    def __init__(self, line: int, value: str, rule: str) -> None:
        self.line = line
        self.value = value
        self.rule = rule
        super().__init__(rule)


class _Composer:
    """Builds the nodes of one document from parser events."""

    def __init__(self, where: str, findings: Findings) -> None:
        self._where = where
        self._findings = findings
        self._open: list[Sequence | Mapping] = []
        #: The key that waits for its value, one an open mapping.
        self._keys: list[Scalar | None] = []
        self._root: Node | None = None
        self._documents = 0

    def compose(self, text: str) -> Node | None:
        for event in yaml.parse(text, Loader=_LOADER):
            mark = event.start_mark
            line = mark.line + 1 if mark is not None else 1
            if isinstance(event, yaml.DocumentStartEvent):
                self._documents += 1
                if self._documents > 1:
                    raise _Refused(line, "---", "starts a second document: one file holds one")
            elif isinstance(event, yaml.AliasEvent):
                raise _Refused(line, f"*{event.anchor}", "is an alias: write the value out")
            elif isinstance(event, yaml.ScalarEvent):
                self._place(self._scalar(event, line))
            elif isinstance(event, yaml.CollectionStartEvent):
                self._refuse_tag(event.tag, line)
                if len(self._open) >= _MAX_DEPTH:
                    raise _Refused(line, "nesting", f"goes deeper than {_MAX_DEPTH} levels")
                is_mapping = isinstance(event, yaml.MappingStartEvent)
                node = Mapping(line=line) if is_mapping else Sequence(line=line)
                self._place(node)
                self._open.append(node)
                self._keys.append(None)
            elif isinstance(event, yaml.CollectionEndEvent):
                self._open.pop()
                self._keys.pop()
        return self._root

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> Scalar:
        self._refuse_tag(event.tag, line)
        if any(letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in event.value):
            raise _Refused(
                line, event.value, "holds a NUL or half a surrogate pair: no text of the world does"
            )
        tag: str = _RESOLVER.resolve(yaml.ScalarNode, event.value, event.implicit)  # type: ignore[no-untyped-call]
        return Scalar(text=event.value, type=tag.rpartition(":")[2], line=line)

    def _refuse_tag(self, tag: str | None, line: int) -> None:
        if tag is not None and tag != "!":
            raise _Refused(line, tag, "is a YAML tag: write the plain value")

    def _place(self, node: Node) -> None:
        if not self._open:
            self._root = node
            return
        parent = self._open[-1]
        if isinstance(parent, Sequence):
            parent.items.append(node)
            return
        key = self._keys[-1]
        if key is None:
            if not isinstance(node, Scalar):
                raise _Refused(node.line, "key", "must be plain text")
            self._keys[-1] = node
            return
        self._keys[-1] = None
        name = in_normal_form(key.text)
        if name in parent.entries:
            first = parent.lines[name]
            self._findings.fault(f"{self._where}:{key.line}", name, f"stands at line {first} already")
            return
        parent.entries[name] = node
        parent.lines[name] = key.line
