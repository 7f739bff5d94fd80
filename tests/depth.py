"""The three depths of the tests: what marks leave out, how many examples a property tries, and where they come from.

A test that always takes long is marked ``slow``, one that only repeats what others assert on more numbers ``thorough``. Of a
test of many cases depth quick runs `QUICK_CASES`, or as many as ``sample`` names. docs/testing.md lists what thorough adds.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, TypeVar

import hypothesis
import pytest
from hypothesis.database import DirectoryBasedExampleDatabase

DEPTHS = ("quick", "suite", "thorough")
MARKERS = {
    "slow": "takes more than a few seconds: not run at depth quick",
    "thorough": "more numbers of what other tests assert: run at depth thorough alone",
    "sample(quick, suite)": "of the test's cases, how many are run at a depth, if not those that are usual",
}
#: of each test's cases, so many are run at depth quick where ``sample`` does not say
QUICK_CASES = 4
#: the environment variable tells the processes of xdist, which import the test modules too
VARIABLE = "REFGRAD_TEST_DEPTH"
#: Hypothesis's profiles -> how many times the examples that a property names
PROFILES = {"quick": 0.2, "suite": 1.0, "thorough": 10.0, "fuzz": 100.0}
#: the profiles that draw other examples each time, under a seed that is printed, and keep what failed
RANDOM_PROFILES = ("thorough", "fuzz")
DATABASE = ".hypothesis/examples"
NAMED = 100

Value = TypeVar("Value")


def choose(name: str) -> None:
    """Look so deep from now on."""
    os.environ[VARIABLE] = name


def chosen() -> str:
    """How deep the tests look: a name of `DEPTHS`."""
    return os.environ.get(VARIABLE, "suite")


def at_depth(*, quick: Value, suite: Value, thorough: Value) -> Value:
    """The value for the depth that was chosen."""
    return {"quick": quick, "suite": suite, "thorough": thorough}[chosen()]


def marks(*, quick: bool, suite: bool = True) -> list[pytest.MarkDecorator]:
    """The marks of a case that is run at these depths, and at depth thorough."""
    if not suite:
        return [pytest.mark.thorough]
    return [] if quick else [pytest.mark.slow]


def left_out(cases: Sequence[pytest.Item]) -> list[pytest.Item]:
    """The cases of one test that are deeper than was chosen."""
    depth, kept = chosen(), list(cases)
    if depth == "quick":
        kept = [case for case in kept if not case.get_closest_marker("slow")]
    if depth != "thorough":
        kept = [case for case in kept if not case.get_closest_marker("thorough")]
    sample = kept[0].get_closest_marker("sample") if kept else None
    usual = QUICK_CASES if depth == "quick" else None
    kept = spread(kept, sample.kwargs.get(depth, usual) if sample else usual)
    known = {id(case) for case in kept}
    return [case for case in cases if id(case) not in known]


def spread(cases: list[Any], count: int | None) -> list[Any]:
    """So many of the cases, evenly over their order, from the first to the last; all of them if that is more, or None."""
    if count is None or count >= len(cases):
        return cases
    return [cases[round(i * (len(cases) - 1) / max(count - 1, 1))] for i in range(count)]


def examples(count: int) -> hypothesis.settings:
    """A property's settings: so many examples at depth suite, and in proportion at the others.

    The profile is that of the time when the test module is imported.
    """
    factor = hypothesis.settings().max_examples / NAMED
    return hypothesis.settings(max_examples=max(1, round(count * factor)))


def load_profile(name: str) -> None:
    """Make Hypothesis's profiles known and take one.

    What fails by the speed of the machine is left out of all: deadlines, and the check that drawing is not slow.
    """
    unhurried: dict[str, Any] = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
    for profile, factor in PROFILES.items():
        random = profile in RANDOM_PROFILES
        kept = DirectoryBasedExampleDatabase(DATABASE) if random else None
        drawn: dict[str, Any] = {"derandomize": not random, "database": kept, "print_blob": True}
        settings = hypothesis.settings(max_examples=round(NAMED * factor), **unhurried, **drawn)
        hypothesis.settings.register_profile(profile, settings)
    hypothesis.settings.load_profile(name)
    if name not in RANDOM_PROFILES:
        _forget_local_constants()


def _forget_local_constants() -> None:
    """Draw no number for being written in a module that happens to be imported.

    Hypothesis takes some of its numbers from the modules of the project that are loaded, so that a test alone would be shown
    others than the same test after others, or than in a process that loaded more.
    """
    from hypothesis.internal.conjecture import providers

    if hasattr(providers, "_get_local_constants"):
        nothing = providers.Constants()
        providers._get_local_constants = lambda: nothing
