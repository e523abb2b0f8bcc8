"""XML as elements that know their lines, read so that a file cannot do more than be read.

A document type is refused whole: entities that expand for ever, and entities that name other files, both
need one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NoReturn
from xml.parsers import expat

from opengoc.base.errors import InvalidInput

#: The largest file of a production factory has 0.9 MiB.
_MOST_BYTES = 64 * 1024 * 1024
_DEEPEST = 50


@dataclass(frozen=True, kw_only=True)
class Element:
    """One element; text between elements is not kept: factories keep everything in attributes."""

    tag: str
    #: In the order of the file.
    attributes: Mapping[str, str]
    line: int
    children: list[Element] = field(default_factory=list)

    def all(self, *path: str) -> Iterator[Element]:
        """Every element at a path below this one: ``all("config", "submit")``."""
        for child in self.children:
            if child.tag == path[0]:
                yield from child.all(*path[1:]) if path[1:] else (child,)

    def first(self, *path: str) -> Element | None:
        """The first of ``all``; None where there is none."""
        return next(self.all(*path), None)


def read_xml(content: bytes, file: str) -> Element:
    """The root element. Raises InvalidInput with file and line for anything but well-formed, plain XML."""
    if len(content) > _MOST_BYTES:
        raise InvalidInput(file, f"{len(content)} bytes", f"must be at most {_MOST_BYTES} bytes")
    reader = _Reader(file)
    try:
        reader.parser.Parse(content, True)
    except expat.ExpatError as error:
        words = expat.ErrorString(error.code)
        raise InvalidInput(f"{file}:{error.lineno}", words, "must be well-formed XML") from error
    except (LookupError, UnicodeError, ValueError) as error:
        raise InvalidInput(
            file, str(error), "must be XML in an encoding that can be read: use UTF-8"
        ) from error
    return reader.root


class _Reader:
    def __init__(self, file: str) -> None:
        self._file = file
        self._open: list[Element] = []
        self.parser = parser = expat.ParserCreate()
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        self.root: Element

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        element = Element(tag=tag, attributes=attributes, line=self.parser.CurrentLineNumber)
        if len(self._open) >= _DEEPEST:
            self._refuse(tag, f"stands more than {_DEEPEST} elements deep")
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)

    def _end(self, _tag: str) -> None:
        self._open.pop()

    def _refuse_doctype(self, name: str, *_rest: object) -> None:
        self._refuse(f"<!DOCTYPE {name}", "must not stand in a factory's file: entities are not read")

    def _refuse(self, value: str, rule: str) -> NoReturn:
        raise InvalidInput(f"{self._file}:{self.parser.CurrentLineNumber}", value, rule)
