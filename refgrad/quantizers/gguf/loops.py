"""The text of the loops over groups: what is done with one row, in the words of the kernels' language.

Written apart from the functions in `searches` and `layout`, element by element, so that the two forms check each other. Nothing
is reordered or contracted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

#: the shapes of a kernel's arrays: one number an element, a row or a byte of a block; a table for all; a row for each thread
ELEMENTS, ROWS, BLOCKS, TABLE, PIECES, SCRATCH = (
    "(rows, n)",
    "(rows,)",
    "(rows, size)",
    "(entries,)",
    "(entries, 7)",
    "(n,)",
)


class Loop(NamedTuple):
    """A loop over rows.

    Args:
        integers: what it takes besides the numbers of rows and of elements in each.
        arrays: name -> element type and shape, those of the words above.
        body: what is done with row ``b``.
        helpers: the functions that it calls, of `HELPERS`.
        scalars: names of float64 numbers.
    """

    integers: tuple[str, ...]
    arrays: Mapping[str, tuple[str, str]]
    body: str
    helpers: tuple[str, ...] = ()
    scalars: tuple[str, ...] = ()


#: the least or the largest number of a row; the first NaN if there is one
_END = """
def {name}(x, b, n):
    found = x[b, 0]
    if np.isnan(found):
        return found
    for i in range(np.uint64(1), n):
        if np.isnan(x[b, i]):
            return x[b, i]
        if x[b, i] {better} found:
            found = x[b, i]
    return found
"""
#: what is done with each byte of each piece of a block's bits
_PIECES = """
for piece in range(entries):
    first, count, step, byte = table[piece, 0], table[piece, 1], table[piece, 2], table[piece, 3]
    mask, shift, low = (1 << table[piece, 4]) - 1, table[piece, 5], table[piece, 6]
    for i in range(count):
        {}
"""

HELPERS: Mapping[str, str] = {
    "nearest": """
def nearest(x, low, high):
    bits = np.int32(np.float32(x + np.float32(1.5 * 2**23)).view(np.int32) & np.int32(0x7FFFFF))
    return np.float32(min(max(np.int32(bits - np.int32(0x400000)), np.int32(low)), np.int32(high)))
""",
    # by the bits, whose order is that of magnitudes, and which a processor compares many at a time; NaN is none
    "extreme": """
def extreme(x, b, n):
    largest = np.int32(0)
    for i in range(n):
        size = np.int32(np.float32(x[b, i]).view(np.int32) & np.int32(0x7FFFFFFF))
        largest = max(largest, size if size <= np.int32(0x7F800000) else np.int32(0))
    for i in range(n):
        if np.int32(np.float32(x[b, i]).view(np.int32) & np.int32(0x7FFFFFFF)) == largest and largest > np.int32(0):
            return x[b, i]
    return np.float32(0)
""",
    "least": _END.format(name="least", better="<"),
    "most": _END.format(name="most", better=">"),
    # from the bits of a float to a whole number in the order of floats, and back; of these a processor compares many at a time
    "order": """
def order(bits):
    return np.int32(bits ^ np.int32(np.int32(bits >> np.int32(31)) & np.int32(0x7FFFFFFF)))
""",
    "integer": """
def integer(x):
    return np.uint8(np.int32(x)) if abs(x) < np.float32(2**31) else np.uint8(0)
""",
    "reciprocal": """
def reciprocal(x):
    return np.float32(1) / x if x != np.float32(0) else np.float32(0)
""",
    "error": """
def error(x, w, b, codes, c, n, scale, low, absolute):
    total = np.float32(0)
    for i in range(n):
        difference = scale * codes[c, i] + low - x[b, i]
        total += w[b, i] * (abs(difference) if absolute else difference * difference)
    return total
""",
    "entry": """
def entry(x, table, entries):
    if x <= table[0]:
        return 0
    lower, upper = 0, entries - 1
    while upper - lower > 1:
        middle = (lower + upper) // 2
        if x < table[middle]:
            upper = middle
        else:
            lower = middle
    return lower if x - table[lower] < table[upper] - x else upper
""",
}

_FLOATS, _NUMBERS, _CODES = ("float32", ELEMENTS), ("float32", ROWS), ("uint8", ELEMENTS)

LOOPS: Mapping[str, Loop] = {
    "code_signed": Loop(
        ("levels",),
        {"x": _FLOATS, "scale": _NUMBERS, "codes": _CODES},
        """
middle, top = np.float32(levels) + half, np.uint8(2 * levels - 1)
scale[b] = extreme(x, b, n) / np.float32(-levels)
inverse = reciprocal(scale[b])
for i in range(n):
    codes[b, i] = min(integer(x[b, i] * inverse + middle), top)
""",
        ("extreme", "integer", "reciprocal"),
    ),
    "code_range": Loop(
        ("levels",),
        {"x": _FLOATS, "scale": _NUMBERS, "minimum": _NUMBERS, "codes": _CODES},
        """
least_place, most_place = np.int32(0x7FFFFFFF), np.int32(-0x7FFFFFFF)
for i in range(n):
    place = order(np.float32(x[b, i]).view(np.int32))
    least_place, most_place = min(least_place, place), max(most_place, place)
low, high = np.int32(order(least_place)).view(np.float32), np.int32(order(most_place)).view(np.float32)
if low == zero or high == zero:  # of two zeros the first one
    low = high = x[b, 0]
    for i in range(n):
        value = x[b, i]
        if value < low:
            low = value
        if value > high:
            high = value
scale[b], minimum[b] = (high - low) / np.float32(levels), low
inverse = reciprocal(scale[b])
for i in range(n):
    codes[b, i] = min(integer((x[b, i] - low) * inverse + half), np.uint8(levels))
""",
        ("integer", "reciprocal", "order"),
    ),
    "code_symmetric": Loop(
        ("levels", "zero_code"),
        {"x": _FLOATS, "scale": _NUMBERS, "codes": _CODES},
        """
scale[b] = abs(extreme(x, b, n)) / np.float32(levels)
inverse = reciprocal(scale[b])
for i in range(n):
    y = x[b, i] * inverse
    whole = np.trunc(y)
    if abs(y - whole) >= half:
        whole += one if y > zero else -one
    codes[b, i] = integer(whole) + np.uint8(zero_code)
""",
        ("extreme", "integer", "reciprocal"),
    ),
    "fit_affine": Loop(
        ("levels", "tries", "absolute"),
        {
            "x": _FLOATS,
            "w": _FLOATS,
            "scales": _NUMBERS,
            "minimums": _NUMBERS,
            "codes": _FLOATS,
            "trial": ("float32", SCRATCH),
        },
        """
top = np.float32(levels)
low, high = min(least(x, b, n), zero), most(x, b, n)
if high == low:
    minimums[b] = -low
    continue
sum_w = sum_x = zero
for i in range(n):
    sum_w += w[b, i]
    sum_x += w[b, i] * x[b, i]
step = top / (high - low)
scale = one / step
for i in range(n):
    codes[b, i] = nearest(step * (x[b, i] - low), 0, levels)
best = error(x, w, b, codes, b, n, scale, low, absolute != 0)
for t in range(tries + 1):
    step = (np.float32(start) + np.float32(0.1) * np.float32(t) + top) / (high - low)
    sum_q = sum_qq = sum_qx = zero
    for i in range(n):  # apart from the sums, whose order keeps a processor from doing many at a time
        trial[0, i] = nearest(step * (x[b, i] - low), 0, levels)
    for i in range(n):
        q = trial[0, i]
        wq = w[b, i] * q
        sum_q += wq
        sum_qq += wq * q
        sum_qx += wq * x[b, i]
    determinant = sum_w * sum_qq - sum_q * sum_q
    if determinant > zero:
        slope = (sum_w * sum_qx - sum_x * sum_q) / determinant
        offset = (sum_qq * sum_x - sum_q * sum_qx) / determinant
        if offset > zero:
            slope, offset = sum_qx / sum_qq, zero
        now = error(x, w, b, trial, np.uint64(0), n, slope, offset, absolute != 0)
        if now < best:
            best, scale, low = now, slope, offset
            for i in range(n):
                codes[b, i] = trial[0, i]
scales[b], minimums[b] = scale, -low
""",
        ("nearest", "least", "most", "error"),
        ("start",),
    ),
    "fit_symmetric": Loop(
        ("levels",),
        {"x": _FLOATS, "scales": _NUMBERS, "codes": _FLOATS},
        """
m = extreme(x, b, n)
if not abs(m) >= tiny:
    continue
scale = best = best_step = zero
for number in range(19):
    t = 0 if number == 0 else (number - 10 if number < 10 else number - 9)
    step = -(np.float32(levels) + np.float32(0.1) * np.float32(t)) / m
    sum_qx = sum_qq = zero
    for i in range(n):
        value = x[b, i]
        q = nearest(step * value, -levels, levels - 1)
        weight = value * value
        sum_qx += weight * value * q
        sum_qq += weight * q * q
    if number == 0 or (sum_qq > zero and sum_qx * sum_qx > best * sum_qq):
        scale = sum_qx / sum_qq if sum_qq != zero else zero
        best, best_step = scale * sum_qx, step
scales[b] = scale
for i in range(n):
    codes[b, i] = nearest(best_step * x[b, i], -levels, levels - 1) + np.float32(levels)
""",
        ("nearest", "extreme"),
    ),
    "fit_by_coordinates": Loop(
        ("levels",),
        {"x": _FLOATS, "scales": _NUMBERS, "codes": _FLOATS},
        """
m = extreme(x, b, n)
if not abs(m) >= tiny:
    continue
step = np.float32(-levels) / m
sum_qx = sum_qq = zero
for i in range(n):
    codes[b, i] = nearest(step * x[b, i], -levels, levels - 1)
    weight = x[b, i] * x[b, i]
    sum_qx += weight * x[b, i] * codes[b, i]
    sum_qq += weight * codes[b, i] * codes[b, i]
for _ in range(5):
    changed = False
    for i in range(n):
        weight = x[b, i] * x[b, i]
        rest_qx = sum_qx - weight * x[b, i] * codes[b, i]
        if not rest_qx > zero:
            continue
        rest_qq = sum_qq - weight * codes[b, i] * codes[b, i]
        new = nearest(x[b, i] * rest_qq / rest_qx, -levels, levels - 1)
        if new == codes[b, i]:
            continue
        rest_qx += weight * x[b, i] * new
        rest_qq += weight * new * new
        if rest_qq > zero and rest_qx * rest_qx * sum_qq > sum_qx * sum_qx * rest_qq:
            codes[b, i], sum_qx, sum_qq, changed = new, rest_qx, rest_qq, True
    if not changed:
        break
scales[b] = sum_qx / sum_qq if sum_qq > zero else zero
for i in range(n):
    codes[b, i] += np.float32(levels)
""",
        ("nearest", "extreme"),
    ),
    "fit_table": Loop(
        ("entries", "tries"),
        {"x": _FLOATS, "table": ("float32", TABLE), "scales": _NUMBERS, "codes": _CODES},
        """
m = extreme(x, b, n)
scale = best = first = zero
if abs(m) >= tiny:
    first = one / (-m / table[0] if tries else m / table[0])
    for number in range(2 * tries + 2 if tries else 1):
        step = first if number == 0 else (np.float32(number - 1 - tries) + table[0]) / m
        sum_vx = sum_vv = zero
        for i in range(n):
            value = x[b, i]
            v = table[entry(step * value, table, entries)]
            weight = value * value
            sum_vx += weight * v * value
            sum_vv += weight * v * v
        if number == 0 or (sum_vv > zero and sum_vx * sum_vx > best * sum_vv):
            scale = sum_vx / sum_vv if sum_vv > zero else zero
            best = scale * sum_vx
scales[b] = scale
step = reciprocal(scale) if tries else first
for i in range(n):
    codes[b, i] = entry(step * x[b, i], table, entries)
""",
        ("extreme", "entry", "reciprocal"),
    ),
    "code_again": Loop(
        ("low", "high"),
        {"x": _FLOATS, "offset": _NUMBERS, "scale": _NUMBERS, "first": _FLOATS, "codes": _CODES},
        """
for i in range(n):
    if scale[b] != zero:
        codes[b, i] = np.uint8(nearest((x[b, i] + offset[b]) / scale[b], low, high) - np.float32(low))
    else:
        codes[b, i] = np.uint8(first[b, i])
""",
        ("nearest",),
    ),
    "put_bits": Loop(
        ("entries", "size"),
        {"field": _CODES, "table": ("int64", PIECES), "blocks": ("uint8", BLOCKS)},
        _PIECES.format("blocks[b, byte + i] |= ((field[b, first + i * step] >> low) & mask) << shift"),
    ),
    "take_bits": Loop(
        ("entries", "size"),
        {"blocks": ("uint8", BLOCKS), "table": ("int64", PIECES), "field": _CODES},
        _PIECES.format("field[b, first + i * step] |= ((blocks[b, byte + i] >> shift) & mask) << low"),
    ),
}
