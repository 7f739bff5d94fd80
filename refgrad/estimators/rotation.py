"""RBNN's rotation: two orthogonal matrices turn a filter towards its binarization, and a learned angle mixes it in."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from refgrad.arithmetic.function_arguments import REAL, Numbers, Several, gated
from refgrad.arithmetic.operations.functions import cos, sin
from refgrad.arithmetic.primitives import tree_sum
from refgrad.axes import ELEMENT, ROW
from refgrad.errors import bad_argument
from refgrad.estimators.base import Estimator, Parameter, Parameters
from refgrad.legal import Whole
from refgrad.rule import Citation

SOURCE = Citation(
    "Lin et al. 2020",
    "Rotated Binary Neural Network",
    "arXiv:2009.13055",
    read="authors' code",
    source="lmbxmu/RBNN 0b5e73b, cifar/modules/binarized_modules.py",
)


class RBNNRotation(Estimator):
    """Weights moved towards their rotation: y = x + |sin theta| (rotated - x), theta an angle a filter ``x[i, ...]``.

    The rotation is a constant of the gradient: dx = (1 - |sin theta|) g, and dtheta = the filter's sum of g (rotated - x) times
    sign(sin theta) cos theta. With the first angle, pi/2, dx vanishes but for rounding. Source: Lin et al. 2020,
    arXiv:2009.13055, section 3.3, read in the authors' code; `rotate` gives ``rotated``.
    """

    citation = SOURCE
    unspecified = "whether the rotated weights are a constant of the gradient: they are in the authors' code, and here"
    parameters = Parameters(rotated=Parameter(ELEMENT, learned=False), theta=Parameter(ROW))

    def forward(self, x: Any, rotated: Any, theta: Any) -> Any:  # type: ignore[override]
        return x + np.abs(sin(theta)) * (rotated - x)

    def backward(self, cotangent: Any, x: Any, rotated: Any, theta: Any) -> Any:  # type: ignore[override]
        s = sin(theta)
        slope = np.sign(s) * cos(theta)
        return (1 - np.abs(s)) * cotangent, slope * tree_sum(cotangent * (rotated - x), over="row")


class Rotation(NamedTuple):
    """Two orthogonal matrices, (a, a) and (b, b)."""

    left: np.ndarray
    right: np.ndarray


_FILTERS = Numbers(within=REAL)
_ROTATION = Several(Numbers(axes=2, within=REAL, least=1), least=2, most=2, kind=tuple)


@gated(n=Whole(1, 10**12))
def sides(n: int) -> tuple[int, int]:
    """The shape that a filter of ``n`` weights is rotated in: a the largest divisor of n up to its root, b = n/a."""
    a = next(d for d in range(math.isqrt(n), 0, -1) if n % d == 0)
    return a, n // a


@gated(w=_FILTERS, rotation=_ROTATION)
def rotate(w: np.ndarray, rotation: Rotation) -> np.ndarray:
    """Each filter ``w[i, ...]`` as a matrix X turned to R1^T X R2, in float64."""
    left, right = rotation
    x = _matrices(w, left, right)
    return (left.T @ x @ right).reshape(np.shape(w))


@gated(w=_FILTERS, rotation=_ROTATION, rounds=Whole(0, 10_000))
def learned_rotation(w: np.ndarray, rotation: Rotation, rounds: int = 3) -> Rotation:
    """R1 and R2 that bring the filters nearer to signs: rounds of three closed-form steps, each with the others fixed.

    B = sign(R1^T X R2); R1 = V U^T of sum_i B_i R2^T X_i^T = U S V^T; R2 = U V^T of sum_i X_i^T R1 B_i = U S V^T. No step lowers
    sum_i trace(B_i^T R1^T X_i R2). In float64. Source: Lin et al. 2020, arXiv:2009.13055, section 3.2, equations 8 to 13.
    """
    left, right = rotation
    x = _matrices(w, left, right)
    for _ in range(rounds):
        b = np.where(left.T @ x @ right >= 0.0, 1.0, -1.0)
        u, _, v = np.linalg.svd(np.einsum("iab,cb,idc->ad", b, right, x))
        left = v.T @ u.T
        u, _, v = np.linalg.svd(np.einsum("iab,ac,icd->bd", x, left, b))
        right = u @ v
    return Rotation(left, right)


def _matrices(w: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The filters as matrices."""
    for name, matrix in (("rotation[0]", left), ("rotation[1]", right)):
        if matrix.shape[0] != matrix.shape[1]:
            raise bad_argument(f"{name}.shape", matrix.shape, "a square matrix")
    if w.size % (len(left) * len(right)):
        raise bad_argument("w.shape", w.shape, f"filters of {len(left) * len(right)} weights, as rotation turns")
    return w.reshape(-1, len(left), len(right))
