"""Gradients as few bits: QSGD, TernGrad, signs and their vote, one bit with means; and what a compressor owes.

What is random is an argument: uniforms in [0, 1), one an element; without them they are made from a seed. Each is compared
with a probability in float64, so that the outcomes and their probabilities are a finite, exact list.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.arithmetic.arrays import as_array
from refgrad.arithmetic.dtypes import working
from refgrad.arithmetic.primitives import length, tree_max, tree_sum
from refgrad.arithmetic.steps import WholeCodes
from refgrad.axes import COLUMN, ELEMENT, ROW, TENSOR, Axes
from refgrad.backends import worth_compiling
from refgrad.derived import derived
from refgrad.errors import ArgumentError, bad_argument
from refgrad.quantizers.base import Ends, Quantized, Quantizer, around
from refgrad.quantizers.decoding import Decoded, sized
from refgrad.quantizers.elements import ElementQuantizer
from refgrad.rule import Choice, Citation, NonNegative, Whole, by
from refgrad.tracing import literal

Zero = Annotated[
    str,
    Choice(
        zero=by("the sign of zero is 0", "published", "torch: sign"),
        plus=by("the sign of zero is +1", "GRACE", "DeepSpeed: 1-bit Adam"),
    ),
]


class Random(Quantizer):
    """A quantizer that rounds by chance: up where a uniform number is below the probability."""

    on_host: ClassVar[str] = "its body compares float64 uniforms in NumPy"

    seed: Annotated[int, Whole(0, 2**32 - 1)] = 0

    def draw(self, x: np.ndarray, uniform: np.ndarray) -> dict[str, np.ndarray]:
        """The parts, given one float64 uniform an element; a subclass writes it."""
        raise NotImplementedError

    def encode(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """The parts, with uniforms that are multiples of 2**-32 from Philox4x32-10 with key ``(seed, 0)``."""
        return self.draw(x, self.uniforms(x.shape))

    def uniforms(self, shape: tuple[int, ...]) -> np.ndarray:
        """The uniforms that the seed gives, in float64."""
        from refgrad.backends.philox_kernel import random_words

        return random_words(math.prod(shape), self.seed).astype(np.float64).reshape(shape) * 2.0**-32

    def besides(self, x: np.ndarray, random: np.random.Generator) -> dict[str, np.ndarray]:
        """Those uniforms."""
        return {"uniform": self.uniforms(x.shape)}

    def quantize(self, x: np.ndarray, uniform: np.ndarray | None = None) -> Quantized:
        """As `Quantizer.quantize`, with the uniforms to be used.

        Raises:
            ArgumentError: uniforms that are not in [0, 1), or not one an element.
        """
        if uniform is None:
            return super().quantize(x)
        x, uniform = as_array(x, "x"), np.asarray(uniform, np.float64)
        if uniform.shape != x.shape:
            raise bad_argument("uniform.shape", uniform.shape, f"{x.shape}, the shape of x")
        if not ((uniform >= 0) & (uniform < 1)).all():
            raise ArgumentError("uniform holds numbers outside [0, 1); legal: 0 <= uniform < 1")
        with np.errstate(all="ignore"):
            return Quantized(self.draw(x.astype(working(x.dtype)), uniform), x.shape, x.dtype)


class Drawn(Random, ElementQuantizer):
    """A quantizer that rounds by chance and whose body, in float64, takes uniforms beside the array.

    A subclass writes `body`, from ``x`` and ``uniform`` to codes and numbers of the tensor or of each row.
    """

    encodes_in = np.dtype(np.float64)

    device_module = "refgrad.quantizers.elements_on_device"

    def takes(self) -> dict[str, Axes]:
        """The array, and uniforms."""
        return {"x": ELEMENT, "uniform": ELEMENT}

    def drawn(self, x: np.ndarray, uniform: np.ndarray) -> dict[str, np.ndarray]:
        """The body's results on arrays of float64."""
        return self.run({"x": x.astype(np.float64, copy=False), "uniform": uniform})


class Bucketed(Random, Decoded):
    """Buckets of the flat array, the last of which may be short, each with a norm.

    A subclass writes `coded`, from rows ``x``, the ``bucket_norm`` of each and uniforms to codes, and says in which dtype with
    `wide`; norms are computed in float64 and rounded once.
    """

    on_host: ClassVar[str] = "its buckets are cut from the flat array there, and their norms folded in float64"

    bucket: Annotated[int, Whole(0)] = 0
    norm: Annotated[
        str,
        Choice(
            l2=by("the Euclidean norm", "published: theory"), max=by("the largest magnitude", "published: experiments")
        ),
    ] = "l2"

    #: True if codes are computed in float64, whatever the dtype of the array
    wide: ClassVar[bool] = False

    def width(self, size: int) -> int:
        """How many elements a bucket has, of an array of so many."""
        return self.bucket or max(size, 1)

    def rows(self, x: np.ndarray) -> np.ndarray:
        """The buckets, filled up with zeros."""
        width = self.width(x.size)
        missing = -x.size % width
        flat = np.concatenate([x.reshape(-1), np.zeros(missing, x.dtype)]) if missing else x
        return flat.reshape(-1, width)

    def takes(self) -> dict[str, Axes]:
        """The rows, uniforms, and the norm of each row."""
        return {"x": ELEMENT, "uniform": ELEMENT, "bucket_norm": ROW}

    def gives(self) -> dict[str, Axes]:
        """Norms, one a row."""
        return {"norm": ROW}

    @property
    def kept_codes(self) -> WholeCodes:
        """How codes are kept."""
        raise NotImplementedError

    @property
    def read_codes(self) -> WholeCodes:
        """As they are kept."""
        return self.kept_codes

    def body_parts(self) -> tuple[str, ...]:
        """Norms, and codes under the norms that are handed in."""
        return ("norm", "codes")

    def stored_outputs(self, dtype: Any) -> dict[str, WholeCodes]:
        """Codes, as they are kept."""
        return {"codes": self.kept_codes}

    def body(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Norms, and codes under those that are handed in."""
        return {"norm": self.norms(given["x"]), "codes": self.coded(given)}

    def coded(self, given: Mapping[str, Any]) -> Any:
        """Codes under the norms that are handed in; a subclass writes it."""
        raise NotImplementedError

    def norms(self, rows: Any) -> Any:
        """The norm of each row."""
        if self.norm == "max":
            return tree_max(np.abs(rows), "row")
        return np.sqrt(tree_sum(rows * rows, "row"))

    def run(self, given: dict[str, np.ndarray], wanted: str) -> np.ndarray:
        """One of the results of the body, by a kernel where there are enough elements to be worth one.

        Args:
            given: what it is computed from, by name.
            wanted: its name.
        """
        if given["x"].size and worth_compiling(given["x"].size):
            from refgrad.backends import row_kernels

            found = row_kernels.run(self, given, wanted=(wanted,))
            if found is not None:
                return found[wanted]
        if wanted == "norm":
            return np.asarray(self.norms(given["x"]))
        found = literal(self, given, {}, lambda rule, rows: {"codes": rule.coded(rows)})
        return found["codes"].astype(self.kept_codes.kind)

    def draw(self, x: np.ndarray, uniform: np.ndarray) -> dict[str, np.ndarray]:
        """Norms and signed levels."""
        rows = self.rows(x)
        exact = rows if self.norm == "max" and not self.wide else rows.astype(np.float64, copy=False)
        norm = self.run({"x": exact}, "norm").astype(x.dtype)
        if not self.wide:
            uniform = below(uniform) if x.dtype == np.float32 else uniform
        given = {"x": exact if self.wide else rows, "uniform": self.rows(uniform)}
        codes = self.run({**given, "bucket_norm": norm.astype(given["x"].dtype)}, "codes")
        norm = np.where(np.isfinite(norm), norm, np.nan).astype(x.dtype)
        return {"norm": norm.reshape(-1), "codes": codes.reshape(-1)[: x.size].reshape(x.shape)}

    def seen(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Buckets, filled up."""
        size = math.prod(shape)
        return -(-size // self.width(size)), self.width(size)

    def part_axes(self) -> dict[str, Axes]:
        """Norms, one a row."""
        return {"norm": ROW}

    def opened(self, arrays: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> dict[str, np.ndarray]:
        """Codes by buckets, and the norms."""
        codes = self.rows(sized("codes", arrays["codes"], math.prod(shape)))
        return {"codes": codes, "norm": sized("norm", arrays["norm"], len(codes)).reshape(-1, 1)}

    def closed(self, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Without what buckets were filled up with."""
        return values.reshape(-1)[: math.prod(shape)].reshape(shape)


def below(uniform: np.ndarray) -> np.ndarray:
    """Float64 numbers that are not negative, rounded down to float32: what is less than a float32 number stays so, and only that.

    Args:
        uniform: the numbers.

    Returns:
        The largest float32 numbers that are not above them.
    """
    if (uniform < np.finfo(np.float32).smallest_normal).any():
        near = uniform.astype(np.float32)
        return np.where(near > uniform, np.nextafter(near, np.float32(0)), near)
    bits = np.ascontiguousarray(uniform).view(np.int64) & -(1 << 29)  # the 24 that float32 has
    return bits.view(np.float64).astype(np.float32).reshape(uniform.shape)


class QSGD(Bucketed):
    """Levels 0 .. s in units of a norm's s-th part, rounded by chance so that the mean is right.

    y = s |v| / ||v||, l = floor(y), or one more with probability y - floor(y); Q = ||v|| sign(v) l / s. Parts: ``norm``, one
    a bucket of the flat array (the last one may be short); ``codes``, int32, sign times l. The norm is computed in float64
    and rounded once. A bucket of zeros is 0; a bucket with NaN or an infinity is NaN. Then E[Q] = v, but for the rounding of
    y and of Q. Source: Alistarh et al. 2017, arXiv:1610.02132, section 3.1.
    """

    levels: Annotated[int, Whole(1, 2**24)] = 16
    order: Annotated[
        str,
        Choice(
            share=by("s (|v| / norm), then norm (l / s)", "published"),
            unit=by("(s / norm) |v|, then (norm / s) l", "GRACE"),
        ),
    ] = "share"
    parts = ("norm", "codes")

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "rows": "the random number of an element depends on its place",
        "columns": "the random number of an element depends on its place",
        "idempotent": "the random number of an element depends on its place",
        "monotone": "the random number of an element depends on its place",
        "half a step": "the random number of an element depends on its place",
    }
    citation = Citation(
        "Alistarh et al. 2017",
        "QSGD: Communication-Efficient SGD",
        "arXiv:1610.02132, 3.1",
        read="package",
        source="sands-lab/grace fd3a7f4, grace_dl/torch/compressor/qsgd.py",
    )
    unspecified = (
        "the bucket and the norm: the whole array and the Euclidean one by the theory, buckets and the largest "
        "magnitude in the experiments; the order of the product, in which GRACE differs (order=unit)"
    )

    @property
    def legal_codes(self) -> tuple[int, int]:
        """From the least to the largest."""
        return -self.levels, self.levels

    @property
    @derived
    def kept_codes(self) -> WholeCodes:
        """Integers."""
        return WholeCodes("int32")

    def coded(self, given: Mapping[str, Any]) -> Any:
        """Signed levels; shares less their floors are exact in any dtype."""
        x, norm, s = given["x"], given["bucket_norm"], float(self.levels)
        size = np.abs(x)
        y = s * (size / norm) if self.order == "share" else (s / norm) * size
        y = np.where(norm > 0, np.minimum(y, s), 0.0)
        low = np.floor(y)
        level = np.where(given["uniform"] < y - low, low + 1.0, low)
        known = (norm < np.inf) & (level == level)
        return np.where(known, np.sign(x) * level, 0.0)

    def admitted(
        self, part: str, x: np.ndarray, seen: Mapping[str, np.ndarray], own: np.ndarray, reach: float, **besides: Any
    ) -> Ends | None:
        """Norms within the roundings of their sums; levels of shares within theirs, under the norm that was seen."""
        rows = self.rows(x.astype(np.float64))
        if part == "norm":
            norm = self.norms(rows).reshape(-1)
            return around(norm, (rows.shape[1] + 2) * reach * norm) if self.norm == "l2" else None
        norm, size = seen["norm"].astype(np.float64)[:, None], x.size
        if part == "codes":
            share = np.where(norm > 0, self.levels * np.abs(rows) / norm, 0.0)
            uniform, found = self.rows(besides.get("uniform", self.uniforms(x.shape))), []
            for y in around(share, 2 * reach * share):
                y = np.minimum(y, self.levels)
                level = np.floor(y) + (uniform < y - np.floor(y))
                found.append(np.where(np.isfinite(norm) & np.isfinite(level), level, 0.0))
            sign, (low, high) = np.sign(rows), found
            ends = np.minimum(sign * low, sign * high), np.maximum(sign * low, sign * high)
        else:
            y = norm * (self.rows(seen["codes"].astype(np.float64)) / self.levels)
            ends = around(y, 2 * reach * np.abs(y))
        return tuple(e.reshape(-1)[:size].reshape(x.shape) for e in ends)  # type: ignore[return-value]

    def restore(self, parts: Mapping[str, Any]) -> Any:
        """Norm times share of the levels."""
        norm, s = parts["norm"], float(self.levels)
        return norm * (parts["codes"] / s) if self.order == "share" else (norm / s) * parts["codes"]


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
        return {"codes": arrays["codes"], "scale": sized("scale", arrays["scale"], 1)}

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
        return codes if self.scaled == "none" else {**codes, "scale": sized("scale", arrays["scale"], 1)}

    def restore(self, parts: Mapping[str, Any]) -> Any:
        """Signs, times their scale."""
        return parts["codes"] if self.scaled == "none" else parts["codes"] * parts["scale"]


def majority_vote(codes: Sequence[np.ndarray], *, even: str = "zero") -> np.ndarray:
    """The sign of the sum of the workers' signs, int8.

    Args:
        codes: one array of signs a worker, of one shape.
        even: what an even split gives: "zero", the sign of the sum, or "plus" (GRACE).

    Source: Bernstein et al. 2018, arXiv:1810.05291, algorithm 1.
    """
    if even not in ("zero", "plus"):
        raise bad_argument("even", even, "'zero' or 'plus'")
    return sign(np.sum([c.astype(np.int64) for c in codes], axis=0), even)


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
        codes = as_columns(arrays["codes"].reshape(shape))
        low, high = (sized(part, arrays[part], codes.shape[1]) for part in ("low", "high"))
        return {"codes": codes, "low": low, "high": high}

    def restore(self, parts: Mapping[str, Any]) -> Any:
        """The mean that the bit says."""
        return np.where(parts["codes"] > 0, parts["high"], parts["low"])


def as_columns(x: np.ndarray) -> np.ndarray:
    """An array as ``(first axis, rest)``; vectors and numbers are one column."""
    rows = x.shape[0] if x.ndim else 1
    return x.reshape(rows, math.prod(x.shape[1:]))


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
    p = as_array(g, "g") + as_array(error, "error")
    if p.shape != g.shape or p.dtype != g.dtype:
        raise bad_argument("error", f"{error.dtype}{error.shape}", f"{g.dtype}{g.shape}, as g")
    sent = rule.quantize(p, **random)
    return sent, p - rule.dequantize(sent)
