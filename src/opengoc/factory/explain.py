"""Why a job runs behind some entries and not behind others: each clause with its value. Pure.

The clauses come from the tree that demand and START are made of, and HTCondor's own evaluator says what each
is worth: an explanation cannot say something else than what decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opengoc.condor.classads import Ad, Truth, Value, compile_ad, evaluate_in, parse, truth
from opengoc.factory.configuration import Configuration
from opengoc.factory.entries import Entry
from opengoc.factory.expression import Requirements, Vocabulary, with_defaults
from opengoc.factory.tree import (
    Binary,
    Node,
    Reference,
    as_written,
    operands,
    references,
    render,
)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a clause saw of one attribute."""

    #: ``job.RequestMemory``.
    name: str
    #: None: undefined.
    value: Value
    #: Whether the declared default stood in for what the job does not say.
    is_default: bool = False


@dataclass(frozen=True, kw_only=True)
class Clause:
    """One part of a requirement, for one job and one entry."""

    #: As the policy writes it.
    text: str
    value: Truth
    #: The attributes that it names.
    seen: tuple[Seen, ...]
    #: The parts of ``a || b``, or of ``a && b`` below such a one; empty for anything else.
    parts: tuple[Clause, ...] = ()

    @property
    def rejects(self) -> bool:
        """Whether it keeps the job from running there: undefined and error are no match."""
        return self.value is not Truth.TRUE


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One entry and the job."""

    entry: str
    site: str
    #: Why the entry takes no pilots for any such job, whatever the policy says; empty: it does.
    closed: str
    #: Every branch of the requirement's ``&&``, in order; none where it does not serve the job's VO.
    clauses: tuple[Clause, ...]

    @property
    def rejecting(self) -> tuple[Clause, ...]:
        """The clauses that are not true."""
        return tuple(clause for clause in self.clauses if clause.rejects)

    @property
    def matches(self) -> bool:
        """Whether the job may run there now."""
        return not self.closed and bool(self.clauses) and not self.rejecting


def explain_job(configuration: Configuration, job: Ad, vo: str) -> tuple[Verdict, ...]:
    """What every entry says of a job, in order of name. A VO that the policy does not know matches none."""
    requirements = configuration.requirements(vo)
    return tuple(
        _verdict(entry, vo, requirements, configuration.policy.vocabulary, job)
        for _, entry in sorted(configuration.entries.items())
    )


def clauses_of(
    requirements: Requirements, vocabulary: Vocabulary, *, entry: Ad, job: Ad
) -> tuple[Clause, ...]:
    """The branches of a requirement's ``&&``, each with its value for one entry and one job."""
    scene = _Scene(vocabulary, entry=entry, job=job)
    return tuple(scene.clause(node) for node in operands(requirements.written, "&&"))


def _verdict(
    entry: Entry, vo: str, requirements: Requirements | None, vocabulary: Vocabulary, job: Ad
) -> Verdict:
    closed = "" if entry.enabled else f"disabled: {entry.reason}"
    if requirements is None:
        closed = f"the policy knows no VO {vo!r}"
    elif vo not in entry.vos:
        closed = f"does not serve {vo}"
    is_asked = requirements is not None and vo in entry.vos
    return Verdict(
        entry=entry.name,
        site=entry.site,
        closed=closed,
        clauses=clauses_of(requirements, vocabulary, entry=entry.values(), job=job)
        if is_asked and requirements is not None
        else (),
    )


class _Scene:
    """One job and one entry, looked at by clauses."""

    def __init__(self, vocabulary: Vocabulary, *, entry: Ad, job: Ad) -> None:
        self._vocabulary = vocabulary
        self._my, self._target = compile_ad(entry), compile_ad(job)
        # Names of attributes know no case.
        self._entry, self._job = _folded(entry), _folded(job)

    def clause(self, node: Node) -> Clause:
        expression = parse(render(with_defaults(node, self._vocabulary), _scoped))
        return Clause(
            text=render(node, as_written),
            value=truth(evaluate_in(expression, my=self._my, target=self._target)),
            seen=tuple(self._seen(reference) for reference in references(node)),
            parts=tuple(self.clause(part) for part in _parts(node)),
        )

    def _seen(self, reference: Reference) -> Seen:
        name = as_written(reference)
        if reference.side == "entry":
            return Seen(name=name, value=self._entry.get(reference.name.casefold()))
        value = self._job.get(reference.name.casefold())
        default = self._vocabulary.job[reference.name.casefold()].default
        if value is None and default is not None:
            return Seen(name=name, value=default, is_default=True)
        return Seen(name=name, value=value)


def _parts(node: Node) -> tuple[Node, ...]:
    is_joined = isinstance(node, Binary) and node.operator in ("||", "&&")
    return operands(node, node.operator) if is_joined and isinstance(node, Binary) else ()


def _scoped(reference: Reference) -> str:
    return f"{'TARGET' if reference.side == 'job' else 'MY'}.{reference.name}"


def _folded(ad: Mapping[str, Any]) -> dict[str, Any]:
    return {name.casefold(): value for name, value in ad.items()}
