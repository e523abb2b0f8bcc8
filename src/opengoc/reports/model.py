"""What a weekly report is: sections of tables, lists and plots, whose numbers are figures.

The renderers know these few blocks and nothing else, so a new section needs no change in any of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from opengoc.base.errors import InvalidInput
from opengoc.base.figure import Figure
from opengoc.base.interval import Interval

#: A cell of a table: a figure, or words.
Cell = Figure | str

#: What identifies a figure within a report: its name and its dimensions, sorted.
FigureKey = tuple[str, tuple[tuple[str, str], ...]]


def figure_key(figure: Figure) -> FigureKey:
    """The identity of a figure, the same in every revision of a report."""
    return figure.name, tuple(sorted(figure.dimensions.items()))


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of words and figures under named columns."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    #: What to say when there is no row, e.g. "No downtime was announced."
    empty: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise InvalidInput(f"table {self.title}", row, f"needs {len(self.columns)} cells")


@dataclass(frozen=True, kw_only=True)
class Items:
    """A list of plain sentences."""

    title: str
    lines: tuple[str, ...]
    empty: str = ""


@dataclass(frozen=True, kw_only=True)
class Series:
    """One row of bars: a figure per label of the plot, in the plot's order."""

    name: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True, kw_only=True)
class Bars:
    """Bars by label (days), one group of bars per series (VOs)."""

    title: str
    unit: str
    labels: tuple[str, ...]
    series: tuple[Series, ...]

    def __post_init__(self) -> None:
        for series in self.series:
            if len(series.figures) != len(self.labels):
                raise InvalidInput(f"plot {self.title}", series.name, f"needs {len(self.labels)} points")


class SpellState(StrEnum):
    """What was known of a site during a spell of time."""

    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"
    DOWNTIME = "downtime"
    UNKNOWN = "unknown"
    #: The spell lies after the moment the report was made: nothing is claimed about it.
    AHEAD = "ahead"


@dataclass(frozen=True, kw_only=True)
class Spell:
    """A stretch of time in one state."""

    interval: Interval
    state: SpellState


@dataclass(frozen=True, kw_only=True)
class Strip:
    """The states of one site over the week, in order and without holes."""

    name: str
    spells: tuple[Spell, ...]


@dataclass(frozen=True, kw_only=True)
class Strips:
    """One strip per site over the same interval."""

    title: str
    interval: Interval
    strips: tuple[Strip, ...]


Block = Table | Items | Bars | Strips


@dataclass(frozen=True, kw_only=True)
class Note:
    """What a person wrote for a section of a week's report."""

    id: str
    section: str
    text: str
    who: str
    written_at: datetime


@dataclass(frozen=True, kw_only=True)
class Section:
    """One heading of the report."""

    #: Stable name for notes and anchors: ``actions``, ``vo-cms``, ``operations``, …
    name: str
    title: str
    blocks: tuple[Block, ...] = ()
    notes: tuple[Note, ...] = ()
    #: Said when there is neither a block nor a note.
    empty: str = ""

    def figures(self) -> Iterator[Figure]:
        """The figures of its tables, row by row; points of plots belong to the plots."""
        for block in self.blocks:
            if isinstance(block, Table):
                yield from (cell for row in block.rows for cell in row if isinstance(cell, Figure))


@dataclass(frozen=True, kw_only=True)
class Cause:
    """A fact learned between two revisions that explains, or may explain, why a figure changed."""

    #: ``downtime dt-3f9c2a71be04 cancelled``, ``412 late payload records of ap-history``.
    what: str
    who: str = ""
    why: str = ""
    known_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Correction:
    """A figure that changed after it was published."""

    #: The week whose report is corrected.
    week: str
    #: The revision that carried the old figure.
    revision: int
    #: None: the figure was not in the old revision.
    old: Figure | None
    #: None: the figure is no longer reported.
    new: Figure | None
    causes: tuple[Cause, ...] = ()
    #: False when the figures of that week have changed but no new revision says so yet.
    published: bool = True

    def __post_init__(self) -> None:
        if self.old is None and self.new is None:
            raise InvalidInput(f"correction of {self.week}", None, "needs an old or a new figure")

    @property
    def figure(self) -> Figure:
        """The figure it is about: the new one where there is one."""
        figure = self.new or self.old
        assert figure is not None
        return figure


@dataclass(frozen=True, kw_only=True)
class Report:
    """The report of one ISO week, or of another period, as it was known at ``as_of``."""

    week: str
    interval: Interval
    #: 0 for a draft; 1 and up once published.
    revision: int
    as_of: datetime
    sections: tuple[Section, ...]
    corrections: tuple[Correction, ...] = ()
    #: Heading of a report that is not the weekly production report; ``week`` is then its own name, such as
    #: ``A/R 2026-10``.
    title: str = ""

    def __post_init__(self) -> None:
        seen: dict[FigureKey, Figure] = {}
        for section in self.sections:
            for figure in section.figures():
                if seen.setdefault(figure_key(figure), figure) != figure:
                    raise InvalidInput(f"report {self.week}", figure_key(figure), "stands with two numbers")

    @property
    def week_is_over(self) -> bool:
        """Whether the week had ended when the report was made."""
        assert self.interval.end is not None
        return self.interval.end <= self.as_of

    @property
    def figures(self) -> tuple[Figure, ...]:
        """Every figure of the report, in reading order, each once."""
        found: dict[FigureKey, Figure] = {}
        for section in self.sections:
            for figure in section.figures():
                found.setdefault(figure_key(figure), figure)
        return tuple(found.values())

    @property
    def notes(self) -> tuple[Note, ...]:
        """Every hand-written note, in reading order."""
        return tuple(note for section in self.sections for note in section.notes)

    def as_revision(self, revision: int, corrections: tuple[Correction, ...]) -> Report:
        """The same report under a revision number, with the corrections it brings."""
        return replace(self, revision=revision, corrections=corrections)


def dimensions_text(dimensions: Mapping[str, str]) -> str:
    """Dimensions in words: ``vo cms, site ITB-Slurm``."""
    return ", ".join(f"{name} {value}" for name, value in dimensions.items())
