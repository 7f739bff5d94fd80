"""Extra inputs of a step, made up: numbers like the gradients of their leaf, related to them where that shows faults."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.rule import Extra

#: how the numbers of a leaf are drawn, by the leaf's name
Families = Mapping[str, Callable[[np.random.Generator, dtypes.Format, tuple[int, ...]], np.ndarray]]


def draw(
    extra: Extra,
    t: int,
    grads: Sequence[np.ndarray],
    names: Sequence[str],
    families: Families,
    random: np.random.Generator,
) -> Any:
    """The input of step ``t``: an array a leaf, shaped like its gradient, or one number."""
    facts = dtypes.format_of(grads[0].dtype)
    if extra.scalar:
        return NUMBERS[extra.kind](t, grads, random)
    found = []
    for leaf, g in enumerate(grads):
        family = families[names[leaf] if leaf < len(names) and names[leaf] in families else "normal"]
        values = ARRAYS[extra.kind](extra, g.astype(np.float64), family(random, facts, g.shape), random)
        small = extra.kind == "bits"
        found.append(np.asarray(values.astype(np.uint32) if small else clipped(values, facts)))
    return found


def clipped(values: np.ndarray, facts: dtypes.Format) -> np.ndarray:
    """Float64 values as finite numbers of a format."""
    return dtypes.round_to(np.clip(values, -facts.largest, facts.largest), facts.dtype).astype(facts.dtype)


def _gradient(extra: Extra, g: np.ndarray, fresh: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Another gradient; some entries are the first one's, nearly so, its negative, or zero."""
    kind = random.integers(0, 8, g.shape)
    choices = [fresh, g, -g, 0.0 * g, g * (1 + 2.0**-10), fresh, fresh, fresh]
    return np.choose(kind, choices)


def _curvature(extra: Extra, g: np.ndarray, fresh: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Mostly positive numbers of the size of gradients or of their squares; some are negative, zero or tiny."""
    kind = random.integers(0, 8, g.shape)
    with np.errstate(over="ignore", under="ignore"):
        square = fresh * fresh
    return np.choose(kind, [-abs(fresh), 0.0 * g, square * 2.0**-24, square, square, abs(fresh), abs(g), abs(fresh)])


def _noise(extra: Extra, g: np.ndarray, fresh: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Standard normal numbers, whatever the leaf; some are zero."""
    values = random.standard_normal(g.shape)
    values[random.random(g.shape) < 0.05] = 0.0
    return values


def _bits(extra: Extra, g: np.ndarray, fresh: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Whole numbers, the ends and the middle more often."""
    values = random.integers(0, 2**extra.bits, g.shape)
    half = 2 ** (extra.bits - 1)
    special = np.asarray([0, 1, 2**extra.bits - 1, half - 1, half, half + 1])
    return np.where(
        random.random(g.shape) < 0.25, random.choice(np.clip(special, 0, 2**extra.bits - 1), g.shape), values
    )


def _loss(t: int, grads: Sequence[np.ndarray], random: np.random.Generator) -> float:
    """A positive number of the working precision, ordinary or of the size of the gradients' square; later zero too."""
    square = sum(float(np.sum(np.square(np.clip(g.astype(np.float64), -1e15, 1e15)))) for g in grads)
    size = random.choice([1.0, square, 1e-3 * square, 0.0 if t > 4 else 1.0], p=[0.4, 0.25, 0.25, 0.1])
    value = np.asarray(size * np.exp2(random.uniform(-4.0, 4.0)))
    return float(dtypes.round_to(value, dtypes.working(grads[0].dtype)))


ARRAYS: Mapping[str, Callable[..., np.ndarray]] = {
    "gradient": _gradient,
    "curvature": _curvature,
    "noise": _noise,
    "bits": _bits,
}
NUMBERS: Mapping[str, Callable[..., float]] = {"loss": _loss}
