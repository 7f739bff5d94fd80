"""The measure of kernels beside other gates: a sample of its programs, and the tables that it makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refgrad import json_log
from tests.strength.kernels import faults, in_c, in_numpy, mean_value, page
from tests.strength.kernels.judging import ASSERT_CLOSE, GATES, NORM_WISE, ONE_PERCENT, outcome
from tests.strength.kernels.program import FORMULAS, SHAPES, Program, called, narrow, rule_of, written_in

LOG = Path(page.__file__).with_name("log.jsonl")
PAGE = Path(__file__).parents[2] / "docs" / "formula-strength.md"
RIGHT = {program.id: program for program in written_in(in_numpy, "NumPy")}


def of(name: str) -> Program:
    return next(program for program in RIGHT.values() if program.function.__name__ == name)


def test_every_formula_of_the_gallery_has_programs_and_faults() -> None:
    assert {program.of for program in RIGHT.values()} >= set(FORMULAS)
    assert set(faults.EDITS) >= set(FORMULAS)
    assert len({program.id for program in faults.by_hand()}) == sum(map(len, faults.EDITS.values()))


@pytest.mark.sample(quick=1, suite=4)
@pytest.mark.parametrize("name", ["rmsnorm__sums_in_turn", "softmax_backward", "swiglu", "top_2_routing", "statistics"])
def test_right_programs_conform(name: str) -> None:
    line = outcome(Program(name.partition("__")[0], "NumPy", name, of(name).function, tried=SHAPES))
    assert line["outcome"] == "conforms"
    assert line["unlike"] == []
    assert ONE_PERCENT not in line["gates"]
    assert line["farther"] < 2


def test_a_narrow_program_is_rounded_once() -> None:
    line = outcome(Program("gelu", "NumPy", "narrow", narrow(in_numpy.gelu), "bfloat16", tried=SHAPES))
    assert line["outcome"] == "conforms"


@pytest.mark.slow
@pytest.mark.sample(quick=1)
@pytest.mark.skipif(in_c.COMPILER is None, reason="there is no compiler")
@pytest.mark.parametrize("language", in_c.FLAGS)
def test_kernels_in_c_conform(language: str) -> None:
    program = next(p for p in in_c.programs() if p.language == language and p.of == "softmax" and p.name == "online")
    assert outcome(Program(program.of, language, "", program.function, tried=SHAPES))["outcome"] == "conforms"


@pytest.mark.parametrize(
    ("name", "fault", "passed_by"),
    [
        ("rmsnorm", "no eps", {ASSERT_CLOSE, ONE_PERCENT}),
        ("rmsnorm", "eps beside the root", {ASSERT_CLOSE, ONE_PERCENT}),
        ("rmsnorm", "the mean of 1024 features", set(GATES)),
        ("softmax", "log2 e cut to 1.4427", {ASSERT_CLOSE, ONE_PERCENT}),
    ],
)
def test_faults_are_refused_that_other_gates_let_pass(name: str, fault: str, passed_by: set[str]) -> None:
    program = next(p for p in faults.by_hand() if p.of == name and p.name == fault)
    line = outcome(program)
    assert line["outcome"] == "does not conform"
    assert set(GATES) - set(line["gates"]) >= passed_by - {NORM_WISE}


def test_mutants_differ_in_real_arithmetic() -> None:
    arrays = rule_of("softmax").drawn({"batch": 2, "class": 3}, np.random.Generator(np.random.Philox(0)))
    names = [mutant.name for mutant in faults.mutants("softmax")]
    assert "exp is taken twice" not in names
    for mutant in list(faults.mutants("softmax"))[:3]:
        with np.errstate(all="ignore"):
            (got,) = called(mutant, {n: a.astype(np.float32) for n, a in arrays.items()})
        assert got.dtype == np.float32


def line(name: str, wrong: bool, outcome: str, *gates: str) -> dict[str, Any]:
    return {
        "id": name,
        "of": "softmax",
        "language": "C",
        "dtype": "float32",
        "name": name,
        "wrong": wrong,
        "tried": "everywhere",
        "outcome": outcome,
        "unlike": [],
        "share": 0.5,
        "gates": list(gates),
        "allowed": 8.0,
        "seen": 2.0,
        "farther": 0.5,
        "seconds": 0.25,
    }


def test_the_page_counts(tmp_path: Path) -> None:
    lines = [
        line("a", False, "conforms"),
        line("b", False, "conforms", ASSERT_CLOSE),
        line("c", True, "does not conform"),
        line("d", True, "conforms", ONE_PERCENT),
    ]
    assert page.shares(lines)["refgrad"] == {"right": 0.0, "wrong": 0.5}
    assert page.shares(lines)[ASSERT_CLOSE] == {"right": 0.5, "wrong": 1.0}
    written = tmp_path / "page.md"
    written.write_text("".join(f"<!-- {n} -->\nstale\n<!-- end of {n} -->\n" for n in page.TABLES))
    page.write(written, lines)
    text = written.read_text()
    assert "| refgrad | 0 | 1 (50.0%) |" in text
    assert "| `softmax` | 2 | 0, 1, 0, 0 | 2 | 1, 0, 1, 0 | 8 | 2 | 0.5 | 0.25 |" in text
    assert "| `softmax` | d | 0.5 |  | 1e-2 |" in text
    assert "stale" not in text
    assert (tmp_path / "page.svg").read_text().startswith("<svg")


def test_the_documentation_has_the_tables_of_the_log(tmp_path: Path) -> None:
    known = [found for found in json_log.lines(LOG) if found]
    right = [found for found in known if not found["wrong"]]
    assert not any(page.refused(found, page.REFGRAD) or found["unlike"] for found in right)
    assert len(right) >= 200
    assert page.shares(known)[page.REFGRAD]["wrong"] < 0.03
    copy = tmp_path / PAGE.name
    copy.write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    page.write(copy, known)
    assert copy.read_text(encoding="utf-8") == PAGE.read_text(encoding="utf-8")
    assert copy.with_suffix(".svg").read_text() == PAGE.with_suffix(".svg").read_text()
    assert all(reason for *_, reason in page.accepted(known))


def test_the_mean_value_form_is_narrower_where_errors_cancel_and_says_nothing_of_choices() -> None:
    form, of_set, wider, widest = mean_value.measured(of("attention"))
    assert form < 1
    assert of_set < form
    assert 2 < wider < widest
    routing = of("top_2_routing").function

    def the_last_of_equal(logits: Any) -> Any:
        return routing(logits[..., ::-1])[..., ::-1]

    other = Program("top_2_routing", "NumPy", "the last of equal logits", the_last_of_equal)
    assert outcome(other)["outcome"] == "conforms"
    assert mean_value.measured(other)[0] > 2


def test_the_mean_value_form_of_what_is_multiplied_once_is_the_rounding() -> None:
    arrays = {"x": np.float32([1.5, 3.0])}
    once, twice = mean_value.bounds(lambda x: {"y": x * x}, arrays, [("y", (0,)), ("y", (1,))])
    assert 0 < once < 4 * 2.0**-24 * 1.5**2
    assert twice == 4 * once
