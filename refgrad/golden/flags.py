"""The kinds of fault that wrong values are flagged with: what goes wrong, why, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Flag(NamedTuple):
    """A kind of fault.

    Attributes:
        bug: the kind of bug.
        cause: how it comes about.
        effect: what it does.
    """

    bug: str
    cause: str
    effect: str


_NUMBER = "numbers are off, often by less than tests allow"

FLAGS: Mapping[str, Flag] = {
    "OtherVariant": Flag(
        "another named behaviour", "a paper, its code and packages differ", "another rule of the same name"
    ),
    "EpsWrong": Flag(
        "eps is dropped, squared, or its root is taken", "a formula misread", "small gradients step too far"
    ),
    "EpsInsideRoot": Flag(
        "eps stands under the root", "sqrt(v + eps) for sqrt(v) + eps", "small gradients step less far"
    ),
    "EpsOutsideRoot": Flag(
        "eps stands beside the root", "sqrt(v) + eps for sqrt(v + eps)", "small gradients step too far"
    ),
    "EpsInState": Flag(
        "eps is added to the state at every step", "an accumulator that is updated in place", "the state grows"
    ),
    "MissingBiasCorrection": Flag(
        "a bias correction is missing", "averages start from zero", "the first steps are too small"
    ),
    "AddedBiasCorrection": Flag(
        "an average is corrected that is not", "Adam's code was copied", "the first steps are too large"
    ),
    "MovedBiasCorrection": Flag(
        "a bias correction stands outside a root", "fused forms of Adam", "eps counts otherwise"
    ),
    "StepCount": Flag(
        "the step is off by one", "steps are counted from zero", "corrections and schedules are a step off"
    ),
    "DecaysExchanged": Flag(
        "one decay stands for another", "beta1 and beta2 exchanged", "averages forget at another rate"
    ),
    "ComplementedDecay": Flag(
        "a decay and its complement are exchanged", "1 - beta for beta", "averages forget at once"
    ),
    "WrongAverage": Flag(
        "an average is a sum, a maximum, or stays", "an update that is left out", "the state is another"
    ),
    "WeightDecay": Flag("weight decay is absent, negative or scaled otherwise", "lr * decay against decay", _NUMBER),
    "CoupledWeightDecay": Flag(
        "weight decay is added to the gradient", "Adam with L2 for AdamW", "the state takes it in"
    ),
    "DecoupledWeightDecay": Flag(
        "weight decay is taken of the parameter", "AdamW for Adam with L2", "the state lacks it"
    ),
    "LookAhead": Flag(
        "Nesterov's look-ahead is added or missing", "momentum of another kind", "a step behind or ahead"
    ),
    "WrongSign": Flag("a term has the other sign", "ascent for descent", "it diverges"),
    "SignOfZero": Flag("zero has another sign", "where(x >= 0) for sign(x)", "what should rest moves"),
    "Clipped": Flag("the gradient is clipped", "clipping that is on by default", "large gradients count less"),
    "MissingOperation": Flag("a root, square, factor or term is missing", "a formula misread", _NUMBER),
    "AlteredOperation": Flag("a factor twice, or a quotient upside down", "a formula misread", _NUMBER),
    "WrongOperand": Flag("one array stands for another", "old for new, m for g", _NUMBER),
    "WrongSlot": Flag(
        "another array is stored as the state", "a temporary that is written back", "the next step is wrong"
    ),
    "WrongBoundary": Flag("a boundary is taken in or left out", "< for <=", "inputs on the boundary are wrong"),
    "TiesAwayFromZero": Flag("ties are rounded otherwise", "C's round() for rint()", "codes of ties are one off"),
    "WrongNumber": Flag("a number of the formula is twice, half, or negative", "a constant misread", _NUMBER),
    "WrongResult": Flag("a result is twice, half, or negative", "a factor left out at the end", _NUMBER),
    "WrongSelection": Flag("other entries are kept", "an order, a count or an axis that is off", "another mask"),
    "OtherFault": Flag("another operation", "a formula misread", _NUMBER),
}

#: a rewrite of `refgrad.oracle.mutants` -> its flag
OF_REWRITES: Mapping[str, str] = {
    "eps": "EpsWrong",
    "eps beside a root": "EpsInsideRoot",
    "eps under a root": "EpsOutsideRoot",
    "eps in the state": "EpsInState",
    "correction dropped": "MissingBiasCorrection",
    "correction added": "AddedBiasCorrection",
    "correction moved": "MovedBiasCorrection",
    "step count": "StepCount",
    "decays exchanged": "DecaysExchanged",
    "decay mistaken": "DecaysExchanged",
    "decay complemented": "ComplementedDecay",
    "average": "WrongAverage",
    "weight decay": "WeightDecay",
    "weight decay coupled": "CoupledWeightDecay",
    "weight decay decoupled": "DecoupledWeightDecay",
    "look-ahead": "LookAhead",
    "corrected look-ahead": "LookAhead",
    "sign": "WrongSign",
    "ties": "SignOfZero",
    "clip": "Clipped",
    "missing": "MissingOperation",
    "altered": "AlteredOperation",
    "scalar": "MissingOperation",
    "mistaken": "WrongOperand",
    "centred": "WrongOperand",
    "stored": "WrongSlot",
    "comparison": "WrongBoundary",
    "rounding": "TiesAwayFromZero",
    "number": "WrongNumber",
    "result": "WrongResult",
    "exchanged": "WrongOperand",
}
