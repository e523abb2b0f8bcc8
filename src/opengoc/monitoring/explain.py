"""Where every second that a site was not up went: what stood in the way, down to metrics and downtimes.

Pure. The pieces of one node cover its lost time exactly: no second is left out, none is told twice.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import itemgetter

from opengoc.monitoring.availability import Node
from opengoc.monitoring.model import Status
from opengoc.monitoring.profile import Formula, Layer
from opengoc.monitoring.timeline import Run, Timeline, outside, within


@dataclass(frozen=True, order=True)
class Cause:
    """What stood in the way: a metric, a downtime, a request, or that nothing was expected to answer."""

    resource: str
    service: str
    #: Metric, or id of the downtime or request; empty where nothing is expected of the service.
    what: str
    is_downtime: bool = False
    is_request: bool = False


#: A cause and the seconds [start, end) in which it stood in the way.
Leaf = tuple[int, int, Cause]


@dataclass(frozen=True, kw_only=True)
class Loss:
    """One piece of lost time: [start, end) seconds, the state of the node, and all that decided it."""

    start: int
    end: int
    state: Status
    causes: tuple[Cause, ...]
    #: Whether the formula counts it as down; False: it leaves these seconds out of T.
    counts: bool

    @property
    def seconds(self) -> int:
        """Length of the piece."""
        return self.end - self.start


def losses(node: Node, formula: Formula) -> list[Loss]:
    """Every second of the node's window that the formula does not count as up, in order of time."""
    pieces = []
    for start, end, state in node.timeline(formula.layer).runs():
        if state in formula.up:
            continue
        leaves = list(_leaves(node, formula.layer, start, end))
        for begin, until, causes in _cuts(leaves, start, end):
            pieces.append(
                Loss(
                    start=begin,
                    end=until,
                    state=state,
                    causes=causes,
                    counts=state not in formula.left_out,
                )
            )
    return pieces


def seconds_by_cause(pieces: Iterable[Loss]) -> dict[tuple[Status, tuple[Cause, ...]], int]:
    """Lost seconds by state and causes, the largest first; their sum is the time lost."""
    totals: dict[tuple[Status, tuple[Cause, ...]], int] = {}
    for piece in pieces:
        key = (piece.state, piece.causes)
        totals[key] = totals.get(key, 0) + piece.seconds
    return dict(sorted(totals.items(), key=lambda item: (-item[1], item[0])))


def _leaves(node: Node, layer: Layer, start: int, end: int) -> Iterator[Leaf]:
    """What decided the state within [start, end): the children in the same state, down to the leaves."""
    if not node.children:
        yield from _endpoint_leaves(node, layer, start, end)
        return
    for child in node.children:
        for begin, until in _shared(node.timeline(layer), child.timeline(layer), start, end):
            yield from _leaves(child, layer, begin, until)


def _endpoint_leaves(node: Node, layer: Layer, start: int, end: int) -> Iterator[Leaf]:
    _, resource, service = node.name
    for begin, until, state in _within(node.timeline(layer), start, end):
        if state is Status.DOWNTIME:
            for a, b, downtime in node.windows:
                if max(a, begin) < min(b, until):
                    yield max(a, begin), min(b, until), Cause(resource, service, downtime, True)
        else:
            yield from _measured_leaves(node, layer, (begin, until, state))


def _measured_leaves(node: Node, layer: Layer, run: Run) -> Iterator[Leaf]:
    """Requests that say so, metrics that say so, else: the service is not expected to answer."""
    _, resource, service = node.name
    begin, until, state = run
    named: list[Leaf] = []
    for request in node.requests:
        for a, b in within([request.span], begin, until):
            if request.status is state:
                named.append((a, b, Cause(resource, service, request.id, is_request=True)))
    for metric, timeline in node.metrics.items():
        for a, b in _shared(node.timeline(layer), timeline, begin, until):
            if state is not Status.EXCLUDED:
                named.append((a, b, Cause(resource, service, metric)))
    yield from named
    told = [(a, b) for a, b, _ in named]
    for a, b in outside(_merged(told), begin, until):
        yield a, b, Cause(resource, service, "")


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def _within(timeline: Timeline, start: int, end: int) -> Iterator[Run]:
    changes = timeline.changes
    for index in range(bisect_right(changes, start, key=itemgetter(0)) - 1, len(changes)):
        begin, state = changes[index]
        if begin >= end:
            return
        until = changes[index + 1][0] if index + 1 < len(changes) else timeline.end
        yield max(begin, start), min(until, end), state


def _shared(one: Timeline, other: Timeline, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Where both stand in the same state within [start, end)."""
    for begin, until, state in _within(one, start, end):
        for a, b, second in _within(other, begin, until):
            if second is state:
                yield a, b


def _cuts(leaves: Iterable[Leaf], start: int, end: int) -> Iterator[tuple[int, int, tuple[Cause, ...]]]:
    """[start, end) in pieces of one set of causes each, in order and without holes."""
    edges = sorted({start, end, *(edge for begin, until, _ in leaves for edge in (begin, until))})
    begin, standing = start, _standing_at(leaves, start)
    for edge in edges[1:]:
        next_standing = _standing_at(leaves, edge) if edge < end else None
        if next_standing != standing:
            yield begin, edge, tuple(sorted(standing))
            begin = edge
        if next_standing is not None:
            standing = next_standing


def _standing_at(leaves: Iterable[Leaf], at: int) -> frozenset[Cause]:
    return frozenset(cause for begin, until, cause in leaves if begin <= at < until)
