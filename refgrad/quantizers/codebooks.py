"""Codebooks found from the data: k-means on numbers, its exact optimum in one dimension, product quantization."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.arithmetic.dtypes import finite
from refgrad.arithmetic.primitives import look_up
from refgrad.arithmetic.rounding import check_codes, gathered
from refgrad.arithmetic.steps import WholeCodes
from refgrad.axes import TABLE, Axes
from refgrad.errors import bad_argument
from refgrad.quantizers.base import Ends, Quantizer, around
from refgrad.quantizers.decoding import Decoded
from refgrad.quantizers.parts import Part, numbers, whole
from refgrad.rule import Choice, Citation, Iterations, Whole, by

#: distances that are held at a time
AT_ONCE = 1 << 22
#: between these lies the largest of the numbers of which squares are taken: no sum of squares overflows, none of note vanishes
MODERATE = 2.0**-400, 2.0**480

Start = Annotated[
    str,
    Choice(
        linear=by("equally spaced from the least to the largest value, both among them", "published: its best"),
        quantile=by(
            "the values at equally spaced places of the sorted data, their ends among them",
            "published: its density-based start",
        ),
    ),
]


def moderate(values: np.ndarray) -> tuple[np.ndarray, int]:
    """Numbers whose squares, and sums of these, are numbers of float64 too.

    Args:
        values: float64, finite, of any shape.

    Returns:
        The numbers as they are and 0; where the largest is beyond `MODERATE`, all of them divided by a power of two, and its
        exponent.

    >>> moderate(np.array([2.0**1000, 0.0]))
    (array([0.5, 0. ]), 1001)
    """
    largest = np.abs(values).max(initial=0.0)
    if not largest or MODERATE[0] <= largest <= MODERATE[1]:
        return values, 0
    power = int(np.frexp(largest)[1])
    return np.ldexp(values, -power), power


def as_it_was(centres: np.ndarray, power: int, values: np.ndarray) -> np.ndarray:
    """Centres of numbers that `moderate` gave, as those of the numbers before.

    Args:
        centres: float64.
        power: what `moderate` gave, as are the ``values``.

    Returns:
        The centres times that power of two; none is beyond all values, as a mean that was rounded may be, so that none is
        infinite.
    """
    if not power:
        return centres
    return np.ldexp(np.clip(centres, values.min(), values.max()), power)


def nearest_centre(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """The index of the centre of least squared distance for each row, the lowest one on ties.

    Distances are sums of squared differences in float64, coordinate by coordinate; they are not expanded into products,
    which would cancel.
    """
    found = np.empty(len(points), np.int64)
    step = max(1, AT_ONCE // max(1, centres.size))
    for start in range(0, len(points), step):
        part = points[start : start + step]
        distance = np.zeros((len(part), len(centres)))
        for axis in range(points.shape[1]):
            distance += (part[:, axis, None] - centres[None, :, axis]) ** 2
        found[start : start + step] = np.argmin(distance, axis=1)
    return found


def lloyd(points: np.ndarray, centres: np.ndarray, iterations: int) -> tuple[np.ndarray, np.ndarray]:
    """Lloyd's algorithm: assign each point to the nearest centre, move each centre to its mean, until nothing changes.

    Args:
        points: float64, shape ``(points, axes)``, finite.
        centres: the start, shape ``(k, axes)``.
        iterations: at most this many times.

    Returns:
        Centres, and the nearest centre of every point. A centre without points stays where it is.
    """
    codes = nearest_centre(points, centres)
    for _ in range(iterations):
        counts = np.bincount(codes, minlength=len(centres))
        sums = np.stack(
            [np.bincount(codes, weights=points[:, a], minlength=len(centres)) for a in range(points.shape[1])], axis=1
        )
        moved = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], centres)
        if np.array_equal(moved, centres):
            break
        centres, codes = moved, nearest_centre(points, moved)
    return centres, codes


def exact_partition(ordered: np.ndarray, clusters: int) -> np.ndarray:
    """Where the clusters begin that split sorted numbers with the least sum of squared distances to their means.

    Dynamic programming over prefixes, cost(j, i) = min over s of cost(j - 1, s) + spread(s, i); because the best s does not
    fall as i grows, each layer is found by halving in O(n log n). Wang & Song 2011 (Ckmeans.1d.dp); float64.

    Args:
        ordered: ascending, finite.
        clusters: how many, at most the number of elements.

    Returns:
        ``clusters`` starts, ascending, the first one 0. Of equal costs the earliest start is taken.
    """
    centred = ordered - ordered[len(ordered) // 2]  # sums of squares lose fewer digits around the median
    sums, squares = (np.concatenate([[0.0], np.cumsum(v)]) for v in (centred, centred * centred))

    def spread(start: np.ndarray, end: np.ndarray) -> np.ndarray:
        total = sums[end] - sums[start]
        return np.maximum(squares[end] - squares[start] - total * total / (end - start), 0.0)

    count = len(ordered)
    ends = np.arange(1, count + 1)
    cost = np.concatenate([[0.0], spread(np.zeros(count, np.int64), ends)])
    choices = [np.zeros(count + 1, np.int64)]
    for layer in range(1, clusters):
        cost, chosen = _one_more(cost, spread, layer)
        choices.append(chosen)
    begins, end = [], count
    for chosen in reversed(choices):
        begins.append(int(chosen[end]))
        end = begins[-1]
    return np.asarray(begins[::-1])


def _one_more(cost: np.ndarray, spread: Callable[..., np.ndarray], layer: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each prefix the least cost with one more cluster, and where that begins; ``layer`` clusters so far.

    The prefixes in the middle of all intervals of one depth of the halving are looked at together.
    """
    new, chosen = np.full(len(cost), np.inf), np.zeros(len(cost), np.int64)
    low, high = np.asarray([layer + 1]), np.asarray([len(cost) - 1])
    first, last = np.asarray([layer]), np.asarray([len(cost) - 2])
    while low.size:
        middle = (low + high) // 2
        lengths = np.minimum(last, middle - 1) + 1 - first
        begins = np.cumsum(lengths) - lengths
        segment = np.repeat(np.arange(len(middle)), lengths)
        starts = np.arange(len(segment)) - begins[segment] + first[segment]
        totals = cost[starts] + spread(starts, middle[segment])
        least = np.minimum.reduceat(totals, begins)
        places = np.flatnonzero(totals == least[segment])
        best = starts[places[np.searchsorted(segment[places], np.arange(len(middle)))]]
        new[middle], chosen[middle] = least, best
        low, high = np.concatenate([low, middle + 1]), np.concatenate([middle - 1, high])
        first, last = np.concatenate([first, best]), np.concatenate([best, last])
        kept = low <= high
        low, high, first, last = low[kept], high[kept], first[kept], last[kept]
    return new, chosen


class Codebook(Decoded):
    """A table of values found from the array itself, and for each element the number of one of them.

    Parts: ``codebook``, in the working dtype, ascending; ``codes``, uint8. Everything is computed in float64; an element
    takes the nearest value of the stored codebook, the lower one on ties.
    """

    on_host: ClassVar[str] = "its table is searched for in the array"
    silent = True

    clusters: Annotated[int, Whole(1, 256)] = 16
    parts = ("codebook", "codes")

    def centres(self, values: np.ndarray) -> np.ndarray:
        """The codebook of finite float64 values, at least one; a subclass writes it."""
        raise NotImplementedError

    def encode(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """The codebook, and the nearest value's number; `ArgumentError` if an element is not finite."""
        values, power = moderate(finite(x, "x").reshape(-1))
        if not values.size:
            return {"codebook": np.zeros(0, x.dtype), "codes": np.zeros(x.shape, np.uint8)}
        codebook = np.sort(as_it_was(self.centres(values), power, values).astype(x.dtype))
        codes = nearest_centre(values[:, None], np.ldexp(codebook.astype(np.float64), -power)[:, None])
        return {"codebook": codebook, "codes": codes.astype(np.uint8).reshape(x.shape)}

    def admitted(
        self, part: str, x: np.ndarray, seen: Mapping[str, np.ndarray], own: np.ndarray, reach: float, **besides: Any
    ) -> Ends | None:
        """Codebooks whose values are as far from the rule's as sums may be; codes of the nearest in the one that was seen."""
        if part == "codebook" and x.size:
            return around(own, np.full(own.shape, reach * x.size * np.abs(x.astype(np.float64)).max()))
        if part != "codes":
            return None
        book, wide = seen["codebook"].astype(np.float64), x.astype(np.float64)
        middle, error = (book[1:] + book[:-1]) / 2, reach * (np.abs(wide) + np.abs(book).max(initial=0.0))
        low, high = around(wide, error)
        return np.searchsorted(middle, low, side="left"), np.searchsorted(middle, high, side="right")

    def kept_parts(self, shape: tuple[int, ...]) -> Mapping[str, Part]:
        """A codebook of any length, and codes shaped like the array."""
        return {"codebook": numbers("codebook", (None,)), "codes": whole(shape)}

    @property
    def read_codes(self) -> WholeCodes:
        """Whole numbers."""
        return WholeCodes("uint8")

    def part_axes(self) -> Mapping[str, Axes]:
        """The codebook, whose length is its own."""
        return {"codebook": TABLE}

    def opened(self, arrays: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> dict[str, np.ndarray]:
        """Codes and codebook; `ArgumentError` for a code that is not in it."""
        codebook, codes = self._checked(arrays)
        return {"codes": codes, "codebook": codebook}

    def decode(self, arrays: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
        """The codebook's values; codes are places as they are, of which no numbers need be made."""
        return gathered(*self._checked(arrays))

    def _checked(self, arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Codebook and codes."""
        codebook = arrays["codebook"]
        if codebook.ndim != 1:
            raise bad_argument("quantized['codebook'].shape", codebook.shape, "one axis")
        return codebook, check_codes(arrays["codes"], codebook.size, "quantized['codes']")

    def restore(self, parts: Mapping[str, Any]) -> Any:
        """The codebook's values."""
        return look_up(parts["codebook"], parts["codes"])


class KMeans(Codebook):
    """Weight sharing by k-means: Lloyd's algorithm on the elements. A value that no element is nearest to stays.

    Source: Han et al. 2016, arXiv:1510.00149, 3.1 and 3.2.
    """

    iterations: Annotated[int, Iterations(0)] = 300
    start: Start = "linear"

    searches = True
    citation = Citation(
        "Han et al. 2016",
        "Deep Compression",
        "arXiv:1510.00149, 3.1-3.2",
        read="study",
        source="the equations as recalled, and restated in its tests",
    )
    unspecified = (
        "a centre that no element is nearest to: it stays, where scikit-learn moves it; when to stop: after a "
        "number of rounds, or when nothing changes; of equal distances the lower code"
    )

    def centres(self, values: np.ndarray) -> np.ndarray:
        """By `lloyd`."""
        start = np.linspace(values.min(), values.max(), self.clusters)
        if self.start == "quantile":
            places = np.linspace(0, values.size - 1, self.clusters)
            start = np.sort(values)[np.rint(places).astype(np.int64)]
        return lloyd(values[:, None], start[:, None], self.iterations)[0][:, 0]

    def gradient(self, codes: np.ndarray, g: np.ndarray) -> np.ndarray:
        """dL/dc_k: the sum of g over the elements with code k, in float64. Ibid., 3.3."""
        return np.bincount(codes.reshape(-1), weights=g.reshape(-1).astype(np.float64), minlength=self.clusters)


class OptimalCodebook(Codebook):
    """The codebook of least squared error, by dynamic programming over the sorted elements: a bound for every other.

    Source: Wang & Song 2011, "Ckmeans.1d.dp: Optimal k-means Clustering in One Dimension", The R Journal 3(2).
    """

    searches = True
    citation = Citation(
        "Wang & Song 2011",
        "Ckmeans.1d.dp: Optimal k-means Clustering in One Dimension",
        "The R Journal 3/2",
        read="study",
        source="the equations as recalled, and restated in its tests",
    )
    unspecified = (
        "nothing of the value, which is the least; where several codebooks reach it, or rounding cannot tell them "
        "apart, the first cut that is found is taken"
    )

    def centres(self, values: np.ndarray) -> np.ndarray:
        """The means of the parts; fewer than ``clusters`` if there are fewer elements."""
        ordered = np.sort(values)
        begins = exact_partition(ordered, min(self.clusters, len(ordered)))
        return np.asarray([part.mean() for part in np.split(ordered, begins[1:])])


class ProductQuantizer(Quantizer):
    """Vectors cut into equal parts, each part the number of the nearest of its own codebook.

    Parts: ``codebooks``, shape ``(subspaces, clusters, axes)``, in the working dtype; ``codes``, uint8, shape
    ``(vectors, subspaces)``. Codebooks are found by Lloyd's algorithm from the vectors at equally spaced places of the
    array; distances in float64, ties to the lowest code. Source: Jégou et al. 2011, IEEE TPAMI 33(1), section III.
    """

    on_host: ClassVar[str] = "its tables are searched for in the array"
    silent = True

    subspaces: Annotated[int, Whole(1)] = 4
    clusters: Annotated[int, Whole(1, 256)] = 16
    iterations: Annotated[int, Iterations(0)] = 25
    parts = ("codebooks", "codes")

    citation = Citation(
        "Jégou et al. 2011",
        "Product Quantization for Nearest Neighbor Search",
        "IEEE TPAMI 33(1)",
        read="study",
        source="the equations as recalled, and restated in its tests",
    )
    unspecified = (
        "the start of the codebooks, which the source leaves to any k-means: vectors at equally spaced places "
        "here; ties to the lowest code"
    )

    @property
    def legal_codes(self) -> tuple[int, int]:
        """From the least to the largest."""
        return 0, self.clusters - 1

    def encode(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Codebooks and codes; `ArgumentError` unless x has two axes, the second one a multiple of ``subspaces``."""
        if x.ndim != 2 or x.shape[1] % self.subspaces or not x.size:
            legal = f"(vectors, axes), at least one of each, axes a multiple of {self.subspaces}"
            raise bad_argument("x.shape", x.shape, legal)
        codebooks, codes = [], []
        for whole_part in np.split(finite(x, "x"), self.subspaces, axis=1):
            part, power = moderate(whole_part)
            places = np.rint(np.linspace(0, len(part) - 1, self.clusters)).astype(np.int64)
            centres = lloyd(part, part[places], self.iterations)[0]
            codebooks.append(as_it_was(centres, power, part).astype(x.dtype))
            codes.append(nearest_centre(part, np.ldexp(codebooks[-1].astype(np.float64), -power)))
        return {"codebooks": np.stack(codebooks), "codes": np.stack(codes, axis=1).astype(np.uint8)}

    def kept_parts(self, shape: tuple[int, ...]) -> Mapping[str, Part]:
        """A codebook for each subspace, and a code for each part of a vector."""
        if len(shape) != 2 or shape[1] % self.subspaces:
            legal = f"(vectors, axes), axes a multiple of {self.subspaces}"
            raise bad_argument("quantized.shape", shape, legal)
        books = (self.subspaces, self.clusters, shape[1] // self.subspaces)
        return {"codebooks": numbers("codebooks", books), "codes": whole((shape[0], self.subspaces))}

    def decode(self, arrays: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
        """The codebooks' vectors, joined."""
        numbers = np.arange(self.subspaces)[None]
        return arrays["codebooks"][numbers, arrays["codes"]].reshape(shape)

    def distances(self, query: np.ndarray, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        """Squared distances of one query vector to all that is stored, by one table a subspace (asymmetric distance, ibid.)."""
        parts = np.asarray(query, np.float64).reshape(self.subspaces, 1, -1)
        table = ((parts - arrays["codebooks"].astype(np.float64)) ** 2).sum(axis=2)
        return table[np.arange(self.subspaces)[None], arrays["codes"]].sum(axis=1)
