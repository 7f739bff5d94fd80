"""Fair bits are as seldom suspected as is promised, whatever r is and depends on; a bias is seen, soonest where r is near 0 or 1.

That verdicts use it is tested in tests/optimizers/test_stored.py.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from refgrad.oracle.acceptance.stochastic_rounding import UNLIKELY, Roundings, Sum, sums_of


def seen(share: np.ndarray, up: np.ndarray, slack: float = 0.0) -> Roundings:
    return Roundings(up - share, np.full(share.shape, slack), share, np.ones(share.shape, bool))


def worst(steps: list[Roundings]) -> tuple[float, str]:
    """The most surprising sum of all steps, and its name."""
    found: dict[str, Sum] = {}
    for each in sums_of(steps):
        found[each.name] = found[each.name] + each if each.name in found else each
    return max((each.surprise, name) for name, each in found.items())


def test_fair_bits_are_suspected_no_more_often_than_is_said() -> None:
    """Each r depends on what was rounded before, as a parameter does."""
    counts, runs = dict.fromkeys((2.0, 10.0), 0), 400
    for seed in range(runs):
        random, steps = np.random.default_rng(seed), []
        share = random.random(60)
        for _ in range(3):
            up = (random.random(60) < share).astype(np.float64)
            steps.append(seen(share, up))
            share = np.where(up == 1, share**2, np.sqrt(share))
        (total,) = [sum((s for s in sums_of(steps) if s.name == "in all"), Sum("in all"))]
        for odds in counts:
            counts[odds] += total.surprise > math.log(odds)
    for odds, count in counts.items():
        assert count <= runs / odds + 3 * math.sqrt(runs / odds)


def test_a_bias_at_small_shares_is_seen_where_a_bound_on_ranges_sees_none() -> None:
    random = np.random.default_rng(1)
    share = random.random(8000) / 8
    up = (random.random(8000) < 0.6 * share).astype(np.float64)
    surprise, name = worst([seen(share, up)])
    assert surprise > math.log(11 / UNLIKELY)
    assert name in ("in all", "between 0/8 and 1/8 of the way")
    hoeffding = 2.0 * float((up - share).sum()) ** 2 / up.size
    assert hoeffding < math.log(1 / UNLIKELY) / 2


@pytest.mark.parametrize("bias", [0.02, -0.02], ids=["up", "down"])
def test_what_is_left_open_of_a_share_excuses_as_much(bias: float) -> None:
    random = np.random.default_rng(2)
    share = 0.25 + random.random(50_000) / 2
    up = (random.random(50_000) < share + bias).astype(np.float64)
    assert worst([seen(share, up)])[0] > math.log(11 / UNLIKELY)
    assert worst([seen(share, up, slack=1.5 * abs(bias))])[0] < math.log(2)


def test_bits_that_come_again_are_seen_in_products() -> None:
    random = np.random.default_rng(3)
    share, bits = random.random(4000), random.random(4000)
    again = [seen(share, (bits < share).astype(np.float64)) for _ in range(2)]
    assert worst(again)[1] == "times that of the step before"
    along = np.repeat(random.random(100), 40)
    surprise, name = worst([seen(share, (along < share).astype(np.float64))])
    assert (name, surprise > math.log(11 / UNLIKELY)) == ("times that of the element before", True)
