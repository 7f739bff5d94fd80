"""Clipping by the norm of all gradients as torch's users write it: right, and with what is left out or added."""

from __future__ import annotations

from typing import Any

import torch


class Clipping(torch.optim.Optimizer):
    """Clipping by the norm of all gradients, and a step."""

    def __init__(self, params: Any, lr: float = 0.1, max_norm: float = 1.0) -> None:
        super().__init__(params, {"lr": lr, "max_norm": max_norm})

    def added(self, grads: list[list[torch.Tensor]]) -> list[torch.Tensor]:
        return [g for group in grads for g in group]

    def factor(self, norm: torch.Tensor, bound: float) -> torch.Tensor:
        return torch.where(norm > bound, bound / norm, torch.ones_like(norm))

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        grads = [[p.grad for p in group["params"]] for group in self.param_groups]
        norm = sum(((g.double() ** 2).sum() for g in self.added(grads)), torch.zeros((), dtype=torch.float64)).sqrt()
        for group in self.param_groups:
            for p in group["params"]:
                p.sub_(group["lr"] * (p.grad * self.factor(norm, group["max_norm"]).to(p.dtype)))


class WithoutNumbers(Clipping):
    def added(self, grads: list[list[torch.Tensor]]) -> list[torch.Tensor]:
        return [g for group in grads for g in group if g.ndim]


class WithoutTheLast(Clipping):
    def added(self, grads: list[list[torch.Tensor]]) -> list[torch.Tensor]:
        kept = super().added(grads)
        return kept[:-1] if len(kept) > 3 and kept[-1].numel() == 1 else kept


class FirstGroup(Clipping):
    def added(self, grads: list[list[torch.Tensor]]) -> list[torch.Tensor]:
        return grads[0]


class Padded(Clipping):
    def factor(self, norm: torch.Tensor, bound: float) -> torch.Tensor:
        return torch.clamp(bound / (norm + 1e-6), max=1.0)
