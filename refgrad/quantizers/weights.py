"""Weights alone as few bits: round to nearest, GPTQ and AWQ. Weights are matrices, outputs by inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.arithmetic.arrays import as_array
from refgrad.arithmetic.dtypes import finite
from refgrad.arithmetic.function_arguments import REAL, Numbers, gated
from refgrad.errors import ArgumentError, bad_argument
from refgrad.quantizers.base import Ends, Quantized, Quantizer, around
from refgrad.quantizers.parts import Part, numbers, whole
from refgrad.rule import Choice, Citation, Flag, Iterations, NonNegative, Whole, by

#: the least positive number of float32
TINY = float(np.finfo(np.float32).smallest_subnormal)

Bits = Annotated[int, Whole(1, 8)]
Grid = Annotated[
    str,
    Choice(
        asymmetric="from min(w, 0) to max(w, 0): scale = range / (2**bits - 1), zero = round(-min / scale)",
        symmetric="from -a to a, a = max|w|: scale = 2 a / (2**bits - 1), zero = 2**(bits - 1), so that +a is clipped",
        symmetric_gptq=by(
            "as symmetric, but a row without negative weights has scale = a / (2**bits - 1)",
            "gptq: of GPTQ and of rounding to nearest",
        ),
        awq=by(
            "from min w to max w, zero not among them: zero = clip(-round(min / scale))",
            "llm-awq: of AWQ and of rounding to nearest",
        ),
    ),
]


class RoundToNearest(Quantizer):
    """A uniform grid for each group of inputs of each output; every weight to the nearest point, ties to even.

    q = clip(round(w / scale) + zero, 0, 2**bits - 1), w about scale (q - zero). Parts: ``scale`` and ``zero`` (int16), shape
    ``(outputs, groups)``; ``codes``, uint8, shaped like the weights; ``group_of``, int32, the group of each input. A group of
    zeros decodes to zeros; a group with NaN or an infinity is NaN. Source: Frantar et al. 2023, arXiv:2210.17323, section 4
    (its baseline), and its code for the grid.
    """

    device_module = "refgrad.quantizers.body_on_device"

    bits: Bits = 4
    group: Annotated[int, Whole(0)] = 0
    grid: Grid = "asymmetric"
    parts: ClassVar[tuple[str, ...]] = ("scale", "zero", "codes", "group_of")
    #: the widest dtype that its numbers are kept in; None where it is the working dtype of the array
    widest: ClassVar[np.dtype | None] = None

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "sign": "the zero point is rounded to a whole number",
        "idempotent": "its scale is taken anew from what codes stand for, which is rounded",
    }
    citation = Citation(
        "Frantar et al. 2023",
        "GPTQ: Accurate Post-Training Quantization",
        "arXiv:2210.17323, section 4",
        read="authors' code",
        source="IST-DASLab/gptq 2d65066, gptq.py and quant.py",
    )
    unspecified = (
        "the grid, which the source takes from earlier work: asymmetric here, extended to zero; a one-sided row "
        "differs between the codes of GPTQ and AWQ (grid)"
    )

    @property
    def top(self) -> int:
        """The largest code."""
        return 2**self.bits - 1

    def tied(self, random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Halves of the scale, which is 2**-4 where the grid is asymmetric."""
        low, high = -float(self.top // 2), float(self.top - self.top // 2)
        x = random.integers(int(2 * low), int(2 * high) + 1, shape) / 2.0
        x[..., ::16], x[..., 1::16] = low, high
        return x * 2.0**-4

    def fit(self, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scale and zero of rows, one each."""
        top = w.dtype.type(self.top)
        if self.grid == "awq":
            low, high = w.min(axis=1), w.max(axis=1)
            scale = np.maximum(high - low, w.dtype.type(1e-5)) / top
            zero = np.clip(-np.rint(low / scale), 0, top)
        else:
            low, high = np.minimum(w.min(axis=1), 0), np.maximum(w.max(axis=1), 0)
            if self.grid != "asymmetric":
                high = np.maximum(-low, high)
                low = np.where((low < 0) | (self.grid == "symmetric"), -high, low)
            low, high = np.where(low == high, -1, low), np.where(low == high, 1, high)
            scale = (high - low).astype(w.dtype) / top
            zero = np.rint(-low / scale) if self.grid == "asymmetric" else np.full_like(scale, 2 ** (self.bits - 1))
        finite = np.isfinite(w).all(axis=1)
        return np.where(finite, scale, np.nan).astype(w.dtype), np.where(finite, zero, 0)

    def code(self, w: np.ndarray, scale: np.ndarray, zero: np.ndarray) -> np.ndarray:
        """Codes as floats; 0 for NaN."""
        return np.nan_to_num(np.clip(np.rint(w / scale) + zero, 0, self.top))

    def groups_of(self, inputs: int) -> np.ndarray:
        """The group of each input; `ArgumentError` if they are not whole groups."""
        size = self.group or max(inputs, 1)
        if inputs % size:
            raise bad_argument("x.shape[1]", inputs, f"a multiple of the group's {size}")
        return (np.arange(inputs) // size).astype(np.int32)

    def fit_groups(self, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scale and zero of every group of a matrix, shape ``(outputs, groups)``."""
        size = self.group or max(w.shape[1], 1)
        groups = w.shape[1] // size
        scale, zero = self.fit(w.reshape(w.shape[0] * groups, size)) if w.size else (np.zeros(0, w.dtype), np.zeros(0))
        return scale.reshape(w.shape[0], groups), zero.reshape(w.shape[0], groups)

    def encode(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Grids and codes."""
        w = matrix(x)
        group_of = self.groups_of(w.shape[1])
        scale, zero = self.fit_groups(w)
        return kept(scale, zero, self.code(w, scale[:, group_of], zero[:, group_of]), group_of)

    def admitted(
        self, part: str, x: np.ndarray, seen: Mapping[str, np.ndarray], own: np.ndarray, reach: float, **besides: Any
    ) -> Ends | None:
        """Scales within their roundings; zeros and codes of quotients within theirs, under the scale that was seen."""
        if part == "group_of" or part not in (*RoundToNearest.parts, "y"):
            return None
        w, group_of = x.astype(np.float64), self.groups_of(x.shape[1])
        scale = self.fit_groups(w)[0] if part == "scale" else seen["scale"].astype(np.float64)
        if part == "scale":
            return around(scale, 3 * reach * scale)
        if part == "zero":
            if self.lowest is None or not w.size:
                return None
            share = -self.lowest(w.reshape(scale.size, -1)).reshape(scale.shape) / scale
            ends = (np.rint(e) for e in around(share, 2 * reach * np.abs(share)))
            return tuple(np.clip(e, 0, self.top) if self.grid == "awq" else e for e in ends)  # type: ignore[return-value]
        zero, scale = seen["zero"].astype(np.float64)[:, group_of], scale[:, group_of]
        if part == "codes":
            share = w / scale
            exact = np.frexp(scale)[0] == 0.5  # a power of two divides without rounding
            ends = (np.rint(e) for e in around(share, np.where(exact, 0.0, 2 * reach * np.abs(share))))
            low, high = (np.nan_to_num(np.clip(e + zero, 0, self.top)) for e in ends)
            overflows = 1 / np.abs(scale) > np.finfo(x.dtype).max  # a reciprocal would
            return np.where(overflows, -np.inf, low), np.where(overflows, np.inf, high)
        y = scale * (seen["codes"].astype(np.float64) - zero)
        return around(y, 2 * reach * np.abs(y))

    @property
    def lowest(self) -> Callable[[np.ndarray], np.ndarray] | None:
        """From rows to the end that the zero point comes of; None where it is a constant."""
        if self.grid == "awq":
            return lambda rows: rows.min(axis=1)
        return _lowest if self.grid == "asymmetric" else None

    def kept_parts(self, shape: tuple[int, ...]) -> Mapping[str, Part]:
        """Grids by output and group; codes shaped like the weights; the group of each input."""
        if len(shape) != 2:
            raise bad_argument("quantized.shape", shape, "(outputs, inputs)")
        size = self.group or max(shape[1], 1)
        groups = shape[1] // size
        grid = (shape[0], groups)
        return {
            "scale": replace(numbers("scale", grid), widest=self.widest),
            "zero": whole(grid),
            "codes": whole(shape, 0, self.top),
            "group_of": whole(shape[1:], 0, max(groups - 1, 0)),
        }

    def decode(self, arrays: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
        """The points of the grids."""
        scale = arrays["scale"]
        steps, zero = arrays["codes"].astype(scale.dtype), arrays["zero"].astype(scale.dtype)
        if scale.shape[1] != 1:  # else each row has one scale, which stands beside it
            group_of = arrays["group_of"]
            scale, zero = scale.take(group_of, axis=1), zero.take(group_of, axis=1)
        steps -= zero
        steps *= scale
        return steps


def _lowest(rows: np.ndarray) -> np.ndarray:
    """The lower end of each row's interval, which holds zero, and is not empty."""
    least, most = np.minimum(rows.min(axis=1), 0), np.maximum(rows.max(axis=1), 0)
    return np.where(least == most, -1.0, least)


def kept(scale: np.ndarray, zero: np.ndarray, codes: np.ndarray, group_of: np.ndarray) -> dict[str, np.ndarray]:
    """The parts in the dtypes that they are kept in."""
    return {"scale": scale, "zero": zero.astype(np.int16), "codes": codes.astype(np.uint8), "group_of": group_of}


def matrix(x: np.ndarray) -> np.ndarray:
    """The weights; `ArgumentError` unless they have two axes."""
    if x.ndim != 2:
        raise bad_argument("x.shape", x.shape, "(outputs, inputs)")
    return x


@gated(activations=Numbers(axes=2, within=REAL))
def hessian(activations: np.ndarray) -> np.ndarray:
    """2/n X^T X in float64 of n rows of inputs: the second derivative of the mean squared error of each output.

    Source: arXiv:2210.17323, section 3, with the division by n of its code.
    """
    x = activations
    if not len(x):
        raise bad_argument("activations.shape", x.shape, "(tokens, inputs), at least one token")
    return x.T @ x * (2.0 / len(x))


class GPTQ(RoundToNearest):
    """One input after the other is rounded, and what that costs is taken up by the inputs still to come.

    U is the upper Cholesky factor of (H + damping mean(diag H) I)^-1. For input j: q = Q(w_j), e = (w_j - q) / U_jj,
    w_k -= e U_jk for k > j. All in float64; blocks of columns, which only defer work, are not part of it. Inputs with H_jj = 0
    never matter: H_jj = 1, w_j = 0. Source: Frantar et al. 2023, arXiv:2210.17323, section 3.3 and algorithm 1.
    """

    device_module = ""
    on_host: ClassVar[str] = "columns are quantized one by one, by what the others left over"

    damping: NonNegative = 0.01
    act_order: Annotated[bool, Flag("inputs are taken in the order of falling diag H, of equal ones the first")] = False
    parameters: Annotated[
        str,
        Choice(
            fresh=by(
                "a group's grid is fitted when its first input comes, to the weights as they are by then", "published"
            ),
            stale=by("the same, but without what inputs of the same block of 128 have changed", "authors", "AutoGPTQ"),
            static="every group's grid is fitted to the original weights; groups stay neighbours in any order",
        ),
    ] = "fresh"

    widest = np.dtype(np.float64)
    citation = Citation(
        "Frantar et al. 2023",
        "GPTQ: Accurate Post-Training Quantization",
        "arXiv:2210.17323, algorithm 1",
        read="authors' code",
        source="IST-DASLab/gptq 2d65066, gptq.py and quant.py",
    )
    unspecified = (
        "when a group's grid is fitted: to the weights as they are when its first input comes, as the text says; "
        "the code leaves out changes of the same block (parameters=stale); dead inputs are set to zero"
    )

    def besides(self, x: np.ndarray, random: np.random.Generator) -> dict[str, np.ndarray]:
        """H of activations whose inputs go together, in few bits, so that its sums are exact."""
        if x.ndim != 2:
            return {}
        activations = random.integers(-4, 5, (64, x.shape[1])) + random.integers(-2, 3, (64, 1))
        return {"hessian": (activations.T @ activations / 32.0).astype(np.float64)}

    def admitted(
        self, part: str, x: np.ndarray, seen: Mapping[str, np.ndarray], own: np.ndarray, reach: float, **besides: Any
    ) -> Ends | None:
        """Each rounding acts on all later ones, so that there are no ends to name: the algorithm's own codes, in float64."""
        return None

    def quantize(self, x: np.ndarray, hessian: np.ndarray | None = None) -> Quantized:
        """As `Quantizer.quantize`, with H: symmetric, positive semidefinite, inputs by inputs; by default the identity.

        Raises:
            ArgumentError: an H of another shape, that is not symmetric or finite, or not positive definite with its damping.
        """
        x = matrix(as_array(x, "x"))
        h = np.eye(x.shape[1]) if hessian is None else np.array(hessian, np.float64)
        if h.shape != (x.shape[1],) * 2:
            raise bad_argument("hessian.shape", h.shape, f"{(x.shape[1],) * 2}, inputs by inputs")
        if not np.isfinite(h).all() or not np.array_equal(h, h.T):
            raise ArgumentError("hessian is not finite and symmetric; legal: a finite matrix equal to its transpose")
        with np.errstate(all="ignore"):
            return Quantized(self.compensated(x.astype(np.float64), h), x.shape, x.dtype)

    def encode(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """With the identity for H, which is rounding to nearest."""
        return self.compensated(matrix(x).astype(np.float64), np.eye(x.shape[1]))

    def compensated(self, w: np.ndarray, h: np.ndarray) -> dict[str, np.ndarray]:
        """The algorithm."""
        positions = self.groups_of(w.shape[1])
        dead = np.diag(h) == 0
        h, w = h + np.diag(dead.astype(np.float64)), np.where(dead, 0.0, w)
        order = np.argsort(-np.diag(h), kind="stable") if self.act_order else np.arange(len(h))
        group_of = positions[order] if self.parameters == "static" else positions
        scale, zero = self.fit_groups(w)
        u = inverse_factor(h[np.ix_(order, order)], self.damping)
        w = w[:, order]
        before, codes = w.copy(), np.empty(w.shape)
        for j in range(w.shape[1]):
            if j % 128 == 0:
                before = w.copy()
            if self.parameters != "static" and (j == 0 or group_of[j] != group_of[j - 1]):
                source = w if self.parameters == "fresh" else before
                scale[:, group_of[j]], zero[:, group_of[j]] = self.fit(source[:, group_of == group_of[j]])
            s, z = scale[:, group_of[j]], zero[:, group_of[j]]
            codes[:, j] = self.code(w[:, j], s, z)
            error = (w[:, j] - s * (codes[:, j] - z)) / u[j, j]
            w[:, j + 1 :] -= np.outer(error, u[j, j + 1 :])
        back = np.argsort(order)
        return kept(scale, zero, codes[:, back], group_of[back])


def inverse_factor(h: np.ndarray, damping: float) -> np.ndarray:
    """U, upper triangular, with U^T U = (H + damping mean(diag H) I)^-1."""
    if not h.size:
        return h
    damped = h + damping * np.mean(np.diag(h)) * np.eye(len(h))
    try:
        # H = T T^T with T upper, from the factor of H in reversed order; then U = T^-1, and H^-1 is never formed
        upper = np.linalg.cholesky(damped[::-1, ::-1])[::-1, ::-1]
    except np.linalg.LinAlgError:
        raise ArgumentError("hessian is not positive definite; legal: one that is, or more damping") from None
    return np.linalg.solve(upper, np.eye(len(h)))


class AWQ(RoundToNearest):
    """Inputs are scaled before rounding, by a power of their mean activation that makes the output's error least.

    a_c = mean |x_c|; for r = 0, 1/n, .., (n-1)/n: s = max(a**r, 1e-4), divided by sqrt(max s min s); Q(W s) / s; the
    first r of least mean squared error of X W^T is taken (r = 0 is rounding to nearest). With ``clip``, each group's
    magnitudes are then limited to (1 - i/n) of their largest, i = 0 .. n/2 - 1, by the error of the group's own share of the
    outputs. In float64. Parts besides those of `RoundToNearest`: ``channel_scale``, s; what is decoded is divided by it.
    Source: Lin et al. 2024, arXiv:2306.00978, section 3.2 and its code (there the error is that of a whole block of layers).
    """

    device_module = ""
    on_host: ClassVar[str] = "its scales are searched for"

    grid: Grid = "awq"
    steps: Annotated[int, Iterations()] = 20
    clip: Annotated[bool, Flag("magnitudes are clipped where that lessens the error")] = False
    parts = ("scale", "zero", "codes", "group_of", "channel_scale")
    widest = np.dtype(np.float64)

    widest = np.dtype(np.float64)

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "scale": "the search for scales depends on roundings",
        "idempotent": "it searches for scales anew",
    }
    citation = Citation(
        "Lin et al. 2024",
        "AWQ: Activation-aware Weight Quantization",
        "arXiv:2306.00978, section 3.2",
        read="authors' code",
        source="mit-han-lab/llm-awq d6e797a, awq/quantize/quantizer.py and auto_scale.py",
    )
    unspecified = (
        "on what the error is measured: the layer's own output here, a whole block of layers in the code; how many "
        "examples; whether ranges include zero (grid); the search's grid of 20 is the code's"
    )

    def besides(self, x: np.ndarray, random: np.random.Generator) -> dict[str, np.ndarray]:
        """Activations of few bits, with inputs of different size."""
        if x.ndim != 2:
            return {}
        return {"activations": random.integers(-8, 9, (32, x.shape[1])) * np.exp2(random.integers(-3, 4, x.shape[1]))}

    def admitted(
        self, part: str, x: np.ndarray, seen: Mapping[str, np.ndarray], own: np.ndarray, reach: float, **besides: Any
    ) -> Ends | None:
        """Which scales are best is a search, whose least errors may be equal: the algorithm's own, in float64."""
        return None

    def quantize(self, x: np.ndarray, activations: np.ndarray | None = None) -> Quantized:
        """As `Quantizer.quantize`, with activations, tokens by inputs; without them it is rounding to nearest.

        Raises:
            ArgumentError: activations that are not finite, or do not fit the weights.
        """
        if activations is None:
            return super().quantize(x)
        w, tokens = matrix(as_array(x, "x")).astype(np.float64), np.asarray(activations, np.float64)
        if tokens.ndim != 2 or tokens.shape[1] != w.shape[1] or not len(tokens):
            raise bad_argument("activations.shape", tokens.shape, f"(tokens, {w.shape[1]}), at least one token")
        finite(tokens, "activations")
        if not w.size:  # there is nothing to search by
            return super().quantize(x)
        with np.errstate(all="ignore"):
            return Quantized(self.searched(w, tokens), x.shape, x.dtype)

    def encode(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """With no scales."""
        return {**super().encode(x), "channel_scale": np.ones(x.shape[1], x.dtype)}

    def kept_parts(self, shape: tuple[int, ...]) -> Mapping[str, Part]:
        """A positive number for each input, besides."""
        scale = Part(shape[1:], low=TINY, nan=False, widest=self.widest)
        return {**super().kept_parts(shape), "channel_scale": scale}

    def decode(self, arrays: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
        """The points of the grids, scaled back."""
        return super().decode(arrays, shape) / arrays["channel_scale"]

    def searched(self, w: np.ndarray, x: np.ndarray) -> dict[str, np.ndarray]:
        """The parts for the best exponent."""
        size, wanted = np.abs(x).mean(axis=0), x @ w.T
        best, least = np.ones(w.shape[1]), np.inf
        for step in range(self.steps):
            s = np.maximum(size ** (step / self.steps), 1e-4)
            s = s / np.sqrt(s.max() * s.min())
            loss = float(np.mean((x @ self.rounded(w, s).T - wanted) ** 2))
            if loss < least:
                best, least = s, loss
        scaled = w * best
        if self.clip:
            scaled = self.clipped(scaled, x / best)
        return {**super().encode(scaled), "channel_scale": best}

    def rounded(self, w: np.ndarray, s: np.ndarray) -> np.ndarray:
        """Q(W s) / s."""
        return super().decode(super().encode(w * s), w.shape) / s

    def clipped(self, w: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Weights within the limits of least error, group by group."""
        size = self.group or w.shape[1]
        groups = w.reshape(w.shape[0], -1, size)
        inputs = x.reshape(len(x), -1, size)
        largest = np.abs(groups).max(axis=2, keepdims=True)
        best, least = largest.copy(), np.full(largest.shape, np.inf)
        wanted = np.einsum("tgi,ogi->tog", inputs, groups)
        for step in range(self.steps // 2):
            limit = largest * (1 - step / self.steps)
            tried = self.rounded(np.clip(groups, -limit, limit).reshape(w.shape), np.ones(w.shape[1]))
            found = np.einsum("tgi,ogi->tog", inputs, tried.reshape(groups.shape))
            loss = ((found - wanted) ** 2).mean(axis=0)[..., None]
            best, least = np.where(loss < least, limit, best), np.minimum(loss, least)
        return np.clip(groups, -best, best).reshape(w.shape)
