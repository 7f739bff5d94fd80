"""Maps of what in an input a network's score comes from: class activation maps, smoothed gradients, normalized maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.optimizers.transform import Transform, check_axes, check_count, check_same
from refgrad.rule import Choice, Citation, Flag, NonNegative, by

_MAP = {"activations": "channel height width", "gradients": "channel height width"}
_LENGTHS = {"channel": 3, "height": 3, "width": 2}

Denominator = Annotated[
    str,
    Choice(
        sum_activations=by("2 g^2 + g^3 times the sum of the channel's activations", "published", "grad-cam"),
        sum_products=by("2 g^2 + the sum of the channel's A g^3", "SmoothGradCAMplusplus", "torchcam"),
    ),
]


def check_layer(activations: np.ndarray, gradients: np.ndarray) -> None:
    """Check that a layer's activations and their gradients fit.

    Raises:
        ArgumentError: they do not.
    """
    check_axes(activations, "activations", 3, "[channel, height, width]")
    check_count(activations, "activations", 1, "one map a channel")
    check_same(gradients, "gradients", activations.shape, "the shape of activations")


def _activation_map(weights: Any, activations: Any, positive: bool) -> Any:
    """Channels added up by their weights."""
    total = np.sum(weights.reshape(-1, 1, 1) * activations, axis=0)
    return np.maximum(total, 0.0) if positive else total


def _over_map(x: Any) -> Any:
    """The sum of each channel's map, along axes of length one."""
    return np.sum(x, axis=(-2, -1), keepdims=True)


def _quotient(numerator: Any, denominator: Any, eps: float) -> Any:
    """A quotient; zero where the denominator is zero."""
    zero = denominator == 0
    return np.where(zero, 0.0, numerator / (np.where(zero, 1.0, denominator) + eps))


class GradCAM(Transform):
    """Grad-CAM: a layer's channels, each weighted by the mean of the score's gradient by it.

    M = relu(sum_c mean(g_c) A_c). Source: Selvaraju et al. 2017, arXiv:1610.02391.

    ``activations`` and the score's ``gradients`` by them [channel, height, width]. Gives the map [height, width].
    """

    relu: Annotated[bool, Flag(by("negative parts of the map are zero", "published", "torchcam", "grad-cam"))] = True

    citation = Citation(
        "Selvaraju et al. 2017",
        "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization",
        "ICCV, arXiv:1610.02391",
        read="package",
        source="torchcam f44afef, methods/gradient.py; grad-cam 084273b; captum 0.9.0, which keeps negative parts by default",
    )
    shapes: ClassVar[Mapping[str, str]] = _MAP
    lengths: ClassVar[Mapping[str, int]] = _LENGTHS
    unspecified = "how the map is resized to the image: the caller's; to the range from 0 to 1: MinMaxMap"

    def check(self, *arrays: np.ndarray) -> None:
        check_layer(*arrays)

    def apply(self, activations: Any, gradients: Any) -> Any:
        return _activation_map(np.mean(gradients, axis=(1, 2)), activations, self.relu)


class GradCAMPlusPlus(Transform):
    """Grad-CAM++: a layer's channels, each weighted by positive gradients, these by a share of second and third derivatives.

    Of the exponential of the score the k-th derivative is e^S g^k, so that a = g^2/(2 g^2 + g^3 sum(A_c)), 0 where that is
    0/0; w_c = sum a relu(g); M = relu(sum_c w_c A_c). Source: Chattopadhay et al. 2018, arXiv:1710.11063.

    ``activations`` and the score's ``gradients`` by them [channel, height, width]. Gives the map [height, width].
    """

    eps: NonNegative = 0.0
    denominator: Denominator = "sum_activations"
    shares: Annotated[
        str,
        Choice(
            quotient=by("a as the publication's equation has it", "published", "grad-cam"),
            normalized=by("a divided by its sum over the channel's positive gradients", "authors"),
            undivided=by("a is g^2: what is divided is a copy, and lost", "torchcam"),
        ),
    ] = "quotient"

    citation = Citation(
        "Chattopadhay, Sarkar, Howlader & Balasubramanian 2018",
        "Grad-CAM++: Improved Visual Explanations for Deep Convolutional Networks",
        "WACV, arXiv:1710.11063, equation 19",
        read="authors' code",
        source="adityac94/Grad_CAM_plus_plus 4a9faf6, misc/utils.py; grad-cam 084273b; torchcam f44afef; "
        "yiskw713/SmoothGradCAMplusplus e728e5f",
    )
    shapes: ClassVar[Mapping[str, str]] = _MAP
    lengths: ClassVar[Mapping[str, int]] = _LENGTHS
    magnitudes: ClassVar[frozenset[str]] = frozenset({"activations"})
    unspecified = (
        "the factor e^S of the gradient, common to all channels: left out, as a normalized map loses it; a denominator of "
        "zero: a is 0 here, and g^2 in the authors' code; near zero a is as large as may be, and nothing is decided"
    )

    def check(self, *arrays: np.ndarray) -> None:
        check_layer(*arrays)

    def apply(self, activations: Any, gradients: Any) -> Any:
        weights = np.sum(self._shares(activations, gradients) * np.maximum(gradients, 0.0), axis=(1, 2))
        return _activation_map(weights, activations, True)

    def _shares(self, activations: Any, gradients: Any) -> Any:
        squares = gradients * gradients
        if self.shares == "undivided":
            return squares
        cubes = squares * gradients
        together = self.denominator == "sum_activations"
        third = cubes * _over_map(activations) if together else _over_map(activations * cubes)
        shares = _quotient(squares, 2.0 * squares + third, self.eps)
        shares = np.where(gradients > 0, shares, 0.0)  # the others' weights are zero
        if self.shares == "quotient":
            return shares
        total = _over_map(shares)
        return shares / np.where(total == 0, 1.0, total)


class SmoothGrad(Transform):
    """SmoothGrad: the mean over noisy inputs of an input's gradient, of its square, or its variance.

    Source: Smilkov et al. 2017, arXiv:1706.03825.

    ``gradients`` [sample, input]. Gives [input].
    """

    statistic: Annotated[
        str,
        Choice(
            mean=by("the mean", "published", "captum: smoothgrad"),
            square=by("the mean of squares", "elsewhere", "captum: smoothgrad_sq"),
            variance=by("the mean of squares of what is left of the mean", "elsewhere", "captum: vargrad"),
        ),
    ] = "mean"

    citation = Citation(
        "Smilkov et al. 2017",
        "SmoothGrad: Removing Noise by Adding Noise",
        "arXiv:1706.03825",
        read="package",
        source="captum 0.9.0, attr/_core/noise_tunnel.py",
    )
    shapes: ClassVar[Mapping[str, str]] = {"gradients": "sample input"}
    lengths: ClassVar[Mapping[str, int]] = {"sample": 4, "input": 5}
    unspecified = (
        "how a variance is computed: captum takes the mean's square from the mean of squares, which loses digits"
    )

    def check(self, *arrays: np.ndarray) -> None:
        check_axes(arrays[0], "gradients", 2, "[sample, input]")
        check_count(arrays[0], "gradients", 1, "one row a sample")

    def apply(self, gradients: Any) -> Any:
        if self.statistic == "mean":
            return np.mean(gradients, axis=0)
        left = gradients if self.statistic == "square" else gradients - np.mean(gradients, axis=0)
        return np.mean(left * left, axis=0)


class SmoothGradInputs(Transform):
    """The noisy inputs of SmoothGrad: normal noise whose size is a part of the input's range.

    x + level (max x - min x) e. Source: Smilkov et al. 2017, arXiv:1706.03825.

    ``x`` [input]; ``noise`` [sample, input] of standard normal numbers. Gives [sample, input].
    """

    level: NonNegative = 0.15
    size: Annotated[
        str,
        Choice(
            of_range=by("level times the range of the input", "published"),
            absolute=by("level itself", "captum", "torchcam"),
            over_range=by("level divided by the range", "SmoothGradCAMplusplus"),
        ),
    ] = "of_range"

    citation = Citation(
        SmoothGrad.citation.authors,
        SmoothGrad.citation.title,
        SmoothGrad.citation.where,
        read="package",
        source="captum 0.9.0; torchcam f44afef; yiskw713/SmoothGradCAMplusplus e728e5f",
    )
    shapes: ClassVar[Mapping[str, str]] = {"x": "input", "noise": "sample input"}
    lengths: ClassVar[Mapping[str, int]] = {"sample": 3, "input": 5}
    unspecified = "the level: from 0.1 to 0.2 in the source, 1.0 in captum, 0.3 in torchcam"

    def check(self, *arrays: np.ndarray) -> None:
        x, noise = arrays
        check_axes(x, "x", 1, "[input]")
        check_count(x, "x", 1, "a range has a number at least")
        check_axes(noise, "noise", 2, "[sample, input]")
        check_same(noise, "noise", (noise.shape[0], x.shape[0]), "one number a sample and an input")

    def apply(self, x: Any, noise: Any) -> Any:
        if self.size == "absolute":
            return x + self.level * noise
        spread = np.max(x) - np.min(x)
        return x + (self.level * spread if self.size == "of_range" else self.level / spread) * noise


class SmoothGradCAMPlusPlus(Transform):
    """Smooth Grad-CAM++: Grad-CAM++ with the means over noisy inputs of the powers of the gradients, D_k = mean g^k.

    a = D_1/(2 D_2 + sum(A_c) D_3), 0 where that denominator is zero; w_c = sum a relu(D_1); M = relu(sum_c w_c A_c).
    Source: Omeiza et al. 2019, arXiv:1908.01224.

    ``activations`` [channel, height, width] of the clean input; ``gradients`` [sample, channel, height, width] of the noisy
    ones. Gives the map [height, width].
    """

    eps: NonNegative = 0.0
    numerator: Annotated[
        str,
        Choice(
            first=by("D_1", "published: as torchcam quotes it"),
            second=by("D_2, as Grad-CAM++ has it", "torchcam"),
        ),
    ] = "first"
    denominator: Denominator = "sum_activations"
    gradient: Annotated[
        str,
        Choice(
            mean=by("relu of the mean gradient", "published"),
            last=by("relu of the last sample's gradient", "torchcam"),
        ),
    ] = "mean"

    citation = Citation(
        "Omeiza, Speakman, Cintas & Weldermariam 2019",
        "Smooth Grad-CAM++: An Enhanced Inference Level Visualization Technique for Deep Convolutional Neural Network Models",
        "arXiv:1908.01224",
        read="package",
        source="torchcam f44afef, methods/gradient.py, which quotes the equation; yiskw713/SmoothGradCAMplusplus e728e5f",
    )
    shapes: ClassVar[Mapping[str, str]] = {
        "activations": "channel height width",
        "gradients": "sample channel height width",
    }
    lengths: ClassVar[Mapping[str, int]] = {"sample": 2, **_LENGTHS}
    magnitudes: ClassVar[frozenset[str]] = frozenset({"activations"})
    unspecified = "the noise: handed in by its gradients; a mean of the samples' normalized maps is another method"

    def check(self, *arrays: np.ndarray) -> None:
        activations, gradients = arrays
        check_layer(activations, activations)
        check_count(gradients, "gradients", 1, "one sample at least")
        check_same(gradients, "gradients", (len(gradients), *activations.shape), "those of the activations, a sample")

    def apply(self, activations: Any, gradients: Any) -> Any:
        squares = gradients * gradients
        first, second, third = (np.mean(power, axis=0) for power in (gradients, squares, squares * gradients))
        together = self.denominator == "sum_activations"
        third = third * _over_map(activations) if together else _over_map(activations * third)
        numerator = first if self.numerator == "first" else second
        shares = _quotient(numerator, 2.0 * second + third, self.eps)
        reached = first if self.gradient == "mean" else gradients[-1]
        weights = np.sum(np.where(reached > 0, shares * reached, 0.0), axis=(1, 2))
        return _activation_map(weights, activations, True)


class MinMaxMap(Transform):
    """Maps, each shifted and scaled to the range from 0 to 1: (m - min)/(max - min + eps).

    Source: the usual last step of class activation maps, as in Chattopadhay et al. 2018, arXiv:1710.11063.

    ``maps`` [map, pixel]. Gives an array of that shape.
    """

    eps: NonNegative = 0.0
    constant: Annotated[
        str,
        Choice(
            zero="a constant map is zero, as any eps makes it",
            undefined=by("a constant map is NaN", "SmoothGradCAMplusplus", "revisiting_saliency"),
        ),
    ] = "zero"

    citation = Citation(
        "Chattopadhay, Sarkar, Howlader & Balasubramanian 2018",
        "Grad-CAM++: Improved Visual Explanations for Deep Convolutional Networks",
        "WACV, arXiv:1710.11063",
        read="package",
        source="torchcam f44afef (eps 1e-8); grad-cam 084273b (eps 1e-7); yiskw713/SmoothGradCAMplusplus e728e5f (none)",
    )
    shapes: ClassVar[Mapping[str, str]] = {"maps": "map pixel"}
    lengths: ClassVar[Mapping[str, int]] = {"map": 2, "pixel": 6}
    unspecified = "eps, and a constant map: choices"

    def check(self, *arrays: np.ndarray) -> None:
        check_axes(arrays[0], "maps", 2, "[map, pixel]")
        check_same(arrays[0], "maps", (len(arrays[0]), max(1, arrays[0].shape[1])), "a pixel at least")

    def apply(self, maps: Any) -> Any:
        above = maps - np.min(maps, axis=1, keepdims=True)
        spread = np.max(above, axis=1, keepdims=True)
        if self.constant == "undefined":
            return above / (spread + self.eps)
        return _quotient(above, spread, self.eps)
