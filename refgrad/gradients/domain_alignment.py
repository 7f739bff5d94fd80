"""Penalties that make the losses and gradients of several domains agree: V-REx, IRM, IGA, Fish, Fishr, HGP, Hutchinson."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.errors import bad_argument
from refgrad.gradients.softmax_head import cross_entropy, residual
from refgrad.optimizers.transform import Transform, check_axes, check_count, check_same
from refgrad.rule import Choice, Citation, Decay, Flag, Fraction, NonNegative, Whole, by

_DOMAINBED = "facebookresearch/DomainBed b93c22a, domainbed/algorithms.py"
_REX = "capybaralet/REx_code_release 47dfb3a, InvariantRiskMinimization/colored_mnist/main.py"
_ALIGNMENT = Citation(
    "Hemati et al. 2023",
    "Understanding Hessian Alignment for Domain Generalization",
    "ICCV, arXiv:2308.11778",
    read="authors' code",
    source="huawei-noah/Federated-Learning a50b474, HessianAlignment/domainbed/algorithms.py HGP, Hutchinson",
)

Normalization = Annotated[
    str,
    Choice(
        plain=by("the mean risk and the penalty times its weight", "DomainBed"),
        rescaled=by("the same divided by the weight, where that is above one", "authors"),
    ),
]


def _objective(risk: Any, penalty: Any, weight: float, normalization: str) -> Any:
    total = risk + weight * penalty
    return total / weight if normalization == "rescaled" and weight > 1 else total


def _mean_square(x: Any) -> Any:
    return np.mean(np.sum(x * x, axis=1))


class VarianceRiskExtrapolation(Transform):
    """V-REx: the mean of the domains' risks, and ``weight`` times their variance.

    ``risks`` [domains]. Gives the objective and the penalty. Source: Krueger et al. 2021, arXiv:2003.00688.
    """

    weight: NonNegative = 10.0
    spread: Annotated[
        str,
        Choice(
            variance=by("the variance with the divisor of all domains", "DomainBed"),
            pairs=by("the squared differences of all pairs, added up: of two domains the square of theirs", "authors"),
        ),
    ] = "variance"
    normalization: Normalization = "plain"
    citation = Citation(
        "Krueger et al. 2021",
        "Out-of-Distribution Generalization via Risk Extrapolation (REx)",
        "ICML, arXiv:2003.00688",
        read="authors' code",
        source=f"{_REX}; {_DOMAINBED} VREx",
    )
    shapes: ClassVar[Mapping[str, str]] = {"risks": "domain"}
    lengths: ClassVar[Mapping[str, int]] = {"domain": 4}
    unspecified = (
        "the authors' code has two domains and the square of their difference, four times the variance (spread); before "
        "an annealing step the weight is one, and the optimizer's state is made anew at it: the caller's to do"
    )

    def check(self, *arrays: np.ndarray) -> None:
        check_axes(arrays[0], "risks", 1, "one number a domain")
        check_count(arrays[0], "risks", 1, "one number a domain")

    def apply(self, risks: Any) -> Any:
        penalty = np.var(risks)
        if self.spread == "pairs":
            penalty = penalty * len(risks) ** 2
        return {
            "objective": _objective(np.mean(risks), penalty, self.weight, self.normalization),
            "penalty": penalty,
        }


class InvariantRisk(Transform):
    """IRMv1: the mean risk, and ``weight`` times the mean squared derivative of the domains' risks by a scale of their logits.

    ``logits`` [domains, examples, classes], ``labels`` [domains, examples]. The derivative at one is the mean over examples of
    the residual (shares less one at the label) times the logits. Gives the objective and the penalty. Source: Arjovsky et al.
    2019, arXiv:1907.02893.
    """

    weight: NonNegative = 100.0
    estimate: Annotated[
        str,
        Choice(
            squared=by("the square of the derivative of all examples", "authors", "published: IRMv1"),
            halves=by(
                "the product of the derivatives of even and of odd examples: unbiased, and may be negative", "DomainBed"
            ),
        ),
    ] = "squared"
    normalization: Normalization = "plain"
    citation = Citation(
        "Arjovsky et al. 2019",
        "Invariant Risk Minimization",
        "arXiv:1907.02893, IRMv1",
        read="authors' code",
        source=f"{_REX}, which has it from the authors; {_DOMAINBED} IRM",
        unreachable="the authors' own repository",
    )
    shapes: ClassVar[Mapping[str, str]] = {"logits": "domain example class", "labels": "domain example below:class"}
    lengths: ClassVar[Mapping[str, int]] = {"domain": 2, "example": 4, "class": 3}
    unspecified = "how a gradient's square is estimated on a batch (estimate); annealing: the caller's to do"

    def check(self, *arrays: np.ndarray) -> None:
        check_axes(arrays[0], "logits", 3, "[domains, examples, classes]")
        if not arrays[0].shape[2]:
            raise bad_argument("logits.shape", arrays[0].shape, "one class at least")
        check_count(arrays[0], "logits", 1, "one row a domain")
        halves = self.estimate == "halves"
        check_count(
            arrays[0][0], "logits[0]", 2 if halves else 1, "an even and an odd example" if halves else "examples"
        )
        check_same(arrays[1], "labels", arrays[0].shape[:2], "one label an example")

    def apply(self, logits: Any, labels: Any) -> Any:
        slopes = np.sum(residual(logits, labels) * logits, axis=2)
        if self.estimate == "squared":
            slope = np.mean(slopes, axis=1)
            penalty = np.mean(slope * slope)
        else:
            penalty = np.mean(np.mean(slopes[:, ::2], axis=1) * np.mean(slopes[:, 1::2], axis=1))
        risk = np.mean(np.mean(cross_entropy(logits, labels), axis=1))
        return {"objective": _objective(risk, penalty, self.weight, self.normalization), "penalty": penalty}


class _OfDomains(Transform):
    """Rules of one gradient a domain."""

    shapes: ClassVar[Mapping[str, str]] = {"gradients": "domain parameter"}
    lengths: ClassVar[Mapping[str, int]] = {"domain": 3, "parameter": 4}
    #: how many domains there are at least
    least: ClassVar[int] = 1

    def check(self, *arrays: np.ndarray) -> None:
        check_axes(arrays[0], "gradients", 2, "[domains, parameters]")
        check_count(arrays[0], "gradients", self.least, "one row a domain")


class InterdomainGradientVariance(_OfDomains):
    """IGA's penalty: the squared distances of the domains' gradients from their mean.

    ``gradients`` [domains, parameters]. Source: Koyama & Yamaguchi 2020, arXiv:2008.01883.
    """

    reduction: Annotated[
        str,
        Choice(
            sum=by("added up over domains", "DomainBed: IGA"),
            mean="their mean over domains: the trace of the gradients' covariance",
        ),
    ] = "sum"
    citation = Citation(
        "Koyama & Yamaguchi 2020",
        "When is invariance useful in an Out-of-Distribution Generalization problem?",
        "arXiv:2008.01883",
        read="package",
        source=f"{_DOMAINBED} IGA",
    )
    unspecified = "whether domains are averaged (reduction); whether the mean has a gradient: either way it is the same"

    def apply(self, gradients: Any) -> Any:
        penalty = _mean_square(gradients - np.mean(gradients, axis=0))
        return penalty * len(gradients) if self.reduction == "sum" else penalty


class GradientInnerProduct(_OfDomains):
    """Fish's term: minus the mean, over pairs of domains, of their gradients' inner product.

    ``gradients`` [domains, parameters]. Source: Shi et al. 2022, arXiv:2104.09937.
    """

    citation = Citation(
        "Shi et al. 2022",
        "Gradient Matching for Domain Generalization",
        "ICLR, arXiv:2104.09937",
        read="authors' code",
        source=f"YugeTen/fish 333efa2, src/main.py, src/utils.py fish_step; {_DOMAINBED} Fish",
    )
    least = 2
    unspecified = "its weight beside the mean risk: the caller's to say"

    def apply(self, gradients: Any) -> Any:
        before = np.cumsum(gradients[:-1], axis=0)
        pairs = len(gradients) * (len(gradients) - 1) / 2
        return -np.sum(before * gradients[1:]) / pairs


class FishStep(Transform):
    """Fish's outer step: from the parameters towards those that an inner optimizer reached from domain to domain.

    ``p`` and ``inner`` [parameters]. Gives p + lr (inner - p). Source: Shi et al. 2022, arXiv:2104.09937, Algorithm 1.
    """

    lr: Fraction = 0.5
    steps: Annotated[int, Whole(1)] = 3
    rate: Annotated[
        str,
        Choice(
            whole=by("lr as it is", "DomainBed: Fish"),
            shared=by("lr divided by the number of inner steps", "authors"),
        ),
    ] = "whole"
    citation = GradientInnerProduct.citation
    shapes: ClassVar[Mapping[str, str]] = {"p": "parameter", "inner": "parameter"}
    lengths: ClassVar[Mapping[str, int]] = {"parameter": 5}
    unspecified = "the inner optimizer, and whether its state is kept: DomainBed's is Adam with its state"

    def check(self, *arrays: np.ndarray) -> None:
        check_same(arrays[1], "inner", arrays[0].shape, "the shape of p")

    def apply(self, p: Any, inner: Any) -> Any:
        return p + (self.lr if self.rate == "whole" else self.lr / self.steps) * (inner - p)


class Fishr(Transform):
    """Fishr's penalty: how far the domains' variances of per-example gradients are from their mean.

    ``gradients`` [domains, examples, parameters], of the head; ``average`` [domains, parameters], the running variances. The
    variance v of a domain (divisor n) enters u <- decay u + (1 - decay) v. Gives the penalty and the new averages. Source:
    Rame, Dancette & Cord 2022, arXiv:2109.02934.
    """

    decay: Decay = 0.95
    rescaled: Annotated[bool, Flag(by("averages are divided by 1 - decay, at every step", "DomainBed"))] = True
    reduction: Annotated[
        str,
        Choice(
            sum=by("squared distances are added up over parameters: a Euclidean one", "published"),
            mean=by("they are averaged over parameters", "DomainBed"),
        ),
    ] = "sum"
    citation = Citation(
        "Rame, Dancette & Cord 2022",
        "Fishr: Invariant Gradient Variances for Out-of-Distribution Generalization",
        "ICML, arXiv:2109.02934",
        read="package",
        source=f"{_DOMAINBED} Fishr, domainbed/lib/misc.py MovingAverage, by the authors",
    )
    shapes: ClassVar[Mapping[str, str]] = {
        "gradients": "domain example parameter",
        "average": "domain parameter+",
    }
    lengths: ClassVar[Mapping[str, int]] = {"domain": 2, "example": 4, "parameter": 3}
    unspecified = (
        "the division by 1 - decay is no correction of a start at zero: it makes the penalty grow by up to "
        "(1 - decay)**-2 over the training, and is made so that the gradient's size does not depend on decay (rescaled)"
    )

    def check(self, *arrays: np.ndarray) -> None:
        gradients, average = arrays
        check_axes(gradients, "gradients", 3, "[domains, examples, parameters]")
        check_count(gradients, "gradients", 1, "one row a domain")
        check_count(gradients[0], "gradients[0]", 1, "one row an example")
        check_same(average, "average", (len(gradients), gradients.shape[2]), "one number a domain and parameter")

    def apply(self, gradients: Any, average: Any) -> Any:
        average = self.decay * average + (1 - self.decay) * np.var(gradients, axis=1)
        used = average / (1 - self.decay) if self.rescaled else average
        penalty = _mean_square(used - np.mean(used, axis=0))
        if self.reduction == "mean":
            penalty = penalty / average.shape[1]
        return {"penalty": penalty, "average": average}


class HessianAlignment(Transform):
    """The penalty of HGP and of Hutchinson's alignment: how far domains' curvatures and gradients are from the mean loss's.

    ``gradients`` g_e and ``curvatures`` c_e [domains, parameters], ``reference`` c [parameters]. Gives the mean over domains of
    curvature_weight |c_e - c|**2 + gradient_weight |g_e - mean g|**2. Of HGP c_e is the Hessian times the gradient, and c that
    product of the mean loss; of Hutchinson's, c_e is the diagonal by `HutchinsonEstimates` (curvature_weight=1e-3). Source:
    Hemati et al. 2023, arXiv:2308.11778.
    """

    curvature_weight: NonNegative = 1e-4
    gradient_weight: NonNegative = 5e-3
    center: Annotated[
        str,
        Choice(
            given=by("distances are from reference, that of the mean loss", "authors"),
            mean="from the mean of the domains' own; reference is not read",
        ),
    ] = "given"
    citation = _ALIGNMENT
    shapes: ClassVar[Mapping[str, str]] = {
        "gradients": "domain parameter",
        "curvatures": "domain parameter",
        "reference": "parameter",
    }
    lengths: ClassVar[Mapping[str, int]] = {"domain": 3, "parameter": 4}
    unspecified = (
        "the mean of the domains' products is not the product of the mean loss (center); no gradient goes through "
        "the authors' reference; their 1e-16, added to every entry of a gradient, is left out"
    )

    def check(self, *arrays: np.ndarray) -> None:
        gradients, curvatures, reference = arrays
        check_axes(gradients, "gradients", 2, "[domains, parameters]")
        check_count(gradients, "gradients", 1, "one row a domain")
        check_same(curvatures, "curvatures", gradients.shape, "the shape of gradients")
        check_same(reference, "reference", gradients.shape[1:], "one number a parameter")

    def apply(self, gradients: Any, curvatures: Any, reference: Any) -> Any:
        center = reference if self.center == "given" else np.mean(curvatures, axis=0)
        of_gradients = _mean_square(gradients - np.mean(gradients, axis=0))
        return self.curvature_weight * _mean_square(curvatures - center) + self.gradient_weight * of_gradients
