"""Maps of input gradients that are no class activation maps: NormGrad, ranked masks and DiffROAR, RADIANCE's loss of maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.arithmetic.subgradients import top_k
from refgrad.gradients.saliency import MinMaxMap, check_layer
from refgrad.optimizers.transform import Transform, check_axes, check_count, check_same
from refgrad.rule import Choice, Citation, Flag, NonNegative, Range, by

_SHAH = Citation(
    "Shah, Jain & Netrapalli 2021",
    "Do Input Gradients Highlight Discriminative Features?",
    "NeurIPS, arXiv:2102.12781",
    read="authors' code",
    source="harshays/inputgradients 3770469, scripts/saliency_utils.py and misc_utils.py",
)
_REBUFFI = Citation(
    "Rebuffi, Fong, Ji & Vedaldi 2020",
    "There and Back Again: Revisiting Backpropagation Saliency Methods",
    "CVPR, arXiv:2004.02866",
    read="authors' code",
    source="srebuffi/revisiting_saliency cc4fbb3, resnet50_grid_saliency.py",
)


def patches(x: Any) -> Any:
    """What a 3x3 kernel sees at each place of maps, with zeros around them: [channel, height, width] to [..., 9] more."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    return windows.reshape(*x.shape, 9)


class NormGrad(Transform):
    """NormGrad: at each place the size of what it adds to the gradient of a virtual identity layer's weights.

    That is x g (a scaling), x g^T (a 1x1 convolution), the 3x3 patch times g^T or g (a full or depthwise 3x3 convolution), or
    g (a bias); then the norm over all its numbers. Source: Rebuffi, Fong, Ji & Vedaldi 2020, arXiv:2004.02866.

    ``activations`` and the score's ``gradients`` by them [channel, height, width]. Gives the map [height, width].
    """

    layer: Annotated[
        str,
        Choice(
            conv1x1=by("activations times gradients, each by each", "authors"),
            conv3x3=by("patches times gradients, each by each", "authors"),
            depthwise3x3=by("patches times the gradient of their channel", "authors: conv3x3_depthwise"),
            scaling=by("activations times gradients of the same channel", "authors"),
            bias=by("gradients alone", "authors"),
        ),
    ] = "conv1x1"
    aggregation: Annotated[
        str,
        Choice(
            norm=by("the Euclidean norm", "authors"),
            positive_norm=by("the norm of the positive ones", "authors: filter_norm"),
            sum=by("the sum", "authors"),
            largest=by("the largest", "authors: max"),
        ),
    ] = "norm"

    citation = _REBUFFI
    shapes: ClassVar[Mapping[str, str]] = {"activations": "channel height width", "gradients": "channel height width"}
    lengths: ClassVar[Mapping[str, int]] = {"channel": 2, "height": 3, "width": 2}
    longest: ClassVar[Mapping[str, int]] = {"channel": 9}
    unspecified = "how maps are resized: `BilinearResize`; the step of the layer's weights before: `MetaNormGradStep`"

    def check(self, *arrays: np.ndarray) -> None:
        check_layer(*arrays)

    def apply(self, activations: Any, gradients: Any) -> Any:
        added = self._added(activations, gradients)
        if self.aggregation == "sum":
            return np.sum(added, axis=0)
        if self.aggregation == "largest":
            return np.max(added, axis=0)
        kept = added if self.aggregation == "norm" else np.maximum(added, 0.0)
        return np.sqrt(np.sum(kept * kept, axis=0))

    def _added(self, x: Any, g: Any) -> Any:
        """What each place adds: [number, height, width]."""
        channels, height, width = g.shape
        if self.layer in ("bias", "scaling"):
            return g if self.layer == "bias" else x * g
        seen = x.reshape(channels, height, width, 1) if self.layer == "conv1x1" else patches(x)
        places = seen.shape[-1]
        seen = np.moveaxis(seen, -1, 1)  # [channel, place in the kernel, height, width]
        if self.layer == "depthwise3x3":
            return (seen * g.reshape(channels, 1, height, width)).reshape(channels * places, height, width)
        seen = seen.reshape(channels * places, 1, height, width)
        pairs = channels * places * channels
        return (seen * g.reshape(1, channels, height, width)).reshape(pairs, height, width)


class MetaNormGradStep(Transform):
    """What a virtual identity layer gives after a step of gradient descent on its weights, at which NormGrad is then taken.

    Of a bias x - lr sum_u g_u; of a scaling x (1 - lr sum_u x_u g_u); of a 1x1 convolution x_u - lr sum_v g_v (x_v . x_u).
    The score's gradient by what it gives is `NormGrad`'s second array, and its own result the first. Source: Rebuffi, Fong,
    Ji & Vedaldi 2020, arXiv:2004.02866 (Meta-NormGrad).

    ``activations`` and the loss's ``gradients`` by them [channel, height, width]. Gives an array of that shape.
    """

    lr: NonNegative = 0.001
    layer: Annotated[
        str,
        Choice(
            conv1x1="a matrix of the channels, which is the identity before",
            scaling="a factor of each channel, which is one before",
            bias="a number of each channel, which is zero before",
        ),
    ] = "conv1x1"
    citation = Citation(
        _REBUFFI.authors,
        _REBUFFI.title,
        _REBUFFI.where,
        read="study",
        source="a recollection of the publication's inner step; the layers' forms are derived",
        unreachable="the code of the meta variant, and the size of its step",
    )
    shapes: ClassVar[Mapping[str, str]] = NormGrad.shapes
    lengths: ClassVar[Mapping[str, int]] = NormGrad.lengths
    longest: ClassVar[Mapping[str, int]] = {"channel": 9}
    unspecified = "the size of the step; whether NormGrad takes activations of before or after it: the caller's"

    def check(self, *arrays: np.ndarray) -> None:
        check_layer(*arrays)

    def apply(self, activations: Any, gradients: Any) -> Any:
        if self.layer == "bias":
            return activations - self.lr * np.sum(gradients, axis=(1, 2), keepdims=True)
        if self.layer == "scaling":
            return activations - self.lr * (np.sum(activations * gradients, axis=(1, 2), keepdims=True) * activations)
        channels = activations.shape[0]
        x, g = activations.reshape(channels, -1), gradients.reshape(channels, -1)
        return activations - self.lr * ((g @ x.T) @ x).reshape(activations.shape)


class SaliencyProduct(Transform):
    """NormGrad's map of several layers: the product of their maps, each from 0 to 1.

    Source: Rebuffi, Fong, Ji & Vedaldi 2020, arXiv:2004.02866.

    ``maps`` [layer, pixel], of one size. Gives [pixel].
    """

    citation = _REBUFFI
    shapes: ClassVar[Mapping[str, str]] = {"maps": "layer pixel"}
    lengths: ClassVar[Mapping[str, int]] = {"layer": 3, "pixel": 5}
    unspecified = "a constant map: zero here, NaN in the authors' code"

    def check(self, *arrays: np.ndarray) -> None:
        MinMaxMap().check(*arrays)
        check_count(arrays[0], "maps", 1, "one row a layer")

    def apply(self, maps: Any) -> Any:
        scaled = MinMaxMap().apply(maps)
        found = scaled[0]
        for layer in range(1, scaled.shape[0]):
            found = found * scaled[layer]
        return found


class RankedMask(Transform):
    """Inputs of which only the coordinates with the largest, or the smallest, scores are kept.

    Of D coordinates round(fraction D) are replaced. Source: Shah, Jain & Netrapalli 2021, arXiv:2102.12781.

    ``x`` and the magnitudes of its gradients, ``scores`` [example, coordinate]. Gives an array of that shape.
    """

    fraction: Annotated[float, Range(0.0, 1.0, open_low=False, open_high=False)] = 0.5
    keep: Annotated[str, Choice(top="the largest scores are kept", bottom="the smallest scores are kept")] = "top"
    replaced_by: Annotated[
        str,
        Choice(
            mean=by("what is not kept is the mean of all inputs", "authors"),
            zero=by("what is not kept is zero", "published: its theory"),
        ),
    ] = "mean"

    citation = _SHAH
    default_reasons = {"replaced_by": "the authors' experiments take the mean, and their theory zero"}
    shapes: ClassVar[Mapping[str, str]] = {"x": "example coordinate", "scores": "example coordinate+"}
    lengths: ClassVar[Mapping[str, int]] = {"example": 2, "coordinate": 7}
    unspecified = (
        "equal scores: any of them; halves in the number of coordinates: to the even one, as in the authors' code; the mean: "
        "of the inputs that are handed in"
    )

    def check(self, *arrays: np.ndarray) -> None:
        check_axes(arrays[0], "x", 2, "[example, coordinate]")
        check_same(arrays[1], "scores", arrays[0].shape, "the shape of x")

    def apply(self, x: Any, scores: Any) -> Any:
        kept = x.shape[1] - round(self.fraction * x.shape[1])
        other = np.mean(x) if self.replaced_by == "mean" else 0.0
        return np.where(top_k(scores if self.keep == "top" else -scores, kept), x, other)


class DiffROAR(Transform):
    """DiffROAR: how much better a model is that is trained on the top-ranked coordinates than one on the bottom-ranked.

    The mean and the standard deviation of top_i - bottom_j over all pairs of runs. Source: Shah, Jain & Netrapalli 2021,
    arXiv:2102.12781.

    ``top`` [run, fraction] and ``bottom`` [other run, fraction]: accuracies on masked data. Gives both, [fraction].
    """

    citation = Citation(
        _SHAH.authors, _SHAH.title, _SHAH.where, read="study", source="a study of the paper and of its authors' code"
    )
    shapes: ClassVar[Mapping[str, str]] = {"top": "run fraction+", "bottom": "other fraction+"}
    lengths: ClassVar[Mapping[str, int]] = {"run": 3, "other": 2, "fraction": 3}
    unspecified = "the deviation: over all pairs, divided by their number"

    def check(self, *arrays: np.ndarray) -> None:
        top, bottom = arrays
        for array, name in ((top, "top"), (bottom, "bottom")):
            check_axes(array, name, 2, "[run, fraction]")
            check_count(array, name, 1, "one row a run")
        check_same(bottom, "bottom", (bottom.shape[0], top.shape[1]), "as many fractions as top")

    def apply(self, top: Any, bottom: Any) -> Any:
        (runs, fractions), others = top.shape, bottom.shape[0]
        pairs = (top.reshape(runs, 1, fractions) - bottom).reshape(runs * others, fractions)
        return {"mean": np.mean(pairs, axis=0), "deviation": np.std(pairs, axis=0)}


class MapGradientLoss(Transform):
    """RADIANCE's loss of a signal map: how its gradients differ from the true map's in magnitude and direction.

    magnitude_weight mean |m - m*| + direction_weight mean (1 - cos(angle between them)), the latter 0 where either gradient
    is. Source: Sarkar, Manshaei & Krunz 2023, arXiv:2308.10584.

    ``predicted`` and ``target`` [height, width]. Gives one number.
    """

    magnitude_weight: NonNegative = 1.0
    direction_weight: NonNegative = 1.0
    stencil: Annotated[
        str,
        Choice(
            forward="differences of neighbours",
            central="halves of differences over two places",
            sobel="central differences, weighted 1, 2, 1 across and divided by 8",
        ),
    ] = "central"
    form: Annotated[
        str,
        Choice(
            polar="magnitudes and directions by themselves",
            vector="the length of the difference of both gradients, times magnitude_weight",
        ),
    ] = "polar"
    weighted: Annotated[bool, Flag("each place counts as much as the target's magnitude there")] = False

    citation = Citation(
        "Sarkar, Manshaei & Krunz 2023",
        "RADIANCE: Radio-Frequency Adversarial Deep-learning Inference for Automated Network Coverage Estimation",
        "arXiv:2308.10584",
        read="study",
        source="a study of the paper's abstract",
        unreachable="any code of the authors",
    )
    shapes: ClassVar[Mapping[str, str]] = {"predicted": "height width", "target": "height width"}
    lengths: ClassVar[Mapping[str, int]] = {"height": 4, "width": 4}
    unspecified = (
        "the stencil, the weights and the measure of direction, of which the abstract says nothing; the border: only places "
        "that have all neighbours"
    )

    def check(self, *arrays: np.ndarray) -> None:
        predicted, target = arrays
        check_axes(predicted, "predicted", 2, "[height, width]")
        least = 2 if self.stencil == "forward" else 3
        enough = (max(least, predicted.shape[0]), max(least, predicted.shape[1]))
        check_same(predicted, "predicted", enough, "a place that has all its neighbours")
        check_same(target, "target", predicted.shape, "the shape of predicted")

    def apply(self, predicted: Any, target: Any) -> Any:
        (along, across), (true_along, true_across) = self._gradient(predicted), self._gradient(target)
        size = np.sqrt(along * along + across * across)
        true_size = np.sqrt(true_along * true_along + true_across * true_across)
        share = true_size if self.weighted else 1.0
        if self.form == "vector":
            left, right = along - true_along, across - true_across
            return self.magnitude_weight * np.mean(share * np.sqrt(left * left + right * right))
        lengths = size * true_size
        cosine = (along * true_along + across * true_across) / np.where(lengths == 0, 1.0, lengths)
        turned = np.where(lengths == 0, 0.0, 1.0 - cosine)
        of_size = self.magnitude_weight * np.mean(share * np.abs(size - true_size))
        return of_size + self.direction_weight * np.mean(share * turned)

    def _gradient(self, x: Any) -> tuple[Any, Any]:
        """Differences along the width and along the height."""
        if self.stencil == "forward":
            return x[:-1, 1:] - x[:-1, :-1], x[1:, :-1] - x[:-1, :-1]
        along, across = 0.5 * (x[:, 2:] - x[:, :-2]), 0.5 * (x[2:, :] - x[:-2, :])
        if self.stencil == "central":
            return along[1:-1, :], across[:, 1:-1]
        smooth = 0.25 * (along[:-2, :] + 2.0 * along[1:-1, :] + along[2:, :])
        return smooth, 0.25 * (across[:, :-2] + 2.0 * across[:, 1:-1] + across[:, 2:])
