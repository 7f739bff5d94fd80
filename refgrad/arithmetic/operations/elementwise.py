"""The operations of arithmetic: sums, products, roots, magnitudes."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from refgrad.arithmetic import function_error
from refgrad.arithmetic import running_error as bounds
from refgrad.arithmetic.operations import scalar_bounds
from refgrad.arithmetic.operations.op import ATOM, PREFIX, PRODUCT, SUM, OnNumbers, Op, Symbol


def _quotient(m: Any, a: Any, b: Any) -> Any:
    """As IEEE 754 has it where the divisor is zero: NaN of 0/0, else an infinity (of a zero without a sign)."""
    if b != 0:
        return a / b
    return m.nan if a == 0 or m.isnan(a) else m.inf * m.sign(a)


ROWS = (
    Op(
        "add",
        2,
        numpy=np.add,
        exact=lambda m, a, b: a + b,
        error=lambda a, b, model: bounds.total([(1, a), (1, b)], None, model),
        write=lambda w, a, b: f"{a} + {b}",
        ufuncs=(np.add,),
        operator="add",
        scalar=OnNumbers("add", operator.add, scalar_bounds.total, (np.add,), "+"),
        symbol=Symbol("infix", "+", "+", SUM, SUM),
    ),
    Op(
        "sub",
        2,
        numpy=np.subtract,
        exact=lambda m, a, b: a - b,
        error=lambda a, b, model: bounds.total([(1, a), (-1, b)], None, model),
        write=lambda w, a, b: f"{a} - {b}",
        ufuncs=(np.subtract,),
        operator="sub",
        scalar=OnNumbers("sub", operator.sub, scalar_bounds.difference, (np.subtract,), "-"),
        symbol=Symbol("infix", "-", "-", SUM, PRODUCT),
    ),
    Op(
        "mul",
        2,
        numpy=np.multiply,
        exact=lambda m, a, b: a * b,
        error=lambda a, b, model: bounds.product(1, [a, b], [], model),
        write=lambda w, a, b: f"{a} * {b}",
        ufuncs=(np.multiply,),
        operator="mul",
        scalar=OnNumbers("mul", operator.mul, scalar_bounds.product, (np.multiply,), "*"),
        symbol=Symbol("product", " ", r"\,", PRODUCT),
    ),
    Op(
        "div",
        2,
        numpy=np.true_divide,
        exact=_quotient,
        error=lambda a, b, model: bounds.product(1, [a], [b], model),
        write=lambda w, a, b: f"{a} / {b}",
        ufuncs=(np.true_divide,),
        operator="truediv",
        scalar=OnNumbers("div", operator.truediv, scalar_bounds.quotient, (np.true_divide,), "/"),
        symbol=Symbol("quotient"),
    ),
    Op(  # of numbers alone
        "mod",
        scalar=OnNumbers("mod", operator.mod, scalar_bounds.remainder, (np.remainder,), "%"),
    ),
    Op(
        "neg",
        1,
        numpy=np.negative,
        exact=lambda m, a: -a,
        error=bounds.negative,
        write=lambda w, a: f"-{a}",
        ufuncs=(np.negative,),
        scalar=OnNumbers("neg", operator.neg, scalar_bounds.negative, (np.negative,)),
        symbol=Symbol("prefix", "-", "-", PREFIX - 1),
    ),
    Op(
        "abs",
        1,
        numpy=np.absolute,
        exact=lambda m, a: abs(a),
        error=bounds.absolute,
        write=lambda w, a: w.call("abs", a),
        ufuncs=(np.absolute, np.fabs),
        symbol=Symbol(latex=r"\left|%s\right|", binds=ATOM),
    ),
    Op(  # which a graph has as the product of a number with itself
        "square",
        1,
        numpy=np.square,
        exact=lambda m, a: a * a,
        error=lambda a, model: bounds.product(1, [a, a], [], model),
        ufuncs=(np.square,),
    ),
    Op(
        "sqrt",
        1,
        numpy=np.sqrt,
        exact=lambda m, a: m.nan if a < 0 else m.sqrt(a),
        error=function_error.sqrt,
        write=lambda w, a: w.call("sqrt", a),
        ufuncs=(np.sqrt,),
        rounds=True,
        scalar=OnNumbers(
            "sqrt", math.sqrt, scalar_bounds.root, (np.sqrt,), float32=np.sqrt, exact=lambda m, a: m.sqrt(a)
        ),
        symbol=Symbol(latex=r"\sqrt{%s}"),
    ),
)
