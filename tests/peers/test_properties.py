"""Every rule that torch, JAX, optax or Keras has, judged on shapes, dtypes, settings, values and steps that are drawn."""

from __future__ import annotations

import dataclasses
import importlib.util
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import refgrad
from refgrad.arithmetic import dtypes
from refgrad.candidates.resolve import resolve
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.inputs.cases import Cases
from refgrad.oracle.inputs.written import of_steps
from refgrad.rule import Range
from refgrad.surveys.implementations import Implementation
from refgrad.testing.case_strategies import strategy_of
from refgrad.testing.strategies import moderate, numbers
from refgrad.testing.strategies import problems as with_extra_inputs
from tests.depth import examples
from tests.peers import ledger
from tests.peers.own_inputs import OWN
from tests.surveys.implementations.test_table import ROWS, candidate, named, runs_here

PACKAGES = ("torch", "jax", "optax", "keras")
EXTRA = "with_extra_inputs"
#: all but those that are known to be no variant; for rows whose inputs are their own such are drawn
EXPLAINED = [row for row in ROWS if row.package in PACKAGES and row.explained and not row.mutates]
OURS = [row for row in EXPLAINED if row.claim.kind == "optimizer"]
STATELESS = [row for row in EXPLAINED if row.claim.kind != "optimizer"]
SHAPES = ((), (1,), (5,), (3, 4), (2, 3, 2), (0,))
#: what is its row's rule in float32 alone. This and all that follows is left out of what is drawn, and each stands in the ledger,
#: with an example in `LEFT_OUT` that is run
FLOAT32_ALONE = ("torch.optim:NAdam", "torch.optim:ASGD", "torch.optim:Adafactor")
#: how many axes a parameter has where an implementation is its row's rule on some alone
AXES = {"torch.optim:Adafactor": (0, 1, 2), "optax:adafactor": (0, 1, 2), "optax:sm3": (1, 2)}
#: what makes NaN where all gradients of the first step are zero, or so small that their products are: its first gradients are
#: drawn with a number that is not
DIVIDE_BY_SUM = ("optax.contrib:prodigy", "optax.contrib:dadapt_adamw")
SEEN = 2.0**-60
#: what raises on a parameter of no elements
RAISE_ON_EMPTY = ("torch.optim:Adafactor",)
#: what makes a number of NaN, by a comparison or a maximum, where numbers overflow
DECIDE_ON_NAN = ("keras.optimizers:Lamb", "torch.optim:Adafactor")
#: of what leaves a decay of zero out, which times an infinite parameter is NaN, as all of optax does, an example
WITHOUT_DECAY = ("optax:lamb",)
#: what a number that is not zero is multiplied by
FACTORS = (1.0, 0.5, 0.75, 0.9, 1.5, 4.0)
STEPS = 4
#: what is told one number for two: optax' eps is the first squared distance besides
BOTH = {"optax.contrib:dowg": {"eps": "initial_square"}}


def left_open(row: Implementation) -> str:
    """What is left open of cases that have NaN or infinities, where numbers overflow and a case is judged once more."""
    if row.target in DECIDE_ON_NAN:
        return "nan_open"
    decays = [value for name, value in row.rule.numbers().items() if name.endswith("weight_decay")]
    return "may_meet" if row.package == "optax" and 0.0 in decays else ""


@st.composite
def settings(draw: Any, row: Implementation, told: frozenset[str]) -> Any:
    """The rule with each number that an implementation is told off its default, as far as that is legal."""
    rule: Any = row.rule
    changes = {}
    for name, value in rule.numbers().items():
        legal = rule.range_of(name)
        whole = value >= 2 and float(value).is_integer()
        if name in told and value and not whole and isinstance(legal, Range):
            moved = value * draw(st.sampled_from(FACTORS))
            changes[name] = moved if moved in legal else value
    changes |= {other: changes[name] for name, other in BOTH.get(row.target, {}).items() if name in changes}
    return rule.replace(**changes)


@st.composite
def problems(draw: Any, row: Implementation, dtype: Any) -> Cases:
    """Parameters of one to three shapes and their gradients for a few steps; tame numbers, or all of them.

    Of a rule that takes more than a gradient one parameter and its extra inputs.
    """
    if row.inputs in OWN:
        return draw(OWN[row.inputs]())
    element = draw(st.sampled_from([moderate(), numbers(dtype)]))
    if row.rule.inputs():
        return draw(with_extra_inputs(dtype, element, STEPS, row.rule))
    legal = [shape for shape in SHAPES if len(shape) in AXES.get(row.target, (0, 1, 2, 3))]
    legal = [shape for shape in legal if 0 not in shape or row.target not in RAISE_ON_EMPTY]
    shapes = draw(st.lists(st.sampled_from(legal), min_size=1, max_size=3, unique=True))

    def array(shape: tuple[int, ...]) -> np.ndarray:
        size = int(np.prod(shape))
        values = draw(st.lists(element, min_size=size, max_size=size))
        return np.asarray(dtypes.round_to(np.asarray(values, np.float64), dtype).astype(dtype)).reshape(shape)

    p = [array(shape) for shape in shapes]
    grads = [[array(shape) for shape in shapes] for _ in range(draw(st.integers(1, STEPS)))]
    if row.target in DIVIDE_BY_SUM:
        assume(any((np.abs(g.astype(np.float64)) > SEEN).any() for g in grads[0]))
    return of_steps(p, grads)


def formats(row: Implementation) -> list[Any]:
    """The dtypes that an implementation is asked in: what float32 scalars make of wider arrays is no claim of its own."""
    narrow = row.scalars == "float32" or row.target in FLOAT32_ALONE or row.inputs in OWN
    return [np.float32] if narrow else [np.float32, np.float64]


@pytest.mark.slow
@pytest.mark.sample(suite=3)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("row", [row for row in OURS if runs_here(row)], ids=named)
def test_an_implementation_is_its_rule_whatever_is_drawn(row: Implementation) -> None:
    rule, thing = row.rule, candidate(row)
    assert isinstance(rule, Optimizer)
    told = frozenset(resolve(thing, row.options).takes(rule))

    @examples(2)
    @given(st.data())
    def judged(data: st.DataObject) -> None:
        drawn, dtype = data.draw(settings(row, told)), data.draw(st.sampled_from(formats(row)))
        cases = data.draw(problems(row, dtype))
        verdict = verdict_on(row, thing, drawn, cases, dtype)
        if left_open(row) and makes_a_number_of_nan(verdict):
            cases = dataclasses.replace(cases, **{left_open(row): True})
            verdict = verdict_on(row, thing, drawn, cases, dtype)
        assert verdict.first is None, str(verdict)
        assert not verdict.faults, str(verdict)

    judged()


@pytest.mark.slow
@pytest.mark.sample(suite=3)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("row", [row for row in STATELESS if runs_here(row)], ids=named)
def test_a_quantizer_an_estimator_or_a_mask_is_its_rule_whatever_is_drawn(row: Implementation) -> None:
    fixed = candidate(row)

    @examples(3)
    @given(st.data())
    def judged(data: st.DataObject) -> None:
        rule, thing = row.rule, fixed
        if row.through == "drivers.fake_quantize":
            scale = data.draw(st.sampled_from([0.0625, 0.1, 1.0, 3.0]))
            zero = data.draw(st.integers(-128, 127))
            rule = rule.replace(scale=scale, zero_point=float(zero))
            thing = row.driver()(row.target, scale, zero)
        every = strategy_of(rule, np.dtype(np.float32), data.draw(st.booleans()))
        arrays = data.draw(OWN[row.inputs]() if row.inputs else every)
        verdict = verdict_on(row, thing, rule, Cases([arrays]))
        assert verdict.first is None, str(verdict)
        assert not verdict.faults, str(verdict)

    judged()


def verdict_on(row: Implementation, thing: Any, rule: Any, cases: Cases, dtype: Any = np.float32) -> Any:
    """The verdict of an implementation on some cases, neither made smaller nor explained."""
    how: dict[str, Any] = {"options": row.options, "policy": row.policy, "inputs": cases, "dtype": dtype}
    return refgrad.verify(thing, rule, shrink=False, explain=False, **how)


def makes_a_number_of_nan(verdict: Any) -> bool:
    """True if what is refused is a number where the rule has NaN."""
    return verdict.first is not None and bool(np.isnan(verdict.first.truth) and not np.isnan(verdict.first.value))


def steps(p: Any, g: Any, count: int = 1, dtype: Any = np.float32) -> Cases:
    """One parameter, and its gradient for some steps."""
    return of_steps([np.asarray(p, dtype)], [[np.asarray(g, dtype)]] * count)


CUBE = np.arange(1.0, 13.0).reshape(2, 3, 2)
#: what is left out of what is drawn, as the ledger calls it -> whose, and an example
LEFT_OUT = {
    "a step without a gradient": (DIVIDE_BY_SUM, steps(np.zeros(2), np.zeros(2))),
    "no elements": (RAISE_ON_EMPTY, steps(np.zeros(0), np.zeros(0))),
    "three axes": (tuple(AXES), steps(CUBE, CUBE % 5 + 1.0, 2)),
    "no axes": (("optax:sm3",), steps(1.0, 1.0)),
    "float64": (FLOAT32_ALONE, steps([0.5, 1.5], [0.1, 1e-9], 3, np.float64)),
    "an infinite parameter": (WITHOUT_DECAY, steps([-5e26, 0.0], [1.0, 1.0], 2)),
    "a sum that overflows": (DECIDE_ON_NAN, steps([1.0, 1.0], [1.0, 3.4e38], 2)),
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("package", ["torch", "optax", "keras"])
def test_what_is_left_out_of_what_is_drawn_is_in_the_ledger(package: str) -> None:
    """Each departs as its row says, and what a row has flags for is right with these."""
    pytest.importorskip(package)
    ran: dict[str, str] = {}
    rows = ledger.expected(package)
    for row in (row for row in OURS if row.package == package and runs_here(row)):
        for what, (targets, cases) in LEFT_OUT.items():
            name = f"{row.target.replace(':', '.')}: {what}"
            if row.target in targets:
                found = differing(row, row.rule, cases)
                ran[name] = ran.get(name) or found  # of an implementation in several forms, whichever departs
                assert not (name in rows and rows[name].flags) or differing(row, *flagged(row, cases, rows[name])) == ""
    wanted = {target for targets, _ in LEFT_OUT.values() for target in targets}
    assert ran or not {row.target for row in OURS if row.package == package and runs_here(row)} & wanted
    assert ledger.errors(package, ran) == []


def flagged(row: Implementation, cases: Cases, told: ledger.Row) -> tuple[Any, Cases]:
    """The rule and the cases with what a row of the ledger says is otherwise."""
    words = dict(flag.split("=") for flag in told.flags)
    undefined = {"nan_open": words.pop("decisions_on_nan", "") == "open", "may_meet": words.pop("nan", "") == "right"}
    changes = {n: float.fromhex(v) if n in row.rule.numbers() else v for n, v in words.items()}
    return row.rule.replace(**changes), dataclasses.replace(cases, **undefined)


def differing(row: Implementation, rule: Any, cases: Cases) -> str:
    """What an implementation makes otherwise of some cases, "" if nothing."""
    verdict = verdict_on(row, candidate(row), rule, cases, cases.arrays[0]["p"].dtype)
    if verdict.faults:
        fault = verdict.faults[0]
        return f"raised {fault.message.partition(' raised ')[2]}" if fault.kind == "raised" else str(fault.message)
    if verdict.first is None:
        return ""
    if np.isnan(verdict.first.value):
        return f"{verdict.first.tensor} is nan"
    return (
        f"{verdict.first.tensor} is a number, not nan"
        if makes_a_number_of_nan(verdict)
        else f"{verdict.first.tensor} outside"
    )


def test_there_is_something_to_draw_for_every_row() -> None:
    assert {row.inputs for row in EXPLAINED} - {"", EXTRA} == set(OWN)


def test_every_package_has_rows() -> None:
    assert {row.package for row in OURS} == {"torch", "optax", "keras"}
    assert {row.claim.kind for row in STATELESS} == {"quantizer", "estimator", "mask", "transform"}
    for package in ("torch", "optax"):
        wanted = {type(row.claim) for row in ROWS if row.package == package and row.claim.kind == "optimizer"}
        asked = {type(row.claim) for row in OURS if row.package == package}
        assert len(asked) >= 0.7 * len(wanted)
        assert all(runs_here(row) for row in OURS if row.package == package) or not importlib.util.find_spec(package)
