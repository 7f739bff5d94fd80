"""Gradient coding: identities of the code, exact recovery from every set of workers, decodings, and schedules."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest

import refgrad
from refgrad.gradients import GradientCode, GradientDecoding
from refgrad.gradients.coding import multiplexed_load, multiplexed_repeat, selective_repeat


@pytest.mark.parametrize(("m", "s"), [(7, 2), (5, 1), (4, 3), (3, 0)])
def test_every_set_of_enough_workers_gives_the_whole_gradient(m: int, s: int) -> None:
    draws = np.random.default_rng(1).standard_normal((s, m - 1))
    code = GradientCode()(draws)
    checks = np.concatenate([draws, -draws.sum(axis=1, keepdims=True)], axis=1)
    np.testing.assert_allclose(checks @ code.T, 0.0, atol=1e-12)
    assert ((code != 0).sum(axis=1) == s + 1).all()
    parts = np.random.default_rng(2).standard_normal((m, 4))
    for late in combinations(range(m), s):
        times = np.isin(np.arange(m), late).astype(float)
        factors = GradientDecoding()(draws, times)
        assert not factors[list(late)].any()
        np.testing.assert_allclose(factors @ code @ parts, parts.sum(axis=0), rtol=1e-9, atol=1e-9)


def by_solving(draws: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Factors of one worker a part fewer than there are: a square system, where least squares take all."""
    code = GradientCode()(draws.astype(np.float64))
    there = np.argsort(times, kind="stable")[: len(times) - len(draws)]
    factors = np.zeros(len(times))
    factors[there] = np.linalg.pinv(code[there].T, rcond=1e-12) @ np.ones(len(times))
    return factors.astype(draws.dtype)


def test_decodings_are_judged_by_what_is_left() -> None:
    random = np.random.default_rng(3)
    cases = refgrad.Cases(
        [
            {"draws": random.standard_normal((2, 5)).astype(np.float32), "times": random.random(6).astype(np.float32)}
            for _ in range(5)
        ]
    )
    right = refgrad.verify(by_solving, GradientDecoding(), inputs=cases, explain=False)
    assert right.conforms, str(right)
    for wrong in (
        lambda draws, times: np.ones_like(times),  # as if nothing were coded
        lambda draws, times: by_solving(draws, times[::-1].copy()),  # other workers are waited for
    ):
        verdict = refgrad.verify(wrong, GradientDecoding(), inputs=cases, explain=False, shrink=False)
        assert verdict.outcome == "does not conform"


def test_selective_repeat_decodes_bursts_in_time() -> None:
    """B = 1, W = 2, lambda = 2, so that s = ceil(B lambda / (W - 1 + B)) = 1: every pattern of the model, of four workers."""
    rounds, workers = 3, 4
    for bits in product([False, True], repeat=rounds * workers):
        straggles = np.array(bits).reshape(rounds, workers)
        pairs = [straggles[r : r + 2] for r in range(rounds - 1)]
        if any(p.any(axis=0).sum() > 2 or p.all(axis=0).any() for p in pairs):
            continue  # more than two workers straggle in two rounds, or one in both
        found = selective_repeat(np.vstack([straggles, np.zeros((1, workers), bool)]), 1, 1)
        assert all(each is not None and each <= job + 1 for job, each in enumerate(found)), straggles
    assert selective_repeat(np.zeros((3, 4), bool), 1, 1) == [0, 1, 2]


def test_multiplexed_repeats_decode_bursts_in_time() -> None:
    """B = 1, W = 2, T = 1: every pattern of the model of three workers, of one and of two that straggle in a window."""
    rounds, workers = 4, 3
    for bits, stragglers in product(product([False, True], repeat=rounds * workers), (1, 2)):
        straggles = np.array(bits).reshape(rounds, workers)
        pairs = [straggles[r : r + 2] for r in range(rounds - 1)]
        if any(p.any(axis=0).sum() > stragglers or p.all(axis=0).any() for p in pairs):
            continue
        found = multiplexed_repeat(straggles, 1, 2, stragglers)
        assert found == [job + 1 if job + 1 < rounds else None for job in range(rounds)], straggles
    none = np.zeros((6, 3), bool)
    assert multiplexed_repeat(none, 2, 3, 0) == [3, 4, 5, None, None, None]  # T = W - 2 + B
    twice = none.copy()
    twice[:3, 0] = True  # a burst that is longer than B
    assert multiplexed_repeat(twice, 2, 3, 1)[0] is None


def test_the_shares_of_slots_cover_a_job() -> None:
    for m, b, w, lam in ((4, 1, 2, 1), (8, 2, 3, 3), (6, 1, 4, 0)):
        plain, coded = multiplexed_load(m, b, w, lam)
        assert m * (w - 1) * plain + m * b * coded == pytest.approx(1.0)
        whole = (w - 1) * plain + b * (lam + 1) * coded
        assert whole == pytest.approx((lam + 1) * (w - 1 + b) / (m * (b + (w - 1) * (lam + 1))))
