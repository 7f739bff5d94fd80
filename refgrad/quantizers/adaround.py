"""AdaRound: whether each weight is rounded up or down is learned from the layer's output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.arithmetic.arrays import as_array
from refgrad.arithmetic.dtypes import finite
from refgrad.arithmetic.steps import WholeCodes
from refgrad.backends.cuda.device import Device
from refgrad.derived import derived
from refgrad.errors import NoKernel, bad_argument
from refgrad.quantizers.base import Quantized
from refgrad.quantizers.elements import ElementQuantizer
from refgrad.rule import Citation, NonNegative, Positive, Whole

#: the stretch of the sigmoid
ZETA, GAMMA = 1.1, -0.1


class AdaRound(ElementQuantizer):
    """w' = s clip(floor(w / s) + h(V), n, p), h(V) = clip(sigmoid(V) (zeta - gamma) + gamma, 0, 1), zeta 1.1, gamma -0.1.

    V minimizes ||W x - W' x||_F^2 + lambda sum(1 - |2 h(V) - 1|**beta), beta falling from 20 to 2 after a warm-up; at last
    a weight goes up where h(V) >= 1/2. Everything in float64. Parts: ``codes``, int8, from -2**(bits-1) to
    2**(bits-1) - 1. Source: Nagel et al. 2020, arXiv:2004.10568, equations 21 to 24. NaN is refused.
    """

    encodes_in = np.dtype(np.float64)
    finite_alone = True
    bits: Annotated[int, Whole(2, 8)] = 4
    scale: Positive = 1.0
    weight: NonNegative = 0.01

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "sign": "it rounds down, and up where the learned share says so",
        "scale": "the scale is a hyperparameter",
        "half a step": "a learned share says which of two neighbours is taken",
    }
    citation = Citation(
        "Nagel et al. 2020",
        "Up or Down? Adaptive Rounding",
        "arXiv:2004.10568, equations 21-24",
        read="study",
        source="the equations as recalled, and restated in its tests",
    )
    unspecified = (
        "the optimizer of V, the number of steps and the warm-up, which are arguments; the codes' range is signed; "
        "the scale is fixed beforehand, as in the paper"
    )

    @property
    def limits(self) -> tuple[int, int]:
        """The least and the largest code."""
        return -(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1

    @property
    def legal_codes(self) -> tuple[int, int]:
        """From the least to the largest."""
        return self.limits

    def start(self, w: np.ndarray) -> np.ndarray:
        """The V at which h(V) is the fraction of w / s, so that w' is w where it is not clipped."""
        steps = finite(w, "w") / self.scale
        fraction = steps - np.floor(steps)
        return -np.log((ZETA - GAMMA) / (fraction - GAMMA) - 1)

    def share(self, v: np.ndarray) -> np.ndarray:
        """h(V), the rectified sigmoid."""
        return np.clip(sigmoid(v) * (ZETA - GAMMA) + GAMMA, 0.0, 1.0)

    def soft(self, w: np.ndarray, v: np.ndarray) -> np.ndarray:
        """w', the weights between the points of the grid."""
        return self.scale * np.clip(np.floor(finite(w, "w") / self.scale) + self.share(v), *self.limits)

    def objective(self, w: np.ndarray, v: np.ndarray, x: np.ndarray, beta: float) -> float:
        """What V minimizes, for inputs x, tokens by inputs."""
        difference = (w - self.soft(w, v)) @ np.asarray(x, np.float64).T
        return float((difference**2).sum() + self.weight * (1 - np.abs(2 * self.share(v) - 1) ** beta).sum())

    def gradient(self, w: np.ndarray, v: np.ndarray, x: np.ndarray, beta: float) -> np.ndarray:
        """The derivative of `objective` by V; 0 where h or the codes are clipped."""
        x, h, s = np.asarray(x, np.float64), self.share(v), sigmoid(v)
        raw, code = s * (ZETA - GAMMA) + GAMMA, np.floor(finite(w, "w") / self.scale) + h
        slope = np.where((raw > 0) & (raw < 1), s * (1 - s) * (ZETA - GAMMA), 0.0)
        inside = (code > self.limits[0]) & (code < self.limits[1])
        output = -2 * self.scale * ((w - self.soft(w, v)) @ x.T @ x) * inside
        spread = 2 * h - 1
        regularizer = -2 * self.weight * beta * np.sign(spread) * np.abs(spread) ** (beta - 1)
        return (output + regularizer) * slope

    def beta(self, step: int, steps: int, *, first: float = 20.0, last: float = 2.0, warm_up: float = 0.2) -> float:
        """The exponent at a step of so many: ``first`` in the warm-up, then along half a cosine to ``last``.

        The schedule is the authors' code's; the paper says that beta falls.
        """
        done = (step / steps - warm_up) / (1 - warm_up)
        return first if done < 0 else last + (first - last) * (1 + float(np.cos(np.pi * min(done, 1.0)))) / 2

    def at_device(self, method: str, device: Device, *args: Any, **keywords: Any) -> Any:
        """From the start, as any quantizer of elements."""
        if method == "quantize" and (len(args) > 1 or keywords):
            raise NoKernel("its learned V is an argument")
        return super().at_device(method, device, *args, **keywords)

    def quantize(self, x: np.ndarray, v: np.ndarray | None = None) -> Quantized:
        """As `Quantizer.quantize`, from a learned V; from the start it is rounding to nearest, halves up."""
        if v is None:
            return super().quantize(x)
        x = as_array(x, "x")
        v = as_array(v, "v")
        if v.shape != x.shape:
            raise bad_argument("v.shape", v.shape, f"{x.shape}, the shape of x")
        return Quantized({"codes": self.hard(finite(x, "x"), self.share(v))}, x.shape, x.dtype)

    @property
    @derived
    def kept_codes(self) -> WholeCodes:
        """Integers."""
        return WholeCodes("int8")

    def body(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Codes from the start: up where the fraction is at least one half."""
        steps = given["x"] / self.scale
        return {"codes": self.rounded(steps, steps - np.floor(steps))}

    def rounded(self, steps: Any, share: Any) -> Any:
        """Codes: up where the share is at least one half."""
        low, (least, most) = np.floor(steps), self.limits
        return np.minimum(np.maximum(np.where(share >= 0.5, low + 1.0, low), least), most)

    def encode(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Codes from the start, in float64."""
        return {"codes": self.codes_of(finite(x, "x"))}

    def hard(self, w: np.ndarray, share: np.ndarray) -> np.ndarray:
        """Codes by shares."""
        return self.rounded(finite(w, "w") / self.scale, share).astype(np.int8)

    def restore(self, parts: Mapping[str, Any]) -> Any:
        """Codes times the scale."""
        return self.scale * parts["codes"]


def sigmoid(v: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-v)) in float64, without overflow."""
    e = np.exp(-np.abs(np.asarray(v, np.float64)))
    return np.where(np.asarray(v) >= 0, 1 / (1 + e), e / (1 + e))
