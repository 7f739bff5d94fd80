"""Descent on energies of functions, with the gradient of Sobolev's space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.arithmetic.function_arguments import gated
from refgrad.optimizers.transform import Transform, check_axes, check_count, check_same
from refgrad.rule import Choice, Citation, NonNegative, Whole, by

_MARWAH = Citation(
    "Marwah et al. 2023",
    "Neural Network Approximations of PDEs Beyond Linearity: A Representational Perspective",
    "ICML, arXiv:2210.12101",
    read="study",
    source="a study of its abstract, and a derivation on a grid",
)


class SobolevStep(Transform):
    """A step of descent on an elliptic energy on a line from 0 to 1, preconditioned by (I - Laplacian)^-1.

    ``u``, ``force`` [place], at inner places of equal distance h; u is 0 at both ends. E(u) = integral of u'**2 / 2 + quartic
    u'**4 / 4 + mass u**2 / 2 - f u, with u' between places; DE is its gradient over h. Gives u - eta (I - Laplacian)^-1 DE(u).
    Source: Marwah et al. 2023, arXiv:2210.12101.
    """

    eta: NonNegative = 0.5
    quartic: NonNegative = 0.1
    mass: NonNegative = 1.0
    gradient: Annotated[
        str,
        Choice(
            sobolev=by("(I - Laplacian)^-1 DE", "published"),
            plain="DE itself, of the space of square integrable functions",
        ),
    ] = "sobolev"

    citation = _MARWAH
    shapes: ClassVar[Mapping[str, str]] = {"u": "place", "force": "place"}
    lengths: ClassVar[Mapping[str, int]] = {"place": 5}
    revision = 2  # sets of systems of three diagonals are narrower
    longest: ClassVar[Mapping[str, int]] = {"place": 129}  # of larger systems too little is known for certain
    unspecified = "the energy, the domain and the grid, which are this rule's own; constants of the step"

    def check(self, *arrays: np.ndarray) -> None:
        check_axes(arrays[0], "u", 1, "[place]")
        check_count(arrays[0], "u", 1, "one inner place")
        check_same(arrays[1], "force", arrays[0].shape, "the shape of u")

    def apply(self, u: Any, force: Any) -> Any:
        change = self.functional_gradient(u, force)
        if self.gradient == "sobolev":
            change = np.linalg.solve(helmholtz(u.shape[0]), change)
        return u - self.eta * change

    def functional_gradient(self, u: Any, force: Any) -> Any:
        """DE(u) [place]: the gradient of the discrete energy, over h."""
        width = 1.0 / (u.shape[0] + 1)
        padded = np.pad(u, (1, 1))
        slope = (padded[1:] - padded[:-1]) / width
        flux = slope + self.quartic * slope**3
        return -(flux[1:] - flux[:-1]) / width + self.mass * u - force

    def energy(self, u: Any, force: Any) -> float:
        """E(u) on the grid.

        Args:
            u, force: [place].
        """
        width = 1.0 / (len(u) + 1)
        slope = np.diff(np.pad(np.asarray(u, float), (1, 1))) / width
        inside = np.sum(0.5 * slope**2 + 0.25 * self.quartic * slope**4)
        return float(width * (inside + np.sum(0.5 * self.mass * np.square(u) - np.multiply(force, u))))


@gated(places=Whole(1, 10_000))
def helmholtz(places: int) -> np.ndarray:
    """I - Laplacian on a line from 0 to 1, zero at both ends, by second differences.

    Args:
        places: how many inner places.

    Returns:
        A positive definite matrix [place, place].

    Raises:
        ArgumentError: there is none.

    >>> helmholtz(1).tolist()
    [[9.0]]
    """
    square = float((places + 1) ** 2)
    return (1 + 2 * square) * np.eye(places) - square * (np.eye(places, k=1) + np.eye(places, k=-1))
