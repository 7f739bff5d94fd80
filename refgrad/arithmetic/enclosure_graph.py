"""The enclosure as a graph: from a rule's graph to one that computes every centre and its bound, in float64.

`refgrad.arithmetic.enclosure` evaluates a graph on arrays of centres and bounds, with branches for whatever is special: subnormal
numbers, overflow, roots of what may be negative, decisions that are open. Where none of that is met, what it computes is a
program of + - * / sqrt abs and comparisons. `enclosed` writes that program down as a graph, with the conditions under which
it holds, so that it can be printed as a kernel. What it does not know it refuses with a reason (`Unknown`).

Where all conditions hold for every element that is judged together, the centres have the bits of the enclosure's, and the bounds
are no smaller, and larger by no more than a share that follows from the graph (docs/enclosure.md, "The enclosure as a kernel").
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, partial, reduce
from typing import Any, NamedTuple

from refgrad.arithmetic.averages import Pair, Pairs
from refgrad.arithmetic.enclosed import NEGLIGIBLE, NOTHING, UNIT, Enclosed, Fold, Host, Pass, of_left, seen
from refgrad.arithmetic.graph import Builder, Graph, Node
from refgrad.arithmetic.grouping import Product, Sum, group, needed, operands
from refgrad.arithmetic.operations import REDUCTIONS, SELECTIONS
from refgrad.arithmetic.scalar_math import Scope
from refgrad.arithmetic.steps import Exponent
from refgrad.axes import COLUMN, ELEMENT, NUMBER, ROW, TENSOR, Axes

#: the share of a bound by which the enclosure's own may be smaller: more is refused
MOST_LOSS = 2.0**-10

COMPARES = frozenset({"lt", "le", "gt", "ge", "eq", "ne"})


class Unknown(Exception):  # not an error: the enclosure itself knows it
    """What the transformation does not know; its text says what that is."""


class Part(NamedTuple):
    """A value of the rule's graph.

    Args:
        value: its centre.
        error: its bound; None where it is the centre itself.
        reach: of a product, and a sum of products: the product of those factors and reciprocal divisors that exceed one.
        loss: the share of the bound by which that of the enclosure may be smaller.
    """

    value: Node
    error: Node | None = None
    reach: Node | None = None
    loss: float = 0.0


def enclosed(
    graph: Graph,
    pairs: Pairs,
    goes_on: bool = True,
    products: frozenset[str] = frozenset(),
    scaling: bool = False,
    given: bool = False,
) -> Enclosed:
    """The graph of centres and bounds.

    Args:
        graph: a rule's graph.
        pairs: of `complementary`: which sums are averages.
        goes_on: whether what is computed of an output goes on from what was seen of it.
        products: outputs that come out of at least one multiplication, even where the rule multiplies by nothing.
        scaling: whether a product with a power of two counts as exact (`Model.exact_scaling`).
        given: whether outputs are judged each given those before it, as parts of quantizers are: what was seen is used as it is
            stored, and where a step function's result is the centre's, it is no matter what else is in reach.

    Returns:
        The graph with its conditions.

    Raises:
        Unknown: the graph has what the transformation does not know.

    >>> from refgrad.optimizers import SGD
    >>> plan = SGD(lr=0.5).plan((4,), t=1)
    >>> found = enclosed(plan.graph, {})
    >>> found.graph.counts()["mul"], len(found.conditions)
    (8, 4)
    """
    return _Transformation(graph, pairs, goes_on, products, scaling, given).result()


def _cancels(grouped: Sum) -> bool:
    """True if a sum takes a term in and out again."""
    signs: dict[int, set[int]] = {}
    for sign, term in grouped.terms:
        signs.setdefault(term.index, set()).add(sign)
    return any(len(each) > 1 for each in signs.values())


def _shared(node: Node) -> bool:
    """True if a node is one number a row, a column or a tensor, which conditions hold to the enclosure's own bits."""
    return node.axes not in (ELEMENT, NUMBER)


class _Transformation:
    """Writes the new graph, node by node."""

    def __init__(
        self,
        graph: Graph,
        pairs: Pairs,
        goes_on: bool,
        products: frozenset[str],
        scaling: bool = False,
        given: bool = False,
    ) -> None:
        self.graph, self.pairs, self.groups = graph, pairs, group(graph)
        self.goes_on, self.products, self.scaling, self.given = goes_on, products, scaling, given
        self.builder = Builder(Scope(), 1)
        self.parts: dict[int, Part] = {}
        #: by node of the rule's graph, what must hold where it is computed, and what where no bit of its bound is lost
        self.conditions: dict[int, list[Node]] = {}
        self.exactly: dict[int, list[Node]] = {}
        self.current = 0
        self.folds: list[Fold] = []
        self.weights: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
        self.outputs = {node.index: name for name, node in graph.outputs.items()}

    def result(self) -> Enclosed:
        """The new graph, or `Unknown`."""
        self._check()
        sets = {}
        for node in self.graph.nodes:
            if node.index not in self._needed:
                continue
            self.current = node.index
            part = self._part(node)
            if node.axes != ELEMENT:  # what elements share is only taken where no bit of its bound is lost
                part = part._replace(loss=0.0)
            if node.index in self.outputs:
                name = self.outputs[node.index]
                sets[name] = self._bounded_output(self._multiplied(part) if name in self.products else part)
                part = self._observed(node, name, part) if self.goes_on else part
            self.parts[node.index] = part
        roots = {f"t:{name}": part.value for name, part in sets.items()}
        roots |= {f"e:{name}": part.error for name, part in sets.items() if part.error is not None}
        seen_of = {f"s:{name}": self._input(seen(name), self._axes_of(name)) for name in sets}
        conditions, exactly = self._behind(self.graph.outputs.values())
        live = self.builder.live({**roots, **seen_of, **{f"c:{i}": n for i, n in enumerate((*conditions, *exactly))}})
        return Enclosed(
            Graph(live, {**roots, **seen_of}, {}, ()),
            tuple(name for name in sets if name not in self.graph.small),
            conditions,
            exactly,
            {name: part.value for name, part in sets.items() if name not in self.graph.small},
            {name: p.error for name, p in sets.items() if p.error is not None and name not in self.graph.small},
            {name: part.loss for name, part in sets.items()},
            tuple(self.weights),
            tuple(self.folds),
            tuple(name for name in sets if name in self.graph.small),
            tuple(name for i, name in self.outputs.items() if self.goes_on and i in self._used),
            any(_cancels(each) for each in self.groups.values() if isinstance(each, Sum)),
        )

    def _check(self) -> None:
        if self.graph.matrix() or any(n.op in SELECTIONS for n in self.graph.nodes):
            raise Unknown("its elements see each other, by an operation on matrices or a selection")
        if any(n.axes not in (ELEMENT, ROW, COLUMN, TENSOR, NUMBER) for n in self.graph.nodes):
            raise Unknown("some value has axes that are not the parameter's")
        if len(self.outputs) < len(self.graph.outputs):
            raise Unknown("two outputs are one number")
        if any(node.op == "scalar" for node in self.graph.outputs.values()):
            raise Unknown("an output is one number")

    def _axes_of(self, output: str) -> Axes:
        return self.graph.small.get(output, ELEMENT)

    def _behind(self, roots: Iterable[Node]) -> tuple[tuple[Node, ...], tuple[Node, ...]]:
        """What must hold where some nodes are computed, given what reductions leave; and what where no bit is lost."""
        found, stack = set(), list(roots)
        while stack:
            node = stack.pop()
            if node.index not in found:
                found.add(node.index)
                stack += [] if node.op in REDUCTIONS else self._operands(node)
        conditions, exactly = (
            {n.index: n for index in sorted(found) for n in of.get(index, ())} for of in (self.conditions, self.exactly)
        )
        return tuple(conditions.values()), tuple(exactly.values())

    @cached_property
    def _needed(self) -> set[int]:
        """The nodes whose values are used: those that are dissolved into a larger sum or product are not."""
        return needed(self.graph, self.groups)

    @cached_property
    def _used(self) -> set[int]:
        """The nodes that others are computed from."""
        return {a.index for n in self.graph.nodes if n.index in self._needed for a in self._operands(n)}

    def _operands(self, node: Node) -> tuple[Node, ...]:
        return operands(node, self.groups)

    # nodes of the new graph

    def _do(self, op: str, *args: Node) -> Node:
        return self.builder.node(op, args)

    def _input(self, name: str, axes: Axes = ELEMENT) -> Node:
        return self.builder.node("input", (), name, axes)

    def _host(self, kind: str, number: float = 0.0) -> Node:
        return self.builder.node("scalar", (), Host(kind, number), NUMBER)

    def _number(self, value: float) -> Node:
        return self._host("constant", value)

    def _larger(self, a: Node, b: Node) -> Node:
        return self._do("where", self._do("gt", a, b), a, b)

    def _smaller(self, a: Node, b: Node) -> Node:
        return self._do("where", self._do("lt", a, b), a, b)

    def _times(self, factors: Sequence[Node]) -> Node:
        return reduce(lambda a, b: self._do("mul", a, b), factors)

    def _added(self, terms: Sequence[Node]) -> Node:
        return reduce(lambda a, b: self._do("add", a, b), terms)

    def _must(self, op: str, a: Node, b: Node) -> None:
        """A condition, which NaN does not meet."""
        self.conditions.setdefault(self.current, []).append(self._do(op, a, b))

    def _room(self, value: Node, error: Node) -> Node:
        """How far from where its ends change something a number must be: twice its bound.

        What elements share has the enclosure's own bound, in every bit, so that once is enough: what a sum of many leaves may
        be off by more than half of itself.
        """
        return error if _shared(value) else self._do("add", error, error)

    # the operations, as in `running_error` and `function_error`

    def _part(self, node: Node) -> Part:
        grouped = self.groups.get(node.index)
        if isinstance(grouped, Sum):
            return self._sum(node, grouped)
        if isinstance(grouped, Product):
            return self._product(grouped)
        if node.op == "input":
            return Part(self._input(node.attribute, node.axes))
        if node.op in REDUCTIONS:
            return self._left(node)
        if node.op == "scalar":
            number = [n.index for n in self.graph.nodes if n.op == "scalar"].index(node.index)
            return Part(self._host("value", number), self._host("error", number))
        args = [self.parts[a.index] for a in node.args]
        if node.op in ("and", "or", "not"):
            return Part(self._do(node.op, *(part.value for part in args)))
        if node.op in COMPARES:
            self._apart(args[0], args[1])
            return Part(self._do(node.op, args[0].value, args[1].value))
        if node.op == "step":
            return self._stepped(node.attribute, *args)
        writes: dict[str, Callable[..., Part]] = {
            "neg": self._negative,
            "abs": self._absolute,
            "sqrt": self._root,
            "sign": self._sign,
            "rint": partial(self._whole, "rint"),
            "floor": partial(self._whole, "floor"),
            "ceil": partial(self._whole, "ceil"),
            "where": self._where,
            "maximum": partial(self._extremum, self._larger),
            "minimum": partial(self._extremum, self._smaller),
        }
        if node.op not in writes:
            raise Unknown(f"{node.op} is no operation that it knows")
        return writes[node.op](*args)

    def _sum(self, node: Node, grouped: Sum) -> Part:
        terms = [(sign, self.parts[term.index]) for sign, term in grouped.terms]
        sign, first = terms[0]
        value = first.value if sign > 0 else self._do("neg", first.value)
        for sign, term in terms[1:]:
            value = self._do("add" if sign > 0 else "sub", value, term.value)
        spread = self._added([self._do("abs", term.value) for _, term in terms])
        errors = [term.error for _, term in terms if term.error is not None]
        error = self._added(errors) if errors else self._number(0.0)
        spread, loss = self._do("add", spread, error) if errors else spread, max(term.loss for _, term in terms)
        for pair in self.pairs.get(node.index, ()):
            extra, more = self._interpolation(grouped, pair)
            spread, loss = self._do("add", spread, extra), max(loss, more)
        count = len(terms)
        charged = self._do("mul", self._host("charge", count - 1), spread)
        error = self._do("add", error, charged) if errors else charged
        if count > 2:
            self._must("le", spread, self._host("largest"))
        self._fits(value, error)
        reaches = [term.reach for _, term in terms if term.reach is not None]
        reach = reduce(self._larger, reaches) if reaches else None
        return Part(value, error, reach, loss + (4 * count + 12) * UNIT)

    def _interpolation(self, grouped: Sum, pair: Pair) -> tuple[Node, float]:
        """w (|a| + |b|), of which a program may make a + w (b - a)."""
        extents, loss, numbers = [], 0.0, []
        for place in pair:
            term = self.groups[grouped.terms[place][1].index]
            assert isinstance(term, Product)
            rest = [self.parts[n.index] for n in term.numerators if n.op != "scalar"]
            extents.append(self._times([self._high(part) for part in rest]))
            loss = max(loss, sum(part.loss for part in rest))
            places = [n.index for n in self.graph.nodes if n.op == "scalar"]
            numbers.append(tuple(places.index(n.index) for n in term.numerators if n.op == "scalar"))
        extent = self._do("add", *extents)
        self._must("le", extent, self._host("largest"))
        self.weights.append((numbers[0], numbers[1]))
        return self._do("mul", self._host("weight", len(self.weights) - 1), extent), loss

    def _product(self, grouped: Product) -> Part:
        above = [self.parts[n.index] for n in grouped.numerators]
        below = [self.parts[n.index] for n in grouped.denominators]
        count, one = len(above) + len(below), self._number(1.0)
        for part in below:
            if part.error is not None:
                self._must("lt", self._room(part.value, part.error), self._do("abs", part.value))
        high, low = [self._high(part) for part in above], [self._low(part) for part in below]
        value = self._quotient([part.value for part in above], [part.value for part in below])
        upper, size = self._quotient(high, low), self._do("abs", value)
        rounded = self._do("mul", self._host("factor", count - 1), upper)
        error = self._do("add", self._do("sub", upper, size), rounded)
        reach = self._times(
            [
                *(self._larger(h, one if p.reach is None else p.reach) for h, p in zip(high, above, strict=True)),
                *(self._larger(self._do("div", one, each), one) for each in low),
            ]
        )
        self._must("le", reach, self._host("largest"))
        if len(below) > 1:  # divisors may be multiplied first
            self._must("le", self._times([self._larger(self._high(p), one) for p in below]), self._host("largest"))
        lost = self._do("mul", self._host("underflow", count), reach)
        zero = self._number(0.0)
        if high:  # an exact zero makes zero in any order
            lost = self._do("where", self._do("eq", reduce(self._smaller, high), zero), zero, lost)
        self._must("le", lost, self._do("mul", self._host("negligible"), error))
        exactly = self._do("le", lost, self._do("mul", self._number(NOTHING), error))
        self.exactly.setdefault(self.current, []).append(exactly)
        error = self._do("add", error, lost)
        error = self._unless_scaled(above, below, value, error) if self.scaling else error
        value = value if grouped.sign > 0 else self._do("neg", value)
        self._fits(value, error)
        if len({n.index for n in grouped.numerators}) < len(above):  # a square is not negative, whatever its bound says
            self._must("le", error, size)
        loss = sum(p.loss for p in above) + 2 * sum(p.loss for p in below)
        return Part(value, error, reach, loss + NEGLIGIBLE + (4 * count + 10) * 2.0**-29)

    def _unless_scaled(self, above: Sequence[Part], below: Sequence[Part], value: Node, error: Node) -> Node:
        """The bound, which is zero where known numbers, all but one of them powers of two, make a normal number or zero."""
        zero, size = self._number(0.0), self._do("abs", value)
        powers = [self._is_power(part.value) for part in above]
        fewer = [[p for j, p in enumerate(powers) if j != i] for i in range(len(powers))]
        musts = [self._do("eq", part.error, zero) for part in (*above, *below) if part.error is not None]
        musts += [self._is_power(part.value) for part in below]
        if len(powers) > 1:
            musts.append(self._any([reduce(partial(self._do, "and"), each) for each in fewer]))
        musts.append(self._any([self._do("ge", size, self._host("smallest")), self._do("eq", value, zero)]))
        return self._do("where", reduce(partial(self._do, "and"), musts), zero, error)

    def _any(self, conditions: Sequence[Node]) -> Node:
        return reduce(partial(self._do, "or"), conditions)

    def _is_power(self, value: Node) -> Node:
        """Where a magnitude is a power of two."""
        size = self._do("abs", value)
        power = self.builder.node("step", (size,), Exponent(power=True))
        return self._do("and", self._do("eq", power, size), self._do("gt", size, self._number(0.0)))

    def _quotient(self, above: Sequence[Node], below: Sequence[Node]) -> Node:
        found = self._times(above) if above else self._number(1.0)
        return reduce(lambda a, b: self._do("div", a, b), below, found)

    def _high(self, part: Part) -> Node:
        size = self._do("abs", part.value)
        return size if part.error is None else self._do("add", size, part.error)

    def _low(self, part: Part) -> Node:
        size = self._do("abs", part.value)
        return size if part.error is None else self._do("sub", size, part.error)

    def _fits(self, value: Node, error: Node | None) -> None:
        """Nothing overflows, and nothing is NaN."""
        size = self._do("abs", value)
        self._must("le", size if error is None else self._do("add", size, error), self._host("largest"))

    def _negative(self, x: Part) -> Part:
        return Part(self._do("neg", x.value), x.error, None, x.loss)

    def _absolute(self, x: Part) -> Part:
        size = self._do("abs", x.value)
        if x.error is not None:
            self._must("le", x.error, size)
        return Part(size, x.error, None, x.loss)

    def _root(self, x: Part) -> Part:
        value, charge = self._do("sqrt", x.value), self._host("charge", 1)
        if x.error is None:
            self._must("ge", x.value, self._number(0.0))
            return Part(value, self._do("mul", charge, value), None, 2.0**-26)
        self._must("lt" if _shared(x.value) else "le", self._room(x.value, x.error), x.value)
        high = self._do("sqrt", self._do("add", x.value, x.error))
        low = self._do("sqrt", self._do("sub", x.value, x.error))
        off = self._larger(self._do("sub", high, value), self._do("sub", value, low))
        error = self._do("add", off, self._do("mul", charge, high))
        self._must("le", error, value)
        return Part(value, error, None, 1.25 * x.loss + 2.0**-26)

    def _extremum(self, choose: Callable[[Node, Node], Node], a: Part, b: Part) -> Part:
        value, loss = choose(a.value, b.value), max(a.loss, b.loss)
        if a.error is None and b.error is None:
            return Part(value, None, None, loss)
        if value.axes == ELEMENT:  # else no share is lost; of two that are the same the larger bound is that of both
            self._apart(a, b, or_same=True)
        ends = []
        for op in ("add", "sub"):
            both = [p.value if p.error is None else self._do(op, p.value, p.error) for p in (a, b)]
            ends.append(choose(both[0], both[1]))
        error = self._larger(self._do("sub", ends[0], value), self._do("sub", value, ends[1]))
        if _shared(value):  # a bound that reaches beyond zero where an end does not
            self._must("le", error, self._do("abs", value))
        return Part(value, error, None, loss + 2.0**-27)

    def _sign(self, x: Part) -> Part:
        if x.error is not None:
            self._must("lt" if _shared(x.value) else "le", self._room(x.value, x.error), self._do("abs", x.value))
        return Part(self._do("sign", x.value))

    def _whole(self, op: str, x: Part) -> Part:
        """A whole number, of what is certainly in between two of those where it changes."""
        value = self._do(op, x.value)
        if x.error is not None:
            off = self._do("abs", self._do("sub", x.value, self._do("rint", x.value)))
            reach = self._do("add", x.error, x.error)
            if op == "rint":
                self._must("lt", self._do("add", off, reach), self._number(0.5))
            else:
                self._must("lt", reach, off)
        return Part(value)

    def _stepped(self, function: Any, x: Part) -> Part:
        """A function that never falls, of a number that is on one of its steps with all that its bound reaches."""
        taken: Callable[[Node], Node] = lambda at: self.builder.node("step", (at,), function)  # noqa: E731
        if x.error is None or self.given:
            return Part(taken(x.value))
        low, high = (taken(self._do(op, x.value, x.error)) for op in ("sub", "add"))
        self._must("eq", low, high)
        return Part(high)

    def _where(self, condition: Part, a: Part, b: Part) -> Part:
        value = self._do("where", condition.value, a.value, b.value)
        if a.error is None and b.error is None:
            return Part(value)
        zero = self._number(0.0)
        errors = [zero if p.error is None else p.error for p in (a, b)]
        return Part(value, self._do("where", condition.value, *errors), None, max(a.loss, b.loss))

    def _apart(self, a: Part, b: Part, or_same: bool = False) -> None:
        """Of two numbers it is certain which is the larger, with room: or both are known, or they may be the same."""
        errors = [p.error for p in (a, b) if p.error is not None]
        if errors:
            reach = self._added(errors)
            distance = self._do("abs", self._do("sub", a.value, b.value))
            held = self._do("lt" if _shared(distance) else "le", self._room(distance, reach), distance)
            held = self._any([held, self._do("eq", a.value, b.value)]) if or_same else held
            self.conditions.setdefault(self.current, []).append(held)

    # reductions

    def _left(self, node: Node) -> Part:
        """What a reduction leaves, which is worked out of its operand before what is computed of it."""
        (arg,) = node.args
        operand = self.parts[arg.index]
        if operand.value.is_boolean:
            raise Unknown("truth values are added up")
        roots = (operand.value,) if operand.error is None else (operand.value, operand.error)
        self.folds.append(Fold(node, operand.value, operand.error, Pass(roots, *self._behind([arg]))))
        value, error = (self._input(of_left(node, kind), node.axes) for kind in ("value", "error"))
        return Part(value, error)

    # outputs

    def _bounded_output(self, part: Part) -> Part:
        if part.value.is_boolean:
            raise Unknown("an output is a truth value")
        if part.loss > MOST_LOSS:
            raise Unknown(f"the margin that its bound needs is {part.loss:.1e}")
        self._fits(part.value, part.error)
        return part

    def _multiplied(self, part: Part) -> Part:
        """The roundings of one operation, where there are none."""
        least = self._do("mul", self._host("charge", 1), self._do("abs", part.value))
        if part.error is None:
            return part._replace(error=least)
        return part._replace(error=self._larger(part.error, least), loss=part.loss + 2.0**-27)

    def _observed(self, node: Node, name: str, computed: Part) -> Part:
        """What goes on from an output: what was seen of it, unless that is subnormal, or a zero that does not come of zeros."""
        if node.op == "input":
            return computed
        found = self._input(seen(name), self._axes_of(name))
        if node.index in self._used and not self.given:
            size = self._do("abs", found)
            total = self._do("add", size, self._high(computed))
            zero = self._number(0.0)
            small = self._do("lt", size, self._host("smallest"))
            self._must("eq", self._do("where", small, total, zero), zero)
        return Part(found)
