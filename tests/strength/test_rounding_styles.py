"""Each style rounds as it says: on the float32 grid, by no more than its roundings, and never what is exact."""

from __future__ import annotations

import numpy as np
import pytest

from refgrad.arithmetic import scalar_math
from refgrad.optimizers import AdamW
from refgrad.strength.rounding_styles import (
    PLAIN,
    SMALLEST_NORMAL,
    STYLES,
    Rounding,
    random_scalars,
    scalar_table,
)
from refgrad.tracing import free_values, plan_for


def generator() -> np.random.Generator:
    return np.random.Generator(np.random.Philox(0))


def reals(count: int = 20_000) -> np.ndarray:
    """Numbers of many magnitudes that are no float32 numbers."""
    random = generator()
    return random.standard_normal(count) * np.exp2(random.integers(-140, 120, count))


def distance(rounded: np.ndarray, real: np.ndarray) -> np.ndarray:
    """In units between the two float32 neighbours of the nearest one."""
    near = real.astype(np.float32)
    return np.abs(rounded - near) / np.spacing(np.abs(near))


def test_the_plain_style_rounds_to_nearest() -> None:
    x = reals()
    assert np.array_equal(Rounding(PLAIN, generator())(x), x.astype(np.float32).astype(np.float64))


@pytest.mark.parametrize(("name", "most"), [("rewritten", 0.0), ("thrice", 1.0), ("rewritten and directed", 1.0)])
def test_a_style_moves_no_further_than_it_says(name: str, most: float) -> None:
    x = reals()
    rounded = Rounding(STYLES[name], generator())(x)
    assert np.array_equal(rounded, rounded.astype(np.float32))
    assert distance(rounded, x).max() == most
    assert (rounded * x >= 0).all()


def test_directed_rounding_goes_to_one_of_the_two_neighbours() -> None:
    x = reals()
    x = x[np.abs(x) > SMALLEST_NORMAL * 4]
    rounded = Rounding(STYLES["flushed"], generator())(x)
    assert (np.abs(rounded - x) < np.spacing(np.abs(x).astype(np.float32))).all()
    assert 0.2 < (rounded > x).mean() < 0.8


def test_float64_is_rounded_from_longdouble() -> None:
    x = reals().astype(np.longdouble) / 3
    near = x.astype(np.float64)
    assert np.array_equal(Rounding(PLAIN, generator(), np.float64)(x), near)
    moved = Rounding(STYLES["thrice"], generator(), np.float64)(x)
    assert set(np.unique((moved - near) / np.spacing(np.abs(near)))) >= {-1.0, 0.0, 1.0}
    assert np.array_equal(moved, moved.astype(np.float64))


@pytest.mark.parametrize("name", STYLES)
def test_what_is_exact_stays(name: str) -> None:
    x = reals().astype(np.float32).astype(np.float64)
    normal = np.abs(x) >= SMALLEST_NORMAL
    rounded = Rounding(STYLES[name], generator())(x)
    assert np.array_equal(rounded[normal], x[normal])


def test_subnormal_numbers_are_flushed_where_the_policy_allows_it() -> None:
    x = np.full(1000, -SMALLEST_NORMAL / 4)
    kept, either = Rounding(STYLES["rewritten"], generator())(x), Rounding(STYLES["flushed"], generator())(x)
    assert np.array_equal(kept, x)
    assert set(either) == {-0.0, -SMALLEST_NORMAL / 4}
    assert np.signbit(either).all()


@pytest.mark.parametrize(("precision", "kind"), [("float64", np.float64), ("float32", np.float32)])
def test_a_scalar_operation_gives_its_result_or_the_float_beside_it(precision: str, kind: type) -> None:
    table, exact = scalar_table(precision, generator()), scalar_math.TABLES[precision]
    third = kind(1.0) / kind(3.0)
    near = kind(exact["mul"](third, third))
    found = {kind(table["mul"](third, third)) for _ in range(100)}
    assert found == {np.nextafter(near, kind(-1)), near, np.nextafter(near, kind(1))}


def test_an_exact_scalar_operation_is_not_moved() -> None:
    table = scalar_table("float64", generator())
    assert {float(table["mul"](0.5, 0.25)) for _ in range(50)} == {0.125}
    assert {float(table["max"](0.5, 0.1)) for _ in range(50)} == {0.5}


def test_random_scalars_are_those_of_the_plan() -> None:
    rule = AdamW()
    free = free_values((4,), {"t": 3})
    plan = plan_for(rule, 1, free)
    want = np.asarray(plan.scalars(*free))
    runs = [random_scalars(plan, free, np.random.Generator(np.random.Philox(seed))) for seed in range(20)]
    assert np.allclose(runs, want, rtol=1e-12, atol=0.0)
    assert len({tuple(run) for run in runs}) > 1
