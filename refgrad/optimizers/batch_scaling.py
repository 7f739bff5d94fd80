"""How a learning rate, and a schedule of epochs, scale with the batch size."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, ClassVar

from refgrad.arithmetic.operations.op import Value
from refgrad.optimizers.transform import Transform
from refgrad.rule import Choice, Citation, NonNegative, Positive, Whole

#: batch sizes and numbers of epochs: those that a float holds exactly
COUNT = Whole(1, 2**53)


class Scaling(Transform):
    """A rule of numbers alone: of a batch size (and of a number of epochs) it makes a learning rate, and what else it scales."""

    kind = "scaling"
    shapes = {"batch": ""}
    computing: ClassVar[frozenset[str]] = frozenset({"rate", "scaled"})
    #: operations in float64 between the hyperparameters and a result, at most; none of them cancels
    operations: ClassVar[int] = 8

    def rate(self, batch: int) -> float:
        """The learning rate at a batch size; `ArgumentError` below 1."""
        raise NotImplementedError

    def scaled(self, batch: int, epochs: int = 1) -> dict[str, float]:
        """Everything that the rule makes of a batch size and of a number of epochs, by name; ``rate`` first."""
        _count("epochs", epochs)
        return {"rate": self.rate(batch)}


class BatchScaledRate(Scaling):
    """The learning rate at another batch size. Source: Granziol, Zohren & Roberts 2022, arXiv:2006.09092 (abstract).

    Linear for gradient descent, as in Goyal et al. 2017; square root for adaptive methods, and in Hoffer et al. 2017.
    """

    lr: Positive = 0.1
    batch: Annotated[int, Whole(1)] = 256
    law: Annotated[
        str,
        Choice(
            linear="lr times the ratio of the batch sizes",
            sqrt="lr times the root of the ratio",
        ),
    ] = "linear"
    citation = Citation(
        "Granziol, Zohren & Roberts 2022",
        "Learning Rates as a Function of Batch Size: A Random Matrix Theory Approach",
        "JMLR 23(173), arXiv:2006.09092",
        read="study",
        source="the publication's abstract",
    )
    unspecified = (
        "only the abstract was at hand: the linear and the square-root rule as it states them; the formulas of its "
        "theorems are not offered"
    )

    def rate(self, batch: int) -> float:
        """The learning rate at a batch size; `ArgumentError` below 1."""
        ratio = _size(batch) / self.batch
        return self.lr * (ratio if self.law == "linear" else math.sqrt(ratio))


class SpikedRate(Scaling):
    """The largest stable learning rate, 2 / lambda, lambda the largest eigenvalue of the batch's Hessian.

    The batch's Hessian is taken as the full one, of largest eigenvalue ``eigenvalue``, plus a symmetric noise matrix whose
    spectrum ends at 2 s, s = ``noise`` / sqrt(batch). By the theorem of Baik, Ben Arous and Peche on such matrices lambda is
    eigenvalue + s**2 / eigenvalue where eigenvalue > s, else 2 s.
    """

    eigenvalue: Positive = 1.0
    noise: NonNegative = 1.0
    citation = dataclasses.replace(
        BatchScaledRate.citation,
        source="derived here, from the theorem of Baik, Ben Arous and Peche",
        unreachable="the publication's own formula",
    )
    unspecified = "not compared with the source's own formula, whose text was not at hand: the theorem stands by itself"

    def largest_eigenvalue(self, batch: int) -> float:
        """The largest eigenvalue of the batch's Hessian, as the matrix grows."""
        s = self.noise / math.sqrt(_size(batch))
        return self.eigenvalue + s * s / self.eigenvalue if self.eigenvalue > s else 2.0 * s

    def rate(self, batch: int) -> float:
        """The largest stable learning rate of gradient descent at a batch size; `ArgumentError` below 1."""
        return 2.0 / self.largest_eigenvalue(batch)


class RegimeAdaptation(Scaling):
    """Epochs at a larger batch size such that the number of updates stays; the learning rate grows by the ratio's root.

    Source: Hoffer, Hubara & Soudry 2017, arXiv:1705.08741. Momentum is not adapted.
    """

    lr: Positive = 0.1
    batch: Annotated[int, Whole(1)] = 128
    citation = Citation(
        "Hoffer, Hubara & Soudry 2017",
        "Train longer, generalize better",
        "arXiv:1705.08741, section 4 and 5",
        read="authors' code",
        source="eladhoffer/bigBatch 0c69f28",
    )
    unspecified = "ratios that are not whole: rounded up for epochs, as in the authors' code"

    def epochs(self, epochs: int, batch: int) -> int:
        """How many epochs of the larger batch stand for so many of the smaller."""
        return _count("epochs", epochs) * math.ceil(_size(batch) / self.batch)

    def rate(self, batch: int) -> float:
        """The learning rate at a batch size."""
        return self.lr * math.sqrt(_size(batch) / self.batch)

    def scaled(self, batch: int, epochs: int = 1) -> dict[str, float]:
        """The learning rate, and as many epochs as give the same number of updates."""
        return {"rate": self.rate(batch), "epochs": float(self.epochs(epochs, batch))}


def _size(batch: int) -> int:
    """A batch size; `ArgumentError` unless a whole number from 1 that a float holds."""
    return _count("batch", batch)


def _count(name: str, value: int) -> int:
    """A number that counts; what stands for one where the rule's text is run otherwise is as it is."""
    return value if isinstance(value, Value) else COUNT.check(name, value)
