"""The functions that requirements may use: those whose value depends on their arguments alone.

Not among them: time and random (two evaluations would differ), eval and getenv (they reach what is not
declared), substr (it counts bytes and cuts letters in two).
How each is computed over arrays: ``factory/arrays.py``; those without an array form are asked of HTCondor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

#: Names of kinds of arguments and results, as the check uses them.
ANY: Final = frozenset({"bool", "number", "string", "list"})
BOOL: Final = frozenset({"bool"})
NUMBER: Final = frozenset({"number"})
STRING: Final = frozenset({"string"})
LIST: Final = frozenset({"list"})
_PLAIN: Final = frozenset({"bool", "number", "string"})


@dataclass(frozen=True, kw_only=True)
class Function:
    """How often and of what a function takes arguments."""

    #: As HTCondor's manual writes it; case does not count.
    name: str
    least: int
    most: int
    #: Kinds that each argument may have; the last is repeated.
    takes: tuple[frozenset[str], ...]
    #: Kinds of the result.
    gives: frozenset[str]

    def counts(self) -> str:
        """For messages: ``2 arguments``, ``2 or 3 arguments``."""
        if self.most >= _MANY:
            return f"at least {self.least} argument(s)"
        return (
            f"{self.least} argument(s)"
            if self.least == self.most
            else f"{self.least} to {self.most} arguments"
        )

    def argument(self, number: int) -> frozenset[str]:
        """The kinds that an argument, counted from 0, may have."""
        return self.takes[min(number, len(self.takes) - 1)]


_MANY = 64


def _function(name: str, least: int, most: int, gives: frozenset[str], *takes: frozenset[str]) -> Function:
    return Function(name=name, least=least, most=most, takes=takes, gives=gives)


_ALL = (
    _function("bool", 1, 1, BOOL, _PLAIN),
    _function("ceiling", 1, 1, NUMBER, _PLAIN),
    _function("floor", 1, 1, NUMBER, _PLAIN),
    _function("identicalMember", 2, 2, BOOL, _PLAIN, LIST),
    _function("ifThenElse", 3, 3, ANY, BOOL | NUMBER, ANY),
    _function("int", 1, 1, NUMBER, _PLAIN),
    _function("isBoolean", 1, 1, BOOL, ANY),
    _function("isError", 1, 1, BOOL, ANY),
    _function("isInteger", 1, 1, BOOL, ANY),
    _function("isReal", 1, 1, BOOL, ANY),
    _function("isString", 1, 1, BOOL, ANY),
    _function("isUndefined", 1, 1, BOOL, ANY),
    _function("member", 2, 2, BOOL, _PLAIN, LIST),
    _function("pow", 2, 2, NUMBER, NUMBER),
    _function("real", 1, 1, NUMBER, _PLAIN),
    _function("regexp", 2, 3, BOOL, STRING),
    _function("round", 1, 1, NUMBER, _PLAIN),
    _function("size", 1, 1, NUMBER, STRING | LIST),
    _function("strcat", 0, _MANY, STRING, _PLAIN),
    _function("strcmp", 2, 2, NUMBER, _PLAIN),
    _function("stricmp", 2, 2, NUMBER, _PLAIN),
    _function("string", 1, 1, STRING, _PLAIN),
    _function("stringList_regexpMember", 2, 4, BOOL, STRING),
    _function("stringListIMember", 2, 3, BOOL, STRING),
    _function("stringListMember", 2, 3, BOOL, STRING),
    _function("stringListSize", 1, 2, NUMBER, STRING),
    _function("stringListSubsetMatch", 2, 3, BOOL, STRING),
    _function("toLower", 1, 1, STRING, _PLAIN),
    _function("toUpper", 1, 1, STRING, _PLAIN),
    _function("versioncmp", 2, 2, NUMBER, STRING),
    _function("versionGE", 2, 2, BOOL, STRING),
    _function("versionGT", 2, 2, BOOL, STRING),
    _function("versionLE", 2, 2, BOOL, STRING),
    _function("versionLT", 2, 2, BOOL, STRING),
)

#: By name in lower case.
FUNCTIONS: Final[Mapping[str, Function]] = {each.name.casefold(): each for each in _ALL}
