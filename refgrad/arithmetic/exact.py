"""The exact arithmetic: a graph, or a rule's body itself, on numbers of as many digits as are asked for."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import mpmath
import numpy as np

from refgrad.arithmetic import exact_matrices, scalar_math
from refgrad.arithmetic.carrier import Carrier
from refgrad.arithmetic.folding import rows_of
from refgrad.arithmetic.graph import Graph
from refgrad.arithmetic.operations import ON_NUMBERS, OPERATIONS
from refgrad.axes import terms

#: scalar expressions as exact numbers
TABLE: scalar_math.Table = {
    **{
        name: partial(op.scalar.exact, mpmath) if op.scalar.exact else op.scalar.float64
        for name, op in ON_NUMBERS.items()
        if op.scalar
    },
    "const": mpmath.mpf,
}


class Exact(Carrier):
    """An array of mpmath numbers that takes part in NumPy's protocols."""

    __slots__ = ("values",)

    def __init__(self, values: Any) -> None:
        self.values = np.asarray(values, dtype=object)

    @classmethod
    def of(cls, array: Any) -> Exact:
        """Floats as they are, without rounding."""
        floats = np.asarray(array, dtype=np.float64)
        return cls(np.reshape([mpmath.mpf(float(x)) for x in floats.ravel()] or np.empty(0, object), floats.shape))

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.values.ndim

    def _apply(self, op: str, *args: Any, **attributes: Any) -> Any:
        return apply(op, args, attributes.get("rule", attributes.get("over")))


def apply(op: str, args: Sequence[Any], over: Any = None) -> Any:
    """One operation on exact values, arrays broadcasting; scalars and numbers are operands too.

    ``over`` are the names of the axes that a reduction folds, a step function, or the grid that is rounded to.
    """
    values = [_operand(a) for a in args]
    if op == "length":
        return terms(over, values[0].shape)
    record = OPERATIONS[op]
    exact = record.exact
    assert exact is not None, f"{op} has no exact meaning"
    if record.kind == "reduction":
        rows, shape = rows_of(values[0], over)
        found = [exact(mpmath, list(row)) for row in rows]
        return Exact(np.asarray(found, dtype=object).reshape(shape))
    if record.kind == "selection":
        shape = values[0].shape
        rows = values[0].reshape(shape[0] if shape else 1, -1)
        return Exact(np.asarray([exact(mpmath, list(row), over) for row in rows], dtype=object).reshape(shape))
    if record.kind == "matrix":
        return Exact(exact(exact_matrices, *values, over))
    if record.kind == "look-up":
        return Exact(exact(mpmath, *values))
    more = (over,) if record.attributed else ()
    return Exact(np.frompyfunc(lambda *x: exact(mpmath, *x, *more), len(values), 1)(*values))


def _operand(value: Any) -> np.ndarray:
    if isinstance(value, Exact):
        return value.values
    number = value.value if isinstance(value, scalar_math.Scalar) else value
    return np.asarray(number if isinstance(number, mpmath.mpf) else mpmath.mpf(number), dtype=object)


#: by the index of a decision in a graph: the elements at which it gives something else than of exact numbers, and what
Outcomes = Mapping[int, tuple[np.ndarray, np.ndarray]]


def evaluate(
    graph: Graph,
    arrays: Mapping[str, np.ndarray],
    names: Mapping[str, float],
    digits: int = 50,
    observed: Mapping[str, np.ndarray] | None = None,
    outcomes: Outcomes | None = None,
) -> dict[str, np.ndarray]:
    """The truth of a traced step.

    Args:
        graph: the traced update.
        arrays: ``p``, ``g`` and the array slots as floats, taken exactly.
        names: the values of all scalar names (hyperparameters, ``t``, scalar slots, lengths), taken exactly.
        digits: decimal digits of the arithmetic.
        observed: outputs that were seen: what depends on them goes on from these, taken exactly.
        outcomes: decisions that go another way than those of exact numbers.

    Returns:
        Object arrays of mpmath numbers for each output, and mpmath numbers for scalar slots.
    """
    with mpmath.workdps(digits):
        exact_names = {n: mpmath.mpf(v) for n, v in names.items()}
        memo: dict[scalar_math.Expr, Any] = {}
        values: dict[int, Any] = {}
        outputs: dict[str, Any] = {}
        for node in graph.nodes:
            if node.op == "input":
                values[node.index] = Exact.of(arrays[node.attribute])
            elif node.op == "scalar":
                values[node.index] = Exact(scalar_math.evaluate(node.attribute, exact_names, TABLE, memo))
            else:
                values[node.index] = apply(node.op, [values[a.index] for a in node.args], node.attribute)
            if outcomes is not None and node.index in outcomes:
                where, other = outcomes[node.index]
                instead = other.astype(object) if node.is_boolean else Exact.of(other).values
                values[node.index] = Exact(np.where(where, instead, values[node.index].values))
            for name in (n for n, output in graph.outputs.items() if output is node):
                outputs[name] = values[node.index].values
                if observed is not None and name in observed and node.op != "input":
                    values[node.index] = Exact.of(observed[name])
        scalar_values = {
            n: scalar_math.evaluate(expr, exact_names, TABLE, memo) for n, expr in graph.scalar_outputs.items()
        }
    return {**outputs, **scalar_values}


def run(function: Any, arrays: Sequence[np.ndarray], digits: int) -> Any:
    """What a function of arrays gives on exact numbers: arrays of mpmath numbers.

    Args:
        function: made of operations that the exact arithmetic knows.
        arrays: floats, taken exactly.
        digits: decimal digits of the arithmetic.
    """
    with mpmath.workdps(digits):
        found = function(*map(Exact.of, arrays))
        one = lambda value: value.values if isinstance(value, Exact) else np.asarray(_operand(value))  # noqa: E731
        return tuple(map(one, found)) if isinstance(found, tuple | list) else one(found)


def to_odd(values: Any) -> np.ndarray:
    """Exact numbers as float64, rounded to odd: one that is not a float64 goes to the neighbour whose last bit is 1.

    Rounded once more to any format of at most 51 bits, as hardware does, such a number gives what the exact one gives, so that
    one truth serves all narrower formats (Boldo and Melquiond 2008).

    Args:
        values: an array of mpmath numbers, of any shape.

    Returns:
        The array in float64; what lies beyond the largest number is that number, and has an odd last bit.

    >>> third = mpmath.fdiv(1, 3, dps=40)
    >>> [x.hex() for x in to_odd([mpmath.mpf(1), third])]
    ['0x1.0000000000000p+0', '0x1.5555555555555p-2']
    """
    array = np.asarray(values, dtype=object)
    return np.asarray([_odd(x) for x in array.ravel()], np.float64).reshape(array.shape)


#: bits beyond a float64 from which on a number is taken for that float64: what is left of a quotient that comes out even
NOISE = 90


def _rounded(significand: int, lost: int) -> int:
    """A significand without its last bits, rounded to odd; one that is a whole number but for noise is that."""
    whole, rest = significand >> lost, significand & ((1 << lost) - 1)
    noise = 1 << (lost - NOISE) if lost > NOISE else 1
    if rest < noise:
        return whole
    return whole + 1 if (1 << lost) - rest < noise else whole | 1


def _odd(value: Any) -> float:
    number = value if isinstance(value, mpmath.mpf) else mpmath.mpf(value)
    if not mpmath.isfinite(number) or number == 0:
        return float(number)
    sign, significand, exponent, bits = number._mpf_
    # the last place of a float64 of this size: 53 bits, or fewer where it is subnormal
    last = max(exponent + bits - 53, -1074)
    if exponent >= last:
        whole = int(significand) << (exponent - last)
    else:
        whole = _rounded(int(significand), last - exponent)
    if last > 971:
        return math.copysign(sys.float_info.max, -1.0 if sign else 1.0)
    return math.copysign(math.ldexp(whole, last), -1.0 if sign else 1.0)
