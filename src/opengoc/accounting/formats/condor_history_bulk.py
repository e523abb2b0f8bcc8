"""HTCondor history, many ads at once. Pure.

Taken are the ads that their banner proves to be one (``condor_history``), written as a schedd writes them: a
letter first, ``Name = value`` a line, ASCII. The lines of the wanted attributes are found by their first
bytes as numbers, eight at a time. Every other ad is read one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any, TypeAlias

import numpy
import pyarrow
import pyarrow.compute as pc
from numpy.typing import NDArray

from opengoc.accounting.columns import assembled, plain
from opengoc.accounting.formats.condor_history import (
    ATTRIBUTES,
    GRID_UNIVERSE,
    STATUS,
    Banner,
    banner,
    between,
)
from opengoc.accounting.formats.piece import Made, Tail
from opengoc.accounting.formats.template import epoch
from opengoc.accounting.model import Kind
from opengoc.accounting.source import Source

_Places: TypeAlias = NDArray[numpy.int64]

#: Bytes behind the last line, so that a name may be looked for at its very end.
_ROOM = 64
#: How many bytes are printable ASCII, from the blank on; how many letters there are.
_PRINTED, _LETTERS = 96, 26
_THREE, _STARS = numpy.uint64(0xFFFFFF), numpy.uint64(int.from_bytes(b"***", "little"))
#: Bits that tell upper from lower case.
_LETTERS_ALIKE = numpy.uint64(0x2020202020202020)
#: Numbers as Arrow reads them just as Python does, and everything that an ad calls a number.
_PLAIN = r"^-?[0-9]{1,15}(\.[0-9]{1,30})?$"
_NUMBER = r"^[+-]?[0-9]{1,18}(\.[0-9]{0,30})?([eE][+-]?[0-9]{1,3})?$"
#: Seconds since 1970 that are no time any more.
_LATEST = 253_402_300_800
_INT32 = 2**31


def _beginnings() -> NDArray[numpy.bool_]:
    """Of every two bytes, whether a wanted name may begin so."""
    found = numpy.zeros(1 << 16, bool)
    found[[int.from_bytes(name[:2].lower().encode(), "little") | 0x2020 for name in ATTRIBUTES]] = True
    return found


_BEGINNINGS = _beginnings()


def read(data: bytes, *, source: Source, offset: int, tail: Tail) -> Made | None:  # noqa: ARG001
    """The ads of ``data``; None where no banner stands behind one."""
    lines = _Lines(data)
    found = lines.banners(data)
    if not found:
        return None
    starts = numpy.array([0, *(each.end for each in found[:-1])], numpy.int64)
    ends = numpy.array([each.start for each in found], numpy.int64)
    before = [0 if offset == 0 else None, *(offset + each.start for each in found[:-1])]
    is_proven = [
        each.previous is not None and each.previous == at for each, at in zip(found, before, strict=True)
    ]
    ads = _Ads(lines, starts, ends, numpy.array(is_proven))
    table = _records(ads, found, source)
    mask = pc.and_(plain(table), pyarrow.array(ads.taken))
    left = numpy.flatnonzero(~numpy.asarray(mask))
    pieces = [
        piece
        for at in left.tolist()
        for piece in between(data, int(starts[at]), found[at], before[at], offset, source)
    ]
    end = found[-1].end
    return Made(
        records=table.filter(mask) if len(left) else table,
        pieces=tuple(pieces),
        rest=((end, len(data)),) if end < len(data) else (),
    )


class _Lines:
    """Whole lines of some bytes."""

    def __init__(self, data: bytes) -> None:
        # Behind the last line there is room for a name.
        self.bytes = numpy.frombuffer(data + bytes(_ROOM), numpy.uint8)
        #: The eight bytes that begin at each place, as one number.
        self.eight = numpy.ndarray((len(data) + _ROOM - 7,), "<u8", self.bytes, strides=(1,))
        # What is no printable ASCII: mostly ends of lines.
        unprinted = numpy.flatnonzero(self.bytes[: len(data)] - ord(" ") >= _PRINTED)
        is_end = self.bytes[unprinted] == ord("\n")
        self.odd = unprinted[~is_end]
        places = numpy.concatenate(([0], unprinted[is_end] + 1))
        self.starts, self.stops = places[:-1], places[1:]
        buffers = [None, pyarrow.py_buffer(places.astype(numpy.int32)), pyarrow.py_buffer(data)]
        self.texts = pyarrow.Array.from_buffers(pyarrow.binary(), len(self.starts), buffers)

    def banners(self, data: bytes) -> list[Banner]:
        """Those that begin with three stars."""
        stars = numpy.flatnonzero(self.eight[self.starts] & _THREE == _STARS)
        spans = zip(self.starts[stars].tolist(), self.stops[stars].tolist(), strict=True)
        return [banner(data, start, stop) for start, stop in spans]


class _Ads:
    """Ads side by side, and which of them are taken."""

    def __init__(self, lines: _Lines, starts: _Places, ends: _Places, taken: NDArray[numpy.bool_]) -> None:
        self._lines = lines
        self._starts = starts
        self.taken = taken
        self.taken &= (lines.bytes[starts] | 0x20) - ord("a") < _LETTERS
        self._leave(lines.odd)
        self._leave(lines.starts[lines.bytes[lines.starts] == ord(" ")])
        self._values = self._found(lines.starts, ends)

    def _leave(self, places: _Places) -> None:
        """Leave the ads that these bytes are in."""
        self.taken[self._ad_of(places)] = False

    def _ad_of(self, places: _Places) -> _Places:
        found: _Places = numpy.maximum(numpy.searchsorted(self._starts, places, "right") - 1, 0)
        return found

    def _found(self, lines: _Places, ends: _Places) -> dict[str, Any]:
        """The wanted values: for each attribute a text for each ad, null where it has none."""
        heads = self._lines.eight[lines] | _LETTERS_ALIKE
        # Most lines are of other attributes, and the first two letters tell.
        likely = numpy.flatnonzero(_BEGINNINGS[heads & numpy.uint64(0xFFFF)])
        heads = heads[likely]
        made = {}
        # Names that begin alike share one search.
        for size in sorted({min(8, len(name)) for name in ATTRIBUTES}):
            mask = numpy.uint64(2 ** (8 * size) - 1)
            cut = heads & mask
            for head in sorted({name[:8].lower() for name in ATTRIBUTES if min(8, len(name)) == size}):
                number = numpy.uint64(int.from_bytes(head.encode(), "little")) | (_LETTERS_ALIKE & mask)
                numbers = likely[cut == number]
                for name in ATTRIBUTES:
                    if name[:8].lower() == head and min(8, len(name)) == size:
                        made[name.lower()] = self._column(name, lines, numbers, ends)
        return made

    def _column(self, name: str, lines: _Places, numbers: _Places, ends: _Places) -> Any:
        """The values of one attribute, whose lines are among those of ``numbers``."""
        written = f"{name} = ".encode()
        places = lines[numbers]
        alike = numpy.ones(len(places), bool)
        exact = numpy.ones(len(places), bool)
        for at in [*range(0, len(written) - 8, 8), max(0, len(written) - 8)]:
            part = written[at : at + 8]
            mask = numpy.uint64(2 ** (8 * len(part)) - 1)
            wanted = numpy.uint64(int.from_bytes(part, "little"))
            there = self._lines.eight[places + at] & mask
            exact &= there == wanted
            name_mask = numpy.uint64(2 ** (8 * max(0, min(len(part), len(name) - at))) - 1)
            alike &= ((there ^ wanted) & name_mask & ~_LETTERS_ALIKE) == 0
        # The same name in other letters, or written closer or wider.
        follows = self._lines.bytes[places + len(name)]
        strange = alike & ~exact & ((follows == ord(" ")) | (follows == ord("=")))
        self._leave(places[strange])
        numbers, places = numbers[exact], places[exact]
        ads = self._ad_of(places)
        numbers, ads = numbers[places < ends[ads]], ads[places < ends[ads]]
        chosen = numpy.full(len(self._starts), -1, numpy.int64)
        # Where it stands twice, the last one counts.
        chosen[ads] = numbers
        chosen[~self.taken] = -1
        values = self._lines.texts.take(pyarrow.array(chosen, mask=chosen < 0)).cast(pyarrow.string())
        return pc.ascii_trim(pc.utf8_slice_codeunits(values, len(written)), characters=" \n")

    def require(self, mask: Any) -> None:
        """Leave the ads for which this does not hold, or is not known."""
        self.taken &= numpy.asarray(pc.fill_null(mask, False))

    def has(self, name: str) -> Any:
        """Whether an ad has the attribute, whatever it is."""
        return pc.is_valid(self._values[name])

    def is_true(self, name: str) -> Any:
        """Whether it is the literal ``true``."""
        return pc.fill_null(pc.equal(pc.ascii_lower(self._values[name]), "true"), False)

    def number(self, *names: str) -> Any:
        """The first of these attributes that is a number."""
        return pc.coalesce(*(self._number(name) for name in names))

    def _number(self, name: str) -> Any:
        values = self._values[name]
        is_plain = pc.match_substring_regex(values, _PLAIN)
        # One that Arrow might read otherwise is left.
        is_other = pc.and_(pc.match_substring_regex(values, _NUMBER), pc.invert(is_plain))
        self.require(pc.fill_null(pc.invert(is_other), True))
        return pc.cast(_only(values, is_plain), pyarrow.float64())

    def whole(self, *names: str) -> Any:
        """As ``number``, cut to whole ones."""
        return pc.cast(pc.trunc(self.number(*names)), pyarrow.int64())

    def string(self, *names: str) -> Any:
        """The first of these attributes that is a string and not empty."""
        return pc.coalesce(*(self._string(name) for name in names))

    def _string(self, name: str) -> Any:
        values = self._values[name]
        is_string = pc.and_(pc.starts_with(values, '"'), pc.ends_with(values, '"'))
        is_string = pc.and_(is_string, pc.greater(pc.binary_length(values), 2))
        inside = pc.utf8_slice_codeunits(_only(values, is_string), 1, -1)
        return pc.replace_substring(inside, '\\"', '"')

    def instant(self, *names: str) -> Any:
        """The first of these attributes that is a time, as whole seconds since 1970."""
        return pc.coalesce(*(self._instant(name) for name in names))

    def _instant(self, name: str) -> Any:
        seconds = self._number(name)
        self.require(pc.fill_null(pc.equal(seconds, pc.trunc(seconds)), True))
        is_time = pc.and_(pc.greater(seconds, 0), pc.less(seconds, _LATEST))
        return pc.cast(pc.trunc(_only(seconds, is_time)), pyarrow.int64())


def _only(column: Any, mask: Any) -> Any:
    return pc.if_else(mask, column, pyarrow.scalar(None, column.type))


def _records(ads: _Ads, found: list[Banner], source: Source) -> pyarrow.Table:
    """As ``condor_history`` makes them; ads of which it would make none are left."""
    count = len(found)
    started = ads.instant("jobstartdate", "jobcurrentstartdate")
    left_queue = ads.instant("enteredcurrentstatus")
    ended = pc.coalesce(ads.instant("completiondate"), left_queue)
    wall = ads.number("remotewallclocktime")
    job = ads.string("globaljobid")
    for needed in (ended, wall, job):
        ads.require(pc.is_valid(needed))
    ads.require(
        pc.equal(ads.whole("clusterid"), pyarrow.array([each.cluster for each in found], pyarrow.int64()))
    )
    ads.require(pc.equal(ads.whole("procid"), pyarrow.array([each.proc for each in found], pyarrow.int64())))
    pilot: Callable[..., tuple[str, ...]] = lambda *names: names if source.kind is not Kind.PAYLOAD else ()  # noqa: E731
    user, system = _cpu(ads)
    kib = ads.number("residentsetsize_raw", "residentsetsize")
    mib = pc.cast(pc.ceil(pc.divide(_only(kib, pc.greater(kib, 0)), 1024.0)), pyarrow.int64())
    by_signal = ads.is_true("exitbysignal")
    columns: dict[str, Any] = {
        "instance": _schedd(job, source),
        "global_job_id": job,
        "kind": pc.if_else(ads.has("goc_probe"), Kind.BATCH.value, source.kind.value),
        "site": pyarrow.repeat(source.site, count) if source.site else ads.string("machineattrglidein_site0"),
        "resource": ads.string("machineattrglidein_resource0", *pilot("glidein_resource")),
        "vo": ads.string("goc_vo", "vo", "x509userproxyvoname"),
        "user_name": ads.string("user", "owner"),
        "project": ads.string("projectname", "acctgroup", "accountinggroup"),
        "submitted_at": epoch(ads.instant("qdate")),
        "started_at": epoch(started),
        "ended_at": epoch(ended),
        "wall_seconds": wall,
        "cpu_user_seconds": user,
        "cpu_system_seconds": system,
        "processors": _small(_processors(ads, wall), ads),
        "memory_mib": mib,
        "status": _status(ads.whole("jobstatus")),
        "exit_code": _small(_only(ads.whole("exitcode"), pc.invert(by_signal)), ads),
        "exit_signal": _small(_only(ads.whole("exitsignal"), by_signal), ads),
        "policy_digest": ads.string("machineattrgoc_digest0", *pilot("goc_digest")),
        "pilot_id": ads.string("machineattrgoc_pilotid0", *pilot("goc_pilotid")),
        "entry": ads.string("machineattrglidein_entry_name0", *pilot("goc_entry", "glidein_entry_name")),
        "sequence": pc.coalesce(left_queue, ended),
        "raw_offset": pyarrow.array([0, *(each.end for each in found[:-1])], pyarrow.int64()),
    }
    columns["raw_length"] = pc.subtract(pyarrow.array([each.end for each in found]), columns["raw_offset"])
    return assembled(columns, count, source)


def _schedd(job: Any, source: Source) -> Any:
    named = pc.struct_field(pc.extract_regex(job, r"^(?P<schedd>[^#]+)#"), "schedd")
    return pc.fill_null(named, source.instance or source.name)


def _cpu(ads: _Ads) -> tuple[Any, Any]:
    user = ads.number("cumulativeremoteusercpu", "remoteusercpu")
    system = ads.number("cumulativeremotesyscpu", "remotesyscpu")
    is_grid = pc.fill_null(pc.equal(ads.whole("jobuniverse"), GRID_UNIVERSE), False)
    unsampled = pc.fill_null(pc.equal(ads.number("residentsetsize_raw"), 0), False)
    nothing = [pc.equal(pc.fill_null(each, 0.0), 0) for each in (user, system)]
    measured = pc.invert(reduce(pc.and_, [pc.or_(is_grid, unsampled), *nothing]))
    return _only(user, measured), _only(system, measured)


def _processors(ads: _Ads, wall: Any) -> Any:
    count = ads.whole("cpusprovisioned", "requestcpus")
    asks = pc.and_(ads.has("requestcpus"), pc.fill_null(pc.greater(wall, 0), False))
    # An expression that nobody evaluated.
    ads.require(pc.or_(pc.is_valid(count), pc.invert(asks)))
    return pc.fill_null(count, 1)


def _small(column: Any, ads: _Ads) -> Any:
    """A column of 32 bits; ads with a larger value are left."""
    fits = pc.less(pc.abs(column), _INT32)
    ads.require(pc.fill_null(fits, True))
    return pc.cast(_only(column, fits), pyarrow.int32())


def _status(code: Any) -> Any:
    places = pc.index_in(code, value_set=pyarrow.array(list(STATUS), pyarrow.int64()))
    return pc.fill_null(pyarrow.array(list(STATUS.values())).take(places), "unknown")
