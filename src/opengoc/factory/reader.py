"""Reads requirements: ClassAd text over ``job.X`` and ``entry.X`` into a tree; says where something is wrong.

Operators bind as HTCondor reads them; what ClassAds know beyond the declared subset (bit operators,
subscripts, nested ads) is refused. Every text that passes here is a ClassAd expression.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn, Protocol

from opengoc.base.errors import InvalidInput
from opengoc.condor.classads import ERROR, UNDEFINED, Special
from opengoc.factory.functions import FUNCTIONS
from opengoc.factory.tree import (
    BINDING,
    Binary,
    Call,
    Choice,
    Constant,
    Node,
    Position,
    Reference,
    Side,
    TypeName,
    Unary,
    children,
)

_TOKEN = re.compile(
    r"""
      (?P<blank>   \s+ | //[^\n]* | /\*.*?\*/ )
    | (?P<string>  "(?:[^"\\\n]|\\.)*" )
    | (?P<number>  (?:\d+(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?(?!\w|\.) )
    | (?P<name>    [A-Za-z_]\w* )
    | (?P<sign>    =\?= | \?: | =!= | == | != | <= | >= | && | \|\| | [-+*/%!<>?:(),{}.] )
    """,
    re.VERBOSE | re.DOTALL,
)
_SIDES: Mapping[str, Side] = {"job": "job", "entry": "entry"}
_WORDS = {"is": "=?=", "isnt": "=!="}
_VALUES: Mapping[str, bool | Special] = {"true": True, "false": False, "undefined": UNDEFINED, "error": ERROR}
# Of bytes: HTCondor writes é as \\303\\251.
_ESCAPE = re.compile(rb"\\([0-3]?[0-7]{1,2}|.)", re.DOTALL)
_ESCAPED = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"b": b"\b", b"f": b"\f", b"a": b"\a", b"v": b"\v"}
_LARGEST = 2**63 - 1
#: Trees are walked by functions that call themselves: deeper ones would end the factory's loop.
_DEEPEST = 300
_MOST_OPEN = 60


class Declared(Protocol):
    """What a declaration of an attribute says here."""

    @property
    def name(self) -> str: ...

    @property
    def type(self) -> TypeName: ...


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    at: Position


def read(
    text: str,
    *,
    job: Mapping[str, Declared],
    entry: Mapping[str, Declared],
    where: str = "requirements",
) -> Node:
    """The tree of ``text``; ``job`` and ``entry`` are the declared attributes by name in lower case.

    Raises InvalidInput with line and column.
    """
    return _Reader(text, {"job": job, "entry": entry}, where).read()


class _Reader:
    def __init__(self, text: str, declared: Mapping[Side, Mapping[str, Declared]], where: str) -> None:
        self._text = text
        self._declared = declared
        self._where = where
        self._tokens = self._split()
        self._next = 0
        self._open = 0

    def read(self) -> Node:
        node = self._choice()
        if self._token.kind != "end":
            self._refuse_syntax()
        if _depth(node) > _DEEPEST:
            self._refuse_depth(self._tokens[0])
        return node

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._token
        self._next += 1
        return token

    def _take_sign(self, *signs: str) -> _Token | None:
        """The next token where it is one of these signs."""
        token = self._token
        sign = token.text if token.kind == "sign" else ""
        return self._take() if sign in signs else None

    def _expect(self, sign: str) -> None:
        if self._take_sign(sign) is None:
            self._refuse_syntax()

    @contextmanager
    def _opened(self) -> Iterator[None]:
        """One more level of brackets, signs or choices."""
        self._open += 1
        if self._open > _MOST_OPEN:
            self._refuse_depth(self._token)
        yield
        self._open -= 1

    def _choice(self) -> Node:
        with self._opened():
            return self._choice_inside()

    def _choice_inside(self) -> Node:
        test = self._binary(2)
        if (sign := self._take_sign("?")) is None:
            return test
        then = self._choice()
        self._expect(":")
        return Choice(test=test, then=then, otherwise=self._choice(), at=sign.at)

    def _binary(self, least: int) -> Node:
        left = self._unary()
        while (operator := self._operator()) is not None and BINDING[operator] >= least:
            at = self._take().at
            right = self._binary(BINDING[operator] + 1)
            left = Binary(operator=operator, left=left, right=right, at=at)
        return left

    def _operator(self) -> str | None:
        token = self._token
        if token.kind == "name":
            return _WORDS.get(token.text.casefold())
        return token.text if token.kind == "sign" and token.text in BINDING else None

    def _unary(self) -> Node:
        if (sign := self._take_sign("!", "-", "+")) is None:
            return self._elvis()
        with self._opened():
            return Unary(operator=sign.text, operand=self._unary(), at=sign.at)

    def _elvis(self) -> Node:
        left = self._atom()
        while (sign := self._take_sign("?:")) is not None:
            left = Binary(operator="?:", left=left, right=self._fallback(), at=sign.at)
        return left

    def _fallback(self) -> Node:
        """What may follow ``?:``: of what has a sign in front, numbers alone, as in HTCondor."""
        sign = self._take_sign("-")
        atom = self._atom() if sign is None or self._token.kind == "number" else self._refuse_syntax()
        if sign is not None and isinstance(atom, Constant) and isinstance(atom.value, int | float):
            return Constant(value=-atom.value, at=sign.at)
        return atom

    def _atom(self) -> Node:
        token = self._take()
        if token.kind == "string":
            return Constant(value=self._string(token), at=token.at)
        if token.kind == "number":
            return Constant(value=self._number(token), at=token.at)
        if token.kind == "sign" and token.text == "(":
            node = self._choice()
            self._expect(")")
            return node
        if token.kind == "sign" and token.text == "{":
            return self._list(token)
        if token.kind == "name":
            return self._named(token)
        self._next -= 1
        return self._refuse_syntax()

    def _named(self, token: _Token) -> Node:
        word = token.text.casefold()
        if word in _WORDS:
            self._next -= 1
            self._refuse_syntax()
        if word in _VALUES:
            return Constant(value=_VALUES[word], at=token.at)
        return self._call(token) if self._token.text == "(" else self._reference(token)

    def _call(self, name: _Token) -> Node:
        function = FUNCTIONS.get(name.text.casefold())
        if function is None:
            self._refuse(name, name.text, "is no function that requirements may use")
        self._expect("(")
        arguments: list[Node] = []
        while self._take_sign(")") is None:
            if arguments:
                self._expect(",")
            arguments.append(self._choice())
        if not function.least <= len(arguments) <= function.most:
            self._refuse(name, name.text, f"takes {function.counts()}, not {len(arguments)}")
        return Call(function=name.text.casefold(), arguments=tuple(arguments), at=name.at)

    def _list(self, bracket: _Token) -> Node:
        items: list[bool | int | float | str] = []
        while self._take_sign("}") is None:
            if items:
                self._expect(",")
            sign = self._take_sign("-")
            item = self._atom()
            if not isinstance(item, Constant) or not isinstance(item.value, bool | int | float | str):
                self._refuse(bracket, "{", "opens a list of which every item must be a literal")
            items.append(-item.value if sign and not isinstance(item.value, str) else item.value)
        return Constant(value=tuple(items), at=bracket.at)

    def _reference(self, side: _Token) -> Node:
        followed = self._tokens[self._next : self._next + 2]
        is_pair = [token.text for token in followed[:1]] == ["."] and followed[1].kind == "name"
        known_side = _SIDES.get(side.text.casefold())
        if known_side is None or not is_pair:
            self._refuse(side, side.text, "is no attribute: write job.NAME or entry.NAME")
        self._next += 2
        name = followed[1].text
        if self._token.text == ".":
            self._refuse(self._token, self._text.strip(), "has a dot that belongs to no job.X or entry.X")
        declared = self._declared[known_side].get(name.casefold())
        if declared is None:
            rule = f"is not declared: add [{known_side}.{name}] with its type"
            self._refuse(side, f"{side.text}.{name}", rule)
        return Reference(side=known_side, name=declared.name, type=declared.type, at=side.at)

    def _number(self, token: _Token) -> int | float:
        if not token.text.isdigit():
            return float(token.text)
        if int(token.text) > _LARGEST or (token.text.startswith("0") and token.text != "0"):
            self._refuse(token, token.text, "is no number: at most 2^63 - 1, no 0 in front")
        return int(token.text)

    def _string(self, token: _Token) -> str:
        try:
            text = _ESCAPE.sub(_unescape, token.text[1:-1].encode()).decode()
        except UnicodeError:
            self._refuse(token, token.text, "is no text in UTF-8")
        if "\0" in text:
            self._refuse(token, token.text, "holds a NUL")
        return text

    def _refuse_syntax(self) -> NoReturn:
        token = self._token
        found = f"{token.text!r} cannot stand there" if token.text else "it ends too early"
        self._refuse(token, self._text.strip(), f"is no ClassAd expression: {found}")

    def _refuse_depth(self, token: _Token) -> NoReturn:
        most = f"at most {_DEEPEST} operators in a row and {_MOST_OPEN} levels of brackets"
        rule = f"is too deep: {most}; list names with stringListMember"
        self._refuse(token, token.text, rule)

    def _refuse(self, token: _Token, value: str, rule: str) -> NoReturn:
        raise InvalidInput(f"{self._where}, {token.at}", value, rule)

    def _split(self) -> list[_Token]:
        found = []
        position = 0
        while position < len(self._text):
            token = _TOKEN.match(self._text, position)
            if token is None:
                where = f"{self._where}, {self._place(position)}"
                raise InvalidInput(
                    where, self._text[position : position + 20], "cannot stand in requirements"
                )
            assert token.lastgroup is not None
            if token.lastgroup != "blank":
                found.append(_Token(token.lastgroup, token.group(), self._place(position)))
            position = token.end()
        found.append(_Token("end", "", self._place(position)))
        return found

    def _place(self, position: int) -> Position:
        before = self._text[:position]
        return Position(before.count("\n") + 1, position - before.rfind("\n"))


def _depth(root: Node) -> int:
    deepest = 0
    level = [root]
    while level:
        deepest += 1
        level = [part for node in level for part in children(node)]
    return deepest


def _unescape(escape: re.Match[bytes]) -> bytes:
    code = escape[1]
    return bytes([int(code, 8)]) if code[:1] in b"01234567" else _ESCAPED.get(code, code)
