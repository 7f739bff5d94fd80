"""ASP: 2:4 masks made once after training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

import numpy as np

from refgrad.rule import Choice, Citation, by
from refgrad.sparsity.n_of_m import NOfM

#: apex's 2:4 patterns in the order in which it tries them (the order of a Python set, on CPython 3.11)
PATTERNS = np.asarray([[0, 1, 0, 1], [1, 1, 0, 0], [0, 1, 1, 0], [1, 0, 1, 0], [1, 0, 0, 1], [0, 0, 1, 1]], dtype=bool)


class ASP(NOfM):
    """Automatic sparsity: the 2:4 mask of the trained weights, made once; gradients and weights are masked from then on.

    Score: |w|. apex picks the pattern with the largest sum in float32 instead of the two largest, which differs where a sum
    rounds: [1e8, 1, 2, 3] keeps the first two. Source: Mishra et al. 2021, arXiv:2104.08378, section 4; NVIDIA apex,
    contrib/sparsity.
    """

    chosen_by: Annotated[
        str,
        Choice(
            rank=by("the two largest of each four are kept", "published"),
            pattern_sums=by(
                "the first of six patterns with the largest sum, added in the dtype of the scores", "apex: m4n2_1d"
            ),
        ),
    ] = "rank"

    exempt_laws: ClassVar[Mapping[str, str]] = {}
    citation = Citation(
        "Mishra et al. 2021",
        "Accelerating Sparse Deep Neural Networks",
        "arXiv:2104.08378, section 4",
        read="authors' code",
        source="NVIDIA/apex 6424da3, apex/contrib/sparsity",
    )
    unspecified = (
        "ties, which the source does not mention; apex compares sums of float32, which differ from ranks where a "
        "sum rounds (chosen_by=pattern_sums)"
    )

    def by_rank(self) -> bool:
        """`Groups.by_rank`: not where sums of patterns decide."""
        return self.chosen_by == "rank" or self.m != 4 or self.kept() != 2

    def _of_groups(self, ranked: np.ndarray, size: int, first: np.ndarray | None) -> np.ndarray:
        if self.by_rank() or size != 4:
            return super()._of_groups(ranked, size, first)
        # keys of magnitudes are the bits of these
        values = np.ascontiguousarray(ranked).view(f"f{ranked.dtype.itemsize}").reshape(-1, 4)
        with np.errstate(invalid="ignore", over="ignore"):
            parts = values[:, None, :] * PATTERNS
            sums = parts[..., 0] + parts[..., 1] + parts[..., 2] + parts[..., 3]
        # NaN counts as largest, as for torch's argmax; 0 times infinity is NaN
        return PATTERNS[np.argmax(sums, axis=1)].reshape(ranked.shape)
