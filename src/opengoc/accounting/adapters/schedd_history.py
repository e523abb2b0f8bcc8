"""The history of a schedd, asked for over the network, as text of its ads.

Where it was read to is told by the job that left the queue last, as an expression that only this job makes
true: the schedd reads its history backwards, rotated files too, until it meets that job. Times are no cursor,
for a job leaves the queue long after it ended. Should that job be rotated out of the history, everything is
given again: duplicates, and nothing skipped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from opengoc.accounting.follow import Unreadable
from opengoc.accounting.formats.condor_history import ATTRIBUTES
from opengoc.accounting.live import Page
from opengoc.base.errors import InvalidInput
from opengoc.condor.classads import Ad, literal
from opengoc.condor.session import Pool, Session

#: How many jobs are asked for at first; where there are more, all of them are asked for with more time.
_JOBS = 20_000
_LONGEST_SECONDS = 600.0


@dataclass(frozen=True, kw_only=True)
class ScheddHistory:
    """Asks one schedd of a pool."""

    pool: Pool
    schedd: str
    #: How far the first question reaches back.
    first: timedelta = timedelta(days=30)

    def since(self, cursor: Mapping[str, Any] | None, now: datetime) -> datetime:
        """When the job of the cursor left, or where the first question begins."""
        return datetime.fromisoformat(cursor["left_at"]) if cursor else now - self.first

    def pages(self, cursor: Mapping[str, Any] | None, now: datetime) -> Iterator[Page]:
        """The jobs that left the queue since then, as one page; none where none did. Raises Unreadable."""
        if cursor:
            ads = self._ads("true", until=f"GlobalJobId =?= {literal(cursor['job'])}")
        else:
            ads = self._ads(f"EnteredCurrentStatus >= {int((now - self.first).timestamp())}", until="")
        youngest = next((ad for ad in ads if isinstance(ad.get("GlobalJobId"), str)), None)
        if youngest is None:
            if ads:
                raise Unreadable(f"{self.schedd} gave jobs without GlobalJobId", retry_after=60.0)
            return
        yield Page(
            asked=f"history of {self.schedd}",
            # Oldest first, as the file has it.
            content=b"".join(_text(ad) for ad in reversed(ads)),
            cursor={"job": youngest["GlobalJobId"], "left_at": now.isoformat()},
        )

    def _ads(self, constraint: str, *, until: str) -> Sequence[Ad]:
        longer = max(self.pool.timeout_seconds, _LONGEST_SECONDS)
        for seconds, most in ((self.pool.timeout_seconds, _JOBS), (longer, -1)):
            pool = Pool(
                name=self.pool.name,
                collector=self.pool.collector,
                token_directory=self.pool.token_directory,
                token_file=self.pool.token_file,
                timeout_seconds=seconds,
            )
            with Session(pool) as session:
                found = session.history(self.schedd, constraint, ATTRIBUTES, limit=most, until=until)
            if found.complete:
                return found.items
            if len(found.items) < most or most < 0:
                break
        raise Unreadable(found.error, retry_after=60.0)


def _text(ad: Ad) -> bytes:
    """An ad as the schedd writes it into its history, with its banner."""
    lines = []
    for name in ATTRIBUTES:
        try:
            if name in ad:
                lines.append(f"{name} = {literal(ad[name])}")
        except InvalidInput:
            # A nested value: no attribute that is read is one.
            continue
    job = f"ClusterId = {_number(ad, 'ClusterId')} ProcId = {_number(ad, 'ProcId')}"
    lines.append(f"*** Offset = -1 {job} CompletionDate = {_number(ad, 'CompletionDate')}\n")
    return "\n".join(lines).encode()


def _number(ad: Ad, name: str) -> int:
    value = ad.get(name)
    return value if isinstance(value, int) else 0
