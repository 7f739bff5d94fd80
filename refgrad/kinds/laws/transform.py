"""Laws of transforms of gradients."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from refgrad.kinds.laws.case_law import REPEATABLE, Arrays, Call, CaseLaw, Claim
from refgrad.optimizers.transform import Transform


def _twice(call: Call, rule: Transform, arrays: Arrays) -> Iterator[Claim]:
    """Numbers that are not in the arrays do not get into the results: an array of zeros has finite ones."""
    zeros = {n: np.zeros_like(a) for n, a in arrays.items()}
    got = call(zeros)
    again = call({n: -a for n, a in zeros.items()})
    yield Claim(zeros, again, got)


LAWS: tuple[CaseLaw, ...] = (
    REPEATABLE,
    CaseLaw("zeros of either sign", "zeros of either sign give the same", _twice, universal=True),
)
