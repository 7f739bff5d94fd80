"""Weights of two or three values: BWN and XNOR-Net, TWN, TTQ, and BitNet b1.58 with its activations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.arithmetic.function_arguments import AT_LEAST_ONE, Floats, gated
from refgrad.arithmetic.primitives import length, tree_max, tree_sum
from refgrad.arithmetic.steps import Integer, WholeCodes, step
from refgrad.derived import derived
from refgrad.errors import bad_argument
from refgrad.quantizers.elements import ElementQuantizer
from refgrad.quantizers.powers import NAN_CODE
from refgrad.quantizers.rows import Layout, RowQuantizer
from refgrad.rule import Choice, Citation, NonNegative, Positive, by

Per = Annotated[
    str,
    Choice(
        tensor="one scale for the whole array",
        filter="one scale for each index of the first axis (an output filter)",
        token="one scale for each vector along the last axis",
    ),
]

Quotient = Annotated[
    str,
    Choice(
        divide="a number divided by the array, rounded once",
        reciprocal="the number times the rounded reciprocal, which is how torch divides a number by a tensor",
    ),
]


def divided_by(number: float, x: Any, how: str) -> Any:
    """A number over an array, as a `Quotient` says."""
    return number / x if how == "divide" else number * (1.0 / x)


class FewValues(RowQuantizer):
    """A scale for each group of elements, and a small integer for each element: x is about codes times scale.

    Parts: ``scale``, one a group, in the working dtype; ``codes``, int8, shaped like ``x``. Means add by the tree of
    `tree_sum`. A group of zeros decodes to zeros; one NaN makes its group NaN, an infinity makes it infinite or NaN.
    """

    per: Per = "tensor"
    parts = ("scale", "codes")

    def layout(self, shape: tuple[int, ...]) -> Layout:
        """All of it, the indices of the first axis, or the vectors along the last one."""
        if self.per == "tensor" or not shape:
            return Layout.whole(shape)
        return Layout.channels(shape, 0) if self.per == "filter" else Layout.last_axis(shape, max(shape[-1], 1))

    @property
    @derived
    def kept_codes(self) -> WholeCodes:
        """Integers."""
        return WholeCodes("int8")

    def grouped(self, x: Any) -> tuple[Any, Any]:
        """Scale and codes of rows; a subclass writes it."""
        raise NotImplementedError

    def body(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The rule on rows."""
        scale, codes = self.grouped(given["x"])
        parts = {"scale": scale, "codes": codes}
        return {**parts, "y": self.restore(parts)}

    def restore(self, parts: Mapping[str, Any]) -> Any:
        """Codes times scale."""
        return parts["codes"] * parts["scale"]

    def stored(self, part: str, values: np.ndarray, layout: Layout) -> np.ndarray:
        """Codes as int8, 0 for NaN."""
        if part == "scale":
            return values.reshape(-1)
        return layout.joined(np.where(np.isnan(values), 0, values).astype(np.int8))

    def values(self, part: str, kept: np.ndarray, layout: Layout) -> np.ndarray:
        """Codes as float32, which is exact."""
        return kept.reshape(-1, 1) if part == "scale" else layout.cut(kept.astype(np.float32))

    def decode(self, arrays: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
        """`restore` run on the rows, with codes in the dtype of the scale as when they were made."""
        layout = self.cut_as(shape)
        scale = self.fitting("scale", arrays["scale"], layout).reshape(-1, 1)
        codes = np.asarray(self.fitting("codes", arrays["codes"], layout))
        y = self._by_kernel({"scale": scale}, codes, layout)
        if y is None:
            y = layout.whole_rows(self.restore({"scale": scale, "codes": layout.cut(codes.astype(scale.dtype))}))
        return layout.joined(y)


def mean(x: Any) -> Any:
    """The mean of each row, by `tree_sum`."""
    return tree_sum(x, "row") / length(x, "row")


class BWN(FewValues):
    """Binary weights: the sign, times the mean magnitude of the filter.

    alpha = mean |W|, W about alpha sign(W), the best scale in least squares. Source: Rastegari et al. 2016, arXiv:1603.05279,
    3.1, equations 5 and 6 (BWN and XNOR-Net scale weights alike).
    """

    per: Per = "filter"
    zero: Annotated[
        str,
        Choice(
            plus="the sign of zero is +1",
            zero=by("the sign of zero is 0", "torch: sign", "NumPy: sign"),
            minus=by("the sign of zero is -1", "elsewhere: BitNet, arXiv:2310.11453"),
        ),
    ] = "plus"

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "half a step": "there is no code between the two signs",
    }
    citation = Citation(
        "Rastegari et al. 2016",
        "XNOR-Net: ImageNet Classification Using Binary CNNs",
        "arXiv:1603.05279, 3.1",
        read="package",
        source="larq fe3ce52 MagnitudeAwareSign",
    )
    unspecified = (
        "the sign of zero: +1 here (zero); whether there is a scale for a filter or for the tensor: a filter, as "
        "the paper's matrices are"
    )

    @property
    def legal_codes(self) -> tuple[int, int]:
        """From the least to the largest."""
        return -1, 1

    def grouped(self, x: Any) -> tuple[Any, Any]:
        """Mean magnitude, and signs."""
        return mean(np.abs(x)), np.where(x == 0, {"plus": 1.0, "zero": 0.0, "minus": -1.0}[self.zero], np.sign(x))

    def gradient(self, w: np.ndarray, g: np.ndarray) -> np.ndarray:
        """dL/dW = g (1/n + alpha [|W| <= 1]) from g = dL/d(alpha sign W), n the size of a filter. Ibid., 3.1, training."""
        layout = self.layout(w.shape)
        rows = layout.cut(w)
        inside = (np.abs(rows) <= 1).astype(w.dtype)
        return layout.joined(layout.cut(g) * (w.dtype.type(1 / layout.width) + mean(np.abs(rows)) * inside))


@gated(x=Floats(axes=3, least=1), height=AT_LEAST_ONE, width=AT_LEAST_ONE)
def xnor_activation_scale(x: np.ndarray, height: int, width: int) -> np.ndarray:
    """XNOR-Net's K: the mean over channels of |I|, averaged over every window of a filter's size.

    K = A * k with A = mean_c |I_c| and k = 1 / (height width), a convolution without padding.

    Args:
        x: shape ``(channels, rows, columns)``, of a float dtype.
        height, width: the filter's size, at most ``rows`` and ``columns``.

    Returns:
        Shape ``(rows - height + 1, columns - width + 1)``. Source: arXiv:1603.05279, 3.2.
    """
    if height > x.shape[1] or width > x.shape[2]:
        raise bad_argument("x.shape", x.shape, f"(channels, rows >= {height}, columns >= {width})")
    a = mean(np.abs(x).reshape(x.shape[0], -1).T.copy()).reshape(x.shape[1:])
    windows = np.lib.stride_tricks.sliding_window_view(a, (height, width))
    return mean(windows.reshape(-1, height * width)).reshape(windows.shape[:2])


class TWN(FewValues):
    """Ternary weights: zero up to 0.7 times the mean magnitude, one scale for the others.

    Delta = 0.7 mean |W|; t = sign(W) [|W| > Delta]; alpha = the mean of |W| over |W| > Delta, the best scale for this t in
    least squares; 0 if there are none. Source: Li et al. 2016, arXiv:1605.04711, section 2 (ties go to zero).
    """

    threshold: Positive = 0.7

    citation = Citation(
        "Li et al. 2016",
        "Ternary Weight Networks",
        "arXiv:1605.04711, section 2",
        read="authors' code",
        source="fengfu-chris/caffe-twns 51916a4, src/caffe/blob.cpp lines 112, set_delta, and 174, the scale",
    )
    unspecified = (
        "ties at the threshold: they are zero, as the inequality is strict; whether the scale is of a layer or a "
        "filter: of the tensor here (per)"
    )

    @property
    def legal_codes(self) -> tuple[int, int]:
        """From the least to the largest."""
        return -1, 1

    def grouped(self, x: Any) -> tuple[Any, Any]:
        """Mean of what exceeds Delta, and ternary codes."""
        size = np.abs(x)
        delta = self.threshold * mean(size)
        above = size > delta
        count = tree_sum(np.where(above, 1.0, 0.0 * size), "row")
        alpha = tree_sum(np.where(above, size, 0.0), "row") / np.maximum(count, 1.0)
        return alpha + 0.0 * delta, np.where(above, np.sign(x), 0.0)


class TTQ(ElementQuantizer):
    """Trained ternary weights: two learned levels, and zero up to a share of the largest magnitude.

    Delta = t max |W|; W becomes Wp above Delta, -Wn below -Delta, else 0. Parts: ``codes``, int8. Source: Zhu et al. 2017,
    arXiv:1612.01064, equations 6 to 9. One NaN makes Delta, and so the whole array, NaN; its code is -128.
    """

    threshold: NonNegative = 0.05
    positive: Positive = 1.0
    negative: Positive = 1.0
    negative_gradient: Annotated[
        str,
        Choice(
            paper=by(
                "dWn is the sum of g over the negative weights",
                "published: equation 7 as it is printed",
                "trained-ternary-quantization",
            ),
            chain="dWn is minus that sum, which is the derivative of -Wn",
        ),
    ] = "paper"

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "scale": "its two scales are hyperparameters",
        "half a step": "its two scales are hyperparameters",
        "idempotent": "its two scales are hyperparameters",
        "sign": "its two scales differ",
    }
    citation = Citation(
        "Zhu et al. 2017",
        "Trained Ternary Quantization",
        "arXiv:1612.01064, equations 6-9",
        read="package",
        source="TropComplique/trained-ternary-quantization 4cd4132, utils/quantization.py",
    )
    unspecified = (
        "the sign of the negative level's gradient: equation 7 as printed, which is not the derivative "
        "(negative_gradient=chain); t is 0.05 in the experiments"
    )

    poison_code = NAN_CODE

    @property
    def legal_codes(self) -> tuple[int, int]:
        """From the least to the largest."""
        return -1, 1

    def tied(self, random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Delta of both signs, where the largest magnitude is one."""
        x = random.choice([-1.0, 1.0], shape) * self.threshold
        x[..., ::16] = 1.0
        return x

    @property
    @derived
    def kept_codes(self) -> WholeCodes:
        """Integers."""
        return WholeCodes("int8", NAN_CODE)

    def body(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """-1, 0 or 1 by a share of the largest magnitude."""
        x = given["x"]
        size = np.abs(x)
        delta = self.threshold * tree_max(size)
        return {"codes": np.where(delta == delta, np.where(size > delta, np.sign(x), 0.0), delta)}

    def restore(self, parts: Mapping[str, Any]) -> Any:
        """Wp, 0 or -Wn."""
        codes = parts["codes"]
        levels = np.where(codes > 0, self.positive, np.where(codes < 0, -self.negative, 0.0))
        return np.where(codes == NAN_CODE, np.nan, levels)

    def gradients(self, w: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, np.floating, np.floating]:
        """dW = g (Wp, 1, Wn) above, between and below; dWp and dWn, sums of g over the weights above and below."""
        with np.errstate(invalid="ignore"):
            codes = self.codes_of(w)
        factor = np.where(codes > 0, self.positive, np.where(codes < 0, self.negative, 1.0)).astype(g.dtype)
        sums = [tree_sum(np.where(codes == c, g, g.dtype.type(0))).reshape(-1)[0] for c in (1, -1)]
        return g * factor, sums[0], -sums[1] if self.negative_gradient == "chain" else sums[1]


class BitNetWeights(FewValues):
    """Ternary weights of BitNet b1.58: rounded to -1, 0, 1 in units of the mean magnitude.

    t = clip(round(W / gamma), -1, 1), round to nearest, ties to even; W about gamma t. Source: Ma et al. 2024,
    arXiv:2402.17764, equations 1 to 3; gamma = mean |W| + eps.
    """

    eps: Positive = 1e-5
    floor: Annotated[
        str,
        Choice(
            added=by("gamma = mean |W| + eps, W is divided by it", "published"),
            clamped=by("s = 1 / max(mean |W|, eps), W is multiplied by it, codes are divided by it", "authors"),
        ),
    ] = "added"

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "half a step": "numbers beyond the outermost code stand for that one",
        "scale": "eps is added to the scale",
        "idempotent": "its scale is taken anew from what codes stand for, which is rounded",
    }
    citation = Citation(
        "Ma et al. 2024",
        "The Era of 1-bit LLMs: All Large Language Models are in 1.58 Bits",
        "arXiv:2402.17764, eq. 1-3",
        read="authors' code",
        source="the authors' Training Tips, Code and FAQ of March 2024, weight_quant",
    )
    unspecified = (
        "ties: to the even one; whether eps is added to the mean, as printed, or its floor, as in the code "
        "(floor=clamped)"
    )

    @property
    def legal_codes(self) -> tuple[int, int]:
        """From the least to the largest."""
        return -1, 1

    def grouped(self, x: Any) -> tuple[Any, Any]:
        """Gamma (or s), and rounded codes."""
        gamma = mean(np.abs(x))
        if self.floor == "added":
            scale = gamma + self.eps
            return scale, step(x / scale, Integer("even", -1, 1))
        scale = 1.0 / np.maximum(gamma, self.eps)
        return scale, step(x * scale, Integer("even", -1, 1))

    def restore(self, parts: Mapping[str, Any]) -> Any:
        """Codes times gamma, or divided by s."""
        return parts["codes"] * parts["scale"] if self.floor == "added" else parts["codes"] / parts["scale"]


class BitNetActivations(FewValues):
    """8-bit activations of BitNet b1.58: integers -128 .. 127 in units of a 127th of the token's largest magnitude.

    s = 127 / max(max |x|, eps); q = clip(round(x s), -128, 127), ties to even; x about q / s. Source: Ma et al. 2024,
    arXiv:2402.17764, and the authors' "Training Tips, Code and FAQ" of March 2024, activation_quant.
    """

    per: Per = "token"
    eps: Positive = 1e-5
    quotient: Quotient = "divide"

    citation = Citation(
        "Ma et al. 2024",
        "The Era of 1-bit LLMs: Training Tips, Code and FAQ",
        "github.com/microsoft/unilm, bitnet",
        read="authors' code",
        source="microsoft/BitNet 179c2c9, gpu/model.py quant_input; the authors' Training Tips, Code and FAQ of March 2024",
    )
    unspecified = (
        "the floor of the largest magnitude, 1e-5, and the code -128: those of the authors' FAQ, where the paper's "
        "formula has neither; torch divides by a rounded reciprocal (quotient)"
    )

    def grouped(self, x: Any) -> tuple[Any, Any]:
        """s, and rounded codes."""
        scale = divided_by(127.0, np.maximum(tree_max(np.abs(x), "row"), self.eps), self.quotient)
        return scale, step(x * scale, Integer("even", -128, 127))

    def restore(self, parts: Mapping[str, Any]) -> Any:
        """Codes divided by s."""
        return parts["codes"] / parts["scale"]
