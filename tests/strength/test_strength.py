"""The measurements of docs/strength.md on few numbers, and the figures that were measured last."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from functools import cache
from typing import Any

import numpy as np
import pytest
from refgrad.oracle.engine.steps import judge_record
from tests.oracle.strength import casewise, drawn, elsewhere, legal, rooms, subjects, tables, wrong
from tests.oracle.strength.__main__ import FIGURES, PICTURE, known
from tests.oracle.strength.judges import JUDGES, rejected_by, rejections, ulp_distance
from tests.oracle.strength.problems import EDGE, corner, problems
from tests.oracle.strength.reasons import reason
from tests.oracle.strength.rooms import optimizers

from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.hypotheses.changes import NONE
from refgrad.oracle.hypotheses.equivalence import distinct
from refgrad.oracle.mutants import mutations
from refgrad.rule import rules
from tests.oracle.cases import exercised

#: of the mutants of each rule, one in so many is judged here; all of them by ``python -m tests.oracle.strength``
ONE_IN = 80


@pytest.mark.parametrize("name", ["Lion", "LAMB"])
def test_no_legal_program_is_rejected(name: str) -> None:
    cls = optimizers()[name]
    random, hand = legal.attacked(exercised(cls()), 1), legal.by_hand(cls)
    assert random["outside"] == 0
    assert random["values"] > 500_000
    assert random["rejected"]["refgrad"]["all"] == hand["rejected"]["refgrad"]["all"] == 0
    assert max(random["share"].values()) > 0.5
    # the usual comparisons see the same arrays, and some of them object: what they are shown is no copy of the reference
    assert random["rejected"]["numpy.testing.assert_allclose"]["all"] > 0


#: rules of each kind that has no state, but for those of which every one is tried in tests/estimators and tests/sparsity
STATELESS = (
    "AF4",
    "MX",
    "N2UQWeights",
    "ScaledFloat",
    "TWN",
    "Coherence",
    "GhostBatchNorm",
    "M3",
    "QKLayerNorm",
    "TrActLinear",
)


@pytest.mark.parametrize("name", STATELESS)
def test_no_legal_program_without_state_is_rejected(name: str) -> None:
    found = casewise.random_programs(subjects.subject(subjects.measurable()[name]), 1)
    assert found["outside"] == 0
    assert found["undecided"] < found["values"] / 2
    assert found["programs"]["all"] > 5
    assert found["share"]["results"] > 0 or name == "MX"  # of which all is exact but for decisions


@pytest.mark.parametrize("name", ["MX", "Coherence", "Diff2Restart", "TrActLinear", "ZeroNaNs"])
def test_every_mutant_without_state_is_rejected(name: str) -> None:
    found = casewise.mutants(subjects.subject(subjects.measurable()[name]))
    assert found["made"]
    assert found["survivors"] == []
    # the other judges are shown the same; the reference itself is none of them
    assert found["rejected"]["numpy.testing.assert_allclose"]["all"] > 0


def test_altered_operations_are_told_apart_in_real_arithmetic() -> None:
    """What is the same number in another form is no mutant; each alteration is of one place in the text."""
    rule = subjects.measurable()["ParameterScaledRate"]
    tried = subjects.subject(rule)
    found = tried.mutants(list(tried.cases(0)), 10**6)
    assert len({m.name for m in found}) == len(found) > 10
    names = {m.name for m in found}
    assert names >= {"div for mul in p * p", "double for sum in np.sum(p * p)"}
    # the last case is all zeros, and twice nothing is nothing
    assert not [n for n in tried.mutants(list(tried.cases(0))[-1:], 10**6) if n.name.startswith("double for sum")]


def test_every_rule_stands_somewhere() -> None:
    """In some part of the measurement, or in the table of those that are in none, and in one of the two alone."""
    parts = {name for names in rooms.parts().values() for name in names}
    others = [name for each in elsewhere.rows() for name in each.rules]
    shipped = {name for name, cls in rules().items() if cls.__module__.startswith("refgrad.")}
    assert sorted(others) == sorted(shipped - parts)
    assert parts <= shipped


#: thousands of mutants, which take minutes to be told apart: those of steps within steps, and of pairs within pairs
MANY = {"LBFGS", "Mechanic"}


@pytest.mark.parametrize("name", [name for name in optimizers() if name not in MANY])
def test_mutants_are_rejected(name: str) -> None:
    """A fixed sample, on few numbers first; a survivor has a reason."""
    rule = wrong.configured(optimizers()[name])
    plans = list(dict.fromkeys(rule.plan((EDGE, EDGE), t) for t in (1, wrong.STEPS)))
    every = [m for m in mutations(plans) if not m.precision]
    sample = [m for m in every if zlib.crc32(f"{name} {m.name}".encode()) % ONE_IN == 0]
    found = wrong.mutants(rule, distinct(rule, sample, 2))
    assert [s["name"] for s in found["survivors"] if reason(name, s["name"]) is None] == []


def test_every_mutant_of_a_rule_is_rejected() -> None:
    rule = wrong.configured(optimizers()["SGD"])
    found = wrong.mutants(rule)
    assert found["made"] > 50
    assert found["rejected"]["refgrad"]["all"] == found["made"]
    assert found["survivors"] == []


@pytest.mark.parametrize("name", ["SGD", "Lion", "AdamW", "LAMB"])
def test_the_rule_run_from_its_graph_conforms(name: str) -> None:
    rule = wrong.configured(optimizers()[name])
    for inputs in problems(rule, 4, 0):
        record = wrong.run(rule, NONE, corner(inputs))
        assert judge_record(record, record.rules, Policy()).first is None


def test_usual_comparisons_pass_the_reference_itself() -> None:
    rule = optimizers()["AdamW"]()
    (inputs, *_) = problems(rule, 3, 0)
    record = wrong.run(rule, NONE, inputs)
    assert list(rejections(record, 0)) == [set()] * 3


def actual() -> dict[str, Any]:
    """The functions that are installed, of those whose formulas are used."""
    torch, chex = pytest.importorskip("torch"), pytest.importorskip("chex")
    return {
        "numpy.allclose": lambda a, b: np.allclose(a, b, equal_nan=True) or pytest.fail("not close"),
        "numpy.testing.assert_allclose": lambda a, b: np.testing.assert_allclose(a, b),
        "torch.testing.assert_close": lambda a, b: torch.testing.assert_close(
            torch.from_numpy(a), torch.from_numpy(b), equal_nan=True
        ),
        "chex.assert_trees_all_close": chex.assert_trees_all_close,
    }


def test_the_formulas_are_those_of_the_functions() -> None:
    """On numbers around every tolerance, near and far, and with classes exchanged."""
    random = np.random.Generator(np.random.Philox(0))
    special = np.float32([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, 3.4028235e38, 1e-45])
    functions, seen = actual(), Counter()
    for _ in range(150):
        b = random.standard_normal(4).astype(np.float32) * np.float32(10.0 ** random.integers(-8, 8))
        step = 10.0 ** random.uniform(-8, -4)
        a = (b * (1 + step * random.choice([-1, 0, 1], 4)) + random.choice([0.0, 1e-8, 1e-5])).astype(np.float32)
        if random.random() < 0.3:
            a[0], b[0] = random.choice(special, 2)
        wrong = rejected_by(a, b)
        for name, function in functions.items():
            with np.errstate(all="ignore"):
                try:
                    function(a, b)
                    rejected = False
                except (AssertionError, pytest.fail.Exception):
                    rejected = True
            assert rejected == (name in wrong), (name, a, b)
            seen[name, rejected] += 1
    assert min(seen[name, each] for name in functions for each in (True, False)) > 5
    assert set(functions) < set(JUDGES)


def test_ulp_distance() -> None:
    one = np.float32(1.0)
    up = np.nextafter(one, np.float32(2), dtype=np.float32)
    tiny = np.float32(2.0**-149)
    a, b = np.float32([1.0, 0.0, -tiny, 1.0]), np.float32([up, -0.0, tiny, 1.0])
    assert ulp_distance(a, b).tolist() == [1, 0, 2, 0]


@cache
def figures() -> dict[str, Any]:
    return known()


@pytest.mark.skipif(not FIGURES.exists(), reason="the figures are in the repository, not in the package")
class TestFigures:
    """What was measured last."""

    def test_no_false_alarm(self) -> None:
        for name, found in figures().items():
            for part in ("random", "hand", "case programs"):
                if part in found:
                    assert found[part]["rejected"]["refgrad"]["all"] == 0, name
                    assert found[part].get("outside", 0) == 0, name

    def test_every_survivor_has_a_reason(self) -> None:
        left = [
            (name, s["name"])
            for name, found in figures().items()
            for part in ("mutants", "case mutants")
            for s in found.get(part, {}).get("survivors", ())
            if reason(name, s["name"]) is None
        ]
        assert left == []

    def test_the_page_shows_them(self) -> None:
        text = (FIGURES.parent / "strength.md").read_text()
        for table in tables.TABLES.values():
            assert "\n".join(table(figures())) in text

    def test_the_picture_is_of_them(self) -> None:
        assert PICTURE.read_text() == drawn.picture(figures())
        own = drawn.shares(figures())
        assert own["refgrad"]["right"] == 0
        assert all(of["right"] > 0 for judge, of in own.items() if judge != "refgrad")

    def test_they_are_data(self) -> None:
        assert json.loads(FIGURES.read_text()) == figures()
