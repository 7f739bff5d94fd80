"""An audit of files beside judging the same step in memory: ``pytest tests/benchmarks/test_audits.py --benchmark-only``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.audits import recorded, safetensors_file
from refgrad.audits.naming import Names
from refgrad.optimizers import AdamW
from refgrad.oracle.acceptance import screening
from refgrad.oracle.acceptance.policy import Policy

SIZE = 10_000_000
RULE = AdamW()
GROUP = f"an audit of AdamW on {SIZE:.0e} elements, seconds of processor time"


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, rng = tmp_path_factory.mktemp("audit"), np.random.default_rng(0)
    p, g, m, v = (rng.standard_normal(SIZE, np.float32) for _ in range(4))
    before: dict[str, Any] = {"m": m * np.float32(0.1), "v": v * v * np.float32(0.1), "t": 9}
    new, after = RULE.step(p, g, before)
    found = {moment: folder / f"{moment}.safetensors" for moment in ("before", "after", "grads")}
    for moment, w, state in (("before", p, before), ("after", new, after)):
        arrays = {"w": w, "state/w/m": state["m"], "state/w/v": state["v"], "state/w/step": np.float64(state["t"])}
        safetensors_file.write(str(found[moment]), {n: np.asarray(a) for n, a in arrays.items()})
    safetensors_file.write(str(found["grads"]), {"w": g})
    return found


@pytest.fixture(scope="module")
def step(paths: dict[str, Path]) -> Any:
    """The step in memory, after the kernel was compiled."""
    moments = recorded.read(paths["before"], paths["after"], paths["grads"], RULE, Names())
    (leaf,) = recorded.put_together(moments, RULE, Names(), None).leaves
    found = leaf.step((0, SIZE))
    screening.screened(found, Policy())
    return found


@pytest.mark.benchmark(group=GROUP, timer=time.process_time)
def test_audit(benchmark: Any, step: Any, paths: dict[str, Path]) -> None:
    assert benchmark(refgrad.audit, RULE, **paths).conforms


@pytest.mark.benchmark(group=GROUP, timer=time.process_time)
def test_judge_in_memory(benchmark: Any, step: Any) -> None:
    benchmark(screening.screened, step, Policy())
