"""The exact arithmetic."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from refgrad.arithmetic.exact import Exact, evaluate
from refgrad.optimizers import AdamW, NAdam

ONE = np.asarray([1.0])


def test_as_many_digits_as_are_asked_for() -> None:
    rule = AdamW(eps=0.0, weight_decay=0.0, lr=1.0)
    arrays = {"p": ONE * 0, "g": ONE * 3, "m": ONE * 0, "v": ONE * 0}
    names = {**rule.numbers(), "t": 1.0}
    for digits in (20, 50, 100):
        found = evaluate(rule.plan((1,), 1).graph, arrays, names, digits)
        with mpmath.workdps(digits + 10):
            assert abs(found["p"][0] + 1) < mpmath.mpf(10) ** (2 - digits)
            assert found["m"][0] != 0.3  # beta1 is the float64 number nearest 0.9, and nothing is rounded
            assert abs(found["m"][0] - (1 - mpmath.mpf(0.9)) * 3) < mpmath.mpf(10) ** (2 - digits)


def test_scalar_slots_and_observed_outputs() -> None:
    rule = NAdam()
    arrays = {"p": ONE, "g": ONE, "m": ONE, "v": ONE}
    names = {**rule.numbers(), "t": 1.0, "mu_product": 1.0}
    graph = rule.plan((1,), 1).graph
    free = evaluate(graph, arrays, names)
    assert abs(free["mu_product"] - mpmath.mpf(0.9) * (1 - 0.5 * mpmath.mpf(0.96) ** mpmath.mpf(4e-3))) < 1e-15
    seen = evaluate(graph, arrays, names, observed={"v": ONE * 4})
    assert seen["v"] == free["v"]  # what v should have been
    assert abs(seen["p"][0] - 1) < abs(free["p"][0] - 1)  # and p goes on from what it was


@pytest.mark.parametrize(
    ("operation", "wanted"),
    [
        (lambda x: x / (x - x), ["inf", "-inf", "nan"]),
        (lambda x: np.sqrt(x), ["1.0", "nan", "0.0"]),
        (lambda x: np.sign(x / (x - x)), ["1.0", "-1.0", "nan"]),
        (lambda x: np.maximum(x / (x - x), 2), ["inf", "2.0", "nan"]),
        (lambda x: np.minimum(2, x / (x - x)), ["2.0", "-inf", "nan"]),
        (lambda x: np.where(x > 0, x, -1), ["1.0", "-1.0", "-1.0"]),
    ],
)
def test_what_has_no_finite_value(operation: object, wanted: list[str]) -> None:
    values = operation(Exact.of([1.0, -1.0, 0.0])).values  # type: ignore[operator]
    assert [mpmath.nstr(v, 3).replace("+", "") for v in values] == wanted
