"""Training through a mask that is made anew at every step: the weights that a layer computes with, and their gradients.

What is kept is read off the candidate's own results and judged as a mask; values and gradients are judged given it.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.axes import ELEMENT, TENSOR
from refgrad.errors import bad_argument
from refgrad.estimators.base import Parameter, Parameters
from refgrad.estimators.choosing import Arrays, Choosing, Selection, Shown
from refgrad.rule import Citation, Fraction, Nested, NonNegative, Range, Rule
from refgrad.sparsity import counts
from refgrad.sparsity.base import Unstructured
from refgrad.sparsity.n_of_m import SRSTE
from refgrad.sparsity.progressive import MDGF
from refgrad.sparsity.sensitivity import Movement, SoftMovement

#: one where an entry is kept, zero where it is not
MASK = Parameter(ELEMENT, learned=False)


class MaskedTraining(Choosing):
    """Weights under the mask of ``pattern``, a mask rule that has `forward` and `backward`."""

    #: the mask rules that ``pattern`` may be
    patterns: ClassVar[tuple[type[Rule], ...]] = ()

    pattern: Annotated[Any, Nested()] = SRSTE()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.pattern, self.patterns):
            legal = " or ".join(cls.__name__ for cls in self.patterns)
            raise bad_argument(f"{type(self).__name__}.pattern", str(self.pattern), f"a rule {legal}")

    def selections(self, given: Arrays) -> dict[str, Selection]:
        """The mask of the weights."""
        others = {n: given[n] for n in self.pattern.takes() if n != "w"}
        return {"mask": Selection(self.pattern, {"w": given["x"], **others})}

    def shown(self, name: str, given: Arrays, seen: Arrays) -> Shown:
        """What is not zero was kept; of a weight of zero the gradient tells, where it is masked."""
        return either(Shown(seen["y"] != 0, given["x"] == 0), self.shown_by_gradient(given, seen))

    def shown_by_gradient(self, given: Arrays, seen: Arrays) -> Shown | None:
        """What the gradient of a weight of zero tells, if anything: where it is masked, what is not zero was kept."""
        if "x_grad" not in seen or self.pattern.gradient != "masked":
            return None
        return Shown(seen["x_grad"] != 0, given["cotangent"] == 0)


def either(one: Shown, other: Shown | None) -> Shown:
    """What one result shows, and where it tells nothing what another does."""
    return one if other is None else Shown(np.where(one.free, other.mask, one.mask), one.free & other.free)


class SRSTEGradient(MaskedTraining):
    """SR-STE: y = mask x, dx = g + decay (1 - mask) x, the mask being that of ``pattern``.

    Source: Zhou et al. 2021, arXiv:2102.04010, equation 9.
    """

    patterns = (SRSTE,)
    citation = SRSTE.citation
    unspecified = (
        "the mask's ties, which are the pattern's; where the decay is added: to the gradient of the weights, as in "
        "equation 9"
    )
    parameters = Parameters(mask=MASK)

    def forward(self, x: Any, mask: Any) -> Any:  # type: ignore[override]
        return self.pattern.forward(x, mask > 0.5)

    def backward(self, cotangent: Any, x: Any, mask: Any) -> Any:  # type: ignore[override]
        return self.pattern.backward(x, mask > 0.5, cotangent)


class MDGFGradient(MaskedTraining):
    """Mask decay gradient flow: y = x (mask + (1 - mask) beta); `MDGF` gives beta by the step.

    Source: Bambhaniya et al. 2024, arXiv:2402.04744, section 4.1.
    """

    patterns = (MDGF,)
    pattern: Annotated[Any, Nested()] = MDGF()
    citation = MDGF.citation
    unspecified = "whether beta scales the gradient of pruned weights: not in the authors' code (MDGF's gradient)"
    parameters = Parameters(beta=Parameter(TENSOR, learned=False, legal=Range(0.0, 1.0, False, False)), mask=MASK)

    def forward(self, x: Any, beta: Any, mask: Any) -> Any:  # type: ignore[override]
        return self.pattern.forward(x, mask > 0.5, beta)

    def backward(self, cotangent: Any, x: Any, beta: Any, mask: Any) -> Any:  # type: ignore[override]
        return self.pattern.backward(x, mask > 0.5, cotangent, beta)

    def shown(self, name: str, given: Arrays, seen: Arrays) -> Shown:
        """What is as it was was kept; of a weight that beta does not change the gradient tells, where it is scaled."""
        one = _unscaled(given["x"], seen["y"], given["beta"])
        if "x_grad" not in seen or self.pattern.gradient != "scaled":
            return one
        return either(one, _unscaled(given["cotangent"], seen["x_grad"], given["beta"]))


def _unscaled(before: np.ndarray, after: np.ndarray, beta: np.ndarray) -> Shown:
    """What is as it was; where the factor changes nothing, that tells nothing."""
    return Shown((before == after) | ((before != before) & (after != after)), before * beta == before)


class MovementGradient(MaskedTraining):
    """Movement pruning: y = mask x, dx = mask g, and the scores' gradient g x, through the mask as if it were the identity.

    Source: Sanh et al. 2020, arXiv:2005.07683, equations 4 to 6.
    """

    patterns = (Movement, SoftMovement)
    pattern: Annotated[Any, Nested()] = Movement()
    citation = Movement.citation
    unspecified = (
        "nothing: the three products of the paper; the mask is an argument, and how it is chosen is Movement's"
    )
    parameters = Parameters(s=Parameter(ELEMENT), mask=MASK)

    def forward(self, x: Any, s: Any, mask: Any) -> Any:  # type: ignore[override]
        return Movement.forward(x, mask > 0.5)

    def backward(self, cotangent: Any, x: Any, s: Any, mask: Any) -> Any:  # type: ignore[override]
        return Movement.backward(x, mask > 0.5, cotangent)

    def shown_by_gradient(self, given: Arrays, seen: Arrays) -> Shown | None:
        """What is not zero was kept."""
        return Shown(seen["x_grad"] != 0, given["cotangent"] == 0) if "x_grad" in seen else None


class LargestShare(Unstructured):
    """The share ``density`` of the entries, those of the largest magnitude."""

    density: Fraction = 0.5

    def scores(self, w: Any) -> Any:  # type: ignore[override]
        return abs(w)

    def kept(self, size: int) -> int:
        """The share of them, rounded."""
        return counts.rounded(self.density * size, self.rounding)


class TopKAST(Choosing):
    """Top-KAST: the forward pass uses the largest weights, the backward pass updates some more.

    A holds the share ``forward_density`` of the largest magnitudes, B (which holds A) the share ``backward_density``. y = x on A,
    zero elsewhere; dx = g on B, zero elsewhere, and ``strength`` times the penalty's gradient: x on A, x / forward_density on B
    without A. Source: Jayakumar et al. 2020, arXiv:2106.03517, sections 2.1 and 2.3.
    """

    forward_density: Fraction = 0.1
    backward_density: Fraction = 0.2
    strength: NonNegative = 0.0
    rounding: counts.Rounding = "half_even"

    citation = Citation(
        "Jayakumar et al. 2020",
        "Top-KAST: Top-K Always Sparse Training",
        "arXiv:2106.03517, section 2",
        read="study",
        source="the equations as recalled, and restated in its tests",
        unreachable="the form of its penalty",
    )
    unspecified = "the penalty's form is as recalled; which of equal magnitudes are in A and B is open"
    parameters = Parameters(forward_mask=MASK, backward_mask=MASK)
    chosen = ("forward_mask", "backward_mask")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 < self.forward_density <= self.backward_density:
            name, low = "TopKAST.backward_density", self.forward_density
            raise bad_argument(name, self.backward_density, f"no less than forward_density={low}, which is positive")

    def forward(self, x: Any, forward_mask: Any, backward_mask: Any) -> Any:  # type: ignore[override]
        return np.where(forward_mask > 0.5, x, 0.0)

    def backward(self, cotangent: Any, x: Any, forward_mask: Any, backward_mask: Any) -> Any:  # type: ignore[override]
        used, updated = forward_mask > 0.5, backward_mask > 0.5
        x_grad = np.where(updated, cotangent, 0.0)
        if self.strength == 0:
            return x_grad
        return x_grad + self.strength * np.where(used, x, np.where(updated, x / self.forward_density, 0.0))

    def selections(self, given: Arrays) -> dict[str, Selection]:
        """A and B."""
        shares = dict(zip(self.chosen, (self.forward_density, self.backward_density), strict=True))
        return {
            name: Selection(LargestShare(density=d, rounding=self.rounding), {"w": given["x"]})
            for name, d in shares.items()
        }

    def shown(self, name: str, given: Arrays, seen: Arrays) -> Shown:
        """A by the value, B by the gradient: what is not zero is in."""
        if name == "forward_mask":
            return Shown(seen["y"] != 0, given["x"] == 0)
        if "x_grad" not in seen:
            return Shown(seen["y"] != 0, np.ones(seen["y"].shape, bool))
        return Shown(seen["x_grad"] != 0, self._silent(given))

    def _silent(self, given: Arrays) -> np.ndarray:
        """Where the gradient of what is in B is zero too, perhaps because the penalty's cancels the cotangent."""
        cotangent, x = given["cotangent"].astype(np.float64), given["x"].astype(np.float64)
        penalty = self.strength * x / self.forward_density
        return np.asarray(np.abs(cotangent + penalty) <= 2.0**-20 * np.abs(cotangent))
