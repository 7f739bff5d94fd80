"""Arrays that mask updates are judged on: those of masks, with a present mask, at steps at which the rule does something."""

from __future__ import annotations

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.oracle.inputs.cases import Cases
from refgrad.oracle.inputs.masks import FAMILIES
from refgrad.oracle.inputs.sizes import SHAPES, TILED, WHOLE, WHOLE_ROWS, Shapes, normal, taken
from refgrad.sparsity.dynamic import MaskUpdate

SHAPE = (12, 16)


def sizes(rule: MaskUpdate, dtype: np.dtype, seed: int, shapes: Shapes = None) -> Cases | None:
    """A case a shape that the rule takes, at the first step at which it does something."""
    t = rule.steps()[-1]

    def make(shape: tuple[int, ...], random: np.random.Generator) -> dict[str, np.ndarray]:
        kept = np.asarray(random.random(shape) < 0.5)
        others = {n: normal(random, shape, dtype) for n in rule.inputs}
        uniform = {n: np.asarray(random.random(shape)).astype(dtype) for n, w in rule.inputs.items() if w == "uniform"}
        made = {"w": normal(random, shape, dtype), "mask": kept, **others, **uniform}
        rule.after(dict(made), t)
        return {**made, "mask": kept.astype(dtype), "t": np.full(1, float(t))}

    return taken(make, shapes or (*SHAPES, *WHOLE, *WHOLE_ROWS, *TILED), seed)


def generate(rule: MaskUpdate, dtype: np.dtype, seed: int) -> Cases:
    """A case for each family of weights and step: the mask keeps about half, and is full or empty once each."""
    random = np.random.Generator(np.random.Philox(seed))
    facts, arrays, names = dtypes.format_of(dtype), [], []
    families = {n: draw for n, draw in FAMILIES.items() if "infinities" not in n and n != "ordinary"}
    for number, (name, draw) in enumerate(families.items()):
        for t in rule.steps():
            w = draw(random, SHAPE, facts)
            share = (0.0, 1.0)[number] if t == rule.steps()[0] and number < 2 else 0.5
            case = {"w": w, "mask": (random.random(SHAPE) < share) * 1.0}
            for other, what in rule.inputs.items():
                few = random.integers(0, 4, SHAPE) / 4 * random.choice([-1.0, 1.0], SHAPE)
                case[other] = (
                    random.random(SHAPE) if what == "uniform" else few if number % 2 else draw(random, SHAPE, facts)
                )
            case["t"] = np.full(1, float(t))
            arrays.append({n: dtypes.round_to(a, dtype).astype(dtype) if n != "t" else a for n, a in case.items()})
            names.append(f"{name}, t={t}")
    return Cases(arrays, names, seed)
