"""Bodies that are judged as they stand, where choices meet NaN."""

from __future__ import annotations

import numpy as np

from refgrad.optimizers import GhostBatchNorm, NormTest, WinsorizedMean
from refgrad.optimizers.transform import Transform
from refgrad.oracle.acceptance.bodies import defined, judge_body, named, opened
from refgrad.oracle.acceptance.judge import OUTSIDE
from refgrad.oracle.acceptance.policy import Policy

POLICY = Policy()


def with_nan(rule: Transform) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    lengths = {name: [rule.lengths[axis] for axis in axes.strip("+").split()] for name, axes in rule.shapes.items()}
    arrays = {n: np.asarray(np.abs(random.standard_normal(shape)), "f4") for n, shape in lengths.items()}
    arrays[rule.primary].flat[2] = np.nan
    return arrays


def test_a_choice_that_nan_makes_is_open_and_an_order_of_nan_is_not_judged() -> None:
    ways = {type(r): (defined(r, with_nan(r), POLICY), opened(r, with_nan(r), POLICY)) for r in RULES}
    assert ways == {GhostBatchNorm: (True, True), NormTest: (False, True), WinsorizedMean: (False, False)}


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
