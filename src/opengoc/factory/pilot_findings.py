"""What ended pilots of the last hour show of their entries, one finding a kind and entry. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from opengoc.factory.finding import Action, Finding, FindingKind
from opengoc.factory.protection_ends import Judged, PilotFinding, Verdict

#: What ended longer ago is no finding any more; the pilots' reports stay.
WINDOW: Final = timedelta(hours=1)

#: So many worker nodes are named.
_FEW: Final = 3

#: These judge nobody: they are for people.
_FOR_PEOPLE: Final = frozenset({FindingKind.VALIDATION_MISSING, FindingKind.EATS_JOBS})

_Found: TypeAlias = tuple[PilotFinding, Verdict]


def pilot_findings(ends: Iterable[Judged], *, now: datetime) -> tuple[Finding, ...]:
    """The findings that stand at ``now``, in order of kind and entry."""
    by_place: defaultdict[tuple[FindingKind, str], list[_Found]] = defaultdict(list)
    for judged in ends:
        if now - WINDOW < judged.end.ended_at <= now:
            for each in judged.findings:
                by_place[(each.kind, each.entry)].append((each, judged.verdict))
    return tuple(_finding(kind, entry, found) for (kind, entry), found in sorted(by_place.items()))


def _finding(kind: FindingKind, entry: str, found: Sequence[_Found]) -> Finding:
    pilots = [each for each, _ in found]
    last = max(pilots, key=lambda each: (each.at, each.pilot_id))
    count = len({each.pilot_id for each in pilots})
    nodes = _nodes(pilots)
    return Finding(
        kind=kind,
        subject=f"pilots of {entry}",
        action=_action(kind, {verdict for _, verdict in found}),
        evidence=f"{count} within an hour{nodes}; the last: {last.pilot_id}, {last.detail}",
        entry=entry,
    )


def _action(kind: FindingKind, verdicts: set[Verdict]) -> Action:
    if kind in _FOR_PEOPLE:
        return Action.ALARM
    if Verdict.PAUSE in verdicts:
        return Action.CLOSED
    return Action.COUNTED if Verdict.BAD in verdicts else Action.ALARM


def _nodes(pilots: Iterable[PilotFinding]) -> str:
    """The worker nodes where most of it was, in words; empty where nobody knows."""
    hosts = Counter(host for host, _ in {(each.host, each.pilot_id) for each in pilots} if host)
    most = sorted(hosts.items(), key=lambda each: (-each[1], each[0]))
    named = ", ".join(f"{host} ({count})" for host, count in most[:_FEW])
    more = f" and {len(most) - _FEW} more" if len(most) > _FEW else ""
    return f" on {named}{more}" if named else ""
