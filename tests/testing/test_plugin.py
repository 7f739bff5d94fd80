"""The pytest plugin, in a pytest of its own."""

from __future__ import annotations

from importlib.metadata import entry_points

import pytest

pytest_plugins = ["pytester"]

TESTS = """
import numpy as np
import pytest
from refgrad.examples import numpy_adamw
from refgrad.optimizers import AdamW

@pytest.mark.refgrad(AdamW(), steps=3)
def test_right():
    return numpy_adamw.adamw

@pytest.mark.refgrad(AdamW(), steps=3)
def test_wrong():
    return numpy_adamw.adamw_eps_inside

def test_fixture(refgrad_verify):
    assert refgrad_verify(numpy_adamw.adamw, AdamW(), steps=2).conforms

@pytest.mark.refgrad(AdamW(), steps=3)
def test_forgot():
    pass
"""


def test_verdicts_are_the_reports(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TESTS)
    installed = "refgrad" in {entry.name for entry in entry_points(group="pytest11")}
    result = pytester.runpytest_subprocess(*([] if installed else ["-p", "refgrad.testing.plugin"]))
    result.assert_outcomes(passed=2, failed=2)
    text = result.stdout.str()
    assert "DOES NOT CONFORM" in text
    assert "Smallest input that fails" in text
    assert "raise_if_wrong" not in text  # no traceback of our inside
    assert "test_forgot returned None; legal: a candidate" in text
