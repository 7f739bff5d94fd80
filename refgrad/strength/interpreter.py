"""The interpreter of random legal programs: a rule's graph in float32, rewritten at random and rounded at random.

A program is an interpreter of the graph that chooses, at every node, what a legal implementation may do there: the order
of sums and products, contraction into FMA, reciprocals, distribution of a product over a sum and its reverse, the
interpolation form of an exponential average, scalars folded before they are rounded, and how each operation rounds.
It knows nothing of the enclosure that it is meant to escape from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from refgrad.arithmetic.graph import Node
from refgrad.arithmetic.matrices import gathered
from refgrad.arithmetic.operations import ELEMENTWISE, MATRIX
from refgrad.axes import Axes, places
from refgrad.strength.matrix_interpreter import MatrixInterpreter
from refgrad.strength.rounding_styles import SMALLEST_NORMAL, Array, Rounding, Style
from refgrad.tracing import Plan

ROUNDED: Mapping[str, Callable[..., Array]] = {
    **{name: op.in_numpy for name, op in ELEMENTWISE.items() if op.rounds},
    # what is negative by an underflow in an interpolation form counts as zero
    "sqrt": lambda x: np.sqrt(np.where(x > -SMALLEST_NORMAL, np.maximum(x, 0.0), x)),
}
#: operations whose results no program rounds
EXACT: Mapping[str, Callable[..., Array]] = {n: op.in_numpy for n, op in ELEMENTWISE.items() if not op.rounds}


@dataclass(frozen=True)
class Quotient:
    """A signed quotient of products of nodes: a term of a sum."""

    sign: int
    above: tuple[Node, ...]
    below: tuple[Node, ...] = ()

    def times(self, other: Quotient) -> Quotient:
        """The product of two."""
        return Quotient(self.sign * other.sign, self.above + other.above, self.below + other.below)


@dataclass(frozen=True)
class Multiple:
    """Several multiples of one node as one term: the sum of their coefficients times the node."""

    coefficient: float
    node: Node
    sign: int = 1


Term = Quotient | Multiple
#: the two factors of a product that is not rounded yet, so that it may be fused into an addition
Unrounded = tuple[Array, Array]
Part = tuple[int, Array | Unrounded]


class Program:
    """One random legal program over one set of inputs.

    Args:
        plan: the plan of a rule, whose graph is run.
        inputs: the graph's inputs by name: float64 arrays that hold float32 numbers.
        scalars: the graph's scalars in its order, as `refgrad.strength.rounding_styles.random_scalars` gives them.
        style: what the program may do, and how it rounds.
        random: where its choices come from.
        stored: the values that are read again of an output, by its name, once it was stored; by default all of it.
    """

    def __init__(
        self,
        plan: Plan,
        inputs: Mapping[str, Array],
        scalars: Sequence[float],
        style: Style,
        random: np.random.Generator,
        stored: Callable[[str, Array], Array] = lambda name, values: values,
    ) -> None:
        self.plan, self.inputs, self.style, self.random, self.stored = plan, inputs, style, random, stored
        self.round = Rounding(style, random)
        self.matrices = MatrixInterpreter(self.round, random)
        self.outputs = {node.index: name for name, node in plan.graph.outputs.items()}
        self.uses = Counter(arg.index for node in plan.graph.nodes for arg in node.args)
        nodes = [n for n in plan.graph.nodes if n.op == "scalar"]
        self.scalars = {n.index: s for n, s in zip(nodes, scalars, strict=True)}
        self.known: dict[int, Array] = {}

    def run(self) -> dict[str, Array]:
        """Every output by name, as float64 arrays that hold float32 numbers; codes of a step function as they are."""
        found = {name: self.value(node) for name, node in self.plan.graph.outputs.items()}
        codes = {name: node for name, node in self.plan.graph.outputs.items() if node.op == "step"}
        return {**found, **{name: self.known[node.index] for name, node in codes.items()}}

    def coin(self) -> bool:
        """True half of the time: whether to do what may be done."""
        return bool(self.random.random() < 0.5)

    def value(self, node: Node) -> Array:
        """A node's value; an output is computed once, stored, and read again."""
        if node.index not in self.known:
            found = self._compute(node)
            output = self.outputs.get(node.index)
            self.known[node.index] = found if output is None else self.stored(output, found)
        return self.round.flushed(self.known[node.index])

    def _compute(self, node: Node) -> Array:
        if node.op == "input":
            return self.inputs[node.attribute]
        if node.op == "scalar":
            return self.round(self.scalars[node.index])
        if node.op in ("add", "sub", "mul", "div"):
            return self._sum(list(self._terms(node, 1, root=True)))
        args = [self.value(a) for a in node.args]
        if node.op == "sum":
            return self._reduced(args[0], node.attribute)
        if node.op == "step":
            return np.asarray(node.attribute(args[0].astype(np.float32)), np.float64)
        if node.op == "newton_schulz":
            return self.matrices.polynomials(args[0], gathered(args[1:], node.attribute[0]))
        if node.op in MATRIX:
            return self.matrices.operation(node, args)
        if node.op == "max":
            return np.max(args[0], axis=places(node.attribute, args[0].ndim), keepdims=True)
        if node.op == "round":
            return node.attribute(*args)
        return self.round(ROUNDED[node.op](*args)) if node.op in ROUNDED else EXACT[node.op](*args)

    # sums

    def _terms(self, node: Node, sign: int, root: bool = False) -> Iterator[Quotient]:
        """A sum's terms; inner sums are dissolved or not, and products distributed over sums or not."""
        dissolve = root or (node.index not in self.outputs and self.coin())
        if node.op in ("add", "sub", "neg") and dissolve:
            yield from self._terms(node.args[0], sign)
            if node.op != "neg":
                yield from self._terms(node.args[1], -sign if node.op == "sub" else sign)
            return
        yield from self._distributed(self._factors(node, root).times(Quotient(sign, ())))

    def _distributed(self, product: Quotient) -> Iterator[Quotient]:
        # a sum that is used once: nobody multiplies out a square, which would make it negative by a rounding; and
        # no difference, whose cancellation would be lost
        sums = [n for n in product.above if n.op == "add" and self.uses[n.index] == 1]
        sums = [n for n in sums if n.index not in self.outputs]
        if not (self.style.rewrites and len(sums) == 1 and len(product.above) > 1 and self.coin()):
            yield product
            return
        rest = list(product.above)
        rest.remove(sums[0])
        for term in self._terms(sums[0], 1, root=True):
            yield replace(product, above=tuple(rest)).times(term)

    def _sum(self, terms: Sequence[Quotient]) -> Array:
        """The terms added along a random tree, products fused into additions or not."""
        collected: Sequence[Term] = terms
        if self.style.rewrites and self.coin():
            collected = self._collected(terms)
        interpolated = self._interpolation(collected) if self.coin() else None
        parts: list[Part] = [(t.sign, self._product(t)) for t in collected]
        parts = parts if interpolated is None else interpolated
        while len(parts) > 1:
            self.random.shuffle(parts)  # type: ignore[arg-type]
            (sign, a), (other, b), *parts = parts
            fused = isinstance(a, tuple) and self.coin()
            left = a[0] * a[1] if fused else self._rounded(a)
            parts.append((1, self.round(sign * left + other * self._rounded(b))))
        return parts[0][0] * self._rounded(parts[0][1])

    def _interpolation(self, terms: Sequence[Term]) -> list[Part] | None:
        """A sum with (1 - w) a + w b as a + w (b - a), w being the smaller coefficient; None if it has no such terms."""
        for i, first in enumerate(terms):
            for j, second in enumerate(terms):
                u, w = self._coefficient(first), self._coefficient(second)
                if i == j or u is None or w is None or not 0 < w <= 0.5 or abs(w + u - 1.0) > 1e-6:
                    continue
                a, b = (self._rounded(self._product(self._without_scalars(t))) for t in (first, second))
                rest: list[Part] = [(t.sign, self._product(t)) for k, t in enumerate(terms) if k not in (i, j)]
                return [*rest, (1, a), (1, (self.round(w), self.round(b - a)))]
        return None

    def _without_scalars(self, term: Term) -> Quotient:
        if isinstance(term, Multiple):
            return Quotient(1, (term.node,))
        return Quotient(1, tuple(n for n in term.above if n.index not in self.scalars), term.below)

    def _coefficient(self, term: Term) -> float | None:
        """The scalar coefficient of a term that has one and something else besides; None of any other."""
        if isinstance(term, Multiple):
            return None
        scalar_values = [self.scalars[n.index] for n in term.above if n.index in self.scalars]
        if not scalar_values or len(scalar_values) == len(term.above) or term.below:
            return None
        return term.sign * float(np.prod(scalar_values))

    def _collected(self, terms: Sequence[Quotient]) -> list[Term]:
        """p - c p as (1 - c) p: terms that differ in their scalar coefficients alone, each group as one."""
        groups: dict[tuple[int, ...], list[Quotient]] = {}
        for term in terms:
            rest = self._without_scalars(term).above
            alone = len(rest) == 1 and not term.below and rest[0].index not in self.scalars
            groups.setdefault((rest[0].index,) if alone else (-1, id(term)), []).append(term)
        return [t for group in groups.values() for t in (group if len(group) == 1 else [self._multiple(group)])]

    def _multiple(self, group: Sequence[Quotient]) -> Multiple:
        coefficients = [self._coefficient(t) for t in group]
        total = sum(t.sign if c is None else c for t, c in zip(group, coefficients, strict=True))
        return Multiple(total, self._without_scalars(group[0]).above[0])

    # products

    def _factors(self, node: Node, root: bool = False) -> Quotient:
        """A product's factors; inner products are dissolved or not."""
        dissolve = root or (node.index not in self.outputs and self.coin())
        if dissolve and node.op == "mul":
            return self._factors(node.args[0]).times(self._factors(node.args[1]))
        if dissolve and node.op == "div":
            under = self._factors(node.args[1])
            return self._factors(node.args[0]).times(Quotient(under.sign, under.below, under.above))
        if dissolve and node.op == "neg":
            return self._factors(node.args[0]).times(Quotient(-1, ()))
        return Quotient(1, (node,))

    def _product(self, term: Term) -> Array | Unrounded:
        """The factors' magnitudes multiplied along a random tree; the last multiplication may be left unrounded."""
        if isinstance(term, Multiple):
            return self.round(term.coefficient), self.value(term.node)
        parts = [(self.value(n), 1) for n in term.above] + [(self.value(n), -1) for n in term.below]
        if self.coin():
            parts = self._with_folded_scalars(term)
        while len(parts) > 1:
            self.random.shuffle(parts)  # type: ignore[arg-type]
            (a, up), (b, over), *parts = parts
            if up == over:
                if up > 0 and not parts:
                    return a, b
                parts.append((self.round(a * b), up))
            else:
                above, below = (a, b) if up > 0 else (b, a)
                if self.style.rewrites and self.coin():
                    parts += [(above, 1), (self.round(1.0 / below), 1)]
                else:
                    parts.append((self.round(above / below), 1))
        value, up = parts[0]
        return value if up > 0 else self.round(1.0 / value)

    def _with_folded_scalars(self, term: Quotient) -> list[tuple[Array, int]]:
        """All scalars of a product as one, rounded once; one divisor alone becomes a reciprocal, which rewrites."""
        scalar_values = [self.scalars[n.index] for n in term.above if n.index in self.scalars]
        under = [self.scalars[n.index] for n in term.below if n.index in self.scalars]
        parts = [(self.value(n), 1) for n in term.above if n.index not in self.scalars]
        parts += [(self.value(n), -1) for n in term.below if n.index not in self.scalars]
        if under and not scalar_values and not self.style.rewrites:
            return parts + [(self.round(u), -1) for u in under]
        if scalar_values or under:
            parts.append((self.round(np.prod(scalar_values) / np.prod(under)), 1))
        return parts

    def _rounded(self, part: Array | Unrounded) -> Array:
        return self.round(part[0] * part[1]) if isinstance(part, tuple) else part

    # reductions

    def _reduced(self, x: Array, over: Axes) -> Array:
        """A declared sum in a random order, each addition rounded to nearest: the bound counts one rounding each."""
        axes = places(over, x.ndim)
        shape = tuple(1 if axis in axes else length for axis, length in enumerate(x.shape))
        rows = np.moveaxis(x, axes, range(-len(axes), 0)).reshape(int(np.prod(shape)), -1)
        rows = self.random.permuted(rows, axis=1).astype(np.float32)
        lanes = int(self.random.choice([d for d in range(1, rows.shape[1] + 1) if rows.shape[1] % d == 0]))
        lanes = max(lanes, rows.shape[1] // 256) if rows.shape[1] % max(rows.shape[1] // 256, 1) == 0 else lanes
        columns = rows.reshape(rows.shape[0], lanes, -1)
        total = np.zeros(columns.shape[:2], np.float32)
        for i in range(columns.shape[2]):
            total = total + columns[:, :, i]
        while total.shape[1] > 1:
            half = total.shape[1] // 2
            total = np.concatenate([total[:, :half] + total[:, half : 2 * half], total[:, 2 * half :]], axis=1)
        return total.astype(np.float64).reshape(shape)
