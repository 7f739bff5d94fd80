"""Buckets of a flat gradient, each with a norm, and levels of it that are rounded by chance: QSGD."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.arguments import check_enlarged
from refgrad.arithmetic.operations.op import Value
from refgrad.arithmetic.primitives import tree_max, tree_sum
from refgrad.arithmetic.steps import WholeCodes
from refgrad.axes import ELEMENT, ROW, Axes
from refgrad.backends import worth_compiling
from refgrad.derived import derived
from refgrad.quantizers.base import Ends, around
from refgrad.quantizers.decoding import Decoded
from refgrad.quantizers.stochastic import Random
from refgrad.rule import Choice, Citation, Whole, by
from refgrad.tracing import literal


class Bucketed(Random, Decoded):
    """Buckets of the flat array, the last of which may be short, each with a norm.

    A subclass writes `coded`, from rows ``x``, the ``bucket_norm`` of each and uniforms to codes, and says in which dtype with
    `wide`; norms are computed in float64 and rounded once.
    """

    device_module = "refgrad.quantizers.body_on_device"

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
        """How many elements a bucket has, of an array of so many.

        Raises:
            ArgumentError: far more than the array.
        """
        if self.bucket > size:
            check_enlarged({"bucket": self.bucket}, self.bucket, size)
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
        if isinstance(given["x"], Value):  # which lies on a device
            return self.norms(given["x"]) if wanted == "norm" else self.coded(given).astype(self.kept_codes.kind)
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
        return {"codes": self.rows(arrays["codes"]), "norm": arrays["norm"].reshape(-1, 1)}

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
    if isinstance(uniform, Value):
        near: Any = uniform.astype(np.float32)  # type: ignore[attr-defined]
        return np.where(near > uniform, near._apply("next below", near), near)
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
