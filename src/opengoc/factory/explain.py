"""Why a job may not run behind an entry: the clauses of the requirement that are not true. Pure.

From the same tree that matches and that START is made of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from opengoc.condor.classads import Ad, Truth
from opengoc.factory import arrays
from opengoc.factory.evaluate import truth_of
from opengoc.factory.tree import Binary, Node, as_written, operands, references, render
from opengoc.factory.values import Column, column

_TRUTH = {
    arrays.MAYBE: Truth.UNDEFINED,
    arrays.TRUE: Truth.TRUE,
    arrays.FALSE: Truth.FALSE,
    arrays.FAULT: Truth.ERROR,
}


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """A clause that is not true for a job and an entry."""

    #: As ClassAd text over ``job.X`` and ``entry.X``.
    clause: str
    #: What it comes to.
    truth: Truth
    #: Values of the attributes that it names, as written there; None: not set.
    values: Mapping[str, object]


def decide(tree: Node, *, job: Ad, entry: Ad) -> Truth:
    """What a requirement comes to for one job and one entry."""
    return _decide(tree, _columns(tree, job, entry))


def rejections(tree: Node, *, job: Ad, entry: Ad) -> tuple[Rejection, ...]:
    """The clauses that keep a job from an entry, smallest first to be read; none where it may run there.

    Of ``a && b`` the parts that are not true; of ``a || b`` every part, since each would have been enough.
    """
    known = _columns(tree, job, entry)
    if _decide(tree, known) is Truth.TRUE:
        return ()
    ads = {"job": job, "entry": entry}
    return tuple(
        Rejection(
            clause=render(part, as_written),
            truth=_decide(part, known),
            values={as_written(each): ads[each.side].get(each.name) for each in references(part)},
        )
        for part in dict.fromkeys(_not_true(tree, known))
    )


def _not_true(node: Node, known: Mapping[Node, Column]) -> list[Node]:
    if isinstance(node, Binary) and node.operator in ("&&", "||"):
        parts = operands(node, node.operator)
        failed = [part for part in parts if _decide(part, known) is not Truth.TRUE]
        # A part may be true and the whole not: an error on its left decides.
        return [found for part in failed for found in _not_true(part, known)]
    return [node]


def _decide(node: Node, known: Mapping[Node, Column]) -> Truth:
    return _TRUTH[int(truth_of(node, known).reshape(-1)[0])]


def _columns(tree: Node, job: Ad, entry: Ad) -> dict[Node, Column]:
    ads = {"job": job, "entry": entry}
    return {each: column([ads[each.side].get(each.name)]) for each in references(tree)}
