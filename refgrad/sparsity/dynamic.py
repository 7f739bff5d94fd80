"""Sparse training that moves connections: which are dropped, which grow, and how many, as pure functions.

Masks are booleans; whatever is random (noise, uniform numbers) is handed in.
"""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

import numpy as np

from refgrad.errors import bad_argument
from refgrad.rule import Choice, Citation, Fraction, NonNegative, Rule, Whole
from refgrad.sparsity import counts
from refgrad.sparsity.selection import Order, keys, top_k


class Moved(NamedTuple):
    """A mask after an update, and which connections are new in it."""

    mask: np.ndarray
    grown: np.ndarray


class Dynamic(Rule):
    """A rule that replaces part of a mask's connections by others, so that their number stays."""

    kind = "mask-update"
    primary = "w"

    ties: Order = "low"

    def drop(self, w: np.ndarray, mask: np.ndarray, k: int) -> np.ndarray:
        """The mask without its ``k`` connections of the smallest magnitude."""
        active = int(np.count_nonzero(mask))
        if not 0 <= k <= active:
            raise bad_argument("k", k, f"a whole number from 0 to the {active} connections that there are")
        return best(np.abs(w), mask, active - k, self.ties)


def best(scores: np.ndarray, among: np.ndarray, k: int, ties: str = "low") -> np.ndarray:
    """The ``k`` entries with the largest scores among some; all of these if there are fewer."""
    facts = np.iinfo(np.dtype(f"i{scores.dtype.itemsize}"))
    ranked = np.maximum(keys(scores), facts.min + 1)
    ranked = np.where(among, ranked, facts.min).reshape(1, -1)
    return (top_k(ranked, min(k, int(np.count_nonzero(among))), ties).reshape(scores.shape)) & among


class RigL(Dynamic):
    """RigL: the smallest weights are dropped, and connections with the largest gradients grow.

    Every ``every`` steps up to ``end``: k = floor(fraction(t) active); drop the k active weights of the smallest magnitude; grow
    the k inactive ones with the largest |gradient| of the dense network. Grown weights start at zero.
    Source: Evci et al. 2020, arXiv:1911.11134, Algorithm 1.
    """

    alpha: Fraction = 0.3
    every: Annotated[int, Whole(1)] = 100
    end: Annotated[int, Whole(1)] = 25000
    anneal: Annotated[
        str,
        Choice(
            cosine="alpha / 2 (1 + cos(pi t / end)) (the paper)",
            constant="alpha",
            power="alpha (1 - t / end)^power",
        ),
    ] = "cosine"
    power: NonNegative = 1.0
    candidates: Annotated[
        str,
        Choice(
            dropped_too="those just dropped may grow again, and then keep their value (Algorithm 1, and the authors' code)",
            inactive="only connections that were inactive before the update may grow",
        ),
    ] = "dropped_too"

    citation = Citation(
        "Evci et al. 2020", "Rigging the Lottery: Making All Tickets Winners", "arXiv:1911.11134, Algorithm 1"
    )

    def fraction(self, t: int) -> float:
        """The share of the active connections that is replaced at step ``t``; zero after the end."""
        if t > self.end:
            return 0.0
        if self.anneal == "cosine":
            return self.alpha / 2.0 * (1.0 + math.cos(math.pi * t / self.end))
        return self.alpha if self.anneal == "constant" else self.alpha * (1.0 - t / self.end) ** self.power

    def is_update(self, t: int) -> bool:
        """Whether connections move at step ``t``; there is no step of the weights then."""
        return t % self.every == 0 and 0 < t <= self.end

    def grow(self, g: np.ndarray, kept: np.ndarray, before: np.ndarray, k: int) -> np.ndarray:
        """The ``k`` connections with the largest |g| that may grow, given what was kept and what there was before."""
        return best(np.abs(g), ~(kept if self.candidates == "dropped_too" else before), k, self.ties)

    def update(self, w: np.ndarray, g: np.ndarray, mask: np.ndarray, t: int) -> Moved:
        """The mask after the update of step ``t``, and which connections are new: these start at zero."""
        k = int(counts.rounded(self.fraction(t) * np.count_nonzero(mask), "floor"))
        kept = self.drop(w, mask, k)
        after = kept | self.grow(g, kept, mask, k)
        return Moved(after, after & ~mask)


class SET(Dynamic):
    """Sparse evolutionary training: the weights closest to zero are dropped, and as many grow at random.

    Of the positive and of the negative weights the share zeta closest to zero each (by one ranking of magnitudes in later
    work: `tails`); the same number of inactive connections grows, those with the largest uniform numbers.
    Source: Mocanu et al. 2018, arXiv:1707.04780, Algorithm 2.
    """

    zeta: Fraction = 0.3
    tails: Annotated[
        str,
        Choice(
            separate="of the positive and the negative weights the same share each (the paper)",
            together="by one ranking of magnitudes (rigl, jaxpruner)",
        ),
    ] = "separate"

    citation = Citation(
        "Mocanu et al. 2018", "Scalable training of artificial neural networks", "arXiv:1707.04780, Algorithm 2"
    )

    def remaining(self, w: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """The mask without what is dropped; a weight of zero counts as positive."""
        if self.tails == "together":
            return self.drop(w, mask, self._share(mask))
        positive, negative = mask & ~(w < 0), mask & (w < 0)
        return self.drop(w, positive, self._share(positive)) | self.drop(w, negative, self._share(negative))

    def _share(self, mask: np.ndarray) -> int:
        return counts.rounded(self.zeta * np.count_nonzero(mask), "floor")

    def update(self, w: np.ndarray, mask: np.ndarray, u: np.ndarray) -> Moved:
        """The mask after an update; ``u`` are uniform numbers like ``w``, and just dropped connections do not grow."""
        kept = self.remaining(w, mask)
        after = kept | best(u, ~mask, int(np.count_nonzero(mask & ~kept)), self.ties)
        return Moved(after, after & ~mask)


class TopKAST(Rule):
    """Top-KAST: the forward pass uses the largest weights, the backward pass updates some more.

    A holds the share ``forward_density`` of the largest magnitudes, B (which holds A) the share ``backward_density``. Forward:
    w on A. Backward: g on B. The penalty's gradient is w on A, w / forward_density on B without A, zero elsewhere.
    Source: Jayakumar et al. 2020, arXiv:2106.03517, sections 2.1 and 2.3 (the penalty read as there recalled; see the docs).
    """

    kind = "mask-update"
    primary = "w"
    forward_density: Fraction = 0.1
    backward_density: Fraction = 0.2
    rounding: counts.Rounding = "half_even"
    ties: Order = "low"

    citation = Citation(
        "Jayakumar et al. 2020", "Top-KAST: Top-K Always Sparse Training", "arXiv:2106.03517, section 2"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.backward_density < self.forward_density:
            low = self.forward_density
            raise bad_argument("TopKAST.backward_density", self.backward_density, f"no less than forward_density={low}")

    def masks(self, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A and B."""
        everywhere = np.ones(w.shape, bool)
        sizes = (counts.rounded(d * w.size, self.rounding) for d in (self.forward_density, self.backward_density))
        forward, backward = (best(np.abs(w), everywhere, k, self.ties) for k in sizes)
        return forward, backward

    def forward(self, w: np.ndarray) -> np.ndarray:
        """The weights that the layer computes with."""
        return np.where(self.masks(w)[0], w, np.zeros_like(w))

    def backward(self, w: np.ndarray, g: np.ndarray, strength: float = 0.0) -> np.ndarray:
        """The gradient of the weights, with ``strength`` times the penalty's."""
        forward, backward = self.masks(w)
        penalty = np.where(forward, w, np.where(backward, w / w.dtype.type(self.forward_density), np.zeros_like(w)))
        return np.where(backward, g, np.zeros_like(g)) + g.dtype.type(strength) * penalty


class ACDC(Rule):
    """AC/DC: dense and sparse phases take turns; in a sparse phase the mask stands still, and what it prunes is zero.

    Dense for ``warmup`` epochs, then sparse and dense phases of ``phase`` epochs each; dense from ``decompress`` on, sparse from
    ``final`` to the end. The mask of a sparse phase is that of `Magnitude` over all layers at its first epoch.
    Source: Peste et al. 2021, arXiv:2106.12379, section 3, with the schedule of its ResNet-50 runs as defaults.
    """

    kind = "mask-update"
    primary = "w"
    warmup: Annotated[int, Whole(0)] = 10
    phase: Annotated[int, Whole(1)] = 5
    decompress: Annotated[int, Whole(0)] = 75
    final: Annotated[int, Whole(0)] = 85

    citation = Citation(
        "Peste et al. 2021", "AC/DC: Alternating Compressed/DeCompressed Training", "arXiv:2106.12379, section 3"
    )

    def is_sparse(self, epoch: int) -> bool:
        """Whether an epoch, counted from 0, is in a sparse phase."""
        if epoch >= self.final:
            return True
        if epoch < self.warmup or epoch >= self.decompress:
            return False
        return (epoch - self.warmup) // self.phase % 2 == 0

    def is_mask_epoch(self, epoch: int) -> bool:
        """Whether a mask is made at the beginning of an epoch."""
        return self.is_sparse(epoch) and not (epoch > 0 and self.is_sparse(epoch - 1))


class LotteryTicket(Rule):
    """Iterative magnitude pruning with rewinding: train, prune a share of what is left, and go back to earlier weights.

    After each round the share ``rate`` of the remaining weights of smallest magnitude is pruned, and the rest takes its value
    at initialization, or at step k of training. Source: Frankle & Carbin 2019, arXiv:1803.03635, section 1; rewinding to step
    k: Frankle et al. 2020, arXiv:1903.01611.
    """

    kind = "mask-update"
    primary = "w"
    rate: Fraction = 0.2
    rounding: counts.Rounding = "half_even"
    ties: Order = "low"

    citation = Citation("Frankle & Carbin 2019", "The Lottery Ticket Hypothesis", "arXiv:1803.03635, section 1")

    def next_mask(self, w: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """The mask of the next round, from the trained weights."""
        left = int(np.count_nonzero(mask))
        return best(np.abs(w), mask, left - counts.rounded(self.rate * left, self.rounding), self.ties)

    @staticmethod
    def rewind(early: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """The weights that the next round starts from."""
        return np.where(mask, early, np.zeros_like(early))

    def remaining(self, rounds: int) -> float:
        """The share of weights left after some rounds, before counts are rounded."""
        return (1.0 - self.rate) ** rounds
