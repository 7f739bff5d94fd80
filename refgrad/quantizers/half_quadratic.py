"""Weights as few bits by half-quadratic quantization, which needs no data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.arithmetic.steps import WholeCodes
from refgrad.axes import COLUMN, ROW, Axes
from refgrad.backends.cuda.device import Device
from refgrad.derived import derived
from refgrad.errors import NoKernel, bad_argument
from refgrad.quantizers.decoding import Decoded
from refgrad.quantizers.ternary import Quotient, divided_by
from refgrad.quantizers.weights import Bits
from refgrad.rule import Citation, Flag, Fraction, Iterations, Positive, Range, Whole, by


class HQQ(Decoded):
    """Half-quadratic quantization: the zero point, a real number, is moved so that most errors shrink and few stay large.

    S = (2**bits - 1) / (max - min), z = -min S, rounded at first with ``round_zero``. Repeat: q = clip(round(W S + z));
    r = (q - z) / S; stop when mean |W - r| does not fall; e = shrink(W - r); z = mean of q - (W - e) S over the group. At last q
    once more, with the z of the step that did not lessen the error. (While residuals of either sign are equally many, the error
    does not depend on z, and rounding decides when to stop.) shrink(v) = sign(v) max(|v| - |v|**(p-1) / beta, 0), and beta
    becomes beta ``kappa`` from step to step: 1 in hqq 0.2.8, whose option of that name is not read, 1.01 in its first releases.

    Parts: ``scale`` (1/S) and ``zero``, one a group, in the working dtype; ``codes``, uint8, shaped like x. Groups are
    consecutive elements of the flat array (axis 1), or every so many-th one (axis 0). A group with NaN or an infinity is
    NaN. Defaults are those of hqq's own configuration of 4 bits (axis 1, z rounded at first; of other widths it is not).
    Source: Badri & Shaji 2023, "Half-Quadratic Quantization of Large Machine Learning Models", and hqq 0.2.8 (where S is 1 for
    a range up to 1e-4, and at most 2e4).
    """

    device_module = "refgrad.quantizers.elements_on_device"
    on_host: ClassVar[str] = "it goes on until an error falls no longer"

    bits: Bits = 4
    group: Annotated[int, Whole(1)] = 64
    axis: Annotated[int, Whole(0, 1)] = 1
    round_zero: Annotated[
        bool, Flag(by("the first zero point is rounded to a whole number", "authors: hqq_base_quant_config at 4 bits"))
    ] = True
    p: Fraction = 0.7
    beta: Positive = 10.0
    kappa: Annotated[float, Range(1.0, open_low=False)] = 1.0
    iterations: Annotated[int, Iterations(0)] = 20
    quotient: Quotient = "divide"
    parts = ("scale", "zero", "codes")

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "sign": "codes count from the smallest number in rounded steps, which do not end at the largest",
        "scale": "a spread of less than 1e-4 and scales of more than 2e4 are cut off",
        "columns": "sums of a group are rounded in the order of its elements",
        "idempotent": "its scale is taken anew from what codes stand for, which is rounded",
    }
    citation = Citation(
        "Badri & Shaji 2023",
        "Half-Quadratic Quantization",
        "mobiusml.github.io/hqq_blog; hqq 0.2.8",
        read="authors' code",
        source="hqq 0.2.8.post1, core/quantize.py hqq_base_quant_config and core/optimize.py optimize_weights_proximal_legacy; "
        "mobiusml/hqq 0dbf39a for kappa",
    )
    unspecified = (
        "when to stop: at the first step that does not lessen the error, as in the package; the source is a post, "
        "and its exponent and weights are the package's defaults"
    )

    @property
    def legal_codes(self) -> tuple[int, int]:
        """From the least to the largest."""
        return 0, 2**self.bits - 1

    def in_groups(self, x: np.ndarray) -> np.ndarray:
        """Groups as rows, or as columns for axis 0; `ArgumentError` if the elements are not whole groups."""
        return x.reshape(self.seen(x.shape))

    def grouped(self, x: np.ndarray) -> np.ndarray:
        """Groups as rows; `ArgumentError` if the elements are not whole groups."""
        groups = self.in_groups(x)
        return groups if self.axis else np.ascontiguousarray(groups.T)

    def joined(self, rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """The array that was grouped."""
        return (rows if self.axis else rows.T).reshape(shape)

    def encode(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Scale, zero and codes."""
        w = self.grouped(x)
        finite = np.isfinite(w).all(axis=1, keepdims=True)
        scale, zero = self.solved(np.where(finite, w, 0), w.dtype.type(2**self.bits - 1)) if w.size else (w, w)
        codes = np.where(finite, self.code(np.where(finite, w, 0), scale, zero), 0)
        scale = np.where(finite, scale, np.nan)
        return {
            "scale": (1 / scale).reshape(-1).astype(w.dtype),
            "zero": zero.reshape(-1),
            "codes": self.joined(codes, x.shape).astype(np.uint8),
        }

    def code(self, w: np.ndarray, scale: np.ndarray, zero: np.ndarray, into: np.ndarray | None = None) -> np.ndarray:
        """The nearest codes, in an array that is given or in a new one."""
        steps = np.multiply(w, scale, into)
        steps += zero
        return np.rint(steps, steps).clip(0, 2**self.bits - 1, steps)

    def solved(self, w: np.ndarray, top: Any) -> tuple[np.ndarray, np.ndarray]:
        """Inverse scale and zero of each row."""
        low, high = w.min(axis=1, keepdims=True), w.max(axis=1, keepdims=True)
        scale = np.where(
            high - low <= 1e-4,
            w.dtype.type(1),
            np.minimum(divided_by(float(top), high - low, self.quotient), w.dtype.type(2e4)),
        )
        zero = np.rint(-low * scale) if self.round_zero else -low * scale
        least, beta = np.inf, self.beta
        # all steps compute in the same arrays: new ones at each may be memory that the system has to hand out at each
        q, left, size, e = (np.empty_like(w) for _ in range(4))
        for _ in range(self.iterations):
            self.code(w, scale, zero, into=q)
            np.subtract(w, np.divide(np.subtract(q, zero, left), scale, left), left)
            error = float(np.abs(left, size).mean())
            self.shrink(left, size, beta, into=e)
            np.subtract(q, np.multiply(np.subtract(w, e, e), scale, e), e)
            zero = np.mean(e, axis=1, keepdims=True)
            if not error < least:
                break
            least, beta = error, beta * self.kappa
        return scale, zero

    def shrink(self, v: np.ndarray, size: np.ndarray, beta: float, into: np.ndarray) -> None:
        """The proximal step of the p-norm, approximately.

        Args:
            v: numbers.
            size: their magnitudes; what is left there means nothing.
            beta: the strength of the term that the norm is taken with.
            into: where the step is put, shaped like them.
        """
        np.power(size, v.dtype.type(self.p - 1), into)
        into *= v.dtype.type(1 / beta)
        np.maximum(np.subtract(size, into, into), 0, out=into)
        into *= np.sign(v, size)

    @property
    @derived
    def read_codes(self) -> WholeCodes:
        """Integers from 0 on."""
        return WholeCodes("uint8")

    def at_device(self, method: str, device: Device, *args: Any, **keywords: Any) -> Any:
        """What has a kernel is `dequantize`."""
        if method == "quantize":
            raise NoKernel(self.on_host)
        return super().at_device(method, device, *args, **keywords)

    def seen(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Groups as rows, or as columns."""
        size = math.prod(shape)
        if size % self.group:
            raise bad_argument("x.size", size, f"a multiple of the group's {self.group}")
        return (size // self.group, self.group) if self.axis else (self.group, size // self.group)

    def part_axes(self) -> dict[str, Axes]:
        """Scale and zero: one a row where groups are rows, one a column where they are columns."""
        return dict.fromkeys(("scale", "zero"), ROW if self.axis else COLUMN)

    def opened(self, arrays: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> dict[str, np.ndarray]:
        """Codes with groups as rows or columns, and what goes with each."""
        codes = self.in_groups(arrays["codes"])
        scale, zero = arrays["scale"], arrays["zero"]
        return {"codes": codes} | (
            {"scale": scale[:, None], "zero": zero[:, None]} if self.axis else {"scale": scale, "zero": zero}
        )

    def restore(self, parts: Mapping[str, Any]) -> Any:
        """(q - z) times the scale."""
        return (parts["codes"] - parts["zero"]) * parts["scale"]
