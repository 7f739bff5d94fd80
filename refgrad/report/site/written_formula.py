"""A method's text as mathematics, of a rule whose body is not traced: a line a statement, branches as its defaults take them."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from refgrad.arithmetic.formula import latex_cases, latex_name
from refgrad.arithmetic.operations.op import ATOM, PREFIX, PRODUCT, SUM
from refgrad.rule import Rule

#: below sums: comparisons, and what is joined by words
LOOSE = min(ATOM, PREFIX, PRODUCT, SUM) - 1
#: functions of one argument with a sign of their own
SIGNS = {
    "sqrt": r"\sqrt{%s}",
    "abs": r"\left|%s\right|",
    "absolute": r"\left|%s\right|",
    "fabs": r"\left|%s\right|",
    "floor": r"\left\lfloor %s\right\rfloor",
    "ceil": r"\left\lceil %s\right\rceil",
    "square": r"\left(%s\right)^{2}",
    "norm": r"\left\lVert %s\right\rVert",
    "transpose": r"\left(%s\right)^{\mathsf T}",
}
NAMED = {"exp", "log", "tanh", "sin", "cos", "arctan", "min", "max", "det", "sinh", "cosh", "arccos", "arcsin"}
#: what an array is made of, which a reader of mathematics does not need
SILENT = frozenset(
    {
        "asarray",
        "array",
        "float",
        "ascontiguousarray",
        "copy",
        "astype",
        "literal",
        "as_array",
        "broadcast_to",
        "list",
        "tuple",
    }
)
#: functions that fold axes, which stand below them
FOLDS = frozenset({"sum", "mean", "max", "min", "prod", "amax", "amin", "median", "any", "all"})
OPERATORS: dict[type, tuple[str, int]] = {
    ast.Add: ("+", SUM),
    ast.Sub: ("-", SUM),
    ast.Mult: (r"\,", PRODUCT),
    ast.MatMult: (r"\,", PRODUCT),
    ast.Mod: (r"\bmod", PRODUCT),
    ast.BitAnd: (r"\wedge", LOOSE),
    ast.BitOr: (r"\vee", LOOSE),
    ast.BitXor: (r"\oplus", LOOSE),
    ast.LShift: (r"\ll", LOOSE),
    ast.RShift: (r"\gg", LOOSE),
}
COMPARED: dict[type, str] = {
    ast.Eq: "=",
    ast.NotEq: r"\neq",
    ast.Lt: "<",
    ast.LtE: r"\leq",
    ast.Gt: ">",
    ast.GtE: r"\geq",
    ast.In: r"\in",
    ast.NotIn: r"\notin",
    ast.Is: "=",
    ast.IsNot: r"\neq",
}
Piece = tuple[str, int]


class Unwritten(Exception):
    """A statement or an expression that is not written as mathematics."""


def method_lines(rule: Rule, method: Callable[..., Any]) -> list[str]:
    """The lines of a method.

    Args:
        rule: whose hyperparameters decide branches.
        method: one of its methods, as its class has it.

    Returns:
        LaTeX, for an ``aligned`` block; none of a method whose text is not there or has something that is not written so.

    >>> from refgrad.gradients import ClassifierFreeGuidance
    >>> method_lines(ClassifierFreeGuidance(), ClassifierFreeGuidance.apply)[0]
    '& \\\\mathrm{difference} = \\\\mathrm{conditional} - \\\\mathrm{unconditional}'
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(method))))
        (function,) = tree.body
        assert isinstance(function, ast.FunctionDef)
        return list(_Writer(rule).block(function.body))
    except (Unwritten, OSError, TypeError, SyntaxError, ValueError, AssertionError):
        return []


class _Writer:
    """What writes the statements of a rule's method."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule

    def block(self, statements: Sequence[ast.stmt], depth: int = 0) -> Iterator[str]:
        """The lines of statements; what stands after a return is not reached."""
        for statement in statements:
            yield from self.statement(statement, depth)
            if isinstance(statement, ast.Return):
                return
            if isinstance(statement, ast.If):
                taken = self.taken(statement)
                if taken and isinstance(taken[-1], ast.Return):
                    return

    def statement(self, node: ast.stmt, depth: int) -> Iterator[str]:
        """The lines of one statement."""
        indent = r"\quad " * depth
        match node:
            case (
                ast.Expr(value=ast.Constant())
                | ast.Pass()
                | ast.Import()
                | ast.ImportFrom()
                | ast.Assert()
                | ast.Raise()
            ):
                return
            case ast.Assign(targets=targets, value=value):
                yield f"& {indent}{' = '.join(map(self.text, [*targets, value]))}"
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                yield f"& {indent}{self.text(target)} = {self.text(value)}"
            case ast.AnnAssign():
                return
            case ast.AugAssign(target=target, op=op, value=value):
                name = self.text(target)
                yield f"& {indent}{name} \\leftarrow {self.binary(op, (name, ATOM), self.piece(value))[0]}"
            case ast.Return(value=ast.Dict(keys=keys, values=values)):
                for key, value in zip(keys, values, strict=True):
                    if not isinstance(key, ast.Constant):
                        raise Unwritten
                    if not (isinstance(value, ast.Name) and value.id == key.value):
                        yield f"& {indent}{latex_name(str(key.value))} = {self.text(value)}"
            case ast.Return(value=ast.expr() as value):
                yield f"& {indent}\\text{{result}} = {self.text(value)}"
            case ast.If():
                yield from self.branch(node, depth)
            case ast.For(target=target, iter=many):
                yield f"& {indent}\\text{{for }}{self.text(target)} \\in {self.text(many)}\\text{{:}}"
                yield from self.block(node.body, depth + 1)
            case ast.While(test=test):
                yield f"& {indent}\\text{{while }}{self.text(test)}\\text{{:}}"
                yield from self.block(node.body, depth + 1)
            case ast.FunctionDef(name=name, args=given):
                told = ", ".join(latex_name(a.arg) for a in given.args)
                yield f"& {indent}\\operatorname{{{_word(name)}}}\\left({told}\\right)\\text{{ is}}"
                yield from self.block(node.body, depth + 1)
            case ast.Expr(value=value):
                yield f"& {indent}{self.text(value)}"
            case ast.Break() | ast.Continue():
                yield f"& {indent}\\text{{{type(node).__name__.lower()}}}"
            case ast.With(body=body):
                yield from self.block(body, depth)
            case ast.Try(body=body, handlers=handlers, orelse=[], finalbody=[]):
                yield from self.block(body, depth)
                for handler in handlers:
                    lines = list(self.block(handler.body, depth + 1))
                    yield from [f"& {indent}\\text{{where there is none:}}", *lines] if lines else []
            case _:
                raise Unwritten

    def branch(self, node: ast.If, depth: int) -> Iterator[str]:
        """The branch that the hyperparameters take; both, where the arrays decide."""
        taken = self.taken(node)
        if taken is not None:
            yield from self.block(taken, depth)
            return
        if all(isinstance(each, ast.Raise) for each in node.body) and not node.orelse:
            return
        indent = r"\quad " * depth
        yield f"& {indent}\\text{{if }}{self.text(node.test)}\\text{{:}}"
        yield from self.block(node.body, depth + 1)
        if node.orelse:
            yield f"& {indent}\\text{{otherwise:}}"
            yield from self.block(node.orelse, depth + 1)

    def taken(self, node: ast.If) -> list[ast.stmt] | None:
        """The branch that the hyperparameters take alone; None where they do not decide."""
        decided = self.decided(node.test)
        return None if decided is None else node.body if decided else node.orelse

    def decided(self, test: ast.expr) -> bool | None:
        """What a condition on hyperparameters alone is; None of another."""
        names = {n.id for n in ast.walk(test) if isinstance(n, ast.Name)}
        if not names or names != {"self"} or any(isinstance(n, ast.Call) for n in ast.walk(test)):
            return None
        try:
            return bool(eval(compile(ast.Expression(test), "<rule>", "eval"), {}, {"self": self.rule}))
        except Exception:
            return None

    def text(self, node: ast.expr) -> str:
        """An expression."""
        return self.piece(node)[0]

    def wrapped(self, piece: Piece, least: int) -> str:
        """An expression, in brackets if it binds less tightly than its place needs."""
        return piece[0] if piece[1] >= least else rf"\left({piece[0]}\right)"

    def piece(self, node: ast.expr) -> Piece:
        """An expression, and how tightly it binds."""
        match node:
            case ast.Name(id=name):
                return latex_name(name.strip("_")) if name.strip("_") else r"\_", ATOM
            case ast.Constant(value=value):
                return self.constant(value)
            case ast.Attribute():
                return self.attribute(node)
            case ast.BinOp(left=left, op=op, right=right):
                return self.binary(op, self.piece(left), self.piece(right))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return f"-{self.wrapped(self.piece(operand), PRODUCT)}", SUM
            case ast.UnaryOp(op=ast.Not() | ast.Invert(), operand=operand):
                return rf"\neg {self.wrapped(self.piece(operand), ATOM)}", PREFIX
            case ast.UnaryOp(operand=operand):
                return self.piece(operand)
            case ast.Compare(left=left, ops=ops, comparators=others):
                parts = [self.wrapped(self.piece(left), SUM)]
                for sign, other in zip(ops, others, strict=True):
                    parts += [COMPARED[type(sign)], self.wrapped(self.piece(other), SUM)]
                return " ".join(parts), LOOSE
            case ast.BoolOp(op=op, values=values):
                word = r"\text{ and }" if isinstance(op, ast.And) else r"\text{ or }"
                return word.join(self.wrapped(self.piece(v), LOOSE) for v in values), LOOSE - 1
            case ast.IfExp(test=test, body=body, orelse=orelse):
                decided = self.decided(test)
                if decided is not None:
                    return self.piece(body if decided else orelse)
                return self.cases(self.text(test), self.text(body), self.text(orelse))
            case ast.Call():
                return self.call(node)
            case ast.Subscript(value=value, slice=index):
                return self.indexed(self.piece(value), index)
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                return rf"\left({', '.join(map(self.text, elements))}\right)", ATOM
            case ast.ListComp(elt=element, generators=[each]) | ast.GeneratorExp(elt=element, generators=[each]):
                over = f"{self.text(each.target)} \\in {self.text(each.iter)}"
                return rf"\left\{{{self.text(element)} : {over}\right\}}", ATOM
            case ast.DictComp(key=key, value=value, generators=[each]):
                over = f"{self.text(each.target)} \\in {self.text(each.iter)}"
                return rf"\left\{{{self.text(key)}: {self.text(value)} : {over}\right\}}", ATOM
            case ast.Lambda(args=given, body=body):
                return rf"{', '.join(latex_name(a.arg) for a in given.args)} \mapsto {self.text(body)}", LOOSE - 1
            case ast.Dict(keys=keys, values=values):
                pairs = [f"{self.text(k)}: {self.text(v)}" for k, v in zip(keys, values, strict=True) if k is not None]
                return rf"\left\{{{', '.join(pairs)}\right\}}", ATOM
            case ast.Starred(value=value):
                return self.piece(value)
        raise Unwritten

    @staticmethod
    def constant(value: Any) -> Piece:
        """A number, or a word."""
        if isinstance(value, bool) or value is None:
            return rf"\text{{{str(value).lower()}}}", ATOM
        if isinstance(value, int | float):
            digits, _, power = f"{value:g}".partition("e")
            if power:
                return (f"10^{{{int(power)}}}" if digits == "1" else rf"{digits}\cdot 10^{{{int(power)}}}"), PRODUCT
            return digits, ATOM if value >= 0 else SUM
        if isinstance(value, str):
            return rf"\text{{{value.replace('_', ' ')}}}", ATOM
        raise Unwritten

    def attribute(self, node: ast.Attribute) -> Piece:
        """A hyperparameter, a transposed matrix, or what an array has."""
        match node:
            case ast.Attribute(value=ast.Name(id="self"), attr=name):
                return latex_name(name.strip("_")), ATOM
            case ast.Attribute(value=ast.Name(id="np" | "math"), attr="inf"):
                return r"\infty", ATOM
            case ast.Attribute(value=ast.Name(id="np" | "math"), attr="pi"):
                return r"\pi", ATOM
            case ast.Attribute(value=ast.Name(id="np" | "math" | "numpy"), attr=name):
                return rf"\text{{{name.replace('_', ' ')}}}", ATOM
            case ast.Attribute(value=value, attr="T" | "mT"):
                return f"{self.wrapped(self.piece(value), ATOM)}^{{\\mathsf T}}", PREFIX
            case ast.Attribute(value=value, attr=name):
                return rf"\operatorname{{{_word(name)}}}\left({self.text(value)}\right)", ATOM
        raise Unwritten

    def binary(self, op: ast.operator, left: Piece, right: Piece) -> Piece:
        """An operation on two expressions."""
        match op:
            case ast.Div():
                return rf"\frac{{{left[0]}}}{{{right[0]}}}", ATOM
            case ast.FloorDiv():
                return rf"\left\lfloor\frac{{{left[0]}}}{{{right[0]}}}\right\rfloor", ATOM
            case ast.Pow():
                return f"{self.wrapped(left, ATOM)}^{{{right[0]}}}", PREFIX
        sign, binds = OPERATORS[type(op)]
        tighter = binds + 1 if isinstance(op, ast.Sub) else binds
        if isinstance(op, ast.Mult | ast.MatMult):
            # two numbers side by side would be one
            sign = r"\cdot" if right[0][:1].isdigit() else sign
            return f"{self.wrapped(left, PREFIX)} {sign} {self.wrapped(right, PREFIX)}", binds
        return f"{self.wrapped(left, binds)} {sign} {self.wrapped(right, tighter)}", binds

    @staticmethod
    def cases(test: str, yes: str, no: str) -> Piece:
        """One of two, by a condition."""
        return latex_cases(test, yes, no), ATOM

    def call(self, node: ast.Call) -> Piece:
        """A function of arguments; a method is one of its object."""
        first: list[ast.expr] = []
        match node.func:
            case ast.Name(id=name):
                pass
            case ast.Attribute(value=ast.Name(id="self" | "np" | "math"), attr=name):
                pass
            case ast.Attribute(value=ast.Attribute(value=ast.Name(id="np"), attr="linalg" | "fft"), attr=name):
                pass
            case ast.Attribute(value=value, attr=name):
                # of a module of the package, or of an array
                modules = isinstance(value, ast.Name) and value.id.islower() and inspect.ismodule(self.value(value.id))
                first = [] if modules else [value]
            case other:
                return (
                    rf"{self.wrapped(self.piece(other), ATOM)}\left({', '.join(map(self.text, node.args))}\right)",
                    ATOM,
                )
        given = [*first, *node.args]
        over = next((k.value for k in node.keywords if k.arg == "axis"), None)
        if name in FOLDS and len(given) == 2 and not isinstance(node.func, ast.Name):
            over, given = given[1], given[:1]
        return self.function(name.strip("_"), given, over)

    def value(self, name: str) -> Any:
        """What a name is where the rule is written."""
        return vars(inspect.getmodule(type(self.rule))).get(name)

    def function(self, name: str, given: Sequence[ast.expr], over: ast.expr | None) -> Piece:
        """A named function."""
        if name in SILENT and given:
            return self.piece(given[0])
        if name == "where" and len(given) == 3:
            return self.cases(*map(self.text, given))
        if name in ("power", "float_power") and len(given) == 2:
            return self.binary(ast.Pow(), *map(self.piece, given))
        if name in ("dot", "matmul", "multiply") and len(given) == 2:
            return self.binary(ast.Mult(), *map(self.piece, given))
        if name == "solve" and len(given) == 2:
            inverse = f"{self.wrapped(self.piece(given[0]), ATOM)}^{{-1}}"
            return self.binary(ast.MatMult(), (inverse, PREFIX), self.piece(given[1]))
        if name in SIGNS and len(given) == 1:
            return SIGNS[name] % self.text(given[0]), ATOM
        axis = "" if over is None else f"_{{{self.axis(over)}}}"
        if name == "sum" and len(given) == 1:
            return rf"\sum{axis} {self.wrapped(self.piece(given[0]), PRODUCT)}", PRODUCT
        if name == "prod" and len(given) == 1:
            return rf"\prod{axis} {self.wrapped(self.piece(given[0]), PRODUCT)}", PRODUCT
        word = rf"\{name}" if name in NAMED else rf"\operatorname{{{_word(name)}}}"
        return rf"{word}{axis}\left({', '.join(map(self.text, given))}\right)", ATOM

    def axis(self, over: ast.expr) -> str:
        """The axis that a function folds, as a subscript."""
        return rf"\text{{axis }}{self.text(over)}"

    def indexed(self, of: Piece, index: ast.expr) -> Piece:
        """A part of an array; an axis that is added for broadcasting is not written."""
        parts = index.elts if isinstance(index, ast.Tuple) else [index]
        told = [self.part(each) for each in parts]
        if all(each in (":", "") for each in told):
            return of
        return f"{{{self.wrapped(of, ATOM)}}}_{{{', '.join(filter(None, told))}}}", ATOM

    def part(self, index: ast.expr) -> str:
        """An index; empty where it adds an axis."""
        match index:
            case ast.Constant(value=None) | ast.Attribute(attr="newaxis"):
                return ""
            case ast.Constant(value=value) if value is Ellipsis:
                return ":"
            case ast.Slice(lower=lower, upper=upper, step=step):
                ends = [self.text(end) if end is not None else "" for end in (lower, upper)]
                return ":".join(ends + ([self.text(step)] if step is not None else []))
        return self.text(index)


def _word(name: str) -> str:
    return name.strip("_").replace("_", r"\_")
