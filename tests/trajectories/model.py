"""The digits of scikit-learn and a network of 64, 16 and 10 numbers, by operations whose bits are the same on every machine.

Sums are trees of NumPy's additions in float64, one ufunc after the other, so that neither BLAS nor a fused multiply-add is in
the way; there is no exponential: the loss is half the squared distance to the digit's unit vector.
"""

from __future__ import annotations

import gzip
import importlib.util
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.bits.inputs import Source

#: digits that the network is trained on, in their order; as many in a batch; and the numbers of the hidden layer
DIGITS, BATCH, HIDDEN, CLASSES = 256, 64, 16, 10
Arrays = dict[str, np.ndarray]


class Found(NamedTuple):
    """What one batch says: the loss and its gradient, in float64."""

    loss: float
    gradient: Arrays


def digits_file() -> Path | None:
    """The digits in the installed package, which is not imported; None if it is not there."""
    spec = importlib.util.find_spec("sklearn")
    folders = () if spec is None else spec.submodule_search_locations or ()
    paths = [Path(folder) / "datasets" / "data" / "digits.csv.gz" for folder in folders]
    return next((path for path in paths if path.is_file()), None)


@cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    """The pixels, of shape (256, 64), and the unit vector of each digit, of shape (256, 10).

    Pixels are sixteenths less 5/16, about their mean: one that is zero on every digit would give a row of gradients that are
    zero, where Adafactor divides zero by zero (its product of two averages of 1e-30 underflows).
    """
    path = digits_file()
    assert path is not None, "scikit-learn is not installed"
    with gzip.open(path, "rt") as file:
        rows = np.asarray([[int(word) for word in next(file).split(",")] for _ in range(DIGITS)])
    return (rows[:, :-1] - 5) / 16.0, np.eye(CLASSES)[rows[:, -1]]


def first() -> Arrays:
    """The network's parameters before the first step, in float32."""
    source, low = Source("digits"), -(1 << 10)
    sizes = {"w1": ((64, HIDDEN), 2.0**-12), "b1": ((HIDDEN,), 0.0), "w2": ((HIDDEN, CLASSES), 2.0**-11)}
    sizes["b2"] = ((CLASSES,), 0.0)
    return {n: (source.whole(shape, low, -low) * scale).astype(np.float32) for n, (shape, scale) in sizes.items()}


def batch(step: int) -> tuple[np.ndarray, np.ndarray]:
    """The pixels and unit vectors of a step, counted from 1: the batches go round."""
    x, wanted = digits()
    at = (step - 1) * BATCH % DIGITS
    return x[at : at + BATCH], wanted[at : at + BATCH]


def folded(terms: np.ndarray) -> np.ndarray:
    """The sum over the first axis, by halves: an element and the one half the length further on."""
    while len(terms) > 1:
        half = len(terms) // 2
        rest = terms[2 * half :]
        terms = np.concatenate([terms[:half] + terms[half : 2 * half], rest])
    return np.asarray(terms[0])


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The product of two matrices, of shapes (n, k) and (k, m)."""
    return folded(a.T[:, :, None] * b[:, None, :])


def _hidden(p: Arrays, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The second layer's weights, the hidden numbers, and where they are not cut off at zero."""
    before = product(x, np.asarray(p["w1"], np.float64)) + p["b1"]
    return np.asarray(p["w2"], np.float64), np.maximum(before, 0.0), before > 0


def evaluate(p: Arrays, x: np.ndarray, wanted: np.ndarray) -> Found:
    """The loss of a batch and its gradient.

    Args:
        p: the parameters, in float32.
        x: pixels, of shape (n, 64).
        wanted: unit vectors, of shape (n, 10).
    """
    w2, hidden, passes = _hidden(p, x)
    off = product(hidden, w2) + p["b2"] - wanted
    loss = float(folded((off * off).reshape(-1))) / (2 * len(x))
    up = off / len(x)
    down = np.where(passes, product(up, w2.T), 0.0)
    return Found(loss, {"w1": product(x.T, down), "b1": folded(down), "w2": product(hidden.T, up), "b2": folded(up)})


def curvature(p: Arrays, x: np.ndarray) -> Arrays:
    """The diagonal of the Gauss-Newton matrix of a batch's loss, shaped like the parameters.

    Args:
        p: the parameters, in float32.
        x: pixels, of shape (n, 64).
    """
    w2, hidden, passes = _hidden(p, x)
    seen = passes * folded((w2 * w2).T) / len(x)
    every = np.full((len(x), CLASSES), 1.0 / len(x))
    squares = {"w1": product((x * x).T, seen), "w2": product((hidden * hidden).T, every)}
    return {"w1": squares["w1"], "b1": folded(seen), "w2": squares["w2"], "b2": folded(every)}
