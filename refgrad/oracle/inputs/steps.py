"""The inputs that a candidate is driven with: seeded families that reach where wrong code shows, or the user's own."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.errors import ArgumentError, bad_argument
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.inputs import decision_boundaries, matrices
from refgrad.oracle.inputs import extras as extra_inputs
from refgrad.rule import Rule
from refgrad.tracing import free_values, plan_for

SHAPE = (64, 64)


#: the extra inputs of one step by name: a sequence with one array a leaf, or a number
StepExtras = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Inputs:
    """Parameters before the first step, and the gradients of each step.

    Attributes:
        p: one array a leaf, all of one float dtype.
        g: for each step, one array a leaf, shaped like the parameters.
        names: what each leaf is called in reports.
        seed: the seed that they were made from, if they were.
        extras: for each step the extra inputs of rules that have them, by name: one array a leaf, or a number.
    """

    p: Sequence[np.ndarray]
    g: Sequence[Sequence[np.ndarray]]
    names: Sequence[str] = ()
    seed: int | None = None
    extras: Sequence[StepExtras] = ()

    def __post_init__(self) -> None:
        if not self.p or not self.g:
            raise ArgumentError("inputs have no leaf or no step; legal: at least one of each")
        for step, grads in enumerate(self.g):
            self._check(f"g[{step}]", grads)
        if self.extras and len(self.extras) != len(self.g):
            raise bad_argument("len(inputs.extras)", len(self.extras), f"{len(self.g)}, one a step")
        for step, extras in enumerate(self.extras):
            for name, arrays in extras.items():
                if not isinstance(arrays, float | int):
                    self._check(f"extras[{step}][{name!r}]", arrays)

    def _check(self, name: str, arrays: Sequence[np.ndarray]) -> None:
        shapes = [a.shape for a in self.p]
        if [a.shape for a in arrays] != shapes:
            raise bad_argument(f"inputs.{name} shapes", [a.shape for a in arrays], f"{shapes}, those of p")

    @classmethod
    def of(cls, p: Any, g: Any, dtype: Any = "float32", **extras: Any) -> Inputs:
        """One leaf: ``p`` an array (or numbers, or hex strings), ``g`` a sequence with one like it for each step.

        So are the rule's extra inputs, by name; of one that is a number (the loss), a sequence of numbers.
        """
        leaf = numbers(p, dtype)
        each = [dict(zip(extras, step, strict=True)) for step in zip(*extras.values(), strict=True)]
        steps = [{n: _extra(v, dtype, leaf.shape) for n, v in step.items()} for step in each]
        return cls([leaf], [[numbers(each, dtype).reshape(leaf.shape)] for each in g], [""], extras=steps)

    def name(self, leaf: int) -> str:
        """What a leaf is called."""
        return self.names[leaf] if leaf < len(self.names) else f"[{leaf}]"

    def given(self, step: int) -> StepExtras:
        """The extra inputs of a step, counted from 1."""
        return self.extras[step - 1] if self.extras else {}

    def of_leaf(self, step: int, leaf: int, rule: Optimizer) -> tuple[dict[str, np.ndarray], dict[str, float]]:
        """The extra inputs that a rule takes of one leaf, arrays and numbers; `ArgumentError` if one is not there."""
        wanted = rule.inputs()
        if not wanted:
            return {}, {}
        given = self.given(step)
        missing = [n for n in wanted if n not in given]
        if missing:
            raise ArgumentError(f"inputs.extras has no {missing[0]!r}, which {type(rule).__name__}'s step takes")
        arrays = {n: given[n][leaf] for n, extra in wanted.items() if not extra.scalar}
        return arrays, {n: float(given[n]) for n, extra in wanted.items() if extra.scalar}

    def mapped(self, change: Callable[[np.ndarray], np.ndarray], leaves: slice | None = None) -> Inputs:
        """The same with every array changed, of some leaves."""
        own = slice(None) if leaves is None else leaves
        row = lambda arrays: [change(a) for a in arrays[own]]  # noqa: E731
        extras = [{n: v if isinstance(v, float | int) else row(v) for n, v in step.items()} for step in self.extras]
        return Inputs(row(self.p), [row(g) for g in self.g], self.names[own], self.seed, extras)

    def leaves(self, keeps: Callable[[str, np.ndarray], bool]) -> Inputs:
        """The same with the leaves of which a function of name and parameter says so."""
        own = [i for i, p in enumerate(self.p) if keeps(self.name(i), p)]
        row = lambda arrays: [arrays[i] for i in own]  # noqa: E731
        extras = [{n: v if isinstance(v, float | int) else row(v) for n, v in step.items()} for step in self.extras]
        return Inputs(row(self.p), [row(g) for g in self.g], [self.name(i) for i in own], self.seed, extras)

    def steps(self, chosen: slice | Sequence[int]) -> Inputs:
        """The same with some of the steps."""
        at = range(len(self.g))[chosen] if isinstance(chosen, slice) else chosen
        extras = [self.extras[i] for i in at] if self.extras else ()
        return Inputs(self.p, [self.g[i] for i in at], self.names, None, extras)


def _extra(value: Any, dtype: Any, shape: tuple[int, ...]) -> Any:
    """One extra input of one leaf: numbers shaped like it, or one number."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "u":
        return [value.reshape(shape)]
    if isinstance(value, str | float | int) or np.ndim(value) == 0:
        return float.fromhex(value) if isinstance(value, str) else float(value)
    return [numbers(value, dtype).reshape(shape)]


def numbers(values: Any, dtype: Any) -> np.ndarray:
    """Numbers or hex strings, nested as they are, as an array of at least one axis; an array is cast."""
    if isinstance(values, np.ndarray):
        return values.astype(dtype)
    nested = np.atleast_1d(np.asarray(values, dtype=object))
    flat = [float.fromhex(v) if isinstance(v, str) else float(v) for v in nested.ravel()]
    return np.asarray(flat, dtype=np.float64).astype(dtype).reshape(nested.shape)


def generate(steps: int, dtype: Any, seed: int, rule: Optimizer | None = None) -> Inputs:
    """Three leaves of 4096 elements: ordinary numbers, numbers over many magnitudes, and the edges of the format.

    With a rule, its extra inputs are made too, and some gradients of the first two leaves are aimed at its decisions
    (see `decision_boundaries`); for one that multiplies matrices there are smaller leaves (see `matrices`), and for one with
    an eps beside a norm two more, which are small as a whole (see `small_leaves`).
    """
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise bad_argument("steps", steps, "a whole number from 1")
    facts = dtypes.format_of(dtype)
    random = np.random.Generator(np.random.Philox(seed))
    if rule is not None and rule.plan((2, 2), 1).graph.matrix():
        return completed(Inputs(*matrices.generate(steps, dtype, random), seed), rule)
    p = [draw(random, facts, SHAPE) for draw in FAMILIES.values()]
    p[1][random.random(SHAPE) < 0.25] = 0.0  # a parameter of zero shows the update at full relative precision
    grads: list[list[np.ndarray]] = []
    for _ in range(steps):
        fresh = [draw(random, facts, SHAPE) for draw in FAMILIES.values()]
        if grads:
            for leaf, previous in enumerate(grads[-1][:2]):
                _relate(random, fresh[leaf], previous)
        grads.append(fresh)
    cast = lambda values: clipped(values, facts)  # noqa: E731
    made = Inputs([cast(a) for a in p], [[cast(a) for a in each] for each in grads], list(FAMILIES), seed)
    if rule is None:
        return made
    made = completed(small_leaves(made, rule), rule)
    return _aimed(made, rule, np.random.Generator(np.random.Philox([seed, 1])))


def epsilons(rule: Rule) -> list[float]:
    """The small numbers that keep a rule from dividing by zero, those of a nested rule too."""
    return [v for n, v in rule.numbers().items() if v > 0 and any(part.startswith("eps") for part in n.split("_"))]


def small_leaves(inputs: Inputs, rule: Optimizer) -> Inputs:
    """The same with two more leaves for a rule that reduces and has an eps: of the size of eps, and of its root.

    A norm, a variance or a maximum is small only where all its elements are: an eps beside it can be seen there alone. Each row
    has a size of its own, and a rule's several eps take turns.
    """
    facts = dtypes.format_of(inputs.p[0].dtype)
    found = [v for v in epsilons(rule) if v * 2.0**SMALLEST > facts.smallest_normal]
    if not found or not rule.plan((2, 2), 1).graph.couples():
        return inputs
    random = np.random.Generator(np.random.Philox([inputs.seed or 0, 2]))
    p, grads, names = list(inputs.p), [list(each) for each in inputs.g], list(inputs.names)
    for name, power in SMALL.items():
        rows = np.resize(found, (SMALL_SHAPE[0], 1)) ** power * np.exp2(
            random.uniform(SMALLEST, 0, (SMALL_SHAPE[0], 1))
        )
        fresh = lambda rows=rows: clipped(rows * random.standard_normal(SMALL_SHAPE), facts)  # noqa: E731
        p.append(fresh())
        for each in grads:
            each.append(fresh())
        names.append(name)
    return Inputs(p, grads, names, inputs.seed)


def clipped(values: np.ndarray, facts: dtypes.Format) -> np.ndarray:
    """Float64 values as finite numbers of a format."""
    return dtypes.round_to(np.clip(values, -facts.largest, facts.largest), facts.dtype).astype(facts.dtype)


def completed(inputs: Inputs, rule: Optimizer) -> Inputs:
    """The same with the extra inputs that a rule takes and that are not there, made from the seed and their names."""
    missing = {n: extra for n, extra in rule.inputs().items() if n not in inputs.given(1)}
    if not missing:
        return inputs
    steps: list[dict[str, Any]] = [dict(inputs.given(t)) for t in range(1, len(inputs.g) + 1)]
    for name, extra in missing.items():
        random = np.random.Generator(np.random.Philox([inputs.seed or 0, zlib.crc32(name.encode())]))
        for t, (made, grads) in enumerate(zip(steps, inputs.g, strict=True), 1):
            made[name] = extra_inputs.draw(extra, t, grads, inputs.names, FAMILIES, random)
    return dataclasses.replace(inputs, extras=steps)


def _aimed(inputs: Inputs, rule: Optimizer, random: np.random.Generator) -> Inputs:
    """The same with gradients aimed at decisions, from the states that the rule itself goes through."""
    shape = inputs.p[0].shape
    if not any(decision_boundaries.decisions(rule.plan(shape, t)) for t in range(1, len(inputs.g) + 1)):
        return inputs
    grads = [list(each) for each in inputs.g]
    for leaf in range(2):
        p, state = inputs.p[leaf], rule.init(inputs.p[leaf])
        for t, each in enumerate(grads, 1):
            extras, given = inputs.of_leaf(t, leaf, rule)
            both: dict[str, Any] = {**extras, **given}
            scalar_values = {
                "t": float(t),
                **{n: float(state[n]) for n, slot in rule.slots().items() if slot.scalar},
                **given,
            }
            free = free_values(p.shape, scalar_values)
            plan = plan_for(rule, p.ndim, free)
            arrays = {"p": p, "g": each[leaf], **{n: state[n] for n, slot in rule.slots().items() if not slot.scalar}}
            each[leaf] = decision_boundaries.aim(plan, free, {**arrays, **extras}, t, random)
            p, state = rule.step(p, each[leaf], state, backend="numpy", **both)
    return dataclasses.replace(inputs, g=grads)


def _normal(random: np.random.Generator, facts: dtypes.Format, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal numbers."""
    return random.standard_normal(shape)


def _scaled(random: np.random.Generator, facts: dtypes.Format, shape: tuple[int, ...]) -> np.ndarray:
    """Signs and magnitudes spread over the exponents whose squares are normal numbers, and zeros."""
    low, high = np.log2(facts.smallest_normal) / 2 + 2, min(np.log2(facts.largest) / 2 - 2, 20.0)
    values = np.exp2(random.uniform(low, high, shape)) * random.choice([-1.0, 1.0], shape)
    values[random.random(shape) < 0.05] = 0.0
    return values


def _edges(random: np.random.Generator, facts: dtypes.Format, shape: tuple[int, ...]) -> np.ndarray:
    """Subnormals, both zeros, the smallest normal number, ones, and numbers with few bits."""
    special = [0.0, -0.0, facts.smallest_subnormal, facts.smallest_normal, 1.0, 1.0 + 2 * facts.unit_roundoff, 0.5]
    values = random.choice(special, shape) * random.choice([-1.0, 1.0], shape)
    subnormal = random.random(shape) < 0.3
    values[subnormal] = facts.smallest_normal * random.uniform(-1.0, 1.0, shape)[subnormal]
    return values


#: leaves that are small as a whole: their size is this power of a rule's eps, times two to the power of 0 down to `SMALLEST`
SMALL, SMALL_SHAPE, SMALLEST = {"eps": 1.0, "root of eps": 0.5}, (16, 64), -8
#: what the numbers of each leaf are like
FAMILIES = {"normal": _normal, "scaled": _scaled, "edges": _edges}


def _relate(random: np.random.Generator, fresh: np.ndarray, previous: np.ndarray) -> None:
    """Make some gradients repeat, vanish, or nearly cancel what came before."""
    kind = random.integers(0, 8, SHAPE)
    fresh[kind == 0] = previous[kind == 0]
    fresh[kind == 1] = -previous[kind == 1]
    fresh[kind == 2] = 0.0
    fresh[kind == 3] = -0.09 * previous[kind == 3]
