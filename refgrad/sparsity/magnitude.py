"""Masks by magnitude: anywhere, by blocks and by filters; and at random."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.arguments import check_enlarged
from refgrad.arithmetic.primitives import tree_max, tree_sum
from refgrad.errors import bad_argument
from refgrad.rule import Choice, Citation, Whole, by
from refgrad.sparsity.base import Structured, Together, Unstructured

Measure = Annotated[
    str,
    Choice(
        magnitude="the magnitude of the weight",
        signed=by(
            "the weight itself, so that negative ones go first", "torch: tile kernels", "apex: permutation helper"
        ),
        square=by(
            "the square of the weight, which over- and underflows where the magnitude does not", "torch: ao, by default"
        ),
    ),
]


def measured(w: Any, measure: str) -> Any:
    """The score of a weight by a member of `Measure`."""
    if measure == "signed":
        return w
    return w * w if measure == "square" else abs(w)


class Magnitude(Unstructured):
    """The weights of the largest magnitude.

    Score: |w|, without rounding. By layer, by row, or over all layers together (`masks`).
    Source: Han et al. 2015, arXiv:1506.02626; count, ties and NaN are named, since implementations differ in each.
    """

    measure: Measure = "magnitude"

    exempt_laws: ClassVar[Mapping[str, str]] = {}
    citation = Citation(
        "Han et al. 2015",
        "Learning both Weights and Connections",
        "arXiv:1506.02626, section 3",
        read="package",
        source="torch 2.13.0 nn.utils.prune; jaxpruner f133ee5; wanda 8e8fc87",
    )
    unspecified = (
        "nearly all but the idea: the source prunes by a threshold of its quality parameter times the standard "
        "deviation; count, ties, NaN and layer- or network-wide ranking are named variants"
    )

    def scores(self, w: Any) -> Any:  # type: ignore[override]
        return measured(w, self.measure)


class NormalizedMagnitude(Together):
    """Magnitudes divided by the norm of their layer, ranked over all layers.

    Score: |w| / (sqrt(sum w^2) + eps). Source: jaxpruner 0.1, whose global pruners do this by default.
    """

    exempt_laws: ClassVar[Mapping[str, str]] = {}
    citation = Citation(
        "Lee et al. 2023",
        "JaxPruner",
        "arXiv:2304.14082; google-research/jaxpruner, global_pruners",
        read="authors' code",
        source="google-research/jaxpruner f133ee5",
    )
    unspecified = (
        "a layer of zeros: eps keeps its scores at zero; jaxpruner is the source, so that its float32 counts are a "
        "variant and not the default"
    )

    adds = 1e-8

    def scores(self, w: Any) -> Any:  # type: ignore[override]
        return abs(w) / (np.sqrt(tree_sum(w * w)) + 1e-8)


class RandomMask(Unstructured):
    """Entries at random: those with the largest of the uniform numbers ``u`` that are handed in.

    The count is exact; the numbers are the caller's, so that a mask can be made again.
    Source: the baseline of Gale et al. 2019, arXiv:1902.09574.
    """

    inputs = {"u": "uniform"}

    exempt_laws: ClassVar[Mapping[str, str]] = {}
    citation = Citation(
        "Gale et al. 2019",
        "The State of Sparsity in Deep Neural Networks",
        "arXiv:1902.09574",
        read="package",
        source="jaxpruner f133ee5; torch 2.13.0 nn.utils.prune",
    )
    unspecified = (
        "what is random: the numbers are an argument, and the count is exact; the source's baseline may also draw "
        "each entry by itself, with a count that varies"
    )

    def scores(self, w: Any, u: Any) -> Any:  # type: ignore[override]
        return u


class Block(Unstructured):
    """Whole blocks of a matrix, those with the largest mean, sum or maximum of magnitudes.

    Ragged blocks at the lower and right edge have fewer entries; the mean divides by as many as there are.
    Shapes: w has at least two axes, of which the first two are cut into blocks; further axes belong to the block.
    Source: Narang et al. 2017, arXiv:1711.02782 (maximum); jaxpruner and TensorFlow take the mean by default.
    """

    height: Annotated[int, Whole(1)] = 4
    width: Annotated[int, Whole(1)] = 4
    pool: Annotated[
        str,
        Choice(
            mean="the mean magnitude of the entries that the block has",
            sum="the sum of magnitudes: ragged blocks count for less",
            max="the largest magnitude",
        ),
    ] = "mean"

    inputs = {"entries": "ones"}

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "count": "whole blocks are kept, of which those at the edges may be smaller",
    }
    citation = Citation(
        "Narang et al. 2017",
        "Block-Sparse Recurrent Neural Networks",
        "arXiv:1711.02782, section 3",
        read="package",
        source="torch 2.13.0 ao.pruning; jaxpruner f133ee5",
    )
    unspecified = (
        "ragged blocks at the edges: they have fewer entries, and the mean divides by these; the source takes the "
        "maximum, jaxpruner and TensorFlow the mean"
    )

    def scores(self, w: Any, entries: Any) -> Any:  # type: ignore[override]
        if self.pool == "max":
            return tree_max(abs(w), over="row")
        total = tree_sum(abs(w), over="row")
        return total if self.pool == "sum" else total / tree_sum(entries, over="row")

    def example_shape(self) -> tuple[int, ...]:
        """Ragged at both edges."""
        return (4 * self.height + (self.height > 1), 5 * self.width + (self.width > 2))

    def units(self, x: np.ndarray) -> np.ndarray:
        """(blocks, entries of a block), ragged blocks filled with zeros."""
        if x.ndim < 2:
            raise bad_argument("w.ndim", x.ndim, "at least 2, to be cut into blocks")
        (rows, columns), others = x.shape[:2], math.prod(x.shape[2:])
        down, across = -(-rows // self.height), -(-columns // self.width)
        made = down * self.height * across * self.width * others
        check_enlarged({"height": self.height, "width": self.width}, made, x.size)
        more = [(0, -rows % self.height), (0, -columns % self.width), *[(0, 0)] * (x.ndim - 2)]
        padded = np.pad(x, more).reshape(down, self.height, across, self.width, others)
        return padded.transpose(0, 2, 1, 3, 4).reshape(down * across, self.height * self.width * others)

    def spread(self, chosen: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Every entry of a block as the block."""
        down, across = -(-shape[0] // self.height), -(-shape[1] // self.width)
        full = np.repeat(np.repeat(chosen.reshape(down, across), self.height, 0), self.width, 1)[: shape[0], : shape[1]]
        return np.broadcast_to(full.reshape(full.shape + (1,) * (len(shape) - 2)), shape).copy()


class L1Filters(Structured):
    """Whole filters, those with the largest sum of magnitudes.

    Score of filter i: sum |w[i, ...]|. Source: Li et al. 2017, arXiv:1608.08710, section 3.1.
    """

    exempt_laws: ClassVar[Mapping[str, str]] = {}
    citation = Citation(
        "Li et al. 2017",
        "Pruning Filters for Efficient ConvNets",
        "arXiv:1608.08710, section 3.1",
        read="package",
        source="torch 2.13.0 nn.utils.prune.ln_structured; Eric-mingjie/rethinking-network-pruning 2ac473d, vggprune.py",
    )
    unspecified = (
        "how the number of filters is rounded, and ties; the source prunes by a list for each layer and skips "
        "sensitive ones, which is the caller's to do"
    )

    def scores(self, w: Any) -> Any:  # type: ignore[override]
        return tree_sum(abs(w), over="row")


class L2Filters(Structured):
    """Whole filters, those with the largest Euclidean norm; torch.nn.utils.prune.ln_structured with n=2.

    Score of filter i: sqrt(sum w[i, ...]^2). Source: Li et al. 2017, arXiv:1608.08710, section 4.5 compares both norms.
    """

    exempt_laws: ClassVar[Mapping[str, str]] = {}
    citation = Citation(
        "Li et al. 2017",
        "Pruning Filters for Efficient ConvNets",
        "arXiv:1608.08710, section 4.5",
        read="package",
        source="torch 2.13.0 nn.utils.prune.ln_structured; Eric-mingjie/rethinking-network-pruning 2ac473d, vggprune.py",
    )
    unspecified = (
        "the source names it only for comparison: count and ties are as in L1Filters, the root does not change the "
        "order but by rounding"
    )

    def scores(self, w: Any) -> Any:  # type: ignore[override]
        return np.sqrt(tree_sum(w * w, over="row"))


class NetworkSlimming(Together):
    """Channels by the magnitude of their batch normalization's scale, one threshold for the whole network.

    Score: |gamma|; ``w`` is gamma. During training the subgradient of the penalty is added to gamma's gradient:
    g + strength sign(gamma), the sign of zero being zero. Source: Liu et al. 2017, arXiv:1708.06519, sections 3.2 and 3.3.
    """

    exempt_laws: ClassVar[Mapping[str, str]] = {}
    citation = Citation(
        "Liu et al. 2017",
        "Learning Efficient Convolutional Networks through Network Slimming",
        "arXiv:1708.06519",
        read="package",
        source="Eric-mingjie/rethinking-network-pruning 2ac473d, cifar/network-slimming/denseprune.py",
    )
    unspecified = (
        "layers that would vanish whole: they may, unless at_least says otherwise; the threshold's own entry: it is "
        "pruned too in rethinking-network-pruning (rounding=floor_plus_one); ties; the subgradient at zero is zero"
    )

    def scores(self, w: Any) -> Any:  # type: ignore[override]
        return abs(w)

    @staticmethod
    def penalized(gamma: np.ndarray, g: np.ndarray, strength: float) -> np.ndarray:
        """The gradient of gamma with the penalty's subgradient."""
        return g + strength * np.sign(gamma)
