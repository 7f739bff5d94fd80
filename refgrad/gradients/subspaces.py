"""Training in a random subspace: theta = theta0 + P phi by dense and sparse bases and by Fastfood, and its gradient."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.arithmetic.function_arguments import COUNT, REAL, Floats, Numbers, Several, gated
from refgrad.errors import bad_argument
from refgrad.optimizers.transform import Transform, check_axes, check_same
from refgrad.rule import Choice, Citation, by

_LI = Citation(
    "Li et al. 2018",
    "Measuring the Intrinsic Dimension of Objective Landscapes",
    "ICLR, arXiv:1804.08838",
    read="authors' code",
    source="uber-research/intrinsic-dimension 9754ebe, by notes on it",
)


class _Basis(Transform):
    """A basis of rows, each of unit norm or as it is."""

    norm: Annotated[
        str,
        Choice(
            unit=by("each basis vector is scaled to norm 1", "published", "authors"),
            drawn="basis vectors are as they are drawn",
        ),
    ] = "unit"

    lengths: ClassVar[Mapping[str, int]] = {"subspace": 3, "parameter": 5}
    unspecified = "a basis vector that is zero, as a sparse one may be: 0 here"

    def basis_of(self, basis: Any) -> Any:
        """The basis that is meant."""
        if self.norm == "drawn":
            return basis
        squares = np.sum(basis * basis, axis=-1, keepdims=True)
        return np.where(squares == 0, 0.0, basis / np.sqrt(squares))


class SubspaceParameters(_Basis):
    """The parameters of a point of a subspace: theta0 + sum of phi_i times the i-th basis vector.

    ``theta0`` [parameter], of all layers; ``basis`` [subspace, parameter], dense normal numbers or sparse; ``phi`` [subspace].
    Source: Li et al. 2018, arXiv:1804.08838.
    """

    citation = _LI
    shapes: ClassVar[Mapping[str, str]] = {"theta0": "parameter", "basis": "subspace parameter", "phi": "subspace"}

    def check(self, *arrays: np.ndarray) -> None:
        theta0, basis, phi = arrays
        check_axes(basis, "basis", 2, "[subspace, parameter]")
        check_same(theta0, "theta0", basis.shape[1:], "a row of the basis")
        check_same(phi, "phi", basis.shape[:1], "one a basis vector")

    def apply(self, theta0: Any, basis: Any, phi: Any) -> Any:
        return theta0 + phi @ self.basis_of(basis)


class SubspaceGradient(_Basis):
    """The gradient within a subspace: that of the parameters along each basis vector.

    ``basis`` [subspace, parameter], ``gradient`` [parameter]. Gives [subspace]. Source: Li et al. 2018, arXiv:1804.08838.
    """

    citation = _LI
    shapes: ClassVar[Mapping[str, str]] = {"basis": "subspace parameter", "gradient": "parameter"}

    def check(self, *arrays: np.ndarray) -> None:
        basis, gradient = arrays
        check_axes(basis, "basis", 2, "[subspace, parameter]")
        check_same(gradient, "gradient", basis.shape[1:], "a row of the basis")

    def apply(self, basis: Any, gradient: Any) -> Any:
        return self.basis_of(basis) @ gradient


@gated(x=Floats(axes=1, least=1))
def walsh_hadamard(x: Any) -> Any:
    """The Walsh-Hadamard transform, without a factor.

    Args:
        x: [L], L a power of two.

    Returns:
        [L], in the order of `scipy.linalg.hadamard`; twice it is L times ``x``.

    Raises:
        ArgumentError: another number of axes, or L is no power of two.

    >>> walsh_hadamard(np.array([1.0, 0, 1, 0, 0, 1, 1, 0])).tolist()
    [4.0, 2.0, 0.0, -2.0, 0.0, 2.0, 0.0, 2.0]
    """
    if len(x) & (len(x) - 1):
        raise bad_argument("x.shape", x.shape, "a length that is a power of two")
    return _hadamard_product(x)


def _hadamard_product(x: Any) -> Any:
    length, half = x.shape[0], 1
    while half < length:
        pairs = x.reshape(-1, 2, half)
        x = np.stack([pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]], axis=1).reshape(-1)
        half *= 2
    return x


class FastfoodParameters(Transform):
    """The parameters of a point of a subspace whose basis is a product of signs, Hadamard's, an order and normal numbers.

    ``theta0`` [parameter]; ``phi`` [subspace], as many or fewer; ``signs`` [length] of 0 for + and 1 for -; ``order`` [length],
    from which place each number is taken; ``gaussian`` [length]. Gives theta0 plus the first numbers of H G P H B phi, scaled.
    Source: Le, Sarlos & Smola 2013 for the map, Li et al. 2018, arXiv:1804.08838 for its use.
    """

    scale: Annotated[
        str,
        Choice(
            drawn=by("divided by sqrt(L sum G**2) sqrt(D / L): of the normal numbers that were drawn", "authors"),
            orthonormal="divided by L: both transforms are orthonormal, as of Fastfood without its scaling matrix",
        ),
    ] = "drawn"

    citation = _LI
    shapes: ClassVar[Mapping[str, str]] = {
        "theta0": "parameter",
        "phi": "subspace",
        "signs": "length below:2",
        "order": "length below:length",
        "gaussian": "length",
    }
    lengths: ClassVar[Mapping[str, int]] = {"parameter": 5, "subspace": 3, "length": 8}
    unspecified = "L: the least power of two that is no less than the number of parameters"

    def check(self, *arrays: np.ndarray) -> None:
        known = dict(zip(self.shapes, arrays, strict=True))
        for name in ("theta0", "phi", "gaussian"):
            check_axes(known[name], name, 1, f"[{self.shapes[name]}]")
        length, count = known["gaussian"].size, known["theta0"].size
        if count < 1 or length != 1 << (count - 1).bit_length():
            wanted = 1 << (max(count, 1) - 1).bit_length()
            raise bad_argument("gaussian.shape", known["gaussian"].shape, f"{(wanted,)}: a power of two")
        for name in ("signs", "order"):
            check_same(known[name], name, (length,), "the shape of gaussian")
        if known["phi"].size > length:
            raise bad_argument("phi.shape", known["phi"].shape, f"at most {length} numbers, as gaussian has")

    def scale_of(self, gaussian: Any, count: int) -> Any:
        """What the product of the factors is divided by."""
        length = gaussian.shape[0]
        if self.scale == "orthonormal":
            return float(length)
        return np.sqrt(length * np.sum(gaussian * gaussian)) * math.sqrt(count / length)

    def apply(self, theta0: Any, phi: Any, signs: Any, order: Any, gaussian: Any) -> Any:
        length, count = gaussian.shape[0], theta0.shape[0]
        padded = np.pad(phi, (0, length - phi.shape[0]))
        mixed = _hadamard_product(padded * (1 - 2 * signs))
        spread = _hadamard_product(gaussian * mixed[order])[:count]
        return theta0 + spread / self.scale_of(gaussian, count)


@gated(dimensions=Several(COUNT), performances=Numbers(axes=1), baseline=REAL, share=REAL)
def intrinsic_dimension(dimensions: Any, performances: Any, baseline: float, share: float = 0.9) -> int | None:
    """The least dimension of a random subspace in which a share of the baseline's performance is reached.

    Args:
        dimensions: those that were tried, whole numbers in any order.
        performances: one of each, larger is better.
        baseline: the performance of a training in the whole space.
        share: how much of it must be reached, such as 0.9.

    Returns:
        The dimension; None where no one reaches it. Source: Li et al. 2018, arXiv:1804.08838 (d_int90).

    Raises:
        ArgumentError: there is not one performance a dimension.

    >>> intrinsic_dimension([50, 200, 750], [0.31, 0.87, 0.95], baseline=0.96)
    200
    """
    if len(dimensions) != len(performances):
        raise bad_argument("performances", len(performances), f"{len(dimensions)}: one a dimension")
    reached = [d for d, p in zip(dimensions, performances, strict=True) if p >= share * baseline]
    return min(reached, default=None)
