"""Which records are new, which were read before, and which say something else than before.

The lake itself is asked: what is not in it is new. Nothing else needs to be kept in step with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import pyarrow

from opengoc.accounting.batch import Good
from opengoc.accounting.table import TABLE, Row
from opengoc.base.errors import Temporary
from opengoc.store.lake import Lake

# Files of the lake hold few instances each, so the first condition passes over most of them. Rows of the
# batch itself are there when a run was killed between storing it and saying so.
_VERSIONS = f"""
    SELECT stored.instance, stored.global_job_id, stored.attempt, stored.fingerprint, stored.version
    FROM {TABLE} AS stored
    SEMI JOIN batch USING (instance, global_job_id, attempt)
    WHERE list_contains($instances, stored.instance) AND stored.batch_id <> $batch_id
"""


@dataclass(frozen=True, kw_only=True)
class Sorted:
    """A batch, compared with the lake."""

    #: Rows to append: new records, and restatements as their next version.
    rows: tuple[Row, ...]
    stored: int
    restated: int
    duplicate: int


def sort_out(lake: Lake, good: Sequence[Good], *, batch_id: str) -> Sorted:
    """Compare records with the lake, without the rows of ``batch_id`` itself.

    A record whose very content was stored under its identity at any time is a duplicate; one with other
    content is a restatement. Raises Temporary when the lake cannot be read.
    """
    versions = _stored_versions(lake, good, batch_id)
    rows: list[Row] = []
    restated = duplicate = 0
    for each in good:
        identity, fingerprint = each.record.identity, each.record.fingerprint
        standing = versions.get(identity)
        if standing is None:
            version = 1
            versions[identity] = {fingerprint: version}
        elif fingerprint in standing:
            duplicate += 1
            continue
        else:
            version = max(standing.values()) + 1
            standing[fingerprint] = version
            restated += 1
        rows.append(Row(record=each.record, raw=each.raw, fingerprint=fingerprint, version=version))
    return Sorted(rows=tuple(rows), stored=len(rows) - restated, restated=restated, duplicate=duplicate)


def _stored_versions(
    lake: Lake, good: Sequence[Good], batch_id: str
) -> dict[tuple[str, str, int], dict[str, int]]:
    """Fingerprint → version of all that is stored under the identities of these records."""
    if not good or not lake.has(TABLE):
        return {}
    identities = [each.record.identity for each in good]
    batch = pyarrow.table(
        {
            "instance": [instance for instance, _, _ in identities],
            "global_job_id": [job for _, job, _ in identities],
            "attempt": pyarrow.array([attempt for _, _, attempt in identities], pyarrow.int64()),
        }
    )
    found: dict[tuple[str, str, int], dict[str, int]] = {}
    with lake.connection(TABLE) as connection:
        # A bar on standard output would stand among the results.
        connection.execute("SET enable_progress_bar = false")
        connection.register("batch", batch)
        try:
            answer = connection.execute(
                _VERSIONS, {"batch_id": batch_id, "instances": sorted({i for i, _, _ in identities})}
            )
            for instance, job, attempt, fingerprint, version in answer.fetchall():
                found.setdefault((instance, job, attempt), {})[fingerprint] = version
        except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
            raise Temporary(f"the lake cannot be read now: {error}", retry_after=60.0) from error
    return found
