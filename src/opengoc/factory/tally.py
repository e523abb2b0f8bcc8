"""A policy's matches over job and entry ads of files, for comparison with any other engine. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from opengoc.condor.classads import Ad
from opengoc.factory.engine import Matcher
from opengoc.factory.policy import Policy

#: What entries.toml gives an entry that says nothing of it.
ENTRY_DEFAULTS: Mapping[str, Any] = {"DiskMiB": 4096}


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Pairs of a job and an entry for which the requirement of the job's VO is true."""

    pairs: int
    #: Jobs that each entry may run, by name.
    entries: Mapping[str, int]
    unmatched_jobs: int
    #: Pairs for which it is an error.
    errors: int

    def to_json(self) -> dict[str, Any]:
        """As ``goc factory match --json`` prints it."""
        return {
            "pairs": self.pairs,
            "entries": dict(self.entries),
            "unmatched_jobs": self.unmatched_jobs,
            "errors": self.errors,
        }


def tally(policy: Policy, *, jobs: Iterable[Ad], entries: Mapping[str, Ad]) -> Tally:
    """Match every job with every entry.

    The names of attributes count without their case. An entry's own defaults are filled in, and its ``Name``.
    Jobs of a VO that the policy does not know match none, whatever the case of its name.
    """
    table = {name: _entry(policy, name, ad) for name, ad in entries.items()}
    by_vo: defaultdict[str | None, list[dict[str, Any]]] = defaultdict(list)
    job_names = {name.casefold(): name for name in policy.job_attributes}
    for job in jobs:
        ad = {job_names[key]: value for name, value in job.items() if (key := name.casefold()) in job_names}
        vo = ad.get("VO")
        by_vo[vo if isinstance(vo, str) else None].append(ad)
    counts: Counter[str] = Counter(dict.fromkeys(table, 0))
    unmatched = errors = 0
    for vo, ads in by_vo.items():
        requirements = policy.requirements.get(vo) if vo is not None else None
        if requirements is None:
            unmatched += len(ads)
            continue
        found = Matcher(requirements.tree, table).match(ads)
        counts.update(found.entries)
        unmatched += found.unmatched_jobs
        errors += found.errors
    return Tally(pairs=counts.total(), entries=dict(counts), unmatched_jobs=unmatched, errors=errors)


def _entry(policy: Policy, name: str, ad: Ad) -> dict[str, Any]:
    """An entry's ad under the declared names, with its defaults."""
    known = policy.vocabulary.entry
    found = {"Name": name, **ENTRY_DEFAULTS}
    found |= {each.name: each.default for each in known.values() if each.default is not None}
    # Null is undefined, of an entry as of a job: the default stands.
    given = {name.casefold(): value for name, value in ad.items() if value is not None}
    return found | {known[key].name: value for key, value in given.items() if key in known}
