"""Answers of the peers computed again by this engine, number for number: what an outsider checks us by.

Pure. Three kinds of vectors, told apart by their keys: ``discrete`` (ARGO's slots, integration and
aggregation), ``days`` (whole days under RSV and ARGO), ``monthly`` (ARGO's daily rows, and its web API's
answers for days, months and custom periods, in JSON and XML).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from xml.etree import ElementTree

from opengoc.base.errors import InvalidInput
from opengoc.base.instant import parse_instant
from opengoc.base.interval import Interval
from opengoc.base.units import SECONDS_PER_DAY, SECONDS_PER_HOUR
from opengoc.monitoring import argo
from opengoc.monitoring.availability import Node, availability, endpoint_node, reliability
from opengoc.monitoring.model import Endpoint, Status
from opengoc.monitoring.profile import ARGO_EGI, RSV_AS_BUILT, RSV_OSG, Profile
from opengoc.monitoring.timeline import Timeline, combine, from_changes
from opengoc.registry.downtime import Downtime, Severity

#: Any day that is over; the vectors of whole days name none.
_DAY = 20_000 * SECONDS_PER_DAY
_SLOTS_A_DAY = 288
#: An answer of this many digits is a double printed whole.
_SIGNIFICANT = 12


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One number of a peer, and ours."""

    #: Vector and case, e.g. ``monthly ST01/service_a/e01 2015-06``.
    case: str
    #: ``availability``, ``reliability``, ``states`` …
    quantity: str
    #: As the peer printed it.
    expected: str
    #: To the same digits.
    ours: str
    #: Why they differ, where that is known: a defect of the peer that the exact profile does not repeat.
    because: str = ""

    @property
    def agrees(self) -> bool:
        """Whether every printed digit is met."""
        return self.expected == self.ours


def replay(vectors: Any) -> list[Answer]:
    """Every number of one file of vectors. Raises InvalidInput for a file of no known kind."""
    try:
        if isinstance(vectors, dict) and "integrator" in vectors:
            return [*_integrated(vectors), *_timelines(vectors), *_aggregated(vectors)]
        if isinstance(vectors, list) and vectors and "changes_h" in vectors[0]:
            return [answer for case in vectors for answer in _day(case)]
        if isinstance(vectors, list) and vectors and "queries" in vectors[0]:
            return [answer for group in vectors for answer in _argo_answers(group)]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise InvalidInput("vectors", repr(error), "is not as the vectors of its kind are") from error
    raise InvalidInput("vectors", type(vectors).__name__, "is none of discrete, days and monthly")


def _printed(value: float | None, like: str) -> str:
    """Our number with as many places as the peer printed."""
    if value is None:
        return "undefined"
    places = -int(Decimal(like).as_tuple().exponent)
    return f"{value:.{max(places, 0)}f}"


def _day(case: Mapping[str, Any]) -> Iterator[Answer]:
    known = {
        (
            "rsv",
            RSV_OSG.name,
        ): "RSV restores the status of the next change after a downtime; see rsv-osg-as-built"
    }
    for peer, profile in (("rsv", RSV_OSG), ("rsv", RSV_AS_BUILT), ("argo", ARGO_EGI)):
        node = _whole_day(case, profile)
        for name, ratio in (("availability", availability), ("reliability", reliability)):
            expected = str(case[peer][name])
            ours = _printed(ratio(node, profile).percent, expected)
            because = known.get((peer, profile.name), "") if ours != expected else ""
            yield Answer(
                case=f"{profile.name}: {case['case']}",
                quantity=name,
                expected=expected,
                ours=ours,
                because=because,
            )


def _whole_day(case: Mapping[str, Any], profile: Profile) -> Node:
    """The case as one endpoint of one metric. The vectors say what stood: each state is repeated hourly."""
    changes = [(-1.0, case["init"]), *((float(hour), state) for hour, state in case["changes_h"])]
    results = [
        (_DAY + hour * SECONDS_PER_HOUR, Status([state for at, state in changes if at <= hour][-1]))
        for hour in range(-1, 24)
    ]
    results += [(_DAY + round(hour * SECONDS_PER_HOUR), Status(state)) for hour, state in changes]
    downtimes = [
        Downtime(
            id=f"{start}",
            resource="resource",
            services=("CE",),
            interval=Interval(
                _moment(_DAY + start * SECONDS_PER_HOUR), _moment(_DAY + end * SECONDS_PER_HOUR)
            ),
            severity=Severity.OUTAGE,
            declared_at=_moment(_DAY) - timedelta(days=7),
        )
        for start, end in case["downtimes_h"]
    ]
    return endpoint_node(
        Endpoint("site", "resource", "CE"),
        {"metric": results},
        downtimes,
        profile,
        start=_DAY,
        end=_DAY + SECONDS_PER_DAY,
    )


def _moment(second: float) -> datetime:
    return datetime.fromtimestamp(second, UTC)


def _of_changes(start: str, events: Sequence[Sequence[str]]) -> Timeline:
    changes = [(int(parse_instant(at).timestamp()), Status(state)) for at, state in events]
    day = changes[0][0] - changes[0][0] % SECONDS_PER_DAY
    return from_changes([(day, Status(start)), *changes], day, day + SECONDS_PER_DAY)


def _integrated(vectors: Mapping[str, Any]) -> Iterator[Answer]:
    for number, case in enumerate(vectors["integrator"], start=1):
        timeline = argo.sampled(_of_changes(case["start"], case["events"]), slot_minutes=case["sampling"][1])
        node = Node(level="endpoint", name=("", "", ""), measured=timeline, overlaid=timeline, metrics={})
        for name, ratio in (("availability", availability), ("reliability", reliability)):
            percent = ratio(node, ARGO_EGI).percent
            expected = str(case[name])
            # ARGO's own test gives a tolerance; within it the printed number counts as met.
            close = percent is not None and abs(percent - case[name]) <= case["tolerance"]
            yield Answer(
                case=f"integrator {number}, within {case['tolerance']}",
                quantity=name,
                expected=expected,
                ours=expected if close else _printed(percent, expected),
            )


def _timelines(vectors: Mapping[str, Any]) -> Iterator[Answer]:
    for number, case in enumerate(vectors["timeline"], start=1):
        states = argo.slots(
            argo.sampled(_of_changes(case["start"], case["events"]), slot_minutes=case["sampling"][1]),
            slot_minutes=case["sampling"][1],
        )
        expected = [state for state, first, last in case["expected_runs"] for _ in range(first, last)]
        yield Answer(
            case=f"timeline {number}, {len(expected)} slots",
            quantity="states",
            expected=_runs(expected),
            ours=_runs([state.value for state in states]),
        )


def _aggregated(vectors: Mapping[str, Any]) -> Iterator[Answer]:
    tables = {"OR": ARGO_EGI.levels[0].table, "AND": ARGO_EGI.endpoint}
    for number, case in enumerate(vectors["aggregate"], start=1):
        width = case["sampling"][1]
        inputs = [
            argo.sampled(_of_changes(each["start"], each["events"]), slot_minutes=width)
            for each in case["inputs"]
        ]
        states = argo.slots(combine(inputs, tables[case["op"]]), slot_minutes=width)
        yield Answer(
            case=f"aggregate {number}, {case['op']}",
            quantity="states",
            expected=_runs([vectors["states"][index] for index in case["expected"]]),
            ours=_runs([state.value for state in states]),
        )


def _runs(states: Sequence[str]) -> str:
    """States as runs: ``OK 18, WARNING 2``."""
    runs: list[tuple[str, int]] = []
    for state in states:
        runs[-1:] = [(state, runs[-1][1] + 1)] if runs and runs[-1][0] == state else [*runs[-1:], (state, 1)]
    return ", ".join(f"{state} {count}" for state, count in runs)


#: Names of the numbers in ARGO's answers.
_NUMBERS: Mapping[str, Callable[[argo.MonthlyAnswer], float]] = {
    "availability": lambda answer: answer.availability,
    "reliability": lambda answer: answer.reliability,
    "unknown": lambda answer: answer.unknown,
    "uptime": lambda answer: answer.up,
    "downtime": lambda answer: answer.down,
}


def _argo_answers(group: Mapping[str, Any]) -> Iterator[Answer]:
    for query in group["queries"]:
        xml = "xml" in query["accept"]
        found = _of_xml(query["expected"]) if xml else _of_json(json.loads(query["expected"]))
        for path, numbers in found:
            stamp = numbers.get("timestamp", "")
            rows = [row for row in group["rows"] if _is_about(row, path)]
            if len(stamp) == len("2015-06-22"):
                rows = [_in_slots(row) for row in rows if str(row["date"]) == stamp.replace("-", "")]
            days = [
                argo.DailyFractions(up=row["up"], down=row["down"], unknown=row["unknown"]) for row in rows
            ]
            month = argo.monthly(days)
            for name, number in _NUMBERS.items():
                yield Answer(
                    case=f"{group['file']} {'xml' if xml else 'json'} {'/'.join(path)} {stamp or 'custom'}",
                    quantity=name,
                    expected=numbers[name],
                    ours=_to_digits(number(month), numbers[name]),
                )


def _in_slots(row: Mapping[str, Any]) -> dict[str, float]:
    """A day's fractions as the whole slots of five minutes that they were rounded from."""
    return {name: round(row[name] * _SLOTS_A_DAY) / _SLOTS_A_DAY for name in ("up", "down", "unknown")}


def _to_digits(value: float, like: str) -> str:
    """Our number to the digits of theirs; the last of a double's sixteen is the order of the additions."""
    digits = like.replace(".", "").lstrip("0")
    if len(digits) >= _SIGNIFICANT and abs(value - float(like)) <= 1e-13 * abs(float(like)):
        return like
    return _printed(value, like)


def _is_about(row: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    """Whether a daily row is of the thing that names from the group down lead to."""
    names = {str(row["name"]), str(row["supergroup"]), str(row.get("service", row["name"]))}
    return row["name"] == path[-1] and set(path) <= names


def _of_json(answer: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Mapping[str, str]]]:
    """Numbers of one JSON answer with the names that lead to them."""
    if isinstance(answer, list):
        for item in answer:
            yield from _of_json(item, path)
    elif isinstance(answer, dict):
        if "availability" in answer:
            yield path, answer
            return
        names = [answer[key] for key in ("supergroup", "service", "name") if key in answer]
        for value in answer.values():
            if isinstance(value, list):
                yield from _of_json(value, (*path, *names))


def _of_xml(text: str) -> Iterator[tuple[tuple[str, ...], Mapping[str, str]]]:
    """Numbers of one XML answer with the names that lead to them."""

    def below(element: ElementTree.Element, path: tuple[str, ...]) -> Iterator[Any]:
        for child in element:
            if child.tag == "results":
                yield path, dict(child.attrib)
            else:
                yield from below(child, (*path, child.attrib["name"]))

    yield from below(ElementTree.fromstring(text.strip()), ())
