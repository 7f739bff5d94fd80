"""Update rules that average the points that they pass: Polyak and Ruppert's, schedule-free, and coin betting from the start."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np

from refgrad.optimizers.base import Optimizer
from refgrad.rule import (
    Choice,
    Citation,
    Count,
    Decay,
    NonNegative,
    Positive,
    Range,
    Real,
    Slot,
    State,
    by,
    copy_of_param,
    scalar_slot,
    zeros_like_param,
)

Inside = Annotated[float, Range(0.0, 1.0)]
NonPositive = Annotated[float, Range(-math.inf, 0.0, open_high=False)]


class ASGD(Optimizer):
    """Gradient descent with a falling step size; the mean of the points from step ``t0`` on is kept beside them.

    ``average`` is the answer, not ``p``. Source: Polyak & Juditsky 1992, with the step size of Bottou 2012 (section 5.1), as
    in torch: the step at t uses the size that follows from t - 1. NaN propagates.
    """

    lr: NonNegative = 1e-2
    lambd: NonNegative = 1e-4
    alpha: NonNegative = 0.75
    t0: NonNegative = 1e6
    weight_decay: NonNegative = 0.0

    scaling = "linear"
    citation = Citation(
        "Polyak & Juditsky 1992",
        "Acceleration of stochastic approximation by averaging",
        "SIAM J. Control Optim. 30(4); the step size is that of Bottou 2012, section 5.1",
        read="package",
        source="torch 2.13.0 ASGD",
    )
    unspecified = (
        "the step size and the step from which points are averaged: those of torch, which takes Bottou's schedule; "
        "the source proves rates for any that falls slowly enough"
    )
    state = State(average=copy_of_param, eta=Slot(fill="lr", scalar=True), mu=scalar_slot(1.0))

    def exempt(self) -> Mapping[str, str]:
        """What does not hold, and why."""
        return {"still": "lambd decays the parameter at every step"}

    def update(self, p: Any, g: Any, average: Any, eta: Any, mu: Any, t: Any) -> tuple[Any, ...]:
        if self.weight_decay:
            g = g + self.weight_decay * p
        p = (1 - self.lambd * eta) * p - eta * g
        average = average + mu * (p - average)
        eta = self.lr / (1 + self.lambd * self.lr * t) ** self.alpha
        mu = 1 / np.maximum(1.0, t - self.t0)
        return p, average, eta, mu


def schedule_free(
    p: Any, direction: Any, z: Any, weight_sum: Any, lr_max: Any, t: Any, rule: Any, correction: Any = None
) -> tuple[Any, ...]:
    """The three sequences of the paper: a step of z, the average x, and the point y between them, which is ``p``.

    ``correction`` multiplies the step size, if there is one.
    """
    lr = rule.lr * np.minimum(1.0, t / rule.warmup_steps) if rule.warmup_steps else 1.0 * rule.lr
    if correction is not None:
        lr = lr * correction
    lr_max = np.maximum(lr_max, lr)
    weight = t**rule.r * lr_max**rule.weight_lr_power
    weight_sum = weight_sum + weight
    c = weight / weight_sum
    x = (p - (1 - rule.beta1) * z) / rule.beta1
    z = z - lr * (direction + rule.weight_decay * p)
    x = (1 - c) * x + c * z
    y = (1 - rule.beta1) * z + rule.beta1 * x
    return y, z, weight_sum, lr_max


class ScheduleFreeSGD(Optimizer):
    """Gradient descent evaluated between its own point and the average of its points, which takes a schedule's place.

    ``p`` is the point y at which gradients are taken; the answer is the average x = (y - (1 - beta1) z) / beta1. Source:
    Defazio et al. 2024, arXiv:2405.15682, equations 4 to 6, weighted as in its section 4. NaN propagates.
    """

    lr: Positive = 1.0
    beta1: Inside = 0.9
    weight_decay: NonNegative = 0.0
    warmup_steps: Count = 0.0
    r: Real = 0.0
    weight_lr_power: Real = 2.0
    initial_lr_max: NonPositive = 0.0

    scaling = "linear"
    citation = Citation(
        "Defazio et al. 2024",
        "The Road Less Scheduled",
        "arXiv:2405.15682, equations 4 to 6",
        read="authors' code",
        source="schedulefree 1.4.1",
    )
    unspecified = (
        "where decay is taken: at y, as in the authors' package by default; the weights of the average: by powers "
        "of t and of the largest lr so far, as in the package (r, weight_lr_power); what that is before the first step: 0, and "
        "-1 in the package, without consequence (initial_lr_max)"
    )
    state = State(z=copy_of_param, weight_sum=scalar_slot(0.0), lr_max=Slot(fill="initial_lr_max", scalar=True))

    def exempt(self) -> Mapping[str, str]:
        """What does not hold, and why."""
        return {
            "still": "the point is computed anew from two others, and rounded",
            "no rate": "the weights are powers of lr, which is positive",
        }

    def update(self, p: Any, g: Any, z: Any, weight_sum: Any, lr_max: Any, t: Any) -> tuple[Any, ...]:
        return schedule_free(p, g, z, weight_sum, lr_max, t, self)


class ScheduleFreeAdamW(Optimizer):
    """`ScheduleFreeSGD` with Adam's scale and no momentum of its own.

    Source: Defazio et al. 2024, arXiv:2405.15682, Algorithm 1, with the bias correction in the scale as in the authors'
    package at version 1.4; Algorithm 1 itself is ``correction="rate"``. NaN propagates.
    """

    lr: Positive = 2.5e-3
    beta1: Inside = 0.9
    beta2: Decay = 0.999
    eps: NonNegative = 1e-8
    weight_decay: NonNegative = 0.0
    warmup_steps: Count = 0.0
    r: Real = 0.0
    weight_lr_power: Real = 2.0
    initial_lr_max: NonPositive = 0.0
    correction: Annotated[
        str,
        Choice(
            scale=by("the second moment is bias-corrected", "authors: at 1.4"),
            rate=by(
                "the step size, and so the weight of the point, holds the root of 1 - beta2**t",
                "published: Algorithm 1",
                "authors: 1.2.7, and AdamWScheduleFreePaper in 1.4",
            ),
        ),
    ] = "scale"

    scaling = "invariant"
    citation = Citation(
        "Defazio et al. 2024",
        "The Road Less Scheduled",
        "arXiv:2405.15682, Algorithm 1",
        read="authors' code",
        source="schedulefree 1.4.1",
    )
    default_reasons = {
        "correction": "the authors' package at 1.4, whose authors found the other unstable on some problems"
    }
    unspecified = (
        "where the bias correction stands: in the scale as in the authors' package, whose authors found the paper's place, the "
        "step size, unstable on some problems (correction=rate); decay is taken at y, as in the package by default; the warm-up "
        "is linear"
    )
    state = State(
        v=zeros_like_param,
        z=copy_of_param,
        weight_sum=scalar_slot(0.0),
        lr_max=Slot(fill="initial_lr_max", scalar=True),
    )

    def exempt(self) -> Mapping[str, str]:
        """What does not hold, and why."""
        return {
            "still": "the point is computed anew from two others, and rounded",
            "no rate": "the weights are powers of lr, which is positive",
        }

    def update(self, p: Any, g: Any, v: Any, z: Any, weight_sum: Any, lr_max: Any, t: Any) -> tuple[Any, ...]:
        v = self.beta2 * v + (1 - self.beta2) * g * g
        if self.correction == "rate":
            direction, rate = g / (np.sqrt(v) + self.eps), np.sqrt(1 - self.beta2**t)
        else:
            direction, rate = g / (np.sqrt(v / (1 - self.beta2**t)) + self.eps), None
        y, *rest = schedule_free(p, direction, z, weight_sum, lr_max, t, self, rate)
        return y, v, *rest


class COCOB(Optimizer):
    """Each element bets a share of what it has won on the direction of its gradients; there is no step size.

    ``lr`` multiplies the gradient; 1 is none. Source: Orabona & Tommasi 2017, arXiv:1705.07795, Algorithm 2, where ``eps``,
    the first largest gradient, is 0. NaN propagates.
    """

    lr: NonNegative = 1.0
    alpha: NonNegative = 100.0
    eps: NonNegative = 1e-8
    weight_decay: NonNegative = 0.0
    applied: Annotated[
        str,
        Choice(
            directly=by("the new point is what the bet says", "published"),
            by_difference=by("the new point is the old one plus their difference, as rounded", "optax"),
        ),
    ] = "directly"

    citation = Citation(
        "Orabona & Tommasi 2017",
        "Training Deep Networks without Learning Rates Through Coin Betting",
        "arXiv:1705.07795, Algorithm 2",
        read="package",
        source="optax 0.2.8 contrib.cocob",
    )
    unspecified = (
        "the learning rate is none in the paper: lr multiplies the gradient here, 1 by default; the largest "
        "gradient starts at 0 in the paper and at 1e-8 in optax, as here (eps)"
    )
    state = State(
        start=copy_of_param,
        largest=Slot(fill="eps"),
        total=zeros_like_param,
        reward=zeros_like_param,
        theta=zeros_like_param,
    )

    def update(
        self, p: Any, g: Any, start: Any, largest: Any, total: Any, reward: Any, theta: Any, t: Any
    ) -> tuple[Any, ...]:
        if self.weight_decay:
            g = g + self.weight_decay * p
        g = self.lr * g
        largest = np.maximum(largest, np.abs(g))
        total = total + np.abs(g)
        reward = np.maximum(reward - g * (p - start), 0.0)
        theta = theta - g
        bet = theta / (largest * np.maximum(total + largest, self.alpha * largest))
        new = start + bet * (largest + reward)
        if self.applied == "by_difference":
            new = p + (new - p)
        return new, start, largest, total, reward, theta
