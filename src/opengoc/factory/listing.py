"""Jobs of one cycle, found again in the next: an ad that is the same object is the same job, unchanged.

Comparing addresses takes a tenth of the time that reading ten attributes does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from opengoc.condor.classads import Ad
from opengoc.factory.bits import Numbers


class Listing:
    """Ads and the number of each one's cluster."""

    def __init__(self, ads: Sequence[Ad] = (), numbers: Numbers | None = None) -> None:
        # Kept alive: only as long as an object lives is its address its own.
        self._ads = ads
        self.numbers: Numbers = np.zeros(0, np.int64) if numbers is None else numbers
        addresses = _addresses(ads)
        self._order = np.argsort(addresses)
        self._sorted = addresses[self._order]

    def next(self, ads: Sequence[Ad], read: Callable[[Sequence[Ad]], Numbers]) -> Listing:
        """The listing of the next cycle: ``read`` numbers the ads that are not in this one."""
        numbers = self._known(_addresses(ads))
        fresh = np.nonzero(numbers < 0)[0]
        numbers[fresh] = read([ads[place] for place in fresh.tolist()])
        return Listing(ads, numbers)

    def renumbered(self, kept: Numbers) -> Listing:
        """The same ads after the numbers in ``kept`` became 0, 1, 2…; those of other numbers are unknown."""
        numbers = np.full(max(self.numbers.max(initial=0), kept.max(initial=0)) + 1, -1, np.int64)
        numbers[kept] = np.arange(len(kept))
        return Listing(self._ads, numbers[self.numbers])

    def _known(self, addresses: Numbers) -> Numbers:
        """The number of each ad that is here, -1 of others."""
        if not len(self._sorted):
            return np.full(len(addresses), -1, np.int64)
        places = np.searchsorted(self._sorted, addresses)
        places[places == len(self._sorted)] = 0
        found: Numbers = np.where(
            self._sorted[places] == addresses, self.numbers[self._order[places]], np.int64(-1)
        )
        return found


def _addresses(ads: Sequence[Ad]) -> Numbers:
    return np.fromiter(map(id, ads), np.int64, len(ads))
