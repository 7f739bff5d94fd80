"""Balance between losses, and what a network shares or takes: guided losses, prior biases, gated sharing, encodings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.optimizers.transform import Transform, check_axes, check_count, check_same
from refgrad.rule import Choice, Citation, Fraction, NonNegative, Positive, Real, Whole, by

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


class MagnitudeInvariantHypernetwork(Transform):
    """A network's parameters by hyperparameters: what a hypernetwork of one hidden layer adds to parameters of their own.

    theta = theta_0 + V phi(C cos(pi/2 gamma) + S sin(pi/2 gamma)), phi a leaky rectifier. Source: Ortiz, Guttag & Dalca 2023,
    arXiv:2304.07645.

    ``gamma`` [hyperparameter], each from 0 to 1; ``of_cosines`` C and ``of_sines`` S [unit, hyperparameter]; ``output`` V
    [parameter, unit]; ``base`` theta_0 [parameter]. Gives [parameter].
    """

    slope: NonNegative = 0.01
    form: Annotated[
        str,
        Choice(
            residual=by("what is predicted is added to parameters that are learned as they are", "published"),
            default="what is predicted is all: the form of hypernetworks before it",
        ),
    ] = "residual"
    encoding: Annotated[
        str,
        Choice(
            circle=by("cosines and sines of a quarter turn", "published"),
            proportional="the numbers and nothing: predicted parameters grow in proportion to them",
        ),
    ] = "circle"

    citation = Citation(
        "Ortiz, Guttag & Dalca 2023",
        "Magnitude Invariant Parametrizations Improve Hypernetwork Learning",
        "arXiv:2304.07645",
        read="authors' code",
        source="JJGO/hyperlight a3e2108, by notes on it and on the publication, where theta_0 is the last layer's bias",
        unreachable="the number of hidden layers, and how they start: the caller's",
    )
    shapes: ClassVar[Mapping[str, str]] = {
        "gamma": "hyperparameter+",
        "of_cosines": "unit hyperparameter",
        "of_sines": "unit hyperparameter",
        "output": "parameter unit",
        "base": "parameter",
    }
    lengths: ClassVar[Mapping[str, int]] = {"hyperparameter": 2, "unit": 3, "parameter": 4}
    unspecified = "biases of the hidden layer: none, so that what is added grows in proportion to what comes in"

    def check(self, *arrays: np.ndarray) -> None:
        gamma, of_cosines, of_sines, output, base = arrays
        check_axes(gamma, "gamma", 1, "one number a hyperparameter")
        check_axes(of_cosines, "of_cosines", 2, "[unit, hyperparameter]")
        check_same(of_cosines, "of_cosines", (len(of_cosines), len(gamma)), "one column a hyperparameter")
        check_same(of_sines, "of_sines", of_cosines.shape, "the shape of of_cosines")
        check_axes(output, "output", 2, "[parameter, unit]")
        check_same(output, "output", (len(output), len(of_cosines)), "one column a row of of_cosines")
        check_same(base, "base", output.shape[:1], "one number a row of output")

    def apply(self, gamma: Any, of_cosines: Any, of_sines: Any, output: Any, base: Any) -> Any:
        turn = gamma * (math.pi / 2)
        if self.encoding == "circle":
            hidden = of_cosines @ np.cos(turn) + of_sines @ np.sin(turn)
        else:
            hidden = of_cosines @ gamma
        predicted = output @ np.where(hidden > 0, hidden, self.slope * hidden)
        return base + predicted if self.form == "residual" else predicted


class SubnetDistillation(Transform):
    """The loss of a subnet of a language model: a share of distillation from the largest one, the rest of next tokens.

    kd CE(softmax(teacher), student) + (1 - kd) CE(label, student), each a mean over the tokens whose label counts. Source: Fu
    et al. 2024, NeurIPS.

    ``student`` and ``teacher`` logits [token, class]; ``labels`` of the tokens that follow [token]; ``counted`` [token], 1 of
    tokens whose label counts. Gives the loss and both parts.
    """

    share: Fraction = 0.5
    divergence: Annotated[
        str,
        Choice(
            cross_entropy=by("of the teacher's probabilities, whose entropy stays in the loss's value", "published"),
            kullback_leibler="without the teacher's entropy: zero of equal logits",
        ),
    ] = "cross_entropy"
    empty: Annotated[
        str,
        Choice(
            zero="where no token counts the loss is zero",
            undefined=by("where no token counts the loss is 0/0", "published"),
        ),
    ] = "zero"

    default_reasons = {"empty": "a batch of which no token counts leaves the subnet as it is"}
    citation = Citation(
        "Fu et al. 2024",
        "AmoebaLLM: Constructing Any-Shape Large Language Models for Efficient and Instant Deployment",
        "NeurIPS, arXiv:2411.10606",
        read="study",
        source="a study of GATECH-EIC/AmoebaLLM abb8f7e, a patched trainer",
        unreachable="the share, and the publication's own name of the divergence",
    )
    shapes: ClassVar[Mapping[str, str]] = {
        "student": "token class",
        "teacher": "token class",
        "labels": "token below:class",
        "counted": "token below:2",
    }
    lengths: ClassVar[Mapping[str, int]] = {"token": 5, "class": 4}
    unspecified = (
        "which tokens count: the caller's; the authors' trainer masks distillation by the label of the token itself and not of "
        "the one that follows"
    )

    def check(self, *arrays: np.ndarray) -> None:
        student, teacher, labels, counted = arrays
        check_axes(student, "student", 2, "[token, class]")
        check_same(student[:, :0], "student", (len(student), 0), "one row a token")
        check_count(student.T, "student.T", 1, "one logit a class")
        check_same(teacher, "teacher", student.shape, "the shape of student")
        check_same(labels, "labels", student.shape[:1], "one a token")
        check_same(counted, "counted", student.shape[:1], "one a token")

    def apply(self, student: Any, teacher: Any, labels: Any, counted: Any) -> Any:
        chosen, known = _log_softmax(student), _log_softmax(teacher)
        said = chosen if self.divergence == "cross_entropy" else chosen - known
        distilled = -np.sum(np.exp(known) * said, axis=1)
        of_labels = -np.sum(np.where(labels[:, None] == np.arange(student.shape[1]), chosen, 0.0), axis=1)
        parts = [self._mean(each, counted) for each in (distilled, of_labels)]
        whole = self.share * parts[0] + (1.0 - self.share) * parts[1]
        return {"loss": whole, "distillation": parts[0], "language": parts[1]}

    def _mean(self, losses: Any, counted: Any) -> Any:
        """Over the tokens that count."""
        count = float(np.sum(counted))
        if self.empty == "zero":
            count = max(count, 1.0)
        return np.sum(np.where(counted == 1, losses, 0.0)) / count


def _log_softmax(logits: Any) -> Any:
    above = logits - np.max(logits, axis=1, keepdims=True)
    return above - np.log(np.sum(np.exp(above), axis=1, keepdims=True))
