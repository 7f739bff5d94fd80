"""The operations on matrices, which see a whole tensor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from refgrad.arithmetic import matrices
from refgrad.arithmetic import matrix_error as bounds
from refgrad.arithmetic.matrix_bounds import as_stacked
from refgrad.arithmetic.newton_schulz_error import newton_schulz
from refgrad.arithmetic.operations.op import Op
from refgrad.arithmetic.running_error import Bounded, Model
from refgrad.axes import ELEMENT, LEFT, LOW, RIGHT, TENSOR, THIN, Axes, is_square, product
from refgrad.errors import TraceError

_PRODUCTS = "products of matrices are judged by a derived bound, for any order of their sums"


def _row(
    name: str, numpy: Callable[..., Any], error: Callable[..., Bounded], axes: Any, judged: str, unique: bool = True
) -> Op:
    """A row of an operation on matrices.

    Args:
        name: the operation; `refgrad.arithmetic.exact_matrices` has a function of the same name.
        numpy: of operands and attribute.
        error: of operands, attribute, what was seen, model, and axes along which matrices are stacked.
        axes: those of its result, or a function of those of its operands and the attribute.
        judged: how its results are judged.
        unique: False if by the residuals of what was seen.
    """
    return Op(
        name,
        numpy=numpy,
        exact=lambda m, *given: getattr(m, name)(*given),
        error=error,
        kind="matrix",
        attributed=True,
        axes=axes if callable(axes) else lambda operands, attribute: axes,
        judged=judged,
        unique=unique,
    )


def _first(operands: Sequence[Axes], attribute: Any) -> Axes:
    """The axes of the first operand."""
    return operands[0]


def _of_product(operands: Sequence[Axes], attribute: Any) -> Axes:
    """The axes of a product; `TraceError` where its operands do not fit, or what is no square matrix is transposed."""
    if any(flag and not is_square(axes) for flag, axes in zip(attribute, operands, strict=True)):
        raise TraceError("a parameter is transposed in a product; legal: square matrices, which alone are")
    return product(*operands)


def _of_square(bound: Callable[..., Bounded]) -> Callable[..., Bounded]:
    """A bound on an operation of one square matrix, for operands that are numbers where a parameter has no axes."""

    def error(args: Sequence[Bounded], rule: Any, seen: Bounded | None, model: Model, batch: int) -> Bounded:
        kept = None if seen is None else as_stacked(seen, batch)
        found = bound(as_stacked(args[0], batch), rule, kept, model)
        shape = np.shape(args[0].value)
        norm = found.norm if found.norm is None or len(shape) == batch + 2 else None
        return Bounded(found.value.reshape(shape), found.bound().reshape(shape), norm=norm)

    return error


def _norm_bound(args: Sequence[Bounded], rule: Any, seen: Bounded | None, model: Model, batch: int) -> Bounded:
    found = bounds.norm_bound(as_stacked(args[0], batch), model)
    ones = (1,) * (np.ndim(args[0].value) - batch)
    value, error = (each.reshape(*each.shape[:batch], *ones) for each in (found.value, found.bound()))
    return Bounded(value, error)


def _shaped(function: Callable[..., Bounded]) -> Callable[..., Bounded]:
    """A bound on bases and on what is seen in them; of a parameter without axes they are numbers."""

    def error(args: Sequence[Bounded], rule: Any, seen: Bounded | None, model: Model, batch: int) -> Bounded:
        found = function([as_stacked(arg, batch) for arg in args], rule, seen, model, batch)
        flat = np.ndim(args[0].value) == batch
        shape = np.shape(args[2].value) if len(args) > 2 else np.shape(args[0].value) if flat else found.value.shape
        return Bounded(found.value.reshape(shape), found.bound().reshape(shape))

    return error


ROWS = (
    Op(
        "newton_schulz",
        numpy=lambda x, *rest: matrices.newton_schulz(x, matrices.gathered(rest[:-1], rest[-1][0]), rest[-1][1]),
        exact=lambda m, *given: m.newton_schulz(*given),
        error=lambda args, rule, seen, model, batch: newton_schulz(args[0], args[1:], rule[0], rule[1], model, batch),
        kind="matrix",
        attributed=True,
        axes=_first,
        judged="Newton-Schulz steps are judged by a derived bound: magnitudes, and the derivative of what follows",
        sketch=lambda x, *rest: matrices.odd_polynomials(
            x, matrices.gathered(rest[:-1], rest[-1][0]), multiply=np.matmul
        ),
    ),
    _row(
        "gram",
        matrices.gram,
        lambda args, side, seen, model, batch: bounds.gram(args[0], side, model, batch),
        lambda operands, side: LEFT if side == "left" else RIGHT,
        _PRODUCTS,
    ),
    _row(
        "matmul",
        lambda a, b, flips: matrices.matmul(a, b, *flips),
        lambda args, flips, seen, model, batch: bounds.matmul(args[0], args[1], flips, model, batch),
        _of_product,
        _PRODUCTS,
    ),
    _row(
        "inverse_root",
        matrices.inverse_root,
        _of_square(lambda s, order, seen, model: bounds.inverse_root(s, order, model)),
        _first,
        "matrix roots are judged by a derived bound, for backward stable decompositions",
    ),
    _row(
        "eigenbasis",
        lambda s, rule: matrices.eigenbasis(s),
        _of_square(lambda s, rule, seen, model: bounds.eigenbasis(s, seen, model)),
        _first,
        "eigenvectors are judged by a-posteriori residuals of those that were seen; what follows, given these",
        unique=False,
    ),
    _row(
        "orthonormal",
        lambda a, rule: matrices.orthonormal(a),
        _of_square(lambda a, rule, seen, model: bounds.orthonormal(a, seen, model)),
        _first,
        "QR factors are judged by a-posteriori residuals of those that were seen; what follows, given these",
        unique=False,
    ),
    _row(
        "reordered",
        matrices.reordered,
        lambda args, axis, seen, model, batch: bounds.reordered(args[0], args[1], args[2], axis, model, batch),
        _first,
        "an order of eigenvectors that rounding may change leaves what follows undecided",
    ),
    _row(
        "subspace",
        lambda x, rule: matrices.subspace(x, *rule),
        _shaped(bounds.of_subspace),
        THIN,
        "singular vectors are judged by a-posteriori residuals of those that were seen; what follows, given these",
        unique=False,
    ),
    _row("project", matrices.project, _shaped(bounds.of_projection), LOW, _PRODUCTS),
    _row("lift", matrices.lift, _shaped(bounds.of_lift), ELEMENT, _PRODUCTS),
    _row(
        "solve",
        matrices.solve,
        lambda args, side, seen, model, batch: bounds.solve(args[0], args[1], side, model, batch),
        ELEMENT,
        "triangular systems are judged by a derived bound, for substitution in any order of its sums",
    ),
    _row(
        "upper",
        lambda s, rule: matrices.upper(s),
        _of_square(lambda s, rule, seen, model: Bounded(np.triu(s.value), np.triu(s.bound()))),
        _first,
        "",
    ),
    _row(
        "norm_bound",
        lambda s, rule: matrices.norm_bound(s),
        _norm_bound,
        TENSOR,
        "norms of matrices are judged by a derived bound, for every column that rounding may take for the longest",
    ),
)
