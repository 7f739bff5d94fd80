"""Masks that weigh a weight by the activations that it meets: Wanda and RIA."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.arithmetic.primitives import tree_sum
from refgrad.rule import Choice, Citation, by
from refgrad.sparsity import counts
from refgrad.sparsity.base import Unstructured
from refgrad.sparsity.n_of_m import Groups

PER_ROW = Annotated[
    str,
    Choice(
        row=by("one ranking a row w[i, ...], an output", "published"),
        tensor="one ranking a tensor",
    ),
]


class Wanda(Unstructured):
    """Weights by magnitude times the norm of the input that they meet, ranked within each output.

    Score: |w_ij| sqrt(a_j); ``a_j`` is the sum (or mean: a constant factor) of the squares of input channel j over all tokens.
    Of each row floor(sparsity columns) are pruned. Shapes: w (outputs, inputs), a (inputs,).
    Source: Sun et al. 2024, arXiv:2306.11695, equation 1.
    """

    rounding: counts.Rounding = "floor"
    granularity: PER_ROW = "row"
    inputs = {"a": "column"}

    exempt_laws: ClassVar[Mapping[str, str]] = {}
    citation = Citation(
        "Sun et al. 2024",
        "A Simple and Effective Pruning Approach for LLMs",
        "arXiv:2306.11695, equation 1",
        read="authors' code",
        source="locuslab/wanda 8e8fc87, lib/prune.py",
    )
    unspecified = (
        "ties, and how the count is rounded: down here, as the authors' code takes int(columns ratio) of a stable sort, which "
        "prunes the lower index of equal scores (ties=high); the norm is of all tokens' inputs, which a mean leaves in order"
    )

    def scores(self, w: Any, a: Any) -> Any:  # type: ignore[override]
        return abs(w) * np.sqrt(a)


class WandaNOfM(Groups):
    """Wanda's score with an N:M pattern along the inputs. Source: Sun et al. 2024, arXiv:2306.11695, section 3."""

    inputs = {"a": "column"}

    exempt_laws: ClassVar[Mapping[str, str]] = {}
    citation = Citation(
        "Sun et al. 2024",
        "A Simple and Effective Pruning Approach for LLMs",
        "arXiv:2306.11695, section 3",
        read="authors' code",
        source="locuslab/wanda 8e8fc87, lib/prune.py",
    )
    unspecified = (
        "whether n of every m are kept or pruned: kept here, pruned in the authors' code (n_is=pruned), which "
        "agrees for 2:4; ties"
    )

    def scores(self, w: Any, a: Any) -> Any:  # type: ignore[override]
        return abs(w) * np.sqrt(a)


class RIA(Unstructured):
    """Relative importance and activations: a weight's share of its row and of its column, times the norm of its input.

    Score: (|w_ij| / sum_i |w_ij| + |w_ij| / sum_j |w_ij|) sqrt(a_j)^alpha, alpha 0, 1/2 or 1; ``a_j`` as for `Wanda`, whose
    rows it ranks alike. A row or column of zeros scores NaN. Shapes: w (outputs, inputs), a (inputs,).
    Source: Zhang et al. 2024, "Plug-and-Play", ICLR 2024, equations 2 and 4; alpha 1/2 is the default of the authors' code.
    """

    alpha: Annotated[
        str,
        Choice(
            half="the norm of the activations to the power 1/2",
            none="no activations: relative importance alone",
            one="the norm itself",
        ),
    ] = "half"
    rounding: counts.Rounding = "floor"
    granularity: PER_ROW = "row"
    inputs = {"a": "column"}

    exempt_laws: ClassVar[Mapping[str, str]] = {}
    citation = Citation(
        "Zhang et al. 2024",
        "Plug-and-Play: Post-training Pruning for Large Language Models",
        "ICLR 2024, equation 4",
        read="authors' code",
        source="biomedical-cybernetics/Relative-importance-and-activation-pruning 7bc55b0, lib/prune.py",
    )
    unspecified = (
        "the power of the activations' norm: 1/2, the default of the authors' --a; a row or column of zeros: "
        "its score is NaN; whether n of m counts what is kept"
    )

    def scores(self, w: Any, a: Any) -> Any:  # type: ignore[override]
        magnitude = abs(w)
        relative = magnitude / tree_sum(magnitude, over="column") + magnitude / tree_sum(magnitude, over="row")
        if self.alpha == "none":
            return relative
        return relative * np.sqrt(np.sqrt(a) if self.alpha == "half" else a)
