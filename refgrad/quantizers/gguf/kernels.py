"""The loops over groups compiled: the twins of the functions in `searches` and `layout`, the same bits from scalar code.

Written apart from those, element by element, so that the two forms check each other. Nothing is reordered or contracted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

F, I8 = np.float32, np.uint8
ZERO, ONE, HALF, TENTH = np.float32(0), np.float32(1), np.float32(0.5), np.float32(0.1)
TO_INTEGER = np.float32(1.5 * 2**23)
TINY = np.float32(1e-15)
WIDEST = np.float32(2**31)


def compiled(function: Any) -> Any:
    """The function, compiled when it is first called; kept on disk wherever a folder for that can be written."""
    options: Any = {"nogil": True, "error_model": "numpy", "fastmath": False}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # no folder can be written
        return njit(**options)(function)


@compiled
def _nearest(x, low, high):  # type: ignore[no-untyped-def]
    found = (np.int64(np.float32(x + TO_INTEGER).view(np.int32)) & 0x7FFFFF) - 0x400000
    return F(min(max(found, low), high))


@compiled
def _extreme(row):  # type: ignore[no-untyped-def]
    m = ZERO
    largest = ZERO
    for value in row:
        if abs(value) > largest:
            largest, m = abs(value), value
    return m


@compiled
def _integer(x):  # type: ignore[no-untyped-def]
    return I8(np.int32(x)) if abs(x) < WIDEST else I8(0)


@compiled
def _reciprocal(x):  # type: ignore[no-untyped-def]
    return ONE / x if x != ZERO else ZERO


@compiled
def code_signed(x, levels):  # type: ignore[no-untyped-def]
    """`searches.code_signed`."""
    scale, codes = np.empty(len(x), F), np.empty(x.shape, I8)
    middle, top = F(levels) + HALF, I8(2 * levels - 1)
    for b in range(len(x)):
        scale[b] = _extreme(x[b]) / F(-levels)
        inverse = _reciprocal(scale[b])
        for i in range(x.shape[1]):
            codes[b, i] = min(_integer(x[b, i] * inverse + middle), top)
    return scale, codes


@compiled
def code_range(x, levels):  # type: ignore[no-untyped-def]
    """`searches.code_range`."""
    scale, minimum, codes = np.empty(len(x), F), np.empty(len(x), F), np.empty(x.shape, I8)
    for b in range(len(x)):
        low = high = x[b, 0]
        for value in x[b]:
            if value < low:
                low = value
            if value > high:
                high = value
        scale[b], minimum[b] = (high - low) / F(levels), low
        inverse = _reciprocal(scale[b])
        for i in range(x.shape[1]):
            codes[b, i] = min(_integer((x[b, i] - low) * inverse + HALF), I8(levels))
    return scale, minimum, codes


@compiled
def code_symmetric(x, levels, zero):  # type: ignore[no-untyped-def]
    """`searches.code_symmetric`."""
    scale, codes = np.empty(len(x), F), np.empty(x.shape, I8)
    for b in range(len(x)):
        scale[b] = abs(_extreme(x[b])) / F(levels)
        inverse = _reciprocal(scale[b])
        for i in range(x.shape[1]):
            y = x[b, i] * inverse
            whole = np.trunc(y)
            if abs(y - whole) >= HALF:
                whole += ONE if y > ZERO else -ONE
            codes[b, i] = _integer(whole) + I8(zero)
    return scale, codes


@compiled
def fit_affine(x, w, levels, start, tries, absolute):  # type: ignore[no-untyped-def]
    """`searches.fit_affine`."""
    scales, minimums, codes = np.zeros(len(x), F), np.zeros(len(x), F), np.zeros(x.shape, F)
    trial = np.empty(x.shape[1], F)
    top = F(levels)
    for b in range(len(x)):
        row, weights, best_codes = x[b], w[b], codes[b]
        low = min(row.min(), ZERO)
        high = row.max()
        if high == low:
            minimums[b] = -low
            continue
        sum_w = sum_x = ZERO
        for i in range(len(row)):
            sum_w += weights[i]
            sum_x += weights[i] * row[i]
        step = top / (high - low)
        scale = ONE / step
        for i in range(len(row)):
            best_codes[i] = _nearest(step * (row[i] - low), 0, levels)
        best = _error(row, weights, best_codes, scale, low, absolute)
        for t in range(tries + 1):
            step = (F(start) + TENTH * F(t) + top) / (high - low)
            sum_q = sum_qq = sum_qx = ZERO
            for i in range(len(row)):
                q = _nearest(step * (row[i] - low), 0, levels)
                trial[i] = q
                wq = weights[i] * q
                sum_q += wq
                sum_qq += wq * q
                sum_qx += wq * row[i]
            determinant = sum_w * sum_qq - sum_q * sum_q
            if determinant > ZERO:
                slope = (sum_w * sum_qx - sum_x * sum_q) / determinant
                offset = (sum_qq * sum_x - sum_q * sum_qx) / determinant
                if offset > ZERO:
                    slope, offset = sum_qx / sum_qq, ZERO
                now = _error(row, weights, trial, slope, offset, absolute)
                if now < best:
                    best, scale, low = now, slope, offset
                    best_codes[:] = trial
        scales[b], minimums[b] = scale, -low
    return scales, minimums, codes


@compiled
def _error(row, weights, codes, scale, low, absolute):  # type: ignore[no-untyped-def]
    total = ZERO
    for i in range(len(row)):
        difference = scale * codes[i] + low - row[i]
        total += weights[i] * (abs(difference) if absolute else difference * difference)
    return total


@compiled
def fit_symmetric(x, levels):  # type: ignore[no-untyped-def]
    """`searches.fit_symmetric`."""
    scales, codes = np.zeros(len(x), F), np.zeros(x.shape, F)
    for b in range(len(x)):
        row = x[b]
        m = _extreme(row)
        if not abs(m) >= TINY:
            continue
        scale = best = best_step = ZERO
        for number in range(19):
            t = 0 if number == 0 else (number - 10 if number < 10 else number - 9)
            step = -(F(levels) + TENTH * F(t)) / m
            sum_qx = sum_qq = ZERO
            for value in row:
                q = _nearest(step * value, -levels, levels - 1)
                w = value * value
                sum_qx += w * value * q
                sum_qq += w * q * q
            if number == 0 or (sum_qq > ZERO and sum_qx * sum_qx > best * sum_qq):
                scale = sum_qx / sum_qq if sum_qq != ZERO else ZERO
                best, best_step = scale * sum_qx, step
        scales[b] = scale
        for i in range(len(row)):
            codes[b, i] = _nearest(best_step * row[i], -levels, levels - 1) + F(levels)
    return scales, codes


@compiled
def fit_by_coordinates(x, levels):  # type: ignore[no-untyped-def]
    """`searches.fit_by_coordinates`."""
    scales, codes = np.zeros(len(x), F), np.zeros(x.shape, F)
    for b in range(len(x)):
        row, q = x[b], codes[b]
        m = _extreme(row)
        if not abs(m) >= TINY:
            continue
        step = F(-levels) / m
        sum_qx = sum_qq = ZERO
        for i in range(len(row)):
            q[i] = _nearest(step * row[i], -levels, levels - 1)
            w = row[i] * row[i]
            sum_qx += w * row[i] * q[i]
            sum_qq += w * q[i] * q[i]
        for _ in range(5):
            changed = False
            for i in range(len(row)):
                w = row[i] * row[i]
                rest_qx = sum_qx - w * row[i] * q[i]
                if not rest_qx > ZERO:
                    continue
                rest_qq = sum_qq - w * q[i] * q[i]
                new = _nearest(row[i] * rest_qq / rest_qx, -levels, levels - 1)
                if new == q[i]:
                    continue
                rest_qx += w * row[i] * new
                rest_qq += w * new * new
                if rest_qq > ZERO and rest_qx * rest_qx * sum_qq > sum_qx * sum_qx * rest_qq:
                    q[i], sum_qx, sum_qq, changed = new, rest_qx, rest_qq, True
            if not changed:
                break
        scales[b] = sum_qx / sum_qq if sum_qq > ZERO else ZERO
        q += F(levels)
    return scales, codes


@compiled
def _entry(x, table):  # type: ignore[no-untyped-def]
    if x <= table[0]:
        return 0
    lower, upper = 0, len(table) - 1
    while upper - lower > 1:
        middle = (lower + upper) // 2
        if x < table[middle]:
            upper = middle
        else:
            lower = middle
    return lower if x - table[lower] < table[upper] - x else upper


@compiled
def fit_table(x, table, tries):  # type: ignore[no-untyped-def]
    """`searches.fit_table`."""
    scales, codes = np.zeros(len(x), F), np.empty(x.shape, I8)
    for b in range(len(x)):
        row = x[b]
        m = _extreme(row)
        scale = best = first = ZERO
        if abs(m) >= TINY:
            first = ONE / (-m / table[0] if tries else m / table[0])
            for number in range(2 * tries + 2 if tries else 1):
                step = first if number == 0 else (F(number - 1 - tries) + table[0]) / m
                sum_vx = sum_vv = ZERO
                for value in row:
                    v = table[_entry(step * value, table)]
                    w = value * value
                    sum_vx += w * v * value
                    sum_vv += w * v * v
                if number == 0 or (sum_vv > ZERO and sum_vx * sum_vx > best * sum_vv):
                    scale = sum_vx / sum_vv if sum_vv > ZERO else ZERO
                    best = scale * sum_vx
        scales[b] = scale
        step = _reciprocal(scale) if tries else first
        for i in range(len(row)):
            codes[b, i] = _entry(step * row[i], table)
    return scales, codes


@compiled
def code_again(x, offset, scale, first, low, high):  # type: ignore[no-untyped-def]
    """`searches.code_again`."""
    codes = np.empty(x.shape, I8)
    for b in range(len(x)):
        for i in range(x.shape[1]):
            if scale[b] != ZERO:
                codes[b, i] = I8(_nearest((x[b, i] + offset[b]) / scale[b], low, high) - F(low))
            else:
                codes[b, i] = I8(first[b, i])
    return codes


@compiled
def put_bits(field, table, blocks):  # type: ignore[no-untyped-def]
    """`layout.put_bits`."""
    for b in range(len(blocks)):
        for first, count, step, byte, width, shift, low in table:
            mask = (1 << width) - 1
            for i in range(count):
                blocks[b, byte + i] |= ((field[b, first + i * step] >> low) & mask) << shift


@compiled
def take_bits(blocks, table, field):  # type: ignore[no-untyped-def]
    """`layout.take_bits`."""
    for b in range(len(blocks)):
        for first, count, step, byte, width, shift, low in table:
            mask = (1 << width) - 1
            for i in range(count):
                field[b, first + i * step] |= ((blocks[b, byte + i] >> shift) & mask) << low
