"""The sign as torch's custom functions, as most code of binarized networks has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def sign_with(gradient: Callable[[Any, Any], Any]) -> Any:
    """The sign, with a gradient that is a function of ``x`` and of what comes from above."""
    import torch

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return torch.sign(x)

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return gradient(ctx.saved_tensors[0], g)

    return Function


def straight_through(proxy: Callable[[Any], Any]) -> Any:
    """The sign, with autograd's gradient of a proxy."""
    import torch

    def gradient(x: Any, g: Any) -> Any:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            return torch.autograd.grad(proxy(x), x, g)[0]

    return sign_with(gradient)
