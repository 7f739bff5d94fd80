"""What every mask can do: score the entries as the paper says, and keep the best of them by integer work."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np

from refgrad.arguments import several
from refgrad.arithmetic import dtypes
from refgrad.arithmetic.arrays import as_array
from refgrad.arithmetic.top_k import NanRank, Ties, keys, top_k
from refgrad.axes import ELEMENT, Axes
from refgrad.backends import worth_compiling
from refgrad.errors import ArgumentError, bad_argument
from refgrad.float_environment import in_standard
from refgrad.foreign_arrays import read_array
from refgrad.rule import Choice, Range, Rule, Whole, by
from refgrad.sparsity import counts
from refgrad.tracing import literal

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Sparsity = Annotated[float, Range(0.0, 1.0, open_low=False, open_high=False)]


@functools.lru_cache(maxsize=1024)
def _arguments(function: Callable[..., Any]) -> tuple[str, ...]:
    """What a function calls its arguments: they are asked for with every mask that is judged."""
    return tuple(inspect.signature(function).parameters)


class Mask(Rule):
    """Which entries of an array are kept.

    A subclass writes `scores` on what it takes (``w``, the weights, and whatever else its arguments name), in NumPy's
    vocabulary; a pattern, such as `Unstructured` or `NOfM`, writes `select`. A mask is true where the entry is kept.
    """

    kind = "mask"
    primary = "w"
    #: what the inputs besides ``w`` are, for whoever makes some up: "signed", "wide" (signed and up to ten, so that many lie on
    #: either side of a threshold), "positive", "uniform", or "column" (positive, one number an input channel), or "ones"
    #: (filled in where they are not given); "signed" by default
    inputs: ClassVar[Mapping[str, str]] = {}
    #: a small number that `scores` adds to what it makes of the weights, lost beside all but weights of its magnitude, so that
    #: there are to be cases with these; 0 if it adds none
    adds: ClassVar[float] = 0.0
    #: True if `select` looks at each score by itself, as a threshold does
    elementwise: ClassVar[bool] = False
    device_module = "refgrad.sparsity.on_device"
    computing: ClassVar[frozenset[str]] = frozenset({"score", "mask", "masks"})

    ties: Ties = "low"
    nan_rank: NanRank = "largest"

    #: ``scores(w, ...)``: one number an entry, or a unit of entries; what is largest is kept
    scores: ClassVar[Callable[..., Any]]

    def takes(self) -> dict[str, Axes]:
        """The arguments of `scores`."""
        function = getattr(self.scores, "__func__", None)
        names = _arguments(self.scores) if function is None else _arguments(function)[1:]
        return dict.fromkeys(names, ELEMENT)

    def body(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """`scores` on values by name.

        Args:
            given: a value for each argument of `scores`, of one arithmetic.

        Returns:
            Its value, called ``scores``.
        """
        return {"scores": self.scores(**{name: given[name] for name in self.takes()})}

    def select(self, scores: np.ndarray, prefer: np.ndarray | None = None) -> np.ndarray:
        """Which are kept; a pattern writes it.

        Args:
            scores: one number a unit, as `score` returns them.
            prefer: booleans like the scores: among equal scores those where it is true go first.

        Returns:
            Booleans like the scores.

        Raises:
            ArgumentError: the subclass does not write it.
        """
        legal = "`def select(self, scores, prefer=None)`, or a subclass of a pattern such as Unstructured"
        raise ArgumentError(f"{type(self).__name__} has no select; write {legal}")

    def units(self, x: np.ndarray) -> np.ndarray:
        """An array as `scores` sees it: the first axis runs over the units where whole units are kept or pruned.

        Args:
            x: an array of the shape of the weights.

        Returns:
            The array, or a view of it whose axes are in another order.
        """
        return x

    def spread(self, chosen: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """From the units that are kept to the entries that are.

        Args:
            chosen: booleans, one a unit, as `select` returns them.
            shape: the shape of the weights.

        Returns:
            Booleans of that shape.
        """
        return np.broadcast_to(chosen, self.units(np.empty(shape, bool)).shape).reshape(shape).copy()

    def example_shape(self) -> tuple[int, ...]:
        """A shape of weights that shows all that the rule does."""
        return (24, 32)

    def prepare(self, w: Any, others: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """The arrays that `scores` reads, checked, in the working dtype of ``w`` and arranged in units.

        Args:
            w: the weights, an array of any float dtype.
            others: what else `scores` takes, by name; each broadcasts to the shape of ``w``. What is all ones by default may be
                left out.

        Returns:
            Name -> array, for each argument of `scores`.

        Raises:
            ArgumentError: an array that is missing or not taken, of no float dtype, or that does not broadcast to ``w``.
        """
        w = as_array(w, "w")
        wanted = self.takes()
        others = {n: np.ones_like(w) for n, what in self.inputs.items() if what == "ones"} | dict(others)
        for name in others:
            if name not in wanted or name == "w":
                raise ArgumentError(f"{type(self).__name__} takes no {name!r}; legal: {', '.join(wanted)}")
        arrays = {}
        for name in wanted:
            if name != "w" and name not in others:
                raise ArgumentError(f"{name} is missing; {type(self).__name__} takes {', '.join(wanted)}")
            array = w if name == "w" else as_array(others[name], name)
            try:
                full = np.broadcast_to(array, w.shape)
            except ValueError:
                raise bad_argument(
                    f"{name}.shape", array.shape, f"one that broadcasts to {w.shape}, that of w"
                ) from None
            arrays[name] = self.units(np.ascontiguousarray(full, dtype=dtypes.working(w.dtype)).reshape(w.shape))
        return arrays

    def score(self, w: Any, **others: Any) -> np.ndarray:
        """`scores` on arrays, in the working dtype: one number a unit (shaped as `units` arranges them).

        Large arrays are computed by the kernels of the body's graph, with the same bits.

        Args:
            w: the weights, of any float dtype.
            others: what else `scores` takes, by name; each broadcasts to the shape of ``w``.

        Returns:
            An array of the working dtype.

        Raises:
            ArgumentError: what `prepare` says.
        """
        arrays = self.prepare(w, others)
        if not worth_compiling(arrays["w"].size):
            return literal(self, arrays, {})["scores"]
        from refgrad.backends import row_kernels

        found = row_kernels.scores(self, arrays)
        return literal(self, arrays, {})["scores"] if found is None else found

    def mask(self, w: Any, **others: Any) -> np.ndarray:
        """Which entries of ``w`` are kept.

        Args:
            w: the weights, an array of any float dtype and of a shape that the rule takes.
            others: what else `scores` takes, by name, such as activations or gradients; each broadcasts to the shape of ``w``.

        Returns:
            Booleans of the shape of ``w``, true where the entry is kept.

        Raises:
            ArgumentError: an array that is missing, not taken, of no float dtype or of another shape, or a ``w`` that the rule's
                pattern does not fit.
        """
        return self.spread(self.select(self.score(w, **others)), np.shape(w))

    @in_standard
    def sparse(self, w: Any, **others: Any) -> csr_array:
        """The entries of ``w`` that are kept, as a matrix of SciPy in compressed rows.

        Args:
            w: the weights, float32 or float64; a row is ``w[i, ...]``, its columns run along all other axes.
            others: what `mask` takes.

        Returns:
            A `scipy.sparse.csr_array` of shape ``(rows, columns)``. It stores every entry that is kept, one that is zero too, so
            that its structure is the mask's.

        Raises:
            ArgumentError: what `score` says; or a dtype that SciPy's matrices have not, or no axis.

        >>> from refgrad.sparsity import Magnitude
        >>> kept = Magnitude().sparse(np.float32([[1, 0, 3, 0], [0, 5, -6, 7]]))
        >>> kept.nnz, kept.indices.tolist(), kept.indptr.tolist()
        (4, [2, 1, 2, 3], [0, 1, 4])
        """
        w = as_array(read_array(w, "w"), "w")
        if w.dtype not in (np.float32, np.float64) or not w.ndim:
            raise bad_argument("w", f"{w.dtype} of shape {w.shape}", "float32 or float64, of at least one axis")
        from scipy.sparse import csr_array

        read = {name: read_array(value, name) for name, value in others.items()}
        mask = self.mask(w, **read).reshape(len(w), math.prod(w.shape[1:]))
        ends = np.concatenate([[0], np.cumsum(np.count_nonzero(mask, axis=1))])
        return csr_array((w.reshape(mask.shape)[mask], np.nonzero(mask)[1], ends), shape=mask.shape)

    def masks(self, ws: Sequence[Any], **others: Sequence[Any]) -> list[np.ndarray]:
        """The masks of several tensors.

        Args:
            ws: the weights, a sequence of arrays as `mask` takes them.
            others: what else `scores` takes, by name; a sequence of arrays each, one for each of ``ws``.

        Returns:
            A mask for each of ``ws``, as `mask` returns it.

        Raises:
            ArgumentError: what `mask` says, or there are not as many of each.
        """
        return [self.mask(w, **own) for w, own in tensors(ws, others)]


class Unstructured(Mask):
    """Keeps the entries (or units) with the largest scores, as many as a sparsity says, wherever they are."""

    sparsity: Sparsity = 0.5
    rounding: counts.Rounding = "half_even"
    counted: counts.Counted = "pruned"
    at_least: Annotated[int, Whole(0)] = 0
    granularity: Annotated[
        str,
        Choice(
            tensor="one ranking a tensor (layerwise)",
            row="one ranking a row w[i, ...] (an output)",
            together="one ranking over all tensors that are handed to `masks` (global)",
        ),
    ] = "tensor"

    def kept(self, size: int) -> int:
        """How many are kept.

        Args:
            size: how many there are in one ranking.

        Returns:
            The number.
        """
        return counts.kept(size, self.sparsity, self.rounding, self.counted, self.at_least)

    def select(self, scores: np.ndarray, prefer: np.ndarray | None = None) -> np.ndarray:
        """The largest of each ranking.

        Args:
            scores: one number a unit, as `score` returns them.
            prefer: booleans like the scores: among equal scores those where it is true go first.

        Returns:
            Booleans like the scores.
        """
        by_row = self.granularity == "row" and scores.ndim > 0
        shape = (scores.shape[0], math.prod(scores.shape[1:])) if by_row else (1, scores.size)
        ranked = keys(scores, self.nan_rank).reshape(shape)
        first = None if prefer is None else prefer.reshape(shape)
        return top_k(ranked, self.kept(shape[1]), self.ties, first).reshape(scores.shape)

    def masks(self, ws: Sequence[Any], **others: Sequence[Any]) -> list[np.ndarray]:
        """The masks of several tensors, by one ranking if the granularity is "together".

        Args:
            ws: the weights, a sequence of arrays as `mask` takes them.
            others: what else `scores` takes, by name; a sequence of arrays each, one for each of ``ws``.

        Returns:
            A mask for each of ``ws``, as `mask` returns it; of one ranking as many entries are kept as the sparsity says of all
            tensors together.

        Raises:
            ArgumentError: what `mask` says.
        """
        if self.granularity != "together":
            return super().masks(ws, **others)
        each = tensors(ws, others)
        if not each:
            return []
        scores = [self.score(w, **own) for w, own in each]
        chosen = self.select(np.concatenate([s.reshape(-1) for s in scores]))
        pieces = np.split(chosen, np.cumsum([s.size for s in scores])[:-1])
        return [self.spread(c.reshape(s.shape), np.shape(w)) for c, s, (w, _) in zip(pieces, scores, each, strict=True)]


def tensors(ws: Any, others: Mapping[str, Any]) -> list[tuple[Any, dict[str, Any]]]:
    """Each tensor with what else is taken of it.

    Args:
        ws: the weights.
        others: what else is taken, by name, one a tensor.

    Returns:
        Pairs of a tensor and what else is taken of it, by name.

    Raises:
        ArgumentError: one of these is no sequence, or they have not as many things.
    """
    found = several("ws", ws, "arrays, one a tensor")
    columns = {name: several(name, each, "arrays, one a tensor") for name, each in others.items()}
    for name, each in columns.items():
        if len(each) != len(found):
            raise bad_argument(f"len({name})", len(each), f"{len(found)}, one a tensor")
    return [(w, {name: each[i] for name, each in columns.items()}) for i, w in enumerate(found)]


class Together(Unstructured):
    """An unstructured mask whose paper ranks all layers of a network together."""

    granularity: Annotated[
        str,
        Choice(
            tensor="one ranking a tensor (layerwise)",
            together=by("one ranking over all tensors that are handed to `masks`", "published"),
        ),
    ] = "together"


class Structured(Unstructured):
    """Keeps whole slices along an axis, such as the filters of a convolution."""

    axis: Annotated[int, Whole(0, 7)] = 0

    def units(self, x: np.ndarray) -> np.ndarray:
        """The slices along the first axis.

        Args:
            x: an array of the shape of the weights.

        Returns:
            A view of it.

        Raises:
            ArgumentError: it has no such axis.
        """
        if self.axis >= x.ndim:
            raise bad_argument("w.ndim", x.ndim, f"more than {self.axis}, the axis of {self}")
        return np.moveaxis(x, self.axis, 0)

    def spread(self, chosen: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Every entry of a slice as the slice.

        Args:
            chosen: booleans, one a slice, or of any shape that broadcasts to the slices.
            shape: the shape of the weights.

        Returns:
            Booleans of that shape.
        """
        whole = np.broadcast_to(chosen, (shape[self.axis], *shape[: self.axis], *shape[self.axis + 1 :]))
        return np.moveaxis(whole, 0, self.axis).copy()
