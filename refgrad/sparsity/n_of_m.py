"""N:M masks: n of every m consecutive entries are kept."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.arithmetic.arrays import as_array
from refgrad.arithmetic.dtypes import is_float
from refgrad.arithmetic.top_k import TopK, keys, top_k
from refgrad.errors import bad_argument
from refgrad.rule import Choice, Citation, NonNegative, Whole, by
from refgrad.sparsity.base import Mask
from refgrad.sparsity.magnitude import Measure, measured
from refgrad.tracing import free_values, plan_for

Along = Annotated[
    str,
    Choice(
        last="groups run along the last axis (the inputs of a linear layer's weight)",
        first="groups run along the first axis (the outputs)",
        channel="groups run along the second axis (the input channels of an O, I, H, W convolution)",
        flat=by("groups run through the array in row-major order, across the ends of rows", "NM-sparsity", "sparseml"),
    ),
]

Tail = Annotated[
    str,
    Choice(
        error="a length that m does not divide is an error",
        dense="what is left over is kept whole",
        zeros="what is left over is filled up with scores below all others, and the largest n kept",
    ),
]


class Groups(Mask):
    """Keeps n of every m consecutive entries; what they are scored by is the subclass's."""

    #: what runs there does not look at this class's own `mask`
    device_module = "refgrad.sparsity.on_device"

    n: Annotated[int, Whole(0)] = 2
    m: Annotated[int, Whole(1)] = 4
    n_is: Annotated[
        str,
        Choice(
            kept=by("n of every m are kept", "NM-sparsity", "sparseml", "jaxpruner", "apex"),
            pruned=by("n of every m are pruned", "wanda", "sparsegpt", "RIA", "llm-compressor", "TensorFlow: m_by_n"),
        ),
    ] = "kept"
    along: Along = "last"
    tail: Tail = "error"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n > self.m:
            raise bad_argument(f"{type(self).__name__}.n", self.n, f"a whole number from 0 to m={self.m}")

    def kept(self) -> int:
        """How many of a group are kept."""
        return self.n if self.n_is == "kept" else self.m - self.n

    def example_shape(self) -> tuple[int, ...]:
        """Whole groups along every axis."""
        return (4 * self.m, 8 * self.m, 2, 2) if self.along == "channel" else (4 * self.m, 8 * self.m)

    def by_rank(self) -> bool:
        """True if the largest of a group are kept, as this class has it."""
        return type(self)._of_groups is Groups._of_groups

    def selection(self) -> TopK:
        """What is selected of each group."""
        return TopK(min(self.kept(), self.m), self.ties, self.nan_rank)

    def mask(self, w: Any, *, backend: str = "auto", threads: int | None = None, **others: Any) -> np.ndarray:
        """Which entries of ``w`` are kept.

        Args:
            w: the weights, of any float dtype.
            backend: "auto", "numpy" or "numba"; the mask is the same.
            threads: how many threads a kernel may use; by default all that the process may.
            others: what else `scores` takes, by name; each broadcasts to the shape of ``w``.

        Returns:
            Booleans of the shape of ``w``.

        Raises:
            ArgumentError: ``w`` is no array of a float dtype, its length is not a multiple of m (unless `tail` says
                what then), an array that is missing or not taken, or an unknown backend.
        """
        from refgrad.backends import selection

        w = as_array(w, "w")
        fast = self._by_kernel(w, others, threads) if selection.wanted(backend, w.size) else None
        return super().mask(w, **others) if fast is None else fast

    def _by_kernel(self, w: np.ndarray, others: Mapping[str, Any], threads: int | None) -> np.ndarray | None:
        """The mask where groups are neighbours in memory, without scores in between; None where it is not made so."""
        own = type(self).select is Groups.select and type(self).score is Mask.score and self.by_rank()
        length = w.size if self.along == "flat" else w.shape[-1] if w.ndim else 1
        if not own or self.along not in ("last", "flat") or not w.ndim or length % self.m or not is_float(w.dtype):
            return None
        from refgrad.backends import group_source, selection

        free = free_values(w.shape, {})
        plan = plan_for(self, w.ndim, free)
        graph = selection.selecting(plan, self.selection())
        alone = group_source.as_stored(graph, selection.MASK) == "w"
        arrays = {"w": w} if alone and not others else self.prepare(w, others)
        return selection.of_groups(graph, self.m, arrays, plan.scalars(*free), threads)

    def select(self, scores: np.ndarray, prefer: np.ndarray | None = None) -> np.ndarray:
        """The largest of each group."""
        lines, restore = self.lines(scores)
        first = None if prefer is None else self.lines(prefer)[0]
        length = lines.shape[1]
        whole = length - length % self.m
        if whole < length and self.tail == "error":
            raise bad_argument(
                "w.shape: the length to be cut into groups", length, f"a multiple of m={self.m}, or another tail"
            )
        ranked = keys(lines, self.nan_rank)
        chosen = np.ones(lines.shape, bool)
        chosen[:, :whole] = self._of_groups(ranked[:, :whole], self.m, None if first is None else first[:, :whole])
        if whole < length and self.tail == "zeros":
            chosen[:, whole:] = self._of_groups(
                ranked[:, whole:], length - whole, None if first is None else first[:, whole:]
            )
        return restore(chosen)

    def _of_groups(self, ranked: np.ndarray, size: int, first: np.ndarray | None) -> np.ndarray:
        shape = ranked.shape
        preferred = None if first is None else np.ascontiguousarray(first).reshape(-1, size)
        groups = np.ascontiguousarray(ranked).reshape(-1, size)
        return top_k(groups, min(self.kept(), size), self.ties, preferred).reshape(shape)

    def lines(self, array: np.ndarray) -> tuple[np.ndarray, Any]:
        """The array as lines that are cut into groups, (lines, length), and what puts a result back into its shape."""
        if array.ndim == 0:
            raise bad_argument("w.ndim", 0, "at least 1")
        if self.along == "flat":
            return array.reshape(1, -1), lambda chosen: chosen.reshape(array.shape)
        axis = {"last": -1, "first": 0, "channel": 1}[self.along]
        if axis >= array.ndim:
            raise bad_argument("w.ndim", array.ndim, f"at least {axis + 1} where groups run along {self.along!r}")
        moved = np.moveaxis(array, axis, -1)
        lines = np.ascontiguousarray(moved).reshape(math.prod(moved.shape[:-1]), moved.shape[-1])
        return lines, lambda chosen: np.ascontiguousarray(np.moveaxis(chosen.reshape(moved.shape), -1, axis))


class NOfM(Groups):
    """n of every m consecutive weights by magnitude.

    Score: |w|. Ties within a group go by `ties`; implementations differ, none says so.
    Source: Zhou et al. 2021, arXiv:2102.04010, section 3 (N:M sparsity); Mishra et al. 2021, arXiv:2104.08378 (2:4).
    """

    measure: Measure = "magnitude"

    exempt_laws: ClassVar[Mapping[str, str]] = {}
    citation = Citation(
        "Zhou et al. 2021",
        "Learning N:M Fine-grained Structured Sparse Neural Networks",
        "arXiv:2102.04010",
        read="authors' code",
        source="aojunzz/NM-sparsity a557d6b, devkit/sparse_ops/sparse_ops.py",
    )
    unspecified = (
        "ties within a group; a length that m does not divide; whether n counts what is kept or pruned; along "
        "which axis a convolution's groups run: all are named variants"
    )

    def scores(self, w: Any) -> Any:  # type: ignore[override]
        return measured(w, self.measure)


class SRSTE(NOfM):
    """SR-STE: a mask that is made anew from the dense weights at every step, and a decay of what it prunes.

    Forward: w_tilde = mask w. Backward: the gradient of w is g + decay (1 - mask) w, g being that of w_tilde; decay 0 is the
    plain straight-through estimator. Source: Zhou et al. 2021, arXiv:2102.04010, equation 9.
    """

    decay: NonNegative = 2e-4
    gradient: Annotated[
        str,
        Choice(
            straight_through=by("the gradient passes to pruned weights too", "published"),
            masked=by("the gradient of pruned weights is zero", "torch: nn.utils.prune"),
        ),
    ] = "straight_through"

    exempt_laws: ClassVar[Mapping[str, str]] = {}
    citation = Citation(
        "Zhou et al. 2021",
        "Learning N:M Fine-grained Structured Sparse Neural Networks",
        "arXiv:2102.04010, equation 9",
        read="authors' code",
        source="aojunzz/NM-sparsity a557d6b, devkit/sparse_ops/sparse_ops.py",
    )
    unspecified = (
        "ties, and the axis of groups: the authors' code runs them through the flat array (along=flat); the decay "
        "2e-4 is their experiments'"
    )

    def forward(self, w: Any, mask: Any) -> Any:
        """The weights that the layer computes with."""
        return np.where(mask, w, 0.0)

    def backward(self, w: Any, mask: Any, g: Any) -> Any:
        """The gradient of the dense weights from ``g``, that of the masked ones; in the dtype of ``g``."""
        through = g if self.gradient == "straight_through" else np.where(mask, g, 0.0)
        return through + self.decay * np.where(mask, 0.0, w)
