"""A rule's update as formulas, in plain text or LaTeX, from the graph that its kernels are made from.

Each new value gets a line; an expression that is used more than once, and a reduction, gets a letter; a slot corrected
for its bias gets a hat. Factors of a product are written in a row: the order of multiplication is not shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from string import ascii_lowercase
from typing import NamedTuple, Protocol

from refgrad.arithmetic.graph import Graph, Node, walk
from refgrad.arithmetic.operations import ON_NUMBERS, OPERATIONS, REDUCTIONS
from refgrad.arithmetic.operations.op import ATOM, PREFIX, PRODUCT, SUM, Symbol
from refgrad.arithmetic.scalar_math import Expr, names_in
from refgrad.axes import ELEMENT, left_by
from refgrad.rule import Rule

#: characters of one expression, beyond which it is no help to a reader
LONGEST = 2000
#: a factor that is not written
ONE = "1"
#: characters of a number's text beyond which it gets a line of its own where it is used twice, and where it is used at all
SHARED_NUMBER, LONG_NUMBER = 24, 40
#: operands of an operation on matrices beyond which it gets a line of its own
FEW_OPERANDS = 2


class Piece(NamedTuple):
    """A rendered expression and how tightly it binds."""

    text: str
    binds: int


@dataclass(frozen=True)
class Notation:
    """How the two languages write what they do not have in common."""

    name: Callable[[str], str]
    hat: Callable[[str], str]
    divide: Callable[[Piece, Piece], Piece]
    call: Callable[[str, list[str], Symbol], str]
    power: Callable[[str, str], str]
    cases: Callable[[str, str, str], str]
    sign: Callable[[Symbol], str]
    words: Callable[[str], str]
    brackets: tuple[str, str]

    def wrapped(self, piece: Piece, least: int) -> str:
        """The text, in brackets if it binds less tightly than its place asks for."""
        return piece.text if piece.binds >= least else f"{self.brackets[0]}{piece.text}{self.brackets[1]}"


class Traced(Protocol):
    """A rule and its graph, as a plan has them."""

    @property
    def graph(self) -> Graph:
        """The graph of its body."""

    @property
    def rule(self) -> Rule:
        """The rule."""


class Guarded(Traced, Protocol):
    """The same with the names of the numbers that a run hands it, as a plan has them."""

    @property
    def free(self) -> tuple[str, ...]:
        """The names: ``t``, scalar slots, extra inputs, lengths of axes."""


def guarded_lines(plan: Guarded) -> list[str]:
    """The plan's formulas, as `text_lines`, and the conditions on ``t`` and other numbers under which they hold."""
    free = {name for name in plan.free if not name.endswith("_length")}
    guards = []
    for expr, taken in plan.graph.guards:
        text = scalar_text(expr)
        if free & names_in(expr):
            guards.append(f"as long as {text}" if taken else f"as long as not {text}")
    return [*text_lines(plan), *guards]


def text_lines(plan: Traced) -> list[str]:
    """The update in plain text, one assignment a line, in an order in which it can be computed."""
    return [f"{left} = {right}" for left, right in _Formula(plan.graph, TEXT, plan.rule.kind).assignments()]


def latex(plan: Traced) -> str:
    """The update as one LaTeX ``aligned`` block."""
    formula = _Formula(plan.graph, LATEX, plan.rule.kind, parts=True)
    lines = [f"{left} &= {right}" for left, right in formula.assignments()]
    return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"


def scalar_text(expr: Expr) -> str:
    """A scalar expression in plain text."""
    return _scalar(expr, TEXT).text


def expression(graph: Graph, node: Node) -> str:
    """One node in plain text, in terms of the graph's inputs, its outputs, and the outputs corrected for their bias.

    What would be longer than `LONGEST` characters, such as what is used again and again in itself, is written as dots.
    """
    new = {other.index: name for name, other in graph.outputs.items() if other.args}
    names = {index: f"{name}'" for index, name in new.items()}
    for other in graph.nodes:
        corrected = _Formula._corrected(other, new)
        if corrected is not None:
            names[other.index] = TEXT.hat(corrected)
    return _Formula(graph, TEXT, names=names, rendered={}).render(node).text


@dataclass
class _Formula:
    graph: Graph
    notation: Notation
    #: the rule's kind: an optimizer's results are the next values of what it was handed, and are primed
    kind: str = "optimizer"
    names: dict[int, str] = field(default_factory=dict)
    #: pieces and factors that were written already; none where names are still to come
    rendered: dict[int, Piece] | None = None
    factors: dict[int, Counter[Piece]] = field(default_factory=dict)
    #: whether long numbers, and operations of many operands, get lines of their own, so that a line is short
    parts: bool = False
    numbers: dict[Expr, str] = field(default_factory=dict)

    def assignments(self) -> Iterator[tuple[str, str]]:
        """Pairs of a left and a right side."""
        new = {node.index: name for name, node in self.graph.outputs.items() if node.args}
        letters = self._letters()
        if self.parts:
            yield from self._long_numbers(letters)
        for node in self._named(set(new)):
            right = self.render(node).text
            if node.index in new:
                left = self._result(new[node.index])
            else:
                corrected = self._corrected(node, new)
                left = self.notation.hat(corrected) if corrected else self.notation.name(next(letters))
            self.names[node.index] = left
            yield left, right
        for name, node in self.graph.outputs.items():
            # an output that is another one as well, or an input as it was
            if node.index not in new or new[node.index] != name:
                yield self._result(name), self.render(node).text
        for name, expr in self.graph.scalar_outputs.items():
            if self.numbers.get(expr) != self._result(name):
                yield self._result(name), self._number(expr).text

    def _number(self, expr: Expr) -> Piece:
        return _scalar(expr, self.notation, self.numbers)

    def _long_numbers(self, letters: Iterator[str]) -> Iterator[tuple[str, str]]:
        """Lines of numbers that are long, or longer than a few names and used again; a number that is a result has its name."""
        results = {expr: self._result(name) for name, expr in self.graph.scalar_outputs.items()}
        nodes = {node.index: node for root in self.graph.outputs.values() for node in walk(root)}
        roots = [node.attribute for node in nodes.values() if node.op == "scalar"]
        uses: Counter[Expr] = Counter([*roots, *results])
        ordered = dict.fromkeys(part for root in uses for part in _parts(root))
        uses.update(arg for part in ordered for arg in part.args)
        for expr in ordered:
            length = len(_scalar(expr, TEXT, self.numbers).text)
            if (uses[expr] > 1 and (expr in results or length > SHARED_NUMBER)) or length > LONG_NUMBER:
                left, right = results.get(expr) or self.notation.name(next(letters)), self._number(expr).text
                self.numbers[expr] = left
                yield left, right

    def _result(self, name: str) -> str:
        """What a result is called."""
        return self.notation.name(name) + ("'" if self.kind == "optimizer" else "")

    @staticmethod
    def _corrected(node: Node, new: Mapping[int, str]) -> str | None:
        """The slot that a node corrects for its bias: a new slot's value over a scalar."""
        if node.op == "div" and node.args[1].op == "scalar" and len(node.args[1].attribute.args) > 1:
            return new.get(node.args[0].index)
        return None

    def _letters(self) -> Iterator[str]:
        """Names for subexpressions, none of which the rule uses itself: for an array, a result or a hyperparameter."""
        taken = {*self.graph.inputs(), *self.graph.outputs, *self.graph.scalar_outputs, "e", "l", "o", "t"}
        numbers = [*self.graph.scalars(), *self.graph.scalar_outputs.values(), *(e for e, _ in self.graph.guards)]
        taken = taken.union(*map(names_in, numbers))
        free = (*ascii_lowercase, *(f"x{i}" for i in range(1, len(self.graph.nodes) + len(taken) + 1)))
        yield from (name for name in free if name not in taken)

    def _named(self, outputs: set[int]) -> list[Node]:
        """The nodes that get a line, in order of computation."""
        roots = {node.index: node for node in self.graph.outputs.values()}
        uses: Counter[int] = Counter()
        nodes = {node.index: node for root in roots.values() for node in walk(root)}
        for node in nodes.values():
            uses.update(arg.index for arg in node.args)
        # a square reads its operand twice but writes it once
        for node in nodes.values():
            if node.op == "mul" and node.args[0] is node.args[1] and uses[node.args[0].index] == 2:
                uses[node.args[0].index] = 1
        new = {node.index: name for name, node in self.graph.outputs.items()}
        chosen = [
            n
            for n in nodes.values()
            if n.args
            and (
                n.index in outputs
                or uses[n.index] > 1
                or n.op in REDUCTIONS
                or self._corrected(n, new)
                or (self.parts and len(n.args) > FEW_OPERANDS and OPERATIONS[n.op].kind == "matrix")
            )
        ]
        return sorted(chosen, key=lambda n: n.index)

    def render(self, node: Node) -> Piece:
        """A node as text; nodes with a name are shown by it."""
        if self.rendered is None:
            return self._piece(node)
        if node.index not in self.rendered:
            piece = self._piece(node)
            self.rendered[node.index] = piece if len(piece.text) <= LONGEST else Piece("...", ATOM)
        return self.rendered[node.index]

    def _piece(self, node: Node) -> Piece:
        n = self.notation
        if node.index in self.names:
            return Piece(self.names[node.index], ATOM)
        if node.op == "input":
            return Piece(n.name(node.attribute), ATOM)
        if node.op == "scalar":
            return self._number(node.attribute)
        if node.op == "mul":
            return self._product(node)
        op = OPERATIONS[node.op]
        if op.kind == "reduction":
            text = n.call(node.op, [self.render(node.args[0]).text], op.symbol)
            if node.attribute == ELEMENT:
                return Piece(text, ATOM)
            return Piece(f"{text}{n.words(f' over each {left_by(node.attribute)}')}", PREFIX)
        args = [self.render(a) for a in node.args]
        name = node.attribute.format if node.op == "round" else node.op
        if op.kind == "matrix":
            name, args = _with_attribute(name, args, node.attribute, n)
        return _operation(name, args, op.symbol, n)

    def _product(self, node: Node) -> Piece:
        factors = self._factors(node)
        told = [(piece, count) for piece, count in factors.items() if piece.text != ONE] or [*factors.items()][:1]
        if len(told) == 1 and (told[0][1] == 1 or told[0][0].text == ONE):
            return told[0][0]
        parts = [_times(piece, count, self.notation) for piece, count in told]
        return Piece(self.notation.sign(OPERATIONS["mul"].symbol).join(parts), PRODUCT if len(parts) > 1 else ATOM)

    def _factors(self, node: Node) -> Counter[Piece]:
        if node.index in self.factors:
            return self.factors[node.index]
        found: Counter[Piece] = Counter()
        for arg in node.args:
            if arg.op == "mul" and arg.index not in self.names:
                found.update(self._factors(arg))
            else:
                found[self.render(arg)] += 1
        if self.rendered is not None:
            self.factors[node.index] = found
        return found


def _times(piece: Piece, count: int, n: Notation) -> str:
    if count > 1:
        return n.power(n.wrapped(piece, ATOM), str(count))
    return n.wrapped(piece, PREFIX)


def _with_attribute(name: str, args: list[Piece], attribute: object, n: Notation) -> tuple[str, list[Piece]]:
    """An operation on matrices with what it is told besides: a side, an order, which of its factors are transposed."""
    match attribute:
        case str():
            return f"{attribute}_{name}", args
        case int():
            return name, [*args, Piece(str(attribute), ATOM)]
        case (bool(), bool()):
            factors = zip(args, attribute, strict=True)
            return name, [Piece(n.power(n.wrapped(a, ATOM), "T"), ATOM) if flipped else a for a, flipped in factors]
    return name, args


def _operation(name: str, args: list[Piece], symbol: Symbol, n: Notation) -> Piece:
    """One operation, of arrays or of numbers, on rendered operands."""
    match symbol.shape:
        case "infix":
            left, right = n.wrapped(args[0], SUM), n.wrapped(args[1], symbol.right)
            return Piece(f"{left} {n.sign(symbol)} {right}", symbol.binds)
        case "product":
            told = [a for a in args if a.text != ONE] or args[:1]
            return (
                told[0]
                if len(told) == 1
                else Piece(n.sign(symbol).join(n.wrapped(a, PREFIX) for a in told), symbol.binds)
            )
        case "quotient":
            return n.divide(*args)
        case "prefix":
            return Piece(f"{n.sign(symbol)}{n.wrapped(args[0], PRODUCT)}", symbol.binds)
        case "power":
            return Piece(n.power(n.wrapped(args[0], ATOM), args[1].text), ATOM)
        case "cases":
            return Piece(n.cases(*(a.text for a in args)), symbol.binds)
    return Piece(n.call(name, [a.text for a in args], symbol), ATOM)


def _scalar(expr: Expr, n: Notation, known: Mapping[Expr, str] = {}) -> Piece:
    """A number's text; what is known by a name is shown by it."""
    if expr in known:
        return Piece(known[expr], ATOM)
    if expr.op == "name":
        return Piece(n.name(expr.args[0]), ATOM)
    if expr.op == "const":
        return Piece(f"{expr.args[0]:g}", ATOM if expr.args[0] >= 0 else SUM)
    symbol = ON_NUMBERS[expr.op].symbol
    return _operation(expr.op, [_scalar(a, n, known) for a in expr.args], symbol, n)


def _parts(expr: Expr) -> Iterator[Expr]:
    """What a number is computed from, in an order in which it can be, and the number itself; no names and constants."""
    if expr.op not in ("name", "const"):
        for arg in expr.args:
            yield from _parts(arg)
        yield expr


def _text_divide(above: Piece, below: Piece) -> Piece:
    return Piece(f"{TEXT.wrapped(above, PRODUCT)} / {TEXT.wrapped(below, PREFIX)}", PRODUCT)


def _text_power(base: str, exponent: str) -> str:
    return f"{base}^{exponent}" if exponent.replace(".", "").replace("_", "").isalnum() else f"{base}^({exponent})"


TEXT = Notation(
    name=str,
    hat=lambda name: f"{name}_hat",
    divide=_text_divide,
    call=lambda name, args, symbol: f"{name}({', '.join(args)})",
    power=_text_power,
    cases=lambda test, yes, no: f"{yes} if {test} else {no}",
    sign=lambda symbol: symbol.text,
    words=str,
    brackets=("(", ")"),
)

GREEK = ("alpha", "beta", "gamma", "delta", "epsilon", "eta", "lambda", "mu", "nu", "rho", "tau")
SYMBOLS = {"lr": r"\eta", "eps": r"\epsilon", "weight_decay": r"\lambda", "momentum": r"\mu", "p": r"\theta"}


def latex_name(name: str) -> str:
    """A name of a rule's, as mathematics: a Greek letter, a letter with an index, or a word.

    >>> latex_name("beta1"), latex_name("row_max")
    ('\\\\beta_{1}', '\\\\mathrm{row\\\\_max}')
    """
    if name in SYMBOLS:
        return SYMBOLS[name]
    stem = name.rstrip("0123456789")
    number = name[len(stem) :]
    subscript = f"_{{{number}}}" if number else ""
    if stem in GREEK:
        return f"\\{stem}{subscript}"
    if len(stem) == 1:
        return f"{stem}{subscript}"
    escaped = stem.replace("_", r"\_")
    return f"\\mathrm{{{escaped}}}{subscript}"


def latex_cases(test: str, yes: str, no: str) -> str:
    """One of two by a condition; where the other one is such cases itself, each of them is one more case.

    >>> latex_cases("a", "x", latex_cases("b", "y", "z"))
    '\\\\begin{cases}x & a \\\\\\\\ y & b \\\\\\\\ z & \\\\text{otherwise}\\\\end{cases}'
    """
    first, last = r"\begin{cases}", r"\end{cases}"
    whole = no.startswith(first) and no.find(last) == len(no) - len(last)
    others = no[len(first) : -len(last)] if whole else rf"{no} & \text{{otherwise}}"
    return rf"{first}{yes} & {test} \\ {others}{last}"


def _latex_call(name: str, args: list[str], symbol: Symbol) -> str:
    if symbol.latex:
        return symbol.latex % ", ".join(args)
    word = name.replace("_", r"\_")
    return rf"\operatorname{{{word}}}\left({', '.join(_repeats(args))}\right)"


def _repeats(args: list[str]) -> list[str]:
    """Operands of which a group at the end that is repeated is written once, with how often."""
    for length in range(1, (len(args) - 1) // 2 + 1):
        group = args[-length:]
        times = next(n for n in range(1, len(args)) if args[-length * (n + 1) : -length * n] != group)
        if times > 2:
            return [*args[: -length * times], rf"\left({', '.join(group)}\right) \times {times}"]
    return args


LATEX = Notation(
    name=latex_name,
    hat=lambda name: f"\\hat{{{latex_name(name)}}}",
    divide=lambda above, below: Piece(f"\\frac{{{above.text}}}{{{below.text}}}", ATOM),
    call=_latex_call,
    power=lambda base, exponent: f"{base}^{{{exponent}}}",
    cases=latex_cases,
    sign=lambda symbol: symbol.latex,
    words=lambda words: rf"\text{{{words}}}",
    brackets=(r"\left(", r"\right)"),
)
