"""What is timed: the call itself, on what, and how many bytes it has to move."""

from __future__ import annotations

import functools
import importlib.util
from typing import Any

import numpy as np
import pytest

from refgrad.errors import ArgumentError, CandidateError
from refgrad.estimators import ClippedSTE
from refgrad.examples import numpy_adamw
from refgrad.optimizers import SGD, AdaHessian, AdamW
from refgrad.quantizers import MX, Affine
from refgrad.rule import Rule
from refgrad.sparsity import Magnitude
from refgrad.testing.timed_calls import calls, workload

F32 = np.dtype(np.float32)
X = np.linspace(-1, 1, 64, dtype=np.float32)


@pytest.mark.parametrize(
    ("rule", "size", "dtype", "elements", "moved"),
    [
        (AdamW(), 100, "float32", 100, 2800),  # p, g, m, v are read, p, m, v written
        (SGD(lr=0.1, momentum=0.9), (5, 20), "float32", 100, 2000),
        (SGD(lr=0.1), np.int64(100), "float64", 100, 2400),
        (AdamW(), 100, "bfloat16", 100, 1400),
        (MX(), {"x": X}, "float32", 64, 64 * 4 + 64 + 2 + 64 * 4),  # x; codes, scales, y
        (Magnitude(sparsity=0.5), 64, "float32", 64, 64 * 4 + 64 + 64 * 4),  # w; the mask and the scores
    ],
    ids=lambda value: None if isinstance(value, dict) else str(value),
)
def test_the_bytes_that_any_program_moves(rule: Rule, size: Any, dtype: str, elements: int, moved: int) -> None:
    work = workload(rule, size, np.dtype(dtype))
    assert (work.elements, work.moved) == (elements, moved)


def test_how_tables_call_a_size() -> None:
    assert workload(AdamW(), 1_000_000, F32).label == "1,000,000"
    assert workload(AdamW(), (5, 20), F32).label == "5 x 20"


@pytest.mark.parametrize("size", [0, -1, True, 1.5, "1000", (), (3, 0), (3, "4"), None])
def test_what_is_no_size_is_named(size: Any) -> None:
    with pytest.raises(ArgumentError, match=r"^sizes is .*; legal: numbers of elements from 1, shapes"):
        workload(AdamW(), size, F32)


def test_arrays_that_a_rule_does_not_take_are_named() -> None:
    with pytest.raises(ArgumentError, match="legal: arrays by name: p, g"):
        workload(AdamW(), {"p": X}, F32)
    with pytest.raises(ArgumentError, match="legal: arrays by name: x, cotangent"):
        workload(ClippedSTE(), 64, F32)
    with pytest.raises(ArgumentError, match="a rule whose steps take gradients alone"):
        workload(AdaHessian(), 64, F32)


class Kept:
    """A candidate by the protocol alone, which has nothing that could be timed."""

    name, abilities = "kept", frozenset[str]()

    def start(self, rule: Any, params: Any) -> Any:
        return type("Run", (), {"step": lambda self, grads, extras={}: None})()


def test_what_cannot_be_timed_says_so() -> None:
    with pytest.raises(CandidateError, match="kept cannot be timed; legal: a function of arrays"):
        calls(Kept(), AdamW(), workload(AdamW(), 3, F32), {}, None)


def adamw_in_place(p: Any, g: Any, m: Any, v: Any, t: int, lr: float) -> None:
    p -= np.float32(lr) * g
    m += g
    v += g


@pytest.mark.parametrize("function", [numpy_adamw.adamw, adamw_in_place])
def test_a_call_is_one_step_of_a_function_and_nothing_else(function: Any) -> None:
    seen: list[Any] = []

    @functools.wraps(function)
    def counted(*args: Any, **named: Any) -> Any:
        seen.append(named)
        return function(*args, **named)

    first = calls(counted, AdamW(), workload(AdamW(), 8, F32), {}, None)[0]
    assert len(seen) == 1  # the first step
    first.call()
    first.call()
    assert len(seen) == 3
    assert {name: a.size for name, a in seen[-1].items() if name in "pgmv"} == dict.fromkeys("pgmv", 8)


@pytest.mark.parametrize("candidate", [AdamW(), "refgrad.optimizers:AdamW"])
def test_a_call_is_one_step_in_place_of_a_rule(candidate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []
    inner = AdamW.step_
    monkeypatch.setattr(
        AdamW, "step_", lambda self, p, g, state, **how: steps.append(inner(self, p, g, state, **how) or state["t"])
    )
    for call in calls(candidate, AdamW(), workload(AdamW(), 8, F32), {}, None)[:2]:
        steps.clear()
        call.call()
        call.call()
        assert steps == [2, 3]


def test_rules_without_state_are_asked() -> None:
    found = calls(lambda x: Affine().quantize(x).arrays, Affine(), workload(Affine(), {"x": X}, F32), {}, None)
    assert [call.who for call in found][:2] == ["candidate", "refgrad"]
    for call in found[:2]:
        call.call()


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
@pytest.mark.parametrize("form", [{"foreach": False}, {"fused": True}], ids=str)
def test_torch_is_timed_without_what_is_around_it(form: dict[str, bool]) -> None:
    import torch

    work = workload(SGD(lr=0.5), 4, F32)
    candidate, _, beside = calls(torch.optim.SGD, SGD(lr=0.5), work, form, None)[:3]
    assert isinstance(candidate.call.__self__, torch.optim.SGD)  # type: ignore[attr-defined]
    candidate.call()
    assert beside.who == "torch.optim.SGD(fused=True)"
    beside.call()


@pytest.mark.skipif(importlib.util.find_spec("optax") is None, reason="optax is not installed")
def test_optax_is_timed_compiled_and_waited_for() -> None:
    import jax
    import optax

    work = workload(SGD(lr=0.5), 4, F32)
    candidate = calls(optax.sgd, SGD(lr=0.5), work, {}, None)[0]
    params, _ = candidate.call()  # type: ignore[misc]
    (after,) = jax.tree.leaves(params)
    np.testing.assert_array_equal(after, (work.arrays["p"] - work.arrays["g"] / 2) - work.arrays["g"] / 2)


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        (SGD(lr=0.5), ["torch.optim.SGD(fused=True)", "optax.sgd"]),
        (AdamW(weight_decay=0.3), ["torch.optim.AdamW(fused=True)", "optax.adamw"]),
        (AdamW(eps_placement="inside"), []),
    ],
    ids=str,
)
def test_who_has_the_same_rule(rule: Any, wanted: list[str]) -> None:
    installed = [w for w in wanted if importlib.util.find_spec(w.partition(".")[0])]
    found = calls(rule, rule, workload(rule, 3, F32), {}, None)
    assert [call.who for call in found[2:]] == installed
