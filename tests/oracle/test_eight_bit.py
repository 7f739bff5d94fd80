"""Steps of optimizers with 8-bit state, written as a stranger would: the parameter given the codes, and the codes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from refgrad.errors import ArgumentError
from refgrad.optimizers import SGD, Adagrad, Adam, AdamW, Lion, RMSprop
from refgrad.oracle.eight_bit_step import judge_step
from refgrad.oracle.judge import OUTSIDE
from refgrad.quantizers import Quantized
from refgrad.quantizers.blockwise import Blockwise
from refgrad.quantizers.eight_bit import EightBit, PercentileClipping, stable_embedding

F = np.float32
SIGNED, UNSIGNED = (np.asarray(Blockwise(map=n).table(), F) for n in ("dynamic", "dynamic_unsigned"))


def opened(kept: Quantized, table: np.ndarray, block: int) -> np.ndarray:
    """A slot as numbers."""
    return table[kept.codes] * np.repeat(kept["absmax"], block)[: kept.codes.size].reshape(kept.shape)


def closed(x: np.ndarray, table: np.ndarray, block: int) -> Quantized:
    """Numbers as a slot, by a reciprocal and distances in float32."""
    flat = np.pad(x.ravel(), (0, -x.size % block)).reshape(-1, block)
    absmax = np.abs(flat).max(1)
    with np.errstate(all="ignore"):
        scaled = np.nan_to_num(flat * (F(1) / absmax[:, None]), nan=0.0)
    codes = np.searchsorted((table[1:] + table[:-1]) * F(0.5), scaled).astype(np.uint8)
    return Quantized({"absmax": absmax, "codes": codes.ravel()[: x.size].reshape(x.shape)}, x.shape, x.dtype)


def adamw8(
    p: np.ndarray,
    g: np.ndarray,
    state: dict[str, Any],
    *,
    block: int = 256,
    stale: bool = False,
    eps: float = 1e-8,
    swap: bool = False,
) -> tuple[np.ndarray, dict[str, Any]]:
    """AdamW in another order of operations than the rule's."""
    t = state["t"] + 1
    m, v = opened(state["m"], SIGNED, block), opened(state["v"], UNSIGNED, block)
    m = m + F(0.1) * (g - m)
    v = F(0.999) * v + (g * g) * F(1 - 0.999)
    used_m, used_v = (opened(closed(m, SIGNED, block), SIGNED, block), v) if stale else (m, v)
    root = np.sqrt(used_v) * F(1 / np.sqrt(1 - 0.999**t)) + F(eps)
    p = p * F(1 - 1e-3 * 1e-2) - (used_m / root) * F(1e-3 / (1 - 0.9**t))
    tables = (UNSIGNED, SIGNED) if swap else (SIGNED, UNSIGNED)
    return p.astype(F), {"t": t, "m": closed(m, tables[0], block), "v": closed(v, tables[1], block)}


def run(step: Callable[..., Any], steps: int = 4, **options: Any) -> dict[str, int]:
    """How many elements of each tensor are outside over some steps, each from the candidate's own state."""
    block = 256
    rule = EightBit(AdamW(), Blockwise(block_size=block), Blockwise(map="dynamic_unsigned", block_size=block), 1)
    random = np.random.default_rng(0)
    p = random.standard_normal((30, 41)).astype(F)
    state, outside = rule.init(p), {}
    for _ in range(steps):
        g = (random.standard_normal(p.shape) * np.exp(random.standard_normal(p.shape))).astype(F)
        new_p, after = step(p, g, state, **options)
        for name, judged in judge_step(rule, p, g, state, new_p, after).items():
            outside[name] = outside.get(name, 0) + int((judged.status == OUTSIDE).sum())
        p, state = new_p, after
    return outside


def test_another_program_is_right_though_some_of_its_codes_are_not_the_same() -> None:
    assert run(adamw8) == {"p": 0, "m.absmax": 0, "m.codes": 0, "v.absmax": 0, "v.codes": 0}


@pytest.mark.parametrize(
    ("options", "wrong"),
    [({"stale": True}, "p"), ({"eps": 1e-6}, "p"), ({"swap": True}, "m.codes")],
    ids=str,
)
def test_wrong_programs_are_rejected(options: dict[str, Any], wrong: str) -> None:
    outside = run(adamw8, 1 if wrong == "m.codes" else 4, **options)
    assert outside[wrong] > 0
    assert next(name for name, count in outside.items() if count) == wrong


RULES = [Adam(), AdamW(), SGD(momentum=0.9), RMSprop(), Adagrad(), Lion()]


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_wrapped_rule_is_itself(rule: Any, dtype: type) -> None:
    eight = EightBit(rule, min_8bit_size=1)
    random = np.random.default_rng(1)
    p = random.standard_normal(5000).astype(dtype)
    state = eight.init(p)
    for _ in range(3):
        g = random.standard_normal(5000).astype(dtype)
        new_p, after = eight.step(p, g, state)
        judged = judge_step(eight, p, g, state, new_p, after)
        assert {"p"} < set(judged)
        assert not any((j.status == OUTSIDE).any() for j in judged.values())
        float_p, _ = rule.step(p, g, eight.opened(state))
        assert np.array_equal(new_p, float_p)
        p, state = new_p, after


def test_small_parameters_keep_their_state() -> None:
    eight = EightBit(Adam(), min_8bit_size=4096)
    small, large = np.zeros(4095, F), np.zeros(4096, F)
    assert isinstance(eight.init(small)["m"], np.ndarray)
    assert isinstance(eight.init(large)["m"], Quantized)
    p, state = eight.step(small, np.ones_like(small), eight.init(small))
    again, plain = Adam().step(small, np.ones_like(small), Adam().init(small))
    assert np.array_equal(p, again)
    assert np.array_equal(state["v"], plain["v"])
    with pytest.raises(ArgumentError, match="min_8bit_size"):
        EightBit(Adam(), min_8bit_size=-1)


def test_percentile_clipping() -> None:
    clip = PercentileClipping(percentile=50.0, length=4)
    history: tuple[float, ...] = ()
    for norm, expected in ((1.0, 1.0), (3.0, 3.0), (2.0, 2.0), (8.0, 3.0), (4.0, 4.0), (1.0, 1.0)):
        g, history = clip(np.asarray([norm, 0.0]), history)
        assert g[0] == expected
    assert history == (2.0, 8.0, 4.0, 1.0)
    with pytest.raises(ArgumentError, match="percentile"):
        PercentileClipping(percentile=101)


def test_stable_embedding_is_an_embedding_and_a_layer_norm() -> None:
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(2)
    weight, gain, bias = random.standard_normal((11, 8)), random.standard_normal(8), random.standard_normal(8)
    indices = random.integers(0, 11, (3, 4))
    ours = stable_embedding(weight, indices, gain, bias)
    rows = torch.nn.functional.embedding(torch.from_numpy(indices), torch.from_numpy(weight))
    theirs = torch.nn.functional.layer_norm(rows, (8,), torch.from_numpy(gain), torch.from_numpy(bias), 1e-5).numpy()
    magnitude = np.abs(gain) * 3 + np.abs(bias)  # of eight numbers none lies more than sqrt(7) deviations away
    assert (np.abs(ours - theirs) <= 40 * 2.0**-53 * magnitude).all()
    with pytest.raises(ArgumentError, match="integers from 0 to 10"):
        stable_embedding(weight, np.asarray([11]), gain, bias)
