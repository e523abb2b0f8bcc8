"""Many records of one layout read at once: what a publisher writes ten thousand times looks the same. Pure.

A layout is the text of one record with its values cut out. It becomes a pattern that takes exactly the
records of the same text with other values, and gives the values; a value is printable ASCII without the
characters that mean something in the format. Whatever no layout takes is read the slow
way, and may give a new layout.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow
import pyarrow.compute as pc

#: Layouts that are tried; more, and the slow way is as good.
_MOST = 8
_NOTHING = ["", "none", "null", "unknown", "n/a", "(null)"]
_DIGITS = r"^[0-9]{1,15}$"
_ISO = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"
_PERIOD = (
    r"^PT?(?:(?P<d>[0-9]{1,6})DT?)?(?:(?P<h>[0-9]{1,6})H)?(?:(?P<m>[0-9]{1,6})M)?"
    r"(?:(?P<s>[0-9]{1,9}(?:\.[0-9]{1,6})?)S)?$"
)
_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The text of a record, and which value stands where in it."""

    pattern: re.Pattern[bytes]
    #: Name of a value → the group that holds it.
    groups: Mapping[str, int]


def layout(exemplar: bytes, holes: Sequence[tuple[int, int]], value: bytes, names: Sequence[str]) -> Layout:
    """The layout of an exemplar with ``holes`` for values of the class ``value``, named in their order."""
    parts, at = [], 0
    for start, end in holes:
        parts += [re.escape(exemplar[at:start]), b"(" + value + b"*)"]
        at = end
    parts.append(re.escape(exemplar[at:]))
    # Of a name that stands twice the last value counts.
    return Layout(pattern=re.compile(b"".join(parts)), groups={name: n for n, name in enumerate(names)})


@dataclass(kw_only=True)
class _Taken:
    values: list[tuple[bytes, ...]] = field(default_factory=list)
    places: list[tuple[int, int]] = field(default_factory=list)


@dataclass(kw_only=True)
class Sorted:
    """The records of some bytes, by their layout."""

    taken: list[tuple[Layout, Texts]]
    #: Stretches that no layout takes.
    rest: list[tuple[int, int]]


def sort(
    data: bytes,
    cut: Callable[[int], int | None],
    learn: Callable[[int, int], Layout | None],
    skip: re.Pattern[bytes],
) -> Sorted:
    """Sort records by layout, up to the first that does not end, or does not begin behind the one before.

    ``cut`` gives where the record at a position ends (None: there is none, or it does not end), ``learn`` the
    layout of one, and ``skip`` takes what may stand before one.
    """
    layouts: list[tuple[Layout, _Taken]] = []
    rest: list[tuple[int, int]] = []
    last = 0
    at = _behind(skip, data, 0)
    while at < len(data):
        for each, taken in layouts:
            found = each.pattern.match(data, at)
            if found is not None:
                end = found.end()
                taken.values.append(found.groups())
                taken.places.append((at, end - at))
                break
        else:
            cut_at = cut(at)
            if cut_at is None:
                break
            end = cut_at
            learnt = learn(at, end) if len(layouts) < _MOST else None
            if learnt is not None:
                layouts.append((learnt, _Taken()))
                continue
            rest.append((at, end))
        last, at = end, _behind(skip, data, end)
    made = [(each, Texts(each, taken.values, taken.places)) for each, taken in layouts if taken.values]
    if last < len(data):
        rest.append((last, len(data)))
    return Sorted(taken=made, rest=rest)


def _behind(skip: re.Pattern[bytes], data: bytes, at: int) -> int:
    found = skip.match(data, at)
    return found.end() if found else at


class Texts:
    """The values of records of one layout, as columns; and which records are told in the plain way."""

    def __init__(
        self, each: Layout, values: Sequence[tuple[bytes, ...]], places: Sequence[tuple[int, int]]
    ) -> None:
        self._columns = list(zip(*values, strict=True))
        self._groups = each.groups
        self.places = places
        self.count = len(values)
        #: Records whose every value was understood so far.
        self.plain: Any = pyarrow.repeat(True, self.count)

    @property
    def names(self) -> list[str]:
        """Of all values that the layout has."""
        return list(self._groups)

    def has(self, name: str) -> bool:
        """Whether the layout has a value of this name."""
        return name in self._groups

    def text(self, *names: str) -> Any:
        """The first of these values that says something; null where none does, None where there is none."""
        made = [self._known(name) for name in names if name in self._groups]
        return None if not made else made[0] if len(made) == 1 else pc.coalesce(*made)

    def _known(self, name: str) -> Any:
        raw = pyarrow.array(self._columns[self._groups[name]], pyarrow.binary()).cast(pyarrow.string())
        trimmed = pc.ascii_trim_whitespace(raw)
        nothing = pc.is_in(pc.ascii_lower(trimmed), value_set=pyarrow.array(_NOTHING))
        return pc.if_else(nothing, pyarrow.scalar(None, pyarrow.string()), trimmed)

    def require(self, column: Any) -> None:
        """Leave out the records that lack a value."""
        self.plain = (
            pc.and_(self.plain, pc.is_valid(column))
            if column is not None
            else pyarrow.repeat(False, self.count)
        )

    def _matching(self, column: Any, pattern: str) -> Any:
        """The values of a plain shape; records with another are left out."""
        fits = pc.match_substring_regex(column, pattern)
        self.plain = pc.and_(self.plain, pc.fill_null(fits, True))
        return pc.if_else(fits, column, pyarrow.scalar(None, pyarrow.string()))

    def whole(self, *names: str) -> Any:
        """Whole numbers."""
        column = self.text(*names)
        return None if column is None else pc.cast(self._matching(column, _DIGITS), pyarrow.int64())

    def instant(self, *names: str) -> Any:
        """ISO 8601 times in UTC. Raises ArrowInvalid for one of a month 13."""
        column = self.text(*names)
        return (
            None
            if column is None
            else pc.cast(self._matching(column, _ISO), pyarrow.timestamp("us", tz="UTC"))
        )

    def seconds(self, *names: str) -> Any:
        """ISO 8601 durations of days and less, as seconds."""
        column = self.text(*names)
        if column is None:
            return None
        column = self._matching(column, r"^PT?[0-9][0-9.DTHMS]*$")
        parts = pc.extract_regex(column, _PERIOD)
        self.plain = pc.and_(self.plain, pc.or_(pc.is_null(column), pc.is_valid(parts)))
        total: Any = None
        for name, seconds in _SECONDS.items():
            part = pc.struct_field(parts, name)
            part = pc.cast(pc.if_else(pc.equal(part, ""), "0", part), pyarrow.float64())
            part = pc.multiply(part, seconds)
            total = part if total is None else pc.add(total, part)
        return total


def epoch(seconds: Any) -> Any:
    """Seconds since 1970 as instants."""
    return pc.cast(pc.cast(seconds, pyarrow.timestamp("s", tz="UTC")), pyarrow.timestamp("us", tz="UTC"))
