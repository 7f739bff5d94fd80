"""Arrays of another library in a card's memory: read where they are, on that library's stream, and given back as such."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from refgrad.backends.cuda import doors
from refgrad.optimizers import SGD
from refgrad.quantizers import Affine
from tests.backends.cuda.conftest import needs_compiler

pytest.importorskip("cupy", reason="CuPy is not installed (tox -e cuda has it)")
cupy_on_host = pytest.importorskip("tests.backends.cuda.cupy_on_host")
on_host, seen = cupy_on_host.on_host, cupy_on_host.seen
STREAM = 77


class Tensor:
    """What a library such as torch has on a card: an array of its own over memory that CuPy reads."""

    def __init__(self, held: Any) -> None:
        self.held, self.device, self.dtype = held, "card", held.dtype

    def __dlpack__(self, **how: Any) -> Any:
        raise AssertionError("the stand-in for CuPy reads what is held")

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0

    def detach(self) -> Tensor:
        return Tensor(self.held)


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    made = ModuleType("cards")
    made.from_dlpack = Tensor  # type: ignore[attr-defined]
    made.cuda = SimpleNamespace(current_stream=lambda device: SimpleNamespace(cuda_stream=STREAM))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cards", made)
    monkeypatch.setattr(Tensor, "__module__", "cards")


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Any:
    found = cupy_on_host.installed(monkeypatch, tmp_path_factory)
    monkeypatch.setattr(doors, "of_cupy", lambda: found)
    found.streams.clear()
    return found


def tensor(array: np.ndarray) -> Tensor:
    return Tensor(on_host(array.copy()))


@needs_compiler
def test_a_step_is_taken_where_the_tensors_are(library: None, device: Any) -> None:
    rule, random = SGD(lr=0.1, momentum=0.9), np.random.default_rng(3)
    p, g = (random.standard_normal((3, 5)).astype(np.float32) for _ in range(2))
    new, state = rule.step(tensor(p), tensor(g), rule.init(tensor(p)))
    wanted, known = rule.step(p, g, rule.init(p))
    assert type(new) is Tensor
    assert seen(new.held).tobytes() == wanted.tobytes()
    assert seen(state["buffer"].held).tobytes() == known["buffer"].tobytes()
    assert set(device.streams) == {STREAM}
    there, state = tensor(p), rule.init(tensor(p))
    kept = state["buffer"].held
    rule.step_(there, tensor(g), state)
    assert seen(there.held).tobytes() == wanted.tobytes()
    assert state["t"] == 1
    assert state["buffer"].held is kept
    assert seen(kept).tobytes() == known["buffer"].tobytes()


@needs_compiler
def test_what_a_quantizer_makes_is_of_the_library_too(library: None, device: Any) -> None:
    rule, x = Affine(bits=8), np.random.default_rng(4).standard_normal((4, 64)).astype(np.float32)
    found, wanted = rule.quantize(tensor(x)), rule.quantize(x)
    assert {type(a) for a in found.arrays.values()} == {Tensor}
    assert seen(found.codes.held).tobytes() == wanted.codes.tobytes()
    assert seen(rule.dequantize(found).held).tobytes() == rule.dequantize(wanted).tobytes()
