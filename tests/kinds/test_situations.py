"""Faults that do not show on ordinary cases, of every kind; and what a candidate cannot take, which is said and no fault."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import refgrad
import refgrad.quantizers as q
import refgrad.sparsity as s
from refgrad.arithmetic.dtypes import as_dtype
from refgrad.errors import ArgumentError
from refgrad.estimators import LSQ
from refgrad.gradients import ErrorBoxes, TwoNeighborDimension
from refgrad.kinds.record import Driven
from refgrad.kinds.solved import Solved
from refgrad.kinds.table import kind_of
from refgrad.legal import Range
from refgrad.optimizers import SGD, ClipByNorm
from refgrad.oracle.engine.request import Request
from refgrad.oracle.engine.run import Claim
from refgrad.oracle.engine.situations import exercise, undriven
from refgrad.oracle.inputs.settings import neutral, other_setting
from refgrad.rule import Rule, rules
from refgrad.strength.situations import Fault, Trial
from refgrad.strength.situations.setting_faults import default_faults
from refgrad.strength.situations.trial import REFUSED
from tests.depth import at_depth
from tests.kinds.candidates import EXAMPLES

Array = np.ndarray
FEW = {"steps": 2, "time_limit": 60.0, "shrink": False}
#: kinds whose arrays may have any shape
SHAPED = ["optimizer", "8-bit-optimizer", "transform", "quantizer", "estimator", "mask", "mask-update"]
#: the example of a kind whose elements a block forgets: a matrix of 64 rows and columns has no tail
WIDTH = 128


#: each of refgrad's rules at its defaults
EVERY_RULE: list[Any] = [rule() for rule in map(rules().get, sorted(rules())) if rule is not None]


def forgetting(function: Callable[..., Any], of: Callable[[Array], Array]) -> Callable[..., Any]:
    """The same with the results beyond the last whole block changed."""

    @functools.wraps(function)
    def changed(*given: Any, **more: Any) -> Any:
        return spoilt(function(*given, **more), of)

    return changed


def spoilt(result: Any, of: Callable[[Array], Array]) -> Any:
    if isinstance(result, tuple):
        return (spoilt(result[0], of), *result[1:])
    if isinstance(result, dict):
        return {n: spoilt(a, of) if n == "p" else a for n, a in result.items()}
    whole = np.array(result).reshape(-1)
    start = whole.size // WIDTH * WIDTH
    whole[start:] = of(whole[start:])
    return whole.reshape(np.shape(result))


def other(values: Array) -> Array:
    return ~values if values.dtype.kind in "bu" else values * 2 + 1


def right(kind: str) -> Any:
    return EXAMPLES[kind].right


@pytest.mark.sample(quick=1, suite=4)
@pytest.mark.parametrize("kind", SHAPED)
def test_a_forgotten_tail_is_found(kind: str) -> None:
    """Ordinary cases of most kinds have a multiple of the width; small odd shapes show it."""
    candidate = right(kind)
    pair = isinstance(candidate, tuple)
    wrong = (forgetting(candidate[0], other), candidate[1]) if pair else forgetting(candidate, other)
    verdict = refgrad.verify(wrong, EXAMPLES[kind].rule, **FEW, explain=at_depth(quick=1.0, suite=5.0, thorough=5.0))
    assert verdict.outcome == "does not conform"
    if verdict.situation == "shapes":
        assert verdict.explanation is None or verdict.explanation.name == f"tail of {WIDTH}"


@pytest.mark.sample(quick=2)
@pytest.mark.parametrize("kind", SHAPED)
def test_what_is_right_is_right_in_every_shape(kind: str) -> None:
    verdict = refgrad.verify(right(kind), EXAMPLES[kind].rule, **FEW)
    assert verdict.conforms, verdict
    assert verdict.situations["shapes"] >= 1


def only(function: Callable[..., Any], taken: Callable[[Array], bool]) -> Callable[..., Any]:
    """The same for some arrays alone."""

    @functools.wraps(function)
    def changed(*given: Any, **more: Any) -> Any:
        first = next(a for a in (*given, *more.values()) if isinstance(a, np.ndarray))
        if not taken(first):
            raise NotImplementedError("multiples of 64 alone")
        return function(*given, **more)

    return changed


@pytest.mark.parametrize("kind", ["optimizer", "estimator", "mask"])
def test_a_restriction_is_said_and_is_no_fault(kind: str) -> None:
    candidate, taken = right(kind), lambda a: a.size % 64 == 0 and a.ndim <= 2
    some = tuple(only(f, taken) for f in candidate) if isinstance(candidate, tuple) else only(candidate, taken)
    verdict = refgrad.verify(some, EXAMPLES[kind].rule, **FEW)
    assert verdict.conforms, verdict
    told = next(part for part in str(verdict).split("\n\n") if part.startswith("Not exercised"))
    assert "shapes: shape (), " in told
    assert "multiples of 64 alone" in told


def request(rule: Rule) -> Request:
    """A rule that claims to be itself."""
    return Request(candidate=rule, rule=rule, steps=1, dtype=as_dtype(rule.kept_in))


@pytest.mark.sample(quick=3, suite=8)
@pytest.mark.parametrize("name", sorted(rules()))
def test_every_rule_is_itself_in_every_situation(name: str) -> None:
    claim = Claim.of(request(rules()[name]()))
    reached = set()
    for found in exercise(claim):
        reached.add(found.situation.name)
        assert found.record is not None, list(found.restriction())
        assert not found.refused, list(found.restriction())
        assert not found.wrong, (found.situation.name, found.tally.counts, found.record.faults)
        assert not found.tally.undecided_nan, found.situation.name
    missing = set(claim.kind.promised(claim.subject)) - reached
    assert all(situation in said for said in undriven(claim, reached) for situation in missing)
    assert bool(missing) == bool(list(undriven(claim, reached)))


@pytest.mark.sample(quick=8, suite=66)
@pytest.mark.parametrize("name", sorted(rules()))
def test_every_rule_is_itself_at_another_setting(name: str) -> None:
    rule = rules()[name]()
    other = other_setting(rule, rule.reads())
    if other is None:
        claimed = {"tolerance"} if isinstance(rule, Solved) else set()  # what is judged by, which changes no answer
        numbers = [n for n in rule.reads() if n in rule.legal() and n not in claimed]
        assert not [n for n in numbers if neutral(rule.numbers()[n])]
        return
    claim = Claim.of(request(other))
    tally = claim.judge(claim.drive(claim.kind.few(other, Driven(claim.subject, frozenset(), claim.request.dtype, 0))))
    assert not tally.faults
    assert not tally.outside, (str(other), tally.counts)
    assert tally.decided


#: what shows at another setting alone, and not in the first shape, the first families or beside a large leaf
HIDDEN = {
    "the count of a mask": ("Movement", "sparsity", "rounding", "floor"),
    "a number that one family shows": ("ParameterScaledRate", "floor", "floor", 0.001),
    "an eps beside a norm of all": ("NormalizedGradient", "eps", "eps", 0.002),
}


@pytest.mark.sample(quick=1)
@pytest.mark.parametrize(("name", "number", "field", "value"), HIDDEN.values(), ids=HIDDEN)
def test_what_another_setting_hides_is_driven(name: str, number: str, field: str, value: Any) -> None:
    rule = rules()[name]()
    default = getattr(rule, number)
    wrong = lambda told: told if getattr(told, number) == default else told.replace(**{field: value})  # noqa: E731
    fault = Fault("default", "hidden", "wrong off the default", settings=wrong)
    assert Trial(rule).of(fault).outcome == REFUSED


def of_many(part: Array, change: Callable[[Array], Array]) -> Array:
    """A result in which some of more than 2**16 elements are changed."""
    part = np.array(part)
    if part.size > 2**16:
        part.reshape(-1)[:] = change(part.reshape(-1))
    return part


def after_a_counter(flat: Array) -> Array:
    """All from the element on at which a counter of 16 bits begins anew."""
    return np.concatenate([flat[: 2**16], other(flat[2**16 :])])


def one_in_ten_thousand(flat: Array) -> Array:
    flat[10007::10007] = other(flat[10007::10007])
    return flat


@pytest.mark.sample(quick=2)
@pytest.mark.parametrize("change", [after_a_counter, one_in_ten_thousand])
@pytest.mark.parametrize("rule", [q.Cast(), q.Q4_0(), q.RoundToNearest(), s.NOfM()], ids=str)
def test_what_is_wrong_in_large_arrays_alone_is_seen_of_rules_of_blocks_too(
    rule: Any, change: Callable[[Array], Array]
) -> None:
    """Whatever shapes a rule takes, one has more elements than 16 bits count."""

    def quantize(x: Array) -> dict[str, Array]:
        parts = dict(rule.quantize(x).arrays)
        return {**parts, "codes": of_many(parts["codes"], change)}

    candidate = quantize if rule.kind == "quantizer" else lambda w: of_many(rule.mask(w), change)
    verdict = refgrad.verify(candidate, rule, explain=False, shrink=False)
    assert not verdict.conforms
    assert verdict.situation == "shapes"


@pytest.mark.slow
def test_a_rule_that_searches_says_that_no_large_array_was_tried() -> None:
    rule = q.OptimalCodebook()
    subject = kind_of(rule).resolve(rule, rule, {}, None)
    every = kind_of(rule).situations(rule, Driven(subject, frozenset(), np.dtype(np.float32), 0))
    left_out = {situation.name: situation.left_out for situation in every}
    assert left_out["shapes"] == "arrays of more than 4,097 elements"


def without_the_tail(array: Array, length: int, above: int) -> Array:
    """An array whose last elements beyond whole blocks are zero: what is added up, or looked for, where a tail is left out."""
    flat = np.array(array)
    if flat.size > max(above, length):
        flat.reshape(-1)[flat.size // length * length :] = 0
    return flat


#: lengths of blocks whose tail a program leaves out, and the number of elements from which on it does
TAILS = {"1024": (1024, 0), "4 of large ones": (4, 2**16), "4096 of large ones": (4096, 2**16)}
#: rules whose numbers, one an array or a row, are made of all elements: of each the part that is
REDUCING: dict[str, tuple[Any, str]] = {
    "a largest magnitude": (q.Affine(symmetric=True), "scale"),
    "a least": (q.Affine(), "scale"),
    "a mean": (q.TWN(), "scale"),
    "a mean of rows": (q.BWN(), "scale"),
    "a norm": (q.QSGD(), "norm"),
    "a largest of all": (q.NVFP4(), "tensor_scale"),
    "of floats": (q.ScaledFloat(), "scale"),
}


@pytest.mark.sample(quick=2)
@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize(("rule", "part"), REDUCING.values(), ids=REDUCING)
def test_a_number_of_all_elements_that_leaves_out_their_tail_is_seen(rule: Any, part: str, tail: str) -> None:
    def program(x: Array, **more: Array) -> dict[str, Array]:
        return {part: rule.quantize(without_the_tail(x, *TAILS[tail]), **more).arrays[part]}

    verdict = refgrad.verify(program, rule, explain=False, shrink=False)
    assert not verdict.conforms, verdict


@pytest.mark.sample(quick=2, suite=6)
@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize(
    "rule", [ClipByNorm(inner=SGD(lr=0.1)), LSQ(), s.Magnitude(), s.NormalizedMagnitude()], ids=str
)
def test_a_norm_a_gradient_or_an_order_that_leaves_out_the_tail_is_seen(rule: Any, tail: str) -> None:
    wrong = tailless(rule, lambda a: without_the_tail(a, *TAILS[tail]))
    verdict = refgrad.verify(wrong, rule, **FEW, explain=False)
    assert verdict.outcome == "does not conform"
    assert verdict.situation == "shapes"


@pytest.mark.sample(quick=1)
@pytest.mark.parametrize("rule", [ClipByNorm(inner=SGD(lr=0.1)), LSQ()], ids=str)
def test_the_same_program_with_the_tail_is_right(rule: Any) -> None:
    assert refgrad.verify(tailless(rule, lambda a: a), rule, **FEW, explain=False).conforms


def tailless(rule: Any, cut: Callable[[Array], Array]) -> Any:
    """A program whose norms, or gradient of a scale, or order, are made of what is left of an array."""
    if rule.kind == "mask":
        return lambda w: rule.mask(cut(w))
    if rule.kind == "estimator":

        def backward(cotangent: Array, x: Array, scale: Array) -> dict[str, Array]:
            whole, part = (rule.both(x=x, cotangent=c, scale=scale) for c in (cotangent, cut(cotangent)))
            return {"x_grad": whole["x_grad"], "scale_grad": part["scale_grad"]}

        return lambda x, scale: rule.both(x=x, cotangent=x, scale=scale)["y"], backward

    def clipped(p: Array, g: Array, max_norm: float) -> Array:
        norm = np.sqrt((cut(g) * cut(g)).sum())
        return np.asarray(p - np.float32(0.1) * (g * (np.float32(max_norm) / norm) if norm > max_norm else g))

    return clipped


def whole(rule: Rule) -> set[str]:
    """The numbers of a rule that are whole by its declaration."""
    return {n for n in rule.numbers() if isinstance(legal := rule.range_of(n), Range) and legal.whole}


@pytest.mark.parametrize("rule", [rule for rule in EVERY_RULE if whole(rule)], ids=str)
def test_another_setting_keeps_to_whole_numbers(rule: Rule) -> None:
    """Codes between whole numbers are no quantizer's, so that a right program would be refused there."""
    for name in whole(rule):
        found = other_setting(rule, [name])
        assert found is not None
        assert found.numbers()[name].is_integer()
        assert found.numbers()[name] != rule.numbers()[name]
    with pytest.raises(ArgumentError, match="whole"):
        rule.replace(**{min(whole(rule)): 2.5})


@pytest.mark.slow
def test_codes_that_are_rounded_before_they_are_held_between_bounds_are_right() -> None:
    """At whole bounds that is the same; at others it is not."""

    def forward(x: Array, scale: Array, negative: float, positive: float) -> Array:
        return np.asarray(np.clip(np.rint(x / scale), -negative, positive) * scale)

    def backward(g: Array, x: Array, scale: Array, negative: float, positive: float) -> tuple[Array, Array]:
        v = x / scale
        below, above = v <= -negative, v >= positive
        c = np.where(below, -np.float32(negative), np.where(above, np.float32(positive), np.rint(v) - v))
        factor = np.float32(1 / np.sqrt(max(x.size, 1) * positive))
        return np.where(below | above, np.float32(0), g), np.asarray(np.sum(g * c) * factor).reshape(np.shape(scale))

    assert refgrad.verify((forward, backward), LSQ(), **FEW, explain=False).conforms


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (TwoNeighborDimension(), "estimate=fit_but_last"),
        (ErrorBoxes(), "bound is left out"),
        (ErrorBoxes(), "bound is used 0.5 times"),
    ],
    ids=str,
)
def test_a_small_share_and_a_bound_on_elements_are_driven_at_another_setting(rule: Any, text: str) -> None:
    """Of twelve numbers a share of 0.04 is none, and where none is near a bound half the bound does the same."""
    (fault,) = (each for each in default_faults(rule) if each.name.startswith(text))
    outcome = Trial(rule).of(fault)
    assert (outcome.outcome, outcome.where) == (REFUSED, "another setting")
