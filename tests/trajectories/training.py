"""One rule's training: what it is handed at each step, and the digest and loss of every step."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from refgrad.optimizers.base import Optimizer
from refgrad.rule import Extra, rules
from tests.bits.digests import flat
from tests.bits.inputs import Source
from tests.trajectories import model
from tests.trajectories.model import Arrays

STEPS = 200
#: steps after which the digest of all that came before is kept
MARKS = (1, 20, 200)
#: what learning rates are multiplied by: that with the least loss after some steps is kept
FACTORS, TRIED = (0.25, 1.0, 4.0, 16.0, 64.0, 256.0), 40


class Trajectory(NamedTuple):
    """A training: the loss of each step's batch, and by step the digest of every parameter, state and loss up to it."""

    losses: list[float]
    digests: dict[str, str]


def rules_trained() -> Mapping[str, Optimizer]:
    """Every optimizer with its own defaults, by name."""
    made = {name: cls() for name, cls in rules(Optimizer).items()}
    return {name: rule for name, rule in made.items() if isinstance(rule, Optimizer)}


def rates_of(rule: Optimizer) -> list[str]:
    """The rule's learning rate, or those of the rule that it wraps."""
    return [n for n in rule.numbers() if n == "lr" or n.endswith("inner_lr")]


def rated(rule: Optimizer, factor: float) -> Optimizer:
    """The rule with its learning rate multiplied."""
    return rule.replace(**{n: factor * rule.numbers()[n] for n in rates_of(rule)})


def _float32(arrays: Arrays) -> Arrays:
    with np.errstate(all="ignore"):
        return {n: a.astype(np.float32) for n, a in arrays.items()}


class Extras:
    """What a rule takes besides the gradient: the loss, the gradient elsewhere, the curvature, noise."""

    def __init__(self, rule: Any) -> None:
        self.rule, self.source = rule, Source("noise of the digits")

    def of(self, p: Arrays, step: int, found: model.Found) -> dict[str, Any]:
        """The extra inputs of a step.

        Args:
            p: the parameters before it.
            step: counted from 1.
            found: what its batch says at ``p``.
        """
        return {n: self._one(extra, p, step, found) for n, extra in self.rule.inputs().items()}

    def _one(self, extra: Extra, p: Arrays, step: int, found: model.Found) -> Any:
        if extra.kind == "loss":
            return float(np.float32(found.loss))
        if extra.kind == "curvature":
            return _float32(model.curvature(p, model.batch(step)[0]))
        if extra.kind == "gradient":
            there = self.rule.point(p, _float32(found.gradient))
            return _float32(model.evaluate(there, *model.batch(step)).gradient)
        # twelve uniform numbers of 16 bits less six have a variance of one, and are exact
        return {n: self._normal(a.shape).astype(np.float32) for n, a in p.items()}

    def _normal(self, shape: tuple[int, ...]) -> np.ndarray:
        whole = self.source.whole((12, *shape), 0, (1 << 16) - 1).sum(0)
        return np.asarray(whole * 2.0**-16 - 6.0)


#: one step: from the rule, parameters, gradient, state and extra inputs the next parameters and state
Step = Callable[[Optimizer, Arrays, Arrays, dict[str, Any], dict[str, Any]], tuple[Arrays, dict[str, Any]]]


def by(**how: Any) -> Step:
    """The rule's own step.

    Args:
        how: the backend and the threads, as `Optimizer.step` takes them.
    """
    return lambda rule, p, g, state, extras: rule.step(p, g, state, **how, **extras)


LITERAL = by(backend="numpy")


def steps(rule: Optimizer, count: int, step_by: Step) -> Iterator[tuple[float, Arrays, dict[str, Any]]]:
    """The loss, the parameters and the state after each step.

    Args:
        rule: with its hyperparameters.
        count: how many steps.
        step_by: how one is taken.
    """
    p, extras = model.first(), Extras(rule)
    state = rule.init(p)
    for step in range(1, count + 1):
        found = model.evaluate(p, *model.batch(step))
        given = extras.of(p, step, found)
        p, state = step_by(rule, p, _float32(found.gradient), state, given)
        yield found.loss, p, state


def train(rule: Optimizer, count: int = STEPS, step_by: Step = LITERAL) -> Trajectory:
    """A rule's training.

    Args:
        rule: with its hyperparameters.
        count: how many steps.
        step_by: how one is taken.
    """
    total, losses, digests = hashlib.sha256(), [], {}
    with np.errstate(all="ignore"):
        for number, (loss, p, state) in enumerate(steps(rule, count, step_by), 1):
            losses.append(loss)
            for part in flat([loss, p, [state[n] for n in sorted(state)]]):
                total.update(part)
            if number in MARKS:
                digests[str(number)] = total.hexdigest()[:16]
    return Trajectory(losses, digests)


def epochs(losses: list[float]) -> list[float]:
    """The mean loss of the batches of each round through the digits."""
    each = model.DIGITS // model.BATCH
    return [sum(losses[i : i + each]) / each for i in range(0, len(losses), each)]


def factors(rule: Optimizer) -> list[float]:
    """What the rule's learning rate may be multiplied by: that first by which it has learnt most after `TRIED` steps.

    Args:
        rule: with its own defaults; 1 is all there is for one without a rate.
    """
    if not rates_of(rule):
        return [1.0]
    last = {factor: epochs(train(rated(rule, factor), TRIED).losses)[-1] for factor in FACTORS}
    return sorted(last, key=lambda factor: last[factor] if np.isfinite(last[factor]) else np.inf)


def best(rule: Optimizer) -> tuple[float, Trajectory]:
    """The first of these factors by which the rule does not overflow in the end, and its training.

    Args:
        rule: with its own defaults.
    """
    for factor in factors(rule):
        found = train(rated(rule, factor))
        if np.isfinite(found.losses).all():
            break
    return factor, found
