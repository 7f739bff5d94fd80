"""Masks by how much the loss feels a weight: gradients at the dense or the pruned network, given by the caller."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.arithmetic.operations.functions import exp
from refgrad.arithmetic.primitives import tree_sum
from refgrad.arithmetic.top_k import keys
from refgrad.rule import Choice, Citation, Real, by
from refgrad.sparsity import schedules
from refgrad.sparsity.base import Mask, Together, Unstructured
from refgrad.sparsity.learned import sigmoid_slope


class Saliency(Together):
    """Connections by the magnitude of the weight times its gradient."""

    def scores(self, w: Any, g: Any) -> Any:  # type: ignore[override]
        return abs(w * g)


class SNIP(Saliency):
    """Connections by the magnitude of the loss's derivative with respect to a gate at 1.

    Score: |w g|, over the sum of all (which leaves the order as it is); ``g`` is the gradient of one batch at the dense network.
    One ranking over all layers (`masks`). Source: Lee et al. 2019, arXiv:1810.02340, equations 5 and 6.
    """

    normalized: Annotated[
        str,
        Choice(
            none="scores as they are: one ranking needs no normalization",
            layer="scores over the sum of their layer's",
        ),
    ] = "none"

    exempt_laws: ClassVar[Mapping[str, str]] = {}
    citation = Citation(
        "Lee et al. 2019",
        "SNIP: Single-shot Network Pruning",
        "arXiv:1810.02340, equations 5 and 6",
        read="authors' code",
        source="namhoonlee/snip-public f028496, snip/model.py",
    )
    unspecified = (
        "the batch, one here by argument; whether scores are normalized by layer (normalized=layer): only one "
        "ranking over all is the paper's; what is rounded: the authors' code rounds the number that is kept (counted=kept); ties"
    )

    def scores(self, w: Any, g: Any) -> Any:  # type: ignore[override]
        saliency = super().scores(w, g)
        return saliency / tree_sum(saliency) if self.normalized == "layer" else saliency


class FORCE(Saliency):
    """SNIP's saliency at the network as it is pruned, so that pruned weights may come back.

    Score: |w g|, ``w`` the dense initial weights and ``g`` the gradient at the masked ones. The density falls in several steps:
    `density`. Source: de Jorge et al. 2021, arXiv:2006.09081, equations 5 to 7.
    """

    schedule: Annotated[
        str,
        Choice(
            exponential=by("density^(i / steps)", "published"),
            linear="1 - (i / steps) (1 - density)",
        ),
    ] = "exponential"

    exempt_laws: ClassVar[Mapping[str, str]] = {}
    citation = Citation(
        "de Jorge et al. 2021",
        "Progressive Skeletonization: Trimming more fat from a network",
        "arXiv:2006.09081",
        read="authors' code",
        source="naver/force 7494eed, pruning/pruning_algos.py",
    )
    unspecified = (
        "the schedule: exponential, as the paper prefers, linear as its other choice; how many batches make the "
        "gradient; what is rounded: the authors' code rounds the number that is kept down (counted=kept, rounding=floor), and "
        "keeps all that equal the last"
    )

    def density(self, i: int, steps: int) -> float:
        """The density after step ``i`` of ``steps``, counted from 1."""
        form = schedules.exponential_density if self.schedule == "exponential" else schedules.linear_density
        return form(i, steps, 1.0 - self.sparsity)


class GraSP(Together):
    """Weights without which the gradient flow would suffer.

    The largest of S = -w (H g) are removed, so that the score is w (H g), and the largest are kept; ``hg`` is the
    product of the Hessian and the gradient. Source: Wang et al. 2020, arXiv:2002.07376, equation 8.
    """

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "pruned once": "its scores have signs, so that a score of zero is not the least",
    }
    citation = Citation(
        "Wang et al. 2020",
        "Picking Winning Tickets by Preserving Gradient Flow",
        "arXiv:2002.07376, equation 8",
        read="authors' code",
        source="alecwangcq/GraSP f17d87a, pruner/GraSP.py",
    )
    unspecified = (
        "which end is kept: the paper's text and code agree once signs are followed; the code prunes one entry fewer than its "
        "count and keeps the threshold's own (rounding=floor_minus_one); the temperature of its loss is the caller's"
    )

    def scores(self, w: Any, hg: Any) -> Any:  # type: ignore[override]
        return w * hg


class SynFlow(Saliency):
    """Synaptic flow: no data, the network of magnitudes on an input of ones.

    Score: |w dR/dw|, where R is the sum of the outputs of the network with |w| for w, and ``g`` its gradient. Repeated, the
    density falling as density^(i / steps). Source: Tanaka et al. 2020, arXiv:2006.05467, Algorithm 1.
    """

    exempt_laws: ClassVar[Mapping[str, str]] = {}
    citation = Citation(
        "Tanaka et al. 2020",
        "Pruning neural networks without any data by iteratively conserving synaptic flow",
        "arXiv:2006.05467",
        read="authors' code",
        source="ganguli-lab/Synaptic-Flow 9dfa57a",
    )
    unspecified = (
        "biases and batch normalization: the caller runs the network with magnitudes; the number of rounds, 100 in "
        "the paper; ties"
    )

    def density(self, i: int, steps: int = 100) -> float:
        """The density after step ``i`` of ``steps``, counted from 1."""
        return schedules.exponential_density(i, steps, 1.0 - self.sparsity)


class Movement(Unstructured):
    """Weights that move away from zero: learned scores, the largest of which are kept, with their sign.

    Forward: w_tilde = w mask. Backward: the gradient of ``w`` is g mask; that of the scores is g w, through the mask as if it
    were the identity, pruned entries too. ``s`` are the scores. Source: Sanh et al. 2020, arXiv:2005.07683, section 4.
    """

    inputs = {"s": "signed"}

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "sign": "a score is w times the gradient, whose terms have both signs",
    }
    citation = Citation(
        "Sanh et al. 2020",
        "Movement Pruning: Adaptive Sparsity by Fine-Tuning",
        "arXiv:2005.07683, equations 4 to 6",
        read="authors' code",
        source="huggingface/block_movement_pruning c16ceca",
    )
    unspecified = (
        "whether masked weights are updated: they are not, their scores are; initialization of scores at zero "
        "makes the first mask one of ties"
    )

    def scores(self, w: Any, s: Any) -> Any:  # type: ignore[override]
        return s

    @staticmethod
    def forward(w: Any, mask: Any) -> Any:
        """The weights that the layer computes with."""
        return np.where(mask, w, 0.0)

    @staticmethod
    def backward(w: Any, mask: Any, g: Any) -> tuple[Any, Any]:
        """The gradients of the weights and of the scores, from ``g``, that of the layer's weights."""
        return np.where(mask, g, 0.0), g * w


class SoftMovement(Mask):
    """Movement pruning with a threshold: entries whose score's sigmoid exceeds it are kept, however many these are.

    Score: 1 / (1 + exp(-s)), or s itself. The penalty strength mean(sigmoid(s)) is added to the loss: `penalty` is its gradient.
    Forward and backward are those of `Movement`. Source: Sanh et al. 2020, arXiv:2005.07683, section 4 (soft movement pruning).
    """

    inputs = {"s": "wide"}
    elementwise = True

    threshold: Real = 0.1
    squashed: Annotated[
        str,
        Choice(
            sigmoid=by("the sigmoid of the score is compared", "authors: sigmoied_threshold"),
            plain=by("the score itself is compared", "published: M = (S > tau)"),
        ),
    ] = "sigmoid"

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "sign": "scores are learned, and have signs of their own",
    }
    citation = Citation(
        "Sanh et al. 2020",
        "Movement Pruning: Adaptive Sparsity by Fine-Tuning",
        "arXiv:2005.07683, section 4",
        read="authors' code",
        source="huggingface/block_movement_pruning c16ceca",
    )
    default_reasons = {
        "squashed": "the code that the experiments ran compares the sigmoid; the threshold means something else by it"
    }
    unspecified = (
        "whether the score or its sigmoid is compared with the threshold: the sigmoid, as in the authors' code; "
        "the paper prints the score (squashed=plain)"
    )

    def scores(self, w: Any, s: Any) -> Any:  # type: ignore[override]
        return 1 / (1 + exp(-s)) if self.squashed == "sigmoid" else s

    def select(self, scores: np.ndarray, prefer: np.ndarray | None = None) -> np.ndarray:
        """What exceeds the threshold; NaN as `nan_rank` says."""
        limit = keys(np.asarray(self.threshold).astype(scores.dtype), self.nan_rank)
        return keys(scores, self.nan_rank) > limit

    def penalty(self, s: np.ndarray, strength: float) -> np.ndarray:
        """The gradient of strength mean(sigmoid(s)) with respect to the scores, in float64."""
        return strength * sigmoid_slope(s) / s.size
