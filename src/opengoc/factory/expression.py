"""Requirements: one text over ``job.X`` and ``entry.X``, and what is made of it.

From one parse come the expression that matches jobs with entries (entry attributes as ``MY.X``) and the text
that a pilot's startd decides by (the entry's values in their place). Both differ in nothing else.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from opengoc.base.errors import InvalidInput
from opengoc.condor.classads import Expression, literal, parse

#: Value of a declared attribute.
Scalar: TypeAlias = bool | int | float | str

TypeName = Literal["bool", "int", "float", "string"]
_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "float": (float, int),
    "string": (str,),
}

#: Functions whose value depends on their arguments alone, in lower case. Not among them: time and random (two
#: evaluations would differ), eval and getenv (they reach what is not declared).
FUNCTIONS = frozenset(
    (
        "bool",
        "ceiling",
        "floor",
        "identicalmember",
        "ifthenelse",
        "int",
        "isboolean",
        "iserror",
        "isinteger",
        "isreal",
        "isstring",
        "isundefined",
        "member",
        "pow",
        "real",
        "regexp",
        "round",
        "size",
        "strcat",
        "strcmp",
        "stricmp",
        "string",
        "stringlist_regexpmember",
        "stringlistimember",
        "stringlistmember",
        "stringlistsize",
        "stringlistsubsetmatch",
        "substr",
        "tolower",
        "toupper",
        "versioncmp",
        "versionge",
        "versiongt",
        "versionle",
        "versionlt",
    )
)
_KEYWORDS = frozenset({"true", "false", "undefined", "error", "is", "isnt"})

_TOKEN = re.compile(
    r"""
      (?P<blank>   \s+ | //[^\n]* | /\*.*?\*/ )
    | (?P<string>  "(?:[^"\\\n]|\\.)*" )
    | (?P<number>  \d+(?:\.\d*)?(?:[eE][-+]?\d+)? )
    | (?P<name>    [A-Za-z_]\w* )
    | (?P<sign>    =\?= | \?: | =!= | == | != | <= | >= | >>> | << | >> | && | \|\| | [-+*/%!~<>&|^?:(),{}.] )
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, kw_only=True)
class Attribute:
    """An attribute that requirements may name."""

    name: str
    type: TypeName
    #: What it counts in, e.g. MiB; for people.
    unit: str = ""
    #: Stands where a job or an entry does not set it; None: it is undefined then.
    default: Scalar | None = None

    def accepts(self, value: object) -> bool:
        """Whether ``value`` has its type; a truth value is no number, infinity and NaN are none either."""
        if isinstance(value, bool):
            return self.type == "bool"
        if isinstance(value, float) and not math.isfinite(value):
            return False
        return isinstance(value, _PYTHON_TYPES[self.type])


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """The attributes that requirements may name, keyed by name in lower case."""

    job: Mapping[str, Attribute]
    entry: Mapping[str, Attribute]


@dataclass(frozen=True)
class _Reference:
    side: Literal["job", "entry"]
    attribute: Attribute


_Part: TypeAlias = str | _Reference


@dataclass(frozen=True, kw_only=True)
class Requirements:
    """A parsed requirement."""

    #: As written.
    text: str
    #: ``MY`` is an entry, ``TARGET`` a job.
    match: Expression
    #: Attributes it names, as they are declared, in order of name.
    job_attributes: tuple[str, ...]
    entry_attributes: tuple[str, ...]
    _parts: tuple[_Part, ...]

    def start(self, entry: Mapping[str, Scalar | None]) -> str:
        """What a pilot of this entry decides by: the same expression, the entry's values in it.

        Refers to the job alone (``TARGET.X``); true for exactly the jobs that ``match`` is true for.
        """
        return _render(self._parts, entry)


def parse_requirements(text: str, vocabulary: Vocabulary, where: str) -> Requirements:
    """Parse and check a requirement. Raises InvalidInput naming what is wrong and where."""
    parts = _parts(text, vocabulary, where)
    references = [part for part in parts if isinstance(part, _Reference)]
    return Requirements(
        text=text.strip(),
        match=parse(_render(parts, None), where),
        job_attributes=_names(references, "job"),
        entry_attributes=_names(references, "entry"),
        _parts=tuple(parts),
    )


def _names(references: list[_Reference], side: str) -> tuple[str, ...]:
    return tuple(sorted({each.attribute.name for each in references if each.side == side}))


def _render(parts: list[_Part] | tuple[_Part, ...], entry: Mapping[str, Scalar | None] | None) -> str:
    words = []
    for part in parts:
        if isinstance(part, str):
            words.append(part)
        elif part.side == "job":
            name, default = part.attribute.name, part.attribute.default
            words.append(f"TARGET.{name}" if default is None else f"(TARGET.{name} ?: {_value(default)})")
        else:
            name = part.attribute.name
            words.append(f"MY.{name}" if entry is None else _value(entry.get(name)))
    return " ".join(words)


def _value(value: Scalar | None) -> str:
    text = literal(value)
    return f"({text})" if text.startswith("-") else text


def _parts(text: str, vocabulary: Vocabulary, where: str) -> list[_Part]:
    tokens = _tokens(text, where)
    parts: list[_Part] = []
    position = 0
    while position < len(tokens):
        kind, word = tokens[position]
        if kind != "name" or word.casefold() in _KEYWORDS:
            if word == ".":
                raise InvalidInput(where, text.strip(), "has a dot that belongs to no job.X or entry.X")
            parts.append(word)
            position += 1
        elif tokens[position + 1 : position + 2] == [("sign", "(")]:
            if word.casefold() not in FUNCTIONS:
                raise InvalidInput(where, word, "is no function that requirements may use")
            parts.append(word)
            position += 1
        else:
            parts.append(_reference(tokens[position : position + 3], vocabulary, where))
            position += 3
    return parts


def _reference(tokens: list[tuple[str, str]], vocabulary: Vocabulary, where: str) -> _Reference:
    written = "".join(word for _, word in tokens)
    side = tokens[0][1].casefold()
    is_pair = len(tokens) == 3 and tokens[1][1] == "." and tokens[2][0] == "name"
    if side == "job" and is_pair:
        known = vocabulary.job.get(tokens[2][1].casefold())
    elif side == "entry" and is_pair:
        known = vocabulary.entry.get(tokens[2][1].casefold())
    else:
        raise InvalidInput(where, tokens[0][1], "is no attribute: write job.NAME or entry.NAME")
    if known is None:
        raise InvalidInput(where, written, f"is not declared: add [{side}.{tokens[2][1]}] with its type")
    return _Reference("job" if side == "job" else "entry", known)


def _tokens(text: str, where: str) -> list[tuple[str, str]]:
    """(kind, text) of each token; blanks and comments are left out."""
    found = []
    position = 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            raise InvalidInput(where, text[position : position + 20], "cannot stand in requirements")
        assert token.lastgroup is not None
        if token.lastgroup != "blank":
            found.append((token.lastgroup, token.group()))
        position = token.end()
    return found
