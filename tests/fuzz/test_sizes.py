"""Very large whole numbers: a clear error of the gate where memory or time would not do, never a crash or an endless loop."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refgrad.errors import ArgumentError
from refgrad.gradients import BilinearResize
from refgrad.legal import MOST_ITERATIONS, Iterations, Whole
from refgrad.optimizers import GaLore
from refgrad.quantizers import MX, NF4, NVFP4, QSGD, Affine, PowerSGD, ScaledFloat
from refgrad.rule import ROOMS, rules
from refgrad.sparsity import Block
from tests.depth import at_depth
from tests.fuzz import sizes

X = np.ones((4, 8), np.float32)
#: names of counts of what is done again, and the hyperparameters of these names that only are numbers in a formula
AGAIN = frozenset({"iterations", "rounds", "steps"})
NUMBERS = {
    ("Diff2Difference", "rounds"): "divides the budget of privacy",
    ("Diff2Restart", "rounds"): "divides the budget of privacy",
    ("FishStep", "steps"): "divides lr",
}
#: numbers of turns of a loop that what else a rule is given bounds
BOUNDED = {("Bulyan", "faults"): "there are more workers"}


@pytest.mark.parametrize(
    ("rule", "method", "name"),
    [
        (Affine(granularity="group", group_size=2**31), "quantize", "group_size"),
        (NF4(block_size=2**40), "quantize", "block_size"),
        (MX(block_size=10**9), "round_trip", "block_size"),
        (NVFP4(block_size=10**9), "quantize", "block_size"),
        (ScaledFloat(granularity="block", block_size=10**9), "quantize", "block_size"),
        (QSGD(bucket=10**12), "quantize", "bucket"),
        (PowerSGD(rank=10**6), "quantize", "rank"),
        (Block(height=10**9), "mask", "height and width"),
        (BilinearResize(height=2**20, width=2**20), "__call__", "height and width"),
    ],
    ids=str,
)
def test_a_size_that_is_no_size_of_the_array_is_refused_before_memory_is_asked_for(
    rule: Any, method: str, name: str
) -> None:
    with pytest.raises(ArgumentError, match=rf"{name} (is|are) [\d and]+; legal: .*\d") as raised:
        getattr(rule, method)(X)
    assert "Unable to allocate" not in str(raised.value)


def test_groups_that_are_larger_than_a_small_array_are_right_as_ever() -> None:
    for size in (64, 10**5):
        wide = Affine(granularity="group", group_size=size)
        assert wide.round_trip(X).tobytes() == Affine(granularity="channel", axis=0).round_trip(X).tobytes()


def test_a_rank_beyond_a_matrix_is_as_good_as_its_own_where_a_rule_takes_no_more() -> None:
    assert GaLore(rank=2**40).init({"w": X})["t"] == 0


def test_counts_of_what_is_done_again_have_an_end() -> None:
    found = {
        (c.__name__, n): legal for c in rules().values() for n, legal in c.legal().items() if isinstance(legal, Whole)
    }
    for (rule, name), legal in found.items():
        if name in AGAIN and (rule, name) not in NUMBERS:
            assert isinstance(legal, Iterations), (rule, name)
    assert NUMBERS.keys() <= found.keys()
    assert sum(isinstance(legal, Iterations) for legal in found.values()) > 10
    for (rule, name), legal in found.items():
        if isinstance(legal, Iterations):
            assert legal.high == MOST_ITERATIONS
            assert rules()[rule](**{name: MOST_ITERATIONS})
            with pytest.raises(ArgumentError, match=rf"{rule}.{name} is 1000000000; legal: .* to 1000000"):
                rules()[rule](**{name: 10**9})


def _loops(room: str) -> Iterator[tuple[str, str]]:
    """Classes of a room, and their attributes that a loop of theirs is as long as."""
    place = Path(importlib.import_module(f"refgrad.{room}").__file__ or "").parent
    for path in place.rglob("*.py"):
        for each in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(each, ast.ClassDef):
                for call in ast.walk(each):
                    if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "range":
                        for part in (node for argument in call.args[:2] for node in ast.walk(argument)):
                            if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name):
                                yield each.name, part.attr


def test_no_rule_goes_round_as_often_as_a_number_without_end_says() -> None:
    found = [pair for room in ROOMS for pair in _loops(room)]
    asked = 0
    for name, attribute in found:
        for cls in rules().values():
            legal = cls.legal().get(attribute)
            if isinstance(legal, Whole) and name in (base.__name__ for base in cls.__mro__):
                asked += 1
                ends = legal.high is not None and legal.high <= MOST_ITERATIONS
                assert ends != ((name, attribute) in BOUNDED), (name, attribute)
    assert asked > 5


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited as Linux does it")
def test_whole_numbers_that_are_very_large_give_something_or_a_clear_error() -> None:
    names = at_depth(quick=["QSGD"], suite=["BilinearResize", "QSGD", "AWQ"], thorough=[])
    done = subprocess.run([sys.executable, "-m", "tests.fuzz.sizes", *names], capture_output=True, text=True)
    assert [json.loads(line) for line in done.stdout.splitlines()] == []
    assert done.returncode == 0, done.stderr


def test_what_takes_too_long_or_raises_something_else_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes, "SECONDS", 0.05)
    sizes.signal.signal(sizes.signal.SIGPROF, sizes._ring)

    def asked(action: Any) -> str:
        subject = sizes.Subject("f", {}, lambda given: action())
        return sizes.found(lambda: subject)

    def refuse() -> None:
        raise ArgumentError("x is 1")

    def ever() -> None:
        while True:
            pass

    assert asked(lambda: 1) == asked(refuse) == ""
    assert asked(ever) == "no answer in time"
    assert asked(lambda: {}["x"]).startswith("KeyError: 'x' (test_sizes.py:")
    assert [value for _, value, _ in sizes.settings(rules()["QSGD"])].count("1000000") > 1
