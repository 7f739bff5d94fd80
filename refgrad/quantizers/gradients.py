"""Gradients as signs: TernGrad, signs and their vote, one bit with means; and what a compressor owes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.arithmetic.function_arguments import Floats, Labels, Of, Several, gated
from refgrad.arithmetic.primitives import length, tree_max, tree_sum
from refgrad.arithmetic.steps import WholeCodes
from refgrad.axes import COLUMN, TENSOR, Axes
from refgrad.derived import derived
from refgrad.errors import bad_argument
from refgrad.quantizers.base import Ends, Quantized, Quantizer, around
from refgrad.quantizers.buckets import QSGD as QSGD  # where it stood: pickles name the module
from refgrad.quantizers.elements import ElementQuantizer
from refgrad.quantizers.stochastic import Drawn
from refgrad.rule import Choice, Citation, NonNegative, by

Zero = Annotated[
    str,
    Choice(
        zero=by("the sign of zero is 0", "published", "torch: sign"),
        plus=by("the sign of zero is +1", "GRACE", "DeepSpeed: 1-bit Adam"),
    ),
]


class TernGrad(Drawn):
    """-s, 0 or s with s the largest magnitude: s sign(g) b, b = 1 with probability |g| / s.

    Parts: ``scale``; ``codes``, int8. With ``clip`` c > 0, |g| is first limited to c times the standard deviation (that of the
    whole population, around its mean; in float64). A tensor of zeros is 0; one with NaN or an infinity is NaN. Source: Wen et
    al. 2017, arXiv:1705.07878, ternarizing and gradient clipping (c = 2.5 there).
    """

    clip: NonNegative = 0.0
    parts = ("scale", "codes")

    citation = Citation(
        "Wen et al. 2017",
        "TernGrad: Ternary Gradients",
        "arXiv:1705.07878",
        read="package",
        source="sands-lab/grace fd3a7f4, grace_dl/torch/compressor/terngrad.py",
    )
    unspecified = (
        "whether the scale is of a layer or of the tensor handed in: of that; whether gradients are clipped at 2.5 "
        "standard deviations, as the experiments are: not by default (clip)"
    )

    @property
    def legal_codes(self) -> tuple[int, int]:
        """From the least to the largest."""
        return -1, 1

    @property
    @derived
    def kept_codes(self) -> WholeCodes:
        """Integers."""
        return WholeCodes("int8")

    def body_parts(self) -> tuple[str, ...]:
        """Both."""
        return self.parts

    def gives(self) -> dict[str, Axes]:
        """The scale is one number."""
        return {"scale": TENSOR}

    def body(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The largest magnitude, and ternary codes."""
        x = given["x"]
        size = np.abs(x)
        scale = tree_max(size)
        known = scale < np.inf
        codes = np.where(given["uniform"] < size / scale, np.sign(x), 0.0)
        return {"scale": np.where(known, scale, np.nan), "codes": np.where(known, codes, 0.0)}

    @property
    def prepares(self) -> bool:
        """True if numbers are clipped first."""
        return self.clip > 0

    def draw(self, x: np.ndarray, uniform: np.ndarray) -> dict[str, np.ndarray]:
        """Scale and ternary codes."""
        if not x.size:
            return {"scale": np.zeros(1, x.dtype), "codes": np.zeros(x.shape, np.int8)}
        if self.clip:
            x = np.copysign(np.minimum(np.abs(x), x.dtype.type(self.clip * deviation(x))), x)
        found = self.drawn(x, uniform)
        return {"scale": found["scale"].astype(x.dtype).reshape(-1), "codes": found["codes"]}

    def admitted(
        self, part: str, x: np.ndarray, seen: Mapping[str, np.ndarray], own: np.ndarray, reach: float, **besides: Any
    ) -> Ends | None:
        """A scale within the roundings of the deviation; codes of a chance within its own, under the scale that was seen."""
        if part == "scale":
            if not self.clip or not x.size:
                return None
            scale = np.minimum(np.abs(x.astype(np.float64)).max(), self.clip * deviation(x))
            return around(np.full(1, scale), np.full(1, (x.size + 4) * reach * scale))
        if part == "codes":
            size, sign = np.abs(x.astype(np.float64)), np.sign(x)
            scale, uniform = seen["scale"].astype(np.float64), besides.get("uniform", self.uniforms(x.shape))
            chance = np.minimum(size, scale) / scale
            one, other = (sign * (uniform < e) for e in around(chance, reach * chance))
            finite = np.isfinite(scale)
            ends = np.minimum(one, other), np.maximum(one, other)
            return tuple(np.where(finite, e, 0.0) for e in ends)  # type: ignore[return-value]
        return None

    def part_axes(self) -> dict[str, Axes]:
        """The scale, one number."""
        return self.gives()

    def opened(self, arrays: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> dict[str, np.ndarray]:
        """Codes, and the scale."""
        return {"codes": arrays["codes"], "scale": arrays["scale"]}

    def restore(self, parts: Mapping[str, Any]) -> Any:
        """Codes times scale."""
        return parts["scale"] * parts["codes"]


def deviation(x: np.ndarray) -> float:
    """The standard deviation of a whole population, in float64 by `tree_sum`."""
    wide = x.astype(np.float64).reshape(1, -1)
    centred = wide - tree_sum(wide) / wide.size
    return float(np.sqrt(tree_sum(centred * centred) / wide.size)[0, 0])


def sign(x: np.ndarray, zero: str) -> np.ndarray:
    """-1, 0 or 1 as int8; zero and NaN as the choice says: 0, or 1."""
    found = np.where(x < 0, -1, np.where(x > 0, 1, 0 if zero == "zero" else 1))
    return found.astype(np.int8)


class SignSGD(ElementQuantizer):
    """The sign of each element. Parts: ``codes``, int8.

    NaN counts as zero. Scaled, ``scale`` is a part, and one NaN makes all of it NaN; (||p||_1 / d) sign(p) is the compressor
    of EF-signSGD. Source: Bernstein et al. 2018, arXiv:1802.04434, algorithm 1; Karimireddy et al. 2019,
    arXiv:1901.09847, algorithm 1.
    """

    decodes_in = np.dtype(np.float32)
    exact = True
    zero: Zero = "zero"
    scaled: Annotated[
        str,
        Choice(
            none=by("the sign alone", "published: signSGD"),
            mean=by("times the mean magnitude", "elsewhere: EF-signSGD"),
            rms=by("times the root mean square, ||p||_2 / sqrt(d)", "DeepSpeed: 1-bit Adam"),
        ),
    ] = "none"

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "scale": "a sign has no magnitude",
        "half a step": "a sign has no magnitude",
    }
    citation = Citation(
        "Bernstein et al. 2018",
        "signSGD: Compressed Optimisation",
        "arXiv:1802.04434, algorithm 1",
        read="package",
        source="sands-lab/grace fd3a7f4, grace_dl/torch/compressor/signsgd.py; deepspeedai/DeepSpeed 84be831, comm/nccl.py",
    )
    unspecified = (
        "the sign of zero: 0 here, +1 in GRACE and DeepSpeed; NaN counts as zero; scaling is no part of signSGD "
        "and named by its own sources (scaled)"
    )

    @property
    def silent(self) -> bool:  # type: ignore[override]
        """True of signs alone."""
        return self.scaled == "none"

    @property
    def parts(self) -> tuple[str, ...]:  # type: ignore[override]
        """``codes``, and ``scale`` before them if there is one."""
        return ("codes",) if self.scaled == "none" else ("scale", "codes")

    @property
    def legal_codes(self) -> tuple[int, int]:
        """From the least to the largest."""
        return -1, 1

    @property
    @derived
    def kept_codes(self) -> WholeCodes:
        """Integers."""
        return WholeCodes("int8")

    def body(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """-1, 0 or 1; NaN counts as zero."""
        x = given["x"]
        return {"codes": np.where(x < 0, -1, 1) if self.zero == "plus" else np.where(x == x, np.sign(x), 0)}

    def encode(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Signs, and their scale."""
        codes = {"codes": self.codes_of(x)}
        if self.scaled == "none":
            return codes
        count = max(x.size, 1)
        if self.scaled == "mean":
            return {"scale": (tree_sum(np.abs(x)) / x.dtype.type(count)).reshape(-1), **codes}
        norm = np.sqrt(tree_sum(x.astype(np.float64) ** 2) / count)
        return {"scale": norm.astype(x.dtype).reshape(-1), **codes}

    def admitted(
        self, part: str, x: np.ndarray, seen: Mapping[str, np.ndarray], own: np.ndarray, reach: float, **besides: Any
    ) -> Ends | None:
        """A scale within the roundings of its sum."""
        if part != "scale":
            return None
        wide, count = np.abs(x.astype(np.float64)), max(x.size, 1)
        scale = np.sum(wide) / count if self.scaled == "mean" else np.sqrt(np.sum(wide * wide) / count)
        return around(np.full(1, scale), np.full(1, (count + 2) * reach * scale))

    def part_axes(self) -> dict[str, Axes]:
        """The scale, if there is one: one number."""
        return {} if self.scaled == "none" else {"scale": TENSOR}

    def opened(self, arrays: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> dict[str, np.ndarray]:
        """Codes, and the scale if there is one."""
        codes = {"codes": arrays["codes"]}
        return codes if self.scaled == "none" else {**codes, "scale": arrays["scale"]}

    def restore(self, parts: Mapping[str, Any]) -> Any:
        """Signs, times their scale."""
        return parts["codes"] if self.scaled == "none" else parts["codes"] * parts["scale"]


#: what an even split of votes gives
_EVEN = Choice(zero="the sign of the sum", plus=by("plus", "GRACE"))


@gated(codes=Several(Labels(-1, 1), least=1), even=_EVEN)
def majority_vote(codes: Sequence[np.ndarray], *, even: str = "zero") -> np.ndarray:
    """The sign of the sum of the workers' signs, int8.

    Args:
        codes: one array of signs a worker, of one shape.
        even: what an even split gives: "zero", the sign of the sum, or "plus" (GRACE).

    Source: Bernstein et al. 2018, arXiv:1810.05291, algorithm 1.
    """
    for i, each in enumerate(codes):
        if each.shape != codes[0].shape:
            raise bad_argument(f"codes[{i}].shape", each.shape, f"{codes[0].shape}, the shape of codes[0]")
    return sign(np.sum(codes, axis=0), even)


class OneBit(ElementQuantizer):
    """One bit an element: the mean of the column's negative elements, or that of the others.

    Columns are those of the array seen as ``(first axis, rest)``, one scalar pair each. Parts: ``low``, ``high``, one a
    column, in the working dtype (0 where there is no such element); ``codes``, uint8, 1 for elements that are not negative.
    Those means are the best pair in least squares. One NaN makes its column NaN. Source: Seide et al. 2014, Interspeech,
    "1-Bit Stochastic Gradient Descent", section 3 (to be used with `error_feedback`).
    """

    parts = ("low", "high", "codes")
    silent = True

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "half a step": "there is no code between the two signs",
    }
    citation = Citation(
        "Seide et al. 2014",
        "1-Bit Stochastic Gradient Descent",
        "Interspeech 2014, section 3",
        read="package",
        source="sands-lab/grace fd3a7f4, grace_dl/torch/compressor/onebit.py",
    )
    unspecified = (
        "nothing in the rule; what is done with columns that have elements of one side only: the other level is 0, "
        "and never read"
    )

    @property
    def legal_codes(self) -> tuple[int, int]:
        """From the least to the largest."""
        return 0, 1

    @property
    @derived
    def kept_codes(self) -> WholeCodes:
        """Bits."""
        return WholeCodes("uint8", 1)

    def body_parts(self) -> tuple[str, ...]:
        """All of them."""
        return self.parts

    def gives(self) -> dict[str, Axes]:
        """The means, one a column each."""
        return {"low": COLUMN, "high": COLUMN}

    def body(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Two means a column, and one bit an element."""
        x = given["x"]
        negative = x < 0
        bits = np.where(negative, 0.0, np.where(x == x, 1.0, x))
        many = tree_sum(bits, "column")
        poison = 0.0 * many  # NaN where one is
        low = tree_sum(np.where(negative, x, 0.0), "column") / np.maximum(length(x, "column") - many, 1.0) + poison
        high = tree_sum(np.where(negative, 0.0, x), "column") / np.maximum(many, 1.0) + poison
        return {"low": low, "high": high, "codes": bits}

    def encode(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Two means a column, and one bit an element."""
        found = self.run({"x": as_columns(x)})
        return {
            "low": found["low"].reshape(-1),
            "high": found["high"].reshape(-1),
            "codes": found["codes"].reshape(x.shape),
        }

    def admitted(
        self, part: str, x: np.ndarray, seen: Mapping[str, np.ndarray], own: np.ndarray, reach: float, **besides: Any
    ) -> Ends | None:
        """Means within the roundings of their sums."""
        if part not in ("low", "high"):
            return None
        columns = as_columns(x.astype(np.float64))
        chosen = columns < 0 if part == "low" else ~(columns < 0)
        count = np.maximum(chosen.sum(axis=0), 1)
        mean = np.where(chosen, columns, 0.0).sum(axis=0) / count
        return around(mean, (count + 1) * reach * np.abs(mean))

    def seen(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """As `as_columns`."""
        return shape[0] if shape else 1, math.prod(shape[1:])

    def part_axes(self) -> dict[str, Axes]:
        """The means, one a column each."""
        return self.gives()

    def opened(self, arrays: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> dict[str, np.ndarray]:
        """Bits by columns, and the means."""
        return {"codes": as_columns(arrays["codes"]), "low": arrays["low"], "high": arrays["high"]}

    def restore(self, parts: Mapping[str, Any]) -> Any:
        """The mean that the bit says."""
        return np.where(parts["codes"] > 0, parts["high"], parts["low"])


def as_columns(x: np.ndarray) -> np.ndarray:
    """An array as ``(first axis, rest)``; vectors and numbers are one column."""
    rows = x.shape[0] if x.ndim else 1
    return x.reshape(rows, math.prod(x.shape[1:]))


@gated(rule=Of(Quantizer), g=Floats(), error=Floats())
def error_feedback(rule: Quantizer, g: np.ndarray, error: np.ndarray, **random: Any) -> tuple[Quantized, np.ndarray]:
    """What a compressor sends of a gradient and what it still owes, and the debt that is left.

    p = g + e; send C(p); e = p - C(p). Then the sum of all that was sent, plus the last e, is the sum of all gradients, but
    for the roundings of these two operations.

    Args:
        rule: the compressor.
        g: a gradient (times the learning rate, where the algorithm wants that).
        error: what was left the last time, shaped like ``g``; zeros at first.
        random: ``uniform``, for a compressor that takes it.

    Returns:
        What is sent, and the new error. Source: Seide et al. 2014; Karimireddy et al. 2019, arXiv:1901.09847, algorithm 1.
    """
    if error.shape != g.shape or error.dtype != g.dtype:
        raise bad_argument("error", f"{error.dtype}{error.shape}", f"{g.dtype}{g.shape}, as g")
    p = g + error
    sent = rule.quantize(p, **random)
    return sent, p - rule.dequantize(sent)
