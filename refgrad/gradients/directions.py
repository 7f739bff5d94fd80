"""Conjugate directions that a model suggests, in place of the residual, for linear systems."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np

from refgrad.arithmetic.function_arguments import ITERATIONS, NOT_NEGATIVE, REAL, Function, Numbers, OrNone, gated
from refgrad.gradients.equilibrium import check_square
from refgrad.gradients.solved import Conditions, Solved
from refgrad.optimizers.transform import Transform, check_axes, check_same
from refgrad.rule import Choice, Citation, Positive, Range, by

_KANEDA = Citation(
    "Kaneda et al. 2023",
    "A Deep Conjugate Direction Method for Iteratively Solving Linear Systems",
    "ICML, arXiv:2205.10763",
    read="authors' code",
    source="ayano721/2023_DCDM 8cee1c5, by notes on it",
)
#: roundings, beside one an equation and one a row, of the magnitudes in what is left of a system
ROUNDINGS = 8

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


class ConjugateDirectionSolution(Solved):
    """What the iteration of conjugate directions ends at: x with (F^T F + damping I) x = b.

    ``factors`` F [row, n], ``right`` b [n]. Judged by the residual as the iteration is, |b - A x| <= ``tolerance`` |b|, and
    roundings; any solver that gets there is right. Source: Kaneda et al. 2023, arXiv:2205.10763.
    """

    damping: Positive = 0.1
    tolerance: Annotated[float, Range(0.0, 1e-2)] = 1e-5
    citation = _KANEDA
    shapes: ClassVar[Mapping[str, str]] = {"factors": "row n", "right": "n"}
    lengths: ClassVar[Mapping[str, int]] = {"row": 6, "n": 4}
    longest: ClassVar[Mapping[str, int]] = {"row": 129, "n": 33}
    unspecified = "what suggests directions, and which system: here the residual does, and the system is a damped one"

    def check(self, *arrays: np.ndarray) -> None:
        factors, right = arrays
        check_axes(factors, "factors", 2, "[row, n]")
        check_same(right, "right", factors.shape[1:], "a column of the factors")

    def apply(self, factors: Any, right: Any) -> Any:
        factors, right = np.asarray(factors, np.float64), np.asarray(right, np.float64)
        matrix = factors.T @ factors + self.damping * np.eye(len(right))
        if not (np.isfinite(matrix).all() and np.isfinite(right).all()):
            return np.full(right.shape, np.nan)
        scale = np.max(np.abs(right), initial=0.0)
        if not scale > 0:
            return np.zeros_like(right)
        found = conjugate_directions(
            matrix, right / scale, lambda r: r, tolerance=self.tolerance / 1000, most=4 * len(right)
        )
        if found.residuals[-1] <= self.tolerance / 10 * found.residuals[0]:
            return scale * found.x
        return scale * np.linalg.lstsq(matrix, right / scale)[0]  # of which the iteration's roundings are too large

    def condition(self, factors: Any, right: Any, solution: Any, unit: float) -> Conditions:
        left = right - factors.T @ (factors @ solution) - self.damping * solution
        through = np.abs(factors).T @ (np.abs(factors) @ np.abs(solution))
        magnitude = np.linalg.norm(through) + self.damping * np.linalg.norm(solution) + np.linalg.norm(right)
        room = self.tolerance * np.linalg.norm(right) + unit * (ROUNDINGS + sum(factors.shape)) * magnitude
        return {"what is left of the system": (np.linalg.norm(left), room)}
