"""Judging one step beside evaluating the rule in float64 NumPy: ``pytest tests/benchmarks --benchmark-only``."""

from __future__ import annotations

from typing import Any

import pytest

from tests.benchmarks.judging import evaluate, judge_step, screen_step

SIZE = 1_000_000


@pytest.mark.benchmark(group="one step of AdamW on 1e6 elements")
def test_evaluate_in_float64(benchmark: Any) -> None:
    benchmark(evaluate(SIZE))


@pytest.mark.benchmark(group="one step of AdamW on 1e6 elements")
def test_judge(benchmark: Any) -> None:
    benchmark(judge_step(SIZE))


@pytest.mark.benchmark(group="one step of AdamW on 1e6 elements")
def test_judge_by_a_kernel(benchmark: Any) -> None:
    benchmark(screen_step(SIZE))
