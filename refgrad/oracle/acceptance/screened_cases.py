"""Large arrays of rules without state, of whose elements none sees another, judged by a kernel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from refgrad.arithmetic.enclosed import Enclosed
from refgrad.arithmetic.enclosure import Enclosure
from refgrad.arithmetic.graph import Graph
from refgrad.arithmetic.running_error import Bounded, Model
from refgrad.oracle.acceptance import comparing, screening
from refgrad.oracle.acceptance import judge as careful
from refgrad.oracle.acceptance.judgement import Judged
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.acceptance.screened_outputs import Screened
from refgrad.oracle.acceptance.screening import (
    Ready,
    can_be_read,
    kept_graph,
    policy_unknown,
    prepared,
    scalars_unknown,
    storage_unknown,
)
from refgrad.tracing import Plan

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Case:
    """What is judged.

    Attributes:
        plan: the traced rule.
        free: the values of the plan's free names.
        arrays: the inputs by name.
        seen: the outputs by name.
        policy: what counts as correct.
        products: outputs that come out of at least one multiplication, even where the rule multiplies by nothing.
    """

    plan: Plan
    free: Mapping[str, float]
    arrays: Arrays
    seen: Arrays
    policy: Policy
    products: frozenset[str]

    @cached_property
    def graph(self) -> Graph:
        """That of the outputs that were seen."""
        return self.plan.graph.cut({n: node for n, node in self.plan.graph.outputs.items() if n in self.seen}, {})

    @property
    def primary(self) -> np.ndarray:
        """The array that the rule is about."""
        return self.arrays[self.plan.rule.primary]

    @cached_property
    def read(self) -> dict[str, np.ndarray]:
        """The arrays that the graph reads, and the primary one."""
        return {name: self.arrays[name] for name in {self.plan.rule.primary, *self.graph.inputs()}}

    @cached_property
    def model(self) -> Model:
        """What is charged."""
        return comparing.model_for(self.policy, self.primary.dtype)

    @cached_property
    def scalars(self) -> list[Bounded]:
        """Those of the graph, in its order."""
        with np.errstate(all="ignore"):
            return careful.scalars_of(self.plan, self.graph, self.free, self.model)

    def why_not(self) -> str | None:
        """Why it is not judged by a kernel, however large its arrays are, a sentence without "because"; None if it can be."""
        if (why := policy_unknown(self.policy)) is not None:
            return why
        if self.graph.couples() or self.graph.small:
            return "its elements see each other"
        for name, array in (*self.read.items(), *self.seen.items()):
            if not can_be_read(array.dtype):
                return f"{name} is {array.dtype}"
            if array.shape != self.primary.shape:
                return f"{name} has another shape than {self.plan.rule.primary}"
        if (why := scalars_unknown(self.scalars)) is not None:
            return why
        found = self._found()
        return found if isinstance(found, str) else storage_unknown(found, self.seen, self.model)

    def _found(self) -> Enclosed | str:
        return kept_graph(self.plan, self.graph, self.scalars, self.products)

    def ready(self, threads: int | None) -> Ready:
        """What it is judged with, if `why_not` says nothing against it."""
        found = self._found()
        assert isinstance(found, Enclosed), found
        enclosure = Enclosure(self.graph, self.model)
        return prepared(self.plan, found, enclosure, self.scalars, dict(self.read), self.seen, threads)


def judge(case: Case, judged: Callable[[Arrays, Arrays], dict[str, Judged]]) -> dict[str, Judged] | None:
    """The outputs of a case, by a kernel where one is worth its while.

    Args:
        case: what is judged.
        judged: judges a part of inputs and outputs as small arrays are.

    Returns:
        Each output as `Screened`; None if they are to be judged as small arrays are.
    """
    if not case.seen or case.primary.size < screening.WORTH or case.why_not() is not None:
        return None
    return screened(case, judged) if case.ready(None).worth() else None


def screened(
    case: Case, judged: Callable[[Arrays, Arrays], dict[str, Judged]], threads: int | None = None
) -> dict[str, Judged] | None:
    """The outputs of a case that `Case.why_not` says nothing against, judged by a kernel, which is compiled if it must be.

    Args:
        case: what is judged.
        judged: judges a part of inputs and outputs as small arrays are.
        threads: how many; None for as many as are worth it.

    Returns:
        Each output as `Screened`; None where a condition on numbers alone does not hold.
    """
    ready = case.ready(threads)
    shared = ready.shared
    if not shared.few.hold(shared.found.loop):
        return None

    def of_chunk(number: int) -> dict[str, Judged]:
        places = slice(number * shared.chunk, (number + 1) * shared.chunk)
        given, shown = ({n: a.reshape(-1)[places] for n, a in of.items()} for of in (case.read, case.seen))
        return judged(given, shown)

    screen = screening.screen_of(shared, ready.source, of_chunk)
    return {name: Screened(screen, name, case.seen[name]) for name in case.seen}
