"""Bundles: what was applied, kept whole and unchanged, each in a folder named by its digest.

A bundle holds the two files as they were, the site of every resource as the registry had it, and every START
as it was rendered. The loop reads its configuration from here alone: what the files say meanwhile, what the
registry says later and what another release would render do not change it.

The database keeps a copy, from which the homes of other mirrors fetch what they lack.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from opengoc.base.errors import InvalidInput, Permanent
from opengoc.base.ids import canonical_json, digest, new_id
from opengoc.factory import mirror_bundles
from opengoc.factory.configuration import Configuration, read_configuration, read_text
from opengoc.factory.entries import KnownResource
from opengoc.store.database import Database

_ENTRIES, _POLICY, _MANIFEST = "entries.toml", "policy.toml", "bundle.json"
_FILES = frozenset({_ENTRIES, _POLICY, _MANIFEST})
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Sources:
    """The two files that an operator edits."""

    entries: Path
    policy: Path


class Bundles:
    """The bundles of one home."""

    def __init__(self, folder: Path, database: Database) -> None:
        self._folder = folder
        self._database = database

    def keep(self, configuration: Configuration, sources: Sources) -> Path:
        """Keep a configuration that was read from these files; its folder appears whole or not at all.

        One that is kept already stays as it is. Raises InvalidInput when the files changed meanwhile,
        Permanent where nothing can be written.
        """
        target = self._folder / configuration.digest
        if target.exists():
            self.load(configuration.digest)
            return target
        files = {_ENTRIES: read_text(sources.entries), _POLICY: read_text(sources.policy)}
        files[_MANIFEST] = json.dumps(_manifest(configuration, files), indent=1, sort_keys=True) + "\n"
        self._write(target, files)
        return target

    def share(self, conn: Connection, names: Iterable[str]) -> None:
        """Let other mirrors fetch those that are here and whole."""
        for name in names:
            # One that is damaged is not worth a copy; who loads it is told.
            with suppress(Permanent):
                self._manifest(name)
                texts = {each: self._text(self._folder / name / each) for each in _FILES}
                if _is_whole(texts, name):
                    mirror_bundles.shelve(conn, name, texts)

    def load(self, name: str) -> Configuration:
        """The configuration of a bundle. Raises Permanent where it is missing, changed or not readable."""
        folder, manifest = self._folder / name, self._manifest(name)
        texts = {each: self._text(folder / each) for each in (_ENTRIES, _POLICY)}
        if {each: digest(text) for each, text in texts.items()} != manifest["files"]:
            raise Permanent(f"{folder} is not what was applied: its files were changed; restore them")
        sites = {name: KnownResource(site=site) for name, site in manifest["sites"].items()}
        paths = (str(folder / _ENTRIES), str(folder / _POLICY))
        try:
            configuration, *faults = read_configuration(texts[_ENTRIES], texts[_POLICY], sites, names=paths)
        except InvalidInput as error:
            raise Permanent(f"{folder} cannot be read: {error}") from error
        wrong = [str(fault) for several in faults for fault in several]
        if wrong or configuration.digest != name or configuration.starts() != manifest["starts"]:
            why = "; ".join(wrong) or "the same files mean something else to this release"
            raise Permanent(f"{folder} does not stand ({why}): `goc factory plan`, then `goc factory apply`")
        return configuration

    def starts(self, name: str) -> Mapping[str, Mapping[str, str]] | None:
        """START by entry and VO as a bundle rendered them; None where the bundle is lost."""
        try:
            starts: Mapping[str, Mapping[str, str]] = self._manifest(name)["starts"]
        except Permanent:
            return None
        return starts

    def _manifest(self, name: str) -> dict[str, Any]:
        path = self._folder / name / _MANIFEST
        if not _DIGEST.fullmatch(name) or not (path.is_file() or self._fetch(name)):
            raise Permanent(f"there is no bundle {path.parent}: restore it, or apply again")
        try:
            manifest: dict[str, Any] = json.loads(self._text(path))
        except ValueError as error:
            raise Permanent(f"{path} is no JSON: restore it") from error
        if not _is_sealed(manifest, name):
            raise Permanent(f"{path} was changed: restore it, or apply again")
        return manifest

    def _fetch(self, name: str) -> bool:
        """Take what another mirror applied into this home; False where the database has it not."""
        with self._database.read() as connection:
            files = mirror_bundles.fetch(connection, name)
        if files is None or not _is_whole(files, name):
            return False
        self._write(self._folder / name, files)
        return True

    @staticmethod
    def _text(path: Path) -> str:
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise Permanent(f"{path} cannot be read: {error}; restore it, or apply again") from error

    def _write(self, target: Path, files: Mapping[str, str]) -> None:
        beside = self._folder / f".{new_id('bundle')}"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            beside.mkdir()
            for name, text in files.items():
                _write_through(beside / name, text)
            _sync(beside)
            try:
                beside.rename(target)
            except OSError:
                # Another apply of the same content was faster.
                if not target.is_dir():
                    raise
            _sync(self._folder)
        except OSError as error:
            raise Permanent(f"cannot write {target}: {error}; free space or mend its rights") from error
        finally:
            shutil.rmtree(beside, ignore_errors=True)


def _manifest(configuration: Configuration, files: Mapping[str, str]) -> dict[str, Any]:
    sites = {entry.resource: entry.site for entry in configuration.entries.values()}
    known = {name: KnownResource(site=site) for name, site in sites.items()}
    again, *_ = read_configuration(files[_ENTRIES], files[_POLICY], known, names=(_ENTRIES, _POLICY))
    if again.digest != configuration.digest:
        raise InvalidInput("apply", configuration.digest, "is not in the files any more: plan again")
    manifest = {
        "digest": configuration.digest,
        "files": {name: digest(text) for name, text in files.items()},
        "sites": sites,
        "starts": configuration.starts(),
    }
    return {**manifest, "seal": _seal(manifest)}


def _is_whole(files: Mapping[str, str], name: str) -> bool:
    """Whether these are the files of a bundle as they were applied."""
    if files.keys() != _FILES:
        return False
    try:
        manifest = json.loads(files[_MANIFEST])
    except ValueError:
        return False
    kept = {each: digest(text) for each, text in files.items() if each != _MANIFEST}
    return _is_sealed(manifest, name) and bool(manifest["files"] == kept)


def _is_sealed(manifest: Mapping[str, Any], name: str) -> bool:
    return manifest.get("seal") == _seal(manifest) and manifest.get("digest") == name


def _seal(manifest: Mapping[str, Any]) -> str:
    """Finds what was damaged; whoever may write here may also seal anew."""
    return digest(canonical_json({name: value for name, value in manifest.items() if name != "seal"}))


def _write_through(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    path.chmod(0o444)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
