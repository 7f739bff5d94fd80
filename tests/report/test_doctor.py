"""What is installed and how this machine computes."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from importlib import metadata

import pytest

from refgrad.layout import BAD, render_sections
from refgrad.report import doctor


def test_what_is_needed_is_there_with_its_version() -> None:
    text = render_sections(doctor.sections())
    assert all(metadata.version(name) in text for name in doctor.NEEDED)
    assert not any(part.tone == BAD for part in doctor.sections())


def test_what_is_missing_needs_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "NEEDED", (*doctor.NEEDED, "no-such-distribution"))
    assert [part.title for part in doctor.sections() if part.tone == BAD] == ["Needed"]


def test_flushed_subnormals_are_seen() -> None:
    torch = pytest.importorskip("torch", reason="torch can set the processor to flush")
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush")
    try:
        assert not doctor.keeps_subnormals()
        assert any(part.tone == BAD for part in doctor.sections())
    finally:
        torch.set_flush_denormal(False)
    assert doctor.keeps_subnormals()


@pytest.mark.parametrize("mode", [0x400, 0x800, 0xC00], ids=["down", "up", "to zero"])
def test_another_rounding_is_seen(mode: int) -> None:
    libm = ctypes.CDLL(None)
    if sys.platform != "linux" or not hasattr(libm, "fesetround") or libm.fesetround(mode):
        pytest.skip("no rounding mode can be set here")
    try:
        assert not doctor.rounds_to_nearest()
    finally:
        libm.fesetround(0)
    assert doctor.rounds_to_nearest()


def test_nothing_of_a_framework_is_imported() -> None:
    code = "import sys; from refgrad.report import doctor; doctor.sections(); print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not any(f"'{name}'" in loaded for name in ("torch", "jax", "optax", "keras", "hypothesis"))
