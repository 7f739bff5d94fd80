"""Every rule that torch, JAX, optax or Keras has, judged on shapes, dtypes, settings, values and steps that are drawn."""

from __future__ import annotations

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
from refgrad.oracle.inputs.cases import Cases, of_steps
from refgrad.rule import Range
from refgrad.surveys.implementations import Implementation
from refgrad.testing.strategies import moderate, numbers
from tests.depth import examples
from tests.peers import ledger
from tests.surveys.implementations.test_table import ROWS, candidate, named, runs_here

PACKAGES = ("torch", "jax", "optax", "keras")
#: rows whose inputs are their own, which say nothing on others, and those that are known to be no variant
OURS = [
    row
    for row in ROWS
    if row.package in PACKAGES and row.claim.kind == "optimizer" and row.explained and not (row.inputs or row.mutates)
]
SHAPES = ((), (1,), (5,), (3, 4), (2, 3, 2), (0,))
#: what is its row's rule in float32 alone, and why: a test of torch's NAdam in float64 found the first
FLOAT32_ALONE = {
    "torch.optim:NAdam": "the product of momenta is a float32 tensor, whatever the parameter is",
    "torch.optim:ASGD": "so are eta and mu",
    "torch.optim:Adafactor": "its eps is that of the parameter's dtype, and the row has float32's",
}
#: how many axes a parameter has where an implementation is its row's rule on some alone: of three, each factors others
#: (tests/surveys/implementations/differences.py); SM3 raises on a number without axes
AXES = {"torch.optim:Adafactor": (0, 1, 2), "optax:adafactor": (0, 1, 2), "optax:sm3": (1, 2)}
#: what makes NaN where all gradients of the first step are zero, or so small that their products are: a row of the ledger each.
#: Its first gradients are drawn with a number that is not
DIVIDE_BY_SUM = ("optax.contrib:prodigy", "optax.contrib:dadapt_adamw")
SEEN = 2.0**-10
#: what loses the NaN that comes of numbers so large that norms of them overflow: asked on tame ones
TAME = {
    "keras.optimizers:Lamb": "a norm that is NaN is no norm above zero, so that the ratio is 1",
    "torch.optim:Adafactor": "Python's max(1, NaN) is 1, so that an update whose norm is NaN is not divided by it",
}
#: what raises on a parameter of no elements: a row of the ledger each
RAISE_ON_EMPTY = ("torch.optim:Adafactor",)
#: what a number that is not zero is multiplied by
FACTORS = (1.0, 0.5, 0.75, 0.9)
STEPS = 4


@st.composite
def settings(draw: Any, rule: Any, told: frozenset[str]) -> Any:
    """The rule with each number that an implementation is told off its default, as far as that is legal."""
    changes = {}
    for name, value in rule.numbers().items():
        legal = rule.range_of(name)
        whole = value >= 2 and float(value).is_integer()
        if name in told and value and not whole and isinstance(legal, Range):
            moved = value * draw(st.sampled_from(FACTORS))
            changes[name] = moved if moved in legal else value
    return rule.replace(**changes)


@st.composite
def problems(draw: Any, row: Implementation, dtype: Any) -> Cases:
    """Parameters of one to three shapes and their gradients for a few steps; tame numbers, or all of them."""
    element = draw(st.sampled_from([moderate(), *([] if row.target in TAME else [numbers(dtype)])]))
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
    narrow = row.scalars == "float32" or row.target in FLOAT32_ALONE
    return [np.float32] if narrow else [np.float32, np.float64]


@pytest.mark.slow
@pytest.mark.sample(suite=3)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("row", [row for row in OURS if runs_here(row)], ids=named)
def test_an_implementation_is_its_rule_whatever_is_drawn(row: Implementation) -> None:
    rule, thing = row.rule, candidate(row)
    assert isinstance(rule, Optimizer)
    if rule.inputs():
        pytest.skip("it takes more than a gradient")
    told = frozenset(resolve(thing, row.options).takes(rule))

    @examples(2)
    @given(st.data())
    def judged(data: st.DataObject) -> None:
        drawn, dtype = data.draw(settings(rule, told)), data.draw(st.sampled_from(formats(row)))
        cases = data.draw(problems(row, dtype))
        how: dict[str, Any] = {"options": row.options, "policy": row.policy, "inputs": cases}
        verdict = refgrad.verify(thing, drawn, dtype=dtype, shrink=False, explain=False, **how)
        assert verdict.first is None, str(verdict)
        assert not verdict.faults, str(verdict)

    judged()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("package", ["torch", "optax"])
def test_what_is_left_out_of_what_is_drawn_is_in_the_ledger(package: str) -> None:
    pytest.importorskip(package)
    ran: dict[str, str] = {}
    for row in OURS:
        for targets, what, shape in (
            (DIVIDE_BY_SUM, "a step without a gradient", 2),
            (RAISE_ON_EMPTY, "no elements", 0),
        ):
            if row.package == package and row.target in targets:
                ran[f"{row.target.replace(':', '.')}: {what}"] = differing(row, np.zeros(shape, np.float32))
    assert ran
    assert ledger.errors(package, ran) == []


def differing(row: Implementation, zero: np.ndarray) -> str:
    """What an implementation makes otherwise of a step from zeros by zeros, "" if nothing."""
    how: dict[str, Any] = {"options": row.options, "policy": row.policy, "shrink": False, "explain": False}
    verdict = refgrad.verify(candidate(row), row.rule, inputs=of_steps([zero], [[zero]]), **how)
    if verdict.faults:
        return verdict.faults[0].message.partition(") ")[2]
    return "" if verdict.first is None else f"{verdict.first.tensor} is {verdict.first.value}"


def test_every_package_has_rows() -> None:
    assert {row.package for row in OURS} == {"torch", "optax", "keras"}
    for package in ("torch", "optax"):
        wanted = {type(row.claim) for row in ROWS if row.package == package and row.claim.kind == "optimizer"}
        asked = {type(row.claim) for row in OURS if row.package == package}
        assert len(asked) >= 0.7 * len(wanted)
        assert all(runs_here(row) for row in OURS if row.package == package) or not importlib.util.find_spec(package)
