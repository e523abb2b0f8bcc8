"""Downtimes as a history of what was said when: JSON lines of ``add``, ``edit`` and ``delete``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, ValidationError

from opengoc.base.errors import InvalidInput
from opengoc.base.instant import require_utc
from opengoc.base.interval import Interval
from opengoc.registry.downtime import Downtime, DowntimeClass, Severity


class Op(StrEnum):
    """What was done with the downtime."""

    ADD = "add"
    EDIT = "edit"
    #: Taken out of the files: withdrawn before its end, archived after it.
    DELETE = "delete"


@dataclass(frozen=True, kw_only=True)
class DowntimeEvent:
    """One line."""

    op: Op
    id: str
    #: When it was said.
    known_at: datetime
    #: None: what is said is no downtime, as it ends before it starts.
    downtime: Downtime | None
    group: str
    #: Where it was said.
    source: str
    row: dict[str, Any] = field(repr=False)


_UTC = Annotated[AwareDatetime, AfterValidator(require_utc)]


def _unparsed(text: object) -> bool:
    return isinstance(text, str) and text.startswith("UNPARSED:")


class _Row(BaseModel):
    """{"tx": "2018-06-27T19:44:39Z", "commit": "7cad3ca4256c", "op": "edit", "id": "1005686", …}"""

    model_config = ConfigDict(extra="ignore")

    tx: _UTC
    op: Op
    id: str
    cls: DowntimeClass | None
    severity: Severity
    start: _UTC
    end: _UTC
    #: What its file said and nobody could read is kept as ``UNPARSED:…``: the announcement is unknown.
    created: Annotated[_UTC | None, BeforeValidator(lambda text: None if _unparsed(text) else text)]
    resource: str
    services: tuple[str, ...]
    desc: str = ""
    rg: str = ""
    commit: str = ""


def read_events(path: Path) -> Iterator[DowntimeEvent]:
    """Every line, in order. Raises InvalidInput with the number of a line that cannot be read."""
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                yield _event(_Row.model_validate(row), row)
            except (ValidationError, json.JSONDecodeError, InvalidInput) as error:
                raise InvalidInput(f"{path.name}:{number}", line[:80], str(error)) from error


def _event(said: _Row, row: dict[str, Any]) -> DowntimeEvent:
    downtime = None
    if said.start < said.end:
        downtime = Downtime(
            id=said.id,
            resource=said.resource,
            services=tuple(dict.fromkeys(said.services)),
            interval=Interval(said.start, said.end),
            severity=said.severity,
            description=said.desc,
            declared_at=said.created,
            claimed_class=said.cls,
        )
    source = f"commit {said.commit}" if said.commit else ""
    return DowntimeEvent(
        op=said.op, id=said.id, known_at=said.tx, downtime=downtime, group=said.rg, source=source, row=row
    )
