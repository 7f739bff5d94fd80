"""What a user writes: a rule of their own, its step, and the questions that are asked of an implementation of it."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

import refgrad
from refgrad.optimizers import AdamW, Lookahead, Optimizer
from refgrad.optimizers.base import OptimizerState
from refgrad.rule import Choice, Citation, Decay, NonNegative, State, find, rules, scalar_slot, zeros_like_param
from refgrad.testing import LawReport, check_laws, raise_if_broken

Array = np.ndarray[Any, np.dtype[np.float32]]


class Heavy(Optimizer):
    """Gradient descent with a heavy ball: m = mass m + g, p = p - lr m."""

    lr: NonNegative = 0.1
    mass: Decay = 0.9
    start: Annotated[str, Choice(zero="the ball starts at rest", gradient="it starts with the first gradient")] = "zero"

    citation = Citation("Polyak 1964", "Some methods of speeding up the convergence of iteration methods", "equation 9")
    state = State(m=zeros_like_param, steps=scalar_slot(0.0))

    def update(self, p: Any, g: Any, m: Any, steps: Any, t: Any) -> tuple[Any, ...]:
        m = self.mass * m + g
        return p - self.lr * m, m, steps + 1.0


def heavy(p: Array, g: Array, m: Array, steps: float, t: int, lr: float, mass: float) -> tuple[Array, Array, float]:
    """The same as a plain function."""
    m = np.float32(mass) * m + g
    return p - np.float32(lr) * m, m, steps + 1.0


def steps(rule: Optimizer) -> tuple[Array, float]:
    """A rule's own steps: pure, in place, and on a tree."""
    p, g = np.ones(4, np.float32), np.full(4, 0.5, np.float32)
    state: OptimizerState = rule.init(p)
    p, state = rule.step(p, g, state, backend="numpy", threads=1)
    rule.step_(p, g, state)
    tree = {"w": p, "b": [g]}
    tree, _ = rule.step(tree, {"w": g, "b": [g]}, rule.init(tree))
    return p, float(state["t"])


def rates(rule: Heavy) -> float:
    """Hyperparameters have types, and so have changed copies."""
    wrapped = Lookahead(inner=rule.replace(lr=0.5), k=5)
    numbers: dict[str, float] = wrapped.numbers()
    other: Heavy = rule.replace(mass=0.5)
    return other.lr * other.mass + numbers["inner_lr"]


def asked(rule: Heavy) -> bool:
    """Verify, identify, laws; with inputs of one's own."""
    inputs = refgrad.Inputs.of(p=[1.0, -2.0], g=[[0.5, 0.25], [1.0, 0.0]], dtype="float32")
    verdict: refgrad.Verdict = refgrad.verify(heavy, rule, inputs=inputs, policy={"subnormals": "either"})
    verdict.raise_if_wrong()
    refgrad.verify(heavy, Heavy, steps=3, dtype=np.float32, explain=False).raise_if_wrong()
    outside: int = verdict.counts["p"].outside
    found: refgrad.Identification = refgrad.identify(heavy, rule, steps=3, policy=refgrad.Policy(), time_limit=20.0)
    if found.best is not None:
        print(found.best.title, found.outcome, found.exit_code)
    reports: tuple[LawReport, ...] = check_laws(heavy, rule, laws=["odd"], examples=5)
    raise_if_broken(reports)
    return verdict.conforms and outside == 0


def known() -> list[type[Optimizer]]:
    """Rules by name."""
    assert find("AdamW") is AdamW
    try:
        find("AdmW")
    except refgrad.ArgumentError as error:
        print(error)
    return [cls for cls in rules(Optimizer).values() if issubclass(cls, Optimizer)]


if __name__ == "__main__":
    print(steps(Heavy()), rates(Heavy()), asked(Heavy(lr=0.25)), len(known()))
