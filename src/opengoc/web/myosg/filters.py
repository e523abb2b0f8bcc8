"""The filters of MyOSG's addresses, from a query to a value that says what is asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from opengoc.base.errors import InvalidInput

#: Key of a query → what its numbers are numbers of.
_LISTS = {
    "facility": "facility ID",
    "rg": "resource group ID",
    "service": "service ID",
    "sc": "support center ID",
    "site": "site ID",
    "vo": "VO ID",
    "voown": "VO owner ID",
}
_NONE: frozenset[int] = frozenset()
#: More digits than any ID has; a longer number can match nothing.
_MAX_DIGITS = 15
_MAX_PARAMETERS = 2000


@dataclass(frozen=True, kw_only=True)
class Filters:
    """What is asked for: None and empty sets ask for all."""

    active: bool | None = None
    disable: bool | None = None
    oasis: bool | None = None
    #: True: production only; False: testbed only.
    production: bool | None = None
    service_hidden: bool | None = None
    has_wlcg: bool = False
    #: Days that a past downtime is shown after its end; None: always.
    past_days: int | None = 0
    #: Key of ``_LISTS`` → numbers.
    numbers: dict[str, frozenset[int]] = field(default_factory=dict, hash=False)

    def of(self, key: str) -> frozenset[int]:
        """The numbers asked for under a key; empty: all."""
        return self.numbers.get(key, _NONE)

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for queries that ask for the same."""
        lists = tuple(sorted((key, tuple(sorted(found))) for key, found in self.numbers.items()))
        plain = (self.active, self.disable, self.oasis, self.production, self.service_hidden)
        return (*plain, self.has_wlcg, self.past_days, lists)


def read_filters(query: Iterable[tuple[str, str]]) -> Filters:
    """The filters of a query. Raises InvalidInput in the words that clients of MyOSG know."""
    pairs = list(query)
    if len(pairs) > _MAX_PARAMETERS:
        raise InvalidInput("query", len(pairs), f"must hold {_MAX_PARAMETERS} parameters at most")
    first: dict[str, str] = {}
    for key, value in pairs:
        first.setdefault(key, value)
    return Filters(
        active=_flag(first, "active"),
        disable=_flag(first, "disable"),
        oasis=_flag(first, "oasis"),
        production=_production(first),
        service_hidden=_zero_or_one(first["service_hidden_value"], "service_hidden_value")
        if "service_hidden_value" in first
        else None,
        has_wlcg="has_wlcg" in first,
        past_days=_past_days(first.get("downtime_attrs_showpast", "")),
        numbers={key: _numbers(key, pairs) for key in _LISTS if key in first},
    )


def _flag(first: dict[str, str], key: str) -> bool | None:
    return _zero_or_one(first.get(f"{key}_value", ""), f"{key}_value") if key in first else None


def _zero_or_one(text: str, key: str) -> bool:
    if text not in ("0", "1"):
        raise InvalidInput(key, text, f"{key} must be 0 or 1")
    return text == "1"


def _production(first: dict[str, str]) -> bool | None:
    if "gridtype" not in first:
        return None
    production, testbed = (first.get(f"gridtype_{number}") == "on" for number in (1, 2))
    if not production and not testbed:
        raise InvalidInput("gridtype", "", 'gridtype_1 or gridtype_2 or both must be "on"')
    return None if production and testbed else production


def _past_days(text: str) -> int | None:
    if text == "all":
        return None
    if not text:
        return 0
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        rule = 'downtime_attrs_showpast must be an integer, "", or "all"'
        raise InvalidInput("downtime_attrs_showpast", text, rule)
    return None if text.startswith("-") else int(text)


def _numbers(key: str, pairs: list[tuple[str, str]]) -> frozenset[int]:
    """``key_ID=on`` and ``key_sel[]=ID``, every one of them."""
    found = set()
    for name, value in pairs:
        if name == f"{key}_sel[]":
            if not re.fullmatch(rf"[0-9]{{1,{_MAX_DIGITS}}}", value):
                raise InvalidInput(name, value, f"{name}={value[:40]}: must be int")
            found.add(int(value))
        elif match := re.fullmatch(rf"{key}_([0-9]{{1,{_MAX_DIGITS}}})", name):
            found.add(int(match[1]))
    if not found:
        rule = (
            f"at least one {_LISTS[key]} must be specified via the syntax {key}_ID=on or {key}_sel[]=ID."
            " (These may be specified multiple times for multiple IDs.)"
        )
        raise InvalidInput(key, "", rule)
    return frozenset(found)
