"""Random requirements and ads of the whole declared subset, and HTCondor's own answer to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hypothesis import strategies as st

from opengoc.condor.classads import ERROR, Truth, Value, evaluate, parse, truth
from opengoc.factory.expression import Attribute
from opengoc.factory.functions import FUNCTIONS
from opengoc.factory.reader import read
from opengoc.factory.tree import Node, TypeName

Ad = dict[str, Any]


def declared(**types: TypeName) -> dict[str, Attribute]:
    return {name.casefold(): Attribute(name=name, type=kind) for name, kind in types.items()}


JOB = declared(Count="int", Word="string", Part="float", Words="string", Flag="bool")
ENTRY = declared(Limit="int", Name="string", Load="float", Names="string", Open="bool")

#: What stands in ads whatever was declared: every type, and the values at which types and cases meet.
SCALARS: tuple[Value, ...] = (
    *(True, False, 0, 1, -1, 2, 7, 2**63 - 1, -(2**63), 2**53 + 1),
    *(0.0, -0.0, 1.0, 1.5, -2.5, 1e300, -1e300, 1e308, 2.0**53),
    *(float("inf"), float("-inf"), float("nan"), ERROR),
    *("", "a", "A", "b", "a,b", "a, B", "B ,a", "b\v,a\t", "é", "É", "1", "1.5", "true", " 12", "_"),
    *("a.*", "(", "8.1.0", 'q"\\'),
)
values = st.one_of(
    st.sampled_from(SCALARS),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4),
    st.text(st.sampled_from("abAB, \t;é"), max_size=7),
    st.just([1, "a"]),
)

_LITERALS = (
    *("true", "false", "undefined", "error", "0", "1", "2", "(-1)", "1.0", "2.5", "1e308"),
    *('"a"', '"A"', '"a, b"', '""', '"1"', "9223372036854775807"),
)
_SIGNS = ("&&", "||", "==", "!=", "=?=", "=!=", "is", "isnt", "<", "<=", ">", ">=", "+", "-", "*", "/", "%")
_REFERENCES = tuple(
    f"{side}.{each.name}" for side, known in (("job", JOB), ("entry", ENTRY)) for each in known.values()
)


@st.composite
def texts(draw: st.DrawFn, depth: int = 3) -> str:
    """A requirement, well formed and mostly nonsense."""
    if depth == 0 or draw(st.integers(0, 7)) == 0:
        return draw(st.sampled_from(_REFERENCES * 2 + _LITERALS))
    below = texts(depth - 1)
    form = draw(st.integers(0, 11))
    if form <= 6:
        # Without brackets, too: what binds how is HTCondor's.
        left, right = (draw(st.sampled_from(["({})", "{}"])).format(draw(below)) for _ in range(2))
        return f"{left} {draw(st.sampled_from(_SIGNS))} {right}"
    if form == 7:
        return f"{draw(st.sampled_from('!-+'))}({draw(below)})"
    if form == 8:
        return f"({draw(below)}) ? {draw(below)} : {draw(below)}"
    if form == 9:
        return f"{draw(st.sampled_from(_REFERENCES))} ?: ({draw(below)})"
    return draw(_calls(depth))


@st.composite
def _calls(draw: st.DrawFn, depth: int) -> str:
    name, function = draw(st.sampled_from(sorted(FUNCTIONS.items())))
    count = draw(st.integers(function.least, min(function.most, 3)))
    arguments = [draw(texts(depth - 1)) for _ in range(count)]
    if name in ("member", "identicalmember"):
        arguments[1] = '{1, "a", 2.5, true, -3}'
    return f"{name}({', '.join(arguments)})"


def ads(known: Mapping[str, Attribute]) -> st.SearchStrategy[Ad]:
    """An ad in which any attribute may be missing or of another type."""
    return st.fixed_dictionaries({}, optional={each.name: values for each in known.values()})


def tree(text: str) -> Node:
    return read(text, job=JOB, entry=ENTRY)


def as_htcondor_reads(text: str, job: Ad, entry: Ad) -> Value:
    """What HTCondor's own evaluator makes of the text as it was written."""
    written = text.replace("job.", "TARGET.").replace("entry.", "MY.")
    return evaluate(parse(written), my=entry, target=job)


def truths(text: str, jobs: Iterable[Ad], entries: Mapping[str, Ad]) -> list[list[Truth]]:
    return [[truth(as_htcondor_reads(text, job, entry)) for entry in entries.values()] for job in jobs]
