"""The elementary functions: each a fixed sequence of float64 operations, rounded once, with the same bits everywhere.

A row can be called with a NumPy array, or with whatever stands for one: it is what rules call.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from refgrad.arithmetic import array_error, elementary, function_error
from refgrad.arithmetic.operations import scalar_bounds
from refgrad.arithmetic.operations.op import OnNumbers, Op, Symbol
from refgrad.arithmetic.running_error import Bounded, Model, settle

Sequence = Callable[..., Any]


def _on_arrays(wide: Sequence, narrow: Sequence, x: Any, *numbers: Any) -> np.ndarray:
    """A sequence of float64 operations on an array; numbers that meet it are rounded to its dtype first."""
    x = np.asarray(x)
    others = [np.asarray(n, x.dtype).astype(np.float64) for n in numbers]
    with np.errstate(all="ignore"):
        function = wide if x.dtype == np.float64 else narrow
        result = function(np.atleast_1d(x.astype(np.float64)), *others, elementary.ArrayOperations)
        return np.asarray(result).reshape(np.broadcast_shapes(x.shape, *(o.shape for o in others))).astype(x.dtype)


def row(name: str, wide: Sequence, narrow: Sequence | None = None, arity: int = 1, **meanings: Any) -> Op:
    """A row of an elementary function.

    Args:
        name: the operation.
        wide: of float64 numbers and `elementary.ArrayOperations`, or another set of operations.
        narrow: of float32 numbers that were widened, if that is another sequence.
        arity: the number of operands.
        meanings: the other fields of the record.
    """
    pair = (wide, narrow or wide)
    return Op(name, arity, numpy=partial(_on_arrays, *pair), function=pair, **{"rounds": True, **meanings})


def _logarithm(m: Any, a: Any) -> Any:
    return -m.inf if a == 0 else m.log(a) if a > 0 else m.nan


def _power(m: Any, a: Any, b: Any) -> Any:
    if b == 0:
        return m.mpf(1)
    if a == 0:
        return m.mpf(0) if b > 0 else m.inf
    return m.power(a, b) if a > 0 else m.nan


#: e**x within 1.25 units in the last place of float64; of float32 the nearest float unless e**x lies within 2**-28 units of
#: a rounding boundary
exp = row(
    "exp",
    elementary.exp,
    exact=lambda m, a: m.exp(a),
    error=function_error.exp,
    sketch=np.exp,
    scalar=OnNumbers(
        "exp", math.exp, scalar_bounds.exponential, (np.exp,), float32=np.exp, exact=lambda m, a: m.exp(a)
    ),
)
#: the hyperbolic tangent: within three units in the last place of float64
tanh = row(
    "tanh",
    elementary.tanh,
    exact=lambda m, a: m.tanh(a),
    error=function_error.tanh,
    sketch=np.tanh,
    scalar=OnNumbers(
        "tanh", math.tanh, scalar_bounds.hyperbolic_tangent, (np.tanh,), float32=np.tanh, exact=lambda m, a: m.tanh(a)
    ),
)
#: the error function: within three units in the last place of float64
erf = row(
    "erf", elementary.erf, exact=lambda m, a: m.erf(a), error=function_error.erf, sketch=function_error.error_function
)
#: the natural logarithm: within two units in the last place of float64
log = row(
    "log",
    elementary.log,
    exact=_logarithm,
    error=function_error.log,
    sketch=np.log,
    scalar=OnNumbers("log", math.log, scalar_bounds.logarithm, (np.log,), float32=np.log, exact=lambda m, a: m.log(a)),
)
#: e**x - 1, without cancellation: within four units in the last place of float64
expm1 = row("expm1", elementary.expm1, exact=lambda m, a: m.expm1(a), error=array_error.expm1, sketch=np.expm1)
#: the logarithm of one more: within four units in the last place of float64
log1p = row(
    "log1p",
    elementary.log1p,
    exact=lambda m, a: m.log1p(a) if a > -1 else -m.inf if a == -1 else m.nan,
    error=array_error.log1p,
    sketch=np.log1p,
)
#: 2**x: within two units in the last place of float64, exact of whole numbers
exp2 = row("exp2", elementary.exp2, exact=lambda m, a: m.power(2, a), error=function_error.exp2, sketch=np.exp2)
#: the logarithm to base two: within two units in the last place of float64, exact of powers of two
log2 = row(
    "log2",
    elementary.log2,
    exact=lambda m, a: m.log(a, 2) if a > 0 else _logarithm(m, a),
    error=function_error.log2,
    sketch=np.log2,
)
#: x**exponent for x >= 0 and a number, as e**(exponent log x); NaN below zero. Within 3 + 2 |exponent log x| units in the last
#: place of float64
power = row(
    "power",
    elementary.power,
    arity=2,
    exact=_power,
    error=function_error.power,
    sketch=np.power,
    # not Python's sign, which makes a complex number where there is no real one
    scalar=OnNumbers(
        "pow",
        math.pow,
        scalar_bounds.power,
        (np.power, np.float_power),
        float32=pow,
        exact=lambda m, a, b: m.power(a, b),
    ),
    symbol=Symbol("power"),
)
#: 2**k for whole numbers k, exact as far as the dtype of k reaches
power_of_two = row(
    "power_of_two",
    elementary.power_of_two,
    exact=lambda m, a: m.power(2, a),
    error=function_error.power_of_two,
    sketch=np.exp2,
    rounds=False,
)
#: the sine, for every finite argument however large; NaN of an infinity. The nearest float unless the sine lies within 2**-25
#: units (float32), or 2**-30 (float64), of a rounding boundary
sin = row(
    "sin",
    elementary.sin,
    elementary.sin_of_float32,
    exact=lambda m, a: m.sin(a),
    error=function_error.sin,
    sketch=np.sin,
)
#: the cosine, as the sine
cos = row(
    "cos",
    elementary.cos,
    elementary.cos_of_float32,
    exact=lambda m, a: m.cos(a),
    error=function_error.cos,
    sketch=np.cos,
)
#: the angle of a tangent: within three units in the last place of float64
arctan = row(
    "arctan",
    elementary.arctan,
    exact=lambda m, a: m.atan(a),
    error=function_error.arctan,
    sketch=np.arctan,
)
#: the angle of a point of two coordinates, the second first: within four units in the last place of float64
arctan2 = row(
    "arctan2",
    elementary.arctan2,
    arity=2,
    exact=lambda m, a, b: m.atan2(a, b),
    error=function_error.arctan2,
    sketch=np.arctan2,
)
#: the hyperbolic sine and cosine: within five units in the last place of float64
sinh = row("sinh", elementary.sinh, exact=lambda m, a: m.sinh(a), error=function_error.sinh, sketch=np.sinh)
cosh = row("cosh", elementary.cosh, exact=lambda m, a: m.cosh(a), error=function_error.cosh, sketch=np.cosh)


def _hypotenuse(a: Any, b: Any, ops: Any) -> Any:
    """Of float64: the larger magnitude times the root of one plus a square, so that nothing overflows or is lost on the way."""
    first, second = abs(a), abs(b)
    ahead = second > first
    large, small = ops.where(ahead, second, first), ops.where(ahead, first, second)
    ratio = small / large
    length = large * ops.sqrt(ratio * ratio + 1.0)
    length = ops.where(large == 0.0, large, length)
    return ops.where(large == np.inf, ops.where(small == small, large, small), length)


def _hypotenuse_of_float32(a: Any, b: Any, ops: Any) -> Any:
    """Of float32: squares are exact in float64, and neither overflow nor underflow there."""
    return ops.sqrt(a * a + b * b)


def _hypotenuse_bound(a: Bounded, b: Bounded, model: Model) -> Bounded:
    """Its slope is nowhere above one; a library may be off by four units in the last place."""
    value, carried = np.hypot(a.value, b.value), np.hypot(a.bound(), b.bound())
    own = (model.charge + 8.0 * model.unit_roundoff) * (value + carried) + model.underflow
    return settle(value, carried + own, model)


#: the root of a sum of two squares, without overflow on the way: within two units in the last place of float64
hypot = row(
    "hypot",
    _hypotenuse,
    _hypotenuse_of_float32,
    arity=2,
    exact=lambda m, a, b: m.hypot(a, b),
    error=_hypotenuse_bound,
    sketch=np.hypot,
)
