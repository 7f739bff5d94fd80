"""Moving masks: what is dropped and grown by Python's own sort, counts that stay, schedules."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from refgrad.errors import ArgumentError
from refgrad.sparsity import ACDC, SET, LotteryTicket, RigL, TopKAST
from refgrad.sparsity.dynamic import best

NUMBERS = st.one_of(st.integers(-3, 3).map(float), st.floats(-1e3, 1e3, width=32))
vectors = hnp.arrays(np.float32, 12, elements=NUMBERS)
masks = hnp.arrays(bool, 12)


def largest(values: np.ndarray, among: np.ndarray, k: int) -> set[int]:
    """Indices of the k largest magnitudes among some, lower indices first among equals."""
    order = sorted(np.flatnonzero(among), key=lambda i: (-abs(float(values[i])), i))
    return {int(i) for i in order[: max(k, 0)]}


def chosen(mask: np.ndarray) -> set[int]:
    return {int(i) for i in np.flatnonzero(mask)}


@given(w=vectors, mask=masks, k=st.integers(0, 12))
def test_best(w: np.ndarray, mask: np.ndarray, k: int) -> None:
    assert chosen(best(np.abs(w), mask, k)) == largest(w, mask, k)
    assert not best(np.full(12, np.nan, np.float32), mask & False, k).any()


few = hnp.arrays(np.float32, 12, elements=st.integers(-1, 1).map(float))


@given(w=few, first=few, second=few, mask=masks, k=st.integers(-1, 13), ties=st.sampled_from(["low", "high"]))
def test_equal_scores_go_by_what_comes_next_and_then_by_their_index(
    w: np.ndarray, first: np.ndarray, second: np.ndarray, mask: np.ndarray, k: int, ties: str
) -> None:
    sign = 1 if ties == "low" else -1
    order = sorted(np.flatnonzero(mask), key=lambda i: (-w[i], -first[i], -second[i], sign * i))
    assert chosen(best(w, mask, k, ties, first, second)) == {int(i) for i in order[: max(k, 0)]}


@given(w=vectors, g=vectors, mask=masks, t=st.integers(0, 120))
def test_rigl(w: np.ndarray, g: np.ndarray, mask: np.ndarray, t: int) -> None:
    for candidates in ("dropped_too", "inactive"):
        rule = RigL(alpha=0.5, end=100, candidates=candidates)
        active = int(mask.sum())
        k = math.floor(rule.fraction(t) * active)
        kept = largest(w, mask, active - k)
        outside = np.asarray([i not in (kept if candidates == "dropped_too" else chosen(mask)) for i in range(12)])
        moved = rule.update(w, g, mask, t)
        assert chosen(moved.mask) == kept | largest(g, outside, k)
        assert chosen(moved.grown) == chosen(moved.mask) - chosen(mask)
        if candidates == "dropped_too":
            assert moved.mask.sum() == active


def test_rigl_schedule() -> None:
    rule = RigL(end=300)
    assert [round(rule.fraction(t), 15) for t in (0, 100, 200, 300, 301)] == [0.3, 0.225, 0.075, 0.0, 0.0]
    assert [t for t in range(0, 500, 50) if rule.is_update(t)] == [100, 200, 300]
    assert RigL(anneal="constant").fraction(7) == 0.3
    assert RigL(anneal="power", end=10, power=2.0).fraction(5) == 0.3 * 0.25


@given(w=vectors, mask=masks, u=hnp.arrays(np.float32, 12, elements=st.floats(0, 1, width=32)))
def test_set(w: np.ndarray, mask: np.ndarray, u: np.ndarray) -> None:
    separate, together = SET(), SET(tails="together")
    positive, negative = mask & ~(w < 0), mask & (w < 0)
    expected = set().union(
        *(largest(w, part, int(part.sum()) - math.floor(0.3 * part.sum())) for part in (positive, negative))
    )
    assert chosen(separate.remaining(w, mask)) == expected
    assert chosen(together.remaining(w, mask)) == largest(w, mask, int(mask.sum()) - math.floor(0.3 * mask.sum()))
    for rule in (separate, together):
        moved = rule.update(w, mask, u)
        dropped = int(mask.sum()) - len(chosen(rule.remaining(w, mask)))
        assert moved.mask.sum() == mask.sum() - max(dropped - int((~mask).sum()), 0)
        assert chosen(moved.grown) == largest(u, ~mask, dropped)


@given(w=vectors, g=vectors)
def test_top_kast(w: np.ndarray, g: np.ndarray) -> None:
    rule = TopKAST(forward_density=0.25, backward_density=0.5)
    everywhere = np.ones(12, bool)
    forward, backward = (np.isin(np.arange(12), list(largest(w, everywhere, k))) for k in (3, 6))
    assert np.array_equal(rule.evaluate(w, backend="numpy"), np.where(forward, w, 0))
    assert np.array_equal(rule.differentiate(g, w, backend="numpy")["x_grad"], np.where(backward, g, 0))
    penalty = rule.replace(strength=0.5).differentiate(np.zeros_like(w), w, backend="numpy")["x_grad"]
    with np.errstate(under="ignore"):
        assert np.array_equal(penalty, np.where(forward, w / 2, np.where(backward, (w * 4) / 2, 0)))


def test_acdc_schedule() -> None:
    rule = ACDC()
    assert [e for e in range(100) if rule.is_mask_epoch(e)] == [10, 20, 30, 40, 50, 60, 70, 85]
    assert [e for e in range(1, 100) if rule.is_sparse(e - 1) and not rule.is_sparse(e)] == [15, 25, 35, 45, 55, 65, 75]


def test_lottery_tickets() -> None:
    rule = LotteryTicket()
    random = np.random.default_rng(0)
    early, mask = random.standard_normal(1000), np.ones(1000, bool)
    shares = []
    for _ in range(12):
        trained = random.standard_normal(1000)
        after = rule.next_mask(trained, mask)
        assert not np.any(after & ~mask)
        assert np.abs(trained[after]).min() >= np.abs(trained[mask & ~after]).max()
        mask = after
        shares.append(mask.mean())
    assert [shares[r - 1] for r in (1, 2, 3)] == [0.8, 0.64, 0.512]
    published = {3: 51.2, 4: 41.0, 7: 21.0, 12: 6.9}
    assert {r: round(100 * rule.remaining(r), 1) for r in published} == {3: 51.2, 4: 41.0, 7: 21.0, 12: 6.9}
    assert np.array_equal(rule.rewind(early, mask), np.where(mask, early, 0))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: TopKAST(backward_density=0.05),
            "TopKAST.backward_density is 0.05; legal: no less than forward_density=0.1",
        ),
        (lambda: RigL(alpha=-0.1), r"RigL.alpha is -0.1; legal: a number in \[0, 1\]"),
        (lambda: RigL(every=0), "RigL.every is 0; legal: a whole number from 1"),
    ],
)
def test_errors(make: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make()
