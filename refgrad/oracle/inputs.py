"""The inputs that a candidate is driven with: seeded families that reach where wrong code shows, or the user's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.errors import ArgumentError, bad_argument
from refgrad.optimizers.base import Optimizer
from refgrad.oracle import decisions, matrix_inputs
from refgrad.tracing import free_values, plan_for

SHAPE = (64, 64)


@dataclass(frozen=True, eq=False)
class Inputs:
    """Parameters before the first step, and the gradients of each step.

    Attributes:
        p: one array a leaf, all of one float dtype.
        g: for each step, one array a leaf, shaped like the parameters.
        names: what each leaf is called in reports.
        seed: the seed that they were made from, if they were.
    """

    p: Sequence[np.ndarray]
    g: Sequence[Sequence[np.ndarray]]
    names: Sequence[str] = ()
    seed: int | None = None

    def __post_init__(self) -> None:
        if not self.p or not self.g:
            raise ArgumentError("inputs have no leaf or no step; legal: at least one of each")
        for step, grads in enumerate(self.g, 1):
            if [a.shape for a in grads] != [a.shape for a in self.p]:
                shapes = [a.shape for a in self.p]
                raise bad_argument(f"inputs.g[{step - 1}] shapes", [a.shape for a in grads], f"{shapes}, those of p")

    @classmethod
    def of(cls, p: Any, g: Any, dtype: Any = "float32") -> Inputs:
        """One leaf: ``p`` an array (or numbers, or hex strings), ``g`` a sequence with one like it for each step."""
        leaf = numbers(p, dtype)
        return cls([leaf], [[numbers(each, dtype).reshape(leaf.shape)] for each in g], [""])

    def name(self, leaf: int) -> str:
        """What a leaf is called."""
        return self.names[leaf] if leaf < len(self.names) else f"[{leaf}]"


def numbers(values: Any, dtype: Any) -> np.ndarray:
    """Numbers or hex strings, nested as they are, as an array of at least one axis; an array is cast."""
    if isinstance(values, np.ndarray):
        return values.astype(dtype)
    nested = np.atleast_1d(np.asarray(values, dtype=object))
    flat = [float.fromhex(v) if isinstance(v, str) else float(v) for v in nested.ravel()]
    return np.asarray(flat, dtype=np.float64).astype(dtype).reshape(nested.shape)


def generate(steps: int, dtype: Any, seed: int, rule: Optimizer | None = None) -> Inputs:
    """Three leaves of 4096 elements: ordinary numbers, numbers over many magnitudes, and the edges of the format.

    With a rule, some gradients of the first two leaves are aimed at its decisions (see `refgrad.oracle.decisions`); for one
    that multiplies matrices there are smaller leaves (see `refgrad.oracle.matrix_inputs`).
    """
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise bad_argument("steps", steps, "a whole number from 1")
    facts = dtypes.format_of(dtype)
    random = np.random.Generator(np.random.Philox(seed))
    if rule is not None and rule.plan((2, 2), 1).graph.matrix():
        return Inputs(*matrix_inputs.generate(steps, dtype, random), seed)
    families: dict[str, Callable[[], np.ndarray]] = {
        "normal": lambda: random.standard_normal(SHAPE),
        "scaled": lambda: _scaled(random, facts),
        "edges": lambda: _edges(random, facts),
    }
    p = [draw() for draw in families.values()]
    p[1][random.random(SHAPE) < 0.25] = 0.0  # a parameter of zero shows the update at full relative precision
    grads: list[list[np.ndarray]] = []
    for _ in range(steps):
        fresh = [draw() for draw in families.values()]
        if grads:
            for leaf, previous in enumerate(grads[-1][:2]):
                _relate(random, fresh[leaf], previous)
        grads.append(fresh)
    cast = lambda values: dtypes.round_to(np.clip(values, -facts.largest, facts.largest), dtype).astype(dtype)  # noqa: E731
    made = Inputs([cast(a) for a in p], [[cast(a) for a in each] for each in grads], list(families), seed)
    return made if rule is None else _aimed(made, rule, np.random.Generator(np.random.Philox([seed, 1])))


def _aimed(inputs: Inputs, rule: Optimizer, random: np.random.Generator) -> Inputs:
    """The same with gradients aimed at decisions, from the states that the rule itself goes through."""
    shape = inputs.p[0].shape
    if not any(decisions.decisions(rule.plan(shape, t)) for t in range(1, len(inputs.g) + 1)):
        return inputs
    grads = [list(each) for each in inputs.g]
    for leaf in range(2):
        p, state = inputs.p[leaf], rule.init(inputs.p[leaf])
        for t, each in enumerate(grads, 1):
            hosts = {"t": float(t), **{n: float(state[n]) for n, slot in rule.slots().items() if slot.host}}
            free = free_values(p.shape, hosts)
            plan = plan_for(rule, p.ndim, free)
            arrays = {"p": p, "g": each[leaf], **{n: state[n] for n, slot in rule.slots().items() if not slot.host}}
            each[leaf] = decisions.aim(plan, free, arrays, t, random)
            p, state = rule.step(p, each[leaf], state, backend="numpy")
    return Inputs(inputs.p, grads, inputs.names, inputs.seed)


def _scaled(random: np.random.Generator, facts: dtypes.Format) -> np.ndarray:
    """Signs and magnitudes spread over the exponents whose squares are normal numbers, and zeros."""
    low, high = np.log2(facts.smallest_normal) / 2 + 2, min(np.log2(facts.largest) / 2 - 2, 20.0)
    values = np.exp2(random.uniform(low, high, SHAPE)) * random.choice([-1.0, 1.0], SHAPE)
    values[random.random(SHAPE) < 0.05] = 0.0
    return values


def _edges(random: np.random.Generator, facts: dtypes.Format) -> np.ndarray:
    """Subnormals, both zeros, the smallest normal number, ones, and numbers with few bits."""
    special = [0.0, -0.0, facts.smallest_subnormal, facts.smallest_normal, 1.0, 1.0 + 2 * facts.unit_roundoff, 0.5]
    values = random.choice(special, SHAPE) * random.choice([-1.0, 1.0], SHAPE)
    subnormal = random.random(SHAPE) < 0.3
    values[subnormal] = facts.smallest_normal * random.uniform(-1.0, 1.0, SHAPE)[subnormal]
    return values


def _relate(random: np.random.Generator, fresh: np.ndarray, previous: np.ndarray) -> None:
    """Make some gradients repeat, vanish, or nearly cancel what came before."""
    kind = random.integers(0, 8, SHAPE)
    fresh[kind == 0] = previous[kind == 0]
    fresh[kind == 1] = -previous[kind == 1]
    fresh[kind == 2] = 0.0
    fresh[kind == 3] = -0.09 * previous[kind == 3]
