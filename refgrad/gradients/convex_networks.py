"""Two-layer ReLU networks as convex programs: patterns, objective, the network of a solution, and a solver."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np

from refgrad.arithmetic.function_arguments import (
    COUNT,
    ITERATIONS,
    NOT_NEGATIVE,
    POSITIVE,
    REAL,
    Labels,
    Numbers,
    gated,
)
from refgrad.errors import bad_argument
from refgrad.gradients.solved import Conditions, Solved
from refgrad.optimizers.transform import Transform, check_axes, check_same
from refgrad.rule import Citation, NonNegative, Positive, Range, Whole

_BAI = Citation(
    "Bai, Gautam & Sojoudi 2023",
    "Efficient Global Optimization of Two-Layer ReLU Networks: Quadratic-Time Algorithms and Adversarial Training",
    "SIAM Journal on Mathematics of Data Science, arXiv:2201.01965",
    read="study",
    source="a study of Bai-YT/Convex-NN-Training 0079259 and zachary-shah/admmNN 22722a7",
)


class GroupSoftThreshold(Transform):
    """The proximal step of a sum of norms: each row is shortened by a length, and is zero where it has no more than that.

    ``rows`` [group, number]: row max(0, 1 - beta / |row|). Source: Yuan & Lin 2006, as Bai, Gautam & Sojoudi 2023 use it.
    """

    beta: NonNegative = 1.0
    citation = _BAI
    shapes: ClassVar[Mapping[str, str]] = {"rows": "group number"}
    lengths: ClassVar[Mapping[str, int]] = {"group": 4, "number": 3}
    unspecified = "a row of zeros: zeros; a row with NaN: NaN, as the formula's maximum has it"
    revision = 2  # a row with NaN was zeros

    def check(self, *arrays: np.ndarray) -> None:
        check_axes(arrays[0], "rows", 2, "[group, number]")

    def apply(self, rows: Any) -> Any:
        norm = np.sqrt(np.sum(rows * rows, axis=1, keepdims=True))
        return np.where(norm <= self.beta, 0.0, rows - self.beta * (rows / norm))


class ConvexReLUObjective(Transform):
    """The convex program of a two-layer ReLU network: its objective, and how far a point violates its constraints.

    ``x`` [example, feature], ``target`` [example]; ``patterns`` [example, pattern] of 0 and 1, which ReLUs are active;
    ``positive`` v and ``negative`` w [pattern, feature]. |sum_i D_i X (v_i - w_i) - y|**2 / 2 + beta sum (|v_i| + |w_i|), where
    (2 D_i - I) X v_i >= 0 and likewise w. Gives ``(objective, violation)``, the largest by which one is negative. Source:
    Pilanci & Ergen 2020, arXiv:2002.10553.
    """

    beta: NonNegative = 0.1
    citation = Citation(
        "Pilanci & Ergen 2020",
        "Neural Networks are Convex Regularizers",
        "ICML, arXiv:2002.10553",
        read="study",
        source=_BAI.source,
    )
    shapes: ClassVar[Mapping[str, str]] = {
        "x": "example feature",
        "target": "example",
        "patterns": "example pattern below:2",
        "positive": "pattern feature",
        "negative": "pattern feature",
    }
    lengths: ClassVar[Mapping[str, int]] = {"example": 5, "feature": 2, "pattern": 3}
    unspecified = "nothing: no pattern at all is a network without units"

    def check(self, *arrays: np.ndarray) -> None:
        x, target, patterns, positive, negative = arrays
        check_axes(x, "x", 2, "[example, feature]")
        check_axes(patterns, "patterns", 2, "[example, pattern]")
        check_same(target, "target", x.shape[:1], "one an example")
        check_same(patterns, "patterns", (len(x), patterns.shape[1]), "one row an example")
        for name, array in (("positive", positive), ("negative", negative)):
            check_same(array, name, (patterns.shape[1], x.shape[1]), "[pattern, feature]")

    def apply(self, x: Any, target: Any, patterns: Any, positive: Any, negative: Any) -> Any:
        active, sides = 1.0 * patterns, 2.0 * patterns - 1.0
        of_positive, of_negative = x @ positive.T, x @ negative.T
        error = np.sum(active * (of_positive - of_negative), axis=1) - target
        norms = np.sum(np.sqrt(np.sum(positive * positive, axis=1)) + np.sqrt(np.sum(negative * negative, axis=1)))
        least = np.minimum(sides * of_positive, sides * of_negative)
        return 0.5 * np.sum(error * error) + self.beta * norms, np.max(-least, initial=0.0)


class ConvexReLUNetwork(Transform):
    """The two-layer ReLU network that a point of the convex program stands for.

    ``positive`` v and ``negative`` w [pattern, feature]. A unit a row: hidden weights v / sqrt |v|, output weight sqrt |v|, and
    minus sqrt |w| of w. Gives ``(hidden, output)`` [2 pattern, feature], [2 pattern], those of v first. Source: Pilanci & Ergen
    2020, arXiv:2002.10553.
    """

    citation = ConvexReLUObjective.citation
    shapes: ClassVar[Mapping[str, str]] = {"positive": "pattern feature", "negative": "pattern feature"}
    lengths: ClassVar[Mapping[str, int]] = {"pattern": 3, "feature": 2}
    unspecified = "a row of zeros: a unit of zeros"

    def check(self, *arrays: np.ndarray) -> None:
        check_axes(arrays[0], "positive", 2, "[pattern, feature]")
        check_same(arrays[1], "negative", arrays[0].shape, "the shape of positive")

    def apply(self, positive: Any, negative: Any) -> Any:
        rows = np.concatenate([positive, negative])
        norm = np.sqrt(np.sum(rows * rows, axis=1))
        root = np.sqrt(norm)
        hidden = np.where(norm[:, None] == 0, 0.0, rows / root[:, None])
        signs = np.where(np.arange(rows.shape[0]) < positive.shape[0], 1.0, -1.0)
        return hidden, signs * root


class ConvexReLUProgram(Solved):
    """The point that solves the convex program of a two-layer ReLU network (`ConvexReLUObjective`).

    ``x`` [example, feature], ``target`` y [example], ``patterns`` [example, pattern]. Gives ``positive`` v and ``negative`` w,
    [pattern, feature]. Judged by the constraints, and by the distance of the objective to what a point of the dual bounds it by:
    with r the error, and z = r shrunk until every |X^T D_i z - X^T S_i a| <= beta for some a >= 0, S_i = 2 D_i - I, and likewise
    of -z, the program is at least -|z|**2 / 2 - z . y. Source: Pilanci & Ergen 2020, arXiv:2002.10553; the bound is derived.
    """

    beta: Positive = 0.1
    tolerance: Annotated[float, Range(0.0, 1e-3)] = 1e-5
    citation = ConvexReLUObjective.citation
    shapes: ClassVar[Mapping[str, str]] = {
        "x": "example feature",
        "target": "example",
        "patterns": "example pattern below:2",
    }
    lengths: ClassVar[Mapping[str, int]] = {"example": 5, "feature": 2, "pattern": 3}
    longest: ClassVar[Mapping[str, int]] = {"example": 17, "feature": 4, "pattern": 7}
    unspecified = "which point, where several are right: any"

    def check(self, *arrays: np.ndarray) -> None:
        x, target, patterns = arrays
        check_axes(x, "x", 2, "[example, feature]")
        check_axes(patterns, "patterns", 2, "[example, pattern]")
        check_same(target, "target", x.shape[:1], "one an example")
        check_same(patterns, "patterns", (len(x), patterns.shape[1]), "one row an example")

    def apply(self, x: Any, target: Any, patterns: Any) -> Any:
        x, target, size, height = _of_size_one(x, target)
        beta, shape = self.beta / (size * height), (patterns.shape[1], x.shape[1])
        if not np.isfinite(beta) or not np.isfinite(x).all() or not np.isfinite(target).all() or not min(shape):
            return {"positive": np.zeros(shape), "negative": np.zeros(shape)}
        found = convex_relu(x, target, patterns, beta, tolerance=1e-8, most=5000)
        scale = height / size
        return {"positive": scale * found.positive, "negative": scale * found.negative}

    def condition(self, x: Any, target: Any, patterns: Any, positive: Any, negative: Any, unit: float) -> Conditions:
        x, target, size, height = _of_size_one(x, target)
        positive, negative = positive * (size / height), negative * (size / height)
        beta, sides = self.beta / (size * height), 2.0 * patterns - 1.0
        seen = (x @ positive.T, x @ negative.T)
        reach = sum(np.abs(x) @ np.abs(each).T for each in (positive, negative))
        error = np.sum(patterns * (seen[0] - seen[1]), axis=1) - target
        norms = sum(np.sum(np.linalg.norm(each, axis=1)) for each in (positive, negative))
        objective, known_to = 0.5 * np.sum(error * error) + beta * norms, 8 * unit
        off = np.sum(known_to * reach, axis=1)
        gap = objective - _dual(x, target, patterns, beta, error)
        return {
            "how far a unit is on the wrong side of an example": (
                max((np.max(-sides * each, initial=0.0) for each in seen), default=0.0),
                self.tolerance + known_to * np.max(reach, initial=0.0),
            ),
            "the distance of the objective to a bound from below": (
                max(gap, 0.0),
                self.tolerance * 0.5 * np.sum(target * target)
                + known_to * beta * norms
                + np.sum((np.abs(error) + off) * off),
            ),
        }


def _of_size_one(x: Any, target: Any) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Examples and targets of which the largest number is one, and what it was."""
    size, height = (float(np.max(np.abs(each), initial=0.0)) or 1.0 for each in (x, target))
    return np.asarray(x, np.float64) / size, np.asarray(target, np.float64) / height, size, height


def _dual(x: np.ndarray, target: np.ndarray, patterns: np.ndarray, beta: float, error: np.ndarray) -> float:
    """What the program is at least, by the error of a point that is shrunk until it is a point of the dual."""
    from scipy.optimize import nnls

    largest = 0.0
    for pattern in patterns.T:
        cone = ((2.0 * pattern - 1.0)[:, None] * x).T
        for sign in (1.0, -1.0):
            largest = max(largest, float(nnls(cone, sign * (x.T @ (pattern * error)))[1]))
    dual = error if largest <= beta else (beta / largest) * error
    return float(-0.5 * np.sum(dual * dual) - np.sum(dual * target))


_MATRIX = Numbers(axes=2, within=REAL)


@gated(x=_MATRIX, directions=_MATRIX)
def activation_patterns(x: Any, directions: Any) -> np.ndarray:
    """Which ReLUs of some units are active at examples, each pattern once.

    Args:
        x: [example, feature].
        directions: weights of the units [feature, unit], normal numbers for a sample of all patterns.

    Returns:
        int64 0 and 1 [example, pattern], in lexicographic order of the columns; a unit that gives 0 is active.

    >>> activation_patterns([[1.0], [-2.0]], [[0.5, -3.0, 2.0]]).tolist()
    [[0, 1], [1, 0]]
    """
    if x.shape[1] != directions.shape[0]:
        raise bad_argument("directions.shape", directions.shape, f"({x.shape[1]}, units): a weight for each feature")
    signs = x @ directions >= 0
    return np.unique(signs, axis=1).astype(np.int64)


@gated(examples=Whole(1, 10_000), rank=COUNT)
def most_patterns(examples: int, rank: int) -> int:
    """How many activation patterns there are at most: 2 sum over k < rank of binom(examples - 1, k).

    Args:
        examples: n.
        rank: of the data.

    Returns:
        The number.

    >>> most_patterns(8, 2)
    16
    """
    total, each = 0, 1
    for k in range(min(rank, examples)):
        total, each = total + each, each * (examples - 1 - k) // (k + 1)
    return 2 * total


class ConvexReLUSolution(NamedTuple):
    """A point of the convex program, and how nearly it solves it.

    Args:
        positive, negative: v and w [pattern, feature].
        objective: at the point.
        violation: of a constraint, at most.
        residual: the largest of the primal and dual residuals of ADMM.
        iterations: how many it took.
    """

    positive: np.ndarray
    negative: np.ndarray
    objective: float
    violation: float
    residual: float
    iterations: int


@gated(
    x=_MATRIX,
    target=Numbers(axes=1, within=REAL),
    patterns=Labels(0, 1, axes=2, least=1),
    beta=NOT_NEGATIVE,
    rho=POSITIVE,
    tolerance=NOT_NEGATIVE,
    most=ITERATIONS,
)
def convex_relu(
    x: Any, target: Any, patterns: Any, beta: float, *, rho: float = 1.0, tolerance: float = 1e-9, most: int = 20_000
) -> ConvexReLUSolution:
    """Solve the convex program of a two-layer ReLU network, by ADMM with scaled duals.

    u solves a linear system, v is its group soft threshold, s the positive part of the constraints, and the duals take what
    these differ by. A point is optimal where both residuals are zero. Source: Bai, Gautam & Sojoudi 2023, arXiv:2201.01965.

    Args:
        x: [example, feature].
        target: [example].
        patterns: 0 and 1 [example, pattern].
        beta: the weight of the norms, not negative.
        rho: the penalty, positive.
        tolerance: of the residuals, at which it ends.
        most: iterations at most; what has not converged says so by its residual.

    Returns:
        The point v after the threshold, which may violate constraints by the residual.

    Raises:
        ArgumentError: shapes do not fit.

    >>> found = convex_relu([[1.0], [2.0]], [1.0, 2.0], [[0, 1], [0, 1]], beta=0.5)
    >>> round(found.objective, 6)
    0.475
    """
    check_same(target, "target", x.shape[:1], "one number an example")
    if len(patterns) != len(x):
        raise bad_argument("patterns.shape", patterns.shape, f"({len(x)}, patterns)")
    count, features = patterns.shape[1], x.shape[1]
    active = np.concatenate([patterns[:, i, None] * x for i in range(count)], axis=1)
    fit = np.concatenate([active, -active], axis=1)  # F
    sides = np.stack([(2 * patterns[:, i, None] - 1) * x for i in range(count)] * 2)  # the blocks of G
    size = 2 * count * features
    system = np.eye(size) + fit.T @ fit / rho
    for i, block in enumerate(sides):
        rows = slice(i * features, (i + 1) * features)
        system[rows, rows] += block.T @ block
    inverse = _inverse(system, x)
    v, dual = np.zeros((2 * count, features)), np.zeros((2 * count, features))
    slack, other = np.zeros((2 * count, len(x))), np.zeros((2 * count, len(x)))
    threshold, residual, taken = GroupSoftThreshold(beta=beta / rho), np.inf, 0
    while residual > tolerance and taken < most:
        right = fit.T @ target / rho + (v - dual + np.einsum("bnf,bn->bf", sides, slack - other)).ravel()
        u = (inverse @ right).reshape(v.shape)
        constraint = np.einsum("bnf,bf->bn", sides, u)
        before = (v, slack)
        v, slack = threshold(u + dual), np.maximum(constraint + other, 0.0)
        dual, other = dual + u - v, other + constraint - slack
        apart = (u - v, constraint - slack, rho * (v - before[0]), rho * (slack - before[1]))
        residual, taken = max(float(np.max(np.abs(each), initial=0.0)) for each in apart), taken + 1
    positive, negative = v[:count], v[count:]
    objective, violation = ConvexReLUObjective(beta=beta)(x, target, patterns, positive, negative)
    return ConvexReLUSolution(positive, negative, float(objective), float(violation), residual, taken)


def _inverse(system: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The inverse of the identity plus what examples bring, beside which it may not be lost."""
    try:
        if np.isfinite(system).all():
            return np.linalg.inv(system)
    except np.linalg.LinAlgError:
        pass
    raise bad_argument("x", float(np.abs(x).max()), "numbers whose squares, divided by rho, float64 adds to one")
