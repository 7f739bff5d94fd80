"""What makes a function of arrays of a package's class that weighs tasks: each task's loss is made of its gradient."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np

from refgrad.candidates.resolve import load

Array = Any
#: the module whose one function, by which models are loaded, torch has as `torch.hub`
MOVED = "torchvision.models.utils"


def _losses(shared: Any, gradients: Any, values: Any) -> Any:
    """Losses of some values with some gradients by the shared parameters, which are zero."""
    return gradients @ shared + values


@contextmanager
def _noted(owner: Any, name: str) -> Iterator[list[tuple[Any, ...]]]:
    """While it lasts, what is handed to a function, which is called all the same."""
    found: list[tuple[Any, ...]] = []
    function = getattr(owner, name)

    def called(*given: Any, **named: Any) -> Any:
        found.append(given)
        return function(*given, **named)

    with mock.patch.object(owner, name, called):
        yield found


def loss_weighter(target: str, **arguments: Any) -> Callable[..., dict[str, Array]]:
    """gradnorm-pytorch's weights after a step, and what it compares: its targets are handed to `l1_loss`."""
    import torch

    def weighted(gradients: Array, weights: Array, losses: Array, initial: Array) -> dict[str, Array]:
        own, values, first = (torch.tensor(a) for a in (gradients, losses, initial))
        shared = torch.nn.Parameter(torch.zeros(own.shape[1], dtype=own.dtype))
        module = load(target)(num_losses=len(own), grad_norm_parameters=shared, **arguments).to(own.dtype)
        module.loss_weights.copy_(torch.tensor(weights))
        module.initial_losses.copy_(first)
        module.initted.fill_(True)
        with _noted(torch.nn.functional, "l1_loss") as compared:
            module(_losses(shared, own, values), grad_step=False)
        by_weights = module.loss_weights_grad.clone()
        module.loss_weights_grad.zero_()
        module(_losses(shared, own, values))
        (norms, targets), *_ = compared
        loss = (norms - targets).abs().mean()
        found = {"targets": targets, "loss": loss, "gradient": by_weights, "weights": module.loss_weights}
        return {name: value.detach().numpy() for name, value in found.items()}

    return weighted


def _trainer(target: str, shared: Any, tasks: int) -> Any:
    """A class of LibMTL between what its trainer puts around it: the shared parameters."""
    import torch

    def cleared(self: Any) -> None:
        shared.grad = torch.zeros_like(shared)

    sys.modules.setdefault(MOVED, torch.hub)  # LibMTL 1.1.5 imports it, and torchvision has it no more
    weighting = load(target)
    made = type(
        "Trained", (weighting,), {"get_share_params": lambda self: [shared], "zero_grad_share_params": cleared}
    )()
    made.task_num, made.device, made.rep_grad, made.epoch = tasks, torch.device("cpu"), False, 1
    made.init_param()
    return made


def scaled_logits(target: str, lr: float, **arguments: Any) -> Callable[..., dict[str, Array]]:
    """LibMTL's GradNorm, and a step of gradient descent of its logits; targets are what it detaches first."""
    import torch

    def weighted(gradients: Array, weights: Array, losses: Array, initial: Array) -> dict[str, Array]:
        own, values = torch.tensor(gradients), torch.tensor(losses)
        shared = torch.nn.Parameter(torch.zeros(own.shape[1], dtype=own.dtype))
        trained = _trainer(target, shared, len(own))
        trained.train_loss_buffer = np.asarray(initial, np.float64)[:, None]
        trained.loss_scale.data = torch.log(torch.tensor(weights))
        with _noted(torch.Tensor, "detach") as held, _noted(torch.Tensor, "backward") as passed:
            trained.backward(_losses(shared, own, values), **arguments)
        targets, loss, by_logits = held[0][0], passed[-1][0], trained.loss_scale.grad
        new = len(own) * torch.softmax(trained.loss_scale - lr * by_logits, dim=-1)
        found = {"targets": targets, "loss": loss, "gradient": by_logits, "weights": new}
        return {name: value.detach().numpy() for name, value in found.items()}

    return weighted


def impartial_trainer(target: str) -> Callable[[Array], dict[str, Array]]:
    """LibMTL's IMTL at equal scales of losses: weights, and the gradient that it leaves at the shared parameters."""
    import torch

    def balanced(gradients: Array) -> dict[str, Array]:
        own = torch.tensor(gradients)
        shared = torch.nn.Parameter(torch.zeros(own.shape[1], dtype=own.dtype))
        shared.grad = torch.zeros_like(shared)
        weights = _trainer(target, shared, len(own)).backward(
            _losses(shared, own, torch.ones(len(own), dtype=own.dtype))
        )
        return {"weights": weights, "direction": shared.grad.numpy()}

    return balanced
