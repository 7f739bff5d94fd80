"""Random programs of the declared family: a rule's graph in float32, rewritten at random and rounded at random.

A program is an interpreter of the graph that draws, at every node, what a legal implementation may do there: the order
of sums and products, contraction into FMA, reciprocals, distribution of a product over a sum and its reverse, the
interpolation form of an exponential average, scalars folded before they are rounded, and how each operation rounds.
It knows nothing of the enclosure that it attacks.
"""

from __future__ import annotations

import math
import operator
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import numpy as np

from refgrad.arithmetic import scalar_math
from refgrad.arithmetic.floats import OPERATIONS
from refgrad.arithmetic.graph import MATRIX, Node
from refgrad.arithmetic.matrices import as_matrices, gathered, reordered
from refgrad.candidates.protocol import Observation
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.acceptance.policy import Policy
from refgrad.projections import on_left
from refgrad.tracing import Plan, free_values, plan_for

Array = np.ndarray
SMALLEST_NORMAL = float(np.finfo(np.float32).smallest_normal)


@dataclass(frozen=True)
class Style:
    """What a random program may do, and the policy that covers it.

    ``rounding`` is "nearest"; "directed", up or down at random (two roundings); or "thrice", to nearest and then to a
    neighbour at random (three roundings).
    """

    rounding: str
    rewrites: bool
    policy: Policy


STYLES: Mapping[str, Style] = {
    "rewritten": Style("nearest", True, Policy()),
    "thrice": Style("thrice", False, Policy()),
    # an operation that was rewritten takes up to three roundings, and a directed one counts twice
    "rewritten and directed": Style("directed", True, Policy(roundings=6, scalar_roundings=4)),
    "flushed": Style("directed", False, Policy(subnormals="either")),
}


class Rounding:
    """Float64 results moved onto the float32 grid, by a style and at random."""

    def __init__(self, style: Style, random: np.random.Generator) -> None:
        self.style, self.random = style, random

    def __call__(self, exact: Any) -> Array:
        exact = np.asarray(exact, dtype=np.float64)
        near = exact.astype(np.float32)
        if self.style.rounding == "nearest":
            return self.flushed(near.astype(np.float64))
        moves = self._moves(exact, near)
        moved = np.nextafter(near, np.where(moves > 0, np.float32(np.inf), np.float32(-np.inf)))
        # what is exact stays; no sign changes; what is finite becomes an infinity by rounding to nearest alone
        keep = (moves == 0) | (near == exact) | ~np.isfinite(near) | ~np.isfinite(moved) | (moved * exact < 0)
        return self.flushed(np.where(keep, near, moved).astype(np.float64))

    def _moves(self, exact: Array, near: Array) -> Array:
        if self.style.rounding == "thrice":
            return self.random.integers(-1, 2, near.shape)
        return np.sign(exact - near) * self.random.integers(0, 2, near.shape)

    def flushed(self, values: Array) -> Array:
        """Subnormal numbers kept or not, where the policy allows both."""
        if self.style.policy.subnormals == "keep":
            return values
        lost = (np.abs(values) < SMALLEST_NORMAL) & (self.random.random(values.shape) < 0.5)
        return np.where(lost, np.copysign(0.0, values), values)


def scalar_table(precision: str, random: np.random.Generator) -> scalar_math.Table:
    """Scalar arithmetic in which each operation lands beside its rounded result at random."""

    kind = np.float64 if precision == "float64" else np.float32

    def beside(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def operation(*args: Any) -> float:
            with np.errstate(all="ignore"):
                value = kind(function(*args))
                if random.random() < 0.5 or _is_exact(name, args, value):
                    return value
                return float(np.nextafter(value, kind(random.choice([-np.inf, np.inf]))))

        return operation

    table = scalar_math.TABLES[precision]
    exact = {"const", "neg", "max", "min", *scalar_math.COMPARISONS}
    return {name: f if name in exact else beside(name, f) for name, f in table.items()}


#: operations that IEEE 754 rounds correctly, so that no rounding moves what they give exactly
EXACTLY: Mapping[str, Callable[[Any, Any], Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "mod": operator.mod,
}


def _is_exact(name: str, args: tuple[Any, ...], value: Any) -> bool:
    if name not in EXACTLY or not all(map(math.isfinite, (*args, value))):
        return False
    return bool(EXACTLY[name](*map(Fraction, map(float, args))) == Fraction(float(value)))


def random_scalars(plan: Plan, free: Sequence[float], random: np.random.Generator) -> list[float]:
    """A plan's scalars, as such arithmetic gives them."""
    table, memo = scalar_table(plan.rule.scalars, random), dict[scalar_math.Expr, Any]()
    names = plan.names(dict(zip(plan.free, free, strict=True)))
    return [float(scalar_math.evaluate(e, names, table, memo)) for e in plan.graph.scalars()]


@dataclass(frozen=True)
class Factors:
    """A signed quotient of products of nodes."""

    sign: int
    above: tuple[Node, ...]
    below: tuple[Node, ...] = ()

    def times(self, other: Factors) -> Factors:
        return Factors(self.sign * other.sign, self.above + other.above, self.below + other.below)


Open = tuple[Array, Array]  # a product that is not rounded yet


class Program:
    """One random program over one set of inputs.

    ``kept`` says what is left of an output, by its name, where it is stored and read again.
    """

    def __init__(
        self,
        plan: Plan,
        inputs: Mapping[str, Array],
        scalars: Sequence[float],
        style: Style,
        random: Any,
        kept: Callable[[str, Array], Array] = lambda name, values: values,
    ) -> None:
        self.plan, self.inputs, self.style, self.random = plan, inputs, style, random
        self.round = Rounding(style, random)
        self.outputs = {node.index: name for name, node in plan.graph.outputs.items()}
        self.kept = kept
        self.uses = Counter(arg.index for node in plan.graph.nodes for arg in node.args)
        nodes = [n for n in plan.graph.nodes if n.op == "scalar"]
        self.scalars = {n.index: s for n, s in zip(nodes, scalars, strict=True)}
        self.known: dict[int, Array] = {}

    def run(self) -> dict[str, Array]:
        """Every output; what a step function gives is kept as a code, of which nothing is flushed."""
        found = {name: self.value(node) for name, node in self.plan.graph.outputs.items()}
        codes = {name: node for name, node in self.plan.graph.outputs.items() if node.op == "step"}
        return {**found, **{name: self.known[node.index] for name, node in codes.items()}}

    def coin(self) -> bool:
        """Whether to do what may be done."""
        return bool(self.random.random() < 0.5)

    def value(self, node: Node) -> Array:
        """A node's value; an output is computed once, stored, and read again."""
        if node.index not in self.known:
            found = self.compute(node)
            self.known[node.index] = self.kept(self.outputs[node.index], found) if node.index in self.outputs else found
        return self.round.flushed(self.known[node.index])

    def compute(self, node: Node) -> Array:
        if node.op == "input":
            return self.inputs[node.attribute]
        if node.op == "scalar":
            return self.round(self.scalars[node.index])
        if node.op in ("add", "sub", "mul", "div"):
            return self.sum_of(list(self.terms(node, 1, root=True)))
        args = [self.value(a) for a in node.args]
        if node.op == "sum":
            return self.reduced(args[0], node.attribute)
        if node.op == "step":
            return np.asarray(node.attribute(args[0].astype(np.float32)), np.float64)
        if node.op == "newton_schulz":
            return self.polynomials(args[0], gathered(args[1:], node.attribute[0]))
        if node.op in MATRIX:
            return self.matrix(node, args)
        if node.op == "max":
            return np.max(args[0], axis=reduced_axes(node.attribute, args[0].ndim), keepdims=True)
        if node.op == "round":
            return node.attribute(*args)
        return self.round(ROUNDED[node.op](*args)) if node.op in ROUNDED else PLAIN[node.op](*args)

    # sums

    def terms(self, node: Node, sign: int, root: bool = False) -> Iterator[Factors]:
        """A sum's terms; inner sums are dissolved or not, and products distributed over sums or not."""
        dissolve = root or (node.index not in self.outputs and self.coin())
        if node.op in ("add", "sub", "neg") and dissolve:
            yield from self.terms(node.args[0], sign)
            if node.op != "neg":
                yield from self.terms(node.args[1], -sign if node.op == "sub" else sign)
            return
        yield from self.distributed(self.factors(node, root).times(Factors(sign, ())))

    def distributed(self, product: Factors) -> Iterator[Factors]:
        # a sum that is used once: nobody multiplies out a square, which would make it negative by a rounding; and
        # no difference, whose cancellation would be lost
        sums = [n for n in product.above if n.op == "add" and self.uses[n.index] == 1]
        sums = [n for n in sums if n.index not in self.outputs]
        if not (self.style.rewrites and len(sums) == 1 and len(product.above) > 1 and self.coin()):
            yield product
            return
        rest = list(product.above)
        rest.remove(sums[0])
        for term in self.terms(sums[0], 1, root=True):
            yield replace(product, above=tuple(rest)).times(term)

    def sum_of(self, terms: list[Factors]) -> Array:
        """The terms added along a random tree, products fused into additions or not."""
        if self.style.rewrites and self.coin():
            terms = self.factored(terms)
        interpolated = self.interpolation(terms) if self.coin() else None
        parts: list[tuple[int, Array | Open]] = [(t.sign, self.product(t)) for t in terms]
        if interpolated is not None:
            first, second, parts = interpolated
            parts = [*parts, (1, first), (1, second)]
        while len(parts) > 1:
            self.random.shuffle(parts)  # type: ignore[arg-type]
            (sign, a), (other, b), *parts = parts
            fused = isinstance(a, tuple) and self.coin()
            left = a[0] * a[1] if fused else self.closed(a)
            parts.append((1, self.round(sign * left + other * self.closed(b))))
        return parts[0][0] * self.closed(parts[0][1])

    def interpolation(self, terms: list[Factors]) -> tuple[Array, Open, list[Any]] | None:
        """(1 - w) a + w b as a + w (b - a), w being the smaller coefficient; and the parts that are left."""
        for i, first in enumerate(terms):
            for j, second in enumerate(terms):
                w = self.coefficient(second)
                if i == j or w is None or self.coefficient(first) is None or not 0 < w <= 0.5:
                    continue
                if abs(w + self.coefficient(first) - 1.0) > 1e-6:  # type: ignore[operator]
                    continue
                a, b = self.closed(self.product(self.bare(first))), self.closed(self.product(self.bare(second)))
                rest = [(t.sign, self.product(t)) for k, t in enumerate(terms) if k not in (i, j)]
                return a, (self.round(w), self.round(b - a)), rest
        return None

    def bare(self, term: Factors) -> Factors:
        return Factors(1, tuple(n for n in term.above if n.index not in self.scalars), term.below)

    def coefficient(self, term: Factors) -> float | None:
        """The scalar coefficient of a term that has one and something else besides; None of any other."""
        scalar_values = [self.scalars[n.index] for n in term.above if n.index in self.scalars]
        if not scalar_values or len(scalar_values) == len(term.above) or term.below:
            return None
        return term.sign * float(np.prod(scalar_values))

    def factored(self, terms: list[Factors]) -> list[Any]:
        """p - c p as (1 - c) p: terms that differ in their scalar coefficients alone."""
        alike: dict[tuple[int, ...], list[Factors]] = {}
        for term in terms:
            rest = self.bare(term).above
            alone = len(rest) == 1 and not term.below and rest[0].index not in self.scalars
            alike.setdefault((rest[0].index,) if alone else (-1, *map(id, (term,))), []).append(term)
        return [t for group in alike.values() for t in (group if len(group) == 1 else [Collected(self, group)])]

    # products

    def factors(self, node: Node, root: bool = False) -> Factors:
        """A product's factors; inner products are dissolved or not."""
        dissolve = root or (node.index not in self.outputs and self.coin())
        if dissolve and node.op == "mul":
            return self.factors(node.args[0]).times(self.factors(node.args[1]))
        if dissolve and node.op == "div":
            under = self.factors(node.args[1])
            return self.factors(node.args[0]).times(Factors(under.sign, under.below, under.above))
        if dissolve and node.op == "neg":
            return self.factors(node.args[0]).times(Factors(-1, ()))
        return Factors(1, (node,))

    def product(self, term: Factors) -> Array | Open:
        """The factors' magnitudes multiplied along a random tree; the last multiplication may be left open."""
        if isinstance(term, Collected):
            return term.open()
        parts = [(self.value(n), 1) for n in term.above] + [(self.value(n), -1) for n in term.below]
        if self.coin():
            parts = self.folded(term)
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

    def folded(self, term: Factors) -> list[tuple[Array, int]]:
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

    def closed(self, part: Array | Open) -> Array:
        """A product rounded, if it is still open."""
        return self.round(part[0] * part[1]) if isinstance(part, tuple) else part

    # reductions

    def reduced(self, x: Array, over: str) -> Array:
        """A declared sum in a random order, each addition rounded to nearest: the bound counts one rounding each."""
        axes = reduced_axes(over, x.ndim)
        kept = tuple(1 if axis in axes else length for axis, length in enumerate(x.shape))
        rows = np.moveaxis(x, axes, range(-len(axes), 0)).reshape(int(np.prod(kept)), -1)
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
        return total.astype(np.float64).reshape(kept)

    # matrices

    def polynomials(self, x: Array, polynomials: list[list[Array]]) -> Array:
        """Odd polynomials of a matrix: A on either side, the powers of A summed, or in Horner's form, or distributed."""
        shape, x = x.shape, as_matrices(x)
        for a, b, *rest in polynomials:
            flipped = self.coin()
            x = x.T if flipped else x
            square, c = self.multiplied(x, x.T), rest[0] if rest else np.zeros(())
            form = int(self.random.integers(3))
            if form == 0:
                inner = self.round(self.round(b * square) + self.round(c * self.multiplied(square, square)))
                x = self.round(self.round(a * x) + self.multiplied(inner, x))
            elif form == 1:
                one = np.eye(len(x))
                inner = self.multiplied(self.round(self.round(c * square) + b * one), square)
                x = self.multiplied(self.round(inner + a * one), x)
            else:
                third = self.multiplied(square, x)
                inner = self.round(self.round(b * third) + self.round(c * self.multiplied(square, third)))
                x = self.round(self.round(a * x) + inner)
            x = x.T if flipped else x
        return x.reshape(shape)

    def matrix(self, node: Node, args: list[Array]) -> Array:
        """Products in random orders; decompositions of NumPy in float32, by one routine or another, signs at random."""
        x, rule = as_matrices(args[0]), node.attribute
        if node.op == "gram":
            return self.multiplied(x, x.T) if rule == "left" else self.multiplied(x.T, x)
        if node.op == "matmul":
            y = as_matrices(args[1])
            found = self.multiplied(x.T if rule[0] else x, y.T if rule[1] else y)
            return found.reshape(next((a.shape for a in args if a.ndim != 2), found.shape))
        if node.op == "reordered":
            return reordered(args[0], args[1], args[2], rule)
        if node.op in ("project", "lift"):
            whole, basis = as_matrices(args[-1] if node.op == "lift" else args[0]), as_matrices(args[1])
            left, up = on_left(whole.shape, rule), node.op == "lift"
            basis = basis if left == up else basis.T
            found = self.multiplied(basis, x) if left else self.multiplied(x, basis)
            return found.reshape(args[-1].shape) if up else found
        if node.op == "upper":
            return np.triu(x).reshape(args[0].shape)
        if node.op == "norm_bound":
            y = self.multiplied(x, x[:, [np.argmax(np.sum(x * x, axis=0))]])
            z, y = (self.round(np.sqrt(np.sum(v * v))) for v in (self.multiplied(x, y), y))
            return np.full((1,) * args[0].ndim, self.round(z / y) if y else 0.0)
        if node.op == "solve":
            other = as_matrices(args[1])
            found = self.solved(x, other.T).T if rule == "left" else self.solved(x, other)
            return found.reshape(args[1].shape)
        narrow = x.astype(np.float32)
        if not np.isfinite(narrow).all():
            return np.full(args[0].shape, np.nan)
        if node.op == "subspace":
            u, _, v = np.linalg.svd(narrow, full_matrices=False)
            vectors = u if on_left(x.shape, rule[1]) else v.T
            return (vectors[:, : rule[0]] * self.random.choice([-1.0, 1.0], 1)).astype(np.float64)
        signs = self.random.choice([-1.0, 1.0], len(x))
        if node.op == "orthonormal":
            return (np.linalg.qr(narrow)[0] * signs).astype(np.float64)
        if node.op == "eigenbasis":
            return (np.linalg.eigh(narrow)[1][:, ::-1] * signs).astype(np.float64)
        values, vectors = np.linalg.eigh(narrow)
        u, v = vectors, vectors.T
        if self.coin():
            u, values, v = np.linalg.svd(narrow)
        return self.multiplied((u * values ** np.float32(-1.0 / rule)).astype(np.float64), v.astype(np.float64))

    def solved(self, q: Array, x: Array) -> Array:
        """X Q^(-1) for an upper triangular matrix, by substitution."""
        rows = x.copy()
        for j in range(len(q)):
            known = self.multiplied(rows[:, :j], q[:j, [j]]) if j else np.zeros((len(x), 1))
            rows[:, j] = self.round(self.round(rows[:, j] - known[:, 0]) / q[j, j])
        return rows

    def multiplied(self, a: Array, b: Array) -> Array:
        """A product whose terms are rounded, and added in a random order."""
        order = self.random.permutation(a.shape[1])
        terms = self.round(a[:, order, None] * b[order]).astype(np.float32)
        return np.add.reduce(terms, axis=1).astype(np.float64)


def reduced_axes(over: str, ndim: int) -> tuple[int, ...]:
    """The axes that a reduction over the tensor, its rows or its columns removes."""
    every = tuple(range(ndim))
    return {"tensor": every, "row": every[1:], "column": every[:1]}[over]


class Collected:
    """Several multiples of one node: the sum of their coefficients, rounded once, times the node."""

    def __init__(self, program: Program, terms: list[Factors]) -> None:
        self.program, self.sign = program, 1
        self.node = program.bare(terms[0]).above[0]
        coefficients = [program.coefficient(t) for t in terms]
        self.scale = sum(t.sign if c is None else c for t, c in zip(terms, coefficients, strict=True))
        self.above, self.below = (self.node,), ()

    def open(self) -> Open:
        return self.program.round(self.scale), self.program.value(self.node)


ROUNDED: Mapping[str, Callable[..., Array]] = {
    # what is negative by an underflow in an interpolation form counts as zero
    "sqrt": lambda x: np.sqrt(np.where(x > -SMALLEST_NORMAL, np.maximum(x, 0.0), x)),
    "exp": np.exp,
    "log": np.log,
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
    "power": np.power,
}
#: what no program rounds
PLAIN: Mapping[str, Callable[..., Array]] = {op: f for op, f in OPERATIONS.items() if op not in ROUNDED}


@dataclass(frozen=True)
class Attacker:
    """A candidate whose every step is another random program, element block by element block."""

    style: Style
    seed: int = 0
    blocks: int = 1
    name: str = "random program"

    def start(self, rule: Optimizer, params: Sequence[Array]) -> Run:
        return Run(self, rule, params)


class Run:
    """The attacker with its parameters."""

    def __init__(self, attacker: Attacker, rule: Optimizer, params: Sequence[Array]) -> None:
        self.attacker, self.rule, self.t = attacker, rule, 0
        self.random = np.random.Generator(np.random.Philox(attacker.seed))
        self.params = [p.copy() for p in params]
        state = rule.init(self.params)
        self.state = [{n: state[n][i] for n in rule.slots()} for i in range(len(params))]

    def observe(self) -> Observation:
        return Observation(self.params, self.state)

    def step(self, grads: Sequence[Array], extras: Mapping[str, Any] = MappingProxyType({})) -> None:
        self.t += 1
        for leaf, g in enumerate(grads):
            scalar_values = {n: v for n, v in self.state[leaf].items() if self.rule.slots()[n].scalar}
            arrays = {n: v for n, v in self.state[leaf].items() if n not in scalar_values}
            inputs = self.rule.inputs()
            arrays |= {
                "p": self.params[leaf],
                "g": g,
                **{n: extras[n][leaf] for n, e in inputs.items() if not e.scalar},
            }
            numbers = {n: extras[n] for n, e in inputs.items() if e.scalar}
            free = free_values(g.shape, {"t": self.t, **scalar_values, **numbers})
            plan = plan_for(self.rule, g.ndim, free)
            new = self.advanced(plan, free, arrays)
            self.params[leaf] = new.pop("p")
            self.state[leaf] = {**new, **dict(zip(scalar_values, plan.scalar_outputs(*free), strict=True))}

    def advanced(self, plan: Plan, free: tuple[float, ...], arrays: Mapping[str, Array]) -> dict[str, Array]:
        """A step, each block of elements by another program where elements do not see each other."""
        shape = arrays["p"].shape
        together = plan.graph.couples() or any(a.shape != shape for a in arrays.values())
        blocks = 1 if together else self.attacker.blocks
        parts = []
        for block in range(blocks):
            chosen = {n: a.astype(np.float64) for n, a in arrays.items()}
            if blocks > 1:
                chosen = {n: a.reshape(-1)[block::blocks] for n, a in chosen.items()}
            scalars = random_scalars(plan, free, self.random)
            with np.errstate(all="ignore"):
                parts.append(Program(plan, chosen, scalars, self.attacker.style, self.random).run())
        if blocks == 1:
            return {n: np.broadcast_to(a, arrays[n].shape).astype(np.float32) for n, a in parts[0].items()}
        new = {n: np.empty(arrays["p"].size, np.float32) for n in parts[0]}
        for block, part in enumerate(parts):
            for n, values in part.items():
                new[n][block::blocks] = values
        return {n: a.reshape(shape) for n, a in new.items()}
