"""Columns: many ClassAd values side by side, as NumPy arrays that keep each value's type.

ClassAds tell 1, 1.0 and true apart, and undefined from error: a column holds the kind of each value, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from opengoc.condor.classads import ERROR as ERROR_VALUE
from opengoc.condor.classads import UNDEFINED as UNDEFINED_VALUE
from opengoc.condor.classads import Special, Value

#: Kinds of values. OTHER: lists, nested ads and times, which only HTCondor's own functions look into.
UNDEFINED: Final = 0
ERROR: Final = 1
BOOL: Final = 2
INT: Final = 3
REAL: Final = 4
STRING: Final = 5
OTHER: Final = 6
KINDS: Final = 7

Kinds: TypeAlias = NDArray[np.uint8]
Bytes: TypeAlias = NDArray[np.uint8]
Integers: TypeAlias = NDArray[np.int64]
Reals: TypeAlias = NDArray[np.float64]
Objects: TypeAlias = NDArray[np.object_]
Mask: TypeAlias = NDArray[np.bool_]
Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Column:
    """Values; the four arrays have one shape."""

    kind: Kinds
    #: Of truth values (0 and 1) and integers; 0 for others.
    integer: Integers
    #: Of every number and truth value; 0 for others.
    real: Reals
    #: Of strings and OTHER; None where there are none.
    objects: Objects | None = None

    @property
    def shape(self) -> Shape:
        """Of each array."""
        return self.kind.shape

    def take(self, index: Any) -> Column:
        """The values at an index, as NumPy takes it."""
        return Column(
            kind=self.kind[index],
            integer=self.integer[index],
            real=self.real[index],
            objects=None if self.objects is None else self.objects[index],
        )

    def spread(self, shape: Shape) -> Column:
        """The same values repeated to a shape; nothing is copied."""
        if self.shape == shape:
            return self
        return Column(
            kind=np.broadcast_to(self.kind, shape),
            integer=np.broadcast_to(self.integer, shape),
            real=np.broadcast_to(self.real, shape),
            objects=None if self.objects is None else np.broadcast_to(self.objects, shape),
        )

    def value(self, *place: int) -> Value:
        """One value as Python's own."""
        kind = int(self.kind[place])
        if kind == BOOL:
            return bool(self.integer[place])
        if kind == INT:
            return int(self.integer[place])
        if kind == REAL:
            return float(self.real[place])
        if kind in (STRING, OTHER):
            assert self.objects is not None
            found: Value = self.objects[place]
            return found
        return ERROR_VALUE if kind == ERROR else UNDEFINED_VALUE


class _KindOfType(dict[type, int]):
    def __missing__(self, found: type) -> int:
        # An enumeration over int or str is what it stands for.
        bases: tuple[tuple[type, int], ...] = ((bool, BOOL), (int, INT), (float, REAL), (str, STRING))
        kind = next((kind for base, kind in bases if issubclass(found, base)), OTHER)
        self[found] = kind
        return kind


_kind_of_type = _KindOfType({type(None): UNDEFINED, bool: BOOL, int: INT, float: REAL, str: STRING})


def column(values: Sequence[Value]) -> Column:
    """Values as a column. None is undefined; what no ad can hold (an integer beyond 64 bits) is an error."""
    kind = np.fromiter(map(_kind_of_type.__getitem__, map(type, values)), np.uint8, len(values))
    made = _empty(kind)
    for present in np.unique(kind).tolist():
        places = np.nonzero(kind == present)[0]
        chosen = values if len(places) == len(values) else [values[place] for place in places.tolist()]
        _fill(made, places, present, chosen)
    return made


def constant_column(value: Value) -> Column:
    """One value as a column of length 1: it goes with any shape."""
    return column([value])


def _empty(kind: Kinds) -> Column:
    has_objects = bool((kind >= STRING).any())
    return Column(
        kind=kind,
        integer=np.zeros(kind.shape, np.int64),
        real=np.zeros(kind.shape, np.float64),
        objects=np.full(kind.shape, "", object) if has_objects else None,
    )


def _fill(made: Column, places: NDArray[np.intp], kind: int, values: Sequence[Any]) -> None:
    """Put values of one kind at their places."""
    if kind == REAL:
        made.real[places] = np.array(values, np.float64)
    elif kind in (BOOL, INT):
        try:
            integers = np.array(values, np.int64)
        except OverflowError:
            fits = np.array([-(2**63) <= value < 2**63 for value in values])
            made.kind[places[~fits]] = ERROR
            integers = np.array([v if fit else 0 for v, fit in zip(values, fits, strict=True)], np.int64)
        made.integer[places] = integers
        made.real[places] = integers
    elif kind == STRING:
        assert made.objects is not None
        texts, refused = _held(values)
        made.objects[places] = texts
        made.kind[places[refused]] = ERROR
    elif kind == OTHER:
        assert made.objects is not None
        for place, value in zip(places.tolist(), values, strict=True):
            if isinstance(value, Special):
                made.kind[place] = ERROR if value is ERROR_VALUE else UNDEFINED
            else:
                made.objects[place] = value


def _held(values: Sequence[str]) -> tuple[Objects, list[int]]:
    """Texts as an ad holds them (it ends one at a NUL), and the numbers of those that it cannot hold."""
    texts = np.empty(len(values), object)
    texts[:] = values
    refused = []
    for number, text in enumerate(values):
        if "\0" in text:
            texts[number] = text = text.partition("\0")[0]
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                texts[number] = ""
                refused.append(number)
    return texts, refused


def fold(text: str) -> bytes:
    """A text as ClassAds compare it without regard to case: of the letters, A to Z alone have two cases."""
    return text.encode().lower()


def distinct(keys: Iterable[Any]) -> tuple[list[Any], NDArray[np.int64]]:
    """The different keys in order of first appearance, and for each key which one it is."""
    found: dict[Any, int] = {}
    codes = [found.setdefault(key, len(found)) for key in keys]
    return list(found), np.array(codes, np.int64)
