"""The fixture that judges, and then times: what is wrong has a verdict and no time."""

from __future__ import annotations

import itertools
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

import refgrad
from refgrad.errors import ArgumentError
from refgrad.optimizers import SGD
from refgrad.testing import plugin, timed_calls
from refgrad.testing.benchmarks import Timing, table, workloads
from tests.testing.test_plugin import _plugin

pytest_plugins = ["pytester"]
ROOT = Path(refgrad.__file__).parents[1]
QUICKLY = ("--benchmark-min-rounds=2", "--benchmark-max-time=0.01", "--benchmark-warmup=off")
TESTS = """
from refgrad.optimizers import SGD

RULE = SGD(lr=0.1, lr_placement="velocity")  # which neither torch nor optax have

def right(p, g, lr):
    return p - p.dtype.type(lr) * g

def wrong(p, g, lr):
    return p + p.dtype.type(lr) * g

BRIEFLY = dict(sizes=(10, (3, 4)), steps=2, isolate=False, explain=False, shrink=False)

def test_right(refgrad_benchmark):
    assert len(refgrad_benchmark(right, RULE, **BRIEFLY)) in (0, 4)

def test_wrong(refgrad_benchmark):
    refgrad_benchmark(wrong, RULE, **BRIEFLY)

def test_no_size(refgrad_benchmark):
    refgrad_benchmark(right, RULE, sizes=1000)
"""


@pytest.fixture(autouse=True)
def _this_refgrad(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pytest of its own, of this refgrad, and of none of xdist's processes, where nothing is measured."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]))


@pytest.mark.slow
def test_what_is_right_is_timed_and_what_is_wrong_is_not(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_subprocess(*_plugin(), *QUICKLY, "--benchmark-json=out.json", "--benchmark-only")
    result.assert_outcomes(passed=1, failed=2)
    text = result.stdout.str()
    assert "DOES NOT CONFORM" in text
    assert "sizes is 1000; legal: several, each one of: numbers of elements" in text
    assert "was not used at all" not in text
    assert "GB/s of compulsory traffic" in text
    found = json.loads((pytester.path / "out.json").read_text())["benchmarks"]
    groups = {each["group"] for each in found}
    assert groups == {f"SGD(lr=0.1, lr_placement='velocity') on {size}" for size in ("10", "3 x 4")}
    assert [each["name"] for each in found][:2] == ["test_right[candidate]", "test_right[refgrad]"]
    for each in found:
        assert each["extra_info"]["bytes"] == 12 * each["extra_info"]["elements"]
        assert each["extra_info"]["GB/s"] > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "passed", "failed", "skipped", "errors"),
    [
        (["--benchmark-disable"], 1, 2, 0, 0),
        (["--benchmark-skip"], 0, 0, 3, 0),
        (["-p", "no:benchmark"], 0, 0, 0, 3),
    ],
    ids=str,
)
def test_where_nothing_is_measured(
    pytester: pytest.Pytester, option: list[str], passed: int, failed: int, skipped: int, errors: int
) -> None:
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_subprocess(*_plugin(), *option)
    result.assert_outcomes(passed=passed, failed=failed, skipped=skipped, errors=errors)
    if errors:
        result.stdout.fnmatch_lines(["*refgrad_benchmark needs pytest-benchmark; legal: pip install*"])


@pytest.mark.parametrize("sizes", [1000, "1000", [], {"p": [1.0]}])
def test_sizes_are_several(sizes: object) -> None:
    with pytest.raises(ArgumentError, match="legal: several, each one of"):
        workloads(SGD(lr=0.1), sizes, "float32")


def test_the_table_has_rates_and_shares() -> None:
    timings = [
        Timing("SGD()", "1,000", "candidate", 2e-6, 12_000),
        Timing("SGD()", "1,000", "refgrad", 1e-6, 12_000),
    ]
    lines = table(timings)
    assert lines[1].split() == ["SGD()", "1,000", "candidate", "2.0", "us", "6.00", "0.50"]
    assert lines[2].split() == ["SGD()", "1,000", "refgrad", "1.0", "us", "12.00", "1.00"]


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ((10**15,), "sizes is 1000000000000000; legal: sizes of 8589934592 elements at most"),
        (((2**20, 2**20),), "legal: sizes of 8589934592 elements at most"),
        (((1,) * 65,), "legal: numbers of elements from 1"),
        (itertools.count(1), "sizes has more than 1000000 things"),
    ],
)
def test_sizes_that_fill_the_memory_are_refused(sizes: Any, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        workloads(SGD(), sizes, "float32")


def test_a_size_for_which_there_is_no_memory_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: Any) -> None:
        raise MemoryError("Unable to allocate 8 GiB")

    monkeypatch.setattr(timed_calls, "_made", full)
    with pytest.raises(
        ArgumentError, match=r"sizes is 1000; legal: what there is memory for \(Unable to allocate 8 GiB\)"
    ):
        workloads(SGD(), (1000,), "float32")


@pytest.mark.parametrize(
    ("given", "keywords", "words"),
    [
        ((), {}, "refgrad_verify has no candidate; legal: refgrad_verify(candidate, rule, **keywords"),
        ((SGD,), {"steps": 3}, "refgrad_verify has no rule"),
        ((SGD, SGD()), {"rule": SGD()}, "refgrad_verify has rule twice"),
        ((SGD, SGD(), 3), {}, "refgrad_verify has 3 arguments in turn"),
    ],
)
def test_what_fixtures_are_called_with(given: Any, keywords: Any, words: str) -> None:
    with pytest.raises(plugin.Misuse, match=re.escape(words)):
        plugin._taken("refgrad_verify", ("candidate", "rule"), given, keywords)
    right = plugin._taken("refgrad_verify", ("candidate", "rule"), (1,), {"rule": 2, "steps": 3})
    assert right == ([1, 2], {"steps": 3})


def test_fixtures_functions_have_their_names(request: pytest.FixtureRequest) -> None:
    if _plugin():
        pytest.skip("the plugin is not installed")
    assert request.getfixturevalue("refgrad_verify").__qualname__ == "refgrad_verify"
