"""Kernels on whichever devices exist here have the bits of the rule's body: emulated on the host, and as PTX interpreted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refgrad.errors import ArgumentError
from refgrad.optimizers import LAMB, SGD, AdamW, Muon
from tests.backends.cuda.conftest import needs_compiler, needs_nvrtc
from tests.backends.cuda.covered import SHAPES, TIERS, Case, case, covered, defaults, different, few, launched, literal
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
    emulated.compile([given.source() for tier in TIERS for given in cases_of(tier)])
    return emulated


@needs_compiler
@pytest.mark.parametrize("tier", TIERS)
def test_every_operation_has_its_bits_where_kernels_are_emulated(tier: str, compiled: Emulated) -> None:
    for given in cases_of(tier):
        check(given, compiled)


@needs_compiler
@pytest.mark.thorough  # the rules above have every operation
@pytest.mark.parametrize("tier", TIERS)
def test_every_rule_has_its_bits_where_kernels_are_emulated(tier: str, emulated: Emulated) -> None:
    cases = [case(rule, tier, t, SHAPE) for rule in covered() for t in (1, 3)]
    emulated.compile([given.source() for given in cases])
    for given in cases:
        check(given, emulated)


@needs_nvrtc
@pytest.mark.parametrize("arch", ["sm_80", "sm_90", "sm_100"])
@pytest.mark.parametrize("tier", ["float32", "float64"])
def test_every_rule_has_its_bits_as_ptx(tier: str, arch: str) -> None:
    device = Interpreted(arch)
    for rule in defaults():
        check(case(rule, tier, 3, SHAPE), device)
    assert device.launches == len(defaults()) > 50


@needs_nvrtc
@pytest.mark.slow
@pytest.mark.parametrize("tier", TIERS)
def test_every_variant_has_its_bits_as_ptx(tier: str) -> None:
    device = Interpreted()
    for rule in covered() if tier == "float32" else defaults():
        check(case(rule, tier, 1, SHAPE), device)


@pytest.mark.parametrize(
    "kind", [pytest.param(Emulated, marks=needs_compiler), pytest.param(Interpreted, marks=needs_nvrtc)]
)
def test_sizes_of_all_kinds(kind: Any, request: pytest.FixtureRequest) -> None:
    device = request.getfixturevalue("emulated") if kind is Emulated else kind()
    before = device.launches
    for shape in [(), (0,), (1,), (255,), (256,), (257,), (3, 0), (2, 3, 50), (2051,)]:
        check(case(AdamW(), "float32", 2, shape), device)
    assert device.launches == before + 7  # nothing is launched for no elements


def test_what_has_no_kernel_is_refused_in_a_sentence() -> None:
    for rule, reason in [(LAMB(), "reductions"), (Muon(), "matrices")]:
        with pytest.raises(
            ArgumentError, match=f"{type(rule).__name__}, float32 has no CUDA kernel, because .*{reason}"
        ):
            case(rule, "float32", 3, SHAPE).source()


def test_a_dtype_that_no_kernel_stores_is_refused() -> None:
    given = case(SGD(), "float32", 3, SHAPE)
    arrays = {**given.arrays, "g": np.zeros(SHAPE, np.int32)}
    with pytest.raises(ArgumentError, match="dtype is 'int32'; legal: what CUDA kernels store: float64, float32"):
        given._replace(arrays=arrays).source()
