"""Large arrays of estimators, judged by kernels: the same as without, on right programs, wrong ones and special numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from refgrad import estimators
from refgrad.arithmetic import enclosure_graph
from refgrad.estimators import ClippedSTE
from refgrad.kinds.estimator import PRODUCTS
from refgrad.oracle.acceptance import screened_cases, screening, stateless
from refgrad.oracle.acceptance.chunks import CHUNK
from refgrad.oracle.acceptance.judgement import OUTSIDE, UNDECIDED, Judged
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.acceptance.screened_cases import Case
from refgrad.oracle.acceptance.screened_outputs import Screened, summary
from refgrad.rule import rules
from refgrad.tracing import free_names, free_values, literal, plan_for
from tests.arithmetic.test_enclosure_graph import POLICIES

SHAPE = (3 * CHUNK + 100,)
USUAL = Policy()


def case_of(rule: Any, dtype: Any = np.float32, policy: Policy = USUAL, shape: tuple[int, ...] = SHAPE) -> Case:
    """A right program on ordinary numbers."""
    random, values = np.random.default_rng(0), free_values(shape, {})
    free = dict(zip(free_names(rule, len(shape)), values, strict=True))
    plan = plan_for(rule, len(shape), values)
    arrays = {n: (2.0 * random.standard_normal(shape)).astype(dtype) for n in ("x", *plan.graph.inputs())}
    seen = {n: np.asarray(a) for n, a in literal(rule, arrays, {}).items() if n in plan.graph.outputs}
    return Case(plan, free, arrays, seen, policy, PRODUCTS)


def known_of() -> list[str]:
    """The estimators whose elements a kernel can look at."""
    found = []
    for name, cls in rules().items():
        rule: Any = cls()
        if rule.kind == "estimator" and not rule.chosen:
            graph = plan_for(rule, 1, free_values((8,), {})).graph
            if not graph.small and not graph.couples():
                found.append(name)
    return found


def agrees(case: Case) -> Mapping[str, Judged]:
    """What kernels say, which must be what judging without them says."""
    assert case.why_not() is None
    own = partial(stateless._judge_at_once, case.plan, case.free, policy=case.policy, products=case.products)
    want = stateless._judge_case(case.plan, case.free, case.arrays, case.seen, case.policy, case.products)
    found = screened_cases.screened(case, own, threads=2)
    assert found is not None
    assert set(found) == set(want)
    for name, judged in found.items():
        values, known = case.seen[name], want[name]
        assert isinstance(judged, Screened)
        assert not (known.status == UNDECIDED).any() or judged.screen.unclear
        assert summary(judged, values, values.dtype) == summary(Judged(*known.parts()), values, values.dtype)
        for attribute in ("status", "truth", "low", "high"):
            np.testing.assert_array_equal(getattr(judged, attribute), getattr(known, attribute))
    return found


def changed(case: Case, name: str, places: Any, value: float) -> Case:
    """The case with some of what was given, or of what was seen, changed."""
    arrays = dict(case.arrays if name in case.arrays else case.seen)
    arrays[name] = arrays[name].copy()
    arrays[name][places] = value
    return dataclasses.replace(case, arrays=arrays) if name in case.arrays else dataclasses.replace(case, seen=arrays)


@pytest.mark.slow
@pytest.mark.sample(quick=1, suite=3)
@pytest.mark.parametrize("name", known_of())
def test_right_programs(name: str) -> None:
    rule = rules()[name]()
    if case_of(rule, shape=(8,)).why_not() is not None:  # a function, such as `exp`
        pytest.skip("it is judged as small arrays are")
    for policy in POLICIES[:2]:
        agrees(case_of(rule, policy=policy))
    agrees(case_of(rule, np.float64))


@pytest.mark.slow
def test_a_right_program_is_clear() -> None:
    found = agrees(case_of(ClippedSTE()))
    assert all(not judged.screen.unclear for judged in found.values())  # type: ignore[attr-defined]


@pytest.mark.parametrize("special", [np.nan, np.inf, 1e-42, 3e38, -0.0, 1.0])
@pytest.mark.parametrize("name", ["x", "cotangent", "x_grad"])
@pytest.mark.sample(quick=2, suite=18)
def test_special_numbers(name: str, special: float) -> None:
    agrees(changed(case_of(ClippedSTE()), name, [5, *range(CHUNK + 3, CHUNK + 60)], special))


def test_wrong_elements_are_found_where_they_are() -> None:
    found = agrees(changed(case_of(ClippedSTE()), "y", slice(CHUNK + 7, CHUNK + 9), 1e3))
    assert found["y"].screen.unclear == (1,)  # type: ignore[attr-defined]
    assert np.flatnonzero(found["y"].status == OUTSIDE).tolist() == [CHUNK + 7, CHUNK + 8]


def test_a_kernel_is_used_where_it_is_worth_its_while(monkeypatch: pytest.MonkeyPatch) -> None:
    case = case_of(ClippedSTE())
    asked = partial(stateless.judge_case, case.plan, case.free, case.arrays, case.seen, products=PRODUCTS)
    monkeypatch.setattr(screening, "WORTH", CHUNK)
    monkeypatch.setattr(screening, "WORTH_COMPILING", 0)
    assert isinstance(asked(policy=USUAL)["x_grad"], Screened)
    assert not isinstance(asked(policy=Policy(subnormals="either"))["x_grad"], Screened)


def test_why_not() -> None:
    case = case_of(ClippedSTE(), shape=(8,))
    narrow, scales = (
        {n: a.astype(dtype) for n, a in case.seen.items()} for dtype in (ml_dtypes.bfloat16, ml_dtypes.float8_e8m0fnu)
    )
    assert case.why_not() is None
    assert case_of(ClippedSTE(), shape=(8,), policy=Policy(subnormals="either")).why_not() is not None
    assert dataclasses.replace(case, seen=narrow).why_not() is None
    assert dataclasses.replace(case, seen=scales).why_not() == "y is float8_e8m0fnu"
    assert case_of(estimators.LSQ(), shape=(8,)).why_not() == "its elements see each other"
    assert "exp" in str(case_of(estimators.SigmoidSpike(), shape=(8,)).why_not())


@pytest.mark.slow
def test_a_bound_without_the_roundings_of_a_product_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradients that are multiplied may be off by a rounding where the rule multiplies by nothing: a kernel must say so too."""
    case = case_of(ClippedSTE())
    gradient = np.nextafter(case.seen["x_grad"], np.float32(np.inf), dtype=np.float32)
    near = dataclasses.replace(
        case, seen={**case.seen, "x_grad": np.where(gradient == 0, case.seen["x_grad"], gradient)}
    )
    agrees(near)
    monkeypatch.setattr(enclosure_graph._Transformation, "_multiplied", lambda self, part: part)
    monkeypatch.setattr(screening, "_graphs", lambda plan: {})
    monkeypatch.setattr(screening, "_sources", lambda plan: {})
    with pytest.raises(AssertionError):
        _agree(case, near)


def _agree(case: Case, near: Case) -> None:
    agrees(case)
    assert not agrees(near)["x_grad"].screen.unclear  # type: ignore[attr-defined]
