"""What makes a function of arrays of a package's class for aggregation, saliency, guidance, dimension or fits."""

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


def centered(target: str, **arguments: Any) -> Callable[[Array, Array], Array]:
    """byzfl's centered clipping; its constructor takes no start, which is written where it keeps the last result."""

    def clipped(gradients: Array, start: Array) -> Array:
        combine = load(target)(**arguments)
        combine.m = start.copy()
        return np.asarray(combine(gradients.copy()))

    return clipped


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


def activation_map(target: str, **options: Any) -> Callable[[Array, Array], Array]:
    """A map of torchcam before it is brought to the range from 0 to 1."""
    import torch

    def mapped(activations: Array, gradients: Array) -> Array:
        network = _linear(torch.tensor(gradients)).eval()
        with load(target)(network, target_layer=network.layer, **options) as extract:
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


def noise_tunnel(target: str, kind: str) -> Callable[[Array], Array]:
    """captum's statistic of noisy inputs, of an attribution that gives the gradients which it is handed."""
    import torch
    from captum.attr import Attribution

    def smoothed(gradients: Array) -> Array:
        rows = torch.tensor(gradients)

        def attribute(*inputs: Any, **unused: Any) -> Any:
            return rows

        attribute.__wrapped__ = attribute  # type: ignore[attr-defined]  # captum asks what its decorator went around
        handed = Attribution(lambda x: x)
        handed.attribute = attribute
        found = load(target)(handed).attribute(torch.zeros_like(rows[:1]), kind, nt_samples=len(rows))
        return found.numpy()[0]

    return smoothed


def resized(target: str, height: int, width: int, wide: bool = False, **options: Any) -> Callable[[Array], Array]:
    """torch's resizing of one map; of its numbers in float64 if it is told so."""
    import torch

    def made(maps: Array) -> Array:
        given = torch.tensor(maps, dtype=torch.float64 if wide else None)[None, None]
        return load(target)(given, (height, width), mode="bilinear", **options).numpy()[0, 0].astype(maps.dtype)

    return made


def projected_guidance(
    target: str, scale: float, parallel: float, momentum: float, radius: float, **options: Any
) -> Callable[[Array, Array, Array], dict[str, Array]]:
    """diffusers' guidance with a momentum buffer, and what the buffer then has."""
    import torch

    def guided(conditional: Array, unconditional: Array, average: Array) -> dict[str, Array]:
        buffer = load(target.partition(":")[0] + ":MomentumBuffer")(momentum)
        buffer.running_average = torch.tensor(average)
        given = torch.tensor(conditional), torch.tensor(unconditional)
        found = load(target)(*given, scale, buffer, parallel, radius, **options)
        return {"guided": found.numpy(), "average": buffer.running_average.numpy()}

    return guided


def guidance(target: str, **options: Any) -> Callable[[Array, Array], Array]:
    """diffusers' guider, of both predictions."""
    import torch

    guider = load(target)(**options)

    def guided(conditional: Array, unconditional: Array) -> Array:
        return guider.forward(torch.tensor(conditional), torch.tensor(unconditional)).pred.numpy()

    return guided


def efficiency(target: str) -> Callable[[Array, Array], Array]:
    """scikit-learn's coefficient of determination."""
    return lambda observed, predicted: observed.dtype.type(load(target)(observed, predicted))


def polynomial(target: str) -> Callable[[Array, Array, Array], dict[str, Any]]:
    """NumPy's straight line by the points' errors, and its slope's error."""

    def fitted(x: Array, y: Array, sigma: Array) -> dict[str, Any]:
        (slope, intercept), covariance = load(target)(x, y, 1, w=1 / sigma, cov="unscaled")
        found = {"slope": slope, "intercept": intercept, "error": np.sqrt(covariance[0, 0])}
        return {name: x.dtype.type(value) for name, value in found.items()}

    return fitted
