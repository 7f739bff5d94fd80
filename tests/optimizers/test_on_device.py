"""Steps on arrays of CuPy's: real arrays of the package, in the host's memory, with kernels emulated; no driver is asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from refgrad.backends.cuda import cupy_device
from refgrad.backends.source import KernelSource
from refgrad.errors import ArgumentError
from refgrad.optimizers import CAME, LAMB, SGD, AdamW, Muon, Optimizer
from tests.backends.cuda.conftest import needs_compiler
from tests.backends.cuda.devices import Emulated

cupy = pytest.importorskip("cupy", reason="CuPy is not installed (tox -e cuda has it)")


def on_host(array: np.ndarray) -> Any:
    """A CuPy array over the memory of a NumPy array."""
    array = np.ascontiguousarray(array).reshape(array.shape)
    memory = cupy.cuda.UnownedMemory(array.ctypes.data, max(array.nbytes, 1), array, 0)
    return cupy.ndarray(array.shape, array.dtype, cupy.cuda.MemoryPointer(memory, 0))


def back(array: Any) -> np.ndarray:
    """The NumPy array that such an array was made over."""
    return array.data.mem._owner


class EmulatedCupy(cupy_device.CupyDevice):
    """CuPy's device but for what needs a driver."""

    def __init__(self, folder: Path) -> None:
        self.emulated = Emulated(folder)

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Any:
        return on_host(np.empty(shape, dtype))

    def put(self, array: np.ndarray) -> Any:
        return on_host(array.copy())

    def copy(self, array: Any) -> Any:
        return on_host(seen(array).copy())

    def stream(self) -> None:
        return None

    def launch(self, source: KernelSource, blocks: int, threads: int, arguments: Sequence[float], stream: Any) -> None:
        self.emulated.launch(source, blocks, threads, arguments, stream)


def seen(array: Any) -> np.ndarray:
    """What a CuPy array over the host's memory shows, views of it included."""
    whole = back(array).reshape(-1).view(np.uint8)
    start = array.data.ptr - back(array).ctypes.data
    strided = np.lib.stride_tricks.as_strided
    first = whole[start : start + array.dtype.itemsize].view(array.dtype)
    return strided(first, array.shape, array.strides)


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EmulatedCupy:
    made = EmulatedCupy(tmp_path)
    monkeypatch.setattr(cupy_device, "device", lambda: made)
    return made


def arrays(dtype: Any, shape: tuple[int, ...] = (7, 31)) -> list[np.ndarray]:
    random = np.random.default_rng(5)
    return [random.standard_normal(shape).astype(dtype) for _ in range(3)]


@needs_compiler
@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16, np.float64])
@pytest.mark.parametrize("rule", [AdamW(weight_decay=0.1), LAMB(), CAME()], ids=lambda rule: type(rule).__name__)
def test_cupy_arrays_in_give_cupy_arrays_out(rule: Optimizer, dtype: Any, device: EmulatedCupy) -> None:
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
def test_a_tree_in_place_and_what_is_handed_in_is_left_alone(device: EmulatedCupy) -> None:
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
def test_strides_are_read_and_not_written(device: EmulatedCupy) -> None:
    rule, (p, g, _) = SGD(lr=0.1), arrays(np.float32, (6, 6))
    q = on_host(p.copy())
    rule.step_(q, on_host(g).T, rule.init(q))
    assert seen(q).tobytes() == rule.step(p, g.T, rule.init(p))[0].tobytes()
    with pytest.raises(ArgumentError, match="p is not contiguous; legal: a contiguous array, or the pure `step`"):
        rule.step_(q.T, q.T, rule.init(q))


def test_what_does_not_fit_is_one_sentence(device: EmulatedCupy) -> None:
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
    muon = Muon()
    with pytest.raises(ArgumentError, match="Muon, float32 has no CUDA kernel, because it has operations on matrices"):
        muon.step(p, g, muon.init(p))
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
