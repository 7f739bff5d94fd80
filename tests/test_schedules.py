"""Schedules against sixty-digit restatements, torch's schedulers and optax's schedules.

Every function rounds a handful of times; a bound of ``SLACK`` units of the largest value holds for each, and a scheduler
that multiplies step by step may add as many at every step.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest
from mpmath import mpf

from refgrad import schedules as s
from refgrad.errors import ArgumentError

SLACK = 16
STEPS = range(31)

#: name -> (schedule of t, the same restated)
CASES: dict[str, tuple[Callable[[Any], Any], Callable[[int], Any]]] = {
    "constant": (lambda t: s.constant(t, base=mpf(3)), lambda t: mpf(3)),
    "linear": (
        lambda t: s.linear(t, base=mpf(3), final=mpf(1), total=mpf(10), begin=4),
        lambda t: 3 if t < 4 else 1 if t > 14 else mpf(3) - (t - 4) * mpf(2) / 10,
    ),
    "polynomial": (
        lambda t: s.polynomial(t, base=mpf(3), final=mpf(1), total=mpf(10), power=mpf("2.5")),
        lambda t: 1 + 2 * ((mpf(10) - min(t, 10)) / 10) ** mpf("2.5"),
    ),
    "exponential": (
        lambda t: s.exponential(t, base=mpf(3), rate=mpf("0.9"), every=mpf(4), begin=2),
        lambda t: 3 * mpmath.exp(mpmath.log(mpf("0.9")) * max(t - 2, 0) / 4),
    ),
    "staircase": (
        lambda t: s.exponential(t, base=mpf(3), rate=mpf("0.5"), every=4, staircase=True),
        lambda t: 3 / mpf(2) ** (t // 4),
    ),
    "piecewise_constant": (
        lambda t: s.piecewise_constant(t, base=mpf(3), factors=[(5, mpf("0.5")), (9, mpf(4))]),
        lambda t: mpf(3) if t < 5 else mpf("1.5") if t < 9 else mpf(6),
    ),
    "cosine": (
        lambda t: s.cosine(t, base=mpf(3), final=mpf(1), total=mpf(20)),
        lambda t: 1 + 2 * mpmath.cos(mpmath.pi * min(t, 20) / 40) ** 2,
    ),
    "cosine_restarts": (
        lambda t: s.cosine_restarts(t, base=mpf(3), period=mpf(4), growth=2),
        lambda t: 3 * mpmath.cos(mpmath.pi * _within(t, 4)[0] / _within(t, 4)[1] / 2) ** 2,
    ),
    "inverse_square_root": (
        lambda t: s.inverse_square_root(t, base=mpf(3), warmup=mpf(8)),
        lambda t: 3 * mpmath.sqrt(8) * min(1 / mpmath.sqrt(t + 1), (t + 1) / mpmath.sqrt(mpf(8) ** 3)),
    ),
    "warmup_stable_decay": (
        lambda t: s.warmup_stable_decay(t, base=mpf(3), warmup=5, stable=10, decay=mpf(8), final=mpf(1)),
        lambda t: mpf(3) * t / 5 if t < 5 else 3 if t < 15 else max(mpf(1), 3 - mpf(t - 15) / 4),
    ),
    "root decay": (
        lambda t: s.warmup_stable_decay(t, base=mpf(3), warmup=0, stable=0, decay=mpf(30), shape="root"),
        lambda t: 3 * (1 - mpmath.sqrt(mpf(t) / 30)),
    ),
    "one_cycle": (
        lambda t: s.one_cycle(t, peak=mpf(3), total=mpf(30), rise=mpf("0.3"), final_factor=mpf(100)),
        lambda t: _one_cycle(t, mpf(3), 8, 29),
    ),
    "triangular": (
        lambda t: s.triangular(t, base=mpf(1), peak=mpf(3), up=mpf(4), down=mpf(8)),
        lambda t: 1 + 2 * (mpf(t % 12) / 4 if t % 12 <= 4 else (12 - mpf(t % 12)) / 8),
    ),
    "warmup": (
        lambda t: s.warmup(t, steps=mpf(6), base=mpf(3), then=lambda n: s.cosine(n, base=mpf(3), total=mpf(9))),
        lambda t: 3 * mpf(t) / 6 if t < 6 else 3 * mpmath.cos(mpmath.pi * min(t - 6, 9) / 18) ** 2,
    ),
}


def _within(t: int, period: int) -> tuple[mpf, int]:
    """How far into which period of lengths 4, 8, 16, ... a step is."""
    number = 0
    while period * (2 ** (number + 1) - 1) <= t:
        number += 1
    return mpf(t - period * (2**number - 1)), period * 2**number


def _one_cycle(t: int, peak: Any, top: int, end: int) -> Any:
    if t <= top:
        return peak - (peak - peak / 25) * mpmath.cos(mpmath.pi * t / top / 2) ** 2
    last = peak / 25 / 100
    return last + (peak - last) * mpmath.cos(mpmath.pi * min(mpf(t - top) / (end - top), 1) / 2) ** 2


@pytest.mark.parametrize("name", CASES)
def test_equations(name: str) -> None:
    schedule, restated = CASES[name]
    with mpmath.workdps(60):
        for t in STEPS:
            got, want = schedule(t), restated(t)
            assert abs(got - want) <= mpf(10) ** -55, (t, got, want)


def near(got: float, want: float, t: int, unit: float, largest: float = 1.0) -> bool:
    return abs(got - want) <= SLACK * (t + 1) * unit * largest


TORCH: dict[str, tuple[str, dict[str, Any], Callable[[int], float]]] = {
    "ConstantLR": (
        "ConstantLR",
        {"factor": 0.5, "total_iters": 7},
        lambda t: s.piecewise_constant(t, base=0.5, factors=[(7, 2.0)]),
    ),
    "LinearLR": (
        "LinearLR",
        {"start_factor": 0.25, "end_factor": 0.75, "total_iters": 9},
        lambda t: s.linear(t, base=0.25, final=0.75, total=9),
    ),
    "PolynomialLR": (
        "PolynomialLR",
        {"total_iters": 20, "power": 2.0},
        lambda t: s.polynomial(t, base=1.0, final=0.0, total=20, power=2.0),
    ),
    "ExponentialLR": ("ExponentialLR", {"gamma": 0.9}, lambda t: s.exponential(t, base=1.0, rate=0.9)),
    "StepLR": (
        "StepLR",
        {"step_size": 4, "gamma": 0.5},
        lambda t: s.exponential(t, base=1.0, rate=0.5, every=4, staircase=True),
    ),
    "MultiStepLR": (
        "MultiStepLR",
        {"milestones": [5, 9], "gamma": 0.1},
        lambda t: s.piecewise_constant(t, base=1.0, factors=[(5, 0.1), (9, 0.1)]),
    ),
    "CosineAnnealingLR": (
        "CosineAnnealingLR",
        {"T_max": 30, "eta_min": 0.1},
        lambda t: s.cosine(t, base=1.0, final=0.1, total=30),
    ),
    "CosineAnnealingWarmRestarts": (
        "CosineAnnealingWarmRestarts",
        {"T_0": 4, "T_mult": 2, "eta_min": 0.1},
        lambda t: s.cosine_restarts(t, base=1.0, period=4, growth=2, final=0.1),
    ),
    "OneCycleLR cosine": (
        "OneCycleLR",
        {"max_lr": 1.0, "total_steps": 31, "cycle_momentum": False},
        lambda t: s.one_cycle(t, peak=1.0, total=31),
    ),
    "OneCycleLR linear": (
        "OneCycleLR",
        {"max_lr": 1.0, "total_steps": 31, "anneal_strategy": "linear", "cycle_momentum": False},
        lambda t: s.one_cycle(t, peak=1.0, total=31, shape="linear"),
    ),
    "CyclicLR": (
        "CyclicLR",
        {"base_lr": 0.25, "max_lr": 1.0, "step_size_up": 4, "step_size_down": 8, "cycle_momentum": False},
        lambda t: s.triangular(t, base=0.25, peak=1.0, up=4, down=8),
    ),
}


def torch_values(name: str, options: dict[str, Any]) -> list[float]:
    """The learning rate that a torch scheduler gives each step."""
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scheduler = getattr(torch.optim.lr_scheduler, name)(optimizer, **options)
        values = []
        for t in STEPS:
            values.append(optimizer.param_groups[0]["lr"])
            if t < STEPS[-1]:
                optimizer.step()
                scheduler.step()
    return values


@pytest.mark.sample(quick=2)
@pytest.mark.parametrize("name", TORCH)
def test_torch(name: str) -> None:
    scheduler, options, schedule = TORCH[name]
    for t, want in enumerate(torch_values(scheduler, options)):
        assert near(float(schedule(t)), want, t, 2.0**-53), (t, schedule(t), want)


def test_torchs_cosine_rises_again() -> None:
    """A named difference: beyond its period torch's annealing goes back up, where `cosine` is held."""
    values = torch_values("CosineAnnealingLR", {"T_max": 10})
    assert s.cosine(20, base=1.0, total=10) == 0.0
    assert near(values[20], 1.0, 20, 2.0**-53)


OPTAX: dict[str, tuple[str, tuple[Any, ...], dict[str, Any], Callable[[int], float]]] = {
    "constant_schedule": ("constant_schedule", (1.0,), {}, lambda t: s.constant(t, base=1.0)),
    "linear_schedule": (
        "linear_schedule",
        (1.0, 0.25, 10, 4),
        {},
        lambda t: s.linear(t, base=1.0, final=0.25, total=10, begin=4),
    ),
    "polynomial_schedule": (
        "polynomial_schedule",
        (1.0, 0.25, 3.0, 10),
        {},
        lambda t: s.polynomial(t, base=1.0, final=0.25, total=10, power=3.0),
    ),
    "exponential_decay": (
        "exponential_decay",
        (1.0, 4, 0.9, 2),
        {},
        lambda t: s.exponential(t, base=1.0, rate=0.9, every=4, begin=2),
    ),
    "exponential_decay staircase": (
        "exponential_decay",
        (1.0, 4, 0.5),
        {"staircase": True},
        lambda t: s.exponential(t, base=1.0, rate=0.5, every=4, staircase=True),
    ),
    "cosine_decay_schedule": (
        "cosine_decay_schedule",
        (1.0, 20, 0.1),
        {},
        lambda t: s.cosine(t, base=1.0, total=20, final=0.1),
    ),
    "piecewise_constant_schedule": (
        "piecewise_constant_schedule",
        (1.0, {5: 0.5, 9: 0.25}),
        {},
        lambda t: s.piecewise_constant(t, base=1.0, factors=[(5, 0.5), (9, 0.25)]),
    ),
    "cosine_onecycle_schedule": (
        "cosine_onecycle_schedule",
        (30, 1.0),
        {},
        lambda t: s.one_cycle(t, peak=1.0, total=30, ends="whole"),
    ),
    "warmup_cosine_decay_schedule": (
        "warmup_cosine_decay_schedule",
        (0.1, 1.0, 6, 26),
        {},
        lambda t: s.warmup(t, steps=6, base=1.0, start=0.1, then=lambda n: s.cosine(n, base=1.0, total=20)),
    ),
    "warmup_constant_schedule": (
        "warmup_constant_schedule",
        (0.1, 1.0, 6),
        {},
        lambda t: s.warmup(t, steps=6, base=1.0, start=0.1, then=lambda n: s.constant(n, base=1.0)),
    ),
    "warmup_exponential_decay_schedule": (
        "warmup_exponential_decay_schedule",
        (0.1, 1.0, 6, 4, 0.5),
        {},
        lambda t: s.warmup(
            t, steps=6, base=1.0, start=0.1, then=lambda n: s.exponential(n, base=1.0, rate=0.5, every=4)
        ),
    ),
    "sgdr_schedule": (
        "sgdr_schedule",
        ([{"init_value": 0.1, "peak_value": 1.0, "decay_steps": 10, "warmup_steps": 4}] * 3,),
        {},
        lambda t: s.warmup(t % 10, steps=4, base=1.0, start=0.1, then=lambda n: s.cosine(n, base=1.0, total=6)),
    ),
}


@pytest.mark.sample(quick=1)
@pytest.mark.parametrize("name", OPTAX)
def test_optax(name: str) -> None:
    """optax computes in float32."""
    optax = pytest.importorskip("optax")
    function, arguments, options, schedule = OPTAX[name]
    theirs = getattr(optax, function)(*arguments, **options)
    for t in STEPS if name != "sgdr_schedule" else range(30):
        assert near(float(schedule(t)), float(theirs(t)), 0, 2.0**-24), (t, schedule(t), theirs(t))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: s.constant(-1, base=1.0), r"t is -1; legal: a number in \[0, inf\)"),
        (lambda: s.constant(float("inf"), base=1.0), r"t is inf; legal: a number in \[0, inf\)"),
        (lambda: s.constant(10**400, base=1.0), r"t is 1000.* \.\.\.; legal: a number"),
        (lambda: s.constant(0, base="3"), r"base is '3'; legal: a number in \(-inf, inf\)"),
        (lambda: s.linear(0, base=True, final=0, total=3), "base is True; legal: a number"),
        (lambda: s.cosine(0, base=1.0, total=0), r"total is 0; legal: a number in \(0, inf\)"),
        (lambda: s.cosine_restarts(9, base=1.0, period=2, growth=0.5), r"growth is 0.5; legal: a number in \[1, inf\)"),
        (lambda: s.exponential(1, base=1.0, rate=-0.5), r"rate is -0.5; legal: a number in \[0, inf\)"),
        (lambda: s.exponential(1, base=1.0, rate=0.5, staircase=1), "staircase is 1; legal: True or False"),
        (lambda: s.piecewise_constant(1, base=1.0, factors=[(1, 2, 3)]), r"factors is \(1, 2, 3\); legal: .*pairs"),
        (lambda: s.piecewise_constant(1, base=1.0, factors=3), "factors is 3; legal: a sequence of pairs"),
        (
            lambda: s.warmup_stable_decay(0, base=1.0, warmup=1, stable=1, decay=1, shape="cosin"),
            r"shape is 'cosin'; legal: linear \| cosine \| root; did you mean 'cosine'",
        ),
        (lambda: s.one_cycle(0, peak=1.0, total=3, ends="end"), r"ends is 'end'; legal: last_step \| whole"),
        (lambda: s.one_cycle(0, peak=1.0, total=3, start_factor=0), "start_factor is 0; legal: a number in"),
        (lambda: s.warmup(0, steps=2, base=1.0, then=None), "then is None; legal: a function of a number of steps"),
        (
            lambda: s.join(0, schedules=[lambda t: t, lambda t: t], boundaries=[]),
            r"boundaries is \[\]; legal: 1, one less than the schedules",
        ),
    ],
)
def test_bad_arguments(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        call()


def test_restarts_at_any_step_end() -> None:
    """Periods that are alike, or grow by little, are counted where there are too many to go through."""
    assert s.cosine_restarts(10**18 + 1, base=1.0, period=2) == pytest.approx(0.5)
    growth = 1 + mpf(2) ** -20
    for t in (9_000.25, 90_000.25):
        cycles = int(mpmath.log1p(t * (growth - 1)) / mpmath.log(growth))
        begin, period = (growth**cycles - 1) / (growth - 1), growth**cycles
        expected = (1 + mpmath.cospi((t - begin) / period)) / 2
        assert s.cosine_restarts(t, base=1.0, period=1.0, growth=float(growth)) == pytest.approx(
            float(expected), abs=1e-6
        )
    assert 0.0 <= s.cosine_restarts(1e18, base=1.0, period=1e-9, growth=1.0 + 2.0**-40) <= 1.0


def test_powers_of_any_size_end() -> None:
    assert s.exponential(10**9, base=1.0, rate=2.0) == float("inf")
    assert s.polynomial(Fraction(1), base=1, final=0, total=Fraction(3), power=10**9) == 0.0
    assert s.polynomial(Fraction(1), base=1, final=0, total=Fraction(3), power=2) == Fraction(4, 9)


def test_roots_are_of_the_kind_of_their_number() -> None:
    assert s.inverse_square_root(3, base=1.0, warmup=4) == 1.0
    assert s.inverse_square_root(Fraction(15), base=1, warmup=Fraction(4)) == 0.5
    assert s.inverse_square_root(mpf(15), base=mpf(1), warmup=mpf(4)) == mpf("0.5")


def test_numbers_that_do_not_compute_with_floats_are_taken_as_floats() -> None:
    class Whole:
        def __index__(self) -> int:
            return 2

    for two in (Decimal(2), Whole()):
        given = {"base": 1.0, "period": 2, "growth": 2}
        for name in given:
            assert s.cosine_restarts(1, **{**given, name: two}) == s.cosine_restarts(1, **{**given, name: 2.0})
        assert s.linear(two, base=1.0, final=0.0, total=4) == 0.5
        assert s.join(3, schedules=[lambda t: t, lambda t: 10 + t], boundaries=[two]) == 11
        assert s.piecewise_constant(3, base=0.5, factors=[(two, two)]) == 1.0


@pytest.mark.parametrize(
    "kind", [np.uint8, np.int8, np.uint64, np.float16, np.float32, lambda x: np.asarray(x, np.uint8)]
)
def test_numbers_of_few_bits_do_not_wrap_around(kind: Callable[[int], Any]) -> None:
    """3 - 5 is 254 in eight bits, and 100 + 100 is -56."""
    assert s.linear(kind(3), base=1.0, final=0.0, total=10, begin=5) == 1.0
    given = {"up": 100, "down": 100}
    expected = s.triangular(5, base=0.1, peak=0.7, **given)
    assert s.triangular(kind(5), base=0.1, peak=0.7, **{n: kind(v) for n, v in given.items()}) == expected
    assert s.linear(3, base=kind(1), final=kind(0), total=kind(7), begin=kind(1)) == s.linear(
        3, base=1, final=0, total=7, begin=1
    )
    assert s.join(kind(3), schedules=[lambda t: t, lambda t: t / 3], boundaries=[kind(2)]) == 1 / 3
