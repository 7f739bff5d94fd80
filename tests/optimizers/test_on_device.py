"""Steps on arrays of CuPy's: real arrays of the package, in the host's memory, with kernels emulated; no driver is asked."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from refgrad.backends.cuda import cupy_device
from refgrad.backends.source import KernelSource
from refgrad.errors import ArgumentError
from refgrad.optimizers import CAME, LAMB, SGD, AdamW, Optimizer
from tests.backends.cuda.conftest import needs_compiler

cupy = pytest.importorskip("cupy", reason="CuPy is not installed (tox -e cuda has it)")
cupy_on_host = pytest.importorskip("tests.backends.cuda.cupy_on_host")
on_host, seen = cupy_on_host.on_host, cupy_on_host.seen


@pytest.fixture
def on_emulated(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return cupy_on_host.installed(monkeypatch, tmp_path_factory)


def arrays(dtype: Any, shape: tuple[int, ...] = (7, 31)) -> list[np.ndarray]:
    random = np.random.default_rng(5)
    return [random.standard_normal(shape).astype(dtype) for _ in range(3)]


@needs_compiler
@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16, np.float64])
@pytest.mark.parametrize("rule", [AdamW(weight_decay=0.1), LAMB(), CAME()], ids=lambda rule: type(rule).__name__)
def test_cupy_arrays_in_give_cupy_arrays_out(rule: Optimizer, dtype: Any, on_emulated: Any) -> None:
    p, *grads = arrays(dtype)
    q, state, other = on_host(p), rule.init(p, state_dtype=dtype), rule.init(on_host(p))
    assert isinstance(next(v for v in other.values() if v is not other["t"]), cupy.ndarray)
    for g in grads:
        p, state = rule.step(p, g, state, backend="numpy")
        q, other = rule.step(q, on_host(g), other)
    assert type(q) is cupy.ndarray
    assert seen(q).tobytes() == p.tobytes()
    assert other["t"] == state["t"] == 2
    for name in rule.slots():
        assert seen(other[name]).tobytes() == state[name].tobytes(), name


@needs_compiler
def test_a_tree_in_place_and_what_is_handed_in_is_left_alone(on_emulated: Any) -> None:
    rule, (p, g, _) = SGD(momentum=0.9), arrays(np.float32)
    tree, grads = {"w": on_host(p.copy()), "b": [on_host(p[0].copy())]}, {"w": on_host(g), "b": [on_host(g[0])]}
    state = rule.init(tree)
    new, _ = rule.step(tree, grads, state)
    assert seen(tree["w"]).tobytes() == p.tobytes()
    rule.step_(tree, grads, state)
    assert seen(tree["w"]).tobytes() == seen(new["w"]).tobytes()
    assert seen(tree["b"][0]).tobytes() == rule.step(p[0], g[0], rule.init(p[0]))[0].tobytes()
    assert state["t"] == 1


@needs_compiler
@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
def test_many_tensors_are_one_launch(dtype: Any, on_emulated: Any) -> None:
    rule, random = AdamW(weight_decay=0.1), np.random.default_rng(1)
    sizes = [1, 3, 4095, 4096, 4097, 10000, 0, 255, 7]
    p = {str(n): random.standard_normal(n).astype(dtype) for n in sizes}
    g = {name: random.standard_normal(a.shape).astype(dtype) for name, a in p.items()}
    q, h = ({name: on_host(a) for name, a in tree.items()} for tree in (p, g))
    state, other = rule.init(p), rule.init(q)
    before = on_emulated.emulated.launches
    for _ in range(2):
        p, state = rule.step(p, g, state)
        q, other = rule.step(q, h, other)
    assert on_emulated.emulated.launches == before + 2
    for name in p:
        assert seen(q[name]).tobytes() == p[name].tobytes(), name
        assert seen(other["v"][name]).tobytes() == state["v"][name].tobytes(), name


@needs_compiler
def test_strides_are_read_and_not_written(on_emulated: Any) -> None:
    rule, (p, g, _) = SGD(lr=0.1), arrays(np.float32, (6, 6))
    q = on_host(p.copy())
    rule.step_(q, on_host(g).T, rule.init(q))
    assert seen(q).tobytes() == rule.step(p, g.T, rule.init(p))[0].tobytes()
    with pytest.raises(ArgumentError, match="p is not contiguous; legal: a contiguous array, or the pure `step`"):
        rule.step_(q.T, q.T, rule.init(q))


def test_what_does_not_fit_is_one_sentence(on_emulated: Any) -> None:
    p, g, _ = (on_host(each) for each in arrays(np.float32))
    rule = SGD(momentum=0.9)
    state = rule.init(p)
    for arguments, sentence in [
        ((p, np.ones((7, 31), np.float32)), "g is an ndarray; legal: an array on the device of the parameter"),
        ((p, g[:3]), r"g.shape is \(3, 31\)"),
        ((p, p), "share memory; legal: separate arrays"),
        ((p, on_host(np.ones((7, 31), np.int32))), "g.dtype is 'int32'"),
    ]:
        with pytest.raises(ArgumentError, match=sentence):
            rule.step_(*arguments, state)
    with pytest.raises(ArgumentError, match="state has no 'buffer'"):
        rule.step(p, g, {"t": 0})
    assert state["t"] == 0


def test_steps_are_not_captured_in_a_graph() -> None:
    class Capturing:
        def is_capturing(self) -> bool:
            return True

    source = KernelSource("", (), 0, np.dtype(np.float32))
    with pytest.raises(
        ArgumentError, match="captures a graph, which would repeat the numbers of this step; legal: steps"
    ):
        cupy_device.CupyDevice().launch(source, 1, 1, [1], Capturing())
