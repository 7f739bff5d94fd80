"""The operations that choose: comparisons, truth values, the larger and the smaller of two, signs, whole numbers."""

from __future__ import annotations

import operator
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np

from refgrad.arithmetic import decisions
from refgrad.arithmetic import running_error as bounds
from refgrad.arithmetic.operations import scalar_bounds
from refgrad.arithmetic.operations.op import COMPARE, SUM, OnNumbers, Op, Symbol, Writer


def _comparison(name: str, compare: Callable[[Any, Any], Any], ufunc: np.ufunc, sign: str, text: str, latex: str) -> Op:
    return Op(
        name,
        2,
        numpy=ufunc,
        exact=lambda m, a, b: compare(a, b),
        decide=partial(decisions.compare, ufunc),
        outcomes=2,
        write=lambda w, a, b: f"{a} {sign} {b}",
        ufuncs=(ufunc,),
        operator=name,
        boolean=True,
        scalar=OnNumbers(name, compare, scalar_bounds.comparison(compare), (ufunc,), sign, compares=True),
        symbol=Symbol("infix", text, latex, COMPARE, SUM),
    )


COMPARISONS = (
    _comparison("lt", operator.lt, np.less, "<", "<", "<"),
    _comparison("le", operator.le, np.less_equal, "<=", "<=", r"\le"),
    _comparison("gt", operator.gt, np.greater, ">", ">", ">"),
    _comparison("ge", operator.ge, np.greater_equal, ">=", ">=", r"\ge"),
    _comparison("eq", operator.eq, np.equal, "==", "==", "="),
    _comparison("ne", operator.ne, np.not_equal, "!=", "!=", r"\ne"),
)


def _whole(name: str, ufunc: np.ufunc, exact: Callable[..., Any]) -> Op:
    return Op(
        name,
        1,
        numpy=ufunc,
        exact=exact,
        decide=partial(decisions.whole, ufunc),
        outcomes=2,
        write=lambda w, a: w.whole(name, a),
        ufuncs=(ufunc,),
    )


def _largest(choose: Callable[[Any, Any], Any], m: Any, a: Any, b: Any) -> Any:
    """The larger or the smaller of two numbers; NaN goes on."""
    return m.nan if m.isnan(a) or m.isnan(b) else choose(a, b)


def _chosen(w: Writer, a: str, b: str, sign: str) -> str:
    """The first of two numbers where it is beyond the second, or NaN."""
    unknown = f"{a} != {a}"
    return w.select(f"({w.either(f'{a} {sign} {b}', unknown)})", a, b)


def _sign(w: Writer, a: str) -> str:
    """Of NaN, NaN; of either zero, zero without a sign."""
    at_zero = w.select(f"{a} == zero", "zero", a)
    below = w.select(f"{a} < zero", "-one", f"({at_zero})")
    return w.select(f"{a} > zero", "one", f"({below})")


def _stepped(m: Any, x: Any, step: Any) -> Any:
    """A step function of one number, by rationals."""
    return _rational(m, step.exactly(_fraction(m, x))) if m.isfinite(x) else m.nan


def _rounded(m: Any, x: Any, *rest: Any) -> Any:
    """One number rounded onto a grid, by rationals."""
    *random, grid = rest
    return _rational(m, grid.exactly(_fraction(m, x), *map(int, random))) if m.isfinite(x) else x


def _fraction(m: Any, x: Any) -> Fraction:
    return Fraction(*m.libmp.to_rational(x._mpf_))


def _rational(m: Any, x: Fraction | float) -> Any:
    return m.mpf(x) if isinstance(x, float) else m.mpf(x.numerator) / x.denominator


ROWS = (
    *COMPARISONS,
    Op(
        "and",
        2,
        numpy=np.logical_and,
        exact=lambda m, a, b: bool(a) and bool(b),
        error=lambda a, b, model: np.logical_and(a, b),
        write=lambda w, a, b: w.both(a, b),
        ufuncs=(np.logical_and, np.bitwise_and),
        operator="and",
        boolean=True,
        symbol=Symbol("infix", "and", r"\wedge", COMPARE, SUM),
    ),
    Op(
        "or",
        2,
        numpy=np.logical_or,
        exact=lambda m, a, b: bool(a) or bool(b),
        error=lambda a, b, model: np.logical_or(a, b),
        write=lambda w, a, b: w.either(a, b),
        ufuncs=(np.logical_or, np.bitwise_or),
        operator="or",
        boolean=True,
        symbol=Symbol("infix", "or", r"\vee", COMPARE, SUM),
    ),
    Op(
        "not",
        1,
        numpy=np.logical_not,
        exact=lambda m, a: not a,
        error=lambda a, model: np.logical_not(a),
        write=lambda w, a: w.negation(a),
        ufuncs=(np.logical_not, np.invert),
        boolean=True,
    ),
    Op(
        "where",
        3,
        numpy=np.where,
        exact=lambda m, condition, a, b: a if condition else b,
        error=lambda condition, a, b, model: bounds.select(condition, a, b),
        write=lambda w, condition, a, b: w.select(condition, a, b),
        symbol=Symbol("cases", binds=COMPARE),
    ),
    Op(  # NaN from either side goes on, and of two zeros the second is taken, as with NumPy
        "maximum",
        2,
        numpy=np.maximum,
        exact=partial(_largest, max),
        error=bounds.maximum,
        write=lambda w, a, b: _chosen(w, a, b, ">"),
        ufuncs=(np.maximum,),
        scalar=OnNumbers("max", max, scalar_bounds.larger, (np.maximum,)),
        symbol=Symbol(latex=r"\max\left(%s\right)"),
    ),
    Op(
        "minimum",
        2,
        numpy=np.minimum,
        exact=partial(_largest, min),
        error=bounds.minimum,
        write=lambda w, a, b: _chosen(w, a, b, "<"),
        ufuncs=(np.minimum,),
        scalar=OnNumbers("min", min, scalar_bounds.smaller, (np.minimum,)),
        symbol=Symbol(latex=r"\min\left(%s\right)"),
    ),
    Op(
        "sign",
        1,
        numpy=np.sign,
        exact=lambda m, a: a if m.isnan(a) else m.mpf(m.sign(a)),
        decide=decisions.sign,
        outcomes=3,
        write=_sign,
        ufuncs=(np.sign,),
        symbol=Symbol(latex=r"\operatorname{sign}\left(%s\right)"),
    ),
    _whole("rint", np.rint, lambda m, a: m.nint(a)),
    _whole("floor", np.floor, lambda m, a: m.floor(a)),
    _whole("ceil", np.ceil, lambda m, a: m.ceil(a)),
    Op(  # a function of `refgrad.arithmetic.steps`
        "step",
        1,
        numpy=lambda x, step: step(x),
        exact=_stepped,
        decide=decisions.step,
        outcomes=2,
        write=lambda w, a, step: w.step(a, step),
        attributed=True,
    ),
    Op(  # onto a `refgrad.arithmetic.storage.Grid`, with random numbers or without
        "round",
        numpy=lambda x, *rest: rest[-1](x, *rest[:-1]),
        exact=_rounded,
        error=lambda x, *rest: bounds.rounded(rest[-2], x, *rest[:-2]),
        write=lambda w, x, *rest: rest[-1].write(w, x, *rest[:-1]),
        attributed=True,
    ),
)
