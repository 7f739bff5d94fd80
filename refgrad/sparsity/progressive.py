"""Progressive gradient flow for N:M: pruned weights fade out (MDGF), or the pattern tightens (SDGF)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.rule import Choice, Citation, NonNegative, Whole, by
from refgrad.sparsity import schedules
from refgrad.sparsity.n_of_m import NOfM

SOURCE = Citation(
    "Bambhaniya et al. 2024",
    "Progressive Gradient Flow for Robust N:M Sparsity Training in Transformers",
    "arXiv:2402.04744",
    read="authors' code",
    source="abhibambhaniya/progressive_gradient_flow_nm_sparsity 450d744, timm/sparse_pruning/sparse_functions.py",
)


class MDGF(NOfM):
    """Mask decay gradient flow: pruned weights are multiplied by beta, which falls from 1 to 0 over the steps.

    Forward: w_tilde = w (mask + (1 - mask) beta). Backward, as the authors' code has it: the gradient of w is that of w_tilde.
    beta is max(1 - rate t, 0) (linear) or exp(-rate t) (exponential); t counts from the end of the dense phase.
    Source: Bambhaniya et al. 2024, arXiv:2402.04744, section 4.1, read in its code; the paper's own backward was not at hand.
    """

    rate: NonNegative = 1e-4
    decay: Annotated[str, schedules.DECAY] = "exponential"
    gradient: Annotated[
        str,
        Choice(
            straight_through=by("the gradient passes as it is", "authors"),
            scaled="the gradient is multiplied by mask + (1 - mask) beta, as differentiation says",
        ),
    ] = "straight_through"

    exempt_laws: ClassVar[Mapping[str, str]] = {}
    citation = SOURCE
    unspecified = (
        "the backward pass: the gradient passes as it is, as in the authors' code; the paper's own was not at "
        "hand, and differentiation scales it (gradient=scaled)"
    )

    def beta(self, t: int) -> float:
        """The factor of pruned weights after ``t`` steps."""
        return schedules.decay(t, self.rate, self.decay)

    def forward(self, w: Any, mask: Any, beta: Any) -> Any:
        """The weights that the layer computes with, pruned ones times ``beta``."""
        return np.where(mask, w, w * beta)

    def backward(self, w: Any, mask: Any, g: Any, beta: Any) -> Any:
        """The gradient of the dense weights from ``g``, that of the layer's."""
        return g if self.gradient == "straight_through" else np.where(mask, g, g * beta)


class SDGF(NOfM):
    """Structure decay gradient flow: a sequence of N:M patterns that ends at n:m.

    Stepwise: (m-1):m, m/2:m, m/4:m, ..., so that the density falls; geometric: 8n:8m, 4n:4m, 2n:2m, n:m, so that blocks shrink.
    Patterns change at whole epochs; each lasts (epochs - dense - finetune) / number of patterns. Before the dense epochs are
    over there is no mask. Source: Bambhaniya et al. 2024, arXiv:2402.04744, section 4.2, read in its code.
    """

    form: Annotated[
        str,
        Choice(
            stepwise="the number kept is halved from pattern to pattern",
            geometric="kept and group size are halved together from pattern to pattern",
        ),
    ] = "stepwise"
    epochs: Annotated[int, Whole(1)] = 100
    dense_epochs: Annotated[int, Whole(0)] = 0
    finetune_epochs: Annotated[int, Whole(0)] = 0

    exempt_laws: ClassVar[Mapping[str, str]] = {}
    citation = SOURCE
    unspecified = (
        "how long each pattern lasts: equal shares of the epochs, as in the code; the paper's list of patterns for "
        "each model was not read"
    )

    def patterns(self) -> Mapping[int, tuple[int, int]]:
        """The first epoch of each pattern, as (kept, of)."""
        listed = (
            schedules.stepwise(self.kept(), self.m)
            if self.form == "stepwise"
            else schedules.geometric(self.kept(), self.m)
        )
        return schedules.frames(listed, self.epochs, self.dense_epochs, self.finetune_epochs)

    def at(self, epoch: int) -> NOfM | None:
        """The rule of an epoch; None while training is dense."""
        begun = [pattern for first, pattern in self.patterns().items() if first <= epoch]
        if epoch < self.dense_epochs or not begun:
            return None
        n, m = begun[-1]
        return NOfM(n=n, m=m, along=self.along, tail=self.tail, ties=self.ties, nan_rank=self.nan_rank)
