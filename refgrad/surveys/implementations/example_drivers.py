"""What makes a function of arrays of a package's influence of examples: of a linear model, whose examples are their gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from refgrad.candidates.resolve import load

Array = Any


def _linear(parameters: int, dtype: Any) -> Any:
    """A model whose output has its input as gradient."""
    import torch

    model = torch.nn.Linear(parameters, 1, bias=False, dtype=dtype)
    torch.nn.init.zeros_(model.weight)
    return model


def checkpoints(target: str) -> Callable[[Array, Array, Array], Array]:
    """captum's influence by checkpoints, each of which names its rate; one checkpoint after the other, as examples differ."""
    import torch

    def influence(train: Array, test: Array, rate: Array) -> Array:
        total = np.zeros((train.shape[1], test.shape[1]), train.dtype)
        for own, others, each in zip(train, test, rate, strict=True):
            data = torch.utils.data.TensorDataset(
                torch.tensor(own), torch.zeros(len(own), 1, dtype=torch.tensor(own).dtype)
            )
            traced = load(target)(
                _linear(own.shape[1], torch.tensor(own).dtype),
                data,
                [each],
                checkpoints_load_func=lambda unused, path: float(path),
                loss_fn=_plain,
                batch_size=len(own),
            )
            found = traced.influence(
                (torch.tensor(others), torch.zeros(len(others), 1, dtype=torch.tensor(others).dtype))
            )
            total = total + found.detach().numpy().T.astype(train.dtype)
        return total

    return influence


def _plain(output: Any, unused: Any) -> Any:
    """The output itself as the loss of each example."""
    return output
