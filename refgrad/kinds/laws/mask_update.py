"""Laws of mask updates."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from refgrad.kinds.laws.case_law import REPEATABLE, Arrays, Call, CaseLaw, Claim
from refgrad.sparsity.dynamic import MaskUpdate


def _signs(call: Call, rule: MaskUpdate, arrays: Arrays) -> Iterator[Claim]:
    """Magnitudes decide: with the signs of all weights and gradients turned, the mask is the same and weights are negative."""
    one = call(arrays)
    turned = {n: -a if n != "t" and n != "mask" and rule.inputs.get(n) != "uniform" else a for n, a in arrays.items()}
    want = {"mask": one["mask"], **({"w": -one["w"]} if "w" in one else {})}
    yield Claim(turned, call(turned), want)


def _hidden(call: Call, rule: MaskUpdate, arrays: Arrays) -> Iterator[Claim]:
    """A mask of booleans, of zeros and ones of any dtype, is one mask."""
    other = {**arrays, "mask": (arrays["mask"] != 0).astype(np.float64)}
    yield Claim(other, call(other), call(arrays))


LAWS: tuple[CaseLaw, ...] = (
    REPEATABLE,
    CaseLaw("signs", "magnitudes decide: with all signs turned the mask is the same, and weights are negative", _signs),
    CaseLaw("form of the mask", "a mask of zeros and ones is one mask in every dtype", _hidden, universal=True),
)
