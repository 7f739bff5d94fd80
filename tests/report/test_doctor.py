"""What is installed and how this machine computes."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from refgrad.layout import BAD, render_sections
from refgrad.report import doctor
from tests.float_environments import EVERY, deviating

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
#: the extras of those who use refgrad, without the one that holds others
EXTRAS = ("laws", "plot", "golden", "torch", "jax", "cuda", "gpu", "cuda12", "gpu12")


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


@pytest.mark.parametrize("installed", [True, False])
def test_the_device_says_whether_cupy_is_installed(monkeypatch: pytest.MonkeyPatch, installed: bool) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object() if installed and name == "cupy" else None)
    (arithmetic,) = [part for part in doctor.sections() if part.title == "Arithmetic"]
    device = dict(arithmetic.pairs)["device"]
    assert ("CuPy is not installed" in device, "which is installed" in device) == (not installed, installed)
    assert "NumPy's arrays run on the CPU" in device


def test_every_package_of_an_extra_for_users_is_listed() -> None:
    extras = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]
    asked = {re.split(r"[>=\[]", text)[0] for name in EXTRAS for text in extras[name]}
    assert asked - {"refgrad", "chex"} <= {*doctor.USED}  # the latter is the judge that strength is compared with


def test_nothing_of_a_framework_is_imported() -> None:
    code = "import sys; from refgrad.report import doctor; doctor.sections(); print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not any(
        f"'{name}'" in loaded for name in ("torch", "jax", "optax", "keras", "hypothesis", "cupy", "matplotlib")
    )
