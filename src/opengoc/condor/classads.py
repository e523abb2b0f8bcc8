"""ClassAd expressions: parse, evaluate and render them; three-valued results are kept.

Evaluation is HTCondor's own (``classad2``): what is decided here is what a startd would decide.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Final, TypeAlias

# isort: off
# htcondor2 first: importing it registers the string list functions; without them stringListMember errs.
import htcondor2  # noqa: F401
import classad2

# isort: on

from opengoc.base.errors import InvalidInput


class Truth(Enum):
    """What a condition comes to: ClassAd logic has two ways of not knowing."""

    TRUE = "true"
    FALSE = "false"
    UNDEFINED = "undefined"
    ERROR = "error"


class Special(Enum):
    """An attribute's value that is no value."""

    UNDEFINED = "undefined"
    ERROR = "error"


UNDEFINED: Final = Special.UNDEFINED
ERROR: Final = Special.ERROR

#: A ClassAd value as Python sees it; lists hold values, nested ads are mappings.
Value: TypeAlias = bool | int | float | str | datetime | Special | list[Any] | dict[str, Any] | None
#: An ad with its values evaluated; an undefined attribute is absent.
Ad: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Expression:
    """A parsed ClassAd expression."""

    #: The text as it was written.
    text: str
    _tree: Any = field(repr=False)

    def __eq__(self, other: object) -> bool:
        """Whether two expressions have the same parse tree; blanks do not count."""
        return isinstance(other, Expression) and bool(self._tree == other._tree)

    def __hash__(self) -> int:
        return hash(render(self))

    def references(self) -> frozenset[str]:
        """Names it needs from outside, as ``TARGET.Name`` or ``Name`` (``MY.`` is left out by ClassAds)."""
        return frozenset(name for name in classad2.ClassAd().externalRefs(self._tree) if name)


def parse(text: str, where: str = "expression") -> Expression:
    """Parse ``text``, the whole of it. Raises InvalidInput."""
    try:
        # classad2 stops at the first complete expression, so that `true]; x=[` would pass: a pair of brackets
        # around it makes the rest count, and the bare text refuses one that closes what it did not open.
        classad2.ExprTree(f"({text})")
        return Expression(text.strip(), classad2.ExprTree(text))
    except classad2.ClassAdException as error:
        raise InvalidInput(where, text.strip(), "is no ClassAd expression") from error


def evaluate(expression: Expression, *, my: Ad | None = None, target: Ad | None = None) -> Value:
    """Its value: ``MY.`` looks into ``my``, ``TARGET.`` into ``target``; Special where there is none."""
    return evaluate_in(expression, my=compile_ad(my or {}), target=compile_ad(target or {}))


def compile_ad(ad: Ad) -> Any:
    """The ad as an object that ``evaluate_in`` takes: build it once where it is used many times."""
    return classad2.ClassAd({name: _to_classad(value) for name, value in ad.items()})


def evaluate_in(expression: Expression, *, my: Any, target: Any) -> Value:
    """As ``evaluate``, with ads from ``compile_ad``."""
    return from_classad(expression._tree.eval(my, target))


def truth(value: Value) -> Truth:
    """What a matchmaker takes ``value`` for: a number counts as true unless it is 0, a string is an error."""
    if value is UNDEFINED or value is None:
        return Truth.UNDEFINED
    if isinstance(value, bool | int | float):
        return Truth.TRUE if value else Truth.FALSE
    return Truth.ERROR


def render(expression: Expression) -> str:
    """The expression as ClassAd text on one line; parsing it again gives an equal expression."""
    return " ".join(str(expression._tree).split("\n"))


def literal(value: Value) -> str:
    """``value`` as a ClassAd literal, strings quoted."""
    if value is None or isinstance(value, Special):
        return "error" if value is ERROR else "undefined"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return f'real("{value}")' if value != value or value in (float("inf"), float("-inf")) else repr(value)
    if isinstance(value, str):
        return str(classad2.quote(value))
    if isinstance(value, list):
        return "{" + ", ".join(literal(item) for item in value) + "}"
    raise InvalidInput("ClassAd literal", value, "must be a truth value, a number, a string or a list")


def parse_ads(text: str) -> Iterator[dict[str, Any]]:
    """Every ad of a text of ads in HTCondor's "old" format, separated by blank lines; values evaluated."""
    for ad in classad2.parseAds(text, classad2.ParserType.Old):
        yield evaluated(ad)


def evaluated(ad: Any) -> dict[str, Any]:
    """A classad2 ad as a mapping of values; undefined attributes are left out."""
    values = ((name, from_classad(ad.eval(name))) for name in ad)
    return {name: value for name, value in values if value is not UNDEFINED}


def from_classad(value: Any) -> Value:
    """A classad2 value as Python's own."""
    # classad2.Value is an int enumeration: it has to be looked for before the numbers.
    if isinstance(value, classad2.Value):
        return UNDEFINED if value == classad2.Value.Undefined else ERROR
    if isinstance(value, classad2.ClassAd):
        return evaluated(value)
    if isinstance(value, classad2.ExprTree):
        return from_classad(value.eval())
    if isinstance(value, list):
        return [from_classad(item) for item in value]
    assert value is None or isinstance(value, bool | int | float | str | datetime)
    return value


def _to_classad(value: Value) -> Any:
    if value is None or value is UNDEFINED:
        return classad2.Value.Undefined
    if value is ERROR:
        return classad2.Value.Error
    if isinstance(value, dict):
        return {name: _to_classad(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_to_classad(item) for item in value]
    return value
