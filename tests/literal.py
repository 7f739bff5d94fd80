"""A fixture for rooms in which rules are judged: these compute by their bodies, whatever the size of an array."""

from __future__ import annotations

from importlib import import_module

import pytest

from tests import depth

#: where it is decided by an array's size whether a kernel is worth compiling
DECIDING = (
    "refgrad.backends",
    "refgrad.backends.philox_kernel",
    "refgrad.backends.selection",
    "refgrad.quantizers.cast",
    "refgrad.quantizers.elements",
    "refgrad.quantizers.rows",
    "refgrad.sparsity.base",
)
NEVER = 1 << 62


@pytest.fixture(autouse=True)
def literal_bodies(monkeypatch: pytest.MonkeyPatch) -> None:
    """No kernel is compiled but for a test that asks for one, at depth thorough alone.

    One array of each run is large enough for it. That kernels give the bits of bodies is asserted by tests of kernels, and to
    compile those of every rule that is judged took more than a tenth of the suite's time.
    """
    if depth.chosen() != "thorough":
        for module in DECIDING:
            monkeypatch.setattr(import_module(module), "WORTH_COMPILING", NEVER)
