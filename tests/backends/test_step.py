"""What `step` and `step_` accept, refuse, and leave alone."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

from refgrad import ArgumentError
from refgrad.optimizers import LBFGS, AdamW
from refgrad.optimizers.base import Optimizer
from refgrad.optimizers.leaf import overlaps_itself

RULE = AdamW(lr=0.1)


def make(dtype: object = np.float32, shape: tuple[int, ...] = (4, 6)) -> tuple[np.ndarray, np.ndarray, dict]:
    random = np.random.default_rng(0)
    p, g = (random.standard_normal(shape).astype(dtype) for _ in range(2))
    return p, g, RULE.init(p)


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16, ml_dtypes.float8_e4m3fn, np.float32])
def test_narrow_dtypes_are_widened_and_rounded_once(dtype: object) -> None:
    p, g, state = make(dtype)
    new, after = RULE.step(p, g, state)
    wide = {n: np.asarray(v, np.float32) if n != "t" else v for n, v in state.items()}
    exact, wide_after = RULE.step(p.astype(np.float32), g.astype(np.float32), wide, backend="numpy")
    assert new.dtype == p.dtype
    assert new.tobytes() == exact.astype(dtype).tobytes()
    assert after["v"].tobytes() == wide_after["v"].astype(dtype).tobytes()


def test_pytrees_strides_and_read_only_gradients() -> None:
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    p = {"a": base[::2, ::3].copy(order="F"), "b": [base.copy(), np.float32(2.0) * np.ones(())]}
    g = {"a": np.asfortranarray(base[1::2, 1::3]), "b": [base[::-1], np.ones((), np.float32)]}
    p["b"][1] = np.asarray(p["b"][1], np.float32)
    base.setflags(write=False)
    state = RULE.init(p)
    pure, pure_state = RULE.step(p, g, state)
    RULE.step_(p, g, state)
    assert pure["a"].tobytes() == p["a"].copy(order="C").tobytes()
    assert pure["b"][0].tobytes() == p["b"][0].tobytes()
    assert pure_state["t"] == state["t"] == 1
    assert pure_state["v"]["b"][1] == state["v"]["b"][1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p, g, s: (p, g[:2], s), r"g.shape is \(2, 6\); legal: \(4, 6\)"),
        (lambda p, g, s: (p, g.astype(np.float64), s), "g.dtype is 'float64'; legal: float32 or narrower"),
        (lambda p, g, s: (p, g.astype(np.int32), s), "g.dtype is 'int32'; legal: a float dtype"),
        (lambda p, g, s: (p, g.tolist(), s), "g is a list; legal: a NumPy array"),
        (lambda p, g, s: (p, g, {"t": 0, "m": s["m"]}), "state has no 'v'"),
        (lambda p, g, s: (p, p, s), "p and g share memory"),
        (lambda p, g, s: (as_strided(p, p.shape, (0, 4)), g, s), "p has elements that share memory, in steps of"),
        (lambda p, g, s: (as_strided(p, p.shape, (8, 4)), g, s), "p has elements that share memory, in steps of"),
        (lambda p, g, s: (p, g, {**s, "m": as_strided(p.copy(), p.shape, (0, 4))}), "m has elements that share memory"),
        (lambda p, g, s: (p, g, {**s, "v": s["m"]}), "m and v share memory"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(change: object, message: str) -> None:
    p, g, state = change(*make())  # type: ignore[operator]
    before = [np.array(x, copy=True) for x in (p, state["m"])]
    with pytest.raises(ArgumentError, match=message):
        RULE.step_(p, g, state)
    assert np.array_equal(p, before[0])
    assert np.array_equal(state["m"], before[1])
    assert state["t"] == 0


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        (lambda x: ({"a": x, "b": x}, None), r"p\['a'\] and p\['b'\]"),
        (lambda x: ({"a": x[:3], "b": x[2:]}, None), r"p\['a'\] and p\['b'\]"),
        (lambda x: ({"a": x[1::2], "b": x[2:]}, None), r"p\['a'\] and p\['b'\]"),
        (lambda x: ({"a": x[:2], "b": x[2:4]}, {"a": x[4:6], "b": x[1:3]}), r"p\['a'\] and g\['b'\]"),
    ],
)
@pytest.mark.parametrize("rule", [AdamW(), LBFGS()], ids=str)
def test_parameters_that_share_memory_are_refused_in_place(rule: Optimizer, cut: Any, message: str) -> None:
    """One would be stepped twice, or read after it was written."""
    x = np.arange(6.0)
    p, g = cut(x)
    g = g or {name: np.ones_like(a) for name, a in p.items()}
    state = rule.init(p)
    with pytest.raises(ArgumentError, match=f"{message} share memory"):
        rule.step_(p, g, state)
    assert x.tolist() == list(range(6))
    assert state["t"] == 0


def test_a_gradient_that_overlaps_itself_is_read() -> None:
    p, _, state = make()
    g = np.broadcast_to(np.float32(0.5), p.shape)
    wanted, _ = RULE.step(p, g.copy(), state)
    RULE.step_(p, g, state)
    assert p.tobytes() == wanted.tobytes()


def test_axes_that_interleave_without_sharing_an_element_are_no_overlap() -> None:
    x = np.zeros(6, np.float32)
    assert not overlaps_itself(as_strided(x, (2, 2), (8, 12)))
    assert overlaps_itself(as_strided(x, (3, 2), (8, 16)))
    assert overlaps_itself(as_strided(x, (3,), (2,)))
    assert not overlaps_itself(np.zeros((4, 6))[::-2, 1::3].T)
    assert not overlaps_itself(as_strided(x, (0, 3), (0, 0)))


def test_parts_of_one_array_are_stepped_in_place() -> None:
    x, g = np.arange(6.0), np.ones(6)
    p = {"a": x[::2], "b": x[1::2]}
    grads = {"a": g[:3], "b": g[1:4]}  # which are only read
    expected, _ = RULE.step(p, grads, RULE.init(p))
    RULE.step_(p, grads, RULE.init(p))
    assert x[::2].tobytes() == expected["a"].tobytes()
    assert x[1::2].tobytes() == expected["b"].tobytes()


def test_a_read_only_parameter_is_refused_in_place_and_fine_otherwise() -> None:
    p, g, state = make()
    p.setflags(write=False)
    with pytest.raises(ArgumentError, match="p is read-only"):
        RULE.step_(p, g, state)
    assert RULE.step(p, g, state)[0].flags.writeable


def test_an_unknown_backend_names_the_nearest() -> None:
    p, g, state = make()
    with pytest.raises(ArgumentError, match="did you mean 'numba'"):
        RULE.step(p, g, state, backend="nmba")
