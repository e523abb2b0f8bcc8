"""Jobs of one cycle, found again in the next: an ad that is the same object is the same job, unchanged.

Comparing addresses takes a tenth of the time that reading ten attributes does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from opengoc.condor.classads import Ad
from opengoc.factory.bits import Numbers


class Listing:
    """Ads and the number of each one's cluster."""

    def __init__(self, jobs: Iterable[Ad] = ()) -> None:
        # Kept alive: only as long as an object lives is its address its own.
        self._ads = np.fromiter(jobs, object)
        # An array of objects holds their addresses; reading them there is faster than asking for each.
        self._addresses: Numbers = np.frombuffer(self._ads.data, np.int64)
        #: -1 where it is not known.
        self.numbers: Numbers = np.full(len(self._ads), -1, np.int64)

    def next(self, jobs: Iterable[Ad], read: Callable[[Sequence[Ad]], Numbers]) -> Listing:
        """The listing of the next cycle: ``read`` numbers the ads that are not in this one."""
        found = Listing(jobs)
        if len(self.numbers):
            # Objects made one after the other mostly lie so: this way of sorting takes what is in order.
            order = np.argsort(self._addresses, kind="stable")
            places = np.searchsorted(self._addresses[order], found._addresses)
            places = order.take(places, mode="clip")
            is_here = self._addresses[places] == found._addresses
            found.numbers[is_here] = self.numbers[places[is_here]]
        fresh = np.nonzero(found.numbers < 0)[0]
        found.numbers[fresh] = read(found._ads[fresh].tolist())
        return found

    def renumber(self, kept: Numbers) -> None:
        """After the numbers in ``kept`` became 0, 1, 2…; those of other numbers are not known any more."""
        # At the end stands -1, too: what is not known stays so.
        numbers = np.full(max(self.numbers.max(initial=0), kept.max(initial=0)) + 2, -1, np.int64)
        numbers[kept] = np.arange(len(kept))
        self.numbers = numbers[self.numbers]
