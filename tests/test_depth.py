"""The depths of the tests: what each leaves out, that the same examples are drawn again, and that docs/testing.md tells."""

from __future__ import annotations

import re
from pathlib import Path

import hypothesis
import pytest

from tests import depth
from tests.fuzz import properties

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[1]
TESTS = """
import pytest

@pytest.mark.parametrize("n", range(10))
@pytest.mark.sample(quick=3)
def test_sampled(n): pass

@pytest.mark.slow
def test_slow(): pass

@pytest.mark.thorough
def test_deep(): pass

def test_plain(): pass
"""
CONFTEST = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from tests.conftest import *
"""
PROPERTY = """
import hypothesis
from tests.depth import examples
seen = []

@examples(50)
@hypothesis.given(hypothesis.strategies.floats())
def test_floats(x): seen.append(x)

def test_print(): print("DRAWN", len(seen), hash(str(seen)))
"""


@pytest.mark.sample(quick=1)
@pytest.mark.parametrize(
    ("chosen", "names"),
    [
        ("quick", ["test_sampled[0]", "test_sampled[4]", "test_sampled[9]", "test_plain"]),
        ("suite", [*(f"test_sampled[{n}]" for n in range(10)), "test_slow", "test_plain"]),
        ("thorough", [*(f"test_sampled[{n}]" for n in range(10)), "test_slow", "test_deep", "test_plain"]),
    ],
)
def test_what_a_depth_leaves_out(pytester: pytest.Pytester, chosen: str, names: list[str]) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_subprocess("-q", "--collect-only", "--depth", chosen)
    assert re.findall(r"::(test_\S+)", result.stdout.str()) == names


def drawn(pytester: pytest.Pytester, *options: str) -> str:
    result = pytester.runpytest_subprocess("-s", "-p", "no:randomly", *options)
    return re.findall(r"DRAWN \d+ \S+", result.stdout.str())[0]


@pytest.mark.slow
def test_the_suite_draws_the_same_again_and_thorough_what_its_seed_says(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "0")
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(PROPERTY)
    suite = drawn(pytester)
    # what else is imported does not count
    assert suite == drawn(pytester, "-p", "refgrad.quantizers.gguf.blocks", "-p", "refgrad.testing.check_runs")
    seeded = drawn(pytester, "--depth", "thorough", "--hypothesis-seed=7")
    assert seeded == drawn(pytester, "--depth", "thorough", "--hypothesis-seed=7")
    assert seeded != drawn(pytester, "--depth", "thorough", "--hypothesis-seed=8")
    assert int(suite.split()[1]) <= 60
    assert int(seeded.split()[1]) >= 400


def test_spread_is_even_and_has_both_ends() -> None:
    assert depth.spread(list(range(10)), 4) == [0, 3, 6, 9]
    assert depth.spread(list(range(3)), 5) == depth.spread(list(range(3)), None) == [0, 1, 2]
    assert depth.spread([7, 8, 9], 1) == [7]


def test_examples_follow_the_profile() -> None:
    assert depth.examples(40).max_examples == round(40 * hypothesis.settings().max_examples / 100)
    assert hypothesis.settings().deadline is None


def test_fuzzing_takes_every_file_in_turn_and_is_repeatable() -> None:
    chosen = properties.files()
    assert "tests/optimizers/test_robust.py" in chosen
    assert "tests/test_depth.py" not in chosen
    first = [next(turn) for turn in [properties.turns(chosen, 3)] for _ in chosen]
    assert sorted(file for file, _ in first) == chosen
    assert first == [next(turn) for turn in [properties.turns(chosen, 3)] for _ in chosen]
    assert len({seed for _, seed in first}) == len(chosen)


def test_the_page_lists_what_is_deeper_in_thorough() -> None:
    """Each file with a case or a number that depth thorough alone has."""
    page = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    deeper = re.compile(r"mark\.thorough|at_depth\(|suite=|\bmarks\(")
    files = [p for p in sorted((ROOT / "tests").rglob("test_*.py")) if p != Path(__file__)]
    found = {p.relative_to(ROOT).as_posix() for p in files if deeper.search(p.read_text(encoding="utf-8"))}
    assert found == set(re.findall(r"^\| `(tests/\S+\.py)`", page, re.MULTILINE))
