"""Sparse training that moves connections: which are dropped, which grow, and how many, as pure functions.

Masks are booleans; whatever is random (noise, uniform numbers) is handed in.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np

from refgrad.arguments import FROM_ZERO, by_name
from refgrad.arithmetic.arrays import as_array, plain_array
from refgrad.arithmetic.operations.op import Value
from refgrad.arithmetic.top_k import Order, keys, top_k
from refgrad.axes import ELEMENT, Axes
from refgrad.errors import ArgumentError, bad_argument
from refgrad.rule import Choice, Citation, Fraction, Nested, NonNegative, Rule, Whole, by
from refgrad.sparsity import counts
from refgrad.sparsity.magnitude import Magnitude

Arrays = Mapping[str, np.ndarray]


class UpdatedMask(NamedTuple):
    """A mask after an update, and which connections are new in it."""

    mask: np.ndarray
    grown: np.ndarray


class MaskUpdate(Rule):
    """A rule that makes the next mask from the present one.

    A subclass writes `after`, the next mask, and `weights`, what the weights are under it. Where entries are equal either may go:
    those that ``prefer`` says go ahead of others.
    """

    kind = "mask-update"
    primary = "w"
    #: the arrays that it takes besides ``w`` and ``mask``: "signed", or "uniform"
    inputs: ClassVar[Mapping[str, str]] = {}
    computing: ClassVar[frozenset[str]] = frozenset({"after", "weights"})
    #: whether it looks at the step, or the epoch, ``t``
    timed: ClassVar[bool] = False

    ties: Order = "low"

    @classmethod
    def checked_method(cls, function: Callable[..., Any]) -> Callable[..., Any]:
        """A method whose arrays are NumPy's own and shaped like the weights, and whose step is one.

        Args:
            function: `after` or `weights`, as the rule's class has it.

        Returns:
            The method, which refuses by its name what is otherwise.
        """
        names = tuple(inspect.signature(function).parameters)[1:]

        @functools.wraps(function)
        def run(self: MaskUpdate, *args: Any, **keywords: Any) -> Any:
            told = {**dict(zip(names, args, strict=False)), **keywords}
            if "given" in told:
                told["given"] = self.arrays(told["given"])
                shape = told["given"]["w"].shape
                if told.get("prefer") is None:  # which may be left out
                    told.pop("prefer", None)
                told |= {n: _booleans(told[n], n, shape) for n in ("mask", "prefer") if n in told}
            if "t" in told:
                told["t"] = FROM_ZERO.check("t", told["t"])
            return function(self, *args[len(names) :], **told)

        return run

    def arrays(self, given: Any) -> dict[str, np.ndarray]:
        """What the rule looks at, checked.

        Args:
            given: ``w``, ``mask`` and the rest of `takes` by name.

        Returns:
            Name -> array, all of the shape of ``w``; the mask is booleans, and the others are of float dtypes.

        Raises:
            ArgumentError: one is missing, is no such array, or has another shape.
        """
        by_name("given", given, "{'w': weights, 'mask': mask}")
        missing = [name for name in self.takes() if name not in given]
        if missing:
            raise ArgumentError(f"given has no {missing[0]!r}; {type(self).__name__} takes {', '.join(self.takes())}")
        w = as_array(given["w"], "w")
        found = {"w": w, "mask": _booleans(given["mask"], "mask", w.shape)}
        for name in self.inputs:
            array = found[name] = as_array(given[name], name)
            if array.shape != w.shape:
                raise bad_argument(f"{name}.shape", array.shape, f"{w.shape}, that of w")
        return found

    def takes(self) -> dict[str, Axes]:
        """``w``, ``mask`` and the rest."""
        return dict.fromkeys(("w", "mask", *self.inputs), ELEMENT)

    def steps(self) -> list[int]:
        """Steps at which the rule does what it may do."""
        return [0]

    def after(self, given: Arrays, t: int, prefer: np.ndarray | None = None) -> np.ndarray:
        """The next mask, as booleans."""
        raise NotImplementedError

    def weights(self, given: Arrays, mask: np.ndarray, t: int) -> np.ndarray:
        """The weights that training goes on with, under the next mask."""
        return np.where(mask, given["w"], np.zeros_like(given["w"]))


def _booleans(value: Any, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A mask as NumPy's own booleans of a shape."""
    array = plain_array(value, name)
    if array.dtype != np.bool_:
        raise bad_argument(f"{name}.dtype", str(array.dtype), "bool")
    if array.shape != shape:
        raise bad_argument(f"{name}.shape", array.shape, f"{shape}, that of w")
    return array


class Dynamic(MaskUpdate):
    """A rule that replaces part of a mask's connections by others, so that their number stays."""

    rounding: counts.Rounding = "floor"
    counted: Annotated[
        str,
        Choice(
            dropped="the number of dropped connections, a share of the active ones, is rounded",
            kept=by("the number of those that stay is rounded", "jaxpruner: with half_even"),
        ),
    ] = "dropped"

    def share(self, active: int, fraction: float) -> int:
        """How many of the active connections are dropped."""
        if self.counted == "dropped":
            number = counts.rounded(fraction * active, self.rounding)
        else:
            number = active - counts.rounded((1.0 - fraction) * active, self.rounding)
        return min(max(number, 0), active)

    def drop(self, w: np.ndarray, mask: np.ndarray, k: int, *then: np.ndarray) -> np.ndarray:
        """The mask without its ``k`` connections of the smallest magnitude; ``then`` as in `best`."""
        active = int(np.count_nonzero(mask))
        if not 0 <= k <= active:
            raise bad_argument("k", k, f"a whole number from 0 to the {active} connections that there are")
        return best(np.abs(w), mask, active - k, self.ties, *then)

    def weights(self, given: Arrays, mask: np.ndarray, t: int) -> np.ndarray:
        """Connections that are new start at zero."""
        return np.where(mask & given["mask"], given["w"], np.zeros_like(given["w"]))


def best(scores: np.ndarray, among: np.ndarray, k: int, ties: str = "low", *then: np.ndarray) -> np.ndarray:
    """The ``k`` entries with the largest scores among some; all of these if there are fewer.

    Equal scores go by the arrays ``then``, largest first, and at last by their index.
    """
    if isinstance(scores, Value):  # which lies on a device
        return scores.largest(among, k, ties, *then)  # type: ignore[attr-defined]
    facts = np.iinfo(np.dtype(f"i{scores.dtype.itemsize}"))
    ranked = np.maximum(keys(scores), facts.min + 1)
    ranked = np.where(among, ranked, facts.min)
    k = min(max(k, 0), int(np.count_nonzero(among)))
    if not then:
        return top_k(ranked.reshape(1, -1), k, ties).reshape(scores.shape) & among
    if not k:
        return np.zeros(scores.shape, bool)
    ranked = ranked.ravel()
    threshold = np.partition(ranked, ranked.size - k)[ranked.size - k]
    chosen, tied = ranked > threshold, np.flatnonzero(ranked == threshold)
    left = k - int(np.count_nonzero(chosen))
    if left < tied.size:  # the others are told by what comes next
        index = tied if ties == "low" else -tied
        tied = tied[np.lexsort((index, *(~keys(a * 1.0).ravel()[tied] for a in then[::-1])))[:left]]
    chosen[tied] = True
    return chosen.reshape(scores.shape) & among


class RigL(Dynamic):
    """RigL: the smallest weights are dropped, and connections with the largest gradients grow.

    Every ``every`` steps up to ``end``: k = fraction(t) active, rounded down; drop the k active weights of the smallest
    magnitude; grow the k inactive ones with the largest |gradient| of the dense network. Grown weights start at zero.
    Source: Evci et al. 2020, arXiv:1911.11134, Algorithm 1.
    """

    device_module = "refgrad.sparsity.update_on_device"

    alpha: Fraction = 0.3
    every: Annotated[int, Whole(1)] = 100
    end: Annotated[int, Whole(1)] = 25000
    anneal: Annotated[
        str,
        Choice(
            cosine=by("alpha / 2 (1 + cos(pi t / end))", "published"),
            constant="alpha",
            power="alpha (1 - t / end)^power",
        ),
    ] = "cosine"
    power: NonNegative = 1.0
    candidates: Annotated[
        str,
        Choice(
            dropped_too=by(
                "those just dropped may grow again, and then keep their value", "published: Algorithm 1", "authors"
            ),
            inactive="only connections that were inactive before the update may grow",
        ),
    ] = "dropped_too"

    inputs = {"g": "signed"}
    timed = True

    citation = Citation(
        "Evci et al. 2020",
        "Rigging the Lottery: Making All Tickets Winners",
        "arXiv:1911.11134, Algorithm 1",
        read="authors' code",
        source="google-research/rigl d39fc7d, rigl/sparse_optimizers_base.py",
    )
    unspecified = (
        "whether what was just dropped may grow again: it may, by Algorithm 1; how k is rounded: down; what "
        "becomes of an optimizer's state of grown weights is left to the caller"
    )

    def fraction(self, t: int) -> float:
        """The share of the active connections that is replaced at step ``t``; zero after the end."""
        if t > self.end:
            return 0.0
        if self.anneal == "cosine":
            return self.alpha / 2.0 * (1.0 + math.cos(math.pi * t / self.end))
        return self.alpha if self.anneal == "constant" else self.alpha * (1.0 - t / self.end) ** self.power

    def is_update(self, t: int) -> bool:
        """True if connections move at step ``t``; there is no step of the weights then."""
        return t % self.every == 0 and 0 < t <= self.end

    def grow(self, g: np.ndarray, kept: np.ndarray, before: np.ndarray, k: int, *then: np.ndarray) -> np.ndarray:
        """The ``k`` connections with the largest |g| that may grow, given what was kept and what there was before."""
        return best(np.abs(g), ~(kept if self.candidates == "dropped_too" else before), k, self.ties, *then)

    def update(
        self, w: np.ndarray, g: np.ndarray, mask: np.ndarray, t: int, prefer: np.ndarray | None = None
    ) -> UpdatedMask:
        """The mask after the update of step ``t``, and which connections are new: these start at zero."""
        k = self.share(int(np.count_nonzero(mask)), self.fraction(t))
        # of equal weights that are preferred those with the largest gradients are dropped, since they may grow again
        kept = self.drop(w, mask, k, *(() if prefer is None else (prefer, -np.abs(g))))
        after = kept | self.grow(g, kept, mask, k, *(() if prefer is None else (prefer,)))
        return UpdatedMask(after, after & ~mask)

    def after(self, given: Arrays, t: int, prefer: np.ndarray | None = None) -> np.ndarray:
        """The mask as it is between updates."""
        if not self.is_update(t):
            return given["mask"]
        return self.update(given["w"], given["g"], given["mask"], t, prefer).mask

    def steps(self) -> list[int]:
        """Updates early and late, a step between two, and the time after the last."""
        updates = self.end // self.every
        moving = [self.every * max(round(updates * share), 1) for share in (0.0, 0.25, 1.0)]
        return [*moving, self.every + 1, self.end + self.every]


class SET(Dynamic):
    """Sparse evolutionary training: the weights closest to zero are dropped, and as many grow at random.

    Of the positive and of the negative weights the share zeta closest to zero each (by one ranking of magnitudes in later
    work: `tails`); the same number of inactive connections grows, those with the largest uniform numbers.
    Source: Mocanu et al. 2018, arXiv:1707.04780, Algorithm 2.
    """

    device_module = "refgrad.sparsity.update_on_device"

    zeta: Fraction = 0.3
    tails: Annotated[
        str,
        Choice(
            separate=by("of the positive and the negative weights the same share each", "published"),
            together=by("by one ranking of magnitudes", "rigl", "jaxpruner"),
        ),
    ] = "separate"
    candidates: Annotated[
        str,
        Choice(
            inactive="only connections that were inactive before the update may grow",
            dropped_too=by("those just dropped may grow again, and then keep their value", "jaxpruner"),
        ),
    ] = "inactive"

    inputs = {"u": "uniform"}

    citation = Citation(
        "Mocanu et al. 2018",
        "Scalable training of artificial neural networks",
        "arXiv:1707.04780, Algorithm 2",
        read="authors' code",
        source="dcmocanu/sparse-evolutionary-artificial-neural-networks 62ac974; rigl d39fc7d; jaxpruner f133ee5",
    )
    unspecified = (
        "zeta is 0.3 in the source; whether positive and negative weights are ranked apart, as there, or by "
        "magnitude, as in later work (tails); how the share is rounded: down here, up in the authors' code (rounding=ceil), "
        "which drops one more of the positive weights where it is whole; grown weights are drawn by the caller"
    )

    def remaining(self, w: np.ndarray, mask: np.ndarray, *then: np.ndarray) -> np.ndarray:
        """The mask without what is dropped; a weight of zero counts as positive."""
        if self.tails == "together":
            return self.drop(w, mask, self._share(mask), *then)
        tails = (mask & ~(w < 0), mask & (w < 0))
        positive, negative = (self.drop(w, tail, self._share(tail), *then) for tail in tails)
        return positive | negative

    def _share(self, mask: np.ndarray) -> int:
        return self.share(int(np.count_nonzero(mask)), self.zeta)

    def update(self, w: np.ndarray, mask: np.ndarray, u: np.ndarray, prefer: np.ndarray | None = None) -> UpdatedMask:
        """The mask after an update; ``u`` are uniform numbers like ``w``."""
        # of equal weights that are preferred those with the largest numbers are dropped, since they may grow again
        kept = self.remaining(w, mask, *(() if prefer is None else (prefer, -u)))
        free = ~(kept if self.candidates == "dropped_too" else mask)
        then = () if prefer is None else (prefer,)
        after = kept | best(u, free, int(np.count_nonzero(mask & ~kept)), self.ties, *then)
        return UpdatedMask(after, after & ~mask)

    def after(self, given: Arrays, t: int, prefer: np.ndarray | None = None) -> np.ndarray:
        """The mask after an update."""
        return self.update(given["w"], given["mask"], given["u"], prefer).mask


class ACDC(MaskUpdate):
    """AC/DC: dense and sparse phases take turns; in a sparse phase the mask stands still, and what it prunes is zero.

    Dense for ``warmup`` epochs, then sparse and dense phases of ``phase`` epochs each; dense from ``decompress`` on, sparse from
    ``final`` to the end. The mask of a sparse phase is that of ``pattern`` at its first epoch, over all layers.
    Source: Peste et al. 2021, arXiv:2106.12379, section 3, with the schedule of its ResNet-50 runs as defaults.
    """

    device_module = "refgrad.sparsity.update_on_device"

    pattern: Annotated[Any, Nested()] = Magnitude(sparsity=0.9, granularity="together")
    warmup: Annotated[int, Whole(0)] = 10
    phase: Annotated[int, Whole(1)] = 5
    decompress: Annotated[int, Whole(0)] = 75
    final: Annotated[int, Whole(0)] = 85

    timed = True

    citation = Citation(
        "Peste et al. 2021",
        "AC/DC: Alternating Compressed/DeCompressed Training",
        "arXiv:2106.12379, section 3",
        read="authors' code",
        source="IST-DASLab/ACDC ac53210",
    )
    unspecified = (
        "ties; the schedule is that of the ResNet-50 runs; whether the optimizer's momentum is reset between "
        "phases is the caller's to do"
    )

    def is_sparse(self, epoch: int) -> bool:
        """True if an epoch, counted from 0, is in a sparse phase."""
        if epoch >= self.final:
            return True
        if epoch < self.warmup or epoch >= self.decompress:
            return False
        return (epoch - self.warmup) // self.phase % 2 == 0

    def after(self, given: Arrays, t: int, prefer: np.ndarray | None = None) -> np.ndarray:
        """The mask of epoch ``t``: all of the weights in a dense phase."""
        if not self.is_sparse(t):
            return np.ones_like(given["mask"])
        if not self.is_mask_epoch(t):
            return given["mask"]
        return self.pattern.spread(self.pattern.select(self.pattern.score(given["w"]), prefer), given["w"].shape)

    def steps(self) -> list[int]:
        """An epoch of each phase, and the first of some."""
        return [0, self.warmup, self.warmup + self.phase, self.warmup + 2 * self.phase, self.final, self.final + 1]

    def is_mask_epoch(self, epoch: int) -> bool:
        """True if a mask is made at the beginning of an epoch."""
        return self.is_sparse(epoch) and not (epoch > 0 and self.is_sparse(epoch - 1))


class LotteryTicket(MaskUpdate):
    """Iterative magnitude pruning with rewinding: train, prune a share of what is left, and go back to earlier weights.

    After each round the share ``rate`` of the remaining weights of smallest magnitude is pruned, and the rest takes its value
    at initialization, or at step k of training. Source: Frankle & Carbin 2019, arXiv:1803.03635, section 1; rewinding to step
    k: Frankle et al. 2020, arXiv:1903.01611.
    """

    device_module = "refgrad.sparsity.update_on_device"

    rate: Fraction = 0.2
    rounding: counts.Rounding = "half_even"
    inputs = {"early": "signed"}

    citation = Citation(
        "Frankle & Carbin 2019",
        "The Lottery Ticket Hypothesis",
        "arXiv:1803.03635, section 1",
        read="authors' code",
        source="google-research/lottery-ticket-hypothesis 1f17279, foundations/pruning.py; open_lth 2ce732f",
    )
    unspecified = (
        "whether the ranking is of each layer or of all, which the paper has both ways by network; how the count "
        "of a round is rounded; to which step it goes back"
    )

    def next_mask(self, w: np.ndarray, mask: np.ndarray, *then: np.ndarray) -> np.ndarray:
        """The mask of the next round, from the trained weights; ``then`` as in `best`."""
        left = int(np.count_nonzero(mask))
        return best(np.abs(w), mask, left - counts.rounded(self.rate * left, self.rounding), self.ties, *then)

    def after(self, given: Arrays, t: int, prefer: np.ndarray | None = None) -> np.ndarray:
        """The mask of the next round."""
        return self.next_mask(given["w"], given["mask"], *(() if prefer is None else (prefer,)))

    def weights(self, given: Arrays, mask: np.ndarray, t: int) -> np.ndarray:
        """The early weights under the mask."""
        return self.rewind(given["early"], mask)

    @staticmethod
    def rewind(early: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """The weights that the next round starts from."""
        return np.where(mask, early, np.zeros_like(early))

    def remaining(self, rounds: int) -> float:
        """The share of weights left after some rounds, before counts are rounded."""
        return (1.0 - self.rate) ** rounds
