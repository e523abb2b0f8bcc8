"""Bundles in the database, by digest: a factory that lacks one in its home fetches it from there.

A copy proves itself by its seal when it is fetched, so any copy is as good as another.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping

from sqlalchemy import Connection, select

from opengoc.base.ids import canonical_json
from opengoc.store.schema import factory_bundles, insert_into


def shelve(conn: Connection, digest: str, files: Mapping[str, str]) -> None:
    """Keep the files of a bundle, in the place of a copy that is there."""
    values = {"files": canonical_json(dict(files))}
    new = insert_into(conn, factory_bundles).values(digest=digest, **values)
    conn.execute(new.on_conflict_do_update(index_elements=[factory_bundles.c.digest], set_=values))


def shelved(conn: Connection, digests: Collection[str]) -> frozenset[str]:
    """Which of these bundles are kept."""
    chosen = select(factory_bundles.c.digest).where(factory_bundles.c.digest.in_(sorted(digests)))
    return frozenset(conn.execute(chosen).scalars())


def fetch(conn: Connection, digest: str) -> Mapping[str, str] | None:
    """The files of a bundle by name; None where it is not kept."""
    chosen = select(factory_bundles.c.files).where(factory_bundles.c.digest == digest)
    text = conn.execute(chosen).scalar_one_or_none()
    files: Mapping[str, str] | None = None if text is None else json.loads(text)
    return files
