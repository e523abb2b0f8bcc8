"""One writer at a time for what is written in more than one step: a role, held here and on every machine.

Delta refuses commits that do not fit together, so nothing gets lost without this; but two processes would do
the same work, and one of them in vain. On this machine the kernel keeps the role (``hold``); among machines
that share a database a lease does. The lease is that of the home: after a kill the next process of the same
home goes on at once, and another machine when the lease has run out.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from opengoc.base.errors import Conflict, GocError, Temporary
from opengoc.base.instant import utc_now
from opengoc.store import ledger
from opengoc.store.database import Database
from opengoc.store.hold import hold
from opengoc.store.ledger import Lease

_LOG = logging.getLogger(__name__)
#: So long another machine waits for one that died; renewed three times within it.
LEASE_SECONDS = 60.0


@contextmanager
def sole_writer(home: Path, database: Database, role: str) -> Iterator[None]:
    """Be the only one in ``role`` for the length of a block. Raises Temporary naming who is already."""
    with hold(home, role):
        holder = f"{socket.gethostname()}:{home.absolute()}"
        try:
            with database.begin() as conn:
                lease = ledger.take_lease(
                    conn, f"writer:{role}", holder, now=utc_now(), ttl_seconds=LEASE_SECONDS
                )
        except Conflict as error:
            raise Temporary(str(error), retry_after=LEASE_SECONDS) from error
        over = threading.Event()
        renewing = threading.Thread(target=_renew, args=(database, lease, over), daemon=True)
        renewing.start()
        try:
            yield
        finally:
            over.set()
            renewing.join()
            _let_go(database, lease)


def _let_go(database: Database, lease: Lease) -> None:
    try:
        with database.begin() as conn:
            ledger.release(conn, lease)
    except Temporary as error:
        # What was written is written; the lease runs out by itself.
        _LOG.warning("action=writer.release lease=%s error=%s", lease.name, error)


def _renew(database: Database, lease: Lease, over: threading.Event) -> None:
    while not over.wait(LEASE_SECONDS / 3):
        try:
            with database.begin() as conn:
                ledger.renew(conn, lease, now=utc_now(), ttl_seconds=LEASE_SECONDS)
        except GocError as error:
            # The work goes on: should another begin it too, Delta lets one of the commits through.
            _LOG.warning("action=writer.renew lease=%s error=%s", lease.name, error)
