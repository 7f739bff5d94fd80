"""Task gradients of a shared layer: GradNorm's targets, equal projections, equal norms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.gradients.balancing import OFVL_MS, check_tasks
from refgrad.optimizers.transform import Transform, check_same
from refgrad.rule import Choice, Citation, NonNegative, by


def norms(gradients: Any) -> Any:
    """The norm of each task's gradient: one row a task."""
    return np.sqrt(np.sum(gradients * gradients, axis=1))


def relative_rates(losses: Any, initial: Any, exponent: float) -> Any:
    """How far each task's loss has come, L_i/L_i(0) over the mean of these, to a power."""
    ratio = losses / initial
    return np.exp(exponent * np.log(ratio / np.mean(ratio)))


class GradNorm(Transform):
    """GradNorm: task weights by a step that brings each weighted gradient's norm to a target, which slow tasks have higher.

    N_i = w_i |g_i| and its target mean(N) r_i**alpha, r_i = (L_i/L_i(0)) / mean(L/L(0)); the loss sum |N_i - target_i| has the
    gradient sign(N_i - target_i) |g_i| by w_i, targets held constant. Source: Chen et al. 2018, arXiv:1711.02257.

    ``gradients`` [task, parameter] of unweighted losses by the shared layer; ``weights``, ``losses``, ``initial`` [task].
    Gives the targets, the loss, its gradient and the new weights, whose sum is the number of tasks.
    """

    alpha: NonNegative = 1.5
    lr: NonNegative = 0.025
    exponent: Annotated[
        str,
        Choice(
            alpha=by("r**alpha: slow tasks, of large r, have large targets", "published", "LibMTL"),
            minus_alpha=by("r**-alpha: slow tasks have small targets", "gradnorm-pytorch"),
        ),
    ] = "alpha"
    reduction: Annotated[
        str,
        Choice(sum=by("the sum over tasks", "published", "LibMTL"), mean=by("the mean over tasks", "gradnorm-pytorch")),
    ] = "sum"
    parameters: Annotated[
        str,
        Choice(
            weights=by(
                "weights are stepped, then scaled to the sum that they shall have", "published", "gradnorm-pytorch"
            ),
            logits=by("weights are the number of tasks times the softmax of what is stepped", "LibMTL"),
        ),
    ] = "weights"

    citation = Citation(
        "Chen, Badrinarayanan, Lee & Rabinovich 2018",
        "GradNorm: Gradient Normalization for Adaptive Loss Balancing in Deep Multitask Networks",
        "ICML, arXiv:1711.02257",
        read="package",
        source="LibMTL 4336804, weighting/GradNorm.py; gradnorm-pytorch 0.2.3",
    )
    shapes: ClassVar[Mapping[str, str]] = {
        "gradients": "task parameter",
        "weights": "task+",
        "losses": "task+",
        "initial": "task+",
    }
    lengths: ClassVar[Mapping[str, int]] = {"task": 3, "parameter": 3}
    unspecified = (
        "a task at its target: subgradient 0; weights that a step brings below zero: kept, and scaled with the rest; the "
        "optimizer of the weights: plain gradient descent; with parameters=logits, weights are handed in as weights"
    )

    def check(self, *arrays: np.ndarray) -> None:
        check_tasks(*arrays, names=("gradients", "weights", "losses", "initial"))

    def apply(self, gradients: Any, weights: Any, losses: Any, initial: Any) -> Any:
        tasks = weights.shape[0]
        sizes = norms(gradients)
        weighted = weights * sizes
        exponent = self.alpha if self.exponent == "alpha" else -self.alpha
        targets = np.mean(weighted) * relative_rates(losses, initial, exponent)
        gap = weighted - targets
        share = 1.0 if self.reduction == "sum" else 1.0 / tasks
        loss = share * np.sum(np.abs(gap))
        gradient = share * np.where(gap > 0, sizes, np.where(gap < 0, -sizes, 0.0 * gap))
        if self.parameters == "weights":
            stepped = weights - self.lr * gradient
            return {
                "targets": targets,
                "loss": loss,
                "gradient": gradient,
                "weights": stepped * tasks / np.sum(stepped),
            }
        inner = np.sum(weights * gradient) / tasks
        gradient = weights * (gradient - inner)
        unnormalized = weights * np.exp(-self.lr * gradient)  # exp(logit - lr gradient), up to one factor
        return {
            "targets": targets,
            "loss": loss,
            "gradient": gradient,
            "weights": unnormalized * tasks / np.sum(unnormalized),
        }


def solved(matrix: Any, right: Any) -> Any:
    """The solution of a positive definite system, by elimination; NaN of a singular one, which a library may refuse."""
    rows = np.concatenate([matrix, right.reshape(-1, 1)], axis=1)
    for k in range(right.shape[0]):
        pivot = rows[k : k + 1] / rows[k : k + 1, k : k + 1]
        left = rows - rows[:, k : k + 1] * pivot
        rows = np.concatenate([left[:k], pivot, left[k + 1 :]])
    return rows[:, -1]


class ImpartialGradient(Transform):
    """IMTL-G: the combination of task gradients whose projections on all of them are equal.

    With the Gram matrix M = G G^T and the norms s, w is M^-1 s over its sum, and d = w^T G. Source: Liu et al. 2021, ICLR.

    ``gradients`` [task, parameter]. Gives the weights [task], which may be negative, and the direction [parameter].
    """

    citation = Citation(
        "Liu et al. 2021",
        "Towards Impartial Multi-task Learning",
        "ICLR",
        read="package",
        source="torchjd 0.18.0, aggregation/_imtl_g.py; LibMTL 4336804, weighting/IMTL.py",
    )
    shapes: ClassVar[Mapping[str, str]] = {"gradients": "task parameter"}
    lengths: ClassVar[Mapping[str, int]] = {"task": 3, "parameter": 5}
    longest: ClassVar[Mapping[str, int]] = {"task": 9}  # of larger systems nothing is known for certain
    unspecified = (
        "gradients that depend on one another linearly, zero gradients among them: here no number, and more tasks than "
        "parameters are refused; torchjd takes the pseudo-inverse, and weights 0 where they add up to less than 1e-12"
    )

    def check(self, *arrays: np.ndarray) -> None:
        check_tasks(*arrays, names=("gradients",))
        tasks, parameters = arrays[0].shape
        check_same(arrays[0], "gradients", (tasks, max(tasks, parameters)), "at least as many parameters as tasks")

    def apply(self, gradients: Any) -> Any:
        found = solved(gradients @ gradients.T, norms(gradients))
        weights = found / np.sum(found)
        return {"weights": weights, "direction": weights @ gradients}


Reference = Annotated[
    str,
    Choice(
        mean="the mean of the norms",
        largest="the largest norm",
        geometric="the geometric mean of the norms",
    ),
]


def to_norms(gradients: Any, wanted: Any) -> Any:
    """Each row scaled to a norm; rows of zeros stay zero."""
    sizes = norms(gradients)
    factor = np.where(sizes == 0, 0.0, wanted / np.where(sizes == 0, 1.0, sizes))
    return gradients * factor.reshape(-1, 1)


def reference_norm(gradients: Any, reference: str) -> Any:
    """The norm that all rows shall have."""
    sizes = norms(gradients)
    if reference == "geometric":
        return np.exp(np.mean(np.log(sizes)))
    return np.mean(sizes) if reference == "mean" else np.max(sizes)


class BranchCalibration(Transform):
    """FULLER's second level: the gradients of modality branches, brought to one norm.

    g_k times ref/|g_k|; a branch of zeros stays zero. Source: Huang et al. 2023, arXiv:2307.16617.

    ``gradients`` [branch, parameter]. Gives an array of that shape.
    """

    reference: Reference = "mean"

    citation = Citation(
        "Huang et al. 2023",
        "FULLER: Unified Multi-modality Multi-task 3D Object Detection via Multi-level Gradient Calibration",
        "arXiv:2307.16617",
        read="study",
        source="a study of the paper's abstract",
        unreachable="any code of the authors",
    )
    shapes: ClassVar[Mapping[str, str]] = {"gradients": "branch parameter"}
    lengths: ClassVar[Mapping[str, int]] = {"branch": 3, "parameter": 5}
    unspecified = (
        "the formula itself, of which the abstract says that magnitudes are equalized: the reference norm is a choice; a "
        "moving average of norms is the caller's; the first level, between tasks, is GradNorm or ImpartialGradient"
    )

    def check(self, *arrays: np.ndarray) -> None:
        check_tasks(*arrays, names=("gradients",))

    def apply(self, gradients: Any) -> Any:
        return to_norms(gradients, reference_norm(gradients, self.reference))


class TaskGradientNormalization(Transform):
    """OFVL-MS: the sum of task gradients on shared parameters, each brought to the mean of their norms first.

    The norm may be raised for tasks that are slow, to mean(n) r_i**alpha with GradNorm's r_i; ``alpha`` 0 is the plain mean.
    Source: Xie et al. 2023, arXiv:2308.11928.

    ``gradients`` [task, parameter]; ``losses``, ``initial`` [task]. Gives the sum [parameter].
    """

    alpha: NonNegative = 1.0

    citation = OFVL_MS
    shapes: ClassVar[Mapping[str, str]] = {"gradients": "task parameter", "losses": "task+", "initial": "task+"}
    lengths: ClassVar[Mapping[str, int]] = {"task": 3, "parameter": 5}
    unspecified = "the formula itself, which no code that was released has: equal norms, or GradNorm's targets"

    def check(self, *arrays: np.ndarray) -> None:
        check_tasks(*arrays, names=("gradients", "losses", "initial"))

    def apply(self, gradients: Any, losses: Any, initial: Any) -> Any:
        wanted = np.mean(norms(gradients)) * relative_rates(losses, initial, self.alpha)
        return np.sum(to_norms(gradients, wanted), axis=0)
