"""What is installed and how this machine computes."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata

import pytest

from refgrad.layout import BAD, render_sections
from refgrad.report import doctor
from tests.float_environments import EVERY, deviating


def test_what_is_needed_is_there_with_its_version() -> None:
    text = render_sections(doctor.sections())
    assert all(metadata.version(name) in text for name in doctor.NEEDED)
    assert not any(part.tone == BAD for part in doctor.sections())


def test_what_is_missing_needs_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "NEEDED", (*doctor.NEEDED, "no-such-distribution"))
    assert [part.title for part in doctor.sections() if part.tone == BAD] == ["Needed"]


@pytest.mark.parametrize("deviation", EVERY)
def test_another_environment_needs_attention(deviation: str) -> None:
    with deviating(deviation):
        found = doctor.sections()
    (amiss,) = [part for part in found if part.tone == BAD]
    assert dict(amiss.pairs)["environment"].startswith(deviation)


def test_nothing_of_a_framework_is_imported() -> None:
    code = "import sys; from refgrad.report import doctor; doctor.sections(); print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not any(f"'{name}'" in loaded for name in ("torch", "jax", "optax", "keras", "hypothesis"))
