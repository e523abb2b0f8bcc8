"""What the databases' own errors mean to the house: come back later, or call a person.

Source of the codes: sqlite.org/rescode.html; PostgreSQL manual, appendix A (SQLSTATE).
"""

from __future__ import annotations

import sqlite3
import sys

from opengoc.base.errors import GocError, Permanent, Temporary

#: Primary SQLite result codes and what the operator can do about them.
_SQLITE_TEMPORARY = {
    sqlite3.SQLITE_BUSY: ("is locked by another process", 1.0),
    sqlite3.SQLITE_LOCKED: ("is locked by another process", 1.0),
    sqlite3.SQLITE_FULL: ("has no space left on its disk: free some, then run again", 60.0),
    # On a full disk SQLite cannot grow its shared memory file either, and says only "disk I/O error".
    sqlite3.SQLITE_IOERR: ("cannot be read or written: check that its disk is there and not full", 60.0),
}
_SQLITE_PERMANENT = {
    sqlite3.SQLITE_CORRUPT: "is damaged: restore it from a backup",
    sqlite3.SQLITE_NOTADB: "is not an SQLite database: choose another file",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened: check its folder and who owns it",
    sqlite3.SQLITE_READONLY: "refuses writes here: write inside begin(), and check who owns the file",
    sqlite3.SQLITE_PERM: "cannot be written: check who owns it",
}
#: SQLSTATE classes and states; the longest match counts.
_POSTGRESQL_TEMPORARY = {
    "08": ("is away", 5.0),
    "40001": ("undid this transaction for another one: run it again", 0.1),
    "40P01": ("undid this transaction to end a deadlock: run it again", 0.1),
    "53": ("is out of resources", 60.0),
    "53100": ("has no space left on its disk: free some, then run again", 60.0),
    "53300": ("has no connection left: close some, or raise max_connections", 5.0),
    "55P03": ("is locked by another process", 1.0),
    "57": ("was shut down or is starting", 5.0),
    "58": ("cannot read or write its disk", 60.0),
}
_POSTGRESQL_PERMANENT = {
    "25006": "refuses writes here: write inside begin(), and to the primary server",
    "28": "refuses these credentials: check user and password in the url",
    "3D": "does not exist: create it, or correct the url",
    "42501": "refuses this user: grant it the rights on its schema",
    "XX001": "is damaged: restore it from a backup",
    "XX002": "is damaged: restore it from a backup",
}


def translate(error: BaseException | None, where: str) -> GocError | None:
    """The house's error for a driver's error, or None for one that is a defect of the program.

    ``where`` names the database to the operator, without password.
    """
    if isinstance(error, sqlite3.Error):
        return _from_sqlite(error, where)
    # An error of a driver that was never imported there is not.
    if "psycopg" in sys.modules:
        return _from_postgresql(error, where)
    return None


def _from_sqlite(error: sqlite3.Error, where: str) -> GocError | None:
    # Low byte: the primary code; the rest says where it happened.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _SQLITE_TEMPORARY:
        told, retry_after = _SQLITE_TEMPORARY[code]
        return Temporary(f"database {where} {told} ({error})", retry_after=retry_after)
    if code in _SQLITE_PERMANENT:
        return Permanent(f"database {where} {_SQLITE_PERMANENT[code]} ({error})")
    return None


def _from_postgresql(error: BaseException | None, where: str) -> GocError | None:
    import psycopg

    if not isinstance(error, psycopg.Error):
        return None
    state = error.sqlstate or ""
    reason = str(error).strip().split("\n")[0]
    for length in (5, 2):
        if state[:length] in _POSTGRESQL_TEMPORARY:
            told, retry_after = _POSTGRESQL_TEMPORARY[state[:length]]
            return Temporary(f"database {where} {told} ({reason})", retry_after=retry_after)
        if state[:length] in _POSTGRESQL_PERMANENT:
            return Permanent(f"database {where} {_POSTGRESQL_PERMANENT[state[:length]]} ({reason})")
    if not state and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        # No SQLSTATE: the server never answered, or the connection broke.
        return _unanswered(reason, where)
    return None


def _unanswered(reason: str, where: str) -> GocError:
    # A refused login arrives without its SQLSTATE, in the text of a failed connection only.
    for sign, state in (("authentication failed", "28"), ("does not exist", "3D")):
        if sign in reason:
            return Permanent(f"database {where} {_POSTGRESQL_PERMANENT[state]} ({reason})")
    return Temporary(
        f"database {where} does not answer: check that the server runs ({reason})", retry_after=5.0
    )
