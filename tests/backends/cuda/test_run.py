"""Kernels on whichever devices exist here have the bits of the rule's body: emulated on the host, and as PTX interpreted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refgrad.backends.cuda.run import run_many
from refgrad.errors import ArgumentError
from refgrad.estimators.base import Estimator
from refgrad.optimizers import LAMB, SGD, AdamW, Muon
from refgrad.optimizers.base import Optimizer
from refgrad.rule import rules
from tests.backends.cuda import on_card
from tests.backends.cuda.conftest import needs_compiler, needs_nvrtc
from tests.backends.cuda.covered import (
    SHAPES,
    TIERS,
    Case,
    case,
    covered,
    defaults,
    different,
    few,
    is_one_loop,
    launched,
    literal,
    loops,
    plan,
    staged,
)
from tests.backends.cuda.devices import Emulated, Interpreted

SHAPE = SHAPES[-1]


def check(given: Case, device: Any) -> None:
    wanted, found = literal(given), launched(given, device)
    assert {name: different(found[name], wanted[name]) for name in wanted} == dict.fromkeys(wanted, 0)


def cases_of(tier: str) -> list[Case]:
    """Every operation in the tiers that have no other type, and reading and storing in the others."""
    return [case(rule, tier, 3, SHAPE) for rule in (few() if tier in ("float32", "float64") else few()[:1])]


@pytest.fixture(scope="module")
def compiled(emulated: Emulated) -> Emulated:
    """The kernels of these cases, compiled at once."""
    given = [each for tier in TIERS for each in cases_of(tier)]
    emulated.compile([each.source() for each in (*given, case(AdamW(), "float32", 2, SHAPE))])
    return emulated


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("tier", TIERS)
def test_every_operation_has_its_bits_where_kernels_are_emulated(tier: str, compiled: Emulated) -> None:
    for given in cases_of(tier):
        check(given, compiled)


@needs_compiler
@pytest.mark.thorough  # the rules above have every operation
@pytest.mark.parametrize("tier", TIERS)
def test_every_rule_has_its_bits_where_kernels_are_emulated(tier: str, emulated: Emulated) -> None:
    every = [rule for rule in covered() if is_one_loop(plan(rule, 3).graph)]
    cases = [case(rule, tier, t, SHAPE) for rule in every for t in (1, 3)]
    emulated.compile([given.source() for given in cases])
    for given in cases:
        check(given, emulated)


@needs_nvrtc
@pytest.mark.parametrize(
    ("tier", "arch"), [*((tier, "sm_90") for tier in TIERS), ("float32", "sm_80"), ("float32", "sm_100")]
)
def test_every_rule_has_its_bits_as_ptx(tier: str, arch: str) -> None:
    device = Interpreted(arch)
    for rule in loops():
        check(case(rule, tier, 3, SHAPE), device)
        device.arrays.clear()
    assert device.launches == len(loops()) > 80


@needs_nvrtc
@pytest.mark.thorough  # variants are made of the operations of the rules above
@pytest.mark.parametrize("t", [1, 3])
def test_every_variant_has_its_bits_as_ptx(t: int) -> None:
    device = Interpreted()
    for rule in covered():
        check(case(rule, "float32", t, SHAPE, tame=not is_one_loop(plan(rule, t).graph)), device)
        device.arrays.clear()


@pytest.mark.parametrize(
    "kind",
    [pytest.param(Emulated, marks=[needs_compiler, pytest.mark.slow]), pytest.param(Interpreted, marks=needs_nvrtc)],
)
def test_sizes_of_all_kinds(kind: Any, request: pytest.FixtureRequest) -> None:
    device = request.getfixturevalue("compiled") if kind is Emulated else kind()
    before = device.launches
    for shape in [(), (0,), (1,), (255,), (256,), (257,), (3, 0), (2, 3, 50), (2051,)]:
        check(case(AdamW(), "float32", 2, shape), device)
    assert device.launches == before + 7  # nothing is launched for no elements


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", [pytest.param(Emulated, marks=needs_compiler), pytest.param(Interpreted, marks=needs_nvrtc)]
)
def test_many_tensors_are_one_launch_with_the_bits_of_each(kind: Any, request: pytest.FixtureRequest) -> None:
    device = request.getfixturevalue("emulated") if kind is Emulated else kind()
    sizes, before = (5, 4097, 1), device.launches
    # parts of one array each, as the interpreter takes an address to lie in the array of all threads
    whole = case(SGD(lr=0.1), "float32", 1, (sum(sizes),), tame=True)
    arrays = {name: device.put(a) for name, a in whole.arrays.items()}
    ends = np.cumsum(sizes)[:-1]
    parts = [
        dict(zip(arrays, each, strict=True)) for each in zip(*(np.split(a, ends) for a in arrays.values()), strict=True)
    ]
    run_many(whole.plan, whole.free, parts, device)
    assert device.launches == before + 1
    assert not different(arrays["p"], literal(whole)["p"])


def test_what_has_no_kernel_is_refused_in_a_sentence() -> None:
    with pytest.raises(ArgumentError, match="Muon, float32 has no CUDA kernel, because it has operations on matrices"):
        case(Muon(), "float32", 3, SHAPE).source()


def test_a_dtype_that_no_kernel_stores_is_refused() -> None:
    given = case(SGD(), "float32", 3, SHAPE)
    arrays = {**given.arrays, "g": np.zeros(SHAPE, np.int32)}
    with pytest.raises(ArgumentError, match="dtype is 'int32'; legal: what CUDA kernels store: float64, float32"):
        given._replace(arrays=arrays).source()


@pytest.mark.slow
def test_the_page_says_how_many_rules_have_kernels() -> None:
    page = (Path(__file__).parents[3] / "docs" / "cuda.md").read_text(encoding="utf-8")
    every = len(rules(Optimizer)) + len(rules(Estimator))
    assert (
        f"{len(defaults())} of {every} at their defaults, {len(loops())} of one loop and {len(staged())} with" in page
    )
    assert "**No card has run any of this.**" in page


@needs_nvrtc
def test_the_script_for_a_card_counts_what_differs() -> None:
    device = Interpreted()
    told = on_card.compared(device, np.asarray, [AdamW(), LAMB()])
    assert told["float32"] == {"runs": 4, "elements": 4 * 3 * 7 * 31, "different": 0, "rules": {}, "no time for": 0}
    launch = device.launch
    device.launch = lambda source, *rest: None if "LAMB" in source.text else launch(source, *rest)  # type: ignore[method-assign]
    told = on_card.compared(device, np.asarray, [AdamW(), LAMB()], ["float32"])
    assert set(told["float32"]["rules"]) == {"LAMB"}
    assert told["float32"]["different"] > 0
