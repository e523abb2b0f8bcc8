"""A figure is a reported number that says how good it is.

Unknown is never zero: what could not be had is ``missing`` with a reason, what was had in part is ``partial``
with what is lacking, and only a measured nought is ``zero``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from opengoc.base.errors import InvalidInput
from opengoc.base.instant import format_instant


class FigureState(StrEnum):
    """How good a figure is."""

    VALUE = "value"
    ZERO = "zero"
    PARTIAL = "partial"
    MISSING = "missing"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number of a report. Build it with ``known``, ``partial`` or ``missing``."""

    #: What is counted, e.g. ``payload_jobs``.
    name: str
    #: None exactly when the state is ``missing``.
    value: float | int | None
    #: Unit of the value: ``jobs``, ``hours``, ``core hours``, ``percent``, ``bytes``.
    unit: str
    state: FigureState
    #: What is lacking and what is being done; empty for a full value.
    reason: str = ""
    #: What the figure is about, e.g. {"vo": "cms", "site": "ITB-Slurm"}.
    dimensions: Mapping[str, str] = field(default_factory=dict)
    #: The moment up to which facts were known when this was computed (UTC).
    as_of: datetime
    #: Where the number came from: query, table version, source names.
    evidence: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rules = {
            FigureState.VALUE: self.value is not None and self.value != 0 and not self.reason,
            FigureState.ZERO: self.value is not None and self.value == 0 and not self.reason,
            FigureState.PARTIAL: self.value is not None and bool(self.reason),
            FigureState.MISSING: self.value is None and bool(self.reason),
        }
        if not rules[self.state]:
            raise InvalidInput(
                f"figure {self.name}",
                (self.state.value, self.value, self.reason),
                "partial and missing need a reason, only missing has no value",
            )

    @classmethod
    def known(
        cls,
        name: str,
        value: float | int,
        unit: str,
        *,
        as_of: datetime,
        lacking: str = "",
        dimensions: Mapping[str, str] | None = None,
        evidence: Mapping[str, Any] | None = None,
    ) -> Figure:
        """A measured number; ``partial`` when ``lacking`` says what it leaves out."""
        state = FigureState.PARTIAL if lacking else FigureState.VALUE if value else FigureState.ZERO
        return cls(
            name=name,
            value=value,
            unit=unit,
            state=state,
            reason=lacking,
            as_of=as_of,
            dimensions=dimensions or {},
            evidence=evidence or {},
        )

    @classmethod
    def missing(
        cls,
        name: str,
        unit: str,
        reason: str,
        *,
        as_of: datetime,
        dimensions: Mapping[str, str] | None = None,
        evidence: Mapping[str, Any] | None = None,
    ) -> Figure:
        """A number that could not be had, with the reason."""
        return cls(
            name=name,
            value=None,
            unit=unit,
            state=FigureState.MISSING,
            reason=reason,
            as_of=as_of,
            dimensions=dimensions or {},
            evidence=evidence or {},
        )

    def to_json(self) -> dict[str, Any]:
        """The figure as JSON values, keys as the report publishes them."""
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "state": self.state.value,
            "reason": self.reason,
            "dimensions": dict(self.dimensions),
            "as_of": format_instant(self.as_of),
            "evidence": dict(self.evidence),
        }
