"""refgrad: is this implementation right? Reference implementations of update rules, and an oracle that judges others."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from refgrad.errors import ArgumentError, CandidateError, RefgradError
from refgrad.version import VERSION

if TYPE_CHECKING:
    from refgrad import estimators, gradients, optimizers, quantizers, sparsity
    from refgrad.audits.audit import audit
    from refgrad.audits.found import Audit
    from refgrad.audits.recorder import record
    from refgrad.formula_functions import (
        hadamard,
        logsumexp,
        one_hot,
        segment_sum,
        softmax,
        stop_gradient,
        stored,
        take,
        top_k,
    )
    from refgrad.formulas import formula
    from refgrad.legal import Choice, Flag, Fraction, NonNegative, Positive, Range, Real, Whole
    from refgrad.opaque_functions import opaque
    from refgrad.oracle.acceptance.policy import Policy
    from refgrad.oracle.compare import compare
    from refgrad.oracle.comparison import Comparison
    from refgrad.oracle.engine.verdict import Verdict
    from refgrad.oracle.identification import Identification
    from refgrad.oracle.identify import identify
    from refgrad.oracle.inputs.cases import Cases
    from refgrad.oracle.inputs.written import Inputs
    from refgrad.oracle.sets import OutputSet, sets
    from refgrad.oracle.tolerances import Tolerances, tolerances
    from refgrad.oracle.verify import verify
    from refgrad.surveys.run import Survey, survey

__version__ = VERSION

__all__ = [
    "ArgumentError",
    "Audit",
    "CandidateError",
    "Cases",
    "Choice",
    "Comparison",
    "Flag",
    "Fraction",
    "Identification",
    "Inputs",
    "NonNegative",
    "OutputSet",
    "Policy",
    "Positive",
    "Range",
    "Real",
    "RefgradError",
    "Survey",
    "Tolerances",
    "Verdict",
    "Whole",
    "audit",
    "compare",
    "estimators",
    "formula",
    "gradients",
    "hadamard",
    "identify",
    "logsumexp",
    "one_hot",
    "opaque",
    "optimizers",
    "quantizers",
    "record",
    "segment_sum",
    "sets",
    "softmax",
    "sparsity",
    "stop_gradient",
    "stored",
    "survey",
    "take",
    "tolerances",
    "top_k",
    "verify",
]

#: packages that are imported when they are first asked for
_PACKAGES = ("estimators", "gradients", "optimizers", "quantizers", "sparsity")
_LATER = {
    "audit": "refgrad.audits.audit",
    "Audit": "refgrad.audits.found",
    "record": "refgrad.audits.recorder",
    "formula": "refgrad.formulas",
    **dict.fromkeys(
        (
            "hadamard",
            "logsumexp",
            "one_hot",
            "segment_sum",
            "softmax",
            "stop_gradient",
            "stored",
            "take",
            "top_k",
        ),
        "refgrad.formula_functions",
    ),
    "opaque": "refgrad.opaque_functions",
    "compare": "refgrad.oracle.compare",
    "Comparison": "refgrad.oracle.comparison",
    "identify": "refgrad.oracle.identify",
    "Identification": "refgrad.oracle.identification",
    "sets": "refgrad.oracle.sets",
    "OutputSet": "refgrad.oracle.sets",
    "survey": "refgrad.surveys.run",
    "Survey": "refgrad.surveys.run",
    "tolerances": "refgrad.oracle.tolerances",
    "Tolerances": "refgrad.oracle.tolerances",
    "verify": "refgrad.oracle.verify",
    "Verdict": "refgrad.oracle.engine.verdict",
    "Policy": "refgrad.oracle.acceptance.policy",
    **dict.fromkeys(
        ("Choice", "Flag", "Fraction", "NonNegative", "Positive", "Range", "Real", "Whole"), "refgrad.legal"
    ),
    "Inputs": "refgrad.oracle.inputs.written",
    "Cases": "refgrad.oracle.inputs.cases",
}


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return importlib.import_module(f"refgrad.{name}")
    if name not in _LATER:
        raise AttributeError(f"module 'refgrad' has no attribute {name!r}")
    return getattr(importlib.import_module(_LATER[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PACKAGES, *_LATER])
