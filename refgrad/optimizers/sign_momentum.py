"""Update rules that step by the sign of the gradient or of its average, and Rprop, which adapts the size of such steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np

from refgrad.optimizers.base import Optimizer
from refgrad.optimizers.limits import Limit
from refgrad.rule import Choice, Citation, Decay, NonNegative, Positive, Range, Slot, State, by, zeros_like_param


class SignDescent(Optimizer):
    """A step by the sign of the gradient; weight decay is decoupled.

    Source: Bernstein et al. 2018, arXiv:1802.04434, Algorithm 1. NaN propagates (torch's sign of NaN is 0).
    """

    lr: NonNegative = 1e-3
    weight_decay: NonNegative = 0.0

    scaling = "invariant"
    citation = Citation(
        "Bernstein et al. 2018",
        "signSGD: Compressed Optimisation for Non-Convex Problems",
        "arXiv:1802.04434, Algorithm 1",
        read="package",
        source="optax 0.2.8 sign_sgd and signum; pytorch-optimizer 4.1.0 SignSGD",
    )
    unspecified = (
        "the sign of zero: zero here, so that such an element only decays; weight decay, which the algorithm has "
        "not: decoupled"
    )

    def largest_step(self, t: int) -> float:
        """The sign's magnitude times lr."""
        return self.lr

    def update(self, p: Any, g: Any, t: Any) -> tuple[Any, ...]:  # type: ignore[override]
        return (p - self.lr * (np.sign(g) + self.weight_decay * p),)


class Signum(Optimizer):
    """A step by the sign of the gradient's exponential average; weight decay is decoupled.

    Source: Bernstein et al. 2018, arXiv:1802.04434, Algorithm 2. NaN propagates (torch's sign of NaN is 0).
    """

    lr: NonNegative = 1e-3
    beta: Decay = 0.9
    weight_decay: NonNegative = 0.0

    scaling = "invariant"
    limits = (Limit("SignDescent", {"beta": 0.0}),)
    citation = Citation(
        "Bernstein et al. 2018",
        "signSGD: Compressed Optimisation for Non-Convex Problems",
        "arXiv:1802.04434, Algorithm 2",
        read="package",
        source="optax 0.2.8 sign_sgd and signum; pytorch-optimizer 4.1.0 SignSGD",
    )
    unspecified = (
        "the sign of zero: zero here; weight decay: decoupled, as optax; the average is not corrected for its "
        "start, which changes no sign"
    )
    state = State(m=zeros_like_param)

    def largest_step(self, t: int) -> float:
        """The sign's magnitude times lr."""
        return self.lr

    def update(self, p: Any, g: Any, m: Any, t: Any) -> tuple[Any, ...]:  # type: ignore[override]
        m = self.beta * m + (1 - self.beta) * g
        return p - self.lr * (np.sign(m) + self.weight_decay * p), m


class Tiger(Optimizer):
    """Signum with decay as in Lion: the sign of one exponential average.

    Source: Su 2023, Tiger: a tight-fisted optimizer (code and its page). Without that code's scaling by the size of the
    parameter and its rules by the names of parameters. NaN propagates (the authors' code shrinks the parameter instead).
    """

    lr: NonNegative = 1e-3
    beta: Decay = 0.965
    weight_decay: NonNegative = 1e-2

    scaling = "invariant"
    citation = Citation(
        "Su 2023",
        "Tiger: A Tight-fisted Optimizer",
        "github.com/bojone/tiger",
        read="authors' code",
        source="bojone/tiger 43fb6b6",
    )
    unspecified = (
        "gradient accumulation and the scaling by the size of the parameter, which are parts of the source's code "
        "and are left out here; the sign of zero is zero"
    )
    state = State(m=zeros_like_param)

    def largest_step(self, t: int) -> float:
        """The sign's magnitude times lr."""
        return self.lr

    def update(self, p: Any, g: Any, m: Any, t: Any) -> tuple[Any, ...]:  # type: ignore[override]
        m = self.beta * m + (1 - self.beta) * g
        return p - self.lr * (np.sign(m) + self.weight_decay * p), m


class Rprop(Optimizer):
    """Steps of a size of their own for each element, which grows while the gradient keeps its sign and shrinks when it turns.

    ``lr`` is the first size. Source: Riedmiller & Braun 1993, ICNN, equations 4 to 7. NaN propagates.
    """

    lr: Positive = 1e-1
    eta_minus: Annotated[float, Range(0.0, 1.0)] = 0.5
    eta_plus: Annotated[float, Range(1.0)] = 1.2
    step_min: NonNegative = 1e-6
    step_max: Positive = 50.0
    reversal: Annotated[
        str,
        Choice(
            backtrack=by("where the gradient's sign turned, the last step is taken back", "published"),
            delayed=by(
                "the step that the gradient before asked for, or none where the sign turned", "optax: 0.2.8, a fault"
            ),
            skip=by(
                "where the gradient's sign turned, no step is taken", "elsewhere: Igel & Hüsken 2003, iRprop-", "torch"
            ),
        ),
    ] = "backtrack"

    scaling = "invariant"
    citation = Citation(
        "Riedmiller & Braun 1993",
        "A Direct Adaptive Method for Faster Backpropagation Learning: The RPROP Algorithm",
        "ICNN 1993, equations 4 to 7",
        read="package",
        source="torch 2.13.0 Rprop; optax 0.2.8 rprop",
    )
    unspecified = (
        "what happens in the step after a turn: the gradient counts as zero, so that the size stays; first sizes "
        "and bounds are the paper's; torch takes no step where the sign turned (reversal=skip)"
    )
    state = State(g_prev=zeros_like_param, step_size=Slot(fill="lr"))

    def exempt(self) -> Mapping[str, str]:
        """What does not hold, and why."""
        return {"no rate": "lr is the first size of the steps, which is positive"}

    def largest_step(self, t: int) -> float:
        """The largest size, or the first."""
        return max(self.lr, self.step_max)

    def update(self, p: Any, g: Any, g_prev: Any, step_size: Any, t: Any) -> tuple[Any, ...]:
        turn = g * g_prev
        last_step = step_size * np.sign(g_prev)
        grown = np.minimum(step_size * self.eta_plus, self.step_max)
        shrunk = np.maximum(step_size * self.eta_minus, self.step_min)
        step_size = np.where(turn > 0, grown, np.where(turn < 0, shrunk, step_size))
        g = np.where(turn < 0, 0.0, g)
        step = step_size * np.sign(g)
        if self.reversal == "backtrack":
            step = np.where(turn < 0, -last_step, step)
        elif self.reversal == "delayed":
            step = np.where(turn < 0, 0.0, last_step)
        return p - step, g, step_size
