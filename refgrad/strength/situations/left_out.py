"""Planted changes that are left out of the shares, each for a reason: legal programs do the same, or no default run drives it.

A change stands here only after the default run has accepted it, and the probe has shown that it is one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from refgrad.oracle.inputs.settings import other_settings
from refgrad.quantizers.gguf.blocks import BlockFormat
from refgrad.strength.situations.fault import Fault
from refgrad.tracing import free_values

#: whether a reason is that of a fault of a rule, of which the probe says where it shows first
Applies = Callable[[Any, Fault, str], bool]
#: steps whose numbers are compared
STEPS = (1, 2, 3, 10)


@dataclass(frozen=True)
class LeftOut:
    """Changes of one kind, and why they are left out.

    Attributes:
        situation, kinds: of the faults.
        applies: whether a fault of these is one.
        reason: why it is left out, as a clause.
    """

    situation: str
    kinds: tuple[str, ...]
    applies: Applies
    reason: str


def reason(rule: Any, fault: Fault, shown: str) -> str:
    """Why a change that was accepted is left out; empty if there is no reason.

    Args:
        rule: into which it was planted.
        fault: the change.
        shown: where the probe shows it first.

    >>> from refgrad.sparsity import Magnitude
    >>> reason(Magnitude(), Fault("default", "behaviour", "ties=high where a number is off its default"), "")
    'of equal scores any may be kept'
    """
    for each in TABLE:
        if fault.situation == each.situation and fault.kind in each.kinds and each.applies(rule, fault, shown):
            return each.reason
    return ""


def _named(*names: str) -> Applies:
    return lambda rule, fault, shown: type(rule).__name__ in names


def _says(text: str) -> Applies:
    return lambda rule, fault, shown: fault.name.startswith(text)


def _selects(rule: Any, fault: Fault, shown: str) -> bool:
    """A mask, or a next one, among equal scores."""
    return rule.kind in ("mask", "mask-update") and ("zeros" in fault.kind or fault.name.startswith("ties=high"))


def _of_blocks(rule: Any, fault: Fault, shown: str) -> bool:
    return isinstance(rule, BlockFormat)


def _beyond_lengths(rule: Any, fault: Fault, shown: str) -> bool:
    """More numbers than a verdict drives of a rule, and says first that it does not."""
    return any(each.left_out for each in _situations(rule))


def _situations(rule: Any) -> Iterator[Any]:
    from refgrad.kinds.record import Driven
    from refgrad.kinds.table import kind_of

    with np.errstate(all="ignore"):
        yield from kind_of(rule).situations(rule, Driven(None, frozenset(), np.dtype(rule.kept_in), 0))


def _off_matrices(rule: Any, fault: Fault, shown: str) -> bool:
    """It shows in another number of axes than two, of a rule that tells rows."""
    from refgrad.kinds.table import kind_of

    cases = kind_of(rule).sizes(rule, np.dtype(rule.kept_in), 0)
    driven = {np.ndim(a["p" if "p" in a else rule.primary]) for a in cases.arrays} if cases is not None else set()
    axes = shown.partition("shape (")[2].partition(")")[0].strip(",").count(",") + 1 if "shape (" in shown else 3
    return axes != 2 and axes not in driven


def _within_a_unit(rule: Any, fault: Fault, shown: str) -> bool:
    """Numbers in float32 that at other settings are next to those that are rounded once, or are the same."""
    if not fault.name.startswith("scalars=float32"):
        return False
    for told in other_settings(rule, rule.reads())[:1]:
        for t in STEPS:
            own, theirs = (_numbers(each, t) for each in (told, fault.settings(told)))
            if own.shape != theirs.shape or (np.abs(own - theirs) > np.spacing(np.abs(own))).any():
                return False
    return True


def _numbers(rule: Any, t: int) -> np.ndarray:
    """What a plan is given besides arrays, as it meets them."""
    plan = rule.plan((2, 2), t) if rule.kind == "optimizer" else rule.plan((2, 2))
    values = free_values((2, 2), {"t": t} if "t" in plan.free else {})
    return np.asarray(list(plan.scalars(*values)), np.float64).astype(np.float32)


UNDEFINED = "llama.cpp makes an integer of what is no number, which C leaves undefined"
#: reasons that are none of legal programs: the default run does not go there, and a verdict says so first
NOT_DRIVEN = ("so many numbers are not driven, which the verdict's first lines say",)
TABLE: tuple[LeftOut, ...] = (
    LeftOut("default", ("behaviour",), _selects, "of equal scores any may be kept"),
    LeftOut("value", ("zeros, twice",), _selects, "of equal scores any may be kept, and the complement keeps as many"),
    LeftOut(
        "default",
        ("behaviour",),
        _within_a_unit,
        "at another setting numbers in float32 are within a unit in the last place; near one, where they are not, the "
        "defaults are",
    ),
    LeftOut(
        "default",
        ("behaviour",),
        _says("division=padded"),
        "a quotient may be a product with a reciprocal, and be rounded more than once",
    ),
    LeftOut("default", ("behaviour",), _says("form=batch"), "it is the same number, computed otherwise"),
    # of a squared loss, whose second derivative does not depend on the label: what the leaf's value multiplies cancels
    LeftOut("default", ("behaviour",), _says("leaf_value=stored"), "it is the same number, computed otherwise"),
    LeftOut("value", ("NaN", "infinity"), _of_blocks, UNDEFINED),
    LeftOut("part", ("rare",), _beyond_lengths, NOT_DRIVEN[0]),
    LeftOut("value", ("infinity",), _named("MX"), "the standard leaves what is no number to the implementation"),
    LeftOut(
        "value",
        ("infinity",),
        _named("NaturalCompression"),
        "C leaves the exponent that frexp gives of an infinity unspecified",
    ),
    LeftOut("value", ("infinity",), _named("HQQ"), "it is searched for in steps that are not finite"),
    LeftOut("value", ("NaN",), _named("SignDescent"), "torch's sign of NaN is 0, that of 0"),
    LeftOut("value", ("NaN",), _named("WinsorizedMean"), "what is no number has no place in an order"),
    LeftOut(
        "value", ("infinity",), _named("Shampoo"), "of a matrix with an infinity LAPACK raises, or returns anything"
    ),
    LeftOut(
        "value",
        ("zeros, not a number",),
        _named("DoReFaWeights"),
        "zero by zero: infinite or no number, by the order of operations",
    ),
    LeftOut(
        "value",
        ("large",),
        _named("BiPer"),
        "a rounding of such a number is as long as the period of its sine",
    ),
    LeftOut(
        "value",
        ("tie",),
        _named("VectorQuantization"),
        "of such numbers the distances to all rows are equal to within their rounding",
    ),
    LeftOut(
        "shape",
        ("axes", "one element"),
        _off_matrices,
        "which of other than two axes are rows, programs settle in several ways",
    ),
    LeftOut(
        "value",
        ("wrapped",),
        _off_matrices,
        "which of other than two axes are rows, programs settle in several ways",
    ),
)
