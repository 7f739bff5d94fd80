"""Which minima stochastic gradient descent can stay at: the linear operator of its second moments, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.arithmetic.function_arguments import AT_LEAST_ONE, POSITIVE, REAL, Numbers, gated
from refgrad.gradients.sgd_noise import Sampling, sampled
from refgrad.legal import Whole
from refgrad.optimizers.transform import Transform, check_axes, check_count, check_same
from refgrad.rule import Citation, Positive

_STABILITY = Citation(
    "Wu & Su 2023",
    "The Implicit Regularization of Dynamical Stability in Stochastic Gradient Descent",
    "ICML, arXiv:2305.17490",
    read="study",
    source="a study of the setting; the operator and the bounds are derived",
    unreachable="the publication's constants of loss stability",
)


class SecondMomentStep(Transform):
    """How a step of SGD at a minimum that fits every example maps the second moments of the distance from it.

    ``rows`` a [examples, parameters], the gradients of the predictions; ``moments`` M [parameters, parameters]. With
    H = mean a a^T and the squared loss gives (1 - lr H) M (1 - lr H) + lr**2 c (mean (a^T M a) a a^T - H M H), c = 1 / B. SGD is
    stable in mean square where no eigenvalue of this map is above one. Source: Wu & Su 2023, arXiv:2305.17490.
    """

    lr: Positive = 0.1
    batch: Annotated[int, Whole(1)] = 2
    sampling: Sampling = "replacement"
    citation = _STABILITY
    shapes: ClassVar[Mapping[str, str]] = {"rows": "example parameter", "moments": "parameter parameter"}
    lengths: ClassVar[Mapping[str, int]] = {"example": 4, "parameter": 3}
    unspecified = "how batches are drawn (sampling)"

    def check(self, *arrays: np.ndarray) -> None:
        rows, moments = arrays
        check_axes(rows, "rows", 2, "[examples, parameters]")
        least = self.batch if self.sampling == "distinct" else 1
        check_count(rows, "rows", least, "one row an example, a batch of them at least where they are distinct")
        check_same(moments, "moments", (rows.shape[1], rows.shape[1]), "one row and column a parameter")

    def apply(self, rows: Any, moments: Any) -> Any:
        hessian = rows.T @ rows / len(rows)
        contracted = moments - self.lr * (hessian @ moments)
        contracted = contracted - self.lr * (contracted @ hessian)
        along = np.sum((rows @ moments) * rows, axis=1)
        spread = (rows * along[:, None]).T @ rows / len(rows) - hessian @ moments @ hessian
        return contracted + self.lr**2 * sampled(self.batch, len(rows), self.sampling) * spread


class StableRates(Transform):
    """Learning rates above which SGD is not stable at a minimum that fits every example: two necessary conditions.

    ``rows`` a [examples, parameters], the gradients of the predictions. With H = mean a a^T gives ``norms``,
    2 tr H / ((1 - 1/B) |H|_F**2 + mean |a|**4 / B), and ``trace``, 2 / tr H, which bounds it for B = 1 alone. Infinite where
    all rows are zero. Source: Wu & Su 2023, arXiv:2305.17490.
    """

    batch: Annotated[int, Whole(1)] = 2
    citation = _STABILITY
    shapes: ClassVar[Mapping[str, str]] = {"rows": "example parameter"}
    lengths: ClassVar[Mapping[str, int]] = {"example": 4, "parameter": 3}
    unspecified = "the bounds are from the moments' map and the identity; larger batches may be stable beyond 2 / tr H"

    def check(self, *arrays: np.ndarray) -> None:
        check_axes(arrays[0], "rows", 2, "[examples, parameters]")
        check_count(arrays[0], "rows", 1, "one row an example")

    def apply(self, rows: Any) -> Any:
        squares = np.sum(rows * rows, axis=1)
        hessian = rows.T @ rows / len(rows)
        trace, fourth = np.mean(squares), np.mean(squares * squares)
        bound = (1 - 1 / self.batch) * np.sum(hessian * hessian) + fourth / self.batch
        return {
            "norms": np.where(trace == 0, np.inf, 2.0 * trace / bound),
            "trace": np.where(trace == 0, np.inf, 2.0 / trace),
        }


_ROWS = Numbers(axes=2, within=REAL, least=1)


@gated(rows=_ROWS, lr=POSITIVE, batch=AT_LEAST_ONE)
def second_moment_map(rows: np.ndarray, lr: float, batch: int) -> np.ndarray:
    """The map of `SecondMomentStep`, batches drawn with replacement, as a matrix.

    Args:
        rows: the gradients of the predictions, [examples, parameters].
        lr: the learning rate.
        batch: how many examples a batch has.

    Returns:
        [parameters**2, parameters**2] of float64, for moments row by row.

    Raises:
        ArgumentError: ``rows`` has another number of axes or no row, or lr or batch is illegal.

    >>> second_moment_map(np.array([[1.0]]), 0.5, 1).tolist()
    [[0.25]]
    """
    hessian = rows.T @ rows / len(rows)
    contraction = np.eye(len(hessian)) - lr * hessian
    pairs = np.stack([np.kron(a, a) for a in rows])
    spread = pairs.T @ pairs / len(rows) - np.kron(hessian, hessian)
    return np.kron(contraction, contraction) + lr**2 / batch * spread


@gated(rows=_ROWS, batch=AT_LEAST_ONE)
def critical_rate(rows: np.ndarray, batch: int) -> float:
    """The learning rate at which SGD stops to be stable in mean square at a minimum that fits every example.

    The map's largest eigenvalue in size is one there: at lr**2 times a matrix less lr times another it is a generalised
    eigenvalue, so that no search is needed.

    Args:
        rows: the gradients of the predictions, [examples, parameters], of which none may be zero in all rows.
        batch: how many examples a batch has; they are drawn with replacement.

    Returns:
        The rate; infinite where all rows are zero.

    Raises:
        ArgumentError: as `second_moment_map`.

    >>> critical_rate(np.array([[2.0]]), 1)
    0.5
    """
    basis = np.linalg.svd(rows, full_matrices=False)[2][: np.linalg.matrix_rank(rows)] if rows.any() else rows[:0]
    if not len(basis):
        return float("inf")
    within = rows @ basis.T  # what no row reaches does not move
    count = within.shape[1]
    hessian, identity = within.T @ within / len(within), np.eye(count)
    drift = np.kron(hessian, identity) + np.kron(identity, hessian)
    pairs = np.stack([np.kron(a, a) for a in within])
    spread = pairs.T @ pairs / len(within)
    curved = np.kron(hessian, hessian) + (spread - np.kron(hessian, hessian)) / batch
    return float(1 / np.max(np.linalg.eigvals(np.linalg.solve(drift, curved)).real))


class TwoLayerReluTrace(Transform):
    """The trace of the Hessian of half the mean squared loss of a two-layer ReLU network that fits every example.

    ``inputs`` x [examples, features], ``weight`` w [units, features], ``outer`` b [units]; it is the sum of b relu(w . x).
    Gives the mean over examples of the sum over units of relu(w . x)**2 + b**2 1{w . x > 0} |x|**2. Source: Wu & Su 2023,
    arXiv:2305.17490.
    """

    citation = _STABILITY
    shapes: ClassVar[Mapping[str, str]] = {"inputs": "example feature", "weight": "unit feature", "outer": "unit"}
    lengths: ClassVar[Mapping[str, int]] = {"example": 4, "feature": 3, "unit": 2}
    unspecified = "the derivative of relu at zero: 0, or 1 where rounding makes w . x zero or not"

    def check(self, *arrays: np.ndarray) -> None:
        inputs, weight, outer = arrays
        check_axes(inputs, "inputs", 2, "[examples, features]")
        check_count(inputs, "inputs", 1, "one row an example")
        check_axes(weight, "weight", 2, "[units, features]")
        check_same(weight, "weight", (len(weight), inputs.shape[1]), "one column a feature")
        check_same(outer, "outer", weight.shape[:1], "one number a unit")

    def apply(self, inputs: Any, weight: Any, outer: Any) -> Any:
        before = inputs @ weight.T
        active = np.maximum(before, 0.0)
        squares = np.sum(inputs * inputs, axis=1, keepdims=True)
        of_weights = np.where(before > 0, outer * outer * squares, 0.0)
        return np.mean(np.sum(active * active + of_weights, axis=1))


class DiagonalNetworkTrace(Transform):
    """The trace of the Hessian of half the mean squared loss of x . (u**2 - v**2), where that fits every example.

    ``inputs`` x [examples, features], ``u`` and ``v`` [features]. Gives 4 times the mean over examples of the sum over features
    of x**2 (u**2 + v**2). Source: Wu & Su 2023, arXiv:2305.17490.
    """

    citation = _STABILITY
    shapes: ClassVar[Mapping[str, str]] = {"inputs": "example feature", "u": "feature", "v": "feature"}
    lengths: ClassVar[Mapping[str, int]] = {"example": 4, "feature": 3}
    unspecified = "nothing: it is derived"

    def check(self, *arrays: np.ndarray) -> None:
        inputs, u, v = arrays
        check_axes(inputs, "inputs", 2, "[examples, features]")
        check_count(inputs, "inputs", 1, "one row an example")
        check_same(u, "u", inputs.shape[1:], "one number a feature")
        check_same(v, "v", inputs.shape[1:], "one number a feature")

    def apply(self, inputs: Any, u: Any, v: Any) -> Any:
        return 4.0 * np.mean(np.sum(inputs * inputs * (u * u + v * v), axis=1))
