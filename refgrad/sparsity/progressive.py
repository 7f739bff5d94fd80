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
    source="abhibambhaniya/progressive_gradient_flow_nm_sparsity 450d744 and b5234f0, timm/sparse_pruning/sparse_functions.py",
)


class MDGF(NOfM):
    """Mask decay gradient flow: pruned weights are multiplied by beta, which falls from 1 to 0 over the steps.

    Forward: w_tilde = w (mask + (1 - mask) beta). Backward, as the authors' code has it: the gradient of w is that of w_tilde.
    beta is max(1 - rate t, 0) (linear) or exp(-rate t) (exponential); t counts from the end of the dense phase. After epoch
    ``epochs - finetune_epochs`` beta is 0: fine-tuning has a mask of zeros and ones.
    Source: Bambhaniya et al. 2024, arXiv:2402.04744, section 4.1, read in its code; what is published of the
    backward was not at hand.
    """

    rate: NonNegative = 1e-4
    decay: Annotated[str, schedules.DECAY] = "exponential"
    epochs: Annotated[int, Whole(1)] = 100
    finetune_epochs: Annotated[int, Whole(0)] = 0
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

    def beta(self, t: int, epoch: int | None = None) -> float:
        """The factor of pruned weights after ``t`` steps; 0 in an epoch of fine-tuning, if the epoch is said."""
        if epoch is not None and epoch > self.epochs - self.finetune_epochs:
            return 0.0
        return schedules.decay(t, self.rate, self.decay)

    def forward(self, w: Any, mask: Any, beta: Any) -> Any:
        """The weights that the layer computes with, pruned ones times ``beta``."""
        return np.where(mask, w, w * beta)

    def backward(self, w: Any, mask: Any, g: Any, beta: Any) -> Any:
        """The gradient of the dense weights from ``g``, that of the layer's."""
        return g if self.gradient == "straight_through" else np.where(mask, g, g * beta)


class SDGF(NOfM):
    """Structure decay gradient flow: a sequence of N:M patterns that ends at n:m.

    Stepwise: (m-1):m, m/2:m, m/4:m, ..., so that the density falls; geometric: 8n:8m, 4n:4m, 2n:2m, n:m, so that blocks shrink;
    densify: n:8m, n:4m, n:2m, n:m, so that ever more is kept. Patterns change at whole epochs; each lasts (epochs - dense -
    finetune) / number of patterns. Before the dense epochs are over there is no mask. A schedule of one's own (the authors'
    "custom") is handed to `at`. Source: Bambhaniya et al. 2024, arXiv:2402.04744, section 4.2, read in its code.
    """

    form: Annotated[
        str,
        Choice(
            stepwise=by("the number kept is halved from pattern to pattern", "authors: sparsify"),
            geometric=by("kept and group size are halved together from pattern to pattern", "authors: fine"),
            densify=by("the group size is halved from pattern to pattern, and as many are kept", "authors: densify"),
        ),
    ] = "stepwise"
    epochs: Annotated[int, Whole(1)] = 100
    dense_epochs: Annotated[int, Whole(0)] = 0
    finetune_epochs: Annotated[int, Whole(0)] = 0

    exempt_laws: ClassVar[Mapping[str, str]] = {}
    citation = SOURCE
    unspecified = (
        "how long each pattern lasts: equal shares of the epochs, as in the code; the code goes on with a pattern until an "
        "epoch that begins the next; the paper's list of patterns for each model was not read"
    )

    def patterns(self) -> Mapping[int, tuple[int, int]]:
        """The first epoch of each pattern, as (kept, of)."""
        forms = {"stepwise": schedules.stepwise, "geometric": schedules.geometric, "densify": schedules.densify}
        listed = forms[self.form](self.kept(), self.m)
        return schedules.frames(listed, self.epochs, self.dense_epochs, self.finetune_epochs)

    def at(self, epoch: int, custom: Mapping[int, tuple[int, int]] | None = None) -> NOfM | None:
        """The rule of an epoch; None while training is dense.

        Args:
            epoch: the epoch.
            custom: a schedule of one's own in place of `patterns`: the first epoch of each pattern, as (kept, of).
        """
        schedule = self.patterns() if custom is None else dict(sorted(custom.items()))
        begun = [pattern for first, pattern in schedule.items() if first <= epoch]
        if epoch < self.dense_epochs or not begun:
            return None
        n, m = begun[-1]
        return NOfM(n=n, m=m, along=self.along, tail=self.tail, ties=self.ties, nan_rank=self.nan_rank)
