"""Mutants of a rule that has no graph: one operation of its text, wherever that is run, replaced by another."""

from __future__ import annotations

import ast
import contextlib
import inspect
import itertools
import linecache
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Protocol

import numpy as np

from refgrad.rule import Rule, is_own

#: operations that stand for one another; "first" and "second" are the operands
REPLACEMENTS: Mapping[str, tuple[str, ...]] = {
    "add": ("sub", "first", "second"),
    "sub": ("add", "first", "second"),
    "mul": ("div", "first", "second"),
    "div": ("mul", "first"),
    "maximum": ("minimum", "first", "second"),
    "minimum": ("maximum", "first", "second"),
    "fmin": ("maximum", "first", "second"),
    "power": ("first",),
    **dict.fromkeys(("sqrt", "exp", "log", "log1p", "square", "abs", "neg"), ("first",)),
    "lt": ("le", "gt"),
    "le": ("lt", "ge"),
    "gt": ("ge", "lt"),
    "ge": ("gt", "le"),
    "eq": ("ne",),
    "where": ("exchanged",),
    "sum": ("mean", "max"),
    "mean": ("sum", "max"),
    "max": ("min", "sum"),
    "min": ("max", "sum"),
    "var": ("another divisor",),
    "percentile": ("the other end",),
    "argsort": ("reversed",),
    "argmax": ("argmin",),
    "cholesky": ("transposed",),
}
#: how a number keeps another from being too small: by being added, or by being the least that it may be
BOUNDED_BELOW: Mapping[str, str] = {"add": "maximum", "maximum": "add"}
#: operations of which twice the result is tried, and the result with the other sign
SCALED = frozenset(
    {"add", "sub", "mul", "div", "sqrt", "exp", "log", "log1p", "sum", "mean", "var", "matmul", "solve", "cholesky"}
)
SCALED |= {"max", "min"}


class Run(Protocol):
    """One run of a rule's body, on arrays of its own."""

    def unchanged(self, op: str, *args: Any, **how: Any) -> Any:
        """One operation by name, as the rule's text says."""

    def array(self, values: Any) -> Any:
        """An array of this run."""

    def operand(self, value: Any) -> Any:
        """The numbers of an operand."""


#: what an operation is said to lack where one of its operands stands for it
WITHOUT: Mapping[str, str] = {"add": "term", "sub": "term", "mul": "factor", "div": "divisor"}
#: what else stands for an operation, in words
SAID: Mapping[str, str] = {
    "double": "{op} is taken twice",
    "minus": "{op} has the other sign",
    "number twice": "the number is taken twice",
    "number halved": "the number is halved",
    "over the other axis": "{op} is taken over the other axis",
    "exchanged": "the sides are exchanged",
    "another divisor": "the divisor is the other one",
    "the other end": "the other end is taken",
    "reversed": "the order is reversed",
    "transposed": "{op} is transposed",
    "outside the root": "the number is added beside the root",
    "under the root": "the number is added under the root",
}
#: how much of a piece of text a sentence shows
LONG = 72


@dataclass(frozen=True)
class Place:
    """One operation of a rule's text: its file, instruction and line, the piece of text, and the operation.

    Of an operation of a gradient, ``piece`` is how it is written there, ``derived_from`` the piece of the rule's text that it
    is the derivative of, and ``step`` where in the derivative it stands.
    """

    file: str
    instruction: int
    line: int
    piece: str
    op: str
    derived_from: str = ""
    step: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class BodyMutation:
    """One operation of a rule's text, and what stands for it."""

    place: Place
    by: str

    @property
    def name(self) -> str:
        """The alteration, and the piece of the text that it is made in."""
        return f"{self.by} for {self.place.op} in {self.place.piece}{self._derived}"

    @property
    def words(self) -> str:
        """What is altered, shorter, in the words of the text."""
        return described(self.by, self.place.op, self.place.piece).removeprefix("there is ") + self._derived

    @property
    def sentence(self) -> str:
        """What is altered, and where."""
        altered = described(self.by, self.place.op, self.place.piece)
        if self.place.derived_from:
            return f"{altered}{self._derived}, line {self.place.line} of {Path(self.place.file).name}"
        return (
            f"{altered} in `{_short(self.place.piece, LONG)}`, line {self.place.line} of {Path(self.place.file).name}"
        )

    @property
    def _derived(self) -> str:
        """What the operation is the derivative of, in words."""
        return f" in the gradient of `{_short(self.place.derived_from, LONG)}`" if self.place.derived_from else ""


def described(by: str, op: str, piece: str) -> str:
    """What an operation of a text is where something else stands for it.

    Args:
        by: one of `replacements`.
        op: the operation.
        piece: its text, as far as that is known.

    >>> described("first", "mul", "np.sqrt(v) * weight")
    'there is no factor `weight`'
    >>> described("sum", "mean", "np.mean(x)")
    'sum stands for mean'
    """
    operands = _operands(piece)
    if by in ("first", "second") and op in WITHOUT and len(operands) == 2:
        return f"there is no {WITHOUT[op]} `{_short(operands[by == 'first'])}`"
    if by in ("first", "second") and len(operands) > (by == "second"):
        return f"`{_short(operands[by == 'second'])}` stands for {op}"
    return SAID[by].format(op=op) if by in SAID else f"{by} stands for {op}"


def _short(text: str, most: int = 24) -> str:
    """A text, or its beginning."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _operands(piece: str) -> list[str]:
    """The texts of the operands of a piece of text; none where it is no whole expression."""
    try:
        node = ast.parse(piece, mode="eval").body
    except (SyntaxError, ValueError):
        return []
    if isinstance(node, ast.BinOp):
        return [ast.unparse(node.left), ast.unparse(node.right)]
    if isinstance(node, ast.UnaryOp):
        return [ast.unparse(node.operand)]
    return [ast.unparse(arg) for arg in node.args] if isinstance(node, ast.Call) else []


def texts_of(rule: Rule) -> tuple[str, ...]:
    """Where the texts of a rule stand: the folder of one of refgrad's own, or the files of the classes that a user wrote."""
    if is_own(type(rule)):
        return (str(Path(inspect.getfile(type(rule))).parent),)
    written = vars(type(rule)).get("function")  # of a formula, wherever it stands
    classes = [cls for cls in type(rule).__mro__ if not cls.__module__.startswith(("refgrad.", "builtins"))]
    methods = [inspect.unwrap(written)] if written else []
    methods += [
        inspect.unwrap(v) for cls in classes for n, v in vars(cls).items() if callable(v) and not n.startswith("__")
    ]
    return tuple(sorted({method.__code__.co_filename for method in methods if hasattr(method, "__code__")}))


@dataclass(frozen=True)
class Origin:
    """The place in a rule's text of an operation that a gradient is taken of."""

    code: CodeType
    instruction: int
    line: int

    @classmethod
    def here(cls, texts: tuple[str, ...]) -> Origin | None:
        """The place that asks for the operation that is run; None if that is in none of these texts."""
        frame = _asking(texts)
        return None if frame is None else cls(frame.f_code, frame.f_lasti, frame.f_lineno)

    def place(self, op: str, derivative: FrameType) -> Place:
        """The place of an operation of its derivative."""
        step, file = (derivative.f_lineno, derivative.f_lasti), self.code.co_filename
        text = _piece_of(self.code, self.instruction, self.line)
        return Place(file, self.instruction, self.line, _piece(derivative), op, text, step)


_DERIVED_OF: ContextVar[Origin | None] = ContextVar("_DERIVED_OF", default=None)
#: where derivatives are written
_DERIVATIVES = tuple(str(Path(__file__).with_name(name)) for name in ("adjoints.py", "reverse.py"))


@contextlib.contextmanager
def derived_of(origin: Origin | None) -> Iterator[None]:
    """Operations that are run within are of the derivative of this one."""
    token = _DERIVED_OF.set(origin)
    try:
        yield
    finally:
        _DERIVED_OF.reset(token)


def _asking(texts: tuple[str, ...]) -> FrameType | None:
    """The innermost frame that runs one of some texts."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and not frame.f_code.co_filename.startswith(texts):
        frame = frame.f_back
    return frame


def place_of(op: str, texts: tuple[str, ...]) -> Place:
    """The place in a rule's text that asks for the operation that is about to be run, or of which it is the derivative.

    Args:
        op: the operation.
        texts: where the rule's texts stand, as `texts_of` gives them.
    """
    origin = _DERIVED_OF.get()
    if origin is not None and (frame := _asking(_DERIVATIVES)) is not None:
        return origin.place(op, frame)
    frame = _asking(texts)
    if frame is None:  # what a gradient begins with, or ends
        return Place("", 0, 0, "", op)
    return Place(frame.f_code.co_filename, frame.f_lasti, frame.f_lineno, _piece(frame), op)


def _piece(frame: FrameType) -> str:
    """The text of the operation that a frame is at."""
    return _piece_of(frame.f_code, frame.f_lasti, frame.f_lineno)


def _piece_of(code: CodeType, instruction: int, number: int) -> str:
    """The text of an instruction, in a line of a number."""
    line, last, start, end = next(itertools.islice(code.co_positions(), instruction // 2, None))
    text = linecache.getline(code.co_filename, line or number)
    return text[start:end].strip() if line == last else text[start:].strip()


def replacements(op: str, args: Sequence[Any]) -> Iterator[str]:
    """What may stand for an operation on some operands."""
    yield from REPLACEMENTS.get(op, ())
    if op in SCALED:
        yield from ("double", "minus")
    if op not in ("where", "mul", "div", "squeeze") and len(args) == 2 and any(_is_number(a) and a for a in args):
        yield "number twice"
        if op in BOUNDED_BELOW:
            yield BOUNDED_BELOW[op]


def _is_number(operand: Any) -> bool:
    """True of a number of Python's; a scalar that was computed of arrays is none, though NumPy's float64 is a float as well."""
    return isinstance(operand, int | float) and not isinstance(operand, np.generic)


def replaced(run: Run, by: str, op: str, args: Sequence[Any], how: Mapping[str, Any]) -> Any:
    """The result of an operation for which something else stands.

    Args:
        run: the run that does the operation.
        by: one of `replacements`.
        op, args, how: the operation, its operands, and its keywords.
    """
    if by == "number twice":
        return run.unchanged(op, *(2 * a if _is_number(a) else a for a in args), **how)
    if by == "exchanged":
        return run.unchanged(op, args[0], args[2], args[1])
    if by == "another divisor":
        return run.unchanged(op, *args, **{**how, "ddof": 1 - how.get("ddof", 0)})
    if by == "the other end":
        return run.unchanged(op, args[0], 100 - args[1], **how)
    if by not in ("first", "second", "double", "minus", "reversed", "transposed"):
        return run.unchanged(by, *args, **how)
    found = run.unchanged(op, *args, **how)
    if by in ("first", "second"):
        return run.array(np.broadcast_to(run.operand(args[by == "second"]), found.shape))
    if by == "reversed":
        return run.array(run.operand(found)[::-1])
    if by == "transposed":
        return run.array(np.swapaxes(run.operand(found), -1, -2))
    return run.array(2 * run.operand(found) if by == "double" else -run.operand(found))
