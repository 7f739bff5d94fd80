"""The table of worked examples: of each optimizer one, and of those whose sources differ one of each source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import mpmath
from mpmath import mpf

from refgrad import optimizers as o
from tests.optimizers import (
    test_paper,
    test_paper_averaging,
    test_paper_extra,
    test_paper_layers,
    test_paper_momentum,
    test_paper_parameter_free,
    test_paper_tensors,
    test_paper_variants,
    test_wrappers,
)
from tests.optimizers.test_galore import galore
from tests.optimizers.test_muon import step as muon
from tests.optimizers.test_shampoo import shampoo
from tests.optimizers.worked.by_hand import GRADIENTS, Example


def soap(p: Any, g: Any, s: Any, t: int, h: Any) -> Any:
    """Of a vector: Adam, whose first gradient is not used."""
    if t == 1:
        return p
    s["m"] = h.beta1 * s["m"] + (1 - h.beta1) * g
    s["v"] = h.beta2 * s["v"] + (1 - h.beta2) * g**2
    step = s["m"] / (1 - h.beta1 ** (t - 1)) / mpmath.sqrt(1 / (1 - h.beta2 ** (t - 1)))
    return (1 - h.lr * h.weight_decay) * (p - h.lr * step / (mpmath.sqrt(s["v"]) + h.eps))


def psgd_kron(p: Any, g: Any, s: Any, t: int, h: Any) -> Any:
    """Of a vector, as in kron_torch: a diagonal factor."""
    s["m"] = h.momentum * s["m"] + (1 - h.momentum) * g
    m, q, v = s["m"] / (1 - h.momentum**t), s["diagonal"], h.noise
    m = m + h.damping * sum(abs(m)) / 3 * v
    seen, drawn = (q * m) ** 2, (v / q) ** 2
    s["diagonal"] = q = q - h.precondition_lr * (seen - drawn) * q / (max(seen + drawn) + h.eps)
    step = q**2 * m
    return p - h.lr * step * min(1, h.clip / (mpmath.sqrt(sum(step**2) / 3) + h.padding))


def bfloat16(x: Fraction) -> Fraction:
    """The nearest number of eight significant bits, ties to even."""
    unit = Fraction(1)
    while abs(x) >= 256 * unit:
        unit *= 2
    while x and abs(x) < 128 * unit:
        unit /= 2
    return round(x / unit) * unit


def stored(p: Any, g: Any, s: Any, t: int, h: Any) -> Any:
    """Momentum and parameter in bfloat16; the step goes on from the momentum before it is rounded. In fractions."""
    lr, decay, gradient, kept = (rational(x) for x in (h.inner_lr, h.inner_momentum, g, s["buffer"]))
    buffer = decay * kept + gradient
    s["buffer"] = number(bfloat16(buffer))
    return number(bfloat16(rational(p) - lr * buffer))


def rational(x: Any) -> Fraction:
    """A binary number of sixty digits as a fraction, exactly."""
    sign, mantissa, exponent, _ = x._mpf_
    return Fraction((-1) ** sign * int(mantissa)) * Fraction(2) ** int(exponent)


def number(x: Fraction) -> Any:
    """A fraction as a number of sixty digits."""
    return mpf(x.numerator) / x.denominator


def galore_of_a_row(p: Any, g: Any, s: Any, t: int, h: Any) -> Any:
    """The singular vector of the rows of one row is the number one, so that this is Adam times the scale."""
    s["basis"] = mpmath.matrix([[1]])
    return galore(p, g, s, t, h)


MOMENTUM = test_paper_momentum
#: gradients that point one way, so that an estimate of the distance to go grows
AHEAD = ((0.5, -0.25, 1.0), (0.25, -0.5, 1.0), (1.0, -0.25, 0.5), (0.5, -0.5, 0.5))
#: the first is within a norm of one, the others are not
SHORT_AND_LONG = ((0.5, -0.25, 0.5), (-0.25, 1.0, 0.5), (1.0, 0.5, -0.25))
#: two of them turn, of small gradients against what was collected
TURNING = ((0.5, -0.25, 1.0), (-0.03125, 1.0, 0.5), (1.0, 0.5, -0.0625))
#: a large gradient first, so that the second moment falls after it
FALLING = ((2.0, -1.0, 4.0), (0.125, 0.25, -0.5), (-0.25, 0.125, 0.25))
#: two rows, and the gradients of three steps
MATRIX: Mapping[str, Any] = {
    "start": (1.0, -0.5, 2.0, 0.25, -1.5, 0.75),
    "gradients": (
        (0.5, -0.25, 1.0, -0.75, 1.0, 0.25),
        (-0.25, 1.0, 0.5, 0.5, 0.25, -1.0),
        (1.0, 0.5, -0.25, 0.125, -0.5, 0.75),
    ),
    "rows": 2,
}
#: where the usual three steps of three numbers do not show what a rule is about, what it is given in their place
OWN_NUMBERS: Mapping[str, Mapping[str, Any]] = {
    "AMSGrad": {"gradients": FALLING},
    "Adafactor": MATRIX,
    "CautiousAdamW": {"gradients": TURNING},
    "CautiousLion": {"gradients": TURNING},
    "ClipByGlobalNorm": {"gradients": SHORT_AND_LONG},
    "ClipByNorm": {"gradients": SHORT_AND_LONG},
    "RAdam": {"gradients": (*GRADIENTS, *GRADIENTS)},
}
#: where a paper and what people run differ, or what refgrad once had wrong: these come first
SOURCES = [
    Example(o.Adan(), MOMENTUM.adan, "number"),
    Example(o.Adan(start="corrected", eps_placement="outside", decay="before"), MOMENTUM.adan_corrected, "number"),
    Example(o.NAdam(), test_paper.nadam, "number"),
    Example(o.NAdam(algorithm="paper"), test_paper.nadam, "number"),
    Example(o.LaProp(), MOMENTUM.laprop, "number", rates=(0.01, 0.001, 0.001)),
    Example(o.LaProp(averaged="directions"), MOMENTUM.laprop_directions, "number"),
    Example(o.ADOPT(), MOMENTUM.adopt, "number"),
    Example(o.ADOPT(clip="none", start="whole"), MOMENTUM.adopt, "number"),
    Example(o.ScheduleFreeAdamW(weight_decay=0.1), test_paper_averaging.schedule_free_adamw, "vector"),
    Example(
        o.ScheduleFreeAdamW(weight_decay=0.1, correction="rate"), test_paper_averaging.schedule_free_adamw, "vector"
    ),
    *(
        Example(rule, test_paper_parameter_free.prodigy, "vector", gradients=AHEAD)
        for rule in (o.Prodigy(d0=0.01, eps=0.01), o.Prodigy(d0=0.01, eps=0.01, eps_scale="old"))
    ),
    *(
        Example(rule, test_paper_parameter_free.dadapt_adam, "vector", gradients=AHEAD)
        for rule in (o.DAdaptAdam(d0=0.01), o.DAdaptAdam(d0=0.01, product="new"))
    ),
    Example(
        o.PSGDKron(damping=0.25, padding=1e-12, vectors="diagonal", decayed="matrices", updates="interval"),
        psgd_kron,
        "vector",
    ),
    Example(o.GaLore(rank=1), galore_of_a_row, "matrix"),
    Example(o.Muon(weight_decay=0.0), muon, "matrix", **MATRIX),
    Example(o.Shampoo(eps=0.5), shampoo, "matrix", **MATRIX),
    Example(o.SOAP(), soap, "number"),
    Example(o.Stored(inner=o.SGD(lr=0.1, momentum=0.9)), stored, "number"),
]
#: the tables of equations that tests hold rules' graphs against, and what theirs take
TABLES: Sequence[tuple[str, Any]] = (
    ("number", test_paper.PAPERS),
    ("number", test_paper_momentum.PAPERS),
    ("number", test_paper_variants.BASES),
    ("vector", test_paper_averaging.PAPERS),
    ("vector", test_paper_parameter_free.PAPERS),
    ("row", test_paper_extra.PAPERS),
    ("row", test_paper_layers.MATRICES),
    ("row", test_wrappers.PAPERS),
    ("lists", test_paper_tensors.BASES),
)


def gathered() -> list[Example]:
    """The table: the sources, and of every other rule the first equation that stands in a test."""
    found = {}
    for of, table in TABLES:
        for rule, paper in table:
            name = type(rule).__name__
            found.setdefault(name, Example(rule, paper, of, **OWN_NUMBERS.get(name, {})))
    own = {example.name for example in SOURCES}
    return sorted([*SOURCES, *(e for n, e in found.items() if n not in own)], key=lambda e: e.name)


EXAMPLES = gathered()
