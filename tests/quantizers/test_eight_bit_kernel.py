"""A step with 8-bit states as one kernel: the bits of its three pieces, of each leaf, and nothing where it does not fit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from refgrad import backends
from refgrad.errors import ArgumentError
from refgrad.optimizers import LAMB, SGD, AdamW, RAdam
from refgrad.quantizers import MX, Affine, Blockwise, EightBit, Quantized

F = np.float32
BLOCKS = Blockwise(block_size=128)
BY_AUTHORS = Blockwise(map="bitsandbytes", block_size=128, normalize="reciprocal", ties="bitsandbytes")
RULES = [
    EightBit(AdamW(), BLOCKS, BLOCKS.replace(map="dynamic_unsigned"), 1),
    EightBit(
        RAdam(), BLOCKS, BLOCKS.replace(map="dynamic_unsigned"), 1
    ),  # whose branch is another one at the sixth step
    EightBit(SGD(momentum=0.9), BY_AUTHORS, BY_AUTHORS, 1),
]


@pytest.fixture(autouse=True)
def every_array_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrays of these tests count as long enough for kernels."""
    monkeypatch.setattr(backends, "WORTH_COMPILING", 0)


def numbers(shape: tuple[int, ...], seed: int, dtype: Any = F) -> np.ndarray:
    """Many magnitudes, a block of zeros, and one with a NaN and an infinity."""
    random = np.random.default_rng(seed)
    x = random.standard_normal(shape) * np.exp(3 * random.standard_normal(shape))
    flat = x.reshape(-1)
    flat[128:256] = 0
    flat[300:400:50] = [np.nan, np.inf]
    return x.astype(dtype)


def told(thing: Any) -> Any:
    """A step's result as bytes."""
    if isinstance(thing, Quantized):
        return thing.shape, str(thing.dtype), {name: told(array) for name, array in thing.arrays.items()}
    return (str(thing.dtype), thing.shape, thing.tobytes()) if isinstance(thing, np.ndarray) else thing


def steps(rule: EightBit, shape: tuple[int, ...], count: int, dtype: Any = F) -> Iterator[tuple[Any, Any]]:
    """What the kernel gives at each step, and what the three pieces do."""
    p = numbers(shape, 0, dtype)
    state = rule.init(p)
    for t in range(count):
        g = numbers(shape, t + 1, dtype)
        found, wanted = rule._by_kernel(p, g, state), rule._next(p, g, state)
        yield found, wanted
        p, state = wanted


@pytest.mark.slow
@pytest.mark.sample(quick=2, suite=3)
@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("shape", [(1000,), (8, 4, 32)], ids=str)  # the first has a short block at its end
def test_the_bits_are_those_of_three_pieces(rule: EightBit, shape: tuple[int, ...]) -> None:
    for found, wanted in steps(rule, shape, 7 if isinstance(rule.rule, RAdam) else 3):
        assert found is not None
        assert told(found[0]) == told(wanted[0])
        assert {n: told(v) for n, v in found[1].items()} == {n: told(v) for n, v in wanted[1].items()}
        assert list(found[1]) == list(wanted[1])


def test_a_narrow_parameter_is_rounded_once() -> None:
    for found, wanted in steps(RULES[0], (1000,), 2, ml_dtypes.bfloat16):
        assert found is not None
        assert told(found[0]) == told(wanted[0])


@pytest.mark.parametrize(
    "rule",
    [
        EightBit(LAMB(), BLOCKS, BLOCKS, 1),  # norms of the parameter
        EightBit(AdamW(), BLOCKS, BLOCKS.replace(block_size=64), 1),
        EightBit(AdamW(), BLOCKS.replace(search="grid"), BLOCKS, 1),  # which no kernel has
        EightBit(AdamW(), BLOCKS.replace(nested=True), BLOCKS, 1),
        EightBit(AdamW(), Affine(granularity="channel"), BLOCKS, 1),
        EightBit(AdamW(), MX(), MX(), 1),
        EightBit(AdamW(scalars="float32"), BLOCKS, BLOCKS, 1),
        EightBit(AdamW(), BLOCKS, BLOCKS, 4096),
    ],
    ids=str,
)
def test_what_is_not_made_of_blocks_alone_is_left_to_three_pieces(rule: EightBit) -> None:
    assert all(found is None for found, _ in steps(rule, (1000,), 1))


@pytest.mark.slow
def test_arrays_that_do_not_fit_are_left_to_three_pieces_and_their_checks() -> None:
    rule, p = RULES[0], numbers((1000,), 0)
    state = rule.init(p)
    assert all(found is None for found, _ in steps(rule, (1000,), 1, np.float64))
    m = state["m"]
    wrong = Quantized({"absmax": m["absmax"], "codes": m.codes.astype(np.int64)}, m.shape, m.dtype)
    assert rule._by_kernel(p, p, {**state, "m": wrong}) is None
    assert told(rule.step(p, p, {**state, "m": wrong})[0]) == told(rule.step(p, p, state)[0])
    with pytest.raises(ArgumentError, match=r"g\.shape"):
        rule.step(p, p[:-1], state)
    with pytest.raises(ArgumentError, match="has no 'v'"):
        rule.step(p, p, {name: state[name] for name in ("t", "m")})


def test_a_tree_is_stepped_leaf_by_leaf() -> None:
    rule = RULES[0].replace(min_8bit_size=500)
    p = {"w": numbers((10, 100), 0), "b": [numbers((450,), 1)]}
    g = {"b": [numbers((450,), 2)], "w": numbers((10, 100), 3)}
    state = rule.init(p)
    assert list(state) == ["t", "m", "v"]
    new, after = rule.step(p, g, state)
    assert after["t"] == 1
    for leaf, grad, found, m in (
        (p["w"], g["w"], new["w"], after["m"]["w"]),
        (p["b"][0], g["b"][0], new["b"][0], after["m"]["b"][0]),
    ):
        wanted, alone = rule.step(leaf, grad, rule.init(leaf))
        assert told(found) == told(wanted)
        assert told(m) == told(alone["m"])
    assert isinstance(after["m"]["w"], Quantized)
    assert isinstance(after["m"]["b"][0], np.ndarray)
    with pytest.raises(ArgumentError, match="state has no 'v'"):
        rule.step(p, g, {name: state[name] for name in ("t", "m")})
    with pytest.raises(ArgumentError, match=r"legal: a dict with keys"):
        rule.step(p, {"w": p["w"]}, state)
