"""Requirements: one text over ``job.X`` and ``entry.X``, and what is made of it.

From one tree (``factory/tree.py``) come the array evaluation that counts demand, the expression that
HTCondor's evaluator takes (entry attributes as ``MY.X``), the text that a pilot's startd decides by (the
entry's values in their place) and the explanation. They differ in nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from opengoc.condor.classads import Expression, parse
from opengoc.factory.check import Mistake, mistakes
from opengoc.factory.reader import read
from opengoc.factory.tree import (
    Binary,
    Call,
    Choice,
    Constant,
    Node,
    Reference,
    Scalar,
    TypeName,
    Unary,
    constant,
    names,
    render,
)

__all__ = ["Attribute", "Requirements", "Scalar", "TypeName", "Vocabulary", "parse_requirements"]

_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "float": (float, int),
    "string": (str,),
}


@dataclass(frozen=True, kw_only=True)
class Attribute:
    """An attribute that requirements may name."""

    name: str
    type: TypeName
    #: What it counts in, e.g. MiB; for people.
    unit: str = ""
    #: Stands where a job or an entry does not set it; None: it is undefined then.
    default: Scalar | None = None

    def accepts(self, value: object) -> bool:
        """Whether ``value`` has its type; a truth value is no number, infinity and NaN are none either."""
        if isinstance(value, bool):
            return self.type == "bool"
        if isinstance(value, float) and not math.isfinite(value):
            return False
        return isinstance(value, _PYTHON_TYPES[self.type])


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """The attributes that requirements may name, keyed by name in lower case."""

    job: Mapping[str, Attribute]
    entry: Mapping[str, Attribute]


@dataclass(frozen=True, kw_only=True)
class Requirements:
    """A parsed requirement."""

    #: As written.
    text: str
    #: As read.
    written: Node
    #: As decided by: the job's defaults stand beside its attributes.
    tree: Node
    #: ``MY`` is an entry, ``TARGET`` a job.
    match: Expression
    #: Attributes of the job that it names, as they are declared, in order of name.
    job_attributes: tuple[str, ...]

    def start(self, entry: Mapping[str, Scalar | None]) -> str:
        """What a pilot of this entry decides by: the same expression, the entry's values in it.

        Refers to the job alone (``TARGET.X``); true for exactly the jobs that ``match`` is true for.
        """

        def value(reference: Reference) -> str:
            is_job = reference.side == "job"
            return f"TARGET.{reference.name}" if is_job else constant(entry.get(reference.name))

        return render(self.tree, value)

    def mistakes(self) -> tuple[Mistake, ...]:
        """What is wrong with it, though it can be read."""
        return mistakes(self.written)


def parse_requirements(text: str, vocabulary: Vocabulary, where: str) -> Requirements:
    """Parse a requirement. Raises InvalidInput naming what is wrong and where."""
    written = read(text, job=vocabulary.job, entry=vocabulary.entry, where=where)
    tree = with_defaults(written, vocabulary)
    return Requirements(
        text=text.strip(),
        written=written,
        tree=tree,
        match=parse(render(tree, _scoped), where),
        job_attributes=names(tree, "job"),
    )


def with_defaults(node: Node, vocabulary: Vocabulary) -> Node:
    """The tree with ``job.X ?: default`` for each attribute of the job that has one.

    Entries are given their defaults when they are read.
    """
    match node:
        case Constant():
            return node
        case Reference():
            default = vocabulary.job[node.name.casefold()].default if node.side == "job" else None
            if default is None:
                return node
            return Binary(operator="?:", left=node, right=Constant(value=default, at=node.at), at=node.at)
        case Unary():
            return replace(node, operand=with_defaults(node.operand, vocabulary))
        case Binary():
            left, right = with_defaults(node.left, vocabulary), with_defaults(node.right, vocabulary)
            return replace(node, left=left, right=right)
        case Choice():
            parts = (with_defaults(each, vocabulary) for each in (node.test, node.then, node.otherwise))
            test, then, otherwise = parts
            return replace(node, test=test, then=then, otherwise=otherwise)
        case Call():
            arguments = tuple(with_defaults(each, vocabulary) for each in node.arguments)
            return replace(node, arguments=arguments)


def _scoped(reference: Reference) -> str:
    return f"{'TARGET' if reference.side == 'job' else 'MY'}.{reference.name}"
