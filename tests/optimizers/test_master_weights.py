"""Narrow parameters beside a wide master copy: the right program conforms, one that truncates its master does not."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import refgrad
from refgrad.optimizers import SGD, AdamW, Stored

torch = pytest.importorskip("torch", reason="master weights of a torch optimizer")

BF16 = np.dtype(ml_dtypes.bfloat16)
RULE = Stored(inner=AdamW(), states="float32", compensation="master")


class Master(torch.optim.AdamW):  # type: ignore[name-defined, misc]
    """The step is taken on a float32 copy that is kept in the state; the parameter is that copy, rounded."""

    truncates = False

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            b1, b2 = group["betas"]
            for p in group["params"]:
                s = self.state[p]
                if not s:
                    s.update(step=torch.tensor(0.0), master=p.float().clone())
                    s.update(exp_avg=torch.zeros_like(s["master"]), exp_avg_sq=torch.zeros_like(s["master"]))
                s["step"] += 1
                t, w, g = int(s["step"]), s["master"], p.grad.float()
                s["exp_avg"].mul_(b1).add_(g, alpha=1 - b1)
                s["exp_avg_sq"].mul_(b2).addcmul_(g, g, value=1 - b2)
                root = (s["exp_avg_sq"] / (1 - b2**t)).sqrt() + group["eps"]
                w.mul_(1 - group["lr"] * group["weight_decay"]).sub_(group["lr"] * (s["exp_avg"] / (1 - b1**t)) / root)
                if self.truncates:
                    w.copy_(w.bfloat16().float())
                p.copy_(w)


class Truncated(Master):
    truncates = True


class Resumed(Master):
    """Loads its state in the dtype that it was saved in."""

    def load_state_dict(self, state_dict: Any) -> None:
        super().load_state_dict(state_dict)
        for number, p in enumerate(p for group in self.param_groups for p in group["params"]):
            self.state[p] = {n: v.clone() for n, v in state_dict["state"].get(number, {}).items()}


@pytest.mark.parametrize(
    ("candidate", "wrong"),
    [(Resumed, ""), (Master, "resumed"), (Truncated, "master")],
)
def test_a_master_that_is_kept_conforms(candidate: Any, wrong: str) -> None:
    """Also over a checkpoint; torch casts what is loaded to the parameter's dtype."""
    verdict = refgrad.verify(candidate, RULE, explain=False, shrink=False)
    assert verdict.conforms == (not wrong)
    found = {f.kind for f in verdict.faults} | ({verdict.first.tensor} if verdict.first else set())
    assert not wrong or wrong in found


def test_many_small_steps_are_not_lost() -> None:
    """Each is less than half a unit of bfloat16, so that a rounded parameter alone never moves."""
    rule = Stored(inner=SGD(lr=2.0**-12), states="float32", compensation="master")
    p, state = np.ones(3, BF16), rule.init(np.ones(3, BF16))
    assert state["master"].dtype == np.float32
    for _ in range(64):
        p, state = rule.step(p, np.ones_like(p), state)
    assert np.array_equal(state["master"], np.full(3, 1 - 2.0**-6, np.float32))
    assert np.array_equal(p.astype(np.float32), state["master"])
    alone = Stored(inner=SGD(lr=2.0**-12))
    q, state = np.ones(3, BF16), alone.init(np.ones(3, BF16))
    for _ in range(64):
        q, state = alone.step(q, np.ones_like(q), state)
    assert np.array_equal(q.astype(np.float32), np.ones(3))
