"""An implementation beside its rule for two dozen steps, both in float64: rates that vary, every number of axes, other numbers.

The oracle's comparison is exact, and of one step at a time by one setting. This one is loose, and goes where that one does not:
the learning rate is another at every step, parameters of no axis to three are updated together, every number that the
implementation can be told is moved off its default, and so it is run with all of its own defaults too.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from refgrad.candidates.arguments import for_rule, parameters_of
from refgrad.candidates.names import HYPERPARAMETERS, known_as
from refgrad.candidates.protocol import Run
from refgrad.candidates.resolve import load, resolve
from refgrad.optimizers.base import Optimizer
from refgrad.rule import Flag, Range, Whole
from refgrad.surveys.implementations import Implementation
from tests.optimizers.made_up import FORMS

STEPS = 24
Shapes = tuple[tuple[int, ...], ...]
SHAPES: Shapes = ((), (5,), (3, 4), (2, 3, 4))
#: of rules that go by axes, for packages that take matrices alone
MATRICES: Shapes = ((4, 7), (6, 4), (5, 5))
#: by what makes a row's own inputs, where an implementation does not take all shapes, or more than one parameter
SHAPES_OF: Mapping[str, Shapes] = {
    **dict.fromkeys(("matrices", "two_matrices", "large_matrices", "regular_matrices", "probed_matrices"), MATRICES),
    "one_leaf_with_extra_inputs": ((3, 4),),
}
#: by its target, before that
SHAPES_OF_TARGET: Mapping[str, Shapes] = {"optax.contrib:muon": SHAPES} | dict.fromkeys(
    ("pytorch_optimizer:Shampoo", "torch_optimizer:Shampoo"), ((5,), *MATRICES, (2, 3, 4))
)
#: what the learning rate is multiplied by, one step after the other
RATES = (1.0, 0.25, 0.25, 2.0, 1.0, 0.5, 0.125)
#: how far apart both may be, as a part of the largest number of a parameter
SLACK = 1e-9


#: the claim's numbers, others, and those that the implementation has by itself
CLAIM, OTHER, OWN = SETTINGS = ("the claim", "other numbers", "its own defaults")


def moved(rule: Optimizer, words: frozenset[str]) -> Optimizer:
    """The rule with each of some numbers a little off, towards the inside of what is legal."""
    changes: dict[str, Any] = {}
    for word, value in rule.numbers().items():
        legal = rule.range_of(word)
        if value and word in words and isinstance(legal, Range):  # zero says that something is off
            whole = value >= 2 and float(value).is_integer()
            changes[word] = (
                value + 1
                if whole
                else next((v for v in (0.8 * value + 0.01, 0.9 * value) if v in legal and v != value), value)
            )
    return rule.replace(**changes)


def rated(rule: Optimizer, factor: float) -> Optimizer:
    """The rule with its learning rate, or that of the rule that it wraps, multiplied."""
    words = [w for w in rule.numbers() if w == "lr" or w.endswith("inner_lr")]
    return rule.replace(**{w: factor * rule.numbers()[w] for w in words})


def shapes_of(row: Implementation) -> Shapes:
    """The shapes of the parameters that a row is run with."""
    return SHAPES_OF_TARGET.get(row.target, SHAPES_OF.get(row.inputs, SHAPES))


def inputs(seed: int, shapes: Shapes = SHAPES) -> Iterator[list[np.ndarray]]:
    """A parameter of each shape, and then gradients."""
    random = np.random.default_rng(seed)
    while True:
        yield [np.asarray(random.standard_normal(shape)) for shape in shapes]


def told(candidate: Any, rule: Optimizer) -> frozenset[str]:
    """The numbers of a rule that a torch optimizer, or a function of optax, is told."""
    return candidate.given(rule) if isinstance(candidate, Scheduled) else frozenset(candidate.takes(rule))


#: functions of optax whose learning rate is a number and no schedule
UNSCHEDULED = ("optax:rprop", "optax:sm3")


@dataclass(frozen=True)
class Scheduled:
    """A function of optax with the varying learning rates as its schedule."""

    target: str
    options: Mapping[str, Any]

    def given(self, rule: Optimizer) -> frozenset[str]:
        """The rule's numbers among the function's arguments."""
        takes = parameters_of(load(self.target))
        return frozenset(for_rule(takes, rule, self.options, self.target, built_in=True).given)

    def start(self, rule: Optimizer, p: list[np.ndarray]) -> Run:
        """The transformation with the rule's learning rate times `RATES`."""
        import jax.numpy as jnp

        lr = rule.numbers()["lr"]
        schedule = {"learning_rate": lambda count: lr * jnp.asarray(RATES)[count % len(RATES)]}
        return resolve(self.target, {**self.options, **schedule}).start(rule, p)


def vary(run: Any) -> Callable[[float], None] | None:
    """What multiplies a torch or Keras optimizer's learning rates, from their first values on; None if it has none."""
    optimizer = getattr(run, "_optimizer", None) or getattr(run, "optimizer", None)
    if type(optimizer).__module__.startswith("keras."):
        return functools.partial(_vary_keras, optimizer, float(optimizer.learning_rate))
    groups = getattr(optimizer, "param_groups", [])
    first = [group["lr"] for group in groups if "lr" in group]
    if not first or len(first) != len(groups):
        return None

    def multiply(factor: float) -> None:
        for group, lr in zip(groups, first, strict=True):
            group["lr"] = factor * lr

    return multiply


def _vary_keras(optimizer: Any, first: float, factor: float) -> None:
    optimizer.learning_rate = factor * first


#: what a learning rate is by default that has none: nothing, or torch's mark for it
REQUIRED = ("<required parameter>", repr(inspect.Parameter.empty))


class Unasked(Exception):
    """A setting that an implementation cannot be run with."""


def built(row: Implementation, setting: str) -> tuple[Any, Optimizer]:
    """The candidate and the rule of a setting."""
    rule = row.claim.replace(**row.variant)
    thing = row.candidate()
    if setting == OWN and row.package == "keras":
        return _own_keras(row)
    if setting == OWN:
        cls = load(thing) if isinstance(thing, str) else thing
        if not isinstance(cls, type):
            raise Unasked("a function, which is told all that it is told")
        if not all(isinstance(value, bool) for value in row.options.values()):
            raise Unasked("its options are numbers of the claim")
        asked = {"lr": row.claim.numbers()["lr"]} if repr(parameters_of(cls)["lr"].default) in REQUIRED else {}
        candidate = resolve(lambda params: cls(params, **asked, **row.options))
        return candidate, type(row.claim)(**{**_own_choices(row.claim, parameters_of(cls)), **row.variant})
    scheduled = row.package == "optax" and isinstance(thing, str) and "learning_rate" in parameters_of(load(thing))
    scheduled = scheduled and row.target not in UNSCHEDULED
    candidate = Scheduled(thing, row.options) if scheduled and "lr" in rule.numbers() else resolve(thing, row.options)
    return candidate, moved(rule, told(candidate, rule)) if setting == OTHER else rule


def _own_choices(claim: Optimizer, taken: Mapping[str, inspect.Parameter]) -> dict[str, Any]:
    """What is chosen of a rule, and whole numbers as the constructor has them; all other numbers are in the groups."""
    legal, found = claim.legal(), dict(claim.hyperparameters())
    for name in legal:
        key = known_as(name, HYPERPARAMETERS, taken)
        if isinstance(legal[name], Whole) and key is not None and isinstance(taken[key].default, int):
            found[name] = taken[key].default
    return {n: v for n, v in found.items() if n in legal and not isinstance(legal[n], Range | Flag)}


def _own_keras(row: Implementation) -> tuple[Any, Optimizer]:
    """A Keras class with all of its defaults, and the rule with the numbers that it says it has."""
    from refgrad.candidates.keras_optimizer import KerasOptimizer

    cls = load(row.target)
    config = cls(**row.options).get_config()
    numbers = {
        n: known_as(n, HYPERPARAMETERS, config) for n, legal in row.claim.legal().items() if isinstance(legal, Range)
    }
    own = {n: config[key] or 0.0 for n, key in numbers.items() if key is not None}
    candidate = KerasOptimizer(row.target, lambda rule: (cls(**row.options), []))
    return candidate, type(row.claim)(**{**own, **row.variant})


def extras(rule: Optimizer, g: list[np.ndarray]) -> dict[str, Any]:
    """What a rule takes besides the gradients, made from them."""
    made = {n: FORMS[extra.kind] for n, extra in rule.inputs().items()}
    return {n: make(g[0]) if rule.inputs()[n].scalar else [np.asarray(make(x)) for x in g] for n, make in made.items()}


def distance(row: Implementation, setting: str) -> dict[tuple[int, ...], float]:
    """How far apart both are at most, by the parameter's shape, in parts of its largest number."""
    candidate, rule = built(row, setting)
    shapes = shapes_of(row)
    source = inputs(3, shapes)
    p = next(source)
    run: Run = candidate.start(rule, p)
    rules = [run.rule_for(i, rule) for i in range(len(p))] if hasattr(run, "rule_for") else [rule]
    multiply, state = vary(run), rules[0].init(p)
    worst, overflowed = dict.fromkeys(shapes, 0.0), set[tuple[int, ...]]()
    for t in range(1, STEPS + 1):
        factor = RATES[(t - 1) % len(RATES)] if multiply is not None or isinstance(candidate, Scheduled) else 1.0
        if multiply is not None:
            multiply(factor)
        g = next(source)
        given = extras(rules[0], g)
        run.step([x.copy() for x in g], *([given] if given else []))
        p, state = rated(rules[0], factor).step(p, g, state, backend="numpy", **given)
        for shape, ours, theirs in zip(shapes, p, run.observe().params, strict=True):
            if shape not in overflowed:
                worst[shape] = max(worst[shape], gap(ours, theirs))
            if not np.isfinite(ours).any():  # alike, or the gap is infinite; what is made of infinities says no more
                overflowed.add(shape)
    return worst


def gap(ours: np.ndarray, theirs: np.ndarray) -> float:
    """How far apart two arrays are in parts of the largest number; what overflowed alike in both is no gap."""
    known = np.isfinite(ours) & np.isfinite(theirs)
    if not np.array_equal(ours[~known], theirs[~known], equal_nan=True):
        return np.inf
    size = max(1.0, float(np.max(np.abs(ours), where=known, initial=0.0)))
    return float(np.max(np.abs(ours - theirs) / size, where=known, initial=0.0))
