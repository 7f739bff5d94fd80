"""Gradients as powers of two, rounded by chance so that the mean is right: natural compression, and NUQSGD's levels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np

from refgrad.arithmetic.operations.functions import power_of_two
from refgrad.arithmetic.operations.op import Value
from refgrad.arithmetic.steps import Exponent, WholeCodes, step
from refgrad.derived import derived
from refgrad.quantizers.base import Ends, around
from refgrad.quantizers.buckets import Bucketed
from refgrad.quantizers.powers import signed_powers
from refgrad.quantizers.stochastic import Drawn
from refgrad.rule import Citation, Whole

#: added to exponents, so that those of all float64 numbers are positive
BIAS = 1100
#: the code that stands for NaN
NAN_CODE = -(2**15)


def split(size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """k and the chance with which a magnitude m 2**k, 1 <= m < 2, becomes 2**(k + 1): m - 1, exactly."""
    mantissa, exponent = np.frexp(size)
    return exponent - 1, 2.0 * mantissa.astype(np.float64) - 1.0


class NaturalCompression(Drawn):
    """Each number to one of the two powers of two around it, so that the mean is the number.

    |x| = m 2**k with 1 <= m < 2 becomes 2**(k + 1) with probability m - 1, else 2**k; zero stays. Parts: ``codes``, int16:
    0, or the sign times the exponent plus 1100. Nothing is rounded: E[Q] = x exactly, and E[Q**2] <= 9/8 x**2. An infinity
    stays; NaN has the code -32768. Source: Horváth et al. 2019, arXiv:1905.10988, definition 1.
    """

    citation = Citation(
        "Horváth et al. 2019",
        "Natural Compression for Distributed Deep Learning",
        "arXiv:1905.10988",
        read="package",
        source="sands-lab/grace fd3a7f4, grace_dl/torch/compressor/natural.py",
    )
    unspecified = (
        "nothing of the rule: both powers and their chances are given; the source packs nine bits, which is not "
        "done here; NaN has a code of its own"
    )
    poison_code = NAN_CODE

    @property
    def legal_codes(self) -> tuple[int, int]:
        """Signs times exponents."""
        return -2 * BIAS, 2 * BIAS

    @property
    @derived
    def kept_codes(self) -> WholeCodes:
        """Integers."""
        return WholeCodes("int16", NAN_CODE)

    def body(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Signed exponents; that of zero is 0, and NaN stays."""
        x = given["x"]
        size = np.abs(x)
        k, chance = step(size, Exponent()), size / step(size, Exponent(power=True)) - 1.0
        number = np.where(given["uniform"] < chance, k + 1.0, k) + BIAS
        return {"codes": np.where(x == 0, 0.0, np.sign(x) * np.minimum(number, 2 * BIAS))}

    def draw(self, x: np.ndarray, uniform: np.ndarray) -> dict[str, np.ndarray]:
        """Signed exponents."""
        return {"codes": self.drawn(x, uniform)["codes"]}

    def restore(self, parts: Mapping[str, Any]) -> Any:
        """The powers."""
        codes = parts["codes"]
        powers = power_of_two(np.abs(codes) - BIAS)
        return np.where(codes == NAN_CODE, np.nan, np.sign(codes) * powers)

    def decode(self, arrays: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
        """The same by NumPy's own powers of two, which short arrays are decoded by."""
        return signed_powers(arrays["codes"], -BIAS, NAN_CODE).reshape(shape)


class NUQSGD(Bucketed):
    """QSGD with levels 0, 2**-s, .., 1/2, 1 of a norm's share, rounded by chance so that the mean is right.

    r = |v| / ||v|| between neighbouring levels a <= r < b becomes b with probability (r - a) / (b - a). Parts: ``norm``, one a
    bucket of the flat array; ``codes``, int8, the sign times the number of the level. The norm is computed in float64 and
    rounded once, shares in float64. A bucket of zeros is 0; a bucket with NaN or an infinity is NaN. Source:
    Ramezani-Kebrya et al. 2019, arXiv:1908.06077, section 3.
    """

    wide = True
    levels: Annotated[int, Whole(0, 100)] = 3
    parts = ("norm", "codes")

    citation = Citation(
        "Ramezani-Kebrya et al. 2019",
        "NUQSGD: Provably Communication-efficient Data-parallel SGD",
        "arXiv:1908.06077",
        read="study",
        source="the equations as recalled, and restated in its tests",
    )
    unspecified = (
        "the bucket, as in QSGD; no official code was found to compare with; below the least level it is rounded "
        "by chance between that and zero, as the definition says"
    )

    @property
    def legal_codes(self) -> tuple[int, int]:
        """Signs times numbers of levels."""
        return -self.levels - 1, self.levels + 1

    @property
    @derived
    def kept_codes(self) -> WholeCodes:
        """Integers."""
        return WholeCodes("int8")

    def coded(self, given: Mapping[str, Any]) -> Any:
        """Signed numbers of levels."""
        x, norm = given["x"], given["bucket_norm"]
        share = np.where(norm > 0, np.minimum(np.abs(x) / norm, 1.0), 0.0)
        known = (norm < np.inf) & (share == share)
        share = np.where(known, share, 0.0)
        least = share < 2.0**-self.levels
        chance = np.where(least, share * 2.0**self.levels, share / step(share, Exponent(power=True)) - 1.0)
        level = np.where(least, 0.0, step(share, Exponent()) + (self.levels + 1.0))
        level = np.where(given["uniform"] < chance, level + 1.0, level)
        return np.where(known, np.sign(x) * level, 0.0)

    def level(self, share: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """The number of the level that a share becomes."""
        k, chance = split(share)
        least = share < 2.0**-self.levels
        chance = np.where(least, share * 2.0**self.levels, chance)
        return np.where(least, 0, k + self.levels + 1) + (uniform < chance)

    def admitted(
        self, part: str, x: np.ndarray, seen: Mapping[str, np.ndarray], own: np.ndarray, reach: float, **besides: Any
    ) -> Ends | None:
        """Norms within the roundings of their sums; levels of shares within theirs, under the norm that was seen."""
        rows = self.rows(x.astype(np.float64))
        if part == "norm":
            return around(own, (rows.shape[1] + 2) * reach * own) if self.norm == "l2" else None
        if part == "y":
            return around(own, 2 * reach * np.abs(own))
        norm, uniform = (
            seen["norm"].astype(np.float64)[:, None],
            self.rows(besides.get("uniform", self.uniforms(x.shape))),
        )
        share = np.where(norm > 0, np.abs(rows) / norm, 0.0)
        good, sign = np.isfinite(norm) & np.isfinite(share), np.sign(rows)
        shares = (np.clip(np.where(good, e, 0.0), 0.0, 1.0) for e in around(share, 2 * reach * share))
        one, other = (np.where(good, sign * self.level(e, uniform), 0.0) for e in shares)
        ends = np.minimum(one, other), np.maximum(one, other)
        return tuple(e.reshape(-1)[: x.size].reshape(x.shape) for e in ends)  # type: ignore[return-value]

    def restore(self, parts: Mapping[str, Any]) -> Any:
        """Norm times level."""
        codes = parts["codes"]
        return np.sign(codes) * power_of_two(np.abs(codes) - (1.0 + self.levels)) * parts["norm"]

    def decode(self, arrays: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
        """The same by NumPy's own powers of two, which short arrays are decoded by."""
        if isinstance(arrays["codes"], Value):  # which lies on a device
            return super().decode(arrays, shape)
        parts = self.opened(arrays, shape)
        norm, codes = parts["norm"], parts["codes"].astype(np.int32)
        levels = np.where(codes == 0, 0.0, np.ldexp(1.0, np.abs(codes) - 1 - self.levels)).astype(norm.dtype)
        return self.closed(np.sign(codes) * levels * norm, shape)
