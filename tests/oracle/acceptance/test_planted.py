"""No set holds everything: of every rule and variant a constant, a sign flip and a factor of two in each output are refused.

And under every policy on subnormals the same is decided where no number is subnormal.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.errors import ArgumentError
from refgrad.kinds.record import Record
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.engine.request import Request
from refgrad.oracle.engine.run import Claim
from refgrad.oracle.engine.situations import exercise
from refgrad.rule import Rule, find, rules
from refgrad.strength.exercised import exercised
from refgrad.strength.situations.fault import Fault
from refgrad.strength.situations.planting import program
from tests.oracle.acceptance.alike import listed

REQUEST = Request(candidate=None, rule=find("SGD")(), steps=2, dtype=np.dtype(np.float32), time_limit=60.0)


def exercised_of(cls: type[Rule]) -> Any:
    """A rule with its defaults; of an optimizer those hyperparameters set that are zero."""
    rule: Any = cls()
    return exercised(rule)


KINDS = ("optimizer", "estimator", "quantizer")
RULES = [rule for rule in map(exercised_of, rules().values()) if rule.kind in KINDS]
POLICIES = ("keep", "flush", "either")
#: those into whose outputs something is planted: every rule with defaults, and every named variant of those with graphs
EVERY = [*map(exercised_of, rules().values()), *(variant for rule in RULES for _, variant in rule.variants())]
#: whose own program takes a minute
SLOW = frozenset({"ConvexReLUProgram"})

#: what is put in an output's place
PLANTS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "a constant": lambda a: np.full_like(a, 123),
    "a sign flip": lambda a: -a,
    "a factor of two": lambda a: a * a.dtype.type(2),
}


def claim_of(rule: Rule, subnormals: str) -> Claim:
    policy = Policy(subnormals=subnormals)
    return Claim.of(
        dataclasses.replace(REQUEST, candidate=rule, rule=rule, dtype=np.dtype(rule.kept_in), policy=policy)
    )


def driven(claim: Claim) -> Record:
    """The rule itself on one leaf of two steps, or on one case."""
    made = claim.kind.generate(claim.rule, 2, np.dtype(claim.rule.kept_in), 3)
    return claim.drive(
        made.only(0) if claim.kind.stepped else dataclasses.replace(made, arrays=made.arrays[:1], names=["x"])
    )


def outputs(record: Record) -> dict[str, np.ndarray]:
    """What was seen last, by name."""
    seen = record.seen[-1]
    if isinstance(seen, Mapping):
        return {n: np.asarray(a) for n, a in seen.items()}
    return {"p": np.asarray(seen.params[0]), **{n: a for n, a in seen.state[0].items() if isinstance(a, np.ndarray)}}


def with_output(record: Record, name: str, array: np.ndarray) -> Record:
    """A record in which one output was another one."""
    seen = record.seen[-1]
    if isinstance(seen, Mapping):
        new: Any = {**seen, name: array}
    elif name == "p":
        new = dataclasses.replace(seen, params=[array])
    else:
        new = dataclasses.replace(seen, state=[{**seen.state[0], name: array}])
    return dataclasses.replace(record, seen=[*record.seen[:-1], new])


def planted(record: Record) -> Iterator[tuple[str, str, Record]]:
    """Each output, and what is put in its place, if that is anything else."""
    for name, array in outputs(record).items():
        for what, plant in PLANTS.items():
            if array.dtype.kind not in "f" and what != "a constant":
                continue
            with np.errstate(all="ignore"):
                other = plant(array)
            if not np.array_equal(other, array, equal_nan=True):
                yield name, what, with_output(record, name, other)


def refused(claim: Claim, record: Record, own: int) -> bool:
    """True if more is outside than of the rule itself, or what was seen stands for nothing."""
    tally = claim.judge(record)
    return tally.outside > own or bool(tally.faults)


#: outputs that say little after two steps, and why
ILL_CONDITIONED = {("Prodigy", "numerator"): "a sum over the tensor of products of either sign, which cancel"}


@pytest.mark.sample(quick=3, suite=40)
@pytest.mark.parametrize("subnormals", POLICIES)
@pytest.mark.parametrize("rule", [rule for rule in EVERY if type(rule).__name__ not in SLOW], ids=str)
def test_what_is_planted_in_an_output_is_refused(rule: Rule, subnormals: str) -> None:
    claim = claim_of(rule, subnormals)
    record = driven(claim)
    own = claim.judge(record).outside
    assert own == 0 or subnormals == "flush"  # the rule itself keeps subnormal numbers
    taken = [(name, what) for name, what, wrong in planted(record) if not refused(claim, wrong, own)]
    assert [each for each in taken if (type(rule).__name__, each[0]) not in ILL_CONDITIONED] == []


VARIANTS = [(rule, name, variant) for rule in RULES for name, variant in rule.variants()]


@pytest.mark.sample(quick=2, suite=10)
@pytest.mark.parametrize(("rule", "name", "variant"), VARIANTS, ids=lambda x: str(x))
def test_a_variant_is_told_under_every_policy_or_under_none(rule: Rule, name: str, variant: Rule) -> None:
    """Of numbers none of which is subnormal: what may be done to those that are is no excuse.

    Results may be subnormal all the same, which the rule keeps: it is told by what is outside besides what is of the rule itself.
    """
    counts = {}
    for subnormals in POLICIES:
        claim = claim_of(rule, subnormals)
        try:
            record = driven(dataclasses.replace(claim, subject=claim.kind.resolve(variant, rule, {}, None)))
        except ArgumentError:  # it is kept in another dtype, and so told apart before anything is judged
            counts[subnormals] = True
            continue
        counts[subnormals] = claim.judge(record).outside > claim.judge(driven(claim)).outside
    assert len(set(counts.values())) == 1, counts


def rectified(off: int) -> Callable[..., Any]:
    """RAdam with another number in its rectification, (rho - 2 + off); before the variance is tractable it is right."""

    def step(p, g, m, v, t, lr, beta1, beta2, eps):  # type: ignore[no-untyped-def]
        f = np.float32
        m, v = f(beta1) * m + f(1 - beta1) * g, f(beta2) * v + f(1 - beta2) * g * g
        most = 2 / (1 - beta2) - 1
        rho = most - 2 * t * beta2**t / (1 - beta2**t)
        m_hat = m / f(1 - beta1**t)
        if rho <= 4:
            return p - f(lr) * m_hat, m, v
        r = np.sqrt((rho - 4) * (rho - 2 + off) * most / ((most - 4) * (most - 2) * rho))
        return p - f(lr * r) * m_hat / (np.sqrt(v / f(1 - beta2**t)) + f(eps)), m, v

    return step


@pytest.mark.sample(suite=2)
@pytest.mark.slow
@pytest.mark.parametrize(("off", "conforms"), [(0, True), (-1, False), (1, False), (2, False)])
def test_scalars_in_float32_are_no_excuse_for_others(off: int, conforms: bool) -> None:
    """Where the variance is just tractable, rounding in float32 takes most digits of rho, and of nothing else."""
    verdict = refgrad.verify(rectified(off), find("RAdam")(scalars="float32"), explain=False, shrink=False)
    assert verdict.conforms == conforms


@pytest.mark.parametrize("ties", ["away", "up"])
@pytest.mark.parametrize("rule", [find("PACT")(bits=1), find("TQT")()], ids=str)
def test_ties_of_a_scale_that_is_a_power_of_two_are_told(rule: Any, ties: str) -> None:
    """At more bits PACT's scale is never one, and a tie is one of a rounded quotient."""
    verdict = refgrad.verify(rule.replace(ties=ties), rule, explain=False, shrink=False)
    assert verdict.outcome == "does not conform"


#: every rule and each of its variants, but for how scalars are rounded, which the sets take in by what a policy says
NAMED = [(cls(), name) for cls in rules().values() for name, _ in cls().variants() if not name.startswith("scalars=")]


@pytest.mark.sample(quick=1, suite=8)
@pytest.mark.parametrize(("rule", "name"), NAMED, ids=lambda x: str(x))
def test_a_variant_is_told_by_the_default_run_or_stands_in_the_list(rule: Any, name: str) -> None:
    """A program that is told settings and follows them, in the variant's way."""
    field = name.partition("=")[0]
    (variant,) = [v for text, v in rule.variants() if text == name]
    change = Fault("default", "variant", name, settings=lambda told: _turned(told, field, getattr(variant, field)))
    request = Request(candidate=program(rule, change), rule=rule, dtype=np.dtype(rule.kept_in), time_limit=60.0)
    claim = Claim.of(request)
    try:
        record = claim.driven(claim.cases())
    except ArgumentError:  # it takes arrays of another shape, and so is told apart before anything is judged
        return
    tally = claim.judge(record, measured=True)
    told = bool(tally.outside or tally.faults or record.faults) or any(each.wrong for each in exercise(claim))
    assert told or {(type(rule).__name__, name), ("*", name)} & listed()


def _turned(told: Any, field: str, value: Any) -> Any:
    try:
        return told.replace(**{field: value})
    except ArgumentError:  # what the other settings exclude
        return told


def test_the_list_is_of_variants() -> None:
    named = {(type(rule).__name__, name) for rule, name in NAMED}
    assert sorted(listed() - named - {("*", name) for _, name in named}) == []
