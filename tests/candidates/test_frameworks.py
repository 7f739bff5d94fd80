"""Adapters are found by the framework that a thing comes from, and imported only with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import refgrad
from refgrad.candidates import frameworks
from refgrad.errors import CandidateError
from refgrad.optimizers import SGD, Adam
from refgrad.quantizers import EightBit

ENTRIES = [(kind, framework) for kind, found in frameworks.ADAPTERS.items() for framework in found]


@pytest.mark.parametrize(("kind", "framework"), ENTRIES)
def test_each_entry_is_an_adapter(kind: str, framework: str) -> None:
    pytest.importorskip(framework)
    module = frameworks.adapter(kind, framework)
    assert callable(module.candidate)
    assert framework in Path(module.__file__).read_text()


def test_an_adapter_without_its_framework_is_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []

    def adapter(kind: str, framework: str) -> Any:
        loaded.append(framework)
        return SimpleNamespace(candidate=lambda *thing: thing if framework == "second" else None)

    monkeypatch.setattr(frameworks, "ADAPTERS", {"made-up": dict.fromkeys(("absent", "first", "second", "third"), "")})
    monkeypatch.setattr(frameworks, "adapter", adapter)
    for framework in ("first", "second", "third"):
        monkeypatch.setitem(sys.modules, framework, SimpleNamespace())  # type: ignore[misc]
    assert frameworks.candidate_of("made-up", "a thing") == ("a thing",)
    assert loaded == ["first", "second"]


@pytest.mark.slow
def test_a_numpy_function_brings_no_framework_along() -> None:
    text = (
        "import sys, numpy, refgrad\n"
        "from refgrad.optimizers import SGD\n"
        "assert refgrad.verify(lambda p, g, lr: p - p.dtype.type(lr) * g, SGD(), steps=2).conforms\n"
        "print(sorted({'torch', 'jax', 'optax', 'keras', 'cupy'} & set(sys.modules)))\n"
    )
    root = Path(refgrad.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", text], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_codes_are_read_of_torch_optimizers_alone() -> None:
    optax = pytest.importorskip("optax")
    with pytest.raises(CandidateError, match="shows no 8-bit state"):
        refgrad.verify(optax.adam, EightBit(Adam()), steps=1).raise_if_wrong()


@pytest.mark.slow
def test_a_rule_of_somebody_else_is_not_called_refgrads() -> None:
    class Mine(SGD):
        """Somebody's own."""

    assert refgrad.verify(SGD(), SGD(), steps=1).candidate == "refgrad's SGD()"
    assert refgrad.verify(Mine(), SGD(), steps=1).candidate == "Mine()"
