"""The exact arithmetic: a graph, or a rule's body itself, on numbers of as many digits as are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np

from refgrad.arithmetic import matrices, scalar_math
from refgrad.arithmetic.carrier import Carrier
from refgrad.arithmetic.graph import MATRIX, Graph
from refgrad.arithmetic.primitives import reduced_shape
from refgrad.projections import on_left


def _sign(x: mpmath.mpf) -> mpmath.mpf:
    return x if mpmath.isnan(x) else mpmath.mpf(mpmath.sign(x))


def _larger(a: mpmath.mpf, b: mpmath.mpf) -> mpmath.mpf:
    return mpmath.nan if mpmath.isnan(a) or mpmath.isnan(b) else max(a, b)


def _smaller(a: mpmath.mpf, b: mpmath.mpf) -> mpmath.mpf:
    return mpmath.nan if mpmath.isnan(a) or mpmath.isnan(b) else min(a, b)


def _quotient(a: mpmath.mpf, b: mpmath.mpf) -> mpmath.mpf:
    """As IEEE 754 has it where the divisor is zero: NaN of 0/0, else an infinity (of a zero without a sign)."""
    if b != 0:
        return a / b
    return mpmath.nan if a == 0 or mpmath.isnan(a) else mpmath.inf * mpmath.sign(a)


def _root(a: mpmath.mpf) -> mpmath.mpf:
    return mpmath.nan if a < 0 else mpmath.sqrt(a)


def _power(a: mpmath.mpf, b: mpmath.mpf) -> mpmath.mpf:
    if a == 0:
        return mpmath.mpf(0) if b > 0 else mpmath.inf
    return mpmath.power(a, b) if a > 0 else mpmath.nan


#: each operation on single numbers
OPERATIONS: Mapping[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": _quotient,
    "neg": lambda a: -a,
    "abs": abs,
    "sqrt": _root,
    "square": lambda a: a * a,
    "exp": mpmath.exp,
    "sin": mpmath.sin,
    "cos": mpmath.cos,
    "tanh": mpmath.tanh,
    "log": lambda a: -mpmath.inf if a == 0 else mpmath.log(a) if a > 0 else mpmath.nan,
    "power": lambda a, b: mpmath.mpf(1) if b == 0 else _power(a, b),
    "power_of_two": lambda k: mpmath.power(2, k),
    "rint": mpmath.nint,
    "floor": mpmath.floor,
    "ceil": mpmath.ceil,
    "sign": _sign,
    "maximum": _larger,
    "minimum": _smaller,
    "where": lambda condition, a, b: a if condition else b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "and": lambda a, b: bool(a) and bool(b),
    "or": lambda a, b: bool(a) or bool(b),
    "not": lambda a: not a,
}

#: scalar expressions as exact numbers
TABLE: scalar_math.Table = {
    **scalar_math.FLOAT64,
    "const": mpmath.mpf,
    "sqrt": mpmath.sqrt,
    "exp": mpmath.exp,
    "pow": mpmath.power,
    "log": mpmath.log,
    "tanh": mpmath.tanh,
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

    ``over`` is what a reduction runs over, a step function, or the grid that is rounded to.
    """
    values = [_operand(a) for a in args]
    if op == "step":
        return Exact(np.frompyfunc(lambda x: _stepped(x, over), 1, 1)(values[0]))
    if op == "round":
        return Exact(np.frompyfunc(lambda *x: _rounded(over, *x), len(values), 1)(*values))
    if op == "length":
        return len(_rows(values[0], over)[0])
    if op in ("sum", "max"):
        return Exact(_reduce(op, values[0], over))
    if op in MATRIX:
        return Exact(_matrix(op, values, over))
    result = np.frompyfunc(OPERATIONS[op], len(values), 1)(*values)
    return Exact(result)


def _stepped(x: mpmath.mpf, function: Any) -> mpmath.mpf:
    """A step function of one number, by rationals."""
    if not mpmath.isfinite(x):
        return mpmath.nan
    result = function.exactly(Fraction(*mpmath.libmp.to_rational(x._mpf_)))
    return mpmath.mpf(result) if isinstance(result, float) else mpmath.mpf(result.numerator) / result.denominator


def _rounded(grid: Any, x: mpmath.mpf, random: mpmath.mpf | None = None) -> mpmath.mpf:
    """One number rounded onto a grid, by rationals."""
    if not mpmath.isfinite(x):
        return x
    result = grid.exactly(Fraction(*mpmath.libmp.to_rational(x._mpf_)), None if random is None else int(random))
    return mpmath.mpf(result) if isinstance(result, float) else mpmath.mpf(result.numerator) / result.denominator


def _matrix(op: str, values: list[np.ndarray], rule: Any) -> np.ndarray:
    """An operation on matrices; a precision of its operations has no meaning here."""
    x = matrices.as_matrices(values[0])
    if op == "newton_schulz":
        polynomials = matrices.gathered(values[1:], rule[0])
        return matrices.odd_polynomials(x, polynomials, multiply=_product).reshape(values[0].shape)
    if op == "gram":
        return _product(x, x.T) if rule == "left" else _product(x.T, x)
    if op == "matmul":
        y = matrices.as_matrices(values[1])
        found = _product(x.T if rule[0] else x, y.T if rule[1] else y)
        return found.reshape(next((v.shape for v in values if v.ndim != 2), found.shape))
    if op == "reordered":
        q, s = (matrices.as_matrices(v) for v in values[1:])
        sizes = [mpmath.fdot(q[:, j].tolist(), _product(s, q)[:, j].tolist()) for j in range(q.shape[1])]
        order = sorted(range(len(sizes)), key=lambda j: -sizes[j])
        return np.asarray(x[order] if rule == "row" else x[:, order]).reshape(values[0].shape)
    if op == "solve":
        return _solved(x, matrices.as_matrices(values[1]), rule).reshape(values[1].shape)
    if op == "upper":
        return np.triu(x).reshape(values[0].shape)
    if op == "norm_bound":
        return _norm_bound(x).reshape((1,) * values[0].ndim)
    if op in ("subspace", "project", "lift"):
        return _in_subspace(op, values, rule)
    return _decomposed(op, x, rule).reshape(values[0].shape)


def _solved(q: np.ndarray, x: np.ndarray, side: str) -> np.ndarray:
    """X Q^(-1) for an upper triangular Q, column by column; Q^(-T) X is the transpose of X^T Q^(-1)."""
    rows = (x.T if side == "left" else x).copy()
    for j in range(len(q)):
        for i in range(j):
            rows[:, j] = rows[:, j] - rows[:, i] * q[i, j]
        rows[:, j] = [_quotient(a, q[j, j]) for a in rows[:, j]]
    return rows.T if side == "left" else rows


def _norm_bound(s: np.ndarray) -> np.ndarray:
    """|S y| / |y| for y = S s_j, s_j being the longest column."""
    sizes = [mpmath.fsum(a * a for a in column) for column in s.T]
    longest = max(range(len(sizes)), key=lambda j: sizes[j], default=None)
    y = _product(s, s[:, [longest]]) if longest is not None else s
    lengths = [mpmath.sqrt(mpmath.fsum(a * a for a in v.ravel())) for v in (_product(s, y) if y.size else y, y)]
    return np.asarray([lengths[0] / lengths[1] if lengths[1] else mpmath.mpf(0)], dtype=object)


def _in_subspace(op: str, values: list[np.ndarray], rule: Any) -> np.ndarray:
    """Bases of subspaces, and products with them."""
    x, *others = (matrices.as_matrices(v) for v in values)
    whole = others[-1] if op == "lift" else x
    left = on_left(whole.shape, rule[1] if op == "subspace" else rule)
    if op == "subspace":
        square = _product(x, x.T) if left else _product(x.T, x)
        found = _decomposed("eigenbasis", square, None)[:, : min(rule[0], *x.shape)]
    elif op == "project":
        found = _product(others[0].T, x) if left else _product(x, others[0])
    else:
        return (_product(others[0], x) if left else _product(x, others[0].T)).reshape(values[2].shape)
    return found if values[0].ndim else found.reshape(())


def _decomposed(op: str, x: np.ndarray, order: Any) -> np.ndarray:
    """What is made of a decomposition; the signs of vectors are whatever comes out."""
    if op == "orthonormal":
        return np.asarray(mpmath.qr(mpmath.matrix(x.tolist()))[0].tolist(), dtype=object)
    if not all(mpmath.isfinite(a) for a in x.ravel()):
        return np.full(x.shape, mpmath.nan, dtype=object)
    with mpmath.workdps(2 * mpmath.mp.dps):  # small eigenvalues are as exact as large ones
        values, vectors = jacobi((x + x.T) / 2)
        falling = sorted(range(len(values)), key=lambda j: -values[j])
        if op == "eigenbasis":
            return vectors[:, falling]
        root = -mpmath.mpf(1) / order
        roots = [v**root if v > 0 else mpmath.inf if v == 0 else mpmath.nan for v in values]
        return _product(vectors * np.asarray(roots, dtype=object), vectors.T)


def jacobi(a: np.ndarray) -> tuple[list[mpmath.mpf], np.ndarray]:
    """Eigenvalues and eigenvectors of a symmetric matrix, by rotations that make one pair of elements zero after another."""
    a, size = a.copy(), len(a)
    vectors = np.asarray([[mpmath.mpf(i == j) for j in range(size)] for i in range(size)], dtype=object)
    vectors = vectors.reshape(size, size)
    small = mpmath.eps * mpmath.sqrt(mpmath.fsum(x * x for x in a.ravel()))
    for i, j in _pairs_above(a, small):
        tau = (a[j, j] - a[i, i]) / (2 * a[i, j])
        tangent = (1 if tau >= 0 else -1) / (abs(tau) + mpmath.sqrt(1 + tau * tau))
        cosine = 1 / mpmath.sqrt(1 + tangent * tangent)
        sine = tangent * cosine
        for m in (a.T, a, vectors.T):  # columns, rows, and the columns of the vectors
            m[i], m[j] = cosine * m[i] - sine * m[j], sine * m[i] + cosine * m[j]
    return [a[i, i] for i in range(size)], vectors


def _pairs_above(a: np.ndarray, small: mpmath.mpf) -> Iterator[tuple[int, int]]:
    """Sweeps over the places above the diagonal, until no element there is large."""
    pairs = [(i, j) for i in range(len(a)) for j in range(i + 1, len(a))]
    while any(abs(a[pair]) > small for pair in pairs):
        yield from (pair for pair in pairs if abs(a[pair]) > small)


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The product of two matrices, each element rounded once."""
    rows, columns = a.tolist(), b.T.tolist()
    found = [mpmath.fdot(row, column) for row in rows for column in columns]
    return np.reshape(np.asarray(found, dtype=object), (len(rows), len(columns)))


def _operand(value: Any) -> np.ndarray:
    if isinstance(value, Exact):
        return value.values
    number = value.value if isinstance(value, scalar_math.Scalar) else value
    return np.asarray(number if isinstance(number, mpmath.mpf) else mpmath.mpf(number), dtype=object)


def _rows(values: np.ndarray, over: str | None) -> np.ndarray:
    if over == "tensor":
        return values.reshape(1, -1)
    rows = values.reshape(values.shape[0], -1)
    return rows if over == "row" else rows.T


def _reduce(op: str, values: np.ndarray, over: str | None) -> np.ndarray:
    rows = _rows(values, over)
    fold = mpmath.fsum if op == "sum" else (lambda row: max(row, default=-mpmath.inf))
    shape = reduced_shape(values.shape, over)
    return np.asarray([fold(list(row)) for row in rows], dtype=object).reshape(shape)


def evaluate(
    graph: Graph,
    arrays: Mapping[str, np.ndarray],
    names: Mapping[str, float],
    digits: int = 50,
    observed: Mapping[str, np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """The truth of a traced step.

    Args:
        graph: the traced update.
        arrays: ``p``, ``g`` and the array slots as floats, taken exactly.
        names: the values of all scalar names (hyperparameters, ``t``, scalar slots, lengths), taken exactly.
        digits: decimal digits of the arithmetic.
        observed: outputs that were seen: what depends on them goes on from these, taken exactly.

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
            for name in (n for n, output in graph.outputs.items() if output is node):
                outputs[name] = values[node.index].values
                if observed is not None and name in observed and node.op != "input":
                    values[node.index] = Exact.of(observed[name])
        scalar_values = {
            n: scalar_math.evaluate(expr, exact_names, TABLE, memo) for n, expr in graph.scalar_outputs.items()
        }
    return {**outputs, **scalar_values}
