"""What can be judged as a mask, and how its arguments are found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.candidates.masks import MaskFunction, ReferenceMask, resolve_mask
from refgrad.sparsity import Magnitude, NOfM, RandomMask, Wanda


def test_rules_and_their_classes() -> None:
    for thing in (NOfM(n=1), NOfM, "refgrad.sparsity:NOfM"):
        assert isinstance(resolve_mask(thing, {"n": 1} if thing is not NOfM(n=1) else {}), ReferenceMask)
    assert resolve_mask(NOfM, {"n": 1}).name == "NOfM(n=1)"


def test_arguments_by_name() -> None:
    seen: dict[str, Any] = {}

    def function(weight: Any, amount: float, scaler_row: Any, *, ties: str, flag: bool = False) -> Any:
        for name, value in {"amount": amount, "row": scaler_row.shape, "ties": ties, "flag": flag}.items():
            seen.setdefault(name, value)  # other shapes follow
        return Wanda(sparsity=amount).mask(weight, a=scaler_row)

    refgrad.verify(function, Wanda(sparsity=0.25, ties="high"), options={"flag": True}).raise_if_wrong()
    assert seen == {"amount": 0.25, "row": (32,), "ties": "high", "flag": True}


def test_names_of_groups() -> None:
    def function(x: Any, N: int, M: int) -> Any:
        return NOfM(n=N, m=M).mask(x)

    refgrad.verify(function, NOfM(n=1, m=8)).raise_if_wrong()


def test_uniform_numbers_are_handed_over() -> None:
    def function(w: Any, u: Any, sparsity: float) -> Any:
        return u.ravel().argsort().argsort().reshape(u.shape) >= round(sparsity * u.size)

    refgrad.verify(function, RandomMask(sparsity=0.3)).raise_if_wrong()


def test_a_file_is_a_target(tmp_path: Any) -> None:
    file = tmp_path / "mine.py"
    file.write_text("import numpy as np\n\ndef mask(w):\n    return np.ones_like(w, bool)\n")
    verdict = refgrad.verify(f"{file}:mask", NOfM(n=4))
    assert verdict.conforms
    assert isinstance(resolve_mask(f"{file}:mask", {}), MaskFunction)


def test_torch_modules_and_parametrizations() -> None:
    torch = pytest.importorskip("torch", reason="torch's modules are judged")

    class Keep(torch.nn.Module):
        def forward(self, w: torch.Tensor) -> torch.Tensor:
            index = w.abs().reshape(-1).argsort(stable=True, descending=True)[: w.numel() - round(0.5 * w.numel())]
            return torch.zeros(w.numel()).index_fill(0, index, 1.0).reshape(w.shape)

    refgrad.verify(Keep(), Magnitude()).raise_if_wrong()


@pytest.mark.slow
def test_what_is_no_mask() -> None:
    with pytest.raises(refgrad.CandidateError, match="takes 'sigma'"):
        refgrad.verify(lambda w, sigma: w, NOfM())
    verdict = refgrad.verify(lambda w: (1, 2, 3), NOfM())
    assert {fault.kind for fault in verdict.faults} == {"structure"}
    verdict = refgrad.verify(lambda w: np.abs(w), NOfM())
    assert {fault.kind for fault in verdict.faults} >= {"structure"}
