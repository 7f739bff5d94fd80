"""What several update rules share: how the parameter decays, where eps goes, and the rectification of RAdam."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from refgrad.rule import Choice, by

_DECAYS = {
    "coupled": by(
        "weight_decay times the parameter is added to the gradient",
        "torch: of Adam, SGD, Adagrad and their like, weight_decay",
    ),
    "before": by(
        "the parameter before the step decays, by lr times weight_decay",
        "torch: of AdamW, and of what has decoupled_weight_decay",
        "optax: of AdamW, Lion and what is chained like them",
        "Keras: of all of its optimizers",
    ),
    "after": by(
        "the parameter after the step decays, by lr times weight_decay",
        "bitsandbytes: of Adam and AdEMAMix on CUDA, csrc/kernels.cu line 708, kOptimizer32bit2State",
    ),
    "fixed": by(
        "the parameter before the step decays by weight_decay alone, not scaled by lr",
        "adabelief-pytorch: of AdaBelief, fixed_decay",
        "timm: of AdaBelief, fixed_decay",
        "pytorch-optimizer: of what has fixed_decay",
    ),
    "constant": by(
        "lr times weight_decay is subtracted from every entry, whatever its value", "torch-optimizer: SGDW, a fault"
    ),
    "independent": by(
        "the parameter decays by weight_decay times lr / peak_lr, the schedule alone; peak_lr does not follow lr",
        "elsewhere: Wortsman et al. 2024",
    ),
    "corrected": by(
        "the parameter decays by weight_decay times lr**2 / peak_lr; peak_lr does not follow lr",
        "timm: of AdamW and Lion, corrected_weight_decay",
    ),
}


def _decays(*kinds: str) -> Choice:
    return Choice(**{kind: _DECAYS[kind] for kind in kinds})


#: how a rule's weight decay acts, where its paper has none or leaves it open
DecayKind = Annotated[str, _decays("coupled", "before", "after", "fixed")]
#: as `DecayKind`, and a fault of one package besides
PlainDecayKind = Annotated[str, _decays("coupled", "before", "after", "fixed", "constant")]
#: how the decay of a rule acts that decouples it
DecoupledKind = Annotated[str, _decays("before", "after", "fixed", "independent", "corrected")]
#: all of them
AnyDecayKind = Annotated[str, _decays("before", "after", "fixed", "independent", "corrected", "coupled")]

EpsPlacement = Annotated[
    str,
    Choice(
        outside=by(
            "eps is added to the root of the corrected second moment",
            "published",
            "torch: of Adam and AdamW",
            "optax: of Adam and AdamW",
        ),
        uncorrected=by(
            "eps is added to the root of the uncorrected second moment", "Keras: of Adam, AdamW and AMSGrad, eps hat"
        ),
        inside="eps is added to the corrected second moment under the root",
        clamped=by("the root of the corrected second moment is at least eps", "heavyball: of its Adam-like optimizers"),
    ),
]


def descend(rule: Any, p: Any, step: Any) -> Any:
    """The parameter after a step, with the decay of the parameter that the rule says; coupled decay is in the step."""
    rate = rule.lr * rule.weight_decay
    if not rule.weight_decay or rule.decay == "coupled":
        return p - step
    if rule.decay == "after":
        p = p - step
        return p - rate * p
    if rule.decay == "fixed":
        return p - (step + rule.weight_decay * p)
    if rule.decay == "constant":
        return p - (step + rate)
    if rule.decay == "independent":
        return p - (step + rate / rule.peak_lr * p)
    if rule.decay == "corrected":
        return p - (step + rate * rule.lr / rule.peak_lr * p)
    return p - (step + rate * p)


def over_root(rule: Any, m_hat: Any, v: Any, bias: Any = None) -> Any:
    """A first moment over the root of the second, by where the rule adds eps and ``eps_root``.

    ``bias`` is what the second moment is still to be divided by, if it is not corrected yet.
    """
    if rule.eps_placement == "uncorrected" and bias is not None:
        return np.sqrt(bias) * m_hat / (_root(v, rule) + rule.eps)
    v_hat = v if bias is None else v / bias
    if rule.eps_placement == "inside":
        return m_hat / np.sqrt(v_hat + rule.eps)
    if rule.eps_placement == "clamped":
        return m_hat / np.maximum(_root(v_hat, rule), rule.eps)
    return m_hat / (_root(v_hat, rule) + rule.eps)


def _root(v: Any, rule: Any) -> Any:
    return np.sqrt(v + rule.eps_root) if rule.eps_root else np.sqrt(v)


def adam_direction(m: Any, v: Any, rule: Any, t: Any) -> Any:
    """The bias-corrected step of Adam, by where the rule adds eps."""
    return over_root(rule, m / (1 - rule.beta1**t), v, 1 - rule.beta2**t)


def average_lengths(rule: Any, t: Any) -> tuple[Any, Any]:
    """The length of the average of squares at a step, and at infinity (Liu et al. 2020)."""
    longest = 2 / (1 - rule.beta2) - 1
    return longest - 2 * t * rule.beta2**t / (1 - rule.beta2**t), longest


def rectification(length: Any, longest: Any) -> Any:
    """The factor by which the variance of an adaptive step is rectified (Liu et al. 2020)."""
    return np.sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length))
