"""Balance between losses, and what a network shares or takes: guided losses, prior biases, gated sharing, encodings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.optimizers.transform import Transform, check_axes, check_count, check_same
from refgrad.rule import Choice, Citation, Positive, Real, Whole, by

OFVL_MS = Citation(
    "Xie et al. 2023",
    "OFVL-MS: Once for Visual Localization across Multiple Indoor Scenes",
    "arXiv:2308.11928",
    read="authors' code",
    source="mooncake199809/UFVL-Net b0976db, by notes on it and on the abstract",
    unreachable="the training code",
)
_SAMPLING_FREE = Citation(
    "Chen et al. 2019",
    "Is Heuristic Sampling Necessary in Training Deep Object Detectors?",
    "arXiv:1909.04868",
    read="authors' code",
    source="ChenJoya/sampling-free 5f133dc, maskrcnn_benchmark/modeling/sampling_free.py",
)


def check_tasks(*arrays: np.ndarray, names: tuple[str, ...]) -> None:
    """Check gradients of tasks, and arrays of one number a task beside them.

    Args:
        arrays: the gradients [task, parameter], then the others.
        names: what errors call them.

    Raises:
        ArgumentError: shapes do not fit.
    """
    check_axes(arrays[0], names[0], 2, "[task, parameter]")
    check_count(arrays[0], names[0], 1, "one row a task")
    for array, name in zip(arrays[1:], names[1:], strict=True):
        check_same(array, name, arrays[0].shape[:1], f"one number a row of {names[0]}")


class PriorBias(Transform):
    """The bias of a detector's classification head by how many anchors are foreground, and the threshold of its scores.

    pi = (foreground / (foreground + background)) / classes; b = -log((1 - pi)/pi), so that sigmoid(b) = pi; the threshold is
    pi times classes. Source: Chen et al. 2019, arXiv:1909.04868.

    ``foreground``, ``background`` [image]: counts of anchors, without those between both thresholds. Gives three numbers.
    """

    classes: Annotated[int, Whole(1)] = 80

    citation = _SAMPLING_FREE
    shapes: ClassVar[Mapping[str, str]] = {"foreground": "image+", "background": "image+"}
    lengths: ClassVar[Mapping[str, int]] = {"image": 4}
    unspecified = "no foreground, or nothing else with one class: the bias is infinite"

    def check(self, *arrays: np.ndarray) -> None:
        check_axes(arrays[0], "foreground", 1, "one count an image")
        check_same(arrays[1], "background", arrays[0].shape, "the shape of foreground")

    def apply(self, foreground: Any, background: Any) -> Any:
        inside, outside = np.sum(foreground), np.sum(background)
        prior = inside / (inside + outside) / float(self.classes)
        return {"prior": prior, "bias": -np.log((1.0 - prior) / prior), "threshold": prior * float(self.classes)}


class GuidedLossScaling(Transform):
    """A classification loss scaled to the value of the regression loss, by a factor that is held constant.

    w = L_reg/L_cls; the scaled loss w L_cls has the value of L_reg and the gradient w dL_cls. Both are sums, over the number
    of foreground anchors and images, and of foreground anchors times ``regression_norm`` (at least 1). Source: Chen et al.
    2019, arXiv:1909.04868.

    ``classification``, ``regression`` [anchor]: losses of anchors; ``foreground`` [image]: numbers of foreground anchors;
    ``gradient`` [parameter]: that of the sum of ``classification``. Gives the loss, the factor and the gradient.
    """

    regression_norm: Positive = 1.0
    normalizer: Annotated[
        str,
        Choice(
            foreground_and_images=by("classification is divided by foreground anchors and images", "authors"),
            foreground="classification is divided by foreground anchors",
        ),
    ] = "foreground_and_images"

    citation = Citation(
        _SAMPLING_FREE.authors,
        _SAMPLING_FREE.title,
        _SAMPLING_FREE.where,
        read="authors' code",
        source="ChenJoya/sampling-free 5f133dc, guided_loss_scaling, and the normalizers by notes on that code",
    )
    shapes: ClassVar[Mapping[str, str]] = {
        "classification": "anchor+",
        "regression": "anchor+",
        "foreground": "image+",
        "gradient": "parameter",
    }
    lengths: ClassVar[Mapping[str, int]] = {"anchor": 6, "image": 2, "parameter": 4}
    unspecified = "a classification loss of zero: no number"

    def check(self, *arrays: np.ndarray) -> None:
        check_axes(arrays[0], "classification", 1, "one loss an anchor")
        check_same(arrays[1], "regression", arrays[0].shape, "the shape of classification")
        check_axes(arrays[2], "foreground", 1, "one count an image")
        check_axes(arrays[3], "gradient", 1, "one number a parameter")

    def apply(self, classification: Any, regression: Any, foreground: Any, gradient: Any) -> Any:
        count = np.sum(foreground)
        divisor = count + float(foreground.shape[0]) if self.normalizer == "foreground_and_images" else count
        of_classes = np.sum(classification) / divisor
        of_boxes = np.sum(regression) / np.maximum(1.0, count * self.regression_norm)
        scale = of_boxes / of_classes
        return {"loss": scale * of_classes, "scale": scale, "gradient": scale * (gradient / divisor)}


class LossMagnitudeBalance(Transform):
    """The gradient of several subnets' losses, each scaled to the value of the largest subnet's by a constant factor.

    l_i' = l_i (l_0 / l_i), the factor held constant, so that the gradient is sum (l_0/l_i) dl_i. Source: Fu et al. 2024,
    NeurIPS.

    ``losses`` [subnet], the largest subnet's first; ``gradients`` [subnet, parameter]. Gives the factors and the gradient.
    """

    citation = Citation(
        "Fu et al. 2024",
        "AmoebaLLM: Constructing Any-Shape Large Language Models for Efficient and Instant Deployment",
        "NeurIPS, arXiv:2411.10606",
        read="study",
        source="a study of GATECH-EIC/AmoebaLLM abb8f7e, a patched trainer",
    )
    shapes: ClassVar[Mapping[str, str]] = {"losses": "subnet+", "gradients": "subnet parameter"}
    lengths: ClassVar[Mapping[str, int]] = {"subnet": 3, "parameter": 5}
    unspecified = "losses of zero: no number; negative ones turn their gradient round"

    def check(self, *arrays: np.ndarray) -> None:
        check_tasks(arrays[1], arrays[0], names=("gradients", "losses"))

    def apply(self, losses: Any, gradients: Any) -> Any:
        factors = np.concatenate([np.ones_like(losses[:1]), losses[:1] / losses[1:]])
        return {"factors": factors, "gradient": np.sum(factors.reshape(-1, 1) * gradients, axis=0)}


class ScoreGatedSharing(Transform):
    """A layer's weights, each group of them shared between scenes or specific to one by a learned score, and its gradients.

    W = b W_shared + (1 - b) W_specific, b = 1 where the score is at most ``threshold``; the gradient of a score, straight
    through b, is the sum over its group of dL/dW (W_shared - W_specific). Source: Xie et al. 2023, arXiv:2308.11928.

    ``scores`` [group] (of input channels, of positions of the kernel, or one of the whole layer); ``shared``, ``specific``
    and ``upstream`` [group, weight], the last the loss's gradient by W. Gives W and three gradients.
    """

    threshold: Real = 0.5
    shares: Annotated[
        str,
        Choice(
            low=by("a low score shares", "authors"),
            high="a high score shares: the usual sense of a gate",
        ),
    ] = "low"

    citation = OFVL_MS
    shapes: ClassVar[Mapping[str, str]] = {
        "scores": "group",
        "shared": "group weight",
        "specific": "group weight",
        "upstream": "group weight",
    }
    lengths: ClassVar[Mapping[str, int]] = {"group": 5, "weight": 4}
    unspecified = "a score that is the threshold: shared; the penalty on scores, which no code that was released has"

    def check(self, *arrays: np.ndarray) -> None:
        scores, shared, specific, upstream = arrays
        check_tasks(shared, scores, names=("shared", "scores"))
        check_same(specific, "specific", shared.shape, "the shape of shared")
        check_same(upstream, "upstream", shared.shape, "the shape of shared")

    def apply(self, scores: Any, shared: Any, specific: Any, upstream: Any) -> Any:
        bit = np.where(scores <= self.threshold, 1.0, 0.0) if self.shares == "low" else self._high(scores)
        bit = bit.reshape(-1, 1)
        return {
            "weights": bit * shared + (1.0 - bit) * specific,
            "grad_scores": np.sum(upstream * (shared - specific), axis=1),
            "grad_shared": bit * upstream,
            "grad_specific": (1.0 - bit) * upstream,
        }

    def _high(self, scores: Any) -> Any:
        return np.where(scores >= self.threshold, 1.0, 0.0)


class MagnitudeInvariantEncoding(Transform):
    """What a hypernetwork takes for hyperparameters from 0 to 1: their cosines and sines, whose norm is the same for all.

    ``gamma`` [hyperparameters], each from 0 to 1. Gives [2 hyperparameters]: all cosines of pi/2 times them, then all sines.
    Source: Ortiz, Guttag & Dalca 2023, arXiv:2304.07645.
    """

    encoding: Annotated[
        str,
        Choice(
            circle="cosines and sines of a quarter turn, of one Euclidean norm",
            complement=by("the numbers, then one less them: of one 1-norm alone", "authors"),
        ),
    ] = "circle"

    citation = Citation(
        "Ortiz, Guttag & Dalca 2023",
        "Magnitude Invariant Parametrizations Improve Hypernetwork Learning",
        "arXiv:2304.07645",
        read="authors' code",
        source="JJGO/hyperlight a3e2108, by notes on it and on the publication",
    )
    shapes: ClassVar[Mapping[str, str]] = {"gamma": "hyperparameter+"}
    lengths: ClassVar[Mapping[str, int]] = {"hyperparameter": 5}
    unspecified = "numbers beyond 0 and 1, of which the authors' code warns: encoded as they are"

    def check(self, *arrays: np.ndarray) -> None:
        """One number a hyperparameter."""
        check_axes(arrays[0], "gamma", 1, "one number a hyperparameter")

    def apply(self, gamma: Any) -> Any:
        if self.encoding == "complement":
            return np.concatenate([gamma, 1.0 - gamma])
        turn = gamma * (math.pi / 2)
        return np.concatenate([np.cos(turn), np.sin(turn)])
