"""A change of hyperparameters to the values that a run tells, everywhere or in what one output is made of alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from refgrad.arithmetic import rewriting, scalar_math
from refgrad.oracle.acceptance.findings import Counts
from refgrad.oracle.hypotheses.changes import NONE, Change
from refgrad.oracle.hypotheses.protocol import Late, Screen
from refgrad.oracle.hypotheses.recovered import Recovered
from refgrad.oracle.mutants.patterns import substituting
from refgrad.tracing import Plan


@dataclass(frozen=True)
class Constants:
    """Hyperparameters that have other values in what one output is made of; a mutation."""

    output: str
    values: tuple[tuple[str, float], ...]

    model = False
    precision = False
    scalars = False

    @property
    def name(self) -> str:
        """The values, and where they are."""
        return f"{', '.join(f'{n}={v!r}' for n, v in self.values)} in {self.output}'"

    def apply(self, plan: Plan) -> Plan:
        """The plan with numbers for names in one output's own part."""
        if self.output not in plan.graph.outputs:
            return plan
        change = substituting({n: scalar_math.const(v) for n, v in self.values})
        inside = {n.index for n in rewriting.cone_nodes(plan.graph, self.output)}
        edits = {}
        for node in plan.graph.nodes:
            if node.index in inside and any(a.op == "scalar" for a in node.args):
                edits[node.index] = lambda d, a, n=node: d.copy(
                    n, tuple(d.scalar(change(x.attribute)) if x.op == "scalar" else x for x in a)
                )
        return Plan(plan.rule, rewriting.rebuilt(plan.graph, edits), plan.free)


def valued(
    screen: Screen, base: Change, counts: Counts, thorough: bool, late: Late, near: Mapping[str, float] | None = None
) -> Change | None:
    """A change with other hyperparameters besides, so that what was wrong under it is right; None if there are none.

    Args:
        screen: the run.
        base: what is changed besides.
        counts: the statuses of elements under it.
        thorough: True to take the time that it takes.
        late: asked now and then.
        near: values that fit, if there are such.
    """
    known: dict[str, float] = {}
    told: list[Recovered] = []
    for output in screen.telling(base, counts):
        found = screen.recover(base, output, known, thorough, late, near)
        if found is None:
            return None
        told += found
        known |= {r.name: r.value for r in found if r.determined}
    moved = [r for r in told if r.value != r.claimed]
    if not moved:
        return None
    # a number that was only switched on is told by its value
    told_of = NONE if base.rule and set(base.rule) <= {r.name for r in moved} and not base.mutations else base
    everywhere = dataclasses.replace(
        told_of + _everywhere(moved),
        rule={**base.rule, **{r.name: r.value for r in moved}},
        recovered=tuple(told),
    )
    after = screen.counts(everywhere)
    if after is not None and not any(c.outside for c in after.values()):
        return everywhere
    return base + dataclasses.replace(_apart(moved), recovered=tuple(told))


def _everywhere(moved: Iterable[Recovered]) -> Change:
    values = {r.name: r.value for r in moved}
    text = ", ".join(f"{n}={v:g}" if float(f"{v:g}") == v else f"{n}={v!r}" for n, v in values.items())
    claims = {r.name: r.claimed for r in moved}
    sentence = " and ".join(f"{n} is {values[n]!r}, not {claims[n]!r}" for n in values)
    return Change(text, sentence, "value", values, parts=len(values))


def _apart(moved: list[Recovered]) -> Change:
    """Hyperparameters that differ in some outputs alone."""
    by_output: dict[str, list[Recovered]] = {}
    for r in moved:
        by_output.setdefault(r.output, []).append(r)
    parts = tuple(Constants(output, tuple((r.name, r.value) for r in told)) for output, told in by_output.items())
    name = ", ".join(f"{r.name}={r.value!r} in {r.output}'" for r in moved)
    sentence = " and ".join(f"{r.name} is {r.value!r}, not {r.claimed!r}, in {r.output}' alone" for r in moved)
    return Change(name, sentence, "mutant", mutations=parts, parts=len(moved))
