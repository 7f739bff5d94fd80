"""`refgrad.sets`: what it says is acceptable is what judging accepts, of every rule; conditioned on what is given."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import ml_dtypes
import mpmath
import numpy as np
import pytest

import refgrad
from refgrad.arithmetic import exact
from refgrad.candidates.protocol import Observation
from refgrad.errors import ArgumentError
from refgrad.estimators import ClippedSTE
from refgrad.golden.inputs import drawn, golden_rule
from refgrad.golden.levels import LEVELS
from refgrad.kinds.record import Wanted
from refgrad.kinds.table import kind_of
from refgrad.optimizers import SGD, AdamW, Lion, Prodigy
from refgrad.oracle import sets as module
from refgrad.oracle.acceptance.judgement import OUTSIDE
from refgrad.quantizers import NF4, Affine
from refgrad.rule import Rule, rules
from refgrad.sparsity import Magnitude
from tests.fuzz.values import REFUSED

F32 = np.dtype(np.float32)
SHAPE = (4, 6)


def arrays_of(rule: Any) -> dict[str, np.ndarray]:
    """A few numbers of what a rule takes."""
    kind, random = kind_of(rule), np.random.Generator(np.random.Philox(3))
    if not kind.stepped:
        made = kind.sizes(rule, F32, 0) or kind.generate(rule, 1, F32, 0)
        return dict(min(made.arrays, key=lambda a: (a[rule.primary].size < 8, a[rule.primary].size)))
    shape = SHAPE if rule.kind == "optimizer" else (64, 64)
    normal = lambda: random.standard_normal(shape).astype(np.float32)  # noqa: E731
    extras = {n: 1.0 if e.scalar else np.abs(np.rint(normal() * 9)) for n, e in kind.told(rule).inputs().items()}
    return {"p": normal(), "g": normal(), **extras}


@pytest.mark.sample(quick=6, suite=16)
@pytest.mark.parametrize("cls", rules().values(), ids=rules())
def test_every_rule_has_sets_that_hold_its_own_results_and_the_truth(cls: type[Rule]) -> None:
    for name, found in refgrad.sets(cls, arrays_of(cls())).items():
        assert found.contains(found.reference).all(), name
        assert found.low.shape == found.high.shape == found.truth.shape == found.reference.shape
        if found.exact is not None and not found.open.any():
            near = np.spacing(np.abs(found.truth).astype(np.float32)).astype(np.float64)
            assert ((found.truth >= found.low - near) & (found.truth <= found.high + near)).all(), name


@pytest.mark.parametrize("rule", [AdamW(lr=0.1, weight_decay=0.1), SGD(momentum=0.9), Lion()], ids=str)
def test_the_ends_are_accepted_and_what_is_beyond_is_refused(rule: Any) -> None:
    arrays = {**arrays_of(rule), "t": 3, **{n: np.full(SHAPE, 0.25, np.float32) for n in rule.slots()}}
    for name, found in refgrad.sets(rule, arrays).items():
        for end, way in ((found.low, -np.inf), (found.high, np.inf)):
            end = end.astype(np.float32)
            beyond = np.nextafter(end, np.float32(way))
            assert not outside(rule, arrays, name, end)
            assert outside(rule, arrays, name, beyond) == end.size
            assert found.contains(end).all()
            assert not found.contains(beyond).any()


@pytest.mark.parametrize(
    "rule", [AdamW(), SGD(momentum=0.9), ClippedSTE(), Magnitude(), Affine()], ids=lambda rule: type(rule).__name__
)
@pytest.mark.parametrize("shape", [(0,), (0, 4)], ids=str)
def test_arrays_without_elements_have_sets_without_elements(rule: Any, shape: tuple[int, ...]) -> None:
    none = np.zeros(shape, np.float32)
    names = {"optimizer": ["p", "g"], "estimator": ["x", "cotangent"], "mask": ["w"], "quantizer": ["x"]}[rule.kind]
    wanted = set(refgrad.sets(rule, {n: np.ones((2, 4), np.float32) for n in names}))
    found = refgrad.sets(rule, dict.fromkeys(names, none))
    assert set(found) == wanted
    empty = {n: each for n, each in found.items() if not each.truth.size}
    assert {"p", "y", "mask"} & set(empty)
    for each in empty.values():
        assert each.low.shape == each.high.shape == each.open.shape == each.truth.shape
        assert each.contains(each.reference).shape == each.truth.shape


def test_a_state_that_no_steps_lead_to_has_ends_that_are_nan() -> None:
    arrays = {n: np.float32([1.0]) for n in ("p", "g")} | {"v": np.float32([-1.0])}
    found = refgrad.sets(AdamW(), arrays)
    assert np.isnan(found["p"].low).all()
    assert found["p"].contains(np.float32([np.nan])).all()
    assert not found["p"].contains(np.float32([1.0])).any()


def outside(rule: Any, arrays: Any, name: str, values: np.ndarray) -> int:
    """How many elements judging refuses, where one output has these values and all others are the rule's own."""
    kind = kind_of(rule)
    record = module._stepped(kind, rule, arrays, {name: values})
    assert isinstance(record.seen[-1], Observation)
    record = dataclasses.replace(record, seen=[*record.seen[:-1], record.seen[-1]])
    outputs = {o.tensor: o for o in kind.outputs(record, [rule], Wanted()) if o.step == record.steps}
    return int((outputs[name].judged.status == OUTSIDE).sum())


def test_the_parameter_is_conditioned_on_the_state_that_is_given() -> None:
    rule, arrays = SGD(lr=1.0, momentum=0.9), {"p": np.zeros(3, np.float32), "g": np.ones(3, np.float32)}
    own = refgrad.sets(rule, arrays)
    other = refgrad.sets(rule, arrays, given={"buffer": np.full(3, 2.0, np.float32)})
    assert own["p"].given == ("buffer",)
    assert own["buffer"].given == ()
    assert own["p"].contains(np.full(3, -1.0)).all()
    assert other["p"].truth.tolist() == [-2.0] * 3
    assert not other["p"].contains(np.full(3, -1.0)).any()


def test_where_nothing_is_given_the_set_is_wider() -> None:
    found = refgrad.sets(AdamW(lr=0.1), {"p": np.float32([1.0]), "g": np.float32([0.3])})["p"]
    assert found.wide is not None
    assert found.wide[0] <= found.low < found.high <= found.wide[1]


def test_an_open_decision_has_a_set_for_each_way() -> None:
    rule = Lion(beta1=0.9)  # the sign of 0.9 m + 0.1 g, which rounding decides
    arrays = {"p": np.zeros(2, np.float32), "g": np.float32([-0.9, 1.0]), "m": np.float32([0.1, 1.0]), "t": 2}
    found = refgrad.sets(rule, arrays)["p"]
    assert found.open.tolist() == [True, False]
    rate = np.float32(rule.lr)
    assert found.contains(np.float32([rate, -rate])).all()
    assert found.contains(np.float32([-rate, -rate])).all()
    assert not found.contains(np.float32([rate / 2, rate])).any()


def test_an_open_code_has_its_neighbour() -> None:
    rule = refgrad.quantizers.Affine(bits=8)
    x = np.float32([[0.0, 0.3, 0.5, 0.7, 1.0, 255.0]])
    found = refgrad.sets(rule, {"x": x})
    assert found["codes"].open.any() == (len(found["codes"].admissible) > 1)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"p": np.ones(2, np.float32)}, "arrays is \\['p'\\]"),
        ({"p": np.ones(2, np.float32), "g": np.ones(2, np.float32), "k": np.ones(2)}, "arrays have 'k'"),
        (
            {"p": np.ones(2, np.float32), "g": np.ones(2, np.float32), "t": 0},
            r"arrays\['t'\] is 0; legal: a whole number from 1",
        ),
    ],
    ids=["no gradient", "unknown", "step zero"],
)
def test_what_does_not_fit_is_refused(arrays: dict[str, Any], says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        refgrad.sets(AdamW(), arrays)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32], ids=["float16", "bfloat16", "float32"])
def test_a_truth_rounded_to_odd_rounds_on_as_the_exact_one(dtype: Any) -> None:
    """By fractions: just above, at and just below the middle of two numbers of the narrow format."""
    tiny = mpmath.mpf(2) ** -90
    narrow = np.asarray([1.0, 1.5, 0.1, 3e-5, 6e-8], dtype)
    for low in narrow:
        high = np.nextafter(low, np.asarray(np.inf, dtype))
        middle = (mpmath.mpf(float(low)) + mpmath.mpf(float(high))) / 2
        with mpmath.workdps(60):
            found = exact.to_odd([middle - tiny, middle + tiny])
        for got, want in zip(found, (low, high), strict=True):
            # one rounding: of a float64 that lies off the middle as the exact number does
            assert (got < float(middle)) == (want == low)


SUMS = [n for n, cls in rules().items() if cls.kind == "estimator" and not cls.chosen and cls.parameters]


@pytest.mark.sample(quick=1, suite=4)
@pytest.mark.parametrize("name", SUMS)
def test_a_sum_over_elements_is_given_what_shows_their_decisions(name: str) -> None:
    """Its truth goes the ways that the other results show, and lies in the narrow set; the wide one has all ways."""
    rule: Any = golden_rule(rules()[name])
    for each in itertools.islice(drawn(rule, LEVELS["smoke"], "float32"), 3):
        found = refgrad.sets(rule, each.arrays)
        sums = [n for n, one in found.items() if one.low.shape != found["y"].low.shape]
        for one in (found[n] for n in sums):
            assert one.exact is not None
            assert one.wide is not None
            truth = one.truth.astype(np.float32)
            assert ((truth >= one.low) & (truth <= one.high)).all()
            assert (one.wide[0] <= one.low).all()
            assert (one.wide[1] >= one.high).all()
            assert one.given in ((), ("y", "x_grad"))
            assert one.given or np.array_equal(one.wide, (one.low, one.high))


@pytest.mark.parametrize("passed", [0.0, 1.0])
def test_a_sum_goes_the_way_that_was_given(passed: float) -> None:
    """At one element rounding decides whether the soft threshold lets the gradient through."""
    rule = rules()["STR"]()
    threshold = np.float32(1 / (1 + np.exp(-0.25)))
    arrays = {"x": np.float32([threshold, 2.0]), "cotangent": np.float32([1.0, 0.5]), "s": np.float32([0.25])}
    found = refgrad.sets(
        rule, arrays, given={"y": np.float32([0.0, 2 - threshold]), "x_grad": np.float32([passed, 0.5])}
    )
    slope = float(threshold) * (1 - float(threshold))
    assert found["x_grad"].open.tolist() == [True, False]
    assert found["s_grad"].given == ("y", "x_grad")
    assert float(found["s_grad"].exact.item()) == pytest.approx(-slope * (passed + 0.5), rel=1e-6)
    assert found["s_grad"].contains(np.float32([-slope * (passed + 0.5)])).all()
    assert not found["s_grad"].contains(np.float32([-slope * (1.5 - passed)])).any()
    assert found["s_grad"].wide is not None
    assert found["s_grad"].wide[0] < -1.49 * slope < -0.51 * slope < found["s_grad"].wide[1]


@pytest.mark.parametrize(("name", "bases"), [("SOAP", {"left_basis", "right_basis"}), ("GaLore", {"basis"})])
def test_a_basis_has_no_truth_of_its_own(name: str, bases: set[str]) -> None:
    """It is judged by its residuals, so that its set is that of the one which was seen; what follows is given it."""
    rule: Any = rules()[name]()
    arrays = {n: np.linspace(-1, 2, 6, dtype=np.float32).reshape(2, 3) ** k for k, n in enumerate("pg", 1)}
    found = refgrad.sets(rule, arrays)
    assert {n for n, one in found.items() if one.exact is None} == bases
    assert {n for n, one in found.items() if n in one.given} == bases
    other = refgrad.sets(rule, arrays, given={n: -found[n].reference for n in bases})
    assert all(other[n].contains(-found[n].reference).all() for n in bases)


def test_a_set_is_as_wide_as_the_roundings_of_two_operations() -> None:
    """A product and a difference, each off by two roundings at most: no wider, so that little is accepted for nothing."""
    random = np.random.default_rng(0)
    p, g = random.standard_normal((2, 200)).astype(np.float32)
    found = refgrad.sets(SGD(lr=1e-3), {"p": p, "g": g})["p"]
    width = (found.high - found.low) / np.spacing(np.abs(p))
    assert 2 <= np.median(width) <= 4
    assert width.max() <= 6


@pytest.mark.parametrize("change", sorted({**REFUSED, "other shape": None}.keys() - {"none", "float"}))
@pytest.mark.parametrize(
    ("rule", "arrays", "given"),
    [(AdamW(), ("p", "g", "v"), ("v", "p")), (Prodigy(), ("d",), ("d", "start")), (NF4(), ("x",), ("codes", "y"))],
    ids=["AdamW", "Prodigy", "NF4"],
)
def test_what_is_no_array_of_numbers_is_refused_by_its_name(
    rule: Any, arrays: tuple[str, ...], given: tuple[str, ...], change: str
) -> None:
    """In the arrays and in what is given; a float is an array of no axes, and numbers are taken where a slot is one."""
    x = np.float32([0.5, 2.0])
    own: dict[str, Any] = {"x": x} if rule.kind == "quantizer" else {"p": x, "g": x}
    value = np.ones((3, 4), np.float32) if change == "other shape" else REFUSED[change](x)
    scalar = {n for n, slot in rule.slots().items() if slot.scalar} if rule.kind == "optimizer" else set()
    for where, names in (("arrays", arrays), ("given", given)):
        for name in names:
            if (name in scalar or name == "codes") and change in ("float", "int", "whole", "true"):
                continue
            if where == "arrays" and name in ("p", "x") and change == "other shape":
                continue
            words = {"arrays": {**own, name: value}} if where == "arrays" else {"arrays": own, "given": {name: value}}
            with pytest.raises(ArgumentError, match=rf"\b{name}\b"):
                refgrad.sets(rule, **words)


def test_an_output_that_there_is_none_of_is_refused() -> None:
    x = np.ones(2, np.float32)
    for rule, arrays in ((AdamW(), {"p": x, "g": x}), (NF4(), {"x": x})):
        with pytest.raises(ArgumentError, match="given has 'w'; legal: "):
            refgrad.sets(rule, arrays, given={"w": x})


def test_what_is_no_number_of_the_output_is_not_looked_for_in_its_set() -> None:
    found = refgrad.sets(SGD(lr=0.1), {"p": np.float32([1.0, 2.0]), "g": np.float32([0.5, 0.5])})["p"]
    assert found.contains([0.95, 0.0]).tolist() == [True, False]
    for values, says in (
        ("a", "values.dtype is"),
        ([1.0], r"values.shape is \(1,\); legal: \(2,\)"),
        (memoryview(b"ab"), "values is"),
    ):
        with pytest.raises(ArgumentError, match=says):
            found.contains(values)
