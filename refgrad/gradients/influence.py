"""Influence of training examples: by gradients at checkpoints, by scores of one example, by sampling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.errors import bad_argument
from refgrad.optimizers.transform import Transform, check_axes, check_count, check_same
from refgrad.rule import Choice, Citation, Flag, NonNegative, Range, Whole, by

_PAUL = Citation(
    "Paul, Ganguli & Dziugaite 2021",
    "Deep Learning on a Data Diet: Finding Important Examples Early in Training",
    "NeurIPS, arXiv:2107.07075",
    read="authors' code",
    source="mansheej/data_diet aee462e, by notes on it",
)
_ROSENFELD = Citation(
    "Rosenfeld & Risteski 2024",
    "Outliers with Opposing Signals Have an Outsized Effect on Neural Network Optimization",
    "ICLR, arXiv:2311.04163",
    source="a recollection of the publication; the terms are those of a Taylor expansion, the choice of groups is not its text",
)
_LU = Citation(
    "Lu et al. 2023",
    "PA&DA: Jointly Sampling PAth and DAta for Consistent NAS",
    "CVPR, arXiv:2302.14772",
    read="authors' code",
    source="ShunLu91/PA-DA e65ad62, by notes on it",
)


class CheckpointInfluence(Transform):
    """The influence of training examples on test examples: rates times products of gradients, over checkpoints (TracIn).

    ``train`` [checkpoint, example, parameter], ``test`` [checkpoint, test example, parameter], ``rate`` [checkpoint]. Gives
    [example, test example]; positive is a proponent. Source: Pruthi et al. 2020, arXiv:2002.08484.
    """

    citation = Citation(
        "Pruthi, Liu, Sundararajan & Kale 2020",
        "Estimating Training Data Influence by Tracing Gradient Descent",
        "NeurIPS, arXiv:2002.08484",
        source="independent notes on the publication and on captum faac087",
    )
    shapes: ClassVar[Mapping[str, str]] = {"train": "c n p", "test": "c t p", "rate": "c+"}
    lengths: ClassVar[Mapping[str, int]] = {"c": 3, "n": 4, "t": 2, "p": 5}
    longest: ClassVar[Mapping[str, int]] = {"c": 33, "n": 65, "t": 65, "p": 257}
    unspecified = "a batch's size: not divided by"

    def check(self, *arrays: np.ndarray) -> None:
        train, test, rate = arrays
        check_axes(train, "train", 3, "checkpoints, examples and parameters")
        check_axes(test, "test", 3, "checkpoints, test examples and parameters")
        check_same(test[:, :0], "test", (len(train), 0, train.shape[2]), "the checkpoints and parameters of train")
        check_same(rate, "rate", train.shape[:1], "one a checkpoint")

    def apply(self, train: Any, test: Any, rate: Any) -> Any:
        products = np.sum(train[:, :, None, :] * test[:, None, :, :], axis=3)
        return np.sum(rate[:, None, None] * products, axis=0)


class _Scores(Transform):
    """What scores of single examples share: logits and labels."""

    shapes: ClassVar[Mapping[str, str]] = {"logits": "n k", "labels": "n below:k"}
    lengths: ClassVar[Mapping[str, int]] = {"n": 6, "k": 4}

    def check(self, *arrays: np.ndarray) -> None:
        logits, labels = arrays[0], arrays[-1]
        check_axes(logits, "logits", 2, "examples and classes")
        if not logits.shape[1]:
            raise bad_argument("logits.shape", logits.shape, "one class at least")
        check_same(labels, "labels", logits.shape[:1], "one an example")
        if labels.size and not 0 <= int(labels.min()) <= int(labels.max()) < logits.shape[1]:
            raise bad_argument("labels", labels.tolist(), f"classes from 0 to {logits.shape[1] - 1}")


class ErrorNorm(_Scores):
    """The length of the error of each example's prediction, softmax of the logits less the label (EL2N).

    From 0 to the root of two. Source: Paul, Ganguli & Dziugaite 2021, arXiv:2107.07075.
    """

    norm: Annotated[
        str,
        Choice(
            euclidean=by("the Euclidean norm", "published: EL2N"),
            manhattan=by("the sum of magnitudes", "authors: an option"),
        ),
    ] = "euclidean"
    citation = _PAUL
    unspecified = "averages over runs: none; one run is handed in"

    def apply(self, logits: Any, labels: Any) -> Any:
        error = _errors(logits, labels)
        if self.norm == "manhattan":
            return np.sum(np.abs(error), axis=1)
        return np.sqrt(np.sum(error * error, axis=1))


class LastLayerGradientNorm(_Scores):
    """The norm of the gradient of each example's cross entropy in a last linear layer (GraNd of that layer).

    ``features`` [example, feature]: what the layer takes. Source: Paul, Ganguli & Dziugaite 2021, arXiv:2107.07075; the closed
    form is derived.
    """

    bias: Annotated[bool, Flag("the layer has a bias, whose gradient counts too")] = True
    citation = _PAUL
    shapes: ClassVar[Mapping[str, str]] = {"logits": "n k", "features": "n f", "labels": "n below:k"}
    lengths: ClassVar[Mapping[str, int]] = {"n": 6, "k": 4, "f": 3}
    unspecified = "the other layers: left out, so that it is at most the norm of the whole gradient"

    def check(self, *arrays: np.ndarray) -> None:
        super().check(*arrays)
        check_axes(arrays[1], "features", 2, "examples and features")
        check_same(arrays[1][:, :0], "features", (len(arrays[0]), 0), "one row an example")

    def apply(self, logits: Any, features: Any, labels: Any) -> Any:
        error = _errors(logits, labels)
        squares = np.sum(features * features, axis=1)
        return np.sqrt(np.sum(error * error, axis=1)) * np.sqrt(squares + 1.0 if self.bias else squares)


class ForgettingCount(Transform):
    """How often each example, once right, was wrong at the next look; infinite of what was never right.

    ``margin`` [look, example]: the logit of the label less the largest other; an example is right where it is above zero.
    Source: Toneva et al. 2019, arXiv:1812.05159.
    """

    citation = Citation(
        "Toneva et al. 2019",
        "An Empirical Study of Example Forgetting during Deep Neural Network Learning",
        "ICLR, arXiv:1812.05159",
        source="a recollection of the publication's definition",
    )
    shapes: ClassVar[Mapping[str, str]] = {"margin": "e n"}
    lengths: ClassVar[Mapping[str, int]] = {"e": 7, "n": 5}
    unspecified = "a margin of zero: wrong"

    def check(self, *arrays: np.ndarray) -> None:
        check_axes(arrays[0], "margin", 2, "looks and examples")
        check_count(arrays[0], "margin", 1, "one row a look")

    def apply(self, margin: Any) -> Any:
        right = np.where(margin > 0, 1.0, 0.0) + 0.0 * margin
        forgotten = np.sum(right[:-1] * (1.0 - right[1:]), axis=0)
        return np.where(np.sum(right, axis=0) > 0, forgotten, np.inf)


class LossChangeTerms(Transform):
    """How a step of gradient descent changes each example's loss: the terms of first and second order.

    ``gradients`` [example, parameter], ``hessians`` [example, parameter, parameter]; the step is -lr times the mean gradient.
    Exact of quadratic losses. Source: Rosenfeld & Risteski 2024, arXiv:2311.04163.
    """

    lr: NonNegative = 0.1
    citation = _ROSENFELD
    shapes: ClassVar[Mapping[str, str]] = {"gradients": "n p", "hessians": "n p p"}
    lengths: ClassVar[Mapping[str, int]] = {"n": 5, "p": 3}
    longest: ClassVar[Mapping[str, int]] = {"p": 33, "n": 257}
    unspecified = "terms beyond the second: none"

    def check(self, *arrays: np.ndarray) -> None:
        gradients, hessians = arrays
        check_axes(gradients, "gradients", 2, "examples and parameters")
        check_count(gradients, "gradients", 1, "one row an example")
        check_same(hessians, "hessians", (*gradients.shape, gradients.shape[1]), "one square matrix an example")

    def apply(self, gradients: Any, hessians: Any) -> Any:
        mean = np.mean(gradients, axis=0)
        bent = np.sum(np.sum(hessians * mean, axis=2) * mean, axis=1)
        return -self.lr * np.sum(gradients * mean, axis=1), 0.5 * self.lr**2 * bent


class OppositionCosine(Transform):
    """The cosine of the mean gradients of two groups: the ``count`` examples whose losses rose most, and fell most.

    ``change`` [example], ``gradients`` [example, parameter]. -1 of groups that pull apart; 0 where a mean is zero. Ties go to
    the earlier. Source: Rosenfeld & Risteski 2024, arXiv:2311.04163.
    """

    count: Annotated[int, Whole(1)] = 2
    citation = _ROSENFELD
    shapes: ClassVar[Mapping[str, str]] = {"change": "n", "gradients": "n p"}
    lengths: ClassVar[Mapping[str, int]] = {"n": 7, "p": 4}
    longest: ClassVar[Mapping[str, int]] = {"n": 257}
    unspecified = "how many examples are in a group, and how they are grouped further: the most extreme ones alone"

    def check(self, *arrays: np.ndarray) -> None:
        change, gradients = arrays
        check_axes(gradients, "gradients", 2, "examples and parameters")
        check_same(change, "change", gradients.shape[:1], "one an example")
        check_count(change, "change", self.count, f"at least count={self.count} examples")

    def apply(self, change: Any, gradients: Any) -> Any:
        risen = np.mean(gradients[np.sort(np.argsort(-change, kind="stable")[: self.count])], axis=0)
        fallen = np.mean(gradients[np.sort(np.argsort(change, kind="stable")[: self.count])], axis=0)
        lengths = np.sqrt(np.sum(risen * risen)) * np.sqrt(np.sum(fallen * fallen))
        return np.where(lengths == 0, 0.0, np.sum(risen * fallen) / lengths)


class ScoreSampling(Transform):
    """The probabilities with which examples, or paths, are drawn: ``share`` in proportion to their scores, the rest alike.

    Source: Lu et al. 2023, arXiv:2302.14772 (PA&DA), where the share rises over the epochs from 0 to 1.
    """

    share: Annotated[float, Range(0.0, 1.0, open_low=False, open_high=False)] = 0.5
    empty: Annotated[
        str,
        Choice(
            uniform="where all scores are zero, all alike",
            undefined=by("where all scores are zero, 0/0", "authors"),
        ),
    ] = "uniform"
    citation = _LU
    shapes: ClassVar[Mapping[str, str]] = {"scores": "n+"}
    lengths: ClassVar[Mapping[str, int]] = {"n": 6}
    unspecified = "scores that are all zero: all alike here"

    def check(self, *arrays: np.ndarray) -> None:
        check_axes(arrays[0], "scores", 1, "examples")
        check_count(arrays[0], "scores", 1, "one an example")

    def apply(self, scores: Any) -> Any:
        n, total = len(scores), np.sum(scores)
        shares = scores / total
        if self.empty == "uniform":
            shares = np.where(total == 0, 1.0 / n, shares)
        return self.share * shares + (1.0 - self.share) / n


class PathScore(Transform):
    """The score of each operation of a supernet by the path that was trained: its mean gradient norm, averaged with the last.

    ``weights`` and ``biases`` [edge, number]: gradients of the operation on each edge of the path; ``operation`` [edge];
    ``score`` [operation]. An operation's norms of both are added up over its edges, over how many it has; the new score is the
    mean of that and the old one, and the old one where it is not in the path or has no gradient. Source: Lu et al. 2023,
    arXiv:2302.14772 (PA&DA).
    """

    citation = Citation(
        _LU.authors, _LU.title, _LU.where, read="authors' code", source="ShunLu91/PA-DA e65ad62, train_panda_201.py"
    )
    shapes: ClassVar[Mapping[str, str]] = {
        "weights": "edge weight",
        "biases": "edge bias",
        "operation": "edge below:op",
        "score": "op+",
    }
    lengths: ClassVar[Mapping[str, int]] = {"edge": 4, "weight": 3, "bias": 2, "op": 3}
    longest: ClassVar[Mapping[str, int]] = {"edge": 65, "op": 65}
    unspecified = "operations without parameters: their gradients are zeros, so that their score stays"

    def check(self, *arrays: np.ndarray) -> None:
        weights, biases, operation, score = arrays
        check_axes(weights, "weights", 2, "[edge, number]")
        check_axes(biases, "biases", 2, "[edge, number]")
        check_same(biases[:, :0], "biases", (len(weights), 0), "one row an edge")
        check_same(operation, "operation", weights.shape[:1], "one an edge")
        check_axes(score, "score", 1, "one an operation")

    def apply(self, weights: Any, biases: Any, operation: Any, score: Any) -> Any:
        norms = np.sqrt(np.sum(weights * weights, axis=1)) + np.sqrt(np.sum(biases * biases, axis=1))
        there = operation[:, None] == np.arange(len(score))
        total = np.sum(np.where(there, norms[:, None], 0.0), axis=0)
        mean = total / np.maximum(np.sum(there, axis=0), 1).astype(np.float64)
        return np.where(total == 0, score, 0.5 * (score + mean))


class ImportanceWeightedMean(Transform):
    """The mean gradient of examples that were drawn with given probabilities.

    ``gradients`` [drawn, parameter] and ``probability`` [drawn], of ``examples`` in all. Weighted by 1 / (examples
    probability) its mean over draws is the mean of all. Source: Lu et al. 2023, arXiv:2302.14772 (PA&DA).
    """

    examples: Annotated[int, Whole(1)] = 100
    weights: Annotated[
        str,
        Choice(
            inverse=by("each is divided by its probability and the number of examples", "published: its theory"),
            none=by("all count alike, so that what is drawn often counts more", "authors"),
        ),
    ] = "inverse"
    citation = _LU
    shapes: ClassVar[Mapping[str, str]] = {"gradients": "b p", "probability": "b+"}
    lengths: ClassVar[Mapping[str, int]] = {"b": 6, "p": 4}
    unspecified = "a probability of zero, with which nothing is drawn: infinite"

    def check(self, *arrays: np.ndarray) -> None:
        gradients, probability = arrays
        check_axes(gradients, "gradients", 2, "what was drawn, and parameters")
        check_count(gradients, "gradients", 1, "one row a draw")
        check_same(probability, "probability", gradients.shape[:1], "one a draw")

    def apply(self, gradients: Any, probability: Any) -> Any:
        if self.weights == "none":
            return np.mean(gradients, axis=0)
        return np.mean(gradients / (self.examples * probability)[:, None], axis=0)


def _errors(logits: Any, labels: Any) -> Any:
    """Softmax of the logits, less the labels."""
    exponential = np.exp(logits - np.max(logits, axis=1, keepdims=True))
    return exponential / np.sum(exponential, axis=1, keepdims=True) - np.equal(
        labels[:, None], np.arange(logits.shape[1])
    )
