"""A linear layer under a softmax and the cross entropy, in closed form: gradient, Hessian times a vector, its diagonal, noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from refgrad.optimizers.transform import Transform, check_axes, check_count, check_same
from refgrad.rule import Citation

_HEAD = Citation(
    "Bishop 2006",
    "Pattern Recognition and Machine Learning",
    "section 4.3.4, equations 4.109 and 4.110",
    read="study",
    source="derived here, and held against automatic differentiation",
)


def softmax(logits: Any) -> Any:
    """Shares along the last axis."""
    powers = np.exp(logits - np.max(logits, axis=-1, keepdims=True))
    return powers / np.sum(powers, axis=-1, keepdims=True)


def cross_entropy(logits: Any, labels: Any) -> Any:
    """Of each example the logarithm of the sum of exponentials, less the label's logit; ``labels`` have one axis less."""
    centred = logits - np.max(logits, axis=-1, keepdims=True)
    taken = centred[(*np.indices(labels.shape, sparse=True), labels)]
    return np.log(np.sum(np.exp(centred), axis=-1)) - taken


def residual(logits: Any, labels: Any) -> Any:
    """Shares less one at the label: the gradient of the cross entropy by the logits."""
    return softmax(logits) - (labels[..., None] == np.arange(logits.shape[-1])).astype(np.float32)


class _Head(Transform):
    """The arrays of a head; a column of ones among the features is a bias."""

    lengths: ClassVar[Mapping[str, int]] = {"example": 5, "feature": 3, "class": 3}
    unspecified = "the loss of a batch: the mean over its examples; a bias: a feature that is one"

    def check(self, *arrays: np.ndarray) -> None:
        features, weight = arrays[:2]
        check_axes(features, "features", 2, "[examples, features]")
        check_count(features, "features", 1, "one row an example")
        check_axes(weight, "weight", 2, "[classes, features]")
        check_count(weight, "weight", 1, "one row a class")
        check_same(weight, "weight", (len(weight), features.shape[1]), "one column a feature")


class _LabelledHead(_Head):
    """A head whose examples have labels."""

    shapes: ClassVar[Mapping[str, str]] = {
        "features": "example feature",
        "weight": "class feature",
        "labels": "example below:class",
    }

    def check(self, *arrays: np.ndarray) -> None:
        super().check(*arrays)
        check_same(arrays[2], "labels", arrays[0].shape[:1], "one label an example")


class SoftmaxHeadGradient(_LabelledHead):
    """The gradient of the mean cross entropy by the weights: R^T Z / n, R the shares less one at each example's label.

    ``features`` Z [examples, features], ``weight`` [classes, features], ``labels`` [examples]. Gives [classes, features].
    """

    citation = _HEAD

    def apply(self, features: Any, weight: Any, labels: Any) -> Any:
        return residual(features @ weight.T, labels).T @ features / len(features)


class SoftmaxHeadHessianProduct(_Head):
    """The Hessian of the mean cross entropy by the weights, times ``direction``: S^T Z / n.

    ``features`` Z [examples, features], ``weight`` and ``direction`` V [classes, features]; with P the shares and U = Z V^T,
    S = P (U - the sum of P U over classes). Gives [classes, features]. Labels have no part in it.
    """

    shapes: ClassVar[Mapping[str, str]] = {
        "features": "example feature",
        "weight": "class feature",
        "direction": "class feature",
    }
    citation = _HEAD

    def check(self, *arrays: np.ndarray) -> None:
        super().check(*arrays)
        check_same(arrays[2], "direction", arrays[1].shape, "the shape of weight")

    def apply(self, features: Any, weight: Any, direction: Any) -> Any:
        shares, moved = softmax(features @ weight.T), features @ direction.T
        return (shares * (moved - np.sum(shares * moved, axis=1, keepdims=True))).T @ features / len(features)


class SoftmaxHeadHessianDiagonal(_Head):
    """The diagonal of that Hessian: of class k and feature j the mean of p_k (1 - p_k) z_j**2.

    ``features`` z [examples, features], ``weight`` [classes, features]. Gives [classes, features].
    """

    shapes: ClassVar[Mapping[str, str]] = {"features": "example feature", "weight": "class feature"}
    citation = _HEAD

    def apply(self, features: Any, weight: Any) -> Any:
        shares = softmax(features @ weight.T)
        return (shares * (1.0 - shares)).T @ (features * features) / len(features)


class SoftmaxHeadGradientVariance(_LabelledHead):
    """The variance, over examples, of their own gradients by the weights; divisor n.

    ``features`` [examples, features], ``weight`` [classes, features], ``labels`` [examples]. Gives [classes, features]: an
    example's gradient is the outer product of its residual and its features. It is what `Fishr` aligns.
    """

    citation = Citation(
        "Rame, Dancette & Cord 2022",
        "Fishr: Invariant Gradient Variances for Out-of-Distribution Generalization",
        "ICML, arXiv:2109.02934",
        read="package",
        source="facebookresearch/DomainBed b93c22a, domainbed/algorithms.py Fishr",
    )
    unspecified = "how it is computed: by centred gradients; the mean square less the squared mean loses digits"

    def apply(self, features: Any, weight: Any, labels: Any) -> Any:
        gradients = residual(features @ weight.T, labels)[:, :, None] * features[:, None, :]
        return np.var(gradients, axis=0)
