"""The enclosure of a step: for each output element, every value that a correct implementation may return.

A graph is evaluated on values with an error bound. Outputs are conditioned on what was observed: once an output has been
judged, what is computed from it goes on from the observed value. At a discontinuity (sign, comparison, rounding) the
admissible decisions are explored one by one; the acceptance set is their union, never their hull.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from typing import Any

import numpy as np

from refgrad.arithmetic import infinities, nan_choices
from refgrad.arithmetic import running_error as bounds
from refgrad.arithmetic.choices import Choices
from refgrad.arithmetic.graph import Graph, Node, walk
from refgrad.arithmetic.grouping import Product, Sum, group, needed, operands
from refgrad.arithmetic.operations import MATRIX, OPERATIONS, OUTCOMES, REDUCTIONS
from refgrad.arithmetic.running_error import Bounded, Model
from refgrad.axes import ELEMENT, TENSOR, names, places

#: how many ways each element is followed at least: twice as many as one of any rule shipped can have (docs/enclosure.md)
LEAST_WAYS = 512
#: and how many elements times ways are, if that is more; a way costs as much as `OVERHEAD` elements besides its own
WORK, OVERHEAD = 2**22, 512


def most_ways(size: int) -> int:
    """How many ways of an element are followed; those that are not count as one more, of which nothing is known.

    Args:
        size: how many elements are evaluated together.

    Returns:
        The number, fewer the more elements there are.
    """
    return max(LEAST_WAYS, WORK // (size + OVERHEAD))


@dataclass(frozen=True)
class Branch:
    """One way through the decisions for each element, not the same for all.

    Attributes:
        sets: the acceptance set of each output.
        open: for outputs that depend on a decision which could have gone another way, the elements at which it could, as
            booleans that broadcast against the output or, if it is one number a row or a tensor, against its elements.
        shared: the decisions that are one for a whole tensor, and how they went: all of its elements must agree on these.
        outcomes: by the index of a decision that was open somewhere, what it gave on this way.
    """

    sets: Mapping[str, Bounded]
    open: Mapping[str, np.ndarray]
    shared: tuple[tuple[int, int], ...]
    outcomes: Mapping[int, np.ndarray] = field(default_factory=dict)


class Ambiguous(Exception):
    """A decision is open that elements share which are not evaluated together."""


#: the ways through tensor-wide decisions that were not followed
REST = ((-1, 0),)


@dataclass(eq=False)
class _Run:
    """What a graph was evaluated on, and what came of it under the choices in force."""

    inputs: Mapping[str, Bounded]
    observed: Mapping[str, Bounded]
    values: dict[int, Any]
    sets: dict[str, Bounded] = field(default_factory=dict)
    choices: Choices = field(default_factory=Choices)
    #: by node, the decisions that its value depends on
    depends: Mapping[int, frozenset[Node]] = field(default_factory=dict)
    #: what the operands of what couples elements may be, whichever ways these take
    hulls: dict[int, list[Any]] = field(default_factory=dict)
    #: by node, what it was evaluated to before, of more elements than are seen here
    known: Mapping[int, Bounded] = field(default_factory=dict)

    def marked(self, node: Node, where: Mapping[Node, np.ndarray]) -> np.ndarray | None:
        """The elements at which a decision is marked that a value depends on; None if there is no such decision."""
        marks = [m for n, m in where.items() if n in self.depends.get(node.index, ())]
        return reduce(np.logical_or, marks) if marks else None


@dataclass(frozen=True, eq=False)
class Enclosure:
    """Evaluates a graph under a model of rounding.

    Attributes:
        graph: a rule's graph, or a part of it.
        model: what is charged to each operation.
        batch: leading axes along which tensors are stacked, to be judged at once; a decision of one tensor is its own then.

    >>> from refgrad.arithmetic.dtypes import format_of
    >>> from refgrad.arithmetic.graph import Builder
    >>> from refgrad.arithmetic.scalar_math import Scope
    >>> builder = Builder(Scope(), 1)
    >>> sign = builder.lift(np.sign(builder.input("x")))
    >>> graph = Graph(builder.live({"sign": sign}), {"sign": sign}, {}, ())
    >>> model = Model.of(format_of(np.dtype("float32")), 3, 2, "keep", "any")
    >>> x = Bounded(np.asarray([3.0, 0.1]), np.asarray([0.0, 0.2]))
    >>> [branch.sets["sign"].value.tolist() for branch in Enclosure(graph, model).branches({"x": x}, [], {})]
    [[1.0, 1.0], [1.0, 0.0], [1.0, -1.0]]
    """

    graph: Graph
    model: Model
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
        self,
        inputs: Mapping[str, Bounded],
        scalars: Sequence[Bounded],
        observed: Mapping[str, Bounded],
        folded: Mapping[int, Bounded] | None = None,
    ) -> Iterator[Branch]:
        """Every admissible way through the step's decisions; one where nothing is ambiguous.

        Each element may take another branch than the next one, except that all of a tensor agree on what is `Branch.shared`.
        The first branch is that of the centres. Where elements have more ways than `most_ways`, a last branch says that
        nothing is known of them: every value is in its sets.

        Args:
            inputs: ``p``, ``g`` and the array slots before the step, float64, of shapes that broadcast against each other.
            scalars: the graph's scalars, in its order.
            observed: outputs that were seen after the step; what depends on them goes on from them.
            folded: the reductions of the graph, by index, where these elements are a part of an array: see `fold`.

        Returns:
            An iterator of branches, each with the sets of all outputs.

        Raises:
            Ambiguous: a decision is open that the rest of the array has a part in.
        """
        run = _Run(inputs, observed, self._scalars(scalars), known=folded or {})
        self._evaluate(run)
        if folded is not None and run.choices.open:
            self._check_apart(run)
        if not run.choices.open:
            yield Branch(run.sets, {}, ())
            return
        run.depends = self._depends(observed)
        self._gather(run)
        for left in self._ways(run, self._decisions):
            yield from self._branches(run, left)

    def folds(self) -> tuple[Node, ...]:
        """The reductions whose values are used, in order of dependence."""
        return tuple(n for n in self._order if n.op in REDUCTIONS)

    def operand(
        self,
        node: Node,
        inputs: Mapping[str, Bounded],
        scalars: Sequence[Bounded],
        observed: Mapping[str, Bounded],
        folded: Mapping[int, Bounded],
    ) -> Bounded:
        """What a reduction folds, of a part of an array.

        Args:
            node: the reduction.
            inputs: as of `branches`.
            scalars: the same.
            observed: the same.
            folded: the reductions that it is computed from, by index.

        Returns:
            Its operand, one value an element of the part.

        Raises:
            Ambiguous: a decision is open that it depends on.
        """
        run = _Run(inputs, observed, self._scalars(scalars), known=folded)
        (arg,) = node.args
        self._evaluate(run, roots=(arg,))
        if run.choices.open:
            raise Ambiguous
        found: Bounded = run.values[arg.index]
        return found

    def fold(self, node: Node, operand: Bounded, sizes: np.ndarray | None = None) -> Bounded:
        """A reduction of a whole array.

        Args:
            node: the reduction.
            operand: what it folds.
            sizes: the largest magnitude of each of its elements, if it is at hand.

        Returns:
            What it leaves, which broadcasts against its operand.
        """
        if node.op == "sum" and sizes is not None:
            return bounds.add_up(operand, *self._folded(node, operand), self._model_of(node), sizes)
        found: Bounded = self._operation(node, _Run({}, {}, {node.args[0].index: operand}))
        return found

    def _folded(self, node: Node, operand: Bounded) -> tuple[tuple[int, ...], int]:
        """The axes that a reduction folds, and how many numbers to one."""
        axes = places(node.attribute, np.ndim(operand.value), self.batch)
        return axes, int(np.prod([np.shape(operand.value)[a] for a in axes]))

    def few(
        self,
        names: Iterable[str],
        inputs: Mapping[str, Bounded],
        scalars: Sequence[Bounded],
        observed: Mapping[str, Bounded],
        folded: Mapping[int, Bounded],
    ) -> dict[str, Bounded]:
        """The acceptance sets of outputs that are one number a row, a column or a tensor.

        Args:
            names: of the outputs.
            inputs: as of `branches`.
            scalars: the same.
            observed: the same.
            folded: what the reductions leave that they are computed from, by index.

        Returns:
            The sets, by name.

        Raises:
            Ambiguous: a decision is open that they depend on.
        """
        run = _Run(inputs, observed, self._scalars(scalars), known=folded)
        self._evaluate(run, roots=tuple(self.graph.outputs[name] for name in names))
        if run.choices.open:
            raise Ambiguous
        return {name: run.sets[name] for name in names}

    def _check_apart(self, run: _Run) -> None:
        """`Ambiguous` if a decision is open that elements share, by what it is one for or by what is made of it."""
        behind = {d for n in self._order if n.index in run.known for d in self._depends(run.observed)[n.index]}
        for decision in run.choices.open:
            if decision.axes != ELEMENT or decision in behind:
                raise Ambiguous
            for node in self.graph.outputs.values():
                decisions, couples = self._behind[node.index]
                seen = self._seen(node, run.observed)
                if couples and seen is not None and seen.error is not None and decision in decisions:
                    raise Ambiguous

    def _branches(self, run: _Run, left: Mapping[Node, np.ndarray]) -> Iterator[Branch]:
        """The branch of the choices in force; or the rest, where elements have more ways than are followed."""
        open_ = run.choices.open
        wide = [] if self.batch else [n for n in open_ if n.axes == TENSOR]
        shared = tuple((n.index, run.choices.digit(n)) for n in wide)
        if not left:
            found = {n.index: run.values[n.index] for n in open_}
            outcomes = {i: value if isinstance(value, np.ndarray) else value.value for i, value in found.items()}
            yield Branch(dict(run.sets), self._marks(run, open_), shared, outcomes)
            return
        yield self._unknown(run, {n: marks for n, marks in left.items() if n not in wide}, shared)
        if any(n in wide for n in left):
            yield self._unknown(run, open_, REST)

    def _unknown(self, run: _Run, where: Mapping[Node, np.ndarray], shared: tuple[tuple[int, int], ...]) -> Branch:
        """A branch of which nothing is known where outputs depend on decisions at some elements."""
        sets = dict(run.sets)
        for name, marks in self._marks(run, where).items():
            sets[name] = _unknown(sets[name], marks)
        return Branch(sets, self._marks(run, run.choices.open), shared)

    def _marks(self, run: _Run, where: Mapping[Node, np.ndarray]) -> dict[str, np.ndarray]:
        """By output, the elements at which a decision is marked that it depends on."""
        marks = {name: run.marked(node, where) for name, node in self.graph.outputs.items()}
        return {name: m for name, m in marks.items() if m is not None}

    def _ways(self, run: _Run, decisions: Sequence[Node], stop: Node | None = None) -> Iterator[dict[Node, np.ndarray]]:
        """Each element's ways through some decisions, all elements at a time: evaluated up to a node as each is yielded.

        Yields nothing with a way that was followed, and at last where elements have ways left, if any have.
        """
        size = max((marks.size for marks in run.choices.open.values()), default=0)
        for _ in range(most_ways(size) - 1):
            yield {}
            changed = run.choices.advance(decisions)
            if not changed:
                return
            self._evaluate(run, changed, stop)
        yield {}
        left = run.choices.left(decisions)
        if left:
            yield left

    def _gather(self, run: _Run) -> None:
        """Settle what couples elements that are decided one by one, as some may have gone one way and some another."""
        for node in self._coupling:
            if node.index in run.known:
                continue
            decisions = [d for d in self._decisions if any(d in run.depends.get(a.index, ()) for a in node.args)]
            if any(d in run.choices.open for d in decisions):
                run.hulls[node.index] = self._hulls(run, node, decisions)
                self._evaluate(run, set(decisions))
            else:
                run.hulls[node.index] = [run.values[a.index] for a in node.args]

    def _hulls(self, run: _Run, node: Node, decisions: Sequence[Node]) -> list[Any]:
        """What the operands of a node may be, over all ways through some decisions, which are then as they were."""
        ends: dict[Node, tuple[np.ndarray, np.ndarray] | None] = dict.fromkeys(node.args)
        for left in self._ways(run, decisions, node):
            for arg in ends:
                value, marks = run.values[arg.index], run.marked(arg, left)
                ends[arg] = bounds.widest(ends[arg], value if marks is None else _unknown(value, marks))
        run.choices.reset(decisions)
        found = {
            a: bounds.between(*e) if run.depends.get(a.index) else run.values[a.index] for a, e in ends.items() if e
        }
        return [found[a] for a in node.args]

    @cached_property
    def _decisions(self) -> tuple[Node, ...]:
        return tuple(n for n in self._order if n.op in OUTCOMES)

    @cached_property
    def _coupling(self) -> tuple[Node, ...]:
        """Reductions and operations on matrices of what is decided element by element, row by row or the like."""

        def decided(node: Node) -> bool:
            return any(n.op in OUTCOMES and names(n.axes) for a in node.args for n in walk(a))

        return tuple(n for n in self._order if n.op in REDUCTIONS | MATRIX and decided(n))

    def _depends(self, observed: Iterable[str]) -> Mapping[int, frozenset[Node]]:
        """By node, the decisions that its value depends on, where some outputs were observed and go on as such."""
        found: dict[int, frozenset[Node]] = {}
        passed: dict[int, frozenset[Node]] = {}  # to the nodes that use it
        for node in self._order:
            own = frozenset([node] if node.op in OUTCOMES else [])
            found[node.index] = own.union(*(passed.get(a.index, ()) for a in self._operands(node)))
            seen = any(n in observed for n in self._outputs.get(node.index, ()))
            passed[node.index] = frozenset() if seen else found[node.index]
        return found

    def _scalars(self, scalars: Sequence[Bounded]) -> dict[int, Any]:
        nodes = [n for n in self.graph.nodes if n.op == "scalar"]
        return {n.index: value for n, value in zip(nodes, scalars, strict=True)}

    def _evaluate(
        self,
        run: _Run,
        changed: set[Node] | None = None,
        stop: Node | None = None,
        roots: tuple[Node, ...] | None = None,
    ) -> None:
        """Evaluate the graph or what some of its nodes need, or what depends on decisions that changed, up to a node."""
        order = self._order if roots is None and not run.known else self._order_of(roots, frozenset(run.known))
        for node in order:
            if node is stop:
                return
            if changed is not None and changed.isdisjoint(run.depends[node.index]):
                continue
            value = run.known.get(node.index)
            if value is None:
                value = run.inputs[node.attribute] if node.op == "input" else self._operation(node, run)
            for name in self._outputs.get(node.index, ()):
                run.sets[name] = value
                if name in run.observed and node.op != "input":
                    value = self._observed(node, run.observed[name], value, run)
            run.values[node.index] = value

    def _observed(self, node: Node, observed: Bounded, computed: Any, run: _Run) -> Any:
        """What goes on from an output that was seen: what is stored, within what it may be by what it is computed of.

        Elements whose decisions are open go on from what was seen alone, whichever way they take.
        """
        if observed.error is None or not isinstance(computed, Bounded):
            return observed
        decisions, couples = self._behind[node.index]
        open_ = [run.choices.open[d] for d in decisions if d in run.choices.open]
        if open_ and couples:
            return observed
        decided = ~within(reduce(np.logical_or, open_), np.shape(observed.value)) if open_ else None
        return bounds.given(observed, computed, self.model, decided)

    @cached_property
    def _behind(self) -> dict[int, tuple[tuple[Node, ...], bool]]:
        """By output, the decisions that it depends on, and whether one of its elements depends on others."""
        behind = {node.index: list(walk(node)) for node in self.graph.outputs.values()}
        return {
            index: (tuple(n for n in nodes if n.op in OUTCOMES), any(n.op in REDUCTIONS | MATRIX for n in nodes))
            for index, nodes in behind.items()
        }

    @cached_property
    def _order(self) -> tuple[Node, ...]:
        """The nodes whose values are used, operands first, without scalars."""
        return tuple(n for n in self.graph.nodes if n.index in self._needed and n.op != "scalar")

    @cached_property
    def _orders(self) -> dict[tuple[tuple[Node, ...] | None, frozenset[int]], tuple[Node, ...]]:
        return {}

    def _order_of(self, roots: tuple[Node, ...] | None, known: frozenset[int]) -> tuple[Node, ...]:
        """Of `_order`, the nodes that some need, or that the outputs need, where the values of others are known."""
        if (roots, known) not in self._orders:
            wanted, stack = set(), list(self.graph.outputs.values() if roots is None else roots)
            while stack:
                node = stack.pop()
                if node.index not in wanted:
                    wanted.add(node.index)
                    stack += [] if node.index in known else self._operands(node)
            self._orders[roots, known] = tuple(n for n in self._order if n.index in wanted)
        return self._orders[roots, known]

    @cached_property
    def _needed(self) -> set[int]:
        """Nodes whose values are used: those dissolved into a larger sum or product are not."""
        return needed(self.graph, self.groups)

    def _operands(self, node: Node) -> tuple[Node, ...]:
        return operands(node, self.groups)

    def _seen(self, node: Node, observed: Mapping[str, Bounded]) -> Bounded | None:
        """What was observed of an output, for operations whose results are not unique."""
        return next((observed[name] for name in self._outputs.get(node.index, ()) if name in observed), None)

    @cached_property
    def _summed(self) -> frozenset[int]:
        """Sums over elements, the terms that are made for them alone, and the numbers made of them."""
        used: dict[int, list[Node]] = {}
        for node in self._order:
            for arg in self._operands(node):
                used.setdefault(arg.index, []).append(node)
        terms = {index for index, users in used.items() if all(user.op in REDUCTIONS for user in users)}
        made = {n.index for n in self._order if n.axes != ELEMENT and any(m.op in REDUCTIONS for m in walk(n))}
        return frozenset(terms | made)

    def _model_of(self, node: Node) -> Model:
        of_sums = self.model.of_sums
        return of_sums if of_sums is not None and node.index in self._summed else self.model

    def _operation(self, node: Node, run: _Run) -> Any:
        values, model = run.values, self._model_of(node)
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
        args = run.hulls.get(node.index) or [values[a.index] for a in node.args]
        if node.op in OUTCOMES:
            return self._decide(node, args, run)
        record = OPERATIONS[node.op]
        assert record.error is not None, f"nothing is known of the error of {node.op}"
        if record.kind == "reduction":
            return record.error(args[0], *self._folded(node, args[0]), model)
        if record.kind == "matrix":
            return record.error(args, node.attribute, self._seen(node, run.observed), model, self.batch)
        return record.error(*args, *((node.attribute,) if record.attributed else ()), model)

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

        A scalar may be an array of one value a step, where several steps are judged at once.
        """
        found = None
        terms = [self._coefficient(term, values) for _, term in grouped.terms]
        for i, first in enumerate(terms):
            for second in terms[i + 1 :]:
                if first and second and _complementary(first[0], second[0]):
                    extent = first[1] + second[1]
                    # the difference b - a may overflow where the sum does not
                    over = extent > self.model.largest
                    if np.any(over):
                        extent = np.where(over, np.where(_infinite_on_top(first, second), 0.0, np.inf), extent)
                    extra = np.minimum(first[0], second[0]) * 2.0 * extent
                    found = extra if found is None else found + extra
        return found

    def _coefficient(self, term: Node, values: Mapping[int, Any]) -> tuple[Any, np.ndarray, list[Bounded]] | None:
        """A term as (scalar coefficient, magnitude of the rest, the rest); None if it has no scalar coefficient."""
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
        factors = [values[node.index] for node in rest]
        for value in factors:
            magnitude = magnitude * (np.abs(value.value) + value.bound())
        return coefficient, magnitude, factors

    def _decide(self, node: Node, args: Sequence[Bounded], run: _Run) -> Any:
        """A decision where it is forced by the values, and the outcome that each element takes where it is not."""
        decision = OPERATIONS[node.op].decided(args, node.attribute)
        if self.model.nan_open:
            if node.op == "sign":
                return nan_choices.sign(args[0], Bounded(run.choices.take(node, decision), decision.error))
            if node.is_boolean:
                decision = decision._replace(open=decision.open | nan_choices.unknown(*args))
        value = run.choices.take(node, decision)
        return value if node.is_boolean else Bounded(value, decision.error)


def _infinite_on_top(first: Sequence[Any], second: Sequence[Any]) -> np.ndarray:
    """Where of (1 - w) a + w b, two terms as of `Enclosure._coefficient`, b alone is infinite: so is a + w (b - a)."""
    found = np.zeros((), bool)
    for (w, _, b), (rest, a, _) in ((first, second), (second, first)):
        infinite = reduce(np.logical_or, map(infinities.certain, b))
        found = found | infinite & np.isfinite(a) & (np.abs(w) < np.abs(rest))
    return np.asarray(found)


def within(marks: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Marks of elements as those of what is one number a row, a column or a tensor: marked where any of its elements is.

    Args:
        marks: booleans, one an element.
        shape: that of the other, with axes of length one; a square matrix is marked as a whole.

    Returns:
        Booleans that broadcast to the shape.
    """
    if marks.ndim > len(shape):
        return np.asarray(marks.any())
    marks = marks.reshape((1,) * (len(shape) - marks.ndim) + marks.shape)
    axes = tuple(i for i, (a, b) in enumerate(zip(marks.shape, shape, strict=True)) if b == 1 < a)
    marks = np.asarray(marks.any(axis=axes, keepdims=True)) if axes else marks
    fits = all(a in (1, b) for a, b in zip(marks.shape, shape, strict=True))
    return marks if fits else np.asarray(marks.any())  # a square matrix has other elements than the parameter


def _unknown(known: Bounded, marks: np.ndarray) -> Bounded:
    """A value of which nothing is known where it is marked."""
    marks = within(marks, np.shape(known.value))
    return Bounded(np.where(marks, 0.0, known.value), np.where(marks, np.inf, known.bound()))


def _complementary(a: Any, b: Any) -> bool:
    """True if two coefficients are positive and add up to one, at every step."""
    return bool(np.all(np.abs(a + b - 1.0) < 1e-12) and np.all(a > 0) and np.all(b > 0))
