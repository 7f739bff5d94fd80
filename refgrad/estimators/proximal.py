"""Quantization by proximal maps: weights are drawn towards the nearest of -1 and +1."""

from __future__ import annotations

from typing import Any

import numpy as np

from refgrad.estimators.base import Estimator
from refgrad.estimators.policies import SignAtZero, signed
from refgrad.rule import Citation, NonNegative


class Proximal(Estimator):
    """The proximal map of strength times the distance to {-1, +1}: q + sign(x - q) max(|x - q| - strength, 0), q = sign(x)."""

    strength: NonNegative = 0.1
    sign_at_zero: SignAtZero = "plus"

    def forward(self, x: Any) -> Any:  # type: ignore[override]
        q = signed(x, self.sign_at_zero, "propagate")
        return q + np.sign(x - q) * np.maximum(np.abs(x - q) - self.strength, 0.0)


class ProxQuant(Proximal):
    """ProxQuant: after each step of an optimizer the weights go through the proximal map, which is no part of the network.

    y = q + sign(w - q) max(|w - q| - strength, 0), q the nearest of -1 and +1; the strength grows with the epoch. The
    gradient is the map's own, g where |w - q| > strength, for whoever puts it into the network.
    Source: Bai et al. 2019, arXiv:1810.00861, section 3.2 (binary, the W-shaped penalty of L1 type).
    """

    citation = Citation(
        "Bai et al. 2019",
        "ProxQuant: Quantized Neural Networks via Proximal Operators",
        "arXiv:1810.00861",
        read="authors' code",
        source="allenbai01/ProxQuant 1a9240e, reg.py",
    )
    unspecified = "a weight of zero is as near to -1 as to +1: it goes to +1 (sign_at_zero)"

    def backward(self, cotangent: Any, x: Any) -> Any:  # type: ignore[override]
        q = signed(x, self.sign_at_zero, "propagate")
        return np.where(np.abs(x - q) > self.strength, cotangent, 0.0)


class ProxConnect(Proximal):
    """ProxConnect: the network sees the weights through the proximal map, and its gradient goes to the weights as it is.

    y = P(w), dw = g: w accumulates what is learned at P(w). A strength of 1 or more within [-2, 2] is BinaryConnect's sign.
    Source: Dockhorn et al. 2021, arXiv:2110.13220, Algorithm 1, with ProxQuant's map.
    """

    citation = Citation(
        "Dockhorn et al. 2021",
        "Demystifying and Generalizing BinaryConnect",
        "arXiv:2110.13220, Algorithm 1",
        read="study",
        source="the equations as recalled, and restated in its tests",
    )
    unspecified = "the family of maps and how they harden: ProxQuant's binary map, its strength given"

    def backward(self, cotangent: Any, x: Any) -> Any:  # type: ignore[override]
        return cotangent
