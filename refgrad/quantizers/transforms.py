"""Changes of basis that leave a layer's output alone and make it easier to round: SmoothQuant, Hadamard rotations."""

from __future__ import annotations

import math

import numpy as np

from refgrad.arithmetic.function_arguments import REAL, UNIT, Floats, Numbers, OrNone, gated
from refgrad.errors import bad_argument
from refgrad.legal import Flag

_MATRIX = Numbers(axes=2, within=REAL)


@gated(activations=_MATRIX, weights=_MATRIX, alpha=UNIT, powers_of_two=Flag("powers of two"))
def smooth_scales(
    activations: np.ndarray, weights: np.ndarray, *, alpha: float = 0.5, powers_of_two: bool = False
) -> np.ndarray:
    """SmoothQuant's scale of each input: X / s and W s have the product of X and W.

    s_c = max(A_c**alpha / max(M_c, 1e-5)**(1 - alpha), 1e-5), A_c and M_c the largest magnitudes of input c among the
    activations and the weights.

    Args:
        activations: tokens by inputs.
        weights: outputs by inputs.
        alpha: from 0 to 1, how much of the difficulty goes to the weights.
        powers_of_two: s is rounded to the nearest power of two in the logarithm, so that X / s and W s are exact.

    Returns:
        float64, one an input. Source: Xiao et al. 2023, arXiv:2211.10438, equation 4, with the floors of its code.
    """
    x, w = activations, weights
    if x.shape[1] != w.shape[1] or not len(x) or not len(w):
        raise bad_argument("weights.shape", w.shape, f"(outputs, inputs), inputs as in activations of shape {x.shape}")
    largest, weight = np.abs(x).max(axis=0), np.maximum(np.abs(w).max(axis=0), 1e-5)
    scales = np.maximum(largest**alpha / weight ** (1 - alpha), 1e-5)
    return np.exp2(np.rint(np.log2(scales))) if powers_of_two else scales


@gated(
    x=Floats(),
    signs=OrNone(Numbers(axes=1)),
    normalize=Flag("normalized"),
    inverse=Flag("signs behind the matrix"),
)
def hadamard(
    x: np.ndarray, *, signs: np.ndarray | None = None, normalize: bool = True, inverse: bool = False
) -> np.ndarray:
    """The last axis rotated by the Sylvester-Hadamard matrix: x D H / sqrt(n), or back by (x H / sqrt(n)) D.

    H_2n = [[H_n, H_n], [H_n, -H_n]], entry (i, j) is -1 to the number of ones that i and j share in binary. Done by log2(n)
    rounds of sums and differences, each rounded once, in the dtype of ``x``; then one product with 1/sqrt(n), rounded.

    Args:
        x: a float dtype, the last axis a power of two long.
        signs: D, one +1 or -1 an element of the last axis (a randomized rotation); by default all +1.
        normalize: False leaves the factor away, so that whole numbers give whole numbers.
        inverse: the signs come after the matrix, which takes the rotation back (n times, if not normalized).

    Source: Ashkboos et al. 2024, arXiv:2404.00456, section 3.
    """
    n = x.shape[-1] if x.ndim else 0
    if n < 1 or n & (n - 1):
        raise bad_argument("x.shape", x.shape, "a last axis of 1, 2, 4, 8, .. elements")
    d = np.ones(n, x.dtype) if signs is None else signs.astype(x.dtype)
    if d.shape != (n,) or not (np.abs(d) == 1).all():
        raise bad_argument("signs", d.shape, f"{n} numbers, each +1 or -1")
    y = x if inverse else x * d
    half = 1
    while half < n:
        pairs = y.reshape(*x.shape[:-1], n // (2 * half), 2, half)
        a, b = pairs[..., 0, :], pairs[..., 1, :]
        y = np.stack([a + b, a - b], axis=-2).reshape(x.shape)
        half *= 2
    if normalize:
        y = y * x.dtype.type(1 / math.sqrt(n))
    return y * d if inverse else y
