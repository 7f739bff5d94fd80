"""What is quantized while a quantized network is trained: DoReFa's gradients, WAGE's errors and gradients, first scales."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np

from refgrad.arithmetic.dtypes import finite
from refgrad.arithmetic.function_arguments import AT_LEAST_ONE, REAL, Numbers, gated
from refgrad.arithmetic.primitives import tree_max
from refgrad.arithmetic.steps import Exponent, WholeCodes, step
from refgrad.axes import ROW, Axes
from refgrad.derived import derived
from refgrad.quantizers.base import Ends, around
from refgrad.quantizers.elements import ElementQuantizer
from refgrad.quantizers.powers import SQRT2
from refgrad.quantizers.stochastic import Drawn
from refgrad.rule import Citation, Positive, Whole

WAGE_CITATION = Citation(
    "Wu et al. 2018",
    "Training and Inference with Integers in Deep Neural Networks",
    "arXiv:1802.04680, section 3",
    read="authors' code",
    source="boluoweifenda/WAGE 9d57688, source/Quantize.py",
)


class DoReFaGradient(Drawn):
    """Gradients of each sample in k bits, with noise before they are rounded.

    M = max |g| of a sample (first axis); q = round(n clip(g / (2 M) + 1/2 + (u - 1/2) / n, 0, 1)) with n = 2**k - 1, u uniform,
    ties to even; g about 2 M (q / n - 1/2). Parts: ``scale``, M, one a sample; ``codes``, uint8. Shares in float64. A sample of
    zeros decodes to zeros; one with NaN or an infinity is NaN. Source: Zhou et al. 2016, arXiv:1606.06160, section 2.5.
    """

    scales_say = False
    bits: Annotated[int, Whole(1, 8)] = 4
    parts = ("scale", "codes")

    citation = Citation(
        "Zhou et al. 2016",
        "DoReFa-Net: Training Low Bitwidth Convolutional Neural Networks with Low Bitwidth Gradients",
        "arXiv:1606.06160, section 2.5",
        read="authors' code",
        source="tensorpack/tensorpack 1547a54, examples/DoReFa-Net/dorefa.py",
    )
    unspecified = (
        "the noise: one number an element, uniform, as printed; a sample is an index of the first axis; halves go "
        "to the even code; a sample of zeros, for which the formula is 0 / 0, stays zero"
    )

    @property
    def top(self) -> int:
        """n, and the largest code."""
        return 2**self.bits - 1

    @property
    def legal_codes(self) -> tuple[int, int]:
        """From the least to the largest."""
        return 0, self.top

    def seen(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """One sample a row."""
        return shape[0] if shape else 1, math.prod(shape[1:])

    def samples(self, x: np.ndarray) -> np.ndarray:
        """One sample a row."""
        return x.reshape(self.seen(x.shape))

    @property
    @derived
    def kept_codes(self) -> WholeCodes:
        """Integers from 0 on."""
        return WholeCodes("uint8")

    def body_parts(self) -> tuple[str, ...]:
        """Both."""
        return self.parts

    def gives(self) -> dict[str, Axes]:
        """The largest magnitudes are one a sample."""
        return {"scale": ROW}

    def body(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Largest magnitudes, and codes."""
        x = given["x"]
        largest = tree_max(np.abs(x), "row")
        known = largest < np.inf
        share = x / (2.0 * largest) + 0.5 + (given["uniform"] - 0.5) / self.top
        codes = np.rint(self.top * np.minimum(np.maximum(share, 0.0), 1.0))
        return {"scale": np.where(known, largest, np.nan), "codes": np.where(known & (largest > 0), codes, 0.0)}

    def draw(self, x: np.ndarray, uniform: np.ndarray) -> dict[str, np.ndarray]:
        """Largest magnitudes, and codes."""
        if not x.size:
            return {"scale": np.zeros(len(self.samples(x)), x.dtype), "codes": np.zeros(x.shape, np.uint8)}
        found = self.drawn(self.samples(x), self.samples(uniform))
        return {"scale": found["scale"].astype(x.dtype).reshape(-1), "codes": found["codes"].reshape(x.shape)}

    def shares(self, x: np.ndarray, uniform: np.ndarray, largest: np.ndarray) -> np.ndarray:
        """What is rounded, over n."""
        rows = self.samples(x.astype(np.float64)) / (2.0 * largest)
        return rows + 0.5 + (self.samples(uniform) - 0.5) / self.top

    def admitted(
        self, part: str, x: np.ndarray, seen: Mapping[str, np.ndarray], own: np.ndarray, reach: float, **besides: Any
    ) -> Ends | None:
        """Codes of shares within their roundings."""
        if part == "scale":
            return None
        if part == "y":  # of the difference from one half a rounding of the share is left
            return around(own, 2 * reach * (np.abs(own) + np.broadcast_to(self._largest(seen, x.shape), own.shape)))
        largest = seen["scale"].astype(np.float64)[:, None]
        share = self.shares(x, besides.get("uniform", self.uniforms(x.shape)), largest)
        good = np.isfinite(largest) & (largest > 0)
        ends = (np.rint(self.top * np.clip(e, 0.0, 1.0)) for e in around(share, np.full(share.shape, 2 * reach)))
        return tuple(np.where(good, e, 0.0).reshape(x.shape) for e in ends)  # type: ignore[return-value]

    def _largest(self, seen: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
        largest = np.nan_to_num(seen["scale"].astype(np.float64))
        return largest.reshape(-1, *(1,) * max(len(shape) - 1, 0)) if shape else largest.reshape(())

    def part_axes(self) -> dict[str, Axes]:
        """M, one a sample."""
        return self.gives()

    def opened(self, arrays: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> dict[str, np.ndarray]:
        """Codes by samples, and M in float64."""
        codes = self.samples(arrays["codes"])
        return {"codes": codes, "scale": arrays["scale"].astype(np.float64)[:, None]}

    def restore(self, parts: Mapping[str, Any]) -> Any:
        """2 M (q / n - 1/2)."""
        scale = parts["scale"]
        return np.where(scale == 0, 0.0, 2.0 * scale * (parts["codes"] / self.top - 0.5))


def shift(largest: Any) -> Any:
    """Shift(x) = 2**round(log2 x) of a finite number, from its significand; 1 of zero."""
    return np.where(largest > 0, step(largest, Exponent(SQRT2, power=True)), 1.0)


class WAGEError(ElementQuantizer):
    """Errors in k bits: their size is dropped, their order kept.

    S = 2**(k - 1); q = round(S clip(e / Shift(max |e|), -1 + 1/S, 1 - 1/S)), ties to even; e becomes q / S. Parts: ``codes``,
    int16. Shift divides without rounding. An array of zeros stays zero; one with NaN or an infinity is refused. Source:
    Wu et al. 2018, arXiv:1802.04680, section 3.3.3.
    """

    encodes_in = np.dtype(np.float64)
    finite_alone = True
    silent = exact = True
    bits: Annotated[int, Whole(2, 15)] = 8

    citation = WAGE_CITATION
    unspecified = (
        "halves, and a largest error of zero: to the even code, and zeros; the shift rounds the logarithm as the "
        "source says, by the authors' code for halves"
    )

    @property
    def steps(self) -> int:
        """S."""
        return 2 ** (self.bits - 1)

    @property
    def legal_codes(self) -> tuple[int, int]:
        """From the least to the largest."""
        return 1 - self.steps, self.steps - 1

    @property
    @derived
    def kept_codes(self) -> WholeCodes:
        """Integers."""
        return WholeCodes("int16")

    def body(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Codes of the shifted errors."""
        x, (low, high) = given["x"], self.legal_codes
        shifted = x / shift(tree_max(np.abs(x)))
        return {"codes": np.rint(np.minimum(np.maximum(shifted * self.steps, low), high))}

    def encode(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Codes, in float64."""
        return {"codes": self.codes_of(finite(x, "x"))}

    def restore(self, parts: Mapping[str, Any]) -> Any:
        """q / S."""
        return parts["codes"] / self.steps


class WAGEGradient(Drawn):
    """Gradients as whole steps of the weights' grid, rounded by chance.

    n = lr g / Shift(max |g|); q = sign(n) (floor |n| + [u < |n| - floor |n|]); the update is q 2**(1 - k). Parts: ``codes``,
    int32. In float64: with lr a power of two nothing is rounded, and the mean of q is n. An array of zeros gives zeros; one
    with NaN or an infinity is refused. Source: Wu et al. 2018, arXiv:1802.04680, section 3.3.4 (lr 8 is the authors' code).
    """

    finite_alone = True
    silent = exact = True
    bits: Annotated[int, Whole(2, 15)] = 8
    lr: Positive = 8.0

    citation = WAGE_CITATION
    unspecified = (
        "the learning rate, 8 in the authors' code, which the paper writes as a shift; numbers beyond the weights' "
        "range are cut where weights are updated, not here"
    )

    @property
    @derived
    def kept_codes(self) -> WholeCodes:
        """Integers."""
        return WholeCodes("int32")

    def body(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Whole steps."""
        g = given["x"]
        size = np.abs(g)
        n = self.lr * (size / shift(tree_max(size)))
        low = np.floor(n)
        return {"codes": np.sign(g) * np.where(given["uniform"] < n - low, low + 1.0, low)}

    def draw(self, x: np.ndarray, uniform: np.ndarray) -> dict[str, np.ndarray]:
        """Whole steps."""
        return {"codes": self.drawn(finite(x, "x"), uniform)["codes"]}

    def admitted(
        self, part: str, x: np.ndarray, seen: Mapping[str, np.ndarray], own: np.ndarray, reach: float, **besides: Any
    ) -> Ends | None:
        """Steps of n within its rounding, which is none where lr is a power of two."""
        if part != "codes" or np.frexp(self.lr)[0] == 0.5:
            return None
        g = x.astype(np.float64)
        n, uniform = (
            self.lr * (np.abs(g) / shift(np.abs(g).max(initial=0.0, keepdims=True))),
            besides.get("uniform", self.uniforms(x.shape)),
        )
        one, other = (np.sign(g) * (np.floor(e) + (uniform < e - np.floor(e))) for e in around(n, 2 * reach * n))
        return np.minimum(one, other), np.maximum(one, other)

    def restore(self, parts: Mapping[str, Any]) -> Any:
        """Steps of 2**(1 - k)."""
        return parts["codes"] * 2.0 ** (1 - self.bits)


_SAMPLE = Numbers(within=REAL, least=1)


@gated(x=_SAMPLE, highest=AT_LEAST_ONE)
def lsq_scale(x: np.ndarray, highest: int) -> float:
    """LSQ's first scale, 2 mean |x| / sqrt(highest), in float64.

    Args:
        x: weights, or the first batch of activations; finite, not empty.
        highest: the largest code, 2**(bits - 1) - 1, or 2**bits - 1 without a sign.

    Source: Esser et al. 2020, arXiv:1902.08153, section 2.
    """
    return float(2.0 * np.abs(x).mean() / math.sqrt(highest))


@gated(x=_SAMPLE, bits=Whole(1, 64))
def lsq_plus_scale(x: np.ndarray, bits: int) -> float:
    """LSQ+'s first scale of weights, max(|mu - 3 sigma|, |mu + 3 sigma|) / 2**(bits - 1), in float64.

    Args:
        x: weights; finite, not empty. sigma is that of the whole population (the paper does not say).
        bits: the width of the codes.

    Source: Bhalgat et al. 2020, arXiv:2004.09576, on initialization.
    """
    mean, deviation = x.mean(), x.std()
    return float(max(abs(mean - 3 * deviation), abs(mean + 3 * deviation)) / 2 ** (bits - 1))
