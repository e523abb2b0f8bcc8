"""What changed between two revisions of a report, and which facts learned in between explain it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from opengoc.base.figure import Figure
from opengoc.reports.document import said
from opengoc.reports.model import Cause, Correction, Report, figure_key

#: Families of figures by what they are computed from; every other figure is of usage.
_MONITORING = frozenset({"availability", "reliability"})
_FACTORY = frozenset({"pilots_submitted", "pilots_running_peak"})


@dataclass(frozen=True, kw_only=True)
class Change:
    """A fact that became known between two revisions, and which figures it can move."""

    cause: Cause
    #: ``usage``, ``monitoring``, ``factory``.
    families: frozenset[str]
    #: Narrower still, where the fact tells: only figures of this site, of this VO.
    site: str = ""
    vo: str = ""


def family(figure: Figure) -> str:
    """What the figure is computed from: ``usage``, ``monitoring`` or ``factory``."""
    if figure.name in _MONITORING:
        return "monitoring"
    return "factory" if figure.name in _FACTORY else "usage"


def corrections(
    old: Report, new: Report, changes: Iterable[Change], *, published: bool = True
) -> tuple[Correction, ...]:
    """Every figure that says something else in ``new`` than in ``old``, with its causes, in reading order.

    While its week ran, an old figure was to date: that it grew since is no correction, unless a change names
    a cause.
    """
    changes = tuple(changes)
    before = {figure_key(figure): figure for figure in old.figures}
    after = {figure_key(figure): figure for figure in new.figures}
    found = []
    for key in (*after, *(key for key in before if key not in after)):
        was, is_now = before.get(key), after.get(key)
        figure = is_now or was
        if said(was) == said(is_now) or figure is None:
            continue
        causes = tuple(change.cause for change in changes if _may_explain(change, figure))
        if not causes and not old.week_is_over:
            continue
        found.append(
            Correction(
                week=old.week,
                revision=old.revision,
                old=was,
                new=is_now,
                causes=causes,
                published=published,
            )
        )
    return tuple(found)


def _may_explain(change: Change, figure: Figure) -> bool:
    if family(figure) not in change.families:
        return False
    wanted = (("site", change.site), ("vo", change.vo))
    return all(not value or figure.dimensions.get(name, value) == value for name, value in wanted)
