"""What differs from the claim by less than roundings conforms, and the verdict says first that it fits better."""

from __future__ import annotations

from typing import Any

import pytest

import refgrad
from refgrad.optimizers import SGD, AdamW, ClipByGlobalNorm, ClipByNorm
from refgrad.oracle.engine.nearly_alike import variants
from refgrad.rule import rules

HOW: dict[str, Any] = {"steps": 2, "shrink": False, "explain": False}


def said(candidate: Any, rule: Any, **more: Any) -> list[str]:
    verdict = refgrad.verify(candidate, rule, **(HOW | more))
    assert verdict.conforms, verdict
    return [each for each in verdict.unexercised if each.startswith("division=")]


@pytest.mark.slow
@pytest.mark.sample(suite=2)
@pytest.mark.parametrize("clip", [ClipByGlobalNorm, ClipByNorm])
@pytest.mark.parametrize("inner", [SGD(lr=0.01), SGD(lr=0.01, momentum=0.9), AdamW()], ids=str)
def test_what_is_added_to_a_norm_of_one_is_told(clip: Any, inner: Any) -> None:
    exact, padded = clip(inner=inner), clip(inner=inner, division="padded")
    assert said(exact, exact) == said(padded, padded) == []
    assert said(padded, exact) == [
        "division=padded (padding=1e-06): fits better, within what roundings of the claim may make"
    ]
    assert said(exact, padded) == ["division=exact: fits better, within what roundings of the claim may make"]


def test_where_no_input_tells_it_that_is_said() -> None:
    rule = ClipByGlobalNorm(inner=SGD(lr=0.01))
    (found,) = said(rule, rule, dtype="bfloat16")
    assert found == "division=padded (padding=1e-06): fits as well, and no input tells it apart from the claim"


@pytest.mark.slow
@pytest.mark.parametrize("added", [0.0, 1e-6])
def test_a_clip_of_torch_whose_bound_is_built_in(added: float) -> None:
    torch = pytest.importorskip("torch")

    class Clipping(torch.optim.Optimizer):  # type: ignore[misc]
        def __init__(self, params: Any, lr: float = 0.01) -> None:
            super().__init__(params, {"lr": lr})

        @torch.no_grad()
        def step(self, closure: Any = None) -> None:
            tensors = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
            norm = sum((p.grad.square().sum() for p in tensors), torch.zeros(())).sqrt()
            for p in tensors:
                p.sub_(p.grad * torch.clamp(1.0 / (norm + added), max=1.0), alpha=self.param_groups[0]["lr"])

    found = said(lambda params: Clipping(params), ClipByGlobalNorm(inner=SGD(lr=0.01)))
    assert [each.partition(":")[0] for each in found] == (["division=padded (padding=1e-06)"] if added else [])


def test_variants_with_a_small_number_are_few() -> None:
    named = {name for name, rule in rules().items() if variants(rule())}
    assert {"ClipByGlobalNorm", "ClipByNorm"} <= named
    assert len(named) < 10
