"""What a rule around another one is: hyperparameters, named variants and faults of the inner rule."""

from __future__ import annotations

import numpy as np
import pytest

import refgrad
from refgrad import Inputs
from refgrad.optimizers import SAM, SGD, AdamW, AveragedWeights, Lookahead, Stored
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.mutants import mutations
from tests.oracle.rewritten import rewritten

RANDOM = np.random.Generator(np.random.Philox(4))
P, *G = (RANDOM.standard_normal((20, 20)).astype(np.float32) for _ in range(8))
INPUTS = Inputs([P], [[g] for g in G])


@pytest.mark.sample(suite=1)
@pytest.mark.slow
@pytest.mark.parametrize(
    ("used", "claimed"),
    [
        (Lookahead(inner=AdamW(eps_placement="inside", eps=1e-4)), Lookahead(inner=AdamW(eps=1e-4))),
        (Lookahead(k=6.0, alpha=0.3), Lookahead()),
        (AveragedWeights(inner=AdamW(beta2=0.95), decay=0.99), AveragedWeights()),
        (SAM(inner=SGD(lr=0.033)), SAM(inner=SGD())),
        (Stored(inner=AdamW(lr=3.3e-3)), Stored()),
    ],
    ids=str,
)
def test_the_inner_rule_is_told(used: Optimizer, claimed: Optimizer) -> None:
    inputs = None if isinstance(used, Stored) else INPUTS  # which keeps its parameters in another dtype
    found = refgrad.identify(used, claimed, inputs=inputs, steps=4)
    assert [e.title for e in found.explanations] == [str(used).removesuffix("()")], str(found)
    assert found.best is not None
    assert found.best.outside == 0
    for r in found.best.recovered:
        assert r.low <= used.numbers()[r.name] <= r.high


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        (
            "(np.sqrt(v_hat) + self.eps)",
            "(np.sqrt(v_hat + self.eps) + self.eps)",
            "inner_eps under the root and beside it",
        ),
    ],
)
def test_a_fault_of_the_inner_rule_is_named(old: str, new: str, name: str) -> None:
    rule = Plain(eps=1e-4, weight_decay=0.1)
    found = refgrad.identify(Lookahead(inner=rewritten(rule, old, new)), Lookahead(inner=rule), inputs=INPUTS)
    assert found.best is not None, str(found)
    assert found.best.name == name, str(found)


class Plain(AdamW):
    """AdamW in one piece."""

    def update(self, p, g, m, v, t):  # type: ignore[no-untyped-def, override]
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * g * g
        m_hat, v_hat = m / (1 - self.beta1**t), v / (1 - self.beta2**t)
        return p - self.lr * (m_hat / (np.sqrt(v_hat) + self.eps) + self.weight_decay * p), m, v


def test_rewrites_know_the_numbers_of_an_inner_rule() -> None:
    """What is done to AdamW's eps, decays and weight decay is done to those of an AdamW within."""
    rule = AdamW(weight_decay=0.1)
    alone, within = ({m.rewrite.name for m in mutations([r.plan((3, 2), 2)])} for r in (rule, Lookahead(inner=rule)))
    assert alone <= within
