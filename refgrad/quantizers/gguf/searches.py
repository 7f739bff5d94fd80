"""Codes and scales of groups of numbers, by ggml's rules; `kernels` has the compiled twin of each.

Every function takes float32 rows, one a group, and treats all rows at once. An operation is rounded once; sums run from
left to right, because their order shows in the bits. To the fits (not the plain codes) a group whose largest magnitude is
below `TINY` counts as zero.
Source: ggml, src/ggml-quants.c (make_qkx2_quants, make_q3_quants, make_qx_quants, quantize_row_iq4_nl_impl).
"""

from __future__ import annotations

import numpy as np

from refgrad.arithmetic.rounding import gathered

TINY = np.float32(1e-15)
ZERO, ONE, HALF = np.float32(0), np.float32(1), np.float32(0.5)
#: what changes nothing when it is added, the sign of a zero included
NOTHING = np.float32(-0.0)
#: added to a float32 below 2**22 it leaves the nearest integer, ties to even, in the low bits
TO_INTEGER = np.float32(1.5 * 2**23)


def integer(x: np.ndarray) -> np.ndarray:
    """Float32 truncated to uint8 by way of int32; what is no int32 gives 0, as an x86 conversion does."""
    return np.where(np.abs(x) < np.float32(2**31), x, np.float32(0)).astype(np.int32).astype(np.uint8)


def half_away(x: np.ndarray) -> np.ndarray:
    """The nearest integer, halves away from zero (exactly: adding one half first would round twice)."""
    whole = np.trunc(x)
    return whole + np.copysign((np.abs(x - whole) >= np.float32(0.5)).astype(np.float32), x)


def reciprocal(x: np.ndarray) -> np.ndarray:
    """1/x, and 0 for 0."""
    return np.where(x != 0, np.float32(1) / x, np.float32(0))


def extreme(x: np.ndarray) -> np.ndarray:
    """Of each row the element of largest magnitude with its sign, the first one on ties; +0 if all are zeros."""
    largest = np.max(np.abs(x), axis=1, keepdims=True)
    return np.where(largest[:, 0] > 0, first_where(x, np.abs(x) == largest), np.float32(0))


def first_where(x: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Of each row the first element that is chosen (NumPy's argmin may take a later one of two zeros)."""
    return np.take_along_axis(x, np.argmax(chosen, axis=1)[:, None], axis=1)[:, 0]


def code_signed(x: np.ndarray, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """d = m / -N for the extreme m, and codes min(2N - 1, trunc(x (1/d) + N + 1/2))."""
    d = extreme(x) / np.float32(-levels)
    q = integer(x * reciprocal(d)[:, None] + np.float32(levels + 0.5))
    return d, np.minimum(q, np.uint8(2 * levels - 1))


def code_range(x: np.ndarray, levels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """d = (max - min) / N, min, and codes min(N, trunc((x - min) (1/d) + 1/2)); of two zeros the first one is taken."""
    low, high = (first_where(x, x == end(x, axis=1, keepdims=True)) for end in (np.min, np.max))
    d = (high - low) / np.float32(levels)
    q = integer((x - low[:, None]) * reciprocal(d)[:, None] + HALF)
    return d, low, np.minimum(q, np.uint8(levels))


def code_symmetric(x: np.ndarray, levels: int, zero: int) -> tuple[np.ndarray, np.ndarray]:
    """d = max|x| / N, and codes ``zero`` + the integer nearest to x (1/d), halves away from zero."""
    d = np.max(np.abs(x), axis=1) / np.float32(levels)
    return d, integer(half_away(x * reciprocal(d)[:, None])) + np.uint8(zero)


def nearest_integer(x: np.ndarray) -> np.ndarray:
    """The nearest integer, ties to even, for magnitudes below 2**22; the same 23 bits as ggml's beyond."""
    return ((x + TO_INTEGER).view(np.int32) & 0x7FFFFF) - 0x400000


def nearest_level(x: np.ndarray, low: int, high: int) -> np.ndarray:
    """The nearest integer from ``low`` to ``high``, as float32."""
    return np.clip(nearest_integer(x), low, high).astype(np.float32)


def total(x: np.ndarray) -> np.ndarray:
    """The sum of each row from left to right."""
    return np.cumsum(x, axis=1, dtype=np.float32)[:, -1]


def fit_affine(
    x: np.ndarray, w: np.ndarray, levels: int, start: float, tries: int, absolute: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scale, minus minimum, and codes 0 .. levels that lessen the sum of w (scale q + min - x)², or of w |scale q + min - x|.

    Codes are tried for the scales (max - min) / (levels + start + t / 10), t = 0 .. tries; for each the weighted least
    squares line through them is kept if its error is strictly less. A minimum that was kept holds for all later tries.
    """
    error = np.abs if absolute else np.square
    top = np.float32(levels)
    low, high = np.minimum(x.min(axis=1), ZERO), x.max(axis=1)
    spread = high != low
    scale = ONE / (top / (high - low))
    codes = nearest_level((top / (high - low))[:, None] * (x - low[:, None]), 0, levels)
    best = total(w * error(scale[:, None] * codes + low[:, None] - x))
    sum_w, sum_x = total(w), total(w * x)
    for t in range(tries + 1):
        step = (np.float32(start) + np.float32(0.1) * np.float32(t) + top) / (high - low)
        q = nearest_level(step[:, None] * (x - low[:, None]), 0, levels)
        sum_q, sum_qq, sum_qx = total(w * q), total(w * q * q), total(w * q * x)
        determinant = sum_w * sum_qq - sum_q * sum_q
        slope = (sum_w * sum_qx - sum_x * sum_q) / determinant
        offset = (sum_qq * sum_x - sum_q * sum_qx) / determinant
        slope, offset = np.where(offset > 0, sum_qx / sum_qq, slope), np.where(offset > 0, ZERO, offset)
        now = total(w * error(slope[:, None] * q + offset[:, None] - x))
        better = (determinant > 0) & (now < best)
        best, scale, low = np.where(better, now, best), np.where(better, slope, scale), np.where(better, offset, low)
        codes = np.where(better[:, None], q, codes)
    return np.where(spread, scale, ZERO), -low, np.where(spread[:, None], codes, ZERO)


def fit_symmetric(x: np.ndarray, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Scale, and codes -levels .. levels - 1 shifted to start at 0, by least squares weighted with x².

    Tried are the scales -m / (levels + t / 10) for the extreme m and t = 0, then -9 .. 9; kept is what makes
    (sum w x q)² / sum w q² larger.
    """
    m, w = extreme(x), x * x
    some = np.abs(m) >= TINY
    scale, best, codes = np.zeros_like(m), np.full_like(m, -np.inf), np.zeros_like(x)
    for t in (0, *range(-9, 0), *range(1, 10)):
        step = -(np.float32(levels) + np.float32(0.1) * np.float32(t)) / m
        q = nearest_level(step[:, None] * x, -levels, levels - 1)
        sum_qx, sum_qq = total(w * x * q), total(w * q * q)
        better = (sum_qq > 0) & (sum_qx * sum_qx > best * sum_qq) if t else np.ones(len(x), bool)
        fitted = np.where(sum_qq != 0, sum_qx / sum_qq, ZERO)
        scale, best = np.where(better, fitted, scale), np.where(better, fitted * sum_qx, best)
        codes = np.where(better[:, None], q + np.float32(levels), codes)
    return np.where(some, scale, ZERO), np.where(some[:, None], codes, ZERO)


def fit_by_coordinates(x: np.ndarray, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Scale, and codes -levels .. levels - 1 shifted to start at 0, by five sweeps over the codes.

    In turn each code moves to the best one given the others if that makes (sum w x q)² / sum w q² strictly larger, w = x².
    """
    m, w = extreme(x), x * x
    some = np.abs(m) >= TINY
    codes = nearest_level((np.float32(-levels) / m)[:, None] * x, -levels, levels - 1)
    sum_qx, sum_qq = total(w * x * codes), total(w * codes * codes)
    for _ in range(5):
        for i in range(x.shape[1]):
            q, wx, wi = codes[:, i], w[:, i] * x[:, i], w[:, i]
            rest_qx, rest_qq = sum_qx - wx * q, sum_qq - wi * q * q
            new = nearest_level(x[:, i] * rest_qq / rest_qx, -levels, levels - 1)
            new_qx, new_qq = rest_qx + wx * new, rest_qq + wi * new * new
            better = (rest_qx > 0) & (new != q) & (new_qq > 0)
            better &= new_qx * new_qx * sum_qq > sum_qx * sum_qx * new_qq
            codes[:, i] = np.where(better, new, q)
            sum_qx, sum_qq = np.where(better, new_qx, sum_qx), np.where(better, new_qq, sum_qq)
    scale = np.where(some & (sum_qq > 0), sum_qx / sum_qq, ZERO)
    return scale, np.where(some[:, None], codes + np.float32(levels), ZERO)


def nearest_entry(x: np.ndarray, table: np.ndarray) -> np.ndarray:
    """The index of the nearest entry of an ascending table, the upper one on ties (differences in float32)."""
    upper = np.clip(np.searchsorted(table, x, side="right"), 1, len(table) - 1)
    lower = upper - 1
    index = np.where(x - gathered(table, lower) < gathered(table, upper) - x, lower, upper)
    return np.where(x <= table[0], 0, index).astype(np.uint8)


def fit_table(x: np.ndarray, table: np.ndarray, tries: int) -> tuple[np.ndarray, np.ndarray]:
    """Scale, and indices into a table, by least squares weighted with x².

    The first codes are for the scale -m / table[0] (m / table[0] if there are no tries), m the extreme; then those for
    m / (table[0] + t), t = -tries .. tries, are taken where (sum w x v)² / sum w v² becomes larger. The indices that are
    returned belong to the fitted scale; without tries they are the first ones.
    """
    m, w = extreme(x), x * x
    some = np.abs(m) >= TINY
    first = ONE / (-m / table[0] if tries else m / table[0])
    scale, best = np.zeros_like(m), np.full_like(m, -np.inf)
    inverses = [first, *((np.float32(t) + table[0]) / m for t in range(-tries, tries + 1) if tries)]
    for number, inverse in enumerate(inverses):
        v = gathered(table, nearest_entry(inverse[:, None] * x, table))
        sum_vx, sum_vv = total(w * v * x), total(w * v * v)
        better = (sum_vv > 0) & (sum_vx * sum_vx > best * sum_vv) if number else np.ones(len(x), bool)
        fitted = np.where(sum_vv > 0, sum_vx / sum_vv, ZERO)
        scale, best = np.where(better, fitted, scale), np.where(better, fitted * sum_vx, best)
    scale = np.where(some, scale, ZERO)
    inverse = reciprocal(scale) if tries else np.where(some, first, ZERO)
    return scale, nearest_entry(inverse[:, None] * x, table)


def code_again(
    x: np.ndarray, offset: np.ndarray, scale: np.ndarray, first: np.ndarray, low: int, high: int
) -> np.ndarray:
    """Codes of (x + offset) / scale from ``low`` to ``high``, shifted to start at 0; the first ones where the scale is 0."""
    again = nearest_level((x + offset[:, None]) / scale[:, None], low, high) - np.float32(low)
    return np.where((scale != 0)[:, None], again, first).astype(np.uint8)
