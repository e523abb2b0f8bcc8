"""The composition root: the only place that wires rooms together."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from opengoc.base.errors import InvalidInput, Permanent
from opengoc.settings import SETTINGS_FILE, FactorySettings, PoolSettings, Settings, load_settings

if TYPE_CHECKING:
    from opengoc.accounting.ingest import Stores as AccountingStores
    from opengoc.accounting.live import Feed
    from opengoc.accounting.source import Source
    from opengoc.accounting.usage import Pilot
    from opengoc.condor.session import Pool
    from opengoc.factory.change import Desk
    from opengoc.factory.configuration import Configuration
    from opengoc.factory.entries import Entry
    from opengoc.flows.weekly import Stores
    from opengoc.monitoring.probes.check import Check
    from opengoc.registry.past import PastRegistries
    from opengoc.registry.snapshot import Registry
    from opengoc.store.database import Database
    from opengoc.store.lake import Lake

#: A token that is shorter can be guessed.
_SHORTEST_TOKEN = 20
#: Format of what a source gives that is asked for its records.
_FORMATS_OF_FEEDS = {"condor-live": "condor-history", "sacct-live": "sacct"}


def default_home() -> Path:
    """``$GOC_HOME``, else ``.goc`` in the current folder."""
    return Path(os.environ.get("GOC_HOME") or ".goc").absolute()


@dataclass(frozen=True)
class House:
    """One installation, opened: its home, its settings, and its stores (opened at first use)."""

    home: Path
    #: Who acts, written into every fact: the operator's login unless set.
    who: str = field(
        default_factory=lambda: os.environ.get("GOC_WHO") or os.environ.get("USER") or "operator"
    )

    @cached_property
    def settings(self) -> Settings:
        """The settings file, checked. Raises InvalidInput."""
        return load_settings(self.home)

    @cached_property
    def database(self) -> Database:
        """Facts and ledger, migrated to this release."""
        # Stores are imported where they are first used: a command that needs none of them starts at once.
        from opengoc.store.database import open_database

        self._require_home()
        return open_database(self.settings.store.url or f"sqlite:///{self.home / 'goc.db'}")

    @cached_property
    def lake(self) -> Lake:
        """High-volume records."""
        from opengoc.store.lake import Lake

        self._require_home()
        return Lake(self.home / "lake")

    @property
    def factory(self) -> FactorySettings:
        """The factory's settings. Raises InvalidInput where the installation runs no factory."""
        if self.settings.factory is None:
            raise InvalidInput(str(self.home / SETTINGS_FILE), "factory", "has no [factory] table: add one")
        return self.settings.factory

    def pool_settings(self, name: str) -> PoolSettings:
        """The settings of a pool. Raises InvalidInput for an unknown one."""
        for pool in self.settings.pools:
            if pool.name == name:
                return pool
        raise InvalidInput(str(self.home / SETTINGS_FILE), name, "is none of the [[pools]]")

    def pool(self, name: str) -> Pool:
        """How a VO pool is reached. Raises InvalidInput for an unknown one."""
        from opengoc.condor.session import Pool

        pool = self.pool_settings(name)
        return Pool(name=name, collector=pool.collector, token_directory=self.path(pool.token_directory))

    def factory_pool(self) -> Pool:
        """How the factory's own schedd is reached."""
        from opengoc.condor.session import Pool

        factory = self.factory
        tokens = self.path(factory.token_directory)
        return Pool(name=factory.name, collector=factory.collector, token_directory=tokens)

    def registry(self, *, known_at: datetime | None = None) -> Registry:
        """The registry as known at a moment; None: as it stands."""
        from opengoc.registry.store import load_registry

        with self.database.read() as conn:
            return load_registry(conn, known_at=known_at)

    def desk(self) -> Desk:
        """Where the factory's configuration is changed. Raises InvalidInput where there is no factory."""
        from opengoc.factory.bundles import Sources
        from opengoc.factory.change import Desk

        factory = self.factory
        return Desk(
            database=self.database,
            factory=factory.group_name,
            folder=self.home / "factory",
            sources=Sources(entries=self.path(factory.entries), policy=self.path(factory.policy)),
        )

    def planned(self, registry: Registry) -> Configuration:
        """Entries and policy as the files say, in force or not. Raises InvalidInput with every fault."""
        from opengoc.factory.configuration import load_configuration

        sources = self.desk().sources
        return load_configuration(sources.entries, sources.policy, registry)

    def configuration(self) -> Configuration:
        """Entries and policy in force.

        Raises Permanent before the first apply, and where what was applied cannot be read.
        """
        from opengoc.factory.applied import applied_now
        from opengoc.factory.force import in_force

        desk = self.desk()
        with self.database.read() as conn:
            applied = applied_now(conn, desk.factory)
            version = applied.version if applied is not None else 0
            found = self._in_force.get(version)
            if found is None:
                # Pages ask for it with every request: it is read once after each apply.
                found = in_force(conn, desk.bundles, desk.factory).configuration
                self._in_force.clear()
                self._in_force[version] = found
        return found

    @cached_property
    def _in_force(self) -> dict[int, Configuration]:
        return {}

    def entries(self) -> tuple[Mapping[str, Entry], str]:
        """The entries in force, by name, or none and why nobody knows them: what the files say runs nowhere.

        None and no reason where there is no factory.
        """
        if self.settings.factory is None:
            return {}, ""
        try:
            return self.configuration().entries, ""
        except Permanent as error:
            return {}, f"entries: {error}"

    @contextmanager
    def checks(self, registry: Registry | None = None) -> Iterator[tuple[Registry, list[Check]]]:
        """The registry as it stands, and every check of what is there to probe, for the length of a block.

        No compute element is checked while nobody knows the entries in force (``entries`` says why).
        ``registry``: the one that stands, where the caller holds it already.
        """
        from opengoc.flows.probing import Grid, open_checks
        from opengoc.monitoring import commands, store

        store.declare(self.lake)
        registry = registry or self.registry()
        factory = self.settings.factory
        grid = Grid(
            pools=[(self.pool(pool.name), pool.schedds) for pool in self.settings.pools],
            factory=(self.factory_pool(), factory.schedd) if factory is not None else None,
            entries=tuple(self.entries()[0].values()),
            registry=registry,
            commands_file=self.home / commands.FILE,
            interval_seconds=self.settings.probes.interval_seconds,
            timeout_seconds=self.settings.probes.timeout_seconds,
        )
        with open_checks(grid) as checks:
            yield registry, checks

    def accounting_sources(self, names: Sequence[str] = ()) -> tuple[Source, ...]:
        """Every configured source of usage records, or those named. Raises InvalidInput."""
        from opengoc.accounting.model import Kind
        from opengoc.accounting.source import Source

        configured = {
            source.name: Source(
                name=source.name,
                format=_FORMATS_OF_FEEDS.get(source.kind, source.kind),
                path=self.path(source.path),
                kind=Kind(source.records),
                site=source.site or None,
                instance=source.instance or None,
                time_zone=source.time_zone,
            )
            for source in self.settings.accounting
        }
        unknown = [name for name in names if name not in configured]
        if unknown:
            raise InvalidInput(
                "--source", ", ".join(unknown), f"must be of {', '.join(configured) or 'no source'}"
            )
        return tuple(configured[name] for name in names or configured)

    def accounting_feed(self, name: str) -> Feed | None:
        """What is asked for the records of a configured source; None for one that is a file or a folder."""
        from opengoc.accounting.adapters.sacct_command import SacctCommand
        from opengoc.accounting.adapters.schedd_history import ScheddHistory

        for source in self.settings.accounting:
            first = timedelta(days=source.first_days)
            if source.name == name and source.kind == "condor-live":
                return ScheddHistory(pool=self.pool(source.pool), schedd=source.schedd, first=first)
            if source.name == name and source.kind == "sacct-live":
                return SacctCommand(
                    command=source.command,
                    timeout_seconds=source.timeout_seconds,
                    overlap=timedelta(hours=source.overlap_hours),
                    first=first,
                )
        return None

    def received_sources(self) -> tuple[Source, ...]:
        """The sources that send their records here."""
        from opengoc.accounting.model import Kind
        from opengoc.accounting.source import Source

        return tuple(
            Source(
                name=each.name,
                format="auto",
                path=Path(),
                kind=Kind(each.records),
                site=each.site or None,
                sites=each.sites,
                instances=each.instances,
            )
            for each in self.settings.received
        )

    def senders(self) -> Mapping[str, Source]:
        """The same, by the token that each shows. Raises Permanent or InvalidInput for a token of no use."""
        found: dict[str, Source] = {}
        for each, source in zip(self.settings.received, self.received_sources(), strict=True):
            path = self.path(each.token_file)
            try:
                token = path.read_text().strip()
            except (OSError, UnicodeDecodeError) as error:
                raise Permanent(f"the token of {each.name} in {path} cannot be read: {error}") from error
            if len(token) < _SHORTEST_TOKEN or token in found:
                rule = f"must hold {_SHORTEST_TOKEN} characters or more, and no other source's token"
                raise InvalidInput(str(path), "token", rule)
            found[token] = source
        return found

    def accounting_stores(self) -> AccountingStores:
        """Where usage records go."""
        from opengoc.accounting.ingest import Stores
        from opengoc.accounting.raw import RawStore

        return Stores(database=self.database, lake=self.lake, raw=RawStore(self.home / "raw"))

    def known_pilots(self, as_of: datetime) -> tuple[Pilot, ...]:
        """What the factory knows of its pilots: batch systems are not told the VO that a pilot is for."""
        from opengoc.accounting.usage import Pilot
        from opengoc.factory.act import SUBMISSION
        from opengoc.store import ledger
        from opengoc.store.ledger import EffectState

        with self.database.read() as conn:
            submitted = ledger.effects(conn, SUBMISSION, EffectState.SETTLED)
        return tuple(
            Pilot(id=each.key, vo=each.payload["vo"], entry=each.payload["entry"])
            for each in submitted
            if each.settled_at is not None and each.settled_at <= as_of
        )

    def report_stores(self, registry: Registry | None = None, past: PastRegistries | None = None) -> Stores:
        """What the weekly report is gathered from.

        ``registry``: the one that stands, ``past``: those of other moments, where the caller holds them.
        """
        from opengoc.flows.weekly import Stores
        from opengoc.monitoring.profile import profile
        from opengoc.registry.past import PastRegistries

        with self.checks(registry) as (_, checks):
            intervals = {(check.metric, check.target): check.interval_seconds for check in checks}
        entries, unknown = self.entries()
        return Stores(
            database=self.database,
            lake=self.lake,
            registries=past or PastRegistries(self.database),
            accounting=self.accounting_sources(),
            intervals=intervals,
            profile=profile(self.settings.probes.profile),
            entry_sites=None if unknown else {name: entry.site for name, entry in entries.items()},
        )

    def path(self, path: Path) -> Path:
        """A path of the settings: relative ones count from the home."""
        return self.home / path

    def close(self) -> None:
        """Let go of the database; safe when it was never opened."""
        if "database" in self.__dict__:
            self.database.dispose()

    def _require_home(self) -> None:
        try:
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise Permanent(
                f"cannot make the home {self.home}: {error}; choose another with --home"
            ) from error
