"""Settings of one installation: ``$GOC_HOME/goc.toml``, checked whole before anything runs.

Pydantic stands at this edge only; rooms are handed plain arguments, never these objects. Unknown keys are
refused, and ``load_settings`` names every fault of the file at once. Relative paths count from the home.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from opengoc.base.errors import InvalidInput

SETTINGS_FILE = "goc.toml"
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")

#: Spans up to a century: what lies beyond is infinite, or breaks the calendar.
Seconds = Annotated[float, Field(gt=0, le=36_525 * 86_400)]
Hours = Annotated[float, Field(gt=0, le=36_525 * 24)]
Days = Annotated[float, Field(gt=0, le=36_525)]
Name = Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9._-]+$")]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StoreSettings(_Table):
    """Where facts live."""

    #: SQLAlchemy address; empty: SQLite in ``$GOC_HOME/goc.db``.
    url: str = ""

    @field_validator("url")
    @classmethod
    def _is_of_a_database_we_know(cls, url: str) -> str:
        if url and urlsplit(url).scheme.partition("+")[0] not in ("sqlite", "postgresql"):
            raise ValueError("must be sqlite:////absolute/path or postgresql://user@host/name")
        return url


class PoolSettings(_Table):
    """One VO pool: a central manager and the schedds whose queues hold payload jobs."""

    name: Name
    #: Address of the collector, host:port.
    collector: str
    schedds: tuple[str, ...] = Field(min_length=1)
    #: Folder of the IDTOKENS that open this pool.
    token_directory: Path


class FactorySettings(_Table):
    """The pilot factory: its own schedd, and the files that say where and how pilots run."""

    name: Name = "factory"
    #: Name that mirrors share what is applied, paused and limited by; None: its own.
    group: Name | None = None
    schedd: str
    collector: str
    token_directory: Path
    #: Name of the pool that the pilots join.
    pool: Name
    #: IDTOKEN that a pilot carries to join the pool.
    pilot_token_file: Path
    entries: Path = Path("entries.toml")
    policy: Path = Path("policy.toml")
    cycle_seconds: Seconds = 30.0

    @property
    def group_name(self) -> str:
        """Name under which things are applied, paused and limited."""
        return self.group or self.name


class AccountingSource(_Table):
    """One place that usage records are read from."""

    name: Name
    kind: Literal["condor-history", "slurm-jobcomp", "condor-live", "sacct-live"]
    #: Of a log: the file, or the folder.
    path: Path = Path()
    #: Of ``condor-live``: which schedd of which of the pools is asked.
    pool: str = ""
    schedd: str = ""
    #: Of ``sacct-live``: the command, when it is given up, how far a question reaches over the last one.
    command: tuple[str, ...] = Field(default=("sacct",), min_length=1)
    timeout_seconds: Seconds = 120.0
    overlap_hours: Hours = 6.0
    #: Of both: how far the first question reaches back.
    first_days: Days = 30.0
    #: What the records count: pilots at a site, payloads of VOs, or jobs given to a site directly.
    records: Literal["pilot", "payload", "batch"]
    #: Registry site of the records; payload records carry their own.
    site: str = ""
    #: Name of the batch system instance, where the records do not say it; empty: the source's name.
    instance: str = ""
    #: Time zone of local times in the log, an IANA name.
    time_zone: str = "UTC"

    @model_validator(mode="after")
    def _pilots_need_a_site(self) -> AccountingSource:
        if self.records != "payload" and not self.site:
            raise ValueError(f'needs site = "…" because {self.records} records do not name their site')
        return self

    @model_validator(mode="after")
    def _says_where_it_is_read(self) -> AccountingSource:
        if self.kind == "condor-live":
            if not (self.pool and self.schedd):
                raise ValueError('needs pool = "…" and schedd = "…": which schedd is asked')
        elif self.kind != "sacct-live" and self.path == Path():
            raise ValueError('needs path = "…": the file, or the folder')
        return self

    @field_validator("time_zone")
    @classmethod
    def _is_a_time_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError("must be an IANA name such as Europe/Rome") from error
        return name


class ReceivedSource(_Table):
    """One source that sends its usage records here over HTTP."""

    name: Name
    #: File that holds the token which the source shows.
    token_file: Path
    #: What records count that do not say it themselves.
    records: Literal["pilot", "payload", "batch"] = "batch"
    #: Registry site of records that do not name one.
    site: str = ""
    #: The only sites and batch system instances whose records it may send; none: any.
    sites: tuple[str, ...] = ()
    instances: tuple[str, ...] = ()


class ProbeSettings(_Table):
    """How the services are probed."""

    #: Seconds between two runs of one probe.
    interval_seconds: Seconds = 300.0
    #: Seconds after which a running probe is ended; its result is then UNKNOWN.
    timeout_seconds: Seconds = 120.0
    #: A/R profile of the reports.
    profile: Name = "argo-egi"


class MailSettings(_Table):
    """How reports are sent."""

    smtp: str = "127.0.0.1:25"
    sender: str
    recipients: tuple[str, ...] = ()


class LoginGrant(_Table):
    """What people may do of whom the login provider says something."""

    #: Unique; facts of people who are no contact of the registry carry it.
    name: Name
    claim: str = Field(min_length=1)
    #: The claim, or one of its values where it has several.
    value: str = Field(min_length=1)
    rights: tuple[Literal["downtimes", "reports"], ...] = Field(min_length=1)
    #: Of downtimes: of these sites only; empty: of all.
    sites: tuple[str, ...] = ()


class LoginSettings(_Table):
    """Login on the pages by an OpenID Connect provider, beside tokens."""

    #: What people call the provider.
    name: str = "your organisation"
    issuer: str
    client_id: str = Field(min_length=1)
    #: File of the client's secret; left out: a public client, held by PKCE alone.
    client_secret_file: Path | None = None
    #: Address of these pages as browsers see it.
    address: str
    scopes: tuple[str, ...] = ("openid", "email")
    #: Claim that tells which contact of the registry somebody is; empty: none does.
    contact_claim: str = ""
    #: What of the contact it is compared with.
    contact_field: Literal["email", "subjects"] = "email"
    #: Roles at resources whose holders may touch the downtimes of the site.
    contact_roles: tuple[str, ...] = ("Administrative Contact",)
    grants: tuple[LoginGrant, ...] = ()

    @field_validator("issuer", "address")
    @classmethod
    def _is_a_safe_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.hostname is None or (parts.scheme != "https" and parts.hostname not in _THIS_MACHINE):
            raise ValueError("must be an https address (http on this machine alone)")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _says_whom_it_lets_in(self) -> LoginSettings:
        names = [grant.name for grant in self.grants]
        if len(names) != len(set(names)):
            raise ValueError("grants: each needs a name of its own")
        if "openid" not in self.scopes:
            raise ValueError("scopes: must hold openid")
        if not names and not self.contact_claim:
            raise ValueError("needs grants or contact_claim: else nobody may do anything")
        return self


class Settings(_Table):
    """The whole file."""

    name: str = "OpenGOC"
    store: StoreSettings = StoreSettings()
    pools: tuple[PoolSettings, ...] = ()
    factory: FactorySettings | None = None
    accounting: tuple[AccountingSource, ...] = ()
    received: tuple[ReceivedSource, ...] = ()
    probes: ProbeSettings = ProbeSettings()
    mail: MailSettings | None = None
    login: LoginSettings | None = None

    @model_validator(mode="after")
    def _names_are_unique_and_known(self) -> Settings:
        for kind, names in (
            ("pools", [p.name for p in self.pools]),
            ("accounting, received", [s.name for s in self.accounting] + [s.name for s in self.received]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{kind}: name {', '.join(twice)} stands twice")
        if self.factory is not None and self.factory.pool not in [p.name for p in self.pools]:
            raise ValueError(f"factory.pool: {self.factory.pool!r} is none of the pools")
        for source in self.accounting:
            if source.kind == "condor-live" and source.pool not in [p.name for p in self.pools]:
                raise ValueError(f"accounting.pool: {source.pool!r} of {source.name} is none of the pools")
        return self


def load_settings(home: Path) -> Settings:
    """The settings of a home; the defaults where it has no file. Raises InvalidInput with every fault."""
    path = home / SETTINGS_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Settings()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(str(path), type(error).__name__, f"cannot be read: {error}") from error
    try:
        return Settings.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(str(path), "TOML", str(error)) from error
    except ValidationError as error:
        raise InvalidInput(str(path), f"{error.error_count()} fault(s)", _faults(error)) from error


def _faults(error: ValidationError) -> str:
    lines = []
    for fault in error.errors(include_url=False):
        place = ".".join(str(part) for part in fault["loc"])
        rule = "is not a known key" if fault["type"] == "extra_forbidden" else fault["msg"]
        lines.append(f"{place}: {rule}" if place else rule)
    return "; ".join(lines)
