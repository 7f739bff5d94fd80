"""Levels that are powers of two, or sums of a few: logarithmic, INQ, and additive powers of two."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.arithmetic.operations.functions import power_of_two
from refgrad.arithmetic.primitives import tree_max, tree_sum
from refgrad.arithmetic.steps import Exponent, Ranks, TableCodes, WholeCodes, signed, step
from refgrad.axes import TENSOR, Axes
from refgrad.derived import derived
from refgrad.quantizers.base import Ends, around
from refgrad.quantizers.elements import ElementQuantizer
from refgrad.rule import Choice, Citation, Flag, Positive, Whole, by

#: the float64 next above the square root of two, so that m >= SQRT2 decides for floats as for real numbers
SQRT2 = float.fromhex("0x1.6a09e667f3bcdp+0")
#: the code that stands for NaN
NAN_CODE = -128


def signed_powers(codes: np.ndarray, least: int, nan_code: int) -> np.ndarray:
    """The sign of each code times 2 to the power of its magnitude and the least exponent, in float64.

    Args:
        codes: integers.
        least: the exponent of code 0, which stands for zero.
        nan_code: the code of NaN.
    """
    codes = codes.astype(np.int32)
    return np.where(codes == nan_code, np.nan, np.sign(codes) * np.ldexp(1.0, np.abs(codes) + least))


class LogQuantizer(ElementQuantizer):
    """A sign and a power of two: x is about sign(x) 2**k, k from full_scale - 2**bits + 1 to full_scale - 1.

    k = round(log2 |x|); below the lowest power it is zero, above the highest it is that. The boundary between 2**k and
    2**(k+1) is 2**(k + 1/2), decided from the significand, exactly. Parts: ``codes``, int8: 0, or the sign times
    k - full_scale + 2**bits. Source: Miyashita et al. 2016, arXiv:1603.01025, section 3 (there for activations, which
    have no sign). Infinity takes the highest power; NaN has the code -128 and decodes to NaN.
    """

    bits: Annotated[int, Whole(1, 6)] = 4
    full_scale: Annotated[int, Whole(-100, 100)] = 0
    boundary: Annotated[
        str,
        Choice(
            logarithm=by("halves of the logarithm, rounded up: 2**(k+1) from sqrt(2) 2**k on", "published"),
            value="halves of the value, rounded up: 2**(k+1) from 1.5 2**k on, the nearest power of two",
        ),
    ] = "logarithm"

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "scale": "the full scale is a hyperparameter",
        "half a step": "it rounds the logarithm",
    }
    citation = Citation(
        "Miyashita et al. 2016",
        "Convolutional Neural Networks using Logarithmic Data Representation",
        "arXiv:1603.01025, section 3",
        read="study",
        source="the equations as recalled, and restated in its tests",
    )
    unspecified = (
        "the boundary between two powers: half-way in the logarithm, as the paper's rounding says; the sign, which "
        "activations have not, is added here; NaN has a code of its own"
    )

    poison_code = NAN_CODE

    @property
    def legal_codes(self) -> tuple[int, int]:
        """From the least to the largest."""
        return 1 - 2**self.bits, 2**self.bits - 1

    def tied(self, random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """The float32 numbers on either side of boundaries."""
        boundary = SQRT2 if self.boundary == "logarithm" else 1.5
        near = np.float32(boundary)
        around = [float(near), *(float(np.nextafter(near, np.float32(end))) for end in (0, 2))]
        power = np.exp2(self.full_scale - random.integers(1, 2**self.bits, shape).astype(np.float64))
        return random.choice(around, shape) * power * random.choice([-1.0, 1.0], shape)

    @property
    @derived
    def kept_codes(self) -> WholeCodes:
        """Integers."""
        return WholeCodes("int8", NAN_CODE)

    @property
    @derived
    def coding(self) -> Ranks:
        """Sign times the number of the power, by the boundaries below each power."""
        boundary = SQRT2 if self.boundary == "logarithm" else 1.5
        least = self.full_scale - 2**self.bits
        return Ranks(
            signed([math.ldexp(boundary, least + n) for n in range(2**self.bits - 1)], above=False), 1 - 2**self.bits
        )

    def body(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The place among the boundaries."""
        return {"codes": step(given["x"], self.coding)}

    @property
    @derived
    def read_codes(self) -> TableCodes:
        """The power of each code, with its sign; NaN where a code has none."""
        values = np.full(256, np.nan)
        numbers = np.arange(1, 2**self.bits)
        powers = np.ldexp(1.0, numbers + self.full_scale - 2**self.bits)
        values[0], values[-numbers], values[numbers] = 0.0, -powers, powers
        return TableCodes(tuple(values.tolist()), "int8")

    def restore(self, parts: Mapping[str, Any]) -> Any:
        """The powers."""
        return parts["codes"]


class INQ(ElementQuantizer):
    """Powers of two below the largest weight: 0 and sign(w) 2**n, n from n2 to n1.

    n1 = floor(log2(4 max|W| / 3)), n2 = n1 + 1 - 2**(bits - 1) / 2. With neighbouring levels a < b (0 among them), w
    becomes b where (a + b) / 2 <= |w| < 3 b / 2. Parts: ``exponent``, n1, int16; ``codes``, int8: 0, or the sign times
    n - n2 + 1. Source: Zhou et al. 2017, arXiv:1702.03044, section 2.1. A tensor that holds NaN or an infinity is NaN.
    """

    scales_say = False
    bits: Annotated[int, Whole(3, 7)] = 5
    parts = ("exponent", "codes")

    citation = Citation(
        "Zhou et al. 2017",
        "Incremental Network Quantization",
        "arXiv:1702.03044, section 2.1",
        read="authors' code",
        source="AojunZhou/Incremental-Network-Quantization c7f6a60, src/caffe/blob.cpp lines 529 and 532, "
        "src/caffe/util/power2.cpp line 38, weightCluster_zero",
    )
    unspecified = (
        "which weights are quantized in which round, the method's other half, is left to the caller; ties: the larger level, "
        "by the inequality as it is reported, where the authors' code takes the smaller one, and has 5 bits alone; a tensor of "
        "zeros has all codes 0"
    )

    @property
    def lowest(self) -> int:
        """n2 - n1."""
        return 1 - 2 ** (self.bits - 2)

    poison_code = NAN_CODE

    @property
    def legal_codes(self) -> tuple[int, int]:
        """From the least to the largest."""
        return self.lowest - 1, 1 - self.lowest

    def tied(self, random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Numbers half-way between levels, where the largest is where its exponent turns."""
        top = 1.5 * 2.0**3
        x = 1.5 * np.exp2(random.integers(4 + self.lowest - 1, 4, shape).astype(np.float64))
        x = np.where(random.random(shape) < 0.2, np.exp2(4.0 + self.lowest - 1), x) * random.choice([-1.0, 1.0], shape)
        x[..., ::16] = top
        return x

    @property
    @derived
    def kept_codes(self) -> WholeCodes:
        """Integers."""
        return WholeCodes("int8", NAN_CODE)

    def body_parts(self) -> tuple[str, ...]:
        """Both."""
        return self.parts

    def gives(self) -> dict[str, Axes]:
        """The exponent is one number."""
        return {"exponent": TENSOR}

    def body(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The largest exponent, and sign times the number of the power."""
        x = given["x"]
        size = np.abs(x)
        largest = tree_max(size)
        known = largest < np.inf
        exponent = np.where(known & (largest > 0), step(largest, Exponent(1.5)), 0.0)
        lowest = exponent + self.lowest
        above_half = (size >= power_of_two(lowest - 1)) & (size > 0)  # between zero and the lowest power
        nearest = step(size, Exponent(1.5)) - lowest + 1
        number = np.minimum(np.maximum(nearest, np.where(above_half, 1.0, 0.0)), 1 - self.lowest)
        return {"exponent": exponent, "codes": np.where(known, np.where(x < 0, -number, number), np.nan)}

    def encode(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """The body's results as integers."""
        found = self.run({"x": x})
        return {"exponent": found["exponent"].reshape(-1).astype(np.int16), "codes": found["codes"]}

    @property
    @derived
    def kept_scales(self) -> dict[str, WholeCodes]:
        """The exponent, which is whole."""
        return {"exponent": WholeCodes("int16")}

    def part_axes(self) -> dict[str, Axes]:
        """The exponent, one number."""
        return self.gives()

    def opened(self, arrays: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> dict[str, np.ndarray]:
        """Codes, and the exponent in float64."""
        return {"codes": arrays["codes"], "exponent": arrays["exponent"].astype(np.float64)}

    def restore(self, parts: Mapping[str, Any]) -> Any:
        """The powers."""
        codes = parts["codes"]
        powers = power_of_two(np.abs(codes) + (parts["exponent"] + (self.lowest - 1)))
        return np.where(codes == NAN_CODE, np.nan, np.sign(codes) * powers)

    def decode(self, arrays: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
        """The same by NumPy's own powers of two, which short arrays are decoded by."""
        exponent = int(arrays["exponent"][0])
        return signed_powers(arrays["codes"], exponent + self.lowest - 1, NAN_CODE).reshape(shape)


#: for each number of bits the exponents of each term besides zero; what is odd is as in the authors' code
TERMS: dict[int, tuple[tuple[int, ...], ...]] = {
    2: ((1, 2, 3),),
    3: ((1, 2, 4), (3,)),
    4: ((1, 3, 5), (2, 4, 6)),
    5: ((1, 3, 6), (2, 4, 7), (5,)),
    6: ((1, 4, 7), (2, 5, 8), (3, 6, 9)),
}


class APoT(ElementQuantizer):
    """Additive powers of two: a magnitude is a sum of terms, each 0 or one of its own powers of two.

    Levels q = gamma (p_0 + p_1 + ...), p_i in {0, 2**-i, 2**-(i+n), ...}, gamma so that the largest is 1; x is about
    alpha sign(x) q(|x| / alpha), clipped at 1. Parts: ``codes``, int8: sign times the level's number. Source: Li et al.
    2020, arXiv:1909.13144, section 2.2; 3 and 5 bits as in the authors' code. ``bits`` are those of the magnitude, without
    the sign: the authors' weights of 4 bits have 3 here, their activations of 4 bits, which have no sign, 4. A magnitude
    half-way between two levels takes the lower one (the authors' code takes the one that comes first in a Python set).
    NaN has the code -128.
    """

    bits: Annotated[int, Whole(2, 6)] = 4
    alpha: Positive = 1.0
    clip_gradient: Annotated[
        bool,
        Flag(
            by(
                "the gradient of what is clipped is 0; else it passes, as for weights in released code",
                "published",
                "authors: activations",
            )
        ),
    ] = True

    citation = Citation(
        "Li et al. 2020",
        "Additive Powers-of-Two Quantization",
        "arXiv:1909.13144, section 2.2",
        read="authors' code",
        source="yhhhli/APoT_Quantization 5d38b38, ImageNet/models/quant_layer.py build_power_value",
    )
    unspecified = (
        "ties between two levels: the lower one; the authors' code takes what comes first in a set. Whether "
        "weights beyond alpha get a gradient: not, as printed; in the code they do"
    )

    @property
    @derived
    def levels(self) -> np.ndarray:
        """The magnitudes that can be had, ascending from 0 to 1, each one rounding from exact, in float64."""
        terms = [(0.0, *(2.0**-e for e in exponents)) for exponents in TERMS[self.bits]]
        sums = np.asarray(sorted({sum(chosen) for chosen in product(*terms)}))
        return sums / sums[-1]

    poison_code = NAN_CODE

    @property
    def legal_codes(self) -> tuple[int, int]:
        """From the least to the largest."""
        return 1 - len(self.levels), len(self.levels) - 1

    @property
    @derived
    def kept_codes(self) -> WholeCodes:
        """Integers."""
        return WholeCodes("int8", NAN_CODE)

    @property
    @derived
    def coding(self) -> Ranks:
        """Sign times the number of the nearest level; levels are numbers of the working dtype, and what is half-way is exact."""
        single, double = (self._between(kind) for kind in (np.float32, np.float64))
        return Ranks(single, 1 - len(self.levels), double)

    def _between(self, kind: type) -> tuple[float, ...]:
        levels = self.levels.astype(kind).astype(np.float64)
        return signed(((levels[1:] + levels[:-1]) / 2).tolist(), above=True)

    def body(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The place of the share of alpha among levels."""
        return {"codes": step(given["x"] / self.alpha, self.coding)}

    def admitted(
        self, part: str, x: np.ndarray, seen: Mapping[str, np.ndarray], own: np.ndarray, reach: float, **besides: Any
    ) -> Ends | None:
        """Levels of shares within their rounding, which is none where alpha is a power of two; values within theirs."""
        if part != "codes":
            y = self.decode(seen, x.shape)
            return around(y, reach * np.abs(y))
        share = np.abs(x.astype(np.float64)) / self.alpha
        reach = 0.0 if np.frexp(self.alpha)[0] == 0.5 else 2 * reach
        levels = self.levels.astype(x.dtype).astype(np.float64)
        middle = (levels[1:] + levels[:-1]) / 2
        low, high = (np.searchsorted(middle, np.minimum(e, 1.0), side="left") for e in around(share, reach * share))
        negative = x < 0
        low, high = np.where(negative, -high, low), np.where(negative, -low, high)
        return tuple(np.where(np.isnan(x), NAN_CODE, e) for e in (low, high))  # type: ignore[return-value]

    @property
    @derived
    def read_codes(self) -> TableCodes:
        """The level of each code, with its sign, in float64; NaN where a code has none."""
        values = np.full(256, np.nan)
        numbers = np.arange(len(self.levels))
        values[-numbers], values[numbers] = -self.levels, self.levels
        return TableCodes(tuple(values.tolist()), "int8")

    def restore(self, parts: Mapping[str, Any]) -> Any:
        """Level times alpha."""
        return parts["codes"] * self.alpha

    def gradients(self, x: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, np.floating]:
        """dx and dalpha: g [|x| <= alpha], and the sum of g (q - x/alpha) inside, g sign(x) outside. Ibid., section 2.3."""
        share = x / x.dtype.type(self.alpha)
        outside = np.abs(share) > 1
        unit = self.replace(alpha=1.0).decode(self.encode(x), x.shape).astype(x.dtype)
        d_alpha = tree_sum(g * np.where(outside, np.sign(x), unit - share)).reshape(-1)[0]
        return np.where(outside & self.clip_gradient, x.dtype.type(0), g), d_alpha
