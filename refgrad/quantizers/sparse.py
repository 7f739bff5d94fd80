"""Gradients as few elements: the largest, or some by chance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar

import numpy as np

from refgrad.quantizers.base import Quantizer, rounded_to
from refgrad.quantizers.parts import Part, numbers
from refgrad.quantizers.stochastic import Random
from refgrad.rule import Choice, Citation, Range, by


class Sparse(Quantizer):
    """Some elements as they are, the others zero. Parts: ``indices`` into the flat array, ascending int64; ``values``."""

    device_module = "refgrad.quantizers.sparse_on_device"

    silent = True
    ratio: Annotated[float, Range(0.0, 1.0, open_high=False)] = 0.01
    parts = ("indices", "values")

    def count(self, size: int) -> int:
        """How many are kept: max(1, floor(ratio size)), none of none."""
        return min(size, max(1, int(self.ratio * size)))

    def kept_parts(self, shape: tuple[int, ...]) -> Mapping[str, Part]:
        """As many as are kept; each place once."""
        size = math.prod(shape)
        count = (self.count(size),)
        indices = Part(count, whole=True, low=0, high=max(size - 1, 0), distinct=True)
        return {"indices": indices, "values": numbers("values", count)}

    def decode(self, arrays: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
        """The elements in their places."""
        return self.decoded(arrays, shape, arrays["values"].dtype)

    def decoded(self, arrays: Mapping[str, np.ndarray], shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """What is kept is rounded, and not the zeros, which need it not."""
        values = arrays["values"]
        if values.dtype != dtype:
            values = rounded_to(values, dtype)
        if len(shape) == 1:
            found = np.zeros(shape, dtype)
            found[arrays["indices"]] = values
            return found
        found = np.zeros(math.prod(shape), dtype)
        found[arrays["indices"]] = values
        return found.reshape(shape)


class TopK(Sparse):
    """The elements of largest magnitude; of equal ones those of lowest index. NaN counts as the largest.

    Source: Stich et al. 2018, arXiv:1809.07599, definition 2.1 (to be used with `error_feedback`).
    """

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "rows": "of equal magnitudes those are kept whose places are first",
        "columns": "of equal magnitudes those are kept whose places are first",
        "monotone": "what is not kept stands for zero",
    }
    citation = Citation(
        "Stich et al. 2018",
        "Sparsified SGD with Memory",
        "arXiv:1809.07599, definition 2.1",
        read="package",
        source="sands-lab/grace fd3a7f4, grace_dl/torch/compressor/topk.py",
    )
    unspecified = (
        "ties and NaN: the lowest index first, NaN largest; how the ratio becomes a count, which the source gives as k"
    )

    def encode(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """The largest elements."""
        size = np.where(np.isnan(x), np.inf, np.abs(x)).reshape(-1)
        nan_first = np.lexsort((-size, ~np.isnan(x.reshape(-1))))
        indices = np.sort(nan_first[: self.count(x.size)]).astype(np.int64)
        return {"indices": indices, "values": x.reshape(-1)[indices]}


class RandomK(Random, Sparse):
    """Elements chosen by chance: those of the smallest uniform numbers, of equal ones those of lowest index.

    Source: Stich et al. 2018, arXiv:1809.07599, definition 2.1.
    """

    device_module = "refgrad.quantizers.sparse_on_device"

    scaled: Annotated[
        str,
        Choice(
            none=by("as they are, to be used with `error_feedback`", "published", "GRACE"),
            unbiased="times d / k, so that the mean over all choices is the gradient",
        ),
    ] = "none"

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "rows": "which elements are kept depends on their places",
        "columns": "which elements are kept depends on their places",
        "monotone": "which elements are kept depends on their places",
    }
    citation = Citation(
        "Stich et al. 2018",
        "Sparsified SGD with Memory",
        "arXiv:1809.07599, definition 2.1",
        read="package",
        source="sands-lab/grace fd3a7f4, grace_dl/torch/compressor/randomk.py",
    )
    unspecified = (
        "how the choice is drawn: from uniform numbers of a seed here; whether it is scaled to be unbiased: not, "
        "as in the source's memory scheme (scaled=unbiased)"
    )

    def draw(self, x: np.ndarray, uniform: np.ndarray) -> dict[str, np.ndarray]:
        """The chosen elements."""
        count = self.count(x.size)
        indices = np.sort(np.argsort(uniform.reshape(-1), kind="stable")[:count]).astype(np.int64)
        values = x.reshape(-1)[indices]
        if self.scaled == "unbiased" and count:
            values = values * x.dtype.type(x.size / count)
        return {"indices": indices, "values": values}
