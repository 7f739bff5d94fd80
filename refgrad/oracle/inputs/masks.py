"""Arrays that masks are judged on: ordinary numbers, and those that hit ties, signs, zeros and NaN on purpose."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.errors import ArgumentError
from refgrad.oracle.inputs.cases import Cases
from refgrad.oracle.inputs.sizes import (
    DECIDED_AT_THE_END,
    DECIDED_IN_ROWS,
    MATRICES,
    ROWS_OF_BLOCKS,
    SHAPES,
    TILED,
    TILED_ROWS,
    WHOLE,
    WHOLE_BLOCKS,
    WHOLE_ROWS,
    Make,
    Shapes,
    normal,
    taken,
    with_large,
    with_more,
)
from refgrad.sparsity.base import Mask

#: more than a thousand elements in whole blocks
MANY_BLOCKS = (40, 32)


def generate(rule: Mask, dtype: np.dtype, seed: int) -> Cases:
    """A case a family, of the rule's example shape."""
    random = np.random.Generator(np.random.Philox(seed))
    shape, facts = rule.example_shape(), dtypes.format_of(dtype)
    leaves = []
    for name, draw in families(rule).items():
        w = _cast(draw(random, shape, facts), dtype)
        others = {n: _other(random, shape, rule.inputs.get(n, "signed")) for n in rule.takes() if n != "w"}
        if name in TIED:
            others = {n: _few(v) for n, v in others.items()}
        leaves.append({"w": w, **{n: _cast(v, dtype) for n, v in others.items()}})
    return Cases(leaves, list(families(rule)), seed)


def families(rule: Mask) -> Mapping[str, Draw]:
    """The families of weights that a rule is judged on; the second are around the small number that it adds, if it does."""
    if not rule.adds:
        return FAMILIES

    def around(random: np.random.Generator, shape: tuple[int, ...], facts: dtypes.Format) -> np.ndarray:
        return rule.adds * random.standard_normal(shape)

    first, *others = FAMILIES
    return {first: FAMILIES[first], f"around {rule.adds:g}": around, **{n: FAMILIES[n] for n in others}}


def sizes(rule: Mask, dtype: np.dtype, seed: int, shapes: Shapes = None) -> Cases | None:
    """A case a shape that the rule takes, of some; by default of those that its choice among entries asks for."""

    def make(shape: tuple[int, ...], random: np.random.Generator) -> dict[str, np.ndarray]:
        others = {n: _other(random, shape, rule.inputs.get(n, "signed")) for n in rule.takes() if n != "w"}
        made = {"w": normal(random, shape, dtype), **{n: _cast(np.asarray(v), dtype) for n, v in others.items()}}
        rule.mask(**made)
        return made

    if shapes:
        return taken(make, shapes, seed)
    flat = _flat(rule, make)
    many = (*SHAPES, *DECIDED_AT_THE_END) if flat else (*MATRICES, *DECIDED_IN_ROWS)
    found = with_large(taken(make, [*many, *ROWS_OF_BLOCKS, MANY_BLOCKS], seed), make, "w", seed)
    more = (*WHOLE, *WHOLE_ROWS, *WHOLE_BLOCKS, *TILED) if flat else (*WHOLE_ROWS, *WHOLE_BLOCKS, *TILED_ROWS)
    return with_more(found, make, more, seed)


def _flat(rule: Mask, make: Make) -> bool:
    """True if a rule selects among all entries, whatever their axes; which axes rows and units are, programs settle otherwise."""
    try:
        made = make((8, 8), np.random.Generator(np.random.Philox(0)))
        rows, flat = rule.mask(**made), rule.mask(**{n: a.reshape(-1) for n, a in made.items()})
    except (ArgumentError, ValueError):
        return False
    return bool((rows.reshape(-1) == flat.reshape(-1)).all())


def _cast(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return dtypes.round_to(values, dtype).astype(dtype)


def _other(random: np.random.Generator, shape: tuple[int, ...], what: str) -> np.ndarray:
    if what == "uniform":
        return random.random(shape)
    if what == "ones":
        return np.ones(shape)
    if what == "column":
        return random.random(shape[-1:]) * 4.0 + 0.125
    values = random.standard_normal(shape)
    if what == "wide":
        return 4.0 * values
    return np.abs(values) + 0.125 if what == "positive" else values


def _few(values: np.ndarray) -> np.ndarray:
    """Numbers of few magnitudes, none of them zero, so that scores that are made of them are equal too."""
    return np.where(values < 0, -1.0, 1.0) * np.clip(np.ceil(np.abs(values)), 1.0, 2.0)


def _signs(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return random.choice([-1.0, 1.0], shape)


def _scaled(random: np.random.Generator, shape: tuple[int, ...], facts: dtypes.Format) -> np.ndarray:
    low, high = np.log2(facts.smallest_normal) / 2, np.log2(facts.largest) / 2
    return np.exp2(random.uniform(low, high, shape)) * _signs(random, shape)


def _neighbours(random: np.random.Generator, shape: tuple[int, ...], facts: dtypes.Format) -> np.ndarray:
    """Numbers that differ by a few units in the last place."""
    return (1.0 + 2.0 * facts.unit_roundoff * random.integers(0, 8, shape)) * _signs(random, shape)


def _subnormals(random: np.random.Generator, shape: tuple[int, ...], facts: dtypes.Format) -> np.ndarray:
    return facts.smallest_subnormal * random.integers(0, 20, shape) * _signs(random, shape)


def _nan(random: np.random.Generator, shape: tuple[int, ...], facts: dtypes.Format) -> np.ndarray:
    values = random.standard_normal(shape)
    return np.where(random.random(shape) < 0.1, random.choice([np.nan, np.inf, -np.inf], shape), values)


def _infinite(random: np.random.Generator, shape: tuple[int, ...], facts: dtypes.Format) -> np.ndarray:
    """So few that most of what is added up has one at most."""
    values = random.standard_normal(shape)
    return np.where(random.random(shape) < 0.02, np.inf * np.sign(values), values)


Draw = Callable[[np.random.Generator, tuple[int, ...], dtypes.Format], np.ndarray]

#: families of weights of few magnitudes: what scores are made of besides has few, too
TIED = frozenset({"few magnitudes", "equal", "one magnitude, both signs"})
#: those that settle all come first, so that a call among the first that is wrong is seen to be
FAMILIES: Mapping[str, Draw] = {
    "normal": lambda random, shape, facts: random.standard_normal(shape),
    "neighbours": _neighbours,
    "ordinary": lambda random, shape, facts: random.standard_normal(shape),
    "scaled": _scaled,
    "few magnitudes": lambda random, shape, facts: random.integers(0, 4, shape) * _signs(random, shape),
    "equal": lambda random, shape, facts: np.ones(shape),
    "one magnitude, both signs": lambda random, shape, facts: _signs(random, shape),
    "zeros": lambda random, shape, facts: random.choice([0.0, 0.0, -0.0, 1.0], shape) * _signs(random, shape),
    "subnormals": _subnormals,
    "NaN and infinities": _nan,
    "few infinities": _infinite,
}
