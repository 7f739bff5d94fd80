"""The noise of stochastic gradient descent: its covariance and temperature, of the hinge loss too, and noise that is put in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.optimizers.transform import Transform, check_axes, check_count, check_same
from refgrad.rule import Choice, Citation, NonNegative, Positive, Whole, by

_NOISE = Citation(
    "Sclocchi, Geiger & Wyart 2023",
    "Dissecting the Effects of SGD Noise in Distinct Regimes of Deep Learning",
    "ICML, arXiv:2301.13703",
    read="study",
    source="a study of the abstract and of a follow-up, arXiv:2309.10688; covariances are derived",
)

Sampling = Annotated[
    str,
    Choice(
        replacement="every example of a batch is drawn from all: S / B",
        distinct="a batch's examples differ: S / B (n - B) / (n - 1), none for the whole batch",
    ),
]


def sampled(batch: int, count: int, sampling: str) -> float:
    """By how much the covariance of one example's gradient is divided in a batch's mean, as a factor."""
    if sampling == "replacement" or count == 1:
        return 1 / batch
    return (count - batch) / (batch * (count - 1))


def _covariance(rows: Any) -> Any:
    """That of rows; divisor n."""
    centred = rows - np.mean(rows, axis=0)
    return centred.T @ centred / len(rows)


class GradientNoise(Transform):
    """The covariance of the noise of a step of SGD: lr**2 S / B, S the covariance of the examples' gradients.

    ``gradients`` [examples, parameters]. Gives [parameters, parameters]. Over unit time, of which a step takes lr, it is S times
    the temperature lr / B. Source: Sclocchi, Geiger & Wyart 2023, arXiv:2301.13703.
    """

    lr: Positive = 0.1
    batch: Annotated[int, Whole(1)] = 2
    sampling: Sampling = "replacement"
    unit: Annotated[
        str,
        Choice(
            step="that of one step",
            time=by("that of unit time: of 1 / lr steps", "published: T = lr / B"),
        ),
    ] = "step"
    default_reasons: ClassVar[Mapping[str, str]] = {"unit": "a step is what a program makes"}
    citation = _NOISE
    shapes: ClassVar[Mapping[str, str]] = {"gradients": "example parameter"}
    lengths: ClassVar[Mapping[str, int]] = {"example": 5, "parameter": 3}
    unspecified = "how batches are drawn (sampling); S has the divisor n"

    def check(self, *arrays: np.ndarray) -> None:
        check_axes(arrays[0], "gradients", 2, "[examples, parameters]")
        least = self.batch if self.sampling == "distinct" else 1
        check_count(
            arrays[0], "gradients", least, "one row an example, a batch of them at least where they are distinct"
        )

    def apply(self, gradients: Any) -> Any:
        factor = self.lr * sampled(self.batch, len(gradients), self.sampling)
        return (factor if self.unit == "time" else self.lr * factor) * _covariance(gradients)


class LazyHingeLoss(Transform):
    """The mean hinge loss of a network whose output is taken from its start and multiplied by alpha, over a power of alpha.

    ``outputs`` and ``initial`` [examples], ``labels`` [examples] of zero and one, which stand for -1 and 1. With
    F = alpha (f - f_0) gives the mean of max(0, 1 - y F), divided, and its derivative by each output. Source: Sclocchi, Geiger
    & Wyart 2023, arXiv:2301.13703; Chizat, Oyallon & Bach 2019, arXiv:1812.07956.
    """

    alpha: Positive = 2.0
    divisor: Annotated[
        str,
        Choice(alpha="the loss is divided by alpha", squared="by its square"),
    ] = "alpha"
    citation = _NOISE
    shapes: ClassVar[Mapping[str, str]] = {"outputs": "example", "initial": "example", "labels": "example below:2"}
    lengths: ClassVar[Mapping[str, int]] = {"example": 5}
    unspecified = (
        "where the margin stands, on the multiplied output here, and by which power of alpha the loss is divided "
        "(divisor): the publication's own text was not read; the derivative at the kink: 0, or what it is below"
    )

    def check(self, *arrays: np.ndarray) -> None:
        outputs, initial, labels = arrays
        check_axes(outputs, "outputs", 1, "one number an example")
        check_count(outputs, "outputs", 1, "one number an example")
        check_same(initial, "initial", outputs.shape, "the shape of outputs")
        check_same(labels, "labels", outputs.shape, "one label an example")

    def apply(self, outputs: Any, initial: Any, labels: Any) -> Any:
        sign = _signs(labels, outputs)
        left = 1.0 - sign * (self.alpha * (outputs - initial))
        divisor = self.alpha if self.divisor == "alpha" else self.alpha**2
        slope = np.where(left > 0, -sign * (self.alpha / (divisor * len(outputs))), 0.0)
        return {"loss": np.mean(np.maximum(left, 0.0)) / divisor, "slope": slope}


def _signs(labels: Any, like: Any) -> Any:
    """Minus one of zero, one of one, in the dtype of another array."""
    return (2 * labels - 1).astype(like.dtype)


class PerceptronNoise(Transform):
    """The covariance of a perceptron's per-example gradients under the hinge loss: examples beyond the margin have none.

    ``inputs`` x [examples, features], ``labels`` y [examples] of zero and one, which stand for -1 and 1, ``weight``
    [features]. An example's gradient is -y x where y (w . x) < 1, else zero. Gives [features, features]. Source: Sclocchi,
    Geiger & Wyart 2023, arXiv:2301.13703.
    """

    examples: Annotated[
        str,
        Choice(
            all="over all examples: the noise of a batch that is drawn from all",
            unfitted="over those within the margin alone; zero where there is none",
        ),
    ] = "all"
    citation = _NOISE
    shapes: ClassVar[Mapping[str, str]] = {
        "inputs": "example feature",
        "labels": "example below:2",
        "weight": "feature",
    }
    lengths: ClassVar[Mapping[str, int]] = {"example": 5, "feature": 3}
    unspecified = "examples on the margin: either way"

    def check(self, *arrays: np.ndarray) -> None:
        inputs, labels, weight = arrays
        check_axes(inputs, "inputs", 2, "[examples, features]")
        check_count(inputs, "inputs", 1, "one row an example")
        check_same(labels, "labels", inputs.shape[:1], "one label an example")
        check_same(weight, "weight", inputs.shape[1:], "one number a feature")

    def apply(self, inputs: Any, labels: Any, weight: Any) -> Any:
        sign = _signs(labels, inputs)
        active = np.where(sign * (inputs @ weight) < 1.0, 1.0, 0.0).astype(inputs.dtype)
        gradients = -active[:, None] * sign[:, None] * inputs
        if self.examples == "all":
            return _covariance(gradients)
        count = np.maximum(np.sum(active), 1.0)
        centred = active[:, None] * (gradients - np.sum(gradients, axis=0) / count)
        return centred.T @ centred / count


class WeightVariation(Transform):
    """How far weights have gone from their start, relative to it: |w - w_0| / |w_0|; zero where they have not moved.

    ``w`` and ``initial`` [parameters]. Source: Sclocchi, Geiger & Wyart 2023, arXiv:2301.13703.
    """

    citation = _NOISE
    shapes: ClassVar[Mapping[str, str]] = {"w": "parameter", "initial": "parameter"}
    lengths: ClassVar[Mapping[str, int]] = {"parameter": 5}
    unspecified = "weights that were zero: infinite, or zero where they are still"

    def check(self, *arrays: np.ndarray) -> None:
        check_same(arrays[1], "initial", arrays[0].shape, "the shape of w")

    def apply(self, w: Any, initial: Any) -> Any:
        moved = np.sqrt(np.sum((w - initial) ** 2))
        return np.where(moved == 0, 0.0, moved / np.sqrt(np.sum(initial * initial)))


class MultiplicativeGradientNoise(Transform):
    """A large batch's mean gradient with noise as a small batch has it: each example's gradient times 1 + deviation z.

    ``gradients`` [examples, parameters], ``noise`` z [examples] of standard normal numbers. ``deviation`` is the root of the
    batch's size over the small one's, ``size``: a variance that is proportional to the batch. Source: Hoffer, Hubara & Soudry
    2017, arXiv:1705.08741.
    """

    size: Annotated[int, Whole(1)] = 2
    noise: Annotated[
        str,
        Choice(
            examples=by("each example's gradient has a factor of its own", "published"),
            batch="the whole mean has one factor, that of the first",
        ),
    ] = "examples"
    citation = Citation(
        "Hoffer, Hubara & Soudry 2017",
        "Train longer, generalize better",
        "arXiv:1705.08741, section 4",
        read="study",
        source="the publication from memory: factors of mean one, of a variance in proportion to the batch",
    )
    shapes: ClassVar[Mapping[str, str]] = {"gradients": "example parameter", "noise": "example"}
    lengths: ClassVar[Mapping[str, int]] = {"example": 5, "parameter": 3}
    unspecified = "the constant of the proportion: the batch's size over the small one's here"

    def check(self, *arrays: np.ndarray) -> None:
        gradients, noise = arrays
        check_axes(gradients, "gradients", 2, "[examples, parameters]")
        check_count(gradients, "gradients", 1, "one row an example")
        check_same(noise, "noise", gradients.shape[:1], "one number an example")

    def apply(self, gradients: Any, noise: Any) -> Any:
        factor = 1.0 + (len(gradients) / self.size) ** 0.5 * noise
        if self.noise == "batch":
            return factor[0] * np.mean(gradients, axis=0)
        return np.mean(factor[:, None] * gradients, axis=0)


class LocalVarianceReducedStep(Transform):
    """A worker's local step in BVR-L-SGD: the last estimate, corrected by a batch's gradients at the new and the old parameters.

    ``p`` [parameters], ``gradients`` and ``previous`` [examples, parameters] of one batch at the last two parameters,
    ``estimate`` v [parameters]. Gives p - lr v' and v' = v + mean(gradients - previous). The first v of a round is the one that
    all workers have; of DIFF2, its private estimate. Source: Murata & Suzuki 2021, arXiv:2102.03198, as DIFF2's subroutine.
    """

    lr: NonNegative = 0.1
    citation = Citation(
        "Murata & Suzuki 2021",
        "Bias-Variance Reduced Local SGD for Less Heterogeneous Federated Learning",
        "ICML, arXiv:2102.03198; Murata & Suzuki 2023, arXiv:2302.03884",
        read="study",
        source="a summary of the second publication by others",
    )
    shapes: ClassVar[Mapping[str, str]] = {
        "p": "parameter",
        "gradients": "example parameter",
        "previous": "example parameter",
        "estimate": "parameter",
    }
    lengths: ClassVar[Mapping[str, int]] = {"example": 4, "parameter": 3}
    unspecified = (
        "the private form's clipping and noise of these steps: `PrivateLocalStep`; whose last parameters all go on with: "
        "those of one worker, drawn"
    )

    def check(self, *arrays: np.ndarray) -> None:
        p, gradients, previous, estimate = arrays
        check_axes(gradients, "gradients", 2, "[examples, parameters]")
        check_count(gradients, "gradients", 1, "one row an example")
        check_same(previous, "previous", gradients.shape, "the shape of gradients")
        for array, name in ((p, "p"), (estimate, "estimate")):
            check_same(array, name, gradients.shape[1:], "one number a parameter")

    def apply(self, p: Any, gradients: Any, previous: Any, estimate: Any) -> Any:
        estimate = np.mean(gradients - previous, axis=0) + estimate
        return {"p": p - self.lr * estimate, "estimate": estimate}


class PrivateLocalStep(Transform):
    """A worker's local step in DIFF2 with BVR-L-SGD: as `LocalVarianceReducedStep`, of differences that are clipped, with noise.

    ``p`` and ``last`` [parameters], the last two; ``gradients`` and ``previous`` [examples, parameters] of one batch at them,
    ``estimate`` v [parameters], ``noise`` [parameters] of standard normal numbers. Each example's difference is clipped to C =
    ``radius`` |p - last|; v' = v + their mean + C ``noise_scale`` noise. Gives p - lr v' and v'. Source: Murata & Suzuki 2023,
    arXiv:2302.03884.
    """

    lr: NonNegative = 0.1
    radius: Positive = 1.0
    noise_scale: NonNegative = 0.01
    citation = Citation(
        "Murata & Suzuki 2023",
        "DIFF2: Differential Private Optimization via Gradient Differences for Nonconvex Distributed Learning",
        "arXiv:2302.03884",
        read="study",
        source="a summary of the publication by others, and its rounds' clipping, which this takes over",
        unreachable="the clipping and the noise of local steps, which the fork of the authors' code does not have",
    )
    shapes: ClassVar[Mapping[str, str]] = {
        "p": "parameter",
        "last": "parameter",
        "gradients": "example parameter",
        "previous": "example parameter",
        "estimate": "parameter",
        "noise": "parameter",
    }
    lengths: ClassVar[Mapping[str, int]] = {"example": 4, "parameter": 3}
    unspecified = (
        "how large the noise is for a budget of privacy: the caller's; a difference with NaN: NaN in all its numbers"
    )
    revision = 2  # of a difference with NaN the other numbers were not

    def check(self, *arrays: np.ndarray) -> None:
        p, last, gradients, previous, estimate, noise = arrays
        check_axes(gradients, "gradients", 2, "[examples, parameters]")
        check_count(gradients, "gradients", 1, "one row an example")
        check_same(previous, "previous", gradients.shape, "the shape of gradients")
        for array, name in ((p, "p"), (last, "last"), (estimate, "estimate"), (noise, "noise")):
            check_same(array, name, gradients.shape[1:], "one number a parameter")

    def apply(self, p: Any, last: Any, gradients: Any, previous: Any, estimate: Any, noise: Any) -> Any:
        radius = self.radius * np.sqrt(np.sum((p - last) ** 2))
        apart = gradients - previous
        length = np.sqrt(np.sum(apart * apart, axis=1, keepdims=True))
        clipped = np.where(length <= radius, apart, (radius / np.where(length == 0, 1.0, length)) * apart)
        estimate = np.mean(clipped, axis=0) + estimate + radius * self.noise_scale * noise
        return {"p": p - self.lr * estimate, "estimate": estimate}
