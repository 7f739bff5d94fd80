"""Rounding to every small format by three independent ways, on every code: `python -m tests.quantizers.exhaustive`.

The points of a format are every number of it, every midpoint of neighbours, and the float32 neighbours of all of these, of
both signs; the number that would follow the largest and its midpoint; the ends of float32, infinities and NaN.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator

import numpy as np

from refgrad.arithmetic import rounding
from refgrad.arithmetic.minifloats import MINIFLOATS, OVERFLOWS, ROUNDINGS, Minifloat
from refgrad.arithmetic.philox import random_words
from refgrad.arithmetic.rounding_exact import round_exactly
from refgrad.backends import rounding_kernels

BITS = 8
CASES = list(itertools.product(ROUNDINGS.sentences, OVERFLOWS.sentences))


def points(form: Minifloat) -> np.ndarray:
    """Where rounding to a format decides something, as float32."""
    numbers = form.values[: form.largest_code + 1].astype(np.float64)
    numbers = np.append(numbers, 2 * numbers[-1] - (numbers[-2] if form.mantissa_bits else 0.0))
    middle = (numbers[1:] + numbers[:-1]) / 2
    with np.errstate(over="ignore"):
        exact = np.concatenate([numbers, middle]).astype(np.float32)
        edges = np.asarray([1e-45, 1.2e-38, 3.4028235e38, np.inf, np.nan], np.float32)
        around = [exact, np.nextafter(exact, np.float32(np.inf)), np.nextafter(exact, np.float32(0)), edges]
    found = np.concatenate(around)
    if form.nan_code is None:
        found = found[~np.isnan(found)]
    return np.concatenate([found, -found])


def disagreements(form: Minifloat, mode: str, overflow: str, x: np.ndarray) -> tuple[int, int]:
    """How many codes of the array way, and of the kernel, are not that of exact arithmetic."""
    random = random_words(x.size, seed=1) >> np.uint32(32 - BITS)
    truth = [
        round_exactly(float(value), form, mode, overflow, int(word), BITS)
        for value, word in zip(x, random, strict=True)
    ]
    given = random if mode == "stochastic" else None
    by_array = rounding.encode(x, form, mode, overflow, given, BITS)
    by_kernel = rounding_kernels.encode(x, form, mode, overflow, given, BITS, count=1)
    return int((by_array != truth).sum()), int((by_kernel != truth).sum())


def rows() -> Iterator[tuple[str, int, int, int, int]]:
    """Each format: how many points, how many roundings of them, and how many disagree by array and by kernel."""
    for form in MINIFLOATS.values():
        x = points(form)
        wrong = [disagreements(form, mode, overflow, x) for mode, overflow in CASES]
        yield form.name, x.size, x.size * len(CASES), sum(w[0] for w in wrong), sum(w[1] for w in wrong)


def main() -> int:
    """Print the table; 1 if anything disagrees."""
    print(
        "| format | points | roundings (7 modes, 2 policies) | arrays differ | kernel differs |\n|---|---|---|---|---|"
    )
    bad = 0
    for row in rows():
        print("| " + " | ".join(map(str, row)) + " |", flush=True)
        bad += row[3] + row[4]
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
