"""Devices that exist here."""

from __future__ import annotations

import pytest

from refgrad.backends.cuda import nvrtc
from tests.backends.cuda.devices import COMPILER, Emulated

needs_nvrtc = pytest.mark.skipif(not nvrtc.is_here(), reason="NVRTC is not installed (tox -e cuda has it)")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler is installed")


@pytest.fixture(scope="session")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> Emulated:
    """Kernels compiled for the host, each once for all tests."""
    return Emulated(tmp_path_factory.mktemp("emulated"))
