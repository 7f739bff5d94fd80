"""What products of a Hessian with vectors tell: diagonal and trace, Lanczos' tridiagonal matrix and the spectrum it gives,
damped directions, and the rates of gradient descent that a spectrum's ends allow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.arithmetic.function_arguments import REAL, Numbers, gated
from refgrad.errors import bad_argument
from refgrad.optimizers.transform import Transform, check_axes, check_count, check_same
from refgrad.rule import Choice, Citation, Decay, Iterations, Positive, by

_LANCZOS = Citation(
    "Granziol, Zohren & Roberts 2022",
    "Learning Rates as a Function of Batch Size: A Random Matrix Theory Approach",
    "JMLR 23(173), arXiv:2006.09092; stochastic Lanczos quadrature as in Ubaru, Chen & Saad 2017",
    read="package",
    source="amirgholami/PyHessian de8cf23, pyhessian/hessian.py density, density_plot.py",
    unreachable="the publication's own learner from Lanczos extremes",
)


class HutchinsonEstimates(Transform):
    """The trace and the diagonal of a matrix by its products with random vectors: means of z . Hz, and of z Hz.

    ``probes`` z and ``products`` Hz [probes, parameters], of independent entries of mean zero and variance one. Gives
    the diagonal [parameters] and the trace, the diagonal's sum. Source: Hutchinson 1990; Bekas, Kokiopoulou & Saad 2007.
    """

    citation = Citation(
        "Bekas, Kokiopoulou & Saad 2007",
        "An estimator for the diagonal of a matrix",
        "Applied Numerical Mathematics 57, equation 3",
        read="package",
        source="amirgholami/PyHessian de8cf23, pyhessian/hessian.py trace; huawei-noah/Federated-Learning a50b474, "
        "HessianAlignment/domainbed/algorithms.py calc_hessian_diag",
    )
    shapes: ClassVar[Mapping[str, str]] = {"probes": "probe parameter", "products": "probe parameter"}
    lengths: ClassVar[Mapping[str, int]] = {"probe": 4, "parameter": 5}
    unspecified = (
        "which probes, and how many: arguments here; of signs the variance of an entry is its row's other squares"
    )

    def check(self, *arrays: np.ndarray) -> None:
        probes, products = arrays
        check_axes(probes, "probes", 2, "[probes, parameters]")
        check_count(probes, "probes", 1, "one row a probe")
        check_same(products, "products", probes.shape, "the shape of probes")

    def apply(self, probes: Any, products: Any) -> Any:
        diagonal = np.mean(probes * products, axis=0)
        return {"diagonal": diagonal, "trace": np.sum(diagonal)}


class LanczosTridiagonal(Transform):
    """``steps`` steps of Lanczos' iteration on the symmetric part of a matrix: the tridiagonal matrix that they make.

    ``matrix`` [n, n], ``start`` [n]. Gives its diagonal [steps] and the numbers beside it [steps - 1]. Each new vector is made
    orthogonal to all before it. `quadrature` makes a spectrum of it. Source: Ubaru, Chen & Saad 2017.
    """

    steps: Annotated[int, Iterations()] = 3
    norms: Annotated[
        str,
        Choice(
            exact="a vector is divided by its norm, which is the number beside the diagonal",
            padded=by(
                "by its norm and 1e-6; the number beside is the norm of A v - a v - b u, u the vector before v, which is then "
                "made orthogonal to all",
                "PyHessian",
            ),
        ),
    ] = "exact"
    citation = _LANCZOS
    shapes: ClassVar[Mapping[str, str]] = {"matrix": "n n", "start": "n"}
    lengths: ClassVar[Mapping[str, int]] = {"n": 4}
    unspecified = (
        "vectors that end early, in a space that the matrix maps to itself: zero from there on; PyHessian goes on with "
        "a new random one; whether vectors are made orthogonal anew: they are, to all before"
    )

    def check(self, *arrays: np.ndarray) -> None:
        matrix, start = arrays
        check_axes(matrix, "matrix", 2, "[n, n]")
        check_count(matrix, "matrix", self.steps, f"steps={self.steps} vectors are orthogonal")
        check_same(matrix, "matrix", (len(matrix), len(matrix)), "as many columns as rows")
        check_same(start, "start", (len(matrix),), "one number a row")

    def apply(self, matrix: Any, start: Any) -> Any:
        padding = PADDING if self.norms == "padded" else 0.0
        vector = _unit(start, padding)[0]
        basis: list[Any] = []
        diagonal: list[Any] = []
        beside: list[Any] = []
        for step in range(self.steps):
            basis.append(vector)
            product = 0.5 * (matrix @ vector + matrix.T @ vector)
            diagonal.append(np.sum(vector * product))
            if step + 1 == self.steps:
                break
            if self.norms == "padded":
                product = product - diagonal[-1] * vector
                if step:
                    product = product - beside[-1] * basis[-2]
                beside.append(_norm(product))
            for earlier in basis:
                product = product - np.sum(earlier * product) * earlier
            vector, norm = _unit(product, padding)
            if self.norms == "exact":
                beside.append(norm)
        return {"diagonal": np.stack(diagonal), "beside": np.stack(beside) if beside else start[:0]}


#: what PyHessian adds to a norm that it divides by
PADDING = 1e-6


def _norm(x: Any) -> Any:
    return np.sqrt(np.sum(x * x))


def _unit(x: Any, padding: float) -> tuple[Any, Any]:
    """A vector over its norm, zero of zero, and the norm."""
    norm = _norm(x)
    return np.where(norm == 0, 0.0, x / (norm + padding)), norm


@gated(diagonal=Numbers(axes=1, within=REAL, least=1), beside=Numbers(axes=1, within=REAL))
def quadrature(diagonal: np.ndarray, beside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gauss quadrature of a spectrum: the eigenvalues of Lanczos' matrix, and the squares of their vectors' first entries.

    Args:
        diagonal: [steps], as `LanczosTridiagonal` gives it.
        beside: [steps - 1].

    Returns:
        Nodes, rising, and weights, which are not negative and add up to one: [steps] of float64. The sum of weights times
        f(nodes) is start . f(A) start for every polynomial f of a degree below 2 steps, ``start`` of norm one.

    Raises:
        ArgumentError: the shapes do not fit.

    >>> nodes, weights = quadrature(np.array([1.0, 1.0]), np.array([1.0]))
    >>> nodes.round(12).tolist(), weights.round(12).tolist()
    ([0.0, 2.0], [0.5, 0.5])
    """
    check_same(beside, "beside", (len(diagonal) - 1,), "one less than the diagonal")
    nodes, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1))
    return nodes, vectors[0] ** 2


class SpectralDensity(Transform):
    """A spectrum's density at some points: normal distributions at the nodes of several quadratures, by their weights.

    ``nodes`` and ``weights`` [probes, nodes], ``points`` [points]. Gives the mean over probes [points].
    Source: Ubaru, Chen & Saad 2017; Yao et al. 2020, arXiv:1912.07145.
    """

    variance: Positive = 0.1
    width: Annotated[
        str,
        Choice(
            fixed="each normal distribution has this variance",
            ranged=by(
                "it is multiplied by the nodes' range, from their mean least less margin to their mean largest plus "
                "margin, where that is above one",
                "PyHessian",
            ),
        ),
    ] = "fixed"
    margin: Positive = 0.01
    citation = _LANCZOS
    shapes: ClassVar[Mapping[str, str]] = {"nodes": "probe node", "weights": "probe node+", "points": "point"}
    lengths: ClassVar[Mapping[str, int]] = {"probe": 2, "node": 3, "point": 5}
    unspecified = (
        "PyHessian's variance is 1e-5, for 10,000 points, and what comes out is divided by its sum over these times "
        "their distance"
    )

    def check(self, *arrays: np.ndarray) -> None:
        nodes, weights, points = arrays
        check_axes(nodes, "nodes", 2, "[probes, nodes]")
        if nodes.size == 0:
            raise bad_argument("nodes.shape", nodes.shape, "at least one node")
        check_same(weights, "weights", nodes.shape, "the shape of nodes")
        check_axes(points, "points", 1, "one number a point")

    def apply(self, nodes: Any, weights: Any, points: Any) -> Any:
        variance: Any = self.variance
        if self.width == "ranged":
            top, bottom = np.mean(np.max(nodes, axis=1)), np.mean(np.min(nodes, axis=1))
            variance = variance * np.maximum(1.0, top - bottom + 2 * self.margin)
        apart = points[:, None, None] - nodes
        peaks = np.exp(-(apart * apart) / (2.0 * variance)) / np.sqrt(2 * math.pi * (variance + 0.0 * nodes[0, 0]))
        return np.mean(np.sum(peaks * weights, axis=2), axis=1)


class DampedDirection(Transform):
    """A gradient preconditioned by a damped Gauss-Newton matrix: the solution of (A + damping D) x = g, A = F^T F / n.

    ``factors`` F [n, parameters], ``g`` [parameters]. Gives x [parameters]. Source: Levenberg 1944; Marquardt 1963.
    """

    damping: Positive = 1.0
    scale: Annotated[
        str,
        Choice(
            identity=by("D is the identity", "published: Levenberg"),
            diagonal=by("D is A's diagonal: the same whatever units parameters have", "elsewhere: Marquardt"),
        ),
    ] = "identity"
    citation = Citation(
        "Levenberg 1944",
        "A Method for the Solution of Certain Non-linear Problems in Least Squares",
        "Quarterly of Applied Mathematics 2",
        read="study",
        source="the equation as textbooks have it",
    )
    shapes: ClassVar[Mapping[str, str]] = {"factors": "n d", "g": "d"}
    lengths: ClassVar[Mapping[str, int]] = {"n": 5, "d": 3}
    longest: ClassVar[Mapping[str, int]] = {"d": 33}  # of larger systems nothing is known for certain
    unspecified = (
        "how damping changes from step to step: the caller's to do; a parameter whose column is zero: one stands on the "
        "diagonal, as in MINPACK, where it would be singular"
    )

    def check(self, *arrays: np.ndarray) -> None:
        factors, g = arrays
        check_axes(factors, "factors", 2, "[n, parameters]")
        check_count(factors, "factors", 1, "one row an example")
        check_same(g, "g", factors.shape[1:], "one number a parameter")

    def apply(self, factors: Any, g: Any) -> Any:
        identity = np.eye(factors.shape[1], dtype=factors.dtype)
        matrix = factors.T @ factors / len(factors)
        damped: Any = 1.0
        if self.scale == "diagonal":
            squares = np.mean(factors * factors, axis=0)
            damped = np.where(squares == 0, 1.0, squares)
        return np.linalg.solve(matrix + self.damping * damped * identity, g[:, None])[:, 0]


class QuadraticRates(Transform):
    """The rates of heavy-ball descent on a quadratic with eigenvalues between two numbers: the fastest, and the largest stable.

    ``smallest`` and ``largest``: numbers that are not negative, in either order. Gives Polyak's rate
    4 / (sqrt(L) + sqrt(mu))**2 and momentum ((sqrt(L) - sqrt(mu)) / (sqrt(L) + sqrt(mu)))**2, and the rate
    2 (1 + momentum) / L below which descent with the rule's ``momentum`` is stable. Source: Polyak 1964.
    """

    momentum: Decay = 0.9
    citation = Citation(
        "Polyak 1964",
        "Some methods of speeding up the convergence of iteration methods",
        "USSR Computational Mathematics and Mathematical Physics 4",
        read="study",
        source="derived here from the iteration's eigenvalues",
    )
    shapes: ClassVar[Mapping[str, str]] = {"smallest": "+", "largest": "+"}
    lengths: ClassVar[Mapping[str, int]] = {}
    unspecified = "eigenvalues that are zero: what the formulas give, infinite rates and 0/0"

    def apply(self, smallest: Any, largest: Any) -> Any:
        low, high = np.minimum(smallest, largest), np.maximum(smallest, largest)
        sum_of_roots = np.sqrt(high) + np.sqrt(low)
        ratio = (np.sqrt(high) - np.sqrt(low)) / sum_of_roots
        return {
            "rate": 4.0 / (sum_of_roots * sum_of_roots),
            "momentum": ratio * ratio,
            "largest_stable_rate": 2 * (1 + self.momentum) / high,
        }
