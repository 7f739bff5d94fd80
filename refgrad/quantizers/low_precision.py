"""Parameters kept in a narrow format: updates by stochastic rounding, and updates that remember what rounding lost."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from refgrad.arithmetic import rounding
from refgrad.arithmetic.minifloats import MINIFLOATS
from refgrad.arithmetic.philox import random_words
from refgrad.errors import bad_argument


class Compensated(NamedTuple):
    """A parameter in a narrow format, and what its roundings lost so far, in the same format; as float32."""

    p: np.ndarray
    lost: np.ndarray


def _rounded(x: np.ndarray, format: str) -> np.ndarray:
    return rounding.round_to_format(x, MINIFLOATS[format])


def kahan_update(kept: Compensated, update: np.ndarray, format: str = "bfloat16") -> Compensated:
    """``p + update`` with the error of the sum carried on: y = u + c; t = p + y; c = y - (t - p); p = t.

    Every operation is done in float32 and rounded once to the format, to nearest, ties to even. Source: Kahan 1965,
    "Further remarks on reducing truncation errors"; Zamirai et al. 2020, arXiv:2010.06192, section 4.2.

    Raises:
        ArgumentError: the shapes differ.
    """
    p, lost = kept
    if not p.shape == lost.shape == update.shape:
        raise bad_argument("update.shape", update.shape, f"{p.shape}, that of the parameter and of what it lost")
    with np.errstate(over="ignore"):
        y = _rounded(_rounded(update.astype(np.float32), format) + lost, format)
        t = _rounded(p + y, format)
        return Compensated(t, _rounded(y - _rounded(t - p, format), format))


def stochastic_update(
    p: np.ndarray, update: np.ndarray, step: int, format: str = "bfloat16", seed: int = 0, bits: int = 16
) -> np.ndarray:
    """``p + update`` in float32, rounded to the format up or down in magnitude by chance.

    The numbers of random bits of element i are the highest of word i of Philox4x32-10 with key ``(seed, step)``; it goes up if
    they are less than the highest bits of what is cut off. Infinities and NaN are not rounded. Source: Zamirai et al. 2020,
    arXiv:2010.06192, section 4.1.

    Returns:
        float32 numbers of the format.
    """
    total = p.astype(np.float32) + update.astype(np.float32)
    words = random_words(total.size, seed, step).reshape(total.shape) >> np.uint32(32 - bits)
    form = MINIFLOATS[format]
    return form.values[rounding.encode(total, form, "stochastic", "overflow", words, bits)]
