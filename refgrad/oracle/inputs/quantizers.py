"""Arrays that a quantizer is judged on: ordinary ones, and those on which ties, boundaries and scales decide."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.errors import ArgumentError
from refgrad.oracle.inputs.cases import Cases
from refgrad.oracle.inputs.sizes import (
    BLOCKS,
    DECIDED_AT_THE_END,
    MODERATE,
    SHAPES,
    SMALL,
    TILED,
    WHOLE,
    WHOLE_BLOCKS,
    WHOLE_ROWS,
    WHOLE_SMALL,
    WHOLE_WIDE,
    WIDTHS,
    Shapes,
    normal,
    taken,
    with_large,
    with_more,
)
from refgrad.quantizers.base import Quantizer

SHAPE = (24, 256)


def generate(rule: Quantizer, dtype: np.dtype, seed: int) -> Cases:
    """One case a family that the rule takes; all numbers are finite."""
    random = np.random.Generator(np.random.Philox(seed))
    facts = dtypes.format_of(dtype)
    normal = random.standard_normal(SHAPE)
    families = {
        "normal": normal,
        "wide": normal * np.exp2(random.uniform(-40, 40, SHAPE)),
        "ties": _ties(random),
        "powers of two": _powers(random, facts),
        "midpoints": _midpoints(rule, normal, dtype),
        "constant rows": np.repeat(random.standard_normal((SHAPE[0], 1)), SHAPE[1], axis=1),
        "zeros": np.zeros((2, SHAPE[1])),
        "subnormal": facts.smallest_normal * random.uniform(-1, 1, (4, SHAPE[1])),
        "a tail": random.standard_normal(1013),
        "one element": random.standard_normal(1),
        "above zero": np.abs(normal[:4]) + 0.5,
        "below zero": -np.abs(normal[4:8]) - 0.5,
    }
    tied = rule.tied(random, SHAPE)
    if tied is not None:
        families["ties of the rule"] = tied
    families["one large"] = _one_large(random)
    if rule.nonnegative:
        families = {name: np.abs(x) for name, x in families.items()}
    largest = facts.largest / 2
    cast = [dtypes.round_to(np.clip(x, -largest, largest), dtype).astype(dtype) for x in families.values()]
    kept = [(name, x) for name, x in zip(families, cast, strict=True) if _takes(rule, x)]
    return Cases([{"x": x, **rule.besides(x, random)} for _, x in kept], [name for name, _ in kept], seed)


def sizes(rule: Quantizer, dtype: np.dtype, seed: int, large: bool, shapes: Shapes = None) -> Cases | None:
    """A case a shape that the rule takes, tails of groups among them; large ones only where the rule does not search."""

    def make(shape: tuple[int, ...], random: np.random.Generator) -> dict[str, np.ndarray]:
        x = normal(random, shape, dtype)
        x = np.abs(x) if rule.nonnegative else x
        made = {"x": x, **rule.besides(x, random)}
        rule.quantize(**made)
        return made

    own = (
        SMALL
        if _squares(rule, dtype)
        else (*SHAPES, *DECIDED_AT_THE_END)
        if large
        else (*MODERATE, DECIDED_AT_THE_END[0])
    )
    if shapes:
        return taken(make, shapes, seed)
    found = taken(make, [*own, *BLOCKS], seed)
    found = with_large(found, make, "x", seed) if large else found
    whole: Sequence[tuple[int, ...]] = (*WHOLE, *WHOLE_ROWS, *WHOLE_BLOCKS, *WHOLE_WIDE, *TILED)
    if own is SMALL:
        whole = WHOLE_SMALL
    elif not large:
        whole = tuple(shape for shape in whole if math.prod(shape) <= max(WIDTHS))
    return with_more(found, make, whole, seed)


def _squares(rule: Quantizer, dtype: np.dtype) -> bool:
    """True if a rule takes more numbers besides an array than that has, such as a matrix of second moments."""
    x = np.ones((2, 64), dtype)
    try:
        besides = rule.besides(x, np.random.Generator(np.random.Philox(0)))
    except ArgumentError:
        return False
    return any(a.size > x.size for a in besides.values())


def _takes(rule: Quantizer, x: np.ndarray) -> bool:
    """True if a rule takes an array; one of blocks, or of matrices, refuses some shapes."""
    try:
        rule.quantize(x)
    except ArgumentError:
        return False
    return True


def _one_large(random: np.random.Generator) -> np.ndarray:
    """A row in which one entry is far larger than all others."""
    x = random.standard_normal((1, SHAPE[1]))
    x[0, random.integers(0, SHAPE[1])] = 2.0 ** float(random.integers(12, 20))
    return x


def _ties(random: np.random.Generator) -> np.ndarray:
    """Multiples of a sixteenth of a power of two, which is the largest magnitude of each stretch of 16."""
    x = random.integers(-128, 129, SHAPE) / 128.0 * np.exp2(random.integers(-6, 7, (SHAPE[0], 1)).astype(float))
    x[:, ::16] = np.exp2(np.ceil(np.log2(np.abs(x).max(axis=1, keepdims=True))))
    return x


def _powers(random: np.random.Generator, facts: dtypes.Format) -> np.ndarray:
    """Powers of two, their neighbours in the format, and zeros of both signs."""
    power = np.exp2(random.integers(-20, 21, SHAPE).astype(float))
    nearby = power * (
        1 + facts.unit_roundoff * random.integers(-1, 2, SHAPE) * np.where(random.random(SHAPE) < 0.5, 2, 1)
    )
    return nearby * random.choice([-1.0, 1.0, 0.0, -0.0], SHAPE)


def _midpoints(rule: Quantizer, x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """What lies between neighbours among the numbers that the rule itself can give, with the largest magnitudes kept."""
    x = np.abs(x) if rule.nonnegative else x
    x = x.astype(dtype)
    back = np.sort(rule.round_trip(x).astype(np.float64), axis=None)
    back = np.unique(back[np.isfinite(back)])
    if back.size < 2:
        return x.astype(np.float64)
    middle = (back[1:] + back[:-1]) / 2
    at = np.searchsorted(middle, x.astype(np.float64))
    found = middle[np.minimum(at, middle.size - 1)]
    keep = np.abs(x) >= np.abs(x).max(axis=-1, keepdims=True) * 0.999
    return np.where(keep, x.astype(np.float64), found)
