"""How conditional and unconditional predictions of a diffusion model are joined, and how examples of its distillation weigh."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.errors import bad_argument
from refgrad.optimizers.transform import Transform, check_axes, check_count, check_same
from refgrad.rule import Choice, Citation, Decay, NonNegative, Positive, Range, Real, by

_DIFFUSERS = "diffusers 0.42.1, guiders"


class ClassifierFreeGuidance(Transform):
    """Classifier-free guidance: a prediction, and ``scale`` times the difference of the conditional and the unconditional one.

    ``conditional`` and ``unconditional`` of any one shape. Source: Ho & Salimans 2022, arXiv:2207.12598.
    """

    scale: Real = 7.5
    base: Annotated[
        str,
        Choice(
            unconditional=by(
                "from the unconditional one: a scale of one gives the conditional one", "diffusers", "elsewhere: Imagen"
            ),
            conditional=by(
                "from the conditional one: a scale of zero gives it",
                "published: equation 6",
                "diffusers: use_original_formulation=True",
            ),
        ),
    ] = "unconditional"
    default_reasons: ClassVar[Mapping[str, str]] = {"base": "most programs have this scale, one more than the paper's"}
    citation = Citation(
        "Ho & Salimans 2022",
        "Classifier-Free Diffusion Guidance",
        "arXiv:2207.12598, equation 6",
        read="package",
        source=f"{_DIFFUSERS}/classifier_free_guidance.py",
    )
    shapes: ClassVar[Mapping[str, str]] = {"conditional": "batch d", "unconditional": "batch d"}
    lengths: ClassVar[Mapping[str, int]] = {"batch": 2, "d": 4}
    unspecified = "the scale: one more where it counts from the unconditional prediction (base)"

    def check(self, *arrays: np.ndarray) -> None:
        check_same(arrays[1], "unconditional", arrays[0].shape, "the shape of conditional")

    def apply(self, conditional: Any, unconditional: Any) -> Any:
        difference = conditional - unconditional
        return (unconditional if self.base == "unconditional" else conditional) + self.scale * difference


class AdaptiveProjectedGuidance(Transform):
    """APG: guidance by what of the difference is not along the conditional prediction, held to a norm, with a running sum.

    ``conditional``, ``unconditional`` and ``average`` [batch, channels, ...]: predictions of the clean image, and the
    last call's running difference, at first zero. The difference plus ``momentum`` times the average is the new average; it is
    scaled to a norm of at most ``radius`` (0: of any), and its part along the conditional prediction is multiplied by
    ``parallel``. Gives the guided prediction and the new average. Source: Sadat et al. 2025, arXiv:2410.02416.
    """

    scale: Real = 7.5
    parallel: Real = 0.0
    momentum: Annotated[float, Range(-1.0, 1.0)] = -0.5
    radius: NonNegative = 2.5
    eps: Positive = 1e-12
    form: Annotated[
        str,
        Choice(
            reference=by("the conditional prediction and scale - 1 times the difference", "published: Algorithm 1"),
            unconditional=by("the unconditional prediction and scale times the difference", "diffusers"),
            conditional=by(
                "the conditional prediction and scale times the difference",
                "diffusers: use_original_formulation=True",
                "ComfyUI",
            ),
        ),
    ] = "reference"
    norm: Annotated[
        str,
        Choice(
            sample=by("norms and the projection are over all of a sample", "published", "diffusers"),
            plane=by("over all positions, height and width, for each channel", "ACE-Step"),
        ),
    ] = "sample"
    citation = Citation(
        "Sadat et al. 2025",
        "Eliminating Oversaturation and Artifacts of High Guidance Scales in Diffusion Models",
        "ICLR, arXiv:2410.02416, Algorithm 1",
        read="package",
        source=f"{_DIFFUSERS}/adaptive_projected_guidance.py",
        unreachable="the ports in ComfyUI and ACE-Step, which a study read",
    )
    shapes: ClassVar[Mapping[str, str]] = {
        "conditional": "batch channel position",
        "unconditional": "batch channel position",
        "average": "batch channel position",
    }
    lengths: ClassVar[Mapping[str, int]] = {"batch": 2, "channel": 2, "position": 3}
    unspecified = (
        "the three forms are the same where parallel is one, radius and momentum zero, and the scale is one less in the "
        "last (form); a conditional prediction of zero has no direction: its norm is at least eps, as in torch; "
        "noise predictions in place of clean images give other directions"
    )

    def check(self, *arrays: np.ndarray) -> None:
        if arrays[0].ndim < 3:
            raise bad_argument("conditional.ndim", arrays[0].ndim, "3 or more: [batch, channels, ...]")
        for array, name in zip(arrays[1:], ("unconditional", "average"), strict=True):
            check_same(array, name, arrays[0].shape, "the shape of conditional")

    def apply(self, conditional: Any, unconditional: Any, average: Any) -> Any:
        average = conditional - unconditional + self.momentum * average
        difference = average
        if self.radius > 0:
            norm = self._norm(difference)
            difference = difference * np.where(norm > self.radius, self.radius / norm, 1.0)
        direction = conditional / np.maximum(self._norm(conditional), self.eps)
        along = self._sum(difference * direction) * direction
        update = difference - along + self.parallel * along
        if self.form == "reference":
            guided = conditional + (self.scale - 1) * update
        else:
            guided = (unconditional if self.form == "unconditional" else conditional) + self.scale * update
        return {"guided": guided, "average": average}

    def _sum(self, x: Any) -> Any:
        return np.sum(x, axis=tuple(range(1 if self.norm == "sample" else 2, x.ndim)), keepdims=True)

    def _norm(self, x: Any) -> Any:
        return np.sqrt(self._sum(x * x))


_FDISTILL = Citation(
    "Xu et al. 2025",
    "One-step Diffusion Models with f-Divergence Distribution Matching",
    "arXiv:2502.15681",
    read="authors' code",
    source="NVlabs/FastGen 34f30e8, fastgen/methods/distribution_matching/f_distill.py",
)

Divergence = Annotated[
    str,
    Choice(
        hellinger=by("squared Hellinger, (1 - sqrt r)**2: sqrt(r) / 2", "authors: sh"),
        reverse_kl=by("reverse Kullback-Leibler, -log r: 1", "authors: rkl"),
        forward_kl=by("Kullback-Leibler, r log r: r", "authors: kl"),
        jensen_shannon=by("r log r - (r + 1) log((r + 1) / 2): r / (r + 1)", "authors: js"),
        softened=by("softened reverse, (r + 1) log(1/2 + 1/(2 r)): 1 / (r + 1)", "authors: sf"),
        neyman=by("(1 - r)**2 / r: 2 / r", "authors: neyman"),
        pearson="(1 - r)**2: 2 r**2",
        jeffreys=by("(r - 1) log r: 1 + r", "authors: jf"),
    ),
]


def divergence_weight(ratio: Any, divergence: str, eps: float) -> Any:
    """r**2 f''(r) of a divergence."""
    if divergence == "hellinger":
        return 0.5 * np.sqrt(ratio)
    if divergence == "reverse_kl":
        return np.ones_like(ratio)
    if divergence == "forward_kl":
        return 1.0 * ratio
    if divergence == "jensen_shannon":
        return ratio / (1.0 + ratio)
    if divergence == "softened":
        return 1.0 / (1.0 + ratio)
    if divergence == "neyman":
        return 2.0 / np.maximum(ratio, eps)
    return 2.0 * ratio * ratio if divergence == "pearson" else 1.0 + ratio


class DivergenceWeight(Transform):
    """The weight of an example where an f-divergence is descended by scores: h(r) = r**2 f''(r), r the ratio of densities.

    ``ratios`` [examples], teacher over student, not negative. Gives [examples]. Source: Xu et al. 2025, arXiv:2502.15681.
    """

    divergence: Divergence = "hellinger"
    eps: NonNegative = 1e-8
    constants: Annotated[
        str,
        Choice(
            kept="as they follow from f",
            dropped=by("factors of two are left out: a normalisation by the mean takes them away", "authors"),
        ),
    ] = "kept"
    citation = _FDISTILL
    shapes: ClassVar[Mapping[str, str]] = {"ratios": "example+"}
    lengths: ClassVar[Mapping[str, int]] = {"example": 5}
    unspecified = "a ratio of zero under Neyman's divergence: it is at least eps, as in the authors' code"

    def apply(self, ratios: Any) -> Any:
        weight = divergence_weight(ratios, self.divergence, self.eps)
        if self.constants == "dropped" and self.divergence in DOUBLED:
            return weight * DOUBLED[self.divergence]
        return weight


#: what makes the factor of each weight one
DOUBLED: Mapping[str, float] = {"hellinger": 2.0, "neyman": 0.5, "pearson": 0.5}


class DistillationWeights(Transform):
    """f-distill's weights of a batch: ratios by a discriminator, over their running mean at like times, then h over its mean.

    ``logits`` [examples, patches] of the discriminator, ``bins`` [examples] of their times, ``averages`` [bins]. The ratio
    is exp(mean logit), the mean held between -10 and 10 and the ratio between ``lowest`` and ``highest``; averages follow the
    ratios' means in bins that have some; a ratio under Neyman's divergence is at least ``floor``. Gives the weights, whose mean
    is one, and the new averages. Source: Xu et al. 2025, arXiv:2502.15681.
    """

    divergence: Divergence = "jensen_shannon"
    lowest: Positive = 0.1
    highest: Positive = 20.0
    decay: Decay = 0.0
    eps: Positive = 1e-6
    floor: NonNegative = 1e-8
    citation = _FDISTILL
    shapes: ClassVar[Mapping[str, str]] = {
        "logits": "example patch",
        "bins": "example below:bin",
        "averages": "bin+",
    }
    lengths: ClassVar[Mapping[str, int]] = {"example": 6, "patch": 2, "bin": 4}
    unspecified = (
        "the reverse divergence: weights of one; the authors' function gives one number, of which the code asks its "
        "length and raises"
    )

    def check(self, *arrays: np.ndarray) -> None:
        logits, bins, averages = arrays
        check_axes(logits, "logits", 2, "[examples, patches]")
        if logits.size == 0:
            raise bad_argument("logits.shape", logits.shape, "at least one number")
        check_same(bins, "bins", logits.shape[:1], "one bin an example")
        check_axes(averages, "averages", 1, "one number a bin")
        check_count(averages, "averages", int(np.max(bins)) + 1, "one number a bin")

    def apply(self, logits: Any, bins: Any, averages: Any) -> Any:
        ratio = np.exp(np.clip(np.mean(logits, axis=1), -10.0, 10.0))
        ratio = np.clip(ratio, self.lowest, self.highest)
        member = (bins == np.arange(len(averages))[:, None]).astype(logits.dtype)
        count = np.sum(member, axis=1)
        means = np.sum(member * ratio, axis=1) / (count + self.eps)
        averages = np.where(count > 0, self.decay * averages + (1 - self.decay) * means, averages)
        weight = divergence_weight(ratio / (averages[bins] + self.eps), self.divergence, self.floor)
        return {"weights": weight / (np.mean(weight) + self.eps), "averages": averages}
