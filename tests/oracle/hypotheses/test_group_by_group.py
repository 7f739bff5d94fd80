"""A candidate that steps each group of parameters by itself, where its rule couples all, is named."""

from __future__ import annotations

from typing import Any

import pytest

import refgrad
from refgrad.optimizers import SGD, ClipByGlobalNorm
from refgrad.oracle.hypotheses.group_by_group import SENTENCE

torch = pytest.importorskip("torch", reason="optimizers with groups of parameters")


class Clip(torch.optim.Optimizer):  # type: ignore[name-defined, misc]
    """Clips by a norm, then SGD; a subclass says of which parameters the norm is."""

    def __init__(self, params: Any, lr: float = 0.01, max_norm: float = 1.0) -> None:
        super().__init__(params, {"lr": lr, "max_norm": max_norm})

    def of(self, group: Any) -> list[Any]:
        return [group]

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        grads = {id(g): [p.grad.clone() for p in g["params"]] for g in self.param_groups}
        for group in self.param_groups:
            norm = sum(g.square().sum() for each in self.of(group) for g in grads[id(each)]).sqrt()
            for p, g in zip(group["params"], grads[id(group)], strict=True):
                p.sub_(g * (group["max_norm"] / norm).clamp(max=1) * group["lr"])


class All(Clip):
    def of(self, group: Any) -> list[Any]:
        return list(self.param_groups)


class First(Clip):
    def of(self, group: Any) -> list[Any]:
        return self.param_groups[:1]


@pytest.mark.parametrize(
    ("candidate", "situation", "named"),
    [(All, "", False), (Clip, "groups", True), (First, "groups", False)],
)
def test_groups_that_are_stepped_apart_are_named(candidate: Any, situation: str, named: bool) -> None:
    verdict = refgrad.verify(candidate, ClipByGlobalNorm(inner=SGD(lr=0.01)), steps=2, explain=2.0)
    assert verdict.situation == situation, verdict
    assert verdict.counterexample is None
    assert any(d.sentence == SENTENCE and d.explains for d in verdict.departures) == named
