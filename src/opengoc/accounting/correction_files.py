"""Corrections as they lie about in files: our own CSV, processors of jobs, benchmarks of sites. Pure.

Our own CSV names the field, the value and the scope by its header; ``from`` and ``to`` bound when it holds::

    field,value,site,vo,from,to
    vo,cms,SITE-A,uscms,,
    processors,8,,,2026-11-01,2026-12-01

Jobs with processors are one JSON object, ``{"1828783": {"procs": "24"}}``; sites with HS06 are lines of a
name and a number, ``#`` before a comment, as the tools of GRACC and of its APEL reports keep them.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable

from opengoc.accounting.corrections import SCOPES, Correction, Field
from opengoc.base.errors import InvalidInput
from opengoc.base.instant import parse_instant
from opengoc.base.interval import Interval


def read(text: str, where: str) -> list[Correction]:
    """The rules of a file. Raises InvalidInput with the line that is wrong."""
    plain = text.removeprefix("\ufeff")
    if plain.lstrip().startswith("{"):
        return _processors(plain, where)
    first = plain.split("\n", 1)[0]
    return _csv(plain, where) if "field" in first.split(",") else _benchmarks(plain, where)


def _csv(text: str, where: str) -> list[Correction]:
    found = []
    for number, row in enumerate(csv.DictReader(io.StringIO(text)), 2):
        strange = [name for name in row if name not in (*SCOPES, "field", "value", "from", "to")]
        if strange:
            raise InvalidInput(
                f"{where} line {number}", strange, f"columns must be field, value, {', '.join(SCOPES)}"
            )
        found.append(_located(lambda row=row: _row(row), f"{where} line {number}"))  # type: ignore[misc]
    return found


def _row(row: dict[str, str | None]) -> Correction:
    scope = {name: value for name in SCOPES if (value := (row.get(name) or "").strip())}
    start, end = (row.get("from") or "").strip(), (row.get("to") or "").strip()
    bounds = {"valid": Interval(parse_instant(start or "1990-01-01"), parse_instant(end) if end else None)}
    return Correction(
        scope=scope, field=field_of(row.get("field") or ""), value=(row.get("value") or "").strip(), **bounds
    )


def field_of(name: str) -> Field:
    """The field of a name. Raises InvalidInput."""
    try:
        return Field(name.strip().lower())
    except ValueError as error:
        raise InvalidInput("field", name, f"must be one of {', '.join(Field)}") from error


def _processors(text: str, where: str) -> list[Correction]:
    try:
        jobs = json.loads(text)
        return [
            Correction(scope={"global_job_id": str(job)}, field=Field.PROCESSORS, value=str(told["procs"]))
            for job, told in jobs.items()
        ]
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise InvalidInput(where, str(error), 'must be jobs as {"1828783": {"procs": "24"}}') from error


def _benchmarks(text: str, where: str) -> list[Correction]:
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#", 1)[0].split()
        if not words:
            continue
        place = f"{where} line {number}"
        if len(words) != 2:
            raise InvalidInput(place, line[:80], "must be a site and what its core is worth in HS06")
        found.append(
            _located(lambda w=words: Correction(scope={"site": w[0]}, field=Field.HS06, value=w[1]), place)  # type: ignore[misc]
        )
    return found


def _located(make: Callable[[], Correction], where: str) -> Correction:
    try:
        return make()
    except InvalidInput as error:
        raise InvalidInput(where, error.value, error.rule) from error
