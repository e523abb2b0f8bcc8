"""A place that usage records are read from, and what its format leaves unsaid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from opengoc.accounting.model import Kind
from opengoc.base.errors import InvalidInput


@dataclass(frozen=True, kw_only=True)
class Source:
    """One file that grows, with its rotated predecessors, or a folder of one file a job."""

    name: str
    #: Name of the format, a key of ``formats.FORMATS``.
    format: str
    path: Path
    kind: Kind
    #: Site of every record; None where the records say it themselves.
    site: str | None = None
    #: Name of the batch system instance, where the records do not say it; the name of the source if None.
    instance: str | None = None
    #: Time zone of local times in the format, e.g. ``Europe/Rome``.
    time_zone: str = "UTC"
    #: The head of the file, for formats that say there how its later lines are read.
    preamble: bytes = b""
    #: The only sites and instances that it speaks for; empty: any.
    sites: tuple[str, ...] = ()
    instances: tuple[str, ...] = ()

    @property
    def names_pilots(self) -> bool:
        """Whether a batch job's name is that of a pilot: the factory names it so."""
        return self.kind is Kind.PILOT

    def to_json(self) -> dict[str, Any]:
        """How its bytes are read, as JSON values: all but where they lie."""
        spoken_for = {"sites": list(self.sites), "instances": list(self.instances)}
        return {name: names for name, names in spoken_for.items() if names} | {
            "format": self.format,
            "kind": self.kind.value,
            "site": self.site,
            "instance": self.instance,
            "time_zone": self.time_zone,
            "preamble": self.preamble.decode("latin-1"),
        }

    @classmethod
    def from_json(cls, name: str, value: Mapping[str, Any]) -> Source:
        """The source of ``to_json``, without a place."""
        return cls(
            name=name,
            format=value["format"],
            path=Path(),
            kind=Kind(value["kind"]),
            site=value["site"],
            instance=value["instance"],
            time_zone=value["time_zone"],
            preamble=value["preamble"].encode("latin-1"),
            sites=tuple(value.get("sites", ())),
            instances=tuple(value.get("instances", ())),
        )

    def __post_init__(self) -> None:
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise InvalidInput(
                f"source {self.name} time_zone", self.time_zone, "must be an IANA name such as Europe/Rome"
            ) from error
