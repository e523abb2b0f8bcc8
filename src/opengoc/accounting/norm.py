"""How many jobs of a source are usual on a day, and from how few on a day lacks records. Pure.

The norm of a day is the median over the same weekdays of the eight weeks before it, of those the source was
there for; with fewer than four of them, over all days of the four weeks before it. Far below it is what lies
under

    median - 3.5 * max(1.4826 * MAD, sqrt(median))    and under half of the median

MAD being the median absolute deviation from the median. Source: Iglewicz and Hoaglin, How to Detect and
Handle Outliers (1993), the modified z-score with its limit of 3.5, as in the NIST/SEMATECH e-Handbook of
Statistical Methods, 1.3.5.17. The root is the deviation of mere counting (Poisson), below which a source is
not known to keep to its habit; half of the median keeps small changes of a steady source from being called a
lack.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import sqrt
from statistics import median

#: How far back the days of a norm lie.
WEEKS = 8
_DAYS_AROUND = 28
#: Fewer days than this make no norm.
_LEAST_DAYS = 4
_LIMIT = 3.5
_MAD_TO_SIGMA = 1.4826


@dataclass(frozen=True, kw_only=True)
class Norm:
    """What is usual on one day of one source."""

    #: Median of the days it was made of.
    jobs: float
    #: How far the days lie from it, as a standard deviation (1.4826 * MAD).
    deviation: float
    #: Which days it was made of, for people: ``6 Wednesdays``.
    days: str

    def least(self, share: float = 1.0) -> float:
        """From how many jobs on a day is no lack; ``share``: the part of it that the site was up."""
        usual, deviation = self.jobs * share, self.deviation * share
        return max(0.0, min(usual - _LIMIT * max(deviation, sqrt(usual)), usual / 2))


def norm(of: date, counts: Mapping[date, int], there: Sequence[date]) -> Norm | None:
    """What is usual on a day; None where too few days are known.

    ``counts`` are jobs by day, none for a day that is not in it; ``there`` the days on which the source was
    expected and read.
    """
    earliest = of - timedelta(weeks=WEEKS)
    same = [each for each in there if earliest <= each < of and each.weekday() == of.weekday()]
    near = [each for each in there if of - timedelta(days=_DAYS_AROUND) <= each < of]
    if len(same) >= _LEAST_DAYS:
        return _of_days([counts.get(each, 0) for each in same], f"{len(same)} {of:%A}s")
    if len(near) >= _LEAST_DAYS:
        return _of_days([counts.get(each, 0) for each in near], f"{len(near)} days before")
    return None


def _of_days(jobs: Sequence[int], days: str) -> Norm:
    middle = median(jobs)
    deviation = _MAD_TO_SIGMA * median(abs(each - middle) for each in jobs)
    return Norm(jobs=middle, deviation=deviation, days=days)
