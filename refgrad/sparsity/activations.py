"""Masks that weigh a weight by the activations that it meets: Wanda and RIA."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from refgrad.rule import Choice, Citation
from refgrad.sparsity import counts
from refgrad.sparsity.base import Unstructured
from refgrad.sparsity.n_of_m import Groups

PER_ROW = Annotated[
    str,
    Choice(
        row="one ranking a row w[i, ...], an output (the paper)",
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

    citation = Citation(
        "Sun et al. 2024", "A Simple and Effective Pruning Approach for LLMs", "arXiv:2306.11695, equation 1"
    )

    def scores(self, w: Any, a: Any) -> Any:  # type: ignore[override]
        return abs(w) * np.sqrt(a)


class WandaNOfM(Groups):
    """Wanda's score with an N:M pattern along the inputs. Source: Sun et al. 2024, arXiv:2306.11695, section 3."""

    inputs = {"a": "column"}

    citation = Citation(
        "Sun et al. 2024", "A Simple and Effective Pruning Approach for LLMs", "arXiv:2306.11695, section 3"
    )

    def scores(self, w: Any, a: Any) -> Any:  # type: ignore[override]
        return abs(w) * np.sqrt(a)
