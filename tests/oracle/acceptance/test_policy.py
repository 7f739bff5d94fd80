"""What a policy admits that its neighbours do not: which operations are wide, and what a vanished eps excuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.optimizers import SGD, Adam, AdamW, ClipByGlobalNorm, RMSprop

torch = pytest.importorskip("torch", reason="clipping of several leaves by a torch optimizer")

HALF = np.float16


class Clip(torch.optim.Optimizer):  # type: ignore[name-defined, misc]
    """Clipping by the norm over all leaves, then SGD; a subclass says what is computed in float32."""

    norm_in, rest_in = torch.float16, torch.float16

    def __init__(self, params: Any, lr: float = 0.01, max_norm: float = 1.0) -> None:
        super().__init__(params, {"lr": lr, "max_norm": max_norm})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        every = [p.grad for group in self.param_groups for p in group["params"]]
        norm = sum(g.to(self.norm_in).square().sum() for g in every).sqrt()
        for group in self.param_groups:
            grads = [p.grad for p in group["params"]]
            factor = (group["max_norm"] / norm).clamp(max=1).to(self.rest_in)
            for p, g in zip(group["params"], grads, strict=True):
                p.copy_((p.to(self.rest_in) - g.to(self.rest_in) * factor * group["lr"]).to(p.dtype))


class WideNorm(Clip):
    norm_in = torch.float32


class Wide(WideNorm):
    rest_in = torch.float32


@pytest.mark.parametrize(
    ("candidate", "precision", "outcome"),
    [
        (Wide, "wide", "conforms"),
        (WideNorm, "wide", "does not conform"),
        (WideNorm, "sums", "conforms"),
        (Clip, "sums", "does not conform"),
    ],
)
def test_norms_may_be_wide_where_the_rest_is_not(candidate: Any, precision: str, outcome: str) -> None:
    rule = ClipByGlobalNorm(inner=SGD(lr=0.01))
    judged: dict[str, Any] = {"dtype": "float16", "policy": {"precision": precision}, "explain": False, "shrink": False}
    assert refgrad.verify(candidate, rule, **judged).outcome == outcome


@pytest.mark.parametrize("precision", ["wide", "storage", "sums"])
@pytest.mark.parametrize("rule", [Adam(lr=1e-3), AdamW(), RMSprop()], ids=str)
def test_no_number_of_a_format_excuses_nan_of_zero_over_eps(rule: Any, precision: str) -> None:
    """eps is zero in float16, and the reciprocal of the smallest number is infinite."""
    inputs = refgrad.Inputs([np.array([0.5, 1.0], HALF)], [[np.zeros(2, HALF)]], ["x"])
    policy = {"precision": precision}
    judged: dict[str, Any] = {"inputs": inputs, "policy": policy, "explain": False, "shrink": False}
    verdict = refgrad.verify(lambda p, g: np.full_like(p, np.nan), rule, **judged)
    assert verdict.total.outside == 2
    assert refgrad.verify(rule, rule, **judged).conforms
