"""What CUDA kernels are tried on: rules that have one, with arrays for them, and what NumPy makes of these."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from refgrad.axes import ELEMENT
from refgrad.backends import numpy_backend
from refgrad.backends.cuda.run import program_of, run
from refgrad.backends.cuda.source import is_one_loop, why_not
from refgrad.backends.cuda.staged_source import copy_source
from refgrad.backends.source import KernelSource
from refgrad.estimators.base import Estimator
from refgrad.optimizers.base import Optimizer
from refgrad.rule import Rule, Slot, rules
from refgrad.tracing import Plan, free_values, plan_for
from tests.backends.covering import cover
from tests.backends.test_same_bits import adversarial

#: how a step's arrays are stored, by the name of a tier: ``p``, gradients and other inputs, and states
TIERS: dict[str, tuple[str, str, str]] = {
    "float32": ("float32", "float32", "float32"),
    "float64": ("float64", "float64", "float64"),
    "bfloat16": ("bfloat16", "bfloat16", "float32"),
    "float16": ("float16", "float16", "float16"),
    "float8": ("float8_e4m3fn", "float8_e5m2", "bfloat16"),
    "float64 and narrow": ("float64", "float16", "bfloat16"),
}
STEPS = (1, 3)
#: a vector and a matrix, as graphs may differ by the number of axes
SHAPES = ((1000,), (7, 31))


@cache
def covered() -> tuple[Rule, ...]:
    """The rules of which a CUDA kernel is printed, at their defaults and in their variants."""
    found: list[Rule] = []
    for room in (Optimizer, Estimator):
        for cls in rules(room).values():
            rule = cls()
            found += [each for each in (rule, *(v for _, v in rule.variants())) if has_kernel(each)]
    return tuple(dict.fromkeys(found))


def has_kernel(rule: Rule) -> bool:
    return all(why_not(plan(rule, t, shape).graph) is None for t in STEPS for shape in SHAPES)


def defaults() -> tuple[Rule, ...]:
    """Those at their defaults."""
    return tuple(rule for rule in covered() if rule == type(rule)())


def loops() -> tuple[Rule, ...]:
    """Those of one loop over the elements, at their defaults."""
    return tuple(rule for rule in defaults() if is_one_loop(plan(rule, 3).graph))


def staged() -> tuple[Rule, ...]:
    """Those with reductions, at their defaults."""
    return tuple(rule for rule in defaults() if not is_one_loop(plan(rule, 3).graph))


@cache
def few() -> tuple[Rule, ...]:
    """Some of them, in whose graphs every operation occurs that occurs in all of their graphs."""
    return tuple(cover(loops(), lambda rule: {(n.op, type(n.attribute)) for n in plan(rule, 3).graph.nodes}))


def values(rule: Rule, t: int) -> dict[str, float]:
    """The scalars of a step."""
    return {name: float(t) if name == "t" else 0.75 for name in rule.scalar_inputs()}


def plan(rule: Rule, t: int, shape: tuple[int, ...] = SHAPES[-1]) -> Plan:
    return plan_for(rule, len(shape), free_values(shape, values(rule, t)))


class Case(NamedTuple):
    """One run of a rule: its plan, the values of the plan's free names, and the arrays before it."""

    plan: Plan
    free: tuple[float, ...]
    arrays: dict[str, np.ndarray]

    def sources(self) -> tuple[KernelSource, ...]:
        """Its kernels, and those that copy between types."""
        made = program_of(self.plan, {name: a.dtype for name, a in self.arrays.items()})
        small = [
            a.dtype.name for name, a in self.arrays.items() if a.shape != self.arrays[self.plan.rule.primary].shape
        ]
        kind = str(made.sources[0].dtype)
        copies = [
            copy_source(*pair) for dtype in dict.fromkeys([*small, kind]) for pair in ((dtype, kind), (kind, dtype))
        ]
        return (*made.sources, *(copies if made.stages else ()))

    def source(self) -> KernelSource:
        """The one kernel that it has."""
        (only,) = self.sources()
        return only


def case(rule: Rule, tier: str, t: int, shape: tuple[int, ...], tame: bool = False) -> Case:
    """Arrays of all magnitudes, with infinities and NaN, or tame ones; what a rule says is not negative need not be."""
    random = np.random.default_rng(len(tier) + t)
    primary, other, state = TIERS[tier]
    found = plan(rule, t, shape)
    arrays = {}
    axes = {**rule.takes(), **rule.gives()}
    for name in dict.fromkeys([*rule.takes(), *found.graph.outputs]):
        own = Slot(axes=axes.get(name, ELEMENT)).shape(shape)
        dtype = primary if name == rule.primary else state if name in getattr(rule, "state", ()) else other
        wide = random.standard_normal(own).astype(np.float64 if dtype == "float64" else np.float32)
        if not tame:
            wild = adversarial(random, own, wide.dtype.type)
            wide = np.where(random.random(own) < 0.5, wide, wild)
        if not shape and name in rule.gives():  # without axes, a row's and a column's number are the same in every step
            wide = np.asarray(wide.dtype.type(0.5))
        with np.errstate(all="ignore"):
            arrays[name] = np.asarray(wide).astype(getattr(ml_dtypes, dtype, dtype))
    return Case(found, free_values(shape, values(rule, t)), arrays)


def literal(given: Case) -> dict[str, np.ndarray]:
    """What NumPy makes of a case: narrow arrays are widened, and rounded once at the end."""
    working = np.float64 if given.arrays[given.plan.rule.primary].dtype == np.float64 else np.float32
    with np.errstate(all="ignore"):
        wide = {name: a.astype(working) for name, a in given.arrays.items()}
        numpy_backend.run(given.plan, given.free, wide)
        return {name: wide[name].astype(given.arrays[name].dtype) for name in given.plan.graph.outputs}


def launched(given: Case, device: Any, get: Callable[[Any], np.ndarray] = np.asarray) -> dict[str, np.ndarray]:
    """What a device makes of a case; ``get`` brings an array back."""
    arrays = {name: device.put(a) for name, a in given.arrays.items()}
    run(given.plan, given.free, arrays, device)
    return {name: get(arrays[name]) for name in given.plan.graph.outputs}


def different(a: np.ndarray, b: np.ndarray) -> int:
    """How many elements differ in their bits, every NaN alike."""
    assert a.dtype == b.dtype
    assert a.shape == b.shape
    kind = f"u{a.dtype.itemsize}"
    with np.errstate(invalid="ignore"):  # of a signalling NaN
        unknown = np.isnan(a.astype(np.float64)) & np.isnan(b.astype(np.float64))
    return int(np.sum((a.view(kind) != b.view(kind)) & ~unknown))
