"""The enclosure of a step: for each output element, every value that a correct implementation may return.

A graph is evaluated on values with an error bound. Outputs are conditioned on what was observed: once an output has been
judged, what is computed from it goes on from the observed value. At a discontinuity (sign, comparison) the admissible
decisions are explored one by one; the acceptance set is their union, never their hull.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from refgrad.arithmetic import function_error, matrix_error
from refgrad.arithmetic import running_error as bounds
from refgrad.arithmetic.graph import MATRIX, Graph, Node, walk
from refgrad.arithmetic.grouping import Product, Sum, group
from refgrad.arithmetic.running_error import Bounded, Model

#: more branches than this at one element are not explored: the element is undecided
MOST_BRANCHES = 64

COMPARE: Mapping[str, np.ufunc] = {
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "eq": np.equal,
    "ne": np.not_equal,
}
LOGIC: Mapping[str, np.ufunc] = {"and": np.logical_and, "or": np.logical_or, "not": np.logical_not}
ROUND: Mapping[str, np.ufunc] = {"rint": np.rint, "floor": np.floor, "ceil": np.ceil}
#: a comparison is false or true, a rounding goes to the lower or the upper of two whole numbers
OUTCOMES: Mapping[str, tuple[float, ...]] = {
    "sign": (-1.0, 0.0, 1.0),
    **dict.fromkeys(COMPARE, (0.0, 1.0)),
    **dict.fromkeys(ROUND, (-1.0, 1.0)),
    "step": (-1.0, 1.0),
}


@dataclass(frozen=True)
class Branch:
    """One way through the decisions: the acceptance set of each output, and how tensor-wide decisions went.

    ``ambiguous`` marks the elements at which some decision could have gone another way.
    """

    sets: Mapping[str, Bounded]
    ambiguous: np.ndarray | None
    shared: tuple[tuple[int, float], ...]


@dataclass
class _State:
    """One evaluation under some forced decisions."""

    forced: Mapping[int, float]
    values: dict[int, Any] = field(default_factory=dict)
    ambiguous: np.ndarray | None = None
    open: Node | None = None
    #: by reduction: what its operand may be under every way through the decisions of its elements
    hulls: Mapping[int, Bounded] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Enclosure:
    """Evaluates a graph under a model of rounding."""

    graph: Graph
    model: Model
    #: leading axes along which tensors are stacked, to be judged at once; a decision of one tensor is its own then
    batch: int = 0

    @cached_property
    def groups(self) -> dict[int, Sum | Product]:
        """The sums and products that are seen whole."""
        return group(self.graph)

    @cached_property
    def _outputs(self) -> dict[int, list[str]]:
        names: dict[int, list[str]] = {}
        for name, node in self.graph.outputs.items():
            names.setdefault(node.index, []).append(name)
        return names

    def branches(
        self, inputs: Mapping[str, Bounded], scalars: Sequence[Bounded], observed: Mapping[str, Bounded]
    ) -> Iterator[Branch]:
        """Every admissible way through the step's decisions; one where nothing is ambiguous.

        Args:
            inputs: ``p``, ``g`` and the array slots before the step.
            scalars: the graph's scalars, in its order.
            observed: outputs that were seen after the step; what depends on them goes on from them.
        """
        hulls: dict[int, Bounded] = {}
        for _ in self._mixed:  # each time around, one more of them has operands that are settled
            runs = [state.values for state, _ in self._explored(inputs, scalars, observed, hulls)]
            if len(runs) == 1:
                break
            hulls = {n.index: bounds.hull([values[n.args[0].index] for values in runs]) for n in self._mixed}
        levels = {n.index: n.level for n in self.graph.nodes}
        for state, sets in self._explored(inputs, scalars, observed, hulls):
            tensors = [] if self.batch else [i for i in state.forced if levels[i] == "tensor"]
            shared = tuple((i, state.forced[i]) for i in tensors)
            yield Branch(sets, state.ambiguous, shared)

    @cached_property
    def _mixed(self) -> tuple[Node, ...]:
        """Reductions of elements that were decided one by one: of a sum, some may have gone one way and some another."""

        def decided(node: Node) -> bool:
            return any(n.op in OUTCOMES and n.level not in ("tensor", "scalar") for n in walk(node.args[0]))

        return tuple(node for node in self.graph.reductions() if decided(node))

    def _explored(
        self,
        inputs: Mapping[str, Bounded],
        scalars: Sequence[Bounded],
        observed: Mapping[str, Bounded],
        hulls: Mapping[int, Bounded],
    ) -> Iterator[tuple[_State, dict[str, Bounded]]]:
        """Every way through the decisions, with what it leads to."""
        pending: list[dict[int, float]] = [{}]
        produced = 0
        while pending and produced < MOST_BRANCHES:
            state = _State(pending.pop(), hulls=hulls)
            sets = self._evaluate(state, inputs, scalars, observed)
            if state.open is None:
                produced += 1
                yield state, sets
                continue
            for outcome in OUTCOMES[state.open.op]:
                pending.append({**state.forced, state.open.index: outcome})

    def _evaluate(
        self, state: _State, inputs: Mapping[str, Bounded], scalars: Sequence[Bounded], observed: Mapping[str, Bounded]
    ) -> dict[str, Bounded]:
        sets: dict[str, Bounded] = {}
        supply = iter(scalars)
        needed = self._needed
        for node in self.graph.nodes:
            if node.op == "scalar":
                state.values[node.index] = next(supply)
                continue
            if node.index not in needed:
                continue
            value = inputs[node.attribute] if node.op == "input" else self._operation(node, state, observed)
            for name in self._outputs.get(node.index, ()):
                sets[name] = value
                if name in observed and node.op != "input":
                    value = observed[name]
            state.values[node.index] = value
        return sets

    @cached_property
    def _needed(self) -> set[int]:
        """Nodes whose values are used: those dissolved into a larger sum or product are not."""
        needed: set[int] = set()
        stack = list(self.graph.outputs.values())
        while stack:
            node = stack.pop()
            if node.index in needed:
                continue
            needed.add(node.index)
            stack.extend(self._operands(node))
        return needed

    def _operands(self, node: Node) -> tuple[Node, ...]:
        grouped = self.groups.get(node.index)
        if isinstance(grouped, Sum):
            return tuple(term for _, term in grouped.terms)
        if isinstance(grouped, Product):
            return grouped.numerators + grouped.denominators
        return node.args

    def _seen(self, node: Node, observed: Mapping[str, Bounded]) -> Bounded | None:
        """What was observed of an output, for operations whose results are not unique."""
        return next((observed[name] for name in self._outputs.get(node.index, ()) if name in observed), None)

    def _operation(self, node: Node, state: _State, observed: Mapping[str, Bounded]) -> Any:
        values, model = state.values, self.model
        grouped = self.groups.get(node.index)
        if isinstance(grouped, Sum):
            kept, cancelled = self._cancelled(grouped)
            terms = [(sign, values[term.index]) for sign, term in kept]
            total = bounds.total(terms, self._interpolation(grouped, values), model)
            return bounds.given_back(total, [values[n.index] for n in cancelled], model) if cancelled else total
        if isinstance(grouped, Product):
            above = [values[n.index] for n in grouped.numerators]
            below = [values[n.index] for n in grouped.denominators]
            return bounds.product(grouped.sign, above, below, model)
        args = [values[a.index] for a in node.args]
        if node.op in OUTCOMES:
            return self._decide(node, args, state)
        if node.op in LOGIC:
            return LOGIC[node.op](*args)
        if node.op == "where":
            return bounds.select(args[0], args[1], args[2])
        if node.op in ("sum", "max"):
            return self._reduce(node, state.hulls.get(node.index, args[0]))
        if node.op in MATRIX:
            return matrix_error.operation(node.op, args, node.attribute, self._seen(node, observed), model, self.batch)
        if node.op == "round":
            return bounds.rounded(node.attribute, *args)
        if node.op in _NARROWED:
            return _NARROWED[node.op](args[0], *node.attribute)
        return _SMOOTH[node.op](*args, model)

    def _cancelled(self, grouped: Sum) -> tuple[list[tuple[int, Node]], list[Node]]:
        """The terms of a sum without those that it takes in and takes out again, and these, if the model tells them apart."""
        kept, cancelled = list(grouped.terms), []
        if self.model.cancelled is None:
            return kept, []
        for sign, node in grouped.terms:
            if sign > 0 and (1, node) in kept and (-1, node) in kept and len(kept) > 2:
                kept.remove((1, node))
                kept.remove((-1, node))
                cancelled.append(node)
        return kept, cancelled

    def _interpolation(self, grouped: Sum, values: Mapping[int, Any]) -> np.ndarray | None:
        """w (|a| + |b|) where two terms are (1 - w) a and w b, w being the smaller coefficient.

        A scalar  may be an array of one value a step, where several steps are judged at once.
        """
        found = None
        terms = [self._coefficient(term, values) for _, term in grouped.terms]
        for i, first in enumerate(terms):
            for second in terms[i + 1 :]:
                if first and second and _complementary(first[0], second[0]):
                    extent = first[1] + second[1]
                    # the difference b - a may overflow where the sum does not
                    extent = np.where(extent > self.model.largest, np.inf, extent)
                    extra = np.minimum(first[0], second[0]) * 2.0 * extent
                    found = extra if found is None else found + extra
        return found

    def _coefficient(self, term: Node, values: Mapping[int, Any]) -> tuple[Any, np.ndarray] | None:
        """A term as (scalar coefficient, magnitude of the rest); None if it has no scalar coefficient."""
        grouped = self.groups.get(term.index)
        if not isinstance(grouped, Product) or term.index in self._outputs:
            return None
        scalar_values = [n for n in grouped.numerators if n.op == "scalar"]
        rest = [n for n in grouped.numerators if n.op != "scalar"]
        if not scalar_values or not rest or grouped.denominators:
            return None
        coefficient: Any = 1.0
        for node in scalar_values:
            coefficient = coefficient * values[node.index].value
        magnitude: Any = 1.0
        for node in rest:
            value = values[node.index]
            magnitude = magnitude * (np.abs(value.value) + value.bound())
        return coefficient, magnitude

    def _reduce(self, node: Node, x: Bounded) -> Bounded:
        shape = np.shape(x.value)
        every = tuple(range(self.batch, len(shape)))
        axes = {"tensor": every, "row": every[1:], "column": every[:1]}[node.attribute]
        if node.op == "max":
            return bounds.largest(x, axes, self.model)
        return bounds.add_up(x, axes, int(np.prod([shape[a] for a in axes])), self.model)

    def _decide(self, node: Node, args: Sequence[Bounded], state: _State) -> Any:
        """A decision where it is forced by the values, and the outcome that this branch takes where it is not."""
        if node.op == "sign":
            return self._sign(node, args[0], state)
        if node.op in ROUND:
            return self._round(node, args[0], state)
        if node.op == "step":
            return self._step(node, args[0], state)
        a, b = args
        result = COMPARE[node.op](a.value, b.value)
        reach = a.reach_of_decision() + b.reach_of_decision()
        ambiguous = (reach > 0) & ~(np.abs(a.value - b.value) > reach) & ~(np.isnan(a.value) | np.isnan(b.value))
        return self._take(node, result, ambiguous, state, lambda outcome: np.full(np.shape(result), bool(outcome)))

    def _sign(self, node: Node, x: Bounded, state: _State) -> Bounded:
        result = np.sign(x.value)
        reach = x.reach_of_decision()
        ambiguous = (reach > 0) & ~(np.abs(x.value) > reach) & ~np.isnan(x.value)

        def outcome_array(outcome: float) -> np.ndarray:
            reachable = {-1.0: x.value - reach < 0, 1.0: x.value + reach > 0}.get(outcome, True)
            return np.where(reachable, outcome, result)

        return Bounded(self._take(node, result, ambiguous, state, outcome_array))

    def _round(self, node: Node, x: Bounded, state: _State) -> Bounded:
        """A whole number; where three or more are in reach, which takes numbers without fractions, all in between."""
        whole, reach = ROUND[node.op], x.reach_of_decision()
        result, low, high = whole(x.value), whole(x.value - reach), whole(x.value + reach)
        value = self._take(node, result, high - low == 1.0, state, lambda outcome: low if outcome < 0 else high)
        return Bounded(value, np.where(high - low > 1.0, high - low, 0.0))

    def _step(self, node: Node, x: Bounded, state: _State) -> Bounded:
        """A step function: what it gives at the lower or at the upper end; where more is in reach, all in between."""
        function = node.attribute
        result = function(x.value)
        if x.error is None:
            return Bounded(result)
        low, high = function(x.value - x.error), function(x.value + x.error)
        unknown = ~np.isfinite(x.error)
        differ = (low != high) & ~np.isnan(low) & ~np.isnan(high) & ~unknown
        many = differ.copy()
        many[differ] = ~function.adjacent(low[differ], high[differ])
        value = self._take(node, result, differ & ~many, state, lambda outcome: low if outcome < 0 else high)
        error = np.where(unknown, np.inf, np.where(many, np.maximum(high - value, value - low), 0.0))
        return Bounded(value, error)

    def _take(self, node: Node, result: np.ndarray, ambiguous: np.ndarray, state: _State, make: Any) -> np.ndarray:
        if not ambiguous.any():
            return result
        if node.index not in state.forced:
            state.open = state.open or node
            return result
        state.ambiguous = ambiguous if state.ambiguous is None else state.ambiguous | ambiguous
        return np.where(ambiguous, make(state.forced[node.index]), result)


def _complementary(a: Any, b: Any) -> bool:
    """Whether two coefficients are positive and add up to one, at every step."""
    return bool(np.all(np.abs(a + b - 1.0) < 1e-12) and np.all(a > 0) and np.all(b > 0))


#: operations that only rewritten graphs have: a rounding onto another grid, and a model of a rough operation
_NARROWED: Mapping[str, Any] = {"cast": bounds.cast, "loose": bounds.loosened}

_SMOOTH: Mapping[str, Any] = {
    "sqrt": function_error.sqrt,
    "exp": function_error.exp,
    "sin": function_error.sin,
    "cos": function_error.cos,
    "tanh": function_error.tanh,
    "log": function_error.log,
    "power": function_error.power,
    "power_of_two": function_error.power_of_two,
    "abs": bounds.absolute,
    "neg": bounds.negative,
    "maximum": bounds.maximum,
    "minimum": bounds.minimum,
}
