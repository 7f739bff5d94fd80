"""What makes a function of arrays of a package's class for aggregation, saliency, dimension or transport."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from refgrad.candidates.resolve import load

Array = Any


def aggregator(target: str, **arguments: Any) -> Callable[[Array], Array]:
    """A class of byzfl on a copy of the workers' gradients, some of which it writes into."""
    combine = load(target)(**arguments)
    return lambda gradients: np.asarray(combine(gradients.copy()))


def jacobian_aggregator(target: str, **arguments: Any) -> Callable[[Array], Array]:
    """A class of torchjd on a matrix of gradients, a row a worker."""
    import torch

    combine = load(target)(**arguments)
    return lambda gradients: combine(torch.tensor(gradients)).numpy()


def impartial(target: str) -> Callable[[Array], dict[str, Array]]:
    """torchjd's IMTL-G: the weights of its weighting beside the direction of its aggregator."""
    import torch

    aggregate = load(target)()

    def balanced(gradients: Array) -> dict[str, Array]:
        rows = torch.tensor(gradients)
        weights = aggregate.gramian_weighting(rows @ rows.T)
        return {"weights": weights.numpy(), "direction": aggregate(rows).numpy()}

    return balanced


def _linear(gradients: Any) -> Any:
    """A network with a layer that changes nothing, and a score whose gradient by that layer is what it shall be."""
    import torch

    class Linear(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Conv2d(gradients.shape[0], gradients.shape[0], 1, bias=False, dtype=gradients.dtype)
            torch.nn.init.zeros_(self.layer.weight)
            torch.nn.init.dirac_(self.layer.weight)

        def forward(self, activations: Any) -> Any:
            return (self.layer(activations) * gradients).sum((1, 2, 3))[:, None]

    return Linear()


def activation_map(target: str) -> Callable[[Array, Array], Array]:
    """A map of torchcam before it is brought to the range from 0 to 1."""
    import torch

    def mapped(activations: Array, gradients: Array) -> Array:
        network = _linear(torch.tensor(gradients)).eval()
        with load(target)(network, target_layer=network.layer) as extract:
            score = network(torch.tensor(activations)[None].requires_grad_())
            return extract(0, score, normalized=False)[0].detach().numpy().reshape(gradients.shape[1:])

    return mapped


def weighted_map(target: str) -> Callable[[Array, Array], Array]:
    """A map of grad-cam by its weights, without negative parts as its class has it, before it is scaled and resized."""
    import torch

    def mapped(activations: Array, gradients: Array) -> Array:
        network = _linear(torch.tensor(gradients)).eval()
        with load(target)(model=network, target_layers=[network.layer]) as cam:
            found = cam.get_cam_image(None, network.layer, None, activations[None], gradients[None])
        return np.maximum(found[0], 0).astype(activations.dtype)

    return mapped


def layer_map(target: str, **options: Any) -> Callable[[Array, Array], Array]:
    """A map of captum, of the class 0."""
    import torch

    def mapped(activations: Array, gradients: Array) -> Array:
        network = _linear(torch.tensor(gradients)).eval()
        found = load(target)(network, network.layer).attribute(torch.tensor(activations)[None], 0, **options)
        return found.detach().numpy()[0, 0]

    return mapped


def dimension(target: str, fitted: dict[str, Any], **arguments: Any) -> Callable[[Array], Array]:
    """An estimate of scikit-dimension."""
    return lambda points: points.dtype.type(load(target)(**arguments).fit(points, **fitted).dimension_)


def plan(target: str, **arguments: Any) -> Callable[[Array, Array], Array]:
    """A plan of POT between points of equal weights, of squared distances."""

    def planned(x: Array, y: Array) -> Array:
        wide = [np.asarray(points, np.float64) for points in (x, y)]
        cost = np.sum((wide[0][:, None] - wide[1][None]) ** 2, axis=2)
        shares = [np.full(len(points), 1.0 / len(points)) for points in wide]
        relative = {"reg": arguments["epsilon"] * np.mean(cost)} if "epsilon" in arguments else {}
        options = {name: value for name, value in arguments.items() if name != "epsilon"}
        return np.asarray(load(target)(*shares, cost, **relative, **options)).astype(x.dtype)

    return planned
