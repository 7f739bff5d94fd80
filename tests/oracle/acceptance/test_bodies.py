"""Bodies that are judged as they stand, where choices meet NaN."""

from __future__ import annotations

import numpy as np

from refgrad.optimizers import GhostBatchNorm, NormTest, TrActLinear, WinsorizedMean
from refgrad.optimizers.transform import Transform, axes_named, length_of
from refgrad.oracle.acceptance.bodies import defined, judge_body, named, opened
from refgrad.oracle.acceptance.judgement import OUTSIDE
from refgrad.oracle.acceptance.policy import Policy

POLICY = Policy()


def with_nan(rule: Transform) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    lengths = {name: [length_of(axis, rule.lengths) for axis in axes_named(axes)] for name, axes in rule.shapes.items()}
    arrays = {n: np.asarray(np.abs(random.standard_normal(shape)), "f4") for n, shape in lengths.items()}
    arrays[rule.primary].flat[2] = np.nan
    return arrays


def test_a_choice_that_nan_makes_is_open_and_an_order_of_nan_is_not_judged() -> None:
    ways = {type(r): (defined(r, with_nan(r), POLICY), opened(r, with_nan(r), POLICY)) for r in RULES}
    assert ways == {GhostBatchNorm: (True, True), NormTest: (False, True), WinsorizedMean: (False, False)}


def test_a_system_that_nan_makes_singular_is_not_judged() -> None:
    """Of infinities in a Gram matrix there is no inverse: NumPy raises."""
    rule, x = TrActLinear(form="batch"), np.float32([[1.0, np.inf, 2.0], [0.5, np.inf, 1.0]])
    arrays = {"x": x, "g": np.ones((2, 2), np.float32)}
    assert not defined(rule, arrays, POLICY)
    assert not opened(rule, arrays, POLICY)


RULES: tuple[Transform, ...] = (GhostBatchNorm(), NormTest(), WinsorizedMean())


def test_nan_that_is_lost_is_outside_on_every_way() -> None:
    rule = NormTest()
    arrays = with_nan(rule)
    lost = {n: np.nan_to_num(a) for n, a in arrays.items()}
    right, wrong = ({n: np.asarray(a) for n, a in named(rule(*given.values())).items()} for given in (arrays, lost))
    for seen, refused in ((right, False), (wrong, True)):
        judged = judge_body(rule, arrays, seen, POLICY.opened())
        assert judged is not None
        assert any((each.status == OUTSIDE).any() for each in judged.values()) is refused
