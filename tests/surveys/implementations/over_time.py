"""An implementation beside its rule for two dozen steps, both in float64: rates that vary, every number of axes, other numbers.

The oracle's comparison is exact, and of one step at a time by one setting. This one is loose, and goes where that one does not:
the learning rate is another at every step, parameters of no axis to three are updated together, every number that the
implementation can be told is moved off its default, and so it is run with all of its own defaults too.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from refgrad.candidates.arguments import for_rule, parameters_of
from refgrad.candidates.protocol import Run
from refgrad.candidates.resolve import load, resolve
from refgrad.optimizers.base import Optimizer
from refgrad.rule import Flag, Range
from refgrad.surveys.implementations import Implementation
from tests.optimizers.made_up import FORMS

STEPS = 24
SHAPES: tuple[tuple[int, ...], ...] = ((), (5,), (3, 4), (2, 3, 4))
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


def inputs(seed: int) -> Iterator[list[np.ndarray]]:
    """A parameter of each shape, and then gradients."""
    random = np.random.default_rng(seed)
    while True:
        yield [np.asarray(random.standard_normal(shape)) for shape in SHAPES]


def told(candidate: Any, rule: Optimizer) -> frozenset[str]:
    """The numbers of a rule that a torch optimizer, or a function of optax, is told."""
    if isinstance(candidate, Scheduled):
        return candidate.given(rule)
    given = getattr(candidate.start(rule, next(inputs(0))), "_told", None)
    return frozenset(given.given if given is not None else ())


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
    """What multiplies a torch optimizer's learning rates, from their first values on; None if it has none in its groups."""
    groups = getattr(getattr(run, "_optimizer", None), "param_groups", [])
    first = [group["lr"] for group in groups if "lr" in group]
    if not first or len(first) != len(groups):
        return None

    def multiply(factor: float) -> None:
        for group, lr in zip(groups, first, strict=True):
            group["lr"] = factor * lr

    return multiply


#: what a learning rate is by default that has none: nothing, or torch's mark for it
REQUIRED = ("<required parameter>", repr(inspect.Parameter.empty))


class Unasked(Exception):
    """A setting that an implementation cannot be run with."""


def built(row: Implementation, setting: str) -> tuple[Any, Optimizer]:
    """The candidate and the rule of a setting."""
    rule = row.claim.replace(**row.variant)
    thing = row.candidate()
    if setting == OWN:
        cls = load(thing) if isinstance(thing, str) else thing
        if not isinstance(cls, type):
            raise Unasked("a function, which is told all that it is told")
        if not all(isinstance(value, bool) for value in row.options.values()):
            raise Unasked("its options are numbers of the claim")
        asked = {"lr": row.claim.numbers()["lr"]} if repr(parameters_of(cls)["lr"].default) in REQUIRED else {}
        candidate = resolve(lambda params: cls(params, **asked, **row.options))
        legal, value = row.claim.legal(), row.claim.hyperparameters()
        chosen = {n: value[n] for n in legal if not isinstance(legal[n], Range | Flag)}  # numbers the groups tell
        return candidate, type(row.claim)(**{**chosen, **row.variant})
    scheduled = row.package == "optax" and isinstance(thing, str) and "learning_rate" in parameters_of(load(thing))
    scheduled = scheduled and row.target not in UNSCHEDULED
    candidate = Scheduled(thing, row.options) if scheduled and "lr" in rule.numbers() else resolve(thing, row.options)
    return candidate, moved(rule, told(candidate, rule)) if setting == OTHER else rule


def extras(rule: Optimizer, g: list[np.ndarray]) -> dict[str, Any]:
    """What a rule takes besides the gradients, made from them."""
    made = {n: FORMS[extra.kind] for n, extra in rule.inputs().items()}
    return {n: make(g[0]) if rule.inputs()[n].scalar else [make(x) for x in g] for n, make in made.items()}


def distance(row: Implementation, setting: str) -> dict[tuple[int, ...], float]:
    """How far apart both are at most, by the parameter's shape, in parts of its largest number."""
    candidate, rule = built(row, setting)
    source = inputs(3)
    p = next(source)
    run: Run = candidate.start(rule, p)
    rules = [run.rule_for(i, rule) for i in range(len(p))] if hasattr(run, "rule_for") else [rule]
    multiply, state = vary(run), rules[0].init(p)
    worst = dict.fromkeys(SHAPES, 0.0)
    for t in range(1, STEPS + 1):
        factor = RATES[(t - 1) % len(RATES)] if multiply is not None or isinstance(candidate, Scheduled) else 1.0
        if multiply is not None:
            multiply(factor)
        g = next(source)
        given = extras(rules[0], g)
        run.step([x.copy() for x in g], *([given] if given else []))
        p, state = rated(rules[0], factor).step(p, g, state, backend="numpy", **given)
        for shape, ours, theirs in zip(SHAPES, p, run.observe().params, strict=True):
            gap = float(np.max(np.abs(ours - theirs)) / max(1.0, float(np.max(np.abs(ours)))))
            worst[shape] = max(worst[shape], gap if np.isfinite(gap) else np.inf)
    return worst
