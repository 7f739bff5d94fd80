"""What holds for block formats: the same bits compiled, storage without loss, symmetries, and bad input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from refgrad import backends
from refgrad.errors import ArgumentError
from refgrad.quantizers import gguf
from refgrad.quantizers.gguf import searches
from refgrad.quantizers.gguf.blocks import BlockFormat
from tests.depth import examples

RULES: list[BlockFormat] = [getattr(gguf, name)() for name in gguf.__all__ if name != "BlockFormat"]
RULES.append(gguf.IQ4_NL(tries="none"))
BY_NAME = {type(rule).__name__: rule for rule in RULES}
SYMMETRIC = [BY_NAME[n] for n in ("Q4_0", "Q5_0", "Q8_0", "Q6_K", "IQ4_NL", "TQ1_0", "TQ2_0")]
#: formats that give the same bytes again for what they decoded, on ordinary data
IDEMPOTENT = [BY_NAME[n] for n in ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "TQ1_0", "TQ2_0")]

adversarial = st.one_of(
    st.floats(width=32, allow_nan=False, allow_infinity=False),
    st.floats(-8, 8, width=32),
    st.integers(-16, 16).map(float),
    st.sampled_from([0.0, -0.0, 2.0**-149, 1e-15, -1e-15, 1e-20, 3e38, 65504.0]),
)


def normal(rule: BlockFormat, blocks: int = 40) -> np.ndarray:
    return np.random.default_rng(11).standard_normal((blocks, rule.block)).astype(np.float32)


def stored(rule: BlockFormat, x: np.ndarray) -> np.ndarray:
    return rule.pack(rule.quantize(x))


def alike(a: np.ndarray, b: np.ndarray) -> bool:
    """The same bits, any NaN being like any other."""
    return bool(np.all((a.view(np.uint32) == b.view(np.uint32)) | (np.isnan(a) & np.isnan(b))))


@pytest.mark.slow
@pytest.mark.sample(quick=1, suite=5)
@pytest.mark.parametrize("rule", RULES, ids=str)
@examples(20)
@given(data=st.data())
def test_compiled_and_not_the_bits_are_the_same(rule: BlockFormat, data: st.DataObject) -> None:
    x = data.draw(hnp.arrays(np.float32, (2, rule.block), elements=adversarial, fill=st.just(0.0) | adversarial))
    found = []
    for threshold in (0, 10**9):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(backends, "WORTH_COMPILING", threshold)
            with np.errstate(all="ignore"):
                data_bytes = stored(rule, x)
            found.append((data_bytes, rule.dequantize(rule.unpack(data_bytes))))
    assert np.array_equal(found[0][0], found[1][0])
    assert alike(found[0][1], found[1][1])


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_unpacking_undoes_packing(rule: BlockFormat) -> None:
    random = np.random.default_rng(2)
    quantized = rule.quantize(normal(rule))
    back = rule.unpack(rule.pack(quantized))
    assert back.shape == quantized.shape
    for part in rule.parts:
        assert np.array_equal(back[part], quantized[part])
    if "TQ" not in str(rule):  # any byte but those that no five trits make
        data = random.integers(0, 256, (7, 3 * rule.layout.size), dtype=np.uint8)
        assert np.array_equal(rule.pack(rule.unpack(data)), data)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_every_bit_of_a_block_is_spoken_for(rule: BlockFormat) -> None:
    """No two pieces share a bit and none is left over."""
    ones = {n: np.full((1, k), 255, np.uint8) if k else np.zeros(1, np.float16) for n, k in rule.layout.lengths.items()}
    halves = sum(2 for k in rule.layout.lengths.values() if not k)
    trits = 52 if type(rule) is gguf.TQ1_0 else 0
    bits = sum(int(row[1] * row[4]) for table in rule.layout.tables.values() for row in table)
    assert bits + 8 * (halves + trits) == 8 * rule.layout.size
    if not trits:
        assert int(np.unpackbits(rule.layout.pack(ones)).sum()) == bits


@pytest.mark.sample(quick=2, suite=4)
@pytest.mark.parametrize("rule", SYMMETRIC, ids=str)
@examples(20)
@given(data=st.data())
def test_sign_symmetry(rule: BlockFormat, data: st.DataObject) -> None:
    x = data.draw(hnp.arrays(np.float32, rule.block, elements=adversarial))
    one, other = rule.round_trip(x), rule.round_trip(-x)
    assert np.all((one == -other) | (np.isnan(one) & np.isnan(other)))


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("factor", [4.0, 0.25])
def test_powers_of_two_go_through(rule: BlockFormat, factor: float) -> None:
    x = 64 * normal(rule)
    assert np.array_equal(rule.round_trip(x * np.float32(factor)), rule.round_trip(x) * np.float32(factor))


@pytest.mark.parametrize("rule", IDEMPOTENT, ids=str)
def test_again_the_same_bytes(rule: BlockFormat) -> None:
    x = normal(rule)
    assert np.array_equal(stored(rule, rule.round_trip(x)), stored(rule, x))


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_blocks_do_not_see_each_other(rule: BlockFormat) -> None:
    x = normal(rule, 6)
    order = [4, 0, 5, 2, 1, 3]
    assert np.array_equal(stored(rule, x[order]), stored(rule, x)[order])


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_block_that_is_not_finite_is_nan_and_no_other(rule: BlockFormat, bad: float) -> None:
    x = normal(rule, 3)
    clean = rule.round_trip(x)
    x[1, 5] = bad
    poisoned = rule.round_trip(x)
    assert np.isnan(poisoned[1]).all()
    assert np.array_equal(poisoned[[0, 2]], clean[[0, 2]])


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_zeros_stay_zeros(rule: BlockFormat, zero: float) -> None:
    values = rule.round_trip(np.full(rule.block, zero, np.float32))
    assert not values.any()
    assert np.signbit(values).all() == (type(rule).__name__ in ("Q4_0", "Q5_0", "Q6_K"))


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_dtypes_are_read_as_float32(rule: BlockFormat, dtype: Any) -> None:
    x = normal(rule, 2).astype(dtype)
    assert np.array_equal(stored(rule, x), stored(rule, x.astype(np.float32)))
    assert rule.round_trip(x).dtype == dtype


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_views_and_empty_arrays(rule: BlockFormat) -> None:
    x = normal(rule, 4)
    view = np.concatenate([x, x], axis=0)[::2]
    view.flags.writeable = False
    assert np.array_equal(stored(rule, view), stored(rule, view.copy()))
    assert rule.round_trip(np.zeros((0, rule.block), np.float32)).shape == (0, rule.block)
    assert stored(rule, np.zeros((3, 0), np.float32)).shape == (3, 0)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_what_is_no_whole_block_is_refused(rule: BlockFormat) -> None:
    calls: list[tuple[str, Callable[[], object]]] = [
        ("x.shape", lambda: rule.quantize(np.zeros(rule.block + 1, np.float32))),
        ("x.shape", lambda: rule.quantize(np.float32(1.0))),  # type: ignore[arg-type]
        ("x.dtype", lambda: rule.quantize(np.zeros(rule.block, np.int32))),
        ("data.shape", lambda: rule.unpack(np.zeros(rule.layout.size + 1, np.uint8))),
        ("data.dtype", lambda: rule.unpack(np.zeros(rule.layout.size, np.int8))),
    ]
    for name, call in calls:
        with pytest.raises(ArgumentError, match=name):
            call()


@examples(200)
@given(x=st.floats(-(2.0**21), 2.0**21, width=32))
def test_nearest_integer_is_ties_to_even(x: float) -> None:
    assert searches.nearest_integer(np.float32([x]))[0] == round(x)


@examples(200)
@given(x=st.floats(-(2.0**24), 2.0**24, width=32))
def test_half_away_is_exact(x: float) -> None:
    found = float(searches.half_away(np.float32([x]))[0])
    assert abs(found - x) <= 0.5
    assert found == int(found)
    if abs(found - x) == 0.5:
        assert abs(found) > abs(x)
