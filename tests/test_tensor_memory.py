"""Tensors of torch whose memory has not their values are refused in one sentence, wherever tensors are read or written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.errors import ArgumentError, CandidateError
from refgrad.optimizers import SGD, AdamW
from refgrad.sparsity import Magnitude
from refgrad.tensor_memory import resolved, unreadable, unwritable

torch = pytest.importorskip("torch")


def emptied() -> Any:
    """A tensor whose storage was given back, as FSDP does between steps."""
    x = torch.ones(3)
    x.untyped_storage().resize_(0)
    return x


def cut() -> Any:
    """A view of the last elements of a storage that was made shorter."""
    x = torch.ones(2, 4)[:, 1:]
    x.untyped_storage().resize_(28)
    return x


def fake() -> Any:
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        return torch.ones(3)


class Wrapper(torch.Tensor):  # type: ignore[name-defined,misc]
    """A tensor around another, such as DTensor is."""

    @staticmethod
    def __new__(cls, inner: Any) -> Any:
        return torch.Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype)

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return function(*(a.inner if isinstance(a, cls) else a for a in args), **(kwargs or {}))


class Named(torch.Tensor):  # type: ignore[name-defined,misc]
    """A class of tensors that only adds to torch's: its memory has its values."""


WITHOUT: Mapping[str, tuple[Callable[[], Any], str]] = {
    "emptied": (emptied, "its storage has 0 bytes, of which it needs 12"),
    "cut": (cut, "its storage has 28 bytes, of which it needs 32"),
    "fake": (fake, "a FakeTensor computes its values"),
    "wrapper": (lambda: Wrapper(torch.ones(3)), "a Wrapper computes its values"),
    "zeros": (lambda: torch._efficientzerotensor((3,)), "its storage has no memory"),
}


@pytest.fixture(params=sorted(WITHOUT))
def without(request: pytest.FixtureRequest) -> tuple[Any, str]:
    make, why = WITHOUT[request.param]
    return make(), why


def test_what_has_no_memory_is_refused_as_parameter_gradient_state_and_weights(without: tuple[Any, str]) -> None:
    x, why = without
    rule, p = SGD(lr=0.5, momentum=0.9), torch.ones(x.shape)
    state = rule.init(p)
    for name, call in {
        "p": lambda: rule.step(x, p, state),
        r"p\[0\]": lambda: rule.step_([x], [p], rule.init([p])),
        "g": lambda: rule.step_(p, x, state),
        r"state\['momentum_buffer'\]": lambda: rule.step_(p, p.clone(), {**state, next(iter(rule.slots())): x}),
        "w": lambda: Magnitude().mask(x),
    }.items():
        wanted = name if "state" not in name else r"state\['\w+'\]"
        with pytest.raises(ArgumentError, match=rf"^{wanted} is an? \w+ that cannot be read \({why}.*legal: an array"):
            call()
    assert p.tolist() == torch.ones(x.shape).tolist()
    assert state["t"] == 0


def test_what_functions_of_torch_hand_on_without_memory_is_refused() -> None:
    rule, p = SGD(), torch.ones(3)
    with pytest.raises(ArgumentError, match=r"^p is a Tensor that cannot be read \(its storage has no memory\)"):
        torch.func.functionalize(lambda x: rule.step(x * 2, p, rule.init(p))[0])(p)
    from torch._subclasses.fake_tensor import FakeTensorMode

    with (
        FakeTensorMode(allow_non_fake_inputs=True),
        pytest.raises(ArgumentError, match=r"cannot be read \(a FakeTensor"),
    ):
        rule.init(p)


def test_what_has_memory_is_read() -> None:
    rule = SGD(lr=0.5)
    for x in (torch.nn.Parameter(torch.ones(3)), torch.ones(3).as_subclass(Named), torch.ones(6)[1:6:2], torch.ones(0)):
        assert unreadable(x) == unwritable(x) == ""
        assert rule.step(x, torch.ones(x.shape), rule.init(x))[0].tolist() == [0.5] * len(x)
    assert unreadable(torch.ones(2, device="meta")) == ""  # which DLPack refuses by its own words
    assert unreadable(1.0) == unwritable(1.0) == ""
    assert resolved(1.0) == 1.0


def negated() -> Any:
    """Minus ones, which lie in memory as ones."""
    return torch.complex(torch.ones(4), torch.ones(4)).conj().imag


def test_a_negation_that_torch_has_put_off_is_read_and_not_written() -> None:
    rule, x, p = SGD(lr=1.0), negated(), torch.zeros(4)
    assert x.is_neg()
    assert rule.step(p, x, rule.init(p))[0].tolist() == [1.0] * 4
    assert rule.step(x, torch.zeros(4), rule.init(p))[0].tolist() == [-1.0] * 4
    state = rule.init(x)
    with pytest.raises(
        ArgumentError, match=r"^p is a Tensor that cannot be written in place \(its negative bit is set"
    ):
        rule.step_(x, torch.ones(4), state)
    assert (x.tolist(), state["t"]) == ([-1.0] * 4, 0)
    rule.step_(p, x, state)
    assert p.tolist() == [1.0] * 4


def test_an_inference_tensor_is_written_in_inference_mode_alone() -> None:
    rule = AdamW(lr=0.5)
    with torch.inference_mode():
        x, state = torch.ones(4), rule.init(torch.ones(4))
    both = [torch.ones(4), x]
    known = rule.init(both)
    with pytest.raises(
        ArgumentError, match=r"^p\[1\] is a Tensor that cannot be written in place \(it is an inference"
    ):
        rule.step_(both, [torch.ones(4)] * 2, known)
    assert [each.tolist() for each in both] == [[1.0] * 4] * 2
    assert known["t"] == 0
    assert not known["m"][0].any()
    after, _ = rule.step(x, torch.ones(4), rule.init(x))
    with torch.inference_mode():
        rule.step_(x, torch.ones(4), state)
    assert (x.tolist(), state["t"]) == (after.tolist(), 1)


def test_a_candidates_tensors_are_read_as_they_are_or_refused(without: tuple[Any, str]) -> None:
    from refgrad.candidates.torch_optimizer import to_array

    x, why = without
    with pytest.raises(CandidateError, match=rf"of the candidate cannot be read \({why}"):
        to_array(x)
    assert to_array(negated()).tolist() == [-1.0] * 4


def test_a_quantizer_that_returns_tensors_is_judged_by_their_values_or_refused() -> None:
    rule = refgrad.quantizers.Affine(bits=4)

    def negative(x: Any) -> Any:
        found = rule.quantize(x)
        codes = torch.tensor(np.array(found["codes"]))
        return {"scale": found["scale"], "zero_point": found["zero_point"], "codes": codes}

    def without_memory(x: Any) -> Any:
        found = negative(x)
        found["codes"].untyped_storage().resize_(0)
        return found

    assert refgrad.verify(negative, rule).conforms
    told = str(refgrad.verify(without_memory, rule))
    assert "is a Tensor that cannot be read (its storage has 0 bytes" in told


def test_a_record_refuses_what_has_no_values(without: tuple[Any, str], tmp_path: Path) -> None:
    x, why = without
    p = torch.nn.Parameter(torch.ones(x.shape))
    optimizer = torch.optim.SGD([p], lr=0.5, momentum=0.9)
    p.grad = torch.ones(x.shape)
    optimizer.step()
    optimizer.state[p]["momentum_buffer"] = x
    refgrad.record(optimizer, tmp_path, 1)
    with pytest.raises(
        ArgumentError, match=rf"^momentum_buffer of group0.0 is an? \w+ that cannot be recorded \({why}"
    ):
        optimizer.step()


def test_files_of_tensors_that_are_not_negated_yet_are_audited(tmp_path: Path) -> None:
    from refgrad.audits import formats

    torch.save({"w": negated()}, tmp_path / "w.pt")
    assert torch.load(tmp_path / "w.pt", weights_only=True)["w"].is_neg()
    assert formats.read(tmp_path / "w.pt", "before").arrays["w"].read().tolist() == [-1.0] * 4


def test_a_file_whose_storage_is_shorter_than_its_tensor_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from refgrad.audits import formats
    from refgrad.audits.stored import RecordError

    torch.save({"w": torch.ones(3)}, tmp_path / "w.pt")
    monkeypatch.setattr(torch, "load", lambda *args, **how: {"w": emptied()})
    with pytest.raises(RecordError, match=r"w\.pt!w cannot be read: its storage has 0 bytes"):
        formats.read(tmp_path / "w.pt", "before")


def test_arrays_alone_need_no_torch() -> None:
    assert resolved(np.ones(2)).tolist() == [1.0, 1.0]
    assert unreadable(np.ones(2)) == unwritable(np.ones(2)) == ""
