"""Step functions: monotone, the same in exact arithmetic, and what an enclosure makes of them."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refgrad.arithmetic import exact
from refgrad.arithmetic.enclosure import Enclosure
from refgrad.arithmetic.running_error import Bounded, Model, product
from refgrad.arithmetic.steps import Exponent, Integer, Nearest, SharedScale, Step, ToFormat
from refgrad.oracle.acceptance.comparing import model_for
from refgrad.oracle.acceptance.policy import Policy
from refgrad.quantizers import MX, NF4, NVFP4, Affine, Blockwise
from refgrad.quantizers.rows import RowQuantizer
from refgrad.tracing import free_names, free_values, literal, plan_for
from tests.depth import examples

STEPS = [
    Integer(),
    Integer("away"),
    Integer("up"),
    Integer("even", -8, 7),
    Integer("away", -127, 127, unit=1 / 64),
    ToFormat("float8_e4m3fn"),
    ToFormat("float4_e2m1fn", "nearest_away"),
    Nearest(NF4().table()),
    Nearest(Blockwise().table(), "even"),
    SharedScale(448.0, 8, 3, "floor"),
    SharedScale(6.0, 2, 1, "even"),
    Exponent(1.5),
    Exponent(math.sqrt(2), power=True),
]
FLOATS = st.floats(-1000, 1000, width=32)


@pytest.mark.parametrize("function", STEPS, ids=str)
@given(a=FLOATS, b=FLOATS)
@examples(50)
def test_a_step_function_never_falls_and_is_the_exact_one(function: Step, a: float, b: float) -> None:
    if isinstance(function, SharedScale):
        a, b = abs(a), abs(b)
    if isinstance(function, Exponent):
        a, b = abs(a) or 1.0, abs(b) or 1.0
    low, high = sorted((a, b))
    values = function(np.asarray([low, high], np.float32))
    assert values[0] <= values[1]
    for x, value in zip((low, high), values.tolist(), strict=True):
        assert Fraction(value) == function.exactly(Fraction(x))


RULES: list[RowQuantizer] = [
    NF4(),
    Blockwise(block_size=64),
    MX(),
    MX(format="int8"),
    NVFP4(),
    Affine(granularity="channel"),
]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_the_body_in_fifty_digits(rule: RowQuantizer) -> None:
    """What the rule gives in float32 is what it gives in exact arithmetic, off ties and to within its roundings."""
    x = np.random.default_rng(0).standard_normal((3, 64)).astype(np.float32)
    layout = rule.layout(x.shape)
    rows = layout.cut(x)
    free = free_values(rows.shape, {})
    plan = plan_for(rule, 2, free)
    names = {**rule.numbers(), **dict(zip(free_names(rule, 2), free, strict=True))}
    truth = exact.evaluate(plan.graph, {"x": rows}, names)
    values = literal(rule, {"x": rows}, {})
    rounded = np.asarray(truth["y"], np.float64)
    # at most 8 operations on the way to y, none of which cancels
    assert (np.abs(values["y"] - rounded) <= 8 * 2.0**-24 * (np.abs(rounded) + np.abs(x).max())).all()
    if not isinstance(rule, (NVFP4, Affine)):  # their scales are rounded
        assert np.array_equal(np.asarray(truth["codes"], np.float64), values["codes"])


def test_an_enclosure_takes_both_ends_and_nothing_between() -> None:
    rule = NF4(block_size=4)
    plan = plan_for(rule, 2, free_values((1, 4), {}))
    middle = (rule.table()[10] + rule.table()[11]) / 2
    x = np.asarray([[3.0, 3.0 * middle, 0.0, -1.0]])
    model = replace(model_for(Policy(), np.dtype(np.float32)), exact_scaling=True)
    one = [Bounded(np.asarray(1.0))] * len(plan.graph.scalars())
    seen = {
        round(float(b.sets["codes"].value[0, 1]), 6)
        for b in Enclosure(plan.graph, model).branches({"x": Bounded(x)}, one, {})
    }
    assert seen == {round(v, 6) for v in rule.table()[10:12]}
    power = [
        b.sets["codes"].value[0, 1] for b in Enclosure(plan.graph, model).branches({"x": Bounded(x / 3 * 4)}, one, {})
    ]
    assert len(set(power)) == 1


def test_a_power_of_two_is_no_rounding() -> None:
    model: Model = replace(model_for(Policy(), np.dtype(np.float32)), exact_scaling=True)
    x, half, third = (Bounded(np.asarray(v)) for v in (1.1, 0.5, 3.0))
    assert product(1, [x], [half], model).bound() == 0
    assert product(1, [x, half], [], model).bound() == 0
    assert product(1, [x], [third], model).bound() > 0
    assert product(1, [half], [third], model).bound() > 0
    tiny = Bounded(np.asarray(1.5 * model.smallest_normal))
    assert product(1, [tiny, half], [], model).bound() > 0
    assert product(1, [x], [half], replace(model, exact_scaling=False)).bound() > 0
    near = Bounded(np.asarray(1.1), np.asarray(1e-9))
    assert product(1, [near], [half], model).bound() > 0


@pytest.mark.parametrize("power", [False, True])
@pytest.mark.parametrize("boundary", [2.0, 1.5, math.sqrt(2)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exponents_of_an_array_are_those_of_its_elements(dtype: type, boundary: float, power: bool) -> None:
    """Normal numbers are taken by their bits, together; all others, and those that stand alone, by their significands."""
    rule, facts = Exponent(boundary, power), np.finfo(dtype)
    drawn = np.abs(np.random.default_rng(3).standard_normal(500)).astype(dtype)
    edges = [np.nextafter(dtype(boundary), dtype(to)) for to in (0, 1, 9)]
    normal = np.concatenate([drawn, np.asarray([facts.tiny, 1.0, facts.max, *edges], dtype)])
    special = np.asarray([0.0, -0.0, -1.0, facts.smallest_subnormal, np.inf, -np.inf, np.nan], dtype)
    with np.errstate(over="ignore"):
        for x in (normal, special, np.concatenate([normal, special]), normal[::2].reshape(1, -1)):
            alone = np.concatenate([rule(each.reshape(1)) for each in x.ravel()])
            assert rule(x).tobytes() == alone.tobytes()
