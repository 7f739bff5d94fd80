"""Masks by the curvature of the loss: OBD, OBS, WoodFisher and SparseGPT. Factorizations are in float64."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np

from refgrad.arithmetic.top_k import Ties, keys, top_k
from refgrad.errors import bad_argument
from refgrad.rule import Choice, Citation, Positive, Whole, by
from refgrad.sparsity import counts
from refgrad.sparsity.base import Sparsity, Unstructured


class OBD(Unstructured):
    """Optimal brain damage: the loss that deleting a weight costs under a diagonal Hessian.

    Score: h w^2 / 2, ``h`` the diagonal of the Hessian. Source: LeCun et al. 1989, NIPS 2, equation 5.
    """

    inputs = {"h": "positive"}

    exempt_laws: ClassVar[Mapping[str, str]] = {}
    citation = Citation(
        "LeCun et al. 1989",
        "Optimal Brain Damage",
        "NIPS 2, equation 5",
        read="study",
        source="derived here: the solution of the constrained quadratic problem",
    )
    unspecified = (
        "how the diagonal is estimated: it is an argument; where it is negative, which the source excludes at a "
        "minimum, weights are pruned first"
    )

    def scores(self, w: Any, h: Any) -> Any:  # type: ignore[override]
        return h * w * w / 2


class OBS(Unstructured):
    """Optimal brain surgeon: the loss that deleting a weight costs if all others make up for it.

    Score: w_q^2 / (2 [H^-1]_qq), ``d`` the diagonal of the inverse Hessian. The others' change is `update`.
    Source: Hassibi & Stork 1992, NIPS 5, equation 5.
    """

    inputs = {"d": "positive"}

    exempt_laws: ClassVar[Mapping[str, str]] = {}
    citation = Citation(
        "Hassibi & Stork 1992",
        "Second order derivatives for network pruning",
        "NIPS 5, equation 5",
        read="study",
        source="derived here: the solution of the constrained quadratic problem",
    )
    unspecified = (
        "how the inverse Hessian is estimated and damped: its diagonal is an argument; the source deletes one "
        "weight at a time, a count is pruned together here"
    )

    def scores(self, w: Any, d: Any) -> Any:  # type: ignore[override]
        return w * w / (2 * d)

    @staticmethod
    def update(w: np.ndarray, inverse: np.ndarray, q: int) -> np.ndarray:
        """The weights (a vector) after deleting weight ``q``: w - (w_q / [H^-1]_qq) H^-1[:, q]; entry q is exactly zero."""
        new = w - (w[q] / inverse[q, q]) * inverse[:, q]
        new[q] = 0.0
        return new


class WoodFisher(Unstructured):
    """OBS with the empirical Fisher matrix, inverted one gradient at a time by Woodbury's identity.

    Score: w^2 / (2 [F^-1]_ii); ``d`` is the diagonal of `inverse_fisher`. All pruned weights are deleted together, each as if
    alone (equation 5's approximation): `update`. Source: Singh & Alistarh 2020, arXiv:2004.14340, equations 3 and 5.
    """

    inputs = {"d": "positive"}
    offset: Annotated[
        str,
        Choice(
            none=by("the score as it is", "published"),
            code=by("1e-10 is added to the diagonal and to the score, and the factor 1/2 left out", "authors"),
        ),
    ] = "none"

    exempt_laws: ClassVar[Mapping[str, str]] = {}
    citation = Citation(
        "Singh & Alistarh 2020",
        "WoodFisher: Efficient Second-Order Approximation",
        "arXiv:2004.14340, equation 3",
        read="authors' code",
        source="IST-DASLab/WoodFisher d4b1a96, pruners/woodfisherblock.py",
    )
    unspecified = (
        "the damping, and how many gradients are taken: arguments; the authors' code leaves the factor 1/2 out and "
        "adds 1e-10 (offset=code); weights are deleted together as if each alone"
    )

    def scores(self, w: Any, d: Any) -> Any:  # type: ignore[override]
        if self.offset == "code":
            return w * w / (d + 1e-10) + 1e-10
        return w * w / (2 * d)

    @staticmethod
    def inverse_fisher(gradients: np.ndarray, damping: float = 1e-5) -> np.ndarray:
        """The inverse of damping I + (1/N) sum g g^T, N gradients as rows, in float64.

        Raises:
            ArgumentError: the damping is not positive, or there is no gradient.
        """
        g = np.asarray(gradients, np.float64)
        if g.ndim != 2 or not len(g):
            raise bad_argument("gradients.shape", g.shape, "(N, d) with N at least 1")
        if not damping > 0.0:
            raise bad_argument("damping", damping, "a number in (0, inf)")
        inverse = np.eye(g.shape[1]) / damping
        for each in g:
            v = inverse @ each
            inverse -= np.outer(v, v) / (len(g) + each @ v)
        return inverse

    @staticmethod
    def update(w: np.ndarray, inverse: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """The weights (a vector) after deleting all that the mask prunes; what is pruned is exactly zero."""
        change = -inverse @ np.where(mask, 0.0, w / np.diag(inverse))
        return np.where(mask, w + change, 0.0)


class Pruned(NamedTuple):
    """Weights after pruning, and the mask."""

    w: np.ndarray
    mask: np.ndarray


class SparseGPT(Unstructured):
    """SparseGPT: columns are pruned from left to right, and what is to their right makes up for it.

    With U the upper Cholesky factor of the inverse of the damped Hessian H = 2 X X^T: in each block of columns those weights
    with the smallest w^2 / U_jj^2 are pruned, at the block's first column; then for each column the error (w - q) / U_jj is
    taken off the columns to the right, times U[j, :]. With an N:M pattern (``m`` > 0) n of every m are kept, chosen as the
    group is reached. Score: w^2 / u^2, ``u`` the diagonal of U, a number a column. Float64 throughout.
    Source: Frantar & Alistarh 2023, arXiv:2301.00774, Algorithm 1.
    """

    sparsity: Sparsity = 0.5
    rounding: counts.Rounding = "floor"
    percent_damping: Positive = 0.01
    block: Annotated[int, Whole(1)] = 128
    n: Annotated[int, Whole(0)] = 0
    m: Annotated[int, Whole(0)] = 0
    ties: Ties = "low"
    inputs = {"u": "column"}

    exempt_laws: ClassVar[Mapping[str, str]] = {}
    citation = Citation(
        "Frantar & Alistarh 2023",
        "SparseGPT: Massive Language Models Can Be Accurately Pruned",
        "arXiv:2301.00774",
        read="authors' code",
        source="IST-DASLab/sparsegpt 147d215",
    )
    unspecified = (
        "the damping, a hundredth of the mean diagonal, and blocks of 128 columns are the code's; its unstructured "
        "mask takes one entry a block more (rounding=floor_plus_one); ties"
    )

    def scores(self, w: Any, u: Any) -> Any:  # type: ignore[override]
        return w * w / (u * u)

    def factor(self, hessian: np.ndarray) -> np.ndarray:
        """U with U^T U = (H + damping mean(diag H) I)^-1; a channel that was never active counts as 1.

        Raises:
            ArgumentError: the damped matrix is not positive definite.
        """
        h = np.array(hessian, np.float64)
        dead = np.diag(h) == 0.0
        h[dead, dead] = 1.0
        h += np.eye(len(h)) * (self.percent_damping * np.mean(np.diag(h)))
        try:
            np.linalg.cholesky(h)
            return np.linalg.cholesky(np.linalg.inv(h)).T
        except np.linalg.LinAlgError:
            raise bad_argument(
                "hessian", "not positive definite after damping", "one that is, or more damping"
            ) from None

    def prune(self, w: np.ndarray, hessian: np.ndarray) -> Pruned:
        """The weights (outputs, inputs) after pruning and updating, in float64, and their mask.

        Raises:
            ArgumentError: shapes that do not fit, or what `factor` raises.
        """
        if w.ndim != 2 or hessian.shape != (w.shape[1], w.shape[1]):
            raise bad_argument("hessian.shape", hessian.shape, "(inputs, inputs) beside w (outputs, inputs)")
        if self.m and w.shape[1] % self.m:
            raise bad_argument("w.shape[1]", w.shape[1], f"a multiple of m={self.m}")
        new, u = np.where(np.diag(hessian) == 0.0, 0.0, w.astype(np.float64)), self.factor(hessian)
        mask = np.ones(w.shape, bool)
        for start in range(0, w.shape[1], self.block):
            part = slice(start, min(start + self.block, w.shape[1]))
            if not self.m:
                mask[:, part] = self.select(new[:, part] ** 2 / np.diag(u)[part] ** 2)
            for j in range(part.start, part.stop):
                if self.m and j % self.m == 0:
                    group = slice(j, j + self.m)
                    ranked = keys(new[:, group] ** 2 / np.diag(u)[group] ** 2, self.nan_rank)
                    mask[:, group] = top_k(ranked, self.n, self.ties)
                error = np.where(mask[:, j], 0.0, new[:, j] / u[j, j])
                new[:, j] = np.where(mask[:, j], new[:, j], 0.0)
                new[:, j + 1 :] -= np.outer(error, u[j, j + 1 :])
        return Pruned(new, mask)
