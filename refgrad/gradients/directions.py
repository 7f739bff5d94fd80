"""Conjugate directions that a model suggests, in place of the residual, for linear systems."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np

from refgrad.arithmetic.function_arguments import ITERATIONS, NOT_NEGATIVE, REAL, Function, Numbers, OrNone, gated
from refgrad.gradients.equilibrium import check_square
from refgrad.optimizers.transform import Transform, check_axes, check_same
from refgrad.rule import Choice, Citation, by

_KANEDA = Citation(
    "Kaneda et al. 2023",
    "A Deep Conjugate Direction Method for Iteratively Solving Linear Systems",
    "ICML, arXiv:2205.10763",
    read="authors' code",
    source="ayano721/2023_DCDM 8cee1c5, by notes on it",
)
_PROJECTION = Choice(
    classical=by("all coefficients of the direction as it was suggested", "authors: one version"),
    modified=by(
        "each coefficient of what the ones before have left (Gram-Schmidt, modified)", "authors: another version"
    ),
)


class ConjugateDirectionStep(Transform):
    """A step of a linear system along a suggested direction, made conjugate to the last ones.

    ``matrix`` A [n, n], symmetric positive definite; ``x``, ``right`` b, ``suggested`` q [n], what the model gives of the scaled
    residual; ``last`` [2, n], the two directions before, zeros where there are none yet. q loses its part along each, p
    (q . A p) / (p . A p), and x moves by q (q . r) / (q . A q), r = b - A x. Gives ``(x, q)``. Source: Kaneda et al. 2023,
    arXiv:2205.10763.
    """

    projection: Annotated[str, _PROJECTION] = "classical"
    citation = _KANEDA
    shapes: ClassVar[Mapping[str, str]] = {"matrix": "n n", "x": "n", "right": "n", "suggested": "n", "last": "2 n"}
    lengths: ClassVar[Mapping[str, int]] = {"n": 4, "2": 2}
    longest: ClassVar[Mapping[str, int]] = {"n": 33}
    unspecified = "a direction of no length: its coefficient is 0, and a step along it moves nothing"

    def check(self, *arrays: np.ndarray) -> None:
        matrix, x, right, suggested, last = arrays
        check_square(matrix, "matrix")
        for name, array in (("x", x), ("right", right), ("suggested", suggested)):
            check_same(array, name, matrix.shape[:1], "a row of the matrix")
        check_same(last, "last", (2, len(matrix)), "two rows of the matrix's length")

    def apply(self, matrix: Any, x: Any, right: Any, suggested: Any, last: Any) -> Any:
        direction = suggested
        for p in (last[0], last[1]):
            image = matrix @ p
            of = suggested if self.projection == "classical" else direction
            direction = direction - p * share(np.sum(of * image), np.sum(p * image))
        residual = right - matrix @ x
        step = share(np.sum(direction * residual), np.sum(direction * (matrix @ direction)))
        return x + step * direction, direction


class ConjugateDirectionLoss(Transform):
    """What a model of directions is trained by: how far the best step along each leaves the residual.

    ``matrix`` A [n, n]; ``right`` b, ``suggested`` f [example, n]. The mean of |b - A f (f . b) / (f . A f)|**2, from 0, where
    f is along A^-1 b. Gives one number. Source: Kaneda et al. 2023, arXiv:2205.10763.
    """

    citation = _KANEDA
    shapes: ClassVar[Mapping[str, str]] = {"matrix": "n n", "right": "example n", "suggested": "example n"}
    lengths: ClassVar[Mapping[str, int]] = {"n": 4, "example": 3}
    unspecified = "a direction of no length: no step"

    def check(self, *arrays: np.ndarray) -> None:
        matrix, right, suggested = arrays
        check_square(matrix, "matrix")
        check_axes(right, "right", 2, "[example, n]")
        check_same(right, "right", (len(right), len(matrix)), "rows of the matrix's length")
        check_same(suggested, "suggested", right.shape, "the shape of right")

    def apply(self, matrix: Any, right: Any, suggested: Any) -> Any:
        image = suggested @ matrix.T
        step = share(np.sum(suggested * right, axis=1), np.sum(suggested * image, axis=1))
        left = right - step[:, None] * image
        return np.mean(np.sum(left * left, axis=1))


def share(part: Any, whole: Any) -> Any:
    """A quotient, 0 where its divisor is 0.

    Args:
        part: the dividend.
        whole: the divisor.

    Returns:
        The quotient.
    """
    return np.where(whole == 0, 0.0, part / whole)


class Solution(NamedTuple):
    """A solution of a linear system.

    Args:
        x: the solution.
        residuals: |b - A x| at the start and after each step.
    """

    x: np.ndarray
    residuals: np.ndarray


@gated(
    matrix=Numbers(axes=2, within=REAL),
    right=Numbers(axes=1, within=REAL),
    model=Function(),
    start=OrNone(Numbers(axes=1, within=REAL)),
    tolerance=NOT_NEGATIVE,
    most=ITERATIONS,
)
def conjugate_directions(
    matrix: Any,
    right: Any,
    model: Callable[[np.ndarray], np.ndarray],
    *,
    start: Any = None,
    tolerance: float = 1e-10,
    most: int = 1000,
) -> Solution:
    """Solve a linear system by steps along what a model makes of the residual.

    The method is `ConjugateDirectionStep`, again and again. A model that gives the residual itself makes it the method of
    conjugate gradients; one that gives A^-1 r ends after one step.

    Args:
        matrix: A [n, n], symmetric positive definite.
        right: b [n].
        model: from a residual of norm 1 [n] to a direction [n].
        start: the first x; zeros without it.
        tolerance: it ends where |r| is less than this times the first |r|.
        most: steps at most.

    Returns:
        The solution, with all residual norms.

    Raises:
        ArgumentError: shapes do not fit.

    >>> conjugate_directions([[2.0, 0.0], [0.0, 1.0]], [2.0, 3.0], lambda r: r).x.round(9).tolist()
    [1.0, 3.0]
    """
    check_square(matrix, "matrix")
    check_same(right, "right", matrix.shape[:1], "a row of the matrix")
    x = np.zeros_like(right) if start is None else start
    check_same(x, "start", right.shape, "the shape of right")
    rule, last = ConjugateDirectionStep(), np.zeros((2, len(right)))
    norms = [float(np.linalg.norm(right - matrix @ x))]
    while norms[-1] > tolerance * norms[0] and len(norms) <= most:
        along = Numbers().check("model's direction", model((right - matrix @ x) / norms[-1]))
        check_same(along, "model's direction", right.shape, "the shape of right")
        x, direction = rule(matrix, x, right, along, last)
        last = np.stack([last[1], direction])
        norms.append(float(np.linalg.norm(right - matrix @ x)))
    return Solution(x, np.array(norms))
