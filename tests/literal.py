"""A fixture for rooms in which rules are judged: these compute by their bodies, whatever the size of an array."""

from __future__ import annotations

import pytest

from refgrad import backends
from tests import depth

NEVER = 1 << 62


@pytest.fixture(autouse=True)
def literal_bodies(monkeypatch: pytest.MonkeyPatch) -> None:
    """No kernel is compiled but for a test that asks for one, at depth thorough alone.

    One array of each run is large enough for it. That kernels give the bits of bodies is asserted by tests of kernels, and to
    compile those of every rule that is judged took more than a tenth of the suite's time.
    """
    if depth.chosen() != "thorough":
        monkeypatch.setattr(backends, "WORTH_COMPILING", NEVER)
