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


def _function(least: int, most: int, gives: frozenset[str], *takes: frozenset[str]) -> Function:
    return Function(least=least, most=most, takes=takes, gives=gives)


#: By name in lower case.
FUNCTIONS: Final[Mapping[str, Function]] = {
    "bool": _function(1, 1, BOOL, _PLAIN),
    "ceiling": _function(1, 1, NUMBER, _PLAIN),
    "floor": _function(1, 1, NUMBER, _PLAIN),
    "identicalmember": _function(2, 2, BOOL, _PLAIN, LIST),
    "ifthenelse": _function(3, 3, ANY, BOOL | NUMBER, ANY),
    "int": _function(1, 1, NUMBER, _PLAIN),
    "isboolean": _function(1, 1, BOOL, ANY),
    "iserror": _function(1, 1, BOOL, ANY),
    "isinteger": _function(1, 1, BOOL, ANY),
    "isreal": _function(1, 1, BOOL, ANY),
    "isstring": _function(1, 1, BOOL, ANY),
    "isundefined": _function(1, 1, BOOL, ANY),
    "member": _function(2, 2, BOOL, _PLAIN, LIST),
    "pow": _function(2, 2, NUMBER, NUMBER),
    "real": _function(1, 1, NUMBER, _PLAIN),
    "regexp": _function(2, 3, BOOL, STRING),
    "round": _function(1, 1, NUMBER, _PLAIN),
    "size": _function(1, 1, NUMBER, STRING | LIST),
    "strcat": _function(0, _MANY, STRING, _PLAIN),
    "strcmp": _function(2, 2, NUMBER, _PLAIN),
    "stricmp": _function(2, 2, NUMBER, _PLAIN),
    "string": _function(1, 1, STRING, _PLAIN),
    "stringlist_regexpmember": _function(2, 4, BOOL, STRING),
    "stringlistimember": _function(2, 3, BOOL, STRING),
    "stringlistmember": _function(2, 3, BOOL, STRING),
    "stringlistsize": _function(1, 2, NUMBER, STRING),
    "stringlistsubsetmatch": _function(2, 3, BOOL, STRING),
    "tolower": _function(1, 1, STRING, _PLAIN),
    "toupper": _function(1, 1, STRING, _PLAIN),
    "versioncmp": _function(2, 2, NUMBER, STRING),
    "versionge": _function(2, 2, BOOL, STRING),
    "versiongt": _function(2, 2, BOOL, STRING),
    "versionle": _function(2, 2, BOOL, STRING),
    "versionlt": _function(2, 2, BOOL, STRING),
}
