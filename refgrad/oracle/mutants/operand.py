"""Rewrites of operations and operands: one that is missing, taken twice, upside down, or of another array."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from refgrad.arithmetic.formula import scalar_text
from refgrad.arithmetic.graph import Graph, Node
from refgrad.arithmetic.rewriting import Edit, Make, keys, rebuilt, subexpressions, times
from refgrad.arithmetic.scalar_math import Expr, const, name
from refgrad.axes import EACH_ROW, ELEMENT, NUMBER, left_by
from refgrad.oracle.mutants.patterns import Form, Found, replacing

UNARY = {"sqrt": "root", "abs": "magnitude", "sign": "sign", "exp": "exponential", "neg": "minus"}
SWAPPED = {"maximum": "minimum", "minimum": "maximum", "mul": "div", "div": "mul"}


def missing(form: Form) -> Iterator[Found]:
    """A root, magnitude, sign, factor, divisor, term, bound or choice that is missing."""
    for node in form.graph.nodes:
        whole = form.text(node)
        if node.op in UNARY:
            word = UNARY[node.op]
            text = f"no {word} of {form.text(node.args[0])}"
            yield form.at(node, text, f"{form.text(node.args[0])} stands for its {word}", lambda d, a: a[0])
        elif node.op in ("mul", "div", "add", "sub", "maximum", "minimum", "where"):
            kept = range(1, 3) if node.op == "where" else range(2)
            for keep in kept:
                if node.args[keep].axes == NUMBER != node.axes:
                    continue
                if node.op in ("div", "sub") and keep == 1:
                    continue
                sentence = f"{form.text(node.args[keep])} stands for {whole}"
                yield form.at(node, f"{sentence}", sentence, lambda d, a, k=keep: a[k], keep)


def altered(form: Form) -> Iterator[Found]:
    """A factor taken twice, a quotient upside down, a root of a root, a magnitude for a square, a mean for a sum."""
    for node in form.graph.nodes:
        whole = form.text(node)
        if node.op == "mul":
            for i in range(2):
                factor = form.text(node.args[i])
                text = f"{factor} twice in {whole}"
                sentence = f"{factor} is a factor twice in {whole}"
                yield form.at(node, text, sentence, lambda d, a, i=i: d.op("mul", d.op("mul", *a), a[i]), i)
            yield from _magnitude(form, node)
        if node.op == "div" and node.args[0].op != "scalar":
            text = f"{whole} upside down"
            yield form.at(node, text, f"{whole} is upside down", lambda d, a: d.op("div", a[1], a[0]))
        if node.op in SWAPPED:
            other = SWAPPED[node.op]
            sentence = f"the operands of {whole} are combined by {other}"
            yield form.at(node, f"{other} in {whole}", sentence, lambda d, a, o=other: d.op(o, *a))
        if node.op == "where":
            sentence = f"the two values of {whole} are exchanged"
            yield form.at(node, f"{whole} exchanged", sentence, lambda d, a: d.op("where", a[0], a[2], a[1]))
        if node.op == "sqrt":
            yield form.at(node, f"the root twice in {whole}", f"the root is taken twice in {whole}", _root_twice)
        if node.op == "sum":
            yield from _sums(form, node)


def _root_twice(d: Edit, a: tuple[Node, ...]) -> Node:
    return d.op("sqrt", d.op("sqrt", a[0]))


def _magnitude(form: Form, node: Node) -> Iterator[Found]:
    """``c x x`` as ``c |x|`` and as ``c x``."""
    left, x = node.args
    inner = left.op == "mul" and left.args[1] is x
    if left is not x and not inner:
        return
    for op in ("abs", None):
        what = f"|{form.text(x)}|" if op else form.text(x)
        name = f"{what} for the square of {form.text(x)}"

        def make(d: Edit, a: tuple[Node, ...], op: str | None = op, inner: bool = inner) -> Node:
            value = d.op(op, a[1]) if op else a[1]
            return d.op("mul", a[0].args[0], value) if inner else value

        yield form.at(node, name, f"{what} stands for the square of {form.text(x)}", make)


def _sums(form: Form, node: Node) -> Iterator[Found]:
    over = node.attribute
    length = Expr("name", (f"{left_by(over)}_length",))
    text = f"a mean for {form.text(node)}"
    sentence = f"{form.text(node)} is a mean rather than a sum"
    yield form.at(node, text, sentence, lambda d, a: d.op("div", d.op("sum", a[0], attribute=over), d.scalar(length)))
    other = EACH_ROW if over == ELEMENT else ELEMENT
    if form.plan.graph.nodes and "row_length" in form.plan.free:
        text = f"{form.text(node)} by {left_by(other)}"
        yield form.at(
            node, text, f"the sum runs over each {left_by(other)}", lambda d, a: d.op("sum", a[0], attribute=other)
        )


def scalars(form: Form) -> Iterator[Found]:
    """A factor or term that is missing in scalar arithmetic."""
    for old in _expressions(form.graph):
        if old.op in ("mul", "add", "sub", "div", "sqrt"):
            for new in old.args[: 1 if old.op in ("sub", "div", "sqrt") else 2]:
                if new.op != "const":
                    yield _scalar(form.graph, old, new)


def scalar_signs(form: Form) -> Iterator[Found]:
    """A sum for a difference in scalar arithmetic, and the reverse."""
    for old in _expressions(form.graph):
        if old.op in ("add", "sub"):
            yield _scalar(form.graph, old, Expr("sub" if old.op == "add" else "add", old.args))


def scalar_numbers(form: Form) -> Iterator[Found]:
    """A number of the rule's text twice or half as large where it stands in scalar arithmetic."""
    for old in _expressions(form.graph):
        for i, arg in enumerate(old.args if old.op not in ("const", "name") else ()):
            if arg.op == "const" and arg.args[0] not in (0.0, 1.0):
                for factor in (2.0, 0.5):
                    new = const(factor * arg.args[0])
                    yield _scalar(form.graph, old, Expr(old.op, (*old.args[:i], new, *old.args[i + 1 :])))


def scalar_decays(form: Form) -> Iterator[Found]:
    """One decay for another at one place of scalar arithmetic, as of a decay that is made anew at each step."""
    for old in _expressions(form.graph):
        for i, arg in enumerate(old.args if old.op not in ("const", "name") else ()):
            if arg.op == "name" and arg.args[0] in form.decays:
                for other in form.decays:
                    if other != arg.args[0]:
                        yield _scalar(form.graph, old, Expr(old.op, (*old.args[:i], name(other), *old.args[i + 1 :])))


def scalar_factors(form: Form) -> Iterator[Found]:
    """A hyperparameter as a factor twice in a product of scalar arithmetic."""
    for old in _expressions(form.graph):
        if old.op == "mul":
            for factor in old.args:
                if factor.op == "name":
                    yield _scalar(form.graph, old, times(factor, old))


def terms(form: Form) -> Iterator[Found]:
    """A term of a sum twice or half as large."""
    for node in form.graph.nodes:
        for i, arg in enumerate(node.args if node.op in ("add", "sub") else ()):
            if arg.op == "scalar":
                continue
            for factor, word in ((2.0, "twice"), (0.5, "half")):
                sentence = f"{word} {form.text(arg)} in {form.text(node)}"
                yield form.at(node, sentence, sentence, partial(_scaled_term, node, i, factor), (i, factor))


def _scaled_term(node: Node, i: int, factor: float, d: Edit, args: tuple[Node, ...]) -> Node:
    return d.copy(node, tuple(d.op("mul", d.number(factor), a) if j == i else a for j, a in enumerate(args)))


def _expressions(graph: Graph) -> list[Expr]:
    """All scalar expressions of a graph, and what they are made of, once."""
    exprs = [*graph.scalars(), *(e for e, _ in graph.guards)]
    return list(dict.fromkeys(s for e in exprs for s in subexpressions(e)))


def _scalar(graph: Graph, old: Expr, new: Expr) -> Found:
    """One scalar expression for another, wherever it stands."""
    text = f"{scalar_text(new)} for {scalar_text(old)}"
    sentence = f"{scalar_text(new)} stands for {scalar_text(old)}"
    return Found(("scalar", old, new), text, sentence, partial(rebuilt, graph, scalar=replacing(old, new)))


def mistaken(form: Form) -> Iterator[Found]:
    """One array for another: at one place, in all that an output is made of, or as an output."""
    arrays = list(form.arrays())
    for node in form.graph.nodes:
        for i, arg in enumerate(node.args):
            if not _is_array(form, arg):
                continue
            for text, other in arrays:
                if text != form.text(arg) and _earlier(other, node):
                    sentence = f"{text} stands for {form.text(arg)} in {form.text(node)}"
                    yield form.at(
                        node,
                        sentence,
                        sentence,
                        lambda d, a, n=node, i=i, t=text, o=other: d.copy(
                            n, tuple(_read(d, t, o) if j == i else x for j, x in enumerate(a))
                        ),
                        i,
                    )
    for output, nodes in form.cones.items():
        for leaf in _leaves(form, output):
            for text, other in arrays:
                if text != form.text(leaf) and _earlier(other, _first_user(nodes, leaf)):
                    sentence = f"{text} stands for {form.text(leaf)} in {output}'"
                    make = lambda n=nodes, v=leaf, t=text, o=other: _everywhere(form, n, v, t, o, False)  # noqa: E731
                    yield Found(("all", output, form.keys[leaf.index], text), sentence, sentence, make)


def centred(form: Form) -> Iterator[Found]:
    """The deviation of an array from a slot in place of the array, in all that an output is made of."""
    for output in form.slots:
        for leaf in _leaves(form, output):
            if leaf.op != "input" or leaf.attribute != "g":
                continue
            for text, other in form.arrays():
                if text not in ("g", "p", output) and _earlier(other, _first_user(form.cones[output], leaf)):
                    sentence = f"g - {text} stands for g in {output}'"
                    make = lambda n=form.cones[output], v=leaf, t=text, o=other: _everywhere(form, n, v, t, o, True)  # noqa: E731
                    yield Found(("centred", output, text), sentence, sentence, make)


def _everywhere(form: Form, nodes: list[Node], leaf: Node, text: str, other: Node | None, centre: bool) -> Graph:
    """An array replaced by another one, or by its deviation from it, in some nodes."""

    def make_for(node: Node) -> Make:
        def make(d: Edit, args: tuple[Node, ...]) -> Node:
            new = []
            for old, arg in zip(node.args, args, strict=True):
                if old is leaf:
                    read = _read(d, text, other)
                    arg = d.op("sub", arg, read) if centre else read
                new.append(arg)
            return d.copy(node, tuple(new))

        return make

    return rebuilt(form.graph, {n.index: make_for(n) for n in nodes if leaf in n.args})


def outputs(form: Form) -> Iterator[Found]:
    """Another array stored as a slot."""
    for slot in form.slots:
        for text, other in form.arrays():
            if text not in ("p", slot, f"{slot}'"):
                sentence = f"{text} is stored as {slot}"
                make = lambda s=slot, t=text, o=other: rebuilt(  # noqa: E731
                    form.graph, outputs={s: lambda d, _: _read(d, t, o)}
                )
                yield Found(("stored", slot, text), sentence, sentence, make)


def _leaves(form: Form, output: str) -> list[Node]:
    """The arrays that an output's own part reads."""
    found: dict[int, Node] = {}
    for node in form.cones[output]:
        for arg in node.args:
            if _is_array(form, arg):
                found[arg.index] = arg
    return [found[i] for i in sorted(found)]


def _is_array(form: Form, node: Node) -> bool:
    """True if a node is an input, a new value, or something of elements that is read more than once."""
    if node.op == "input" or node.index in form.new:
        return node.index not in form.new or form.new[node.index] != "p"
    return node.axes == ELEMENT and len(form.users[node.index]) > 1 and not node.is_boolean


def _earlier(other: Node | None, node: Node) -> bool:
    """True if a new value is known before a node is computed."""
    return other is None or other.index < node.index


def _first_user(nodes: list[Node], leaf: Node) -> Node:
    return next(node for node in nodes if leaf in node.args)


def _read(d: Edit, text: str, other: Node | None) -> Node:
    return d.input(text) if other is None else d.new[other.index]


def signature(graph: Graph) -> tuple[tuple[str, int], ...]:
    """What a graph computes, as numbers of expressions: equal signatures mean equal graphs."""
    numbers = keys(graph)
    return tuple((name, numbers[node.index]) for name, node in graph.outputs.items())
