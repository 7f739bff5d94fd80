"""Candidates that are functions of a device's arrays: real arrays of CuPy's in the host's memory, kernels emulated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import refgrad
from refgrad.backends.cuda import device as devices
from refgrad.backends.cuda import screens
from refgrad.backends.cuda.device import device_of
from refgrad.cli import main
from refgrad.errors import ArgumentError, CandidateError, DeviceError
from refgrad.optimizers import SGD
from refgrad.oracle.acceptance import judging_place, screening
from refgrad.oracle.acceptance.chunks import CHUNK
from refgrad.quantizers import MX
from tests.backends.cuda.conftest import needs_compiler

SHORT: dict[str, Any] = {"steps": 2, "shrink": False, "explain": False}


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Any:
    pytest.importorskip("cupy", reason="CuPy is not installed (tox -e cuda has it)")
    from tests.backends.cuda import cupy_on_host

    return cupy_on_host.installed(monkeypatch, tmp_path_factory)


def stepped(p: Any, g: Any, buffer: Any, t: int, lr: float, momentum: float) -> Any:
    """A step of arrays on a device, by refgrad's own kernels."""
    assert type(p).__module__.partition(".")[0] == "cupy"
    new, state = SGD(lr=lr, momentum=momentum).step(p, g, {"t": int(t) - 1, "buffer": buffer})
    return new, state["buffer"]


def in_place(p: Any, g: Any, buffer: Any, t: int, lr: float, momentum: float) -> None:
    """The same where the arrays are."""
    SGD(lr=lr, momentum=momentum).step_(p, g, {"t": int(t) - 1, "buffer": buffer})


def too_far(p: Any, g: Any, buffer: Any, t: int, lr: float, momentum: float) -> Any:
    """The same with another rate."""
    return stepped(p, g, buffer, t, 2 * lr, momentum)


@needs_compiler
def test_functions_of_arrays_on_a_device_are_judged(there: Any) -> None:
    rule = SGD(lr=0.1, momentum=0.9)
    for candidate in (stepped, in_place):
        assert refgrad.verify(candidate, rule, device="cuda", **SHORT).outcome == "conforms"
    assert refgrad.verify(too_far, rule, device="cuda", **SHORT).outcome == "does not conform"
    quantizer = refgrad.verify(lambda x: MX().quantize(x).arrays, MX(), device="cuda", **SHORT)
    assert quantizer.outcome == "conforms", str(quantizer)


def one_off(p: Any, g: Any, buffer: Any, t: int, lr: float, momentum: float) -> Any:
    """The same but for one element."""
    new, state = SGD(lr=lr, momentum=momentum).step(p, g, {"t": int(t) - 1, "buffer": buffer})
    there = device_of(new)
    assert there is not None
    values = there.get(new)
    values[CHUNK + 5] += 1.0
    return there.put(values), state["buffer"]


@needs_compiler
@pytest.mark.slow
def test_large_arrays_are_judged_there_to_the_same_verdict(there: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    random, rule = np.random.default_rng(2), SGD(lr=0.1, momentum=0.9)
    p, *gradients = (random.standard_normal(2 * CHUNK + 100).astype(np.float32) for _ in range(3))
    inputs = refgrad.Inputs([p], [[g] for g in gradients])
    calls, run = list[str](), screens.run
    monkeypatch.setattr(screens, "run", lambda *given: (calls.append(given[0].text), run(*given))[1])
    for candidate in (stepped, one_off):
        monkeypatch.setattr(screening, "WORTH", 1 << 40)
        monkeypatch.setattr(judging_place, "WORTH", 1 << 40)
        want = refgrad.verify(candidate, rule, inputs=inputs, explain=False, shrink=False, device="cuda")
        monkeypatch.setattr(screening, "WORTH", CHUNK)
        monkeypatch.setattr(judging_place, "WORTH", CHUNK)
        calls.clear()
        found = refgrad.verify(candidate, rule, inputs=inputs, explain=False, shrink=False, device="cuda")
        assert len(calls) == 2  # both steps
        for name in ("outcome", "counts", "first", "tightest", "errors", "by_step", "faults", "notes"):
            assert getattr(found, name) == getattr(want, name)


@needs_compiler
def test_a_target_is_handed_arrays_on_a_device_on_the_command_line(there: Any) -> None:
    target = f"{Path(__file__)}:stepped"
    told = [
        "verify",
        target,
        "--as",
        "SGD",
        "lr=0.1",
        "momentum=0.9",
        "--steps",
        "2",
        "--device",
        "cuda",
        "--no-isolate",
    ]
    found = CliRunner().invoke(main, told)
    assert found.exit_code == 0, found.output
    assert "CONFORMS" in found.output


def test_what_is_no_function_is_one_sentence(there: Any) -> None:
    with pytest.raises(CandidateError, match="the candidate is the class SGD; legal on a device: a function of CuPy's"):
        refgrad.verify(SGD, SGD(), device="cuda")
    with pytest.raises(ArgumentError, match="device is 'tpu'; legal: None, or 'cuda'"):
        refgrad.verify(stepped, SGD(), device="tpu")


def test_without_cupy_or_a_card_there_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeviceError) as found:  # no machine of these tests has a card
        refgrad.verify(stepped, SGD(), device="cuda")
    assert "legal: " in str(found.value)
    assert "\n" not in str(found.value)
    monkeypatch.setattr(devices, "of_cupy", lambda: None)
    with pytest.raises(DeviceError, match=r"CuPy is not installed; legal: pip install 'refgrad\[gpu\]'"):
        refgrad.verify(stepped, SGD(), device="cuda")
    said = CliRunner().invoke(main, ["verify", f"{Path(__file__)}:stepped", "--as", "SGD", "--device", "cuda"])
    assert said.exit_code == 2  # it could not be judged
    assert "CuPy is not installed" in said.output


def test_a_torch_optimizer_gets_copies_on_its_device() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    from refgrad.candidates.on_device import OnDevice
    from refgrad.optimizers import AdamW

    class Apart(torch.optim.AdamW):
        """Adds to its gradients, which only shows where these are given back."""

        def step(self, closure: Any = None) -> None:
            """One step, after which gradients are others."""
            super().step(closure)
            self.param_groups[0]["params"][0].grad.add_(1.0)

    right = refgrad.verify(OnDevice(torch.optim.AdamW, "cpu"), AdamW(), **SHORT)
    assert right.outcome == "conforms", str(right)
    writes = refgrad.verify(OnDevice(Apart, "cpu"), AdamW(), **SHORT)
    assert writes.outcome != "conforms"


@pytest.mark.slow
def test_a_transformation_gets_arrays_on_its_device() -> None:
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    optax = pytest.importorskip("optax", reason="optax is not installed")
    from refgrad.candidates.on_device import OnDevice
    from refgrad.optimizers import AdamW

    places = set()

    def recording() -> Any:
        def update(updates: Any, state: Any, params: Any = None) -> Any:
            places.add(jax.config.jax_default_device)
            return updates, state

        return optax.chain(
            optax.GradientTransformation(lambda params: optax.EmptyState(), update),
            optax.adamw(1e-3, weight_decay=0.01),
        )

    rule, granted = AdamW(scalars="float32"), {"subnormals": "either"}
    for candidate, outcome in (
        (optax.adamw, "conforms"),
        (recording(), "conforms"),
        (optax.adamw(2e-3, weight_decay=0.01), "does not conform"),
    ):
        found = refgrad.verify(OnDevice(candidate, "cpu"), rule, policy=granted, **SHORT)
        assert found.outcome == outcome, str(found)
    assert places == {jax.devices("cpu")[0]}


def test_a_transformation_without_a_card_is_one_sentence() -> None:
    pytest.importorskip("jax", reason="JAX is not installed")
    optax = pytest.importorskip("optax", reason="optax is not installed")
    for candidate in (optax.adamw, optax.adamw(1e-3), "optax:adamw"):
        with pytest.raises(DeviceError, match="JAX finds no CUDA device; legal"):
            refgrad.verify(candidate, SGD(), device="cuda")
    with pytest.raises(ArgumentError, match="device is 'tpu'; legal: None, or 'cuda'"):
        refgrad.verify(optax.adamw, SGD(), device="tpu")


def test_a_torch_optimizer_without_a_card_is_one_sentence() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    if torch.cuda.is_available():
        pytest.skip("there is a card")
    for candidate in (torch.optim.AdamW, "torch.optim:AdamW"):
        with pytest.raises(DeviceError, match="torch finds no CUDA device; legal"):
            refgrad.verify(candidate, SGD(), device="cuda")
