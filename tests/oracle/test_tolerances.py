"""The least tolerances of a rule: no right program exceeds them, and what is said to pass does, by NumPy's own comparison."""

from __future__ import annotations

import numpy as np
import pytest

import refgrad
from refgrad import estimators as e
from refgrad import optimizers as o
from refgrad import quantizers as q
from refgrad import sparsity as s
from refgrad.errors import ArgumentError
from refgrad.kinds.table import kind_of
from refgrad.oracle.frontier import rounded_up
from refgrad.oracle.tolerances import Tolerances
from refgrad.oracle.verify import verify

RULE = o.AdamW(lr=1e-3)


def ordinary(size: int = 200, dtype: str = "float32") -> dict[str, np.ndarray]:
    random = np.random.Generator(np.random.Philox(1))
    return {"p": random.standard_normal(size).astype(dtype), "g": random.standard_normal(size).astype(dtype)}


@pytest.fixture(scope="module")
def found() -> Tolerances:
    return refgrad.tolerances(RULE, "float32", ordinary())


def other_order(p, g, m, v, t, lr, beta1, beta2, eps, weight_decay):  # type: ignore[no-untyped-def]
    """AdamW with its operations in another order, and scalars in float32."""
    f = np.float32
    m = m + f(1 - beta1) * (g - m)
    v = f(beta2) * v + (g * f(1 - beta2)) * g
    step = f(lr / (1 - beta1**t))
    p = p * f(1 - lr * weight_decay)
    return p - m * step / (np.sqrt(v) * f(1 / np.sqrt(1 - beta2**t)) + f(eps)), m, v


@pytest.mark.slow
def test_a_right_program_of_another_order_is_covered_and_zero_is_not_enough(found: Tolerances) -> None:
    given = ordinary()
    state = RULE.init(given["p"])
    p, known = RULE.step(given["p"], given["g"], state)
    zero = np.zeros_like(p)
    new, m, v = other_order(given["p"], given["g"], zero, zero, 1, *(RULE.numbers()[n] for n in NUMBERS))
    for tensor, actual, expected in (("p", new, p), ("m", m, known["m"]), ("v", v, known["v"])):
        pair = found.by_tensor[tensor]
        np.testing.assert_allclose(actual, expected, rtol=pair.rtol, atol=pair.atol)
    assert not np.array_equal(new, p)
    assert found.covers(found.rtol, found.atol)
    assert not found.covers(found.rtol / 2, found.atol / 2)


NUMBERS = ("lr", "beta1", "beta2", "eps", "weight_decay")


@pytest.mark.slow
def test_the_sets_are_those_of_one_step_whatever_its_other_outputs_are(found: Tolerances) -> None:
    assert {n: t.elements for n, t in found.by_tensor.items()} == {"p": 200, "m": 200, "v": 200}
    assert 1e-8 < found.by_tensor["p"].needs.atol(0.0) < 1e-5
    assert found.by_tensor["m"].needs.corners()[-1][0] < 1e-6
    assert found.turns == "1 step"


def test_what_passes_is_wrong_and_passes_by_numpys_comparison(found: Tolerances) -> None:
    given = ordinary()
    assert len(found.wrong) > 100
    assert not found.accepted(0.0, 0.0)
    names = {w.name for w in found.accepted(1e-4, 1e-4)}
    assert {"decay=after", "no weight decay"} <= names > {w.name for w in found.accepted(1e-5, 1e-8)}
    other = RULE.replace(decay="after")
    expected, _ = RULE.step(given["p"], given["g"], RULE.init(given["p"]))
    actual, _ = other.step(given["p"], given["g"], other.init(given["p"]))
    wrong = next(w for w in found.wrong if w.name == "decay=after")
    for rtol, atol in ((1e-2, 0.0), (1e-6, 1e-6), (1e-8, 1e-9), (0.0, 1e-7), (1e-5, 1e-8)):
        assert wrong.needs["p"].covered(rtol, atol) == np.allclose(actual, expected, rtol=rtol, atol=atol)
    inputs = refgrad.Inputs(p=[given["p"]], g=[[given["g"]]])
    assert not verify(other, RULE, inputs=inputs, explain=False, shrink=False).conforms


def test_a_recommended_pair_lets_no_more_pass_than_any_corner(found: Tolerances) -> None:
    corners = [pair for pair in found.needs.corners() if pair[0] < 1.0]
    assert corners
    fewest = min(len(found.accepted(*map(rounded_up, pair))) for pair in corners)
    assert len(found.accepted(found.rtol, found.atol)) == fewest


@pytest.mark.sample(quick=2)
@pytest.mark.parametrize(
    ("rule", "tensors", "exact"),
    [
        (e.ClippedSTE(), {"y", "x_grad"}, ()),
        (q.Affine(bits=4), {"scale", "y"}, ("zero_point", "codes")),
        (s.Wanda(), {"scores"}, ("mask",)),
        (o.WinsorizedMean(), {"result"}, ()),
    ],
    ids=["estimator", "quantizer", "mask", "transform"],
)
def test_every_kind_of_numbers_has_tolerances(
    rule: refgrad.rule.Rule, tensors: set[str], exact: tuple[str, ...]
) -> None:
    made = kind_of(rule).generate(rule, 1, np.dtype(np.float32), 0)
    found = refgrad.tolerances(rule, arrays=refgrad.Cases([made.arrays[0]]))
    assert set(found.by_tensor) == tensors
    assert found.exact == exact
    assert found.covers(found.rtol, found.atol)


@pytest.mark.slow
def test_elements_that_may_go_either_way_are_counted_apart() -> None:
    rule = o.Lion(lr=1.0)
    given = {"p": np.ones(3, np.float32), "g": np.asarray([1.0, 0.0, 1.0], np.float32)}
    # beta1 m + (1 - beta1) g is zero but for rounding at the second step
    second = (-rule.beta1 * (1 - rule.beta2) / (1 - rule.beta1) * given["g"]).astype(np.float32)
    found = refgrad.tolerances(rule, arrays=refgrad.Inputs(p=[given["p"]], g=[[given["g"]], [second]]))
    p = found.by_tensor["p"]
    assert (p.elements, p.either) == (4, 2)
    assert p.needs.atol(0.0) < 1e-6


def test_it_is_told_in_text_and_in_a_notebook(found: Tolerances) -> None:
    lines = str(found).splitlines()
    assert lines[0] == f"{RULE} in float32: what no right program exceeds in 1 step"
    assert [line.split()[0] for line in lines[4:8]] == ["p", "m", "v", "one"]
    assert f"of {len(found.wrong)} wrong programs" in str(found)
    assert "one pair for all" in found._repr_html_()
    (line,) = [line for line in str(found).splitlines() if "torch.testing.assert_close" in line]
    assert line.split()[1:4] == ["1.3e-06", "1e-05", "yes"]
    assert int(line.split()[4]) == len(found.accepted(1.3e-6, 1e-5)) > 5


def test_arguments_are_checked() -> None:
    with pytest.raises(ArgumentError, match=r"arrays is 'list'; legal: arrays by name"):
        refgrad.tolerances(RULE, arrays=[np.ones(2)])
    with pytest.raises(ArgumentError, match="no output that is compared by a tolerance"):
        refgrad.tolerances(q.Affine(), arrays={"x": np.zeros(0, np.float32)})
    narrow = refgrad.tolerances(o.SGD(), "bfloat16", ordinary(20))
    assert narrow.dtype == "bfloat16"
    assert narrow.by_tensor["p"].needs.atol(0.0) < 0.05


def test_what_is_misspelt_is_named_and_no_tolerance_is_negative(found: Tolerances) -> None:
    x = np.ones(2, np.float32)
    with pytest.raises(ArgumentError, match=r"arrays has 'gg'.*; legal: p, g"):
        refgrad.tolerances(o.SGD(lr=0.1), arrays={"p": x, "gg": x})
    for pair in ({"rtol": -1.0}, {"atol": float("nan")}, {"rtol": "small"}):
        with pytest.raises(ArgumentError, match="legal: a number from 0"):
            found.accepted(**pair)
