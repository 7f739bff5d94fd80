"""Narrow parameters and states: restated in rationals, judged, and real implementations of them."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import refgrad
from refgrad import optimizers as o
from refgrad.arithmetic.storage import Grid
from refgrad.errors import ArgumentError
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.inputs.steps import completed
from refgrad.oracle.inputs.written import Inputs
from refgrad.rule import rules
from tests.fuzz.subjects import COUNTS
from tests.fuzz.values import ALIKE, NUMBERS

F = np.float32
SGD = o.SGD(lr=2.0**-6, momentum=0.5)  # powers of two, so that float32 loses nothing in what follows


def narrow(x: Any, format: str) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.asarray(x, F).astype(getattr(ml_dtypes, format, format)).astype(F)


def nearest(x: Fraction, format: str) -> Fraction:
    """A number of the format, from the two around it in rationals; ties to the even one."""
    digits = {"bfloat16": 8, "float16": 11}[format]
    scale = Fraction(1)
    while abs(x) >= scale * 2**digits:
        scale *= 2
    while x and abs(x) < scale * 2 ** (digits - 1):
        scale /= 2
    return Fraction(round(x / scale)) * scale


def restated(rule: o.Stored, p: float, grads: list[float], bits: list[int]) -> tuple[Fraction, ...]:
    """The parameter, what it lost and the momentum, in rationals, by the equations."""
    own, states = rule.parameter, rule.states
    theta, buffer, lost = Fraction(p), Fraction(0), Fraction(0)
    for g, number in zip(grads, bits, strict=True):
        momentum = buffer / 2 + Fraction(g)
        new = theta - momentum / 64
        if rule.rounding == "stochastic":
            exactly = Grid(own, 16, rule.chance).exactly(new, number)
            assert isinstance(exactly, Fraction)
            new, kept = exactly, lost
        elif rule.compensation == "none":
            new, kept = nearest(new, own), lost
        else:
            part: Callable[[Fraction], Fraction] = lambda x: nearest(x, own)  # noqa: E731
            each = part if rule.compensation == "kahan" else lambda x: x
            y = each(lost + (new - theta))
            new = part(theta + y)
            kept = part(y - each(new - theta))
        theta, lost = new, kept
        buffer = nearest(momentum, states) if states != "float32" else momentum
    return theta, lost, buffer


VARIANTS = [
    *({"parameter": p, "states": s} for p in ("bfloat16", "float16") for s in ("bfloat16", "float32")),
    {"compensation": "kahan"},
    {"compensation": "wide"},
    {"compensation": "kahan", "parameter": "float16", "states": "float16"},
    {"rounding": "stochastic"},
    {"rounding": "stochastic", "chance": "carry"},
]


@pytest.mark.sample(suite=5)
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_the_steps_are_the_equations_in_rationals(variant: dict[str, str], backend: str) -> None:
    """Numbers of few bits, with which no float32 operation rounds: then every bit is decided."""
    rule = o.Stored(inner=SGD, **variant)  # type: ignore[arg-type]
    random = np.random.default_rng(5)
    start = narrow(random.integers(-64, 64, 40) / 32.0, "bfloat16")
    grads = [random.integers(-16, 17, 40) / 16.0 for _ in range(4)]
    bits = [random.integers(0, 1 << 16, 40).astype(np.uint16) for _ in grads]
    p = start.astype(getattr(ml_dtypes, rule.parameter, rule.parameter))
    state = rule.init(p)
    for g, number in zip(grads, bits, strict=True):
        extras = {"bits": number} if rule.stochastic else {}
        p, state = rule.step(p, g.astype(F), state, backend=backend, **extras)
    for i in range(len(p)):
        want = restated(rule, float(start[i]), [float(g[i]) for g in grads], [int(b[i]) for b in bits])
        seen = (p[i], state["lost"][i] if rule.compensated else 0.0, state["buffer"][i])
        assert [Fraction(float(x)) for x in seen] == list(want)


def test_dtypes_of_what_is_made() -> None:
    rule = o.Stored(inner=o.Adafactor(), compensation="kahan", states="float16")
    p = {"w": np.ones((3, 4), ml_dtypes.bfloat16), "b": np.ones(2, ml_dtypes.bfloat16)}
    state = rule.init(p)
    assert state["lost"]["w"].dtype == ml_dtypes.bfloat16
    assert {a.dtype for n, s in state.items() if n not in ("t", "lost") for a in s.values()} == {np.dtype(np.float16)}
    wide = rule.init(np.ones(3, F))
    assert {np.asarray(a).dtype for n, a in wide.items() if n != "t"} == {np.dtype(F)}
    for make, text in [
        (lambda: o.Stored().init(np.ones(2, np.float16)), r"p.dtype is 'float16'; legal: bfloat16, or a dtype that"),
        (lambda: o.Stored().init(np.ones(2, F), state_dtype=np.float16), "state_dtype is 'float16'"),
        (lambda: o.Stored(rounding="stochastic", compensation="kahan"), "compensation is 'kahan'; legal: none with"),
        (lambda: o.Stored(parameter="float12"), "did you mean"),
        (lambda: o.Stored(seed=-1), "seed is -1"),
    ]:
        with pytest.raises(ArgumentError, match=text):
            make()


def test_bits_come_from_seed_step_and_place() -> None:
    rule = o.Stored(inner=SGD, rounding="stochastic", seed=3)
    p = [np.ones(1000, ml_dtypes.bfloat16), np.ones((7, 5), ml_dtypes.bfloat16)]
    g = [np.full(a.shape, 0.01, ml_dtypes.bfloat16) for a in p]
    state = rule.init(p)
    given = rule.random_bits(p, 1)
    first, after = rule.step(p, g, state)
    again, _ = rule.step(p, g, state, bits=given)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    whole = rule.random_bits(np.ones(1035, ml_dtypes.bfloat16), 1)
    assert np.array_equal(np.concatenate([b.ravel() for b in given]), whole)  # no leaf repeats another's
    assert not np.array_equal(whole, rule.random_bits(np.ones(1035), 2))
    assert not np.array_equal(whole, rule.replace(seed=4).random_bits(np.ones(1035), 1))
    in_place = [a.copy() for a in p]
    rule.step_(in_place, g, state)
    assert all(np.array_equal(a, b) for a, b in zip(first, in_place, strict=True))
    with pytest.raises(ArgumentError, match=r"bits\[0\] is np.uint32\(70000\); legal: whole"):
        rule.step(p, g, after, bits=[np.full(a.shape, 70000, np.uint32) for a in p])


@pytest.mark.slow
def test_a_thousand_small_updates_are_not_lost() -> None:
    g = np.full(64, 2.0**-8, ml_dtypes.bfloat16)
    inner, ends = o.SGD(lr=2.0**-6), {}
    for variant in ({}, {"compensation": "kahan"}, {"compensation": "wide"}, {"rounding": "stochastic"}):
        rule = o.Stored(inner=inner, **variant)  # type: ignore[arg-type]
        p = np.ones(64, ml_dtypes.bfloat16)
        state = rule.init(p)
        for _ in range(1024):
            p, state = rule.step(p, g, state)
        ends[rule] = p.astype(np.float64) + (state["lost"].astype(np.float64) if rule.compensated else 0.0)
    plain, kahan, wide, chance = ends.values()
    assert np.all(plain == 1.0)
    assert np.all(kahan == 1.0 - 1024 * 2.0**-14)  # all numbers here are powers of two: nothing at all is lost
    assert np.all(wide == kahan)
    assert abs(chance.mean() - kahan[0]) < 2.0**-7  # a unit in the last place, of the mean of 64


# what is judged as what ------------------------------------------------------------------------------------------------


def cast(x: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return x.astype(ml_dtypes.bfloat16)


def moments(g: np.ndarray, m: np.ndarray, v: np.ndarray, beta1: float, beta2: float) -> tuple[np.ndarray, np.ndarray]:
    g = g.astype(F)
    return F(beta1) * m.astype(F) + F(1 - beta1) * g, F(beta2) * v.astype(F) + F(1 - beta2) * g * g


def direction(m: np.ndarray, v: np.ndarray, t: int, beta1: float, beta2: float, eps: float) -> np.ndarray:
    return m / F(1 - beta1**t) / (np.sqrt(v / F(1 - beta2**t)) + F(eps))


def by_chance(fault: str = "") -> Callable[..., Any]:
    def step(
        p: Any, g: Any, m: Any, v: Any, t: int, bits: Any, lr: float, beta1: float, beta2: float, eps: float,
        weight_decay: float,
    ) -> dict[str, Any]:  # fmt: skip
        m, v = moments(g, m, v, beta1, beta2)
        theta = p.astype(F)
        theta = theta - F(lr) * (direction(m, v, t, beta1, beta2, eps) + F(weight_decay) * theta)
        if fault == "rounded before":
            theta = cast(theta).astype(F)
        whole, number = theta.view(np.uint32), bits.astype(np.uint32)
        if fault == "bits used twice":
            number = np.roll(number, 1)
        rest = whole & np.uint32(0xFFFF)
        up = number <= rest if fault == "biased by one" else number < (rest >> 1 if fault == "biased" else rest)
        moved = (whole & np.uint32(0xFFFF0000)) + np.where(up, np.uint32(0x10000), np.uint32(0))
        return {"p": cast(np.where(np.isfinite(theta), moved.view(F), theta)), "m": cast(m), "v": cast(v)}

    return step


def compensated(fault: str = "", wide: bool = False) -> Callable[..., Any]:
    def step(
        p: Any, g: Any, m: Any, v: Any, lost: Any, t: int, lr: float, beta1: float, beta2: float, eps: float,
        weight_decay: float,
    ) -> dict[str, Any]:  # fmt: skip
        m, v = moments(g, m, v, beta1, beta2)
        theta, kept = p.astype(F), (lambda x: x) if wide else (lambda x: cast(x).astype(F))
        u = -F(lr) * (direction(m, v, t, beta1, beta2, eps) + F(weight_decay) * theta)
        if fault == "rounded before":
            u = cast(theta + u).astype(F) - theta
        y = kept(u - lost.astype(F) if fault == "wrong sign" else u + lost.astype(F))
        new = cast(theta + y)
        rest = kept(new.astype(F) - theta) if fault != "of the update" else new.astype(F) - theta - lost.astype(F)
        return {"p": new, "m": cast(m), "v": cast(v), "lost": cast(rest - y if fault == "negative" else y - rest)}

    return step


CHANCE, KAHAN = o.Stored(rounding="stochastic"), o.Stored(compensation="kahan")
LEGAL = [
    (by_chance(), CHANCE),
    (compensated(), KAHAN),
    (compensated(wide=True), KAHAN.replace(compensation="wide")),
]
WRONG = [
    *((by_chance(f), CHANCE, "p") for f in ("rounded before", "bits used twice", "biased", "biased by one")),
    (by_chance(), CHANCE.replace(chance="carry"), "p"),
    *((compensated(f), KAHAN, n) for f, n in [("rounded before", "lost"), ("wrong sign", "p"), ("negative", "lost")]),
    (compensated("of the update"), KAHAN, "lost"),
    (compensated(wide=True), KAHAN, "lost"),
]


@pytest.mark.sample(suite=2)
@pytest.mark.slow
@pytest.mark.parametrize("case", LEGAL, ids=["by chance", "kahan", "wide"])
def test_what_is_right_is_accepted(case: tuple[Any, ...]) -> None:
    verdict = refgrad.verify(*case)
    assert verdict.conforms, str(verdict)
    assert verdict.dtype == "bfloat16"  # the rule says so
    assert not verdict.notes


@pytest.mark.sample(quick=1, suite=5)
@pytest.mark.parametrize("case", WRONG, ids=range(len(WRONG)))
def test_what_is_wrong_is_rejected(case: tuple[Any, ...]) -> None:
    subject, rule, tensor = case
    verdict = refgrad.verify(subject, rule, shrink=False, explain=False)
    assert not verdict.conforms
    assert verdict.counts[tensor].outside
    assert verdict.counts["m"].outside == verdict.counts["v"].outside == 0


@pytest.mark.slow
@pytest.mark.sample(quick=1, suite=1)
@pytest.mark.parametrize("rule", [o.Stored(), CHANCE, KAHAN, o.Stored(inner=o.Lookahead(k=2.0))], ids=str)
def test_kernels_are_judged_too(rule: Any) -> None:
    """The body is, where `refgrad.verify` is not told how a rule computes."""
    assert refgrad.verify(rule, rule, steps=3, options={"backend": "numba"}).conforms


#: what a candidate may make of the bits that it draws, and what the sums that show it have in their name
UNFAIR = {
    "cut": (lambda bits, t: np.full_like(bits, 65535), "in all"),
    "to nearest": (lambda bits, t: np.full_like(bits, 32767), "of the way"),
    "one bit short": (lambda bits, t: bits >> 1, "in all"),
    "the same at every step": (
        lambda bits, t: np.random.default_rng(0).integers(0, 1 << 16, bits.shape),
        "step before",
    ),
    "the same along a row": (lambda bits, t: np.broadcast_to(bits[..., :1], bits.shape), "element before"),
}


def drawing(change: Callable[[np.ndarray, int], np.ndarray]) -> Callable[..., Any]:
    """A step that draws its own bits, and what it makes of them."""
    right = by_chance()

    def step(
        p: Any, g: Any, m: Any, v: Any, t: int, lr: float, beta1: float, beta2: float, eps: float, weight_decay: float
    ) -> Any:
        bits = change(np.random.default_rng([t, p.size]).integers(0, 1 << 16, p.shape), t)
        return right(p, g, m, v, t, bits, lr=lr, beta1=beta1, beta2=beta2, eps=eps, weight_decay=weight_decay)

    return step


@pytest.mark.slow
def test_without_its_bits_both_neighbours_are_acceptable() -> None:
    fair = drawing(lambda bits, t: bits)
    verdict = refgrad.verify(fair, CHANCE)
    assert verdict.conforms, str(verdict)
    assert any("draws its own" in note for note in verdict.notes)
    off = refgrad.verify(fair, CHANCE.replace(inner_lr=1.1e-3), options={"lr": 1e-3}, shrink=False)
    assert off.counts["p"].outside


@pytest.mark.slow
@pytest.mark.sample(quick=1, suite=3)
@pytest.mark.parametrize("name", UNFAIR)
def test_bits_that_are_not_fair_are_seen(name: str) -> None:
    change, where = UNFAIR[name]
    verdict = refgrad.verify(drawing(change), CHANCE, shrink=False, explain=False)
    assert not verdict.conforms
    assert verdict.total.outside == 0  # each value by itself is acceptable
    assert [f.kind for f in verdict.faults] == ["biased"]
    assert where in verdict.faults[0].message


EVERY = [cls() for name, cls in rules(Optimizer).items() if name != "Stored"]


@pytest.mark.parametrize("inner", EVERY, ids=lambda rule: type(rule).__name__)
def test_any_rule_is_stored_as_its_narrow_arrays_are(inner: Optimizer) -> None:
    """Without compensation, to nearest: what every rule makes of narrow arrays, to the bit; and the rest is traced and steps."""
    random = np.random.default_rng(9)
    p = random.standard_normal((4, 4)).astype(ml_dtypes.bfloat16)
    grads = [random.standard_normal((4, 4)).astype(ml_dtypes.bfloat16) for _ in range(3)]
    inputs = completed(Inputs([p], [[g] for g in grads], seed=1), inner)
    rule = o.Stored(inner=inner)
    plain, stored = (p, inner.init(p)), (p, rule.init(p))
    for t, g in enumerate(grads, 1):
        arrays, numbers = inputs.of_leaf(t, 0, inner)
        given: dict[str, Any] = {**arrays, **numbers, "backend": "numpy"}
        plain, stored = inner.step(plain[0], g, plain[1], **given), rule.step(stored[0], g, stored[1], **given)
        assert np.array_equal(plain[0], stored[0], equal_nan=True)
        for name, value in plain[1].items():
            assert np.array_equal(np.asarray(value, float), np.asarray(stored[1][name], float), equal_nan=True)
    for variant in ({"compensation": "kahan"}, {"compensation": "wide"}, {"rounding": "stochastic"}):
        kept = rule.replace(**variant)
        after, state = kept.step(
            p, grads[0], kept.init(p), **{**inputs.of_leaf(1, 0, inner)[0], **inputs.of_leaf(1, 0, inner)[1]}
        )
        assert after.dtype == p.dtype
        assert set(state) == {"t", *kept.slots()}


@pytest.mark.sample(suite=1)
@pytest.mark.slow
@pytest.mark.parametrize(
    ("subject", "rule", "name"),
    [
        (compensated(wide=True), KAHAN, "compensation=wide"),
        (by_chance(), CHANCE.replace(chance="carry"), "chance=below"),
    ],
    ids=["wide", "below"],
)
def test_what_it_is_instead_is_named(subject: Any, rule: Any, name: str) -> None:
    verdict = refgrad.verify(subject, rule, steps=3, shrink=False)
    assert verdict.explanation is not None
    assert name in verdict.explanation.name


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.sample(quick=1, suite=1)
@pytest.mark.parametrize("inner", [o.SM3(), o.Adafactor()], ids=str)
def test_kernels_of_state_of_other_shapes_keep_the_bits(inner: Optimizer) -> None:
    """States that are one number a row or a column are rounded between the passes."""
    rule = o.Stored(inner=inner, compensation="kahan")
    p = np.random.default_rng(0).standard_normal((6, 5)).astype(ml_dtypes.bfloat16)
    ends = []
    for backend in ("numpy", "numba"):
        q, state = p, rule.init(p)
        for _ in range(3):
            q, state = rule.step(q, p, state, backend=backend)
        ends.append([np.asarray(a).tobytes() for a in (q, *state.values())])
    assert ends[0] == ends[1]


@pytest.mark.parametrize("method", ["step", "step_"])
@pytest.mark.parametrize("change", sorted(NUMBERS.keys() - {"dict", "list"}))
def test_what_is_read_for_the_bits_is_refused_by_its_name(method: str, change: str) -> None:
    """Bits that are left out come from the parameters and from the count in the state, before a step has looked at either."""
    rule, p = o.Stored(rounding="stochastic"), np.ones(3, ml_dtypes.bfloat16)
    value = NUMBERS[change]()
    with pytest.raises(ArgumentError, match=r"\b[pg]\b"):  # what is an array is one of another shape
        getattr(rule, method)(value, p.copy(), rule.init(p))
    with pytest.raises(ArgumentError, match=r"\bstate\b"):
        getattr(rule, method)(p.copy(), p.copy(), value)
    if change not in COUNTS and ALIKE.get(change) not in COUNTS:
        with pytest.raises(ArgumentError, match=r"state\['t'\]"):
            getattr(rule, method)(p.copy(), p.copy(), {**rule.init(p), "t": value})


def test_bits_of_no_step_are_refused() -> None:
    rule, p = o.Stored(rounding="stochastic"), np.ones(3, ml_dtypes.bfloat16)
    state = rule.init(p)
    del state["t"]
    for call, text in [
        (lambda: rule.step(p, p, state), "state has no 't'"),
        (lambda: rule.step(p, p, rule.init(p), backend="gpu"), "backend"),
        (lambda: rule.random_bits(p, -1), "t is -1"),
        (lambda: rule.random_bits(p, 1, threads=0), "threads is 0"),
        (lambda: rule.random_bits([0.5], 1), r"p\[0\] is a float"),
        (lambda: rule.step(p.astype(np.uint32), p, state, bits=p.astype(np.uint32)), "p.dtype is 'uint32'"),
    ]:
        with pytest.raises(ArgumentError, match=text):
            call()
