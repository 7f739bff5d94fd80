"""Formulas of one's own: what is said where one is written wrongly, and right and wrong kernels of it."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import refgrad
from refgrad.cli import main
from refgrad.errors import ArgumentError
from refgrad.examples import formulas as gallery
from refgrad.formulas import Formula
from refgrad.kinds.table import kind_of
from refgrad.oracle.acceptance.judge import OUTSIDE
from refgrad.rule import REGISTRY, Citation
from refgrad.strength.programs import programs_of
from refgrad.strength.rounding_styles import STYLES

GALLERY = {name: cls for name, cls in vars(gallery).items() if isinstance(cls, type) and issubclass(cls, Formula)}
#: mutants of a softmax that are the softmax: twice an exponential, or minus it, above and below
SAME = {"softmax": {"exp is taken twice", "exp has the other sign"}}


@refgrad.formula(x="batch feature", weight="feature")
def rmsnorm(x: Any, weight: Any, *, eps: refgrad.Positive = 1e-6) -> Any:
    """Rows over the root of their mean square."""
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps) * weight


def fused(x, weight, eps):
    scale = np.float32(1) / np.sqrt(np.mean(np.square(x), axis=-1, keepdims=True) + np.float32(eps))
    return x * scale * weight


def narrow(x, weight, eps):
    return fused(np.float32(x), np.float32(weight), eps).astype(x.dtype)


def beside(x, weight, eps):
    return x / (np.sqrt(np.mean(np.square(x), axis=-1, keepdims=True)) + np.float32(eps)) * weight


def summed(x, weight, eps):
    return x / np.sqrt(np.sum(np.square(x), axis=-1, keepdims=True) + np.float32(eps)) * weight


def unweighted(x, eps):
    return x / np.sqrt(np.mean(np.square(x), axis=-1, keepdims=True) + np.float32(eps))


def fixed(x, weight):
    return fused(x, weight, 1e-5)


def test_a_formula_is_a_rule_that_computes() -> None:
    found = rmsnorm(eps=0.5)
    assert str(found) == "rmsnorm(eps=0.5)"
    assert found.claimed == {"eps"}
    x = np.float32([[3.0, 4.0]])
    got = found(x, np.float32([1.0, 2.0]))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, [[3 / 13**0.5, 8 / 13**0.5]], rtol=1e-6)
    assert rmsnorm().formula_lines()[0] == "def rmsnorm(x: Any, weight: Any, *, eps: refgrad.Positive = 1e-6) -> Any:"


def test_a_formula_is_copied_and_pickled_and_stands_in_no_registry_unless_it_is_cited() -> None:
    for again in (copy.deepcopy(rmsnorm(eps=0.25)), pickle.loads(pickle.dumps(rmsnorm(eps=0.25)))):
        assert again == rmsnorm(eps=0.25)
    assert not any(cls is rmsnorm for cls in REGISTRY.values())
    cited = refgrad.formula(x="n", citation=Citation("You 2026", "Twice", "equation 1"))(lambda x: 2 * x)
    assert any(cls is cited for cls in REGISTRY.values())


@pytest.mark.parametrize(
    ("candidate", "name"),
    [
        (beside, "the number is added beside the root"),
        (summed, "sum stands for mean"),
        (unweighted, "no factor `weight`"),
        (fixed, "eps=1e-05"),
    ],
)
def test_wrong_kernels_are_named(candidate: Any, name: str) -> None:
    verdict = refgrad.verify(candidate, rmsnorm())
    assert verdict.outcome == "does not conform"
    assert verdict.explanation.name == name


def test_right_kernels_conform() -> None:
    verdict = refgrad.verify(fused, rmsnorm())
    assert verdict.conforms
    assert refgrad.verify(narrow, rmsnorm(eps=1e-3), dtype="float16").conforms


def a_bare(x):
    np.sqrt(x)


@pytest.mark.parametrize(
    ("axes", "function", "message"),
    [
        ({"x": "n"}, lambda x, *, eps=1.0: x, "the type of <lambda>.eps is 'not said'; legal: a type with its legal"),
        ({"x": "n"}, lambda x, y: x, "what is said of <lambda>'s y is None; legal: the names of its axes"),
        ({"x": "n", "z": "n"}, lambda x: x, "<lambda> takes no array 'z'.*legal: x"),
        ({"x": "n n"}, lambda x: x, "what is said of <lambda>'s x is 'n n'; legal: different names"),
        ({"x": "n"}, lambda x=1.0: x, "the default of <lambda>'s x is 1.0; legal: arrays without defaults"),
        ({"x": "n"}, lambda *x: x, r"<lambda> takes \*x; legal: arrays by name"),
        ({}, lambda: 1.0, "<lambda> takes no array; legal: one at least"),
        ({"x": "n", "lengths": {"m": 3}}, lambda x: x, "<lambda> has no axis 'm'; legal: n"),
        ({"x": "n", "lengths": {"n": 0}}, lambda x: x, "lengths of <lambda>: n is 0; legal: a whole number from 1"),
        ({"x": "n"}, np.sqrt, "what is decorated is .*; legal: a function, defined by `def`"),
    ],
)
def test_what_is_written_wrongly_is_said(axes: Any, function: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        refgrad.formula(**axes)(function)


def test_what_arrays_do_not_fit_is_said() -> None:
    x, weight = np.ones((2, 3)), np.ones(4)
    with pytest.raises(ArgumentError, match=r"weight.shape is \(4,\); legal: feature = 3, as in x"):
        rmsnorm()(x, weight)
    with pytest.raises(ArgumentError, match=r"x.shape is \(3,\); legal: 2 axes: batch feature"):
        rmsnorm()(np.ones(3), np.ones(3))
    with pytest.raises(ArgumentError, match="a_bare returned None; legal: `return` an array"):
        refgrad.formula(x="n")(a_bare)()(np.ones(3))
    pairs = refgrad.formula(x="n 2")(lambda x: x[:, 0])
    with pytest.raises(ArgumentError, match=r"x.shape is \(3, 1\); legal: 2 = 2, as in the formula"):
        pairs()(np.ones((3, 1)))


def test_a_formula_is_found_in_a_file_and_judged_in_another_process(tmp_path: Path) -> None:
    (tmp_path / "norms_of_mine.py").write_text(
        "import numpy as np, refgrad\n"
        "@refgrad.formula(x='batch feature')\n"
        "def centred(x, *, twice: refgrad.Positive = 2.0):\n"
        "    return twice * (x - np.mean(x, axis=-1, keepdims=True))\n"
        "def right(x, twice):\n"
        "    return np.float32(twice) * (x - x.mean(axis=-1, keepdims=True))\n"
        "def wrong(x, twice):\n"
        "    return np.float32(twice) * (x - x.sum(axis=-1, keepdims=True))\n"
    )
    rule = f"{tmp_path / 'norms_of_mine.py'}:centred"
    asked = lambda name: CliRunner().invoke(main, ["verify", f"{tmp_path / 'norms_of_mine.py'}:{name}", "--as", rule])  # noqa: E731
    right, wrong = asked("right"), asked("wrong")
    assert right.exit_code == 0, right.output
    assert wrong.exit_code == 1
    assert "in which sum stands for mean in `np.mean(x, axis=-1, keepdims=True)`, line 4" in wrong.output
    assert "return twice * (x - np.mean" in CliRunner().invoke(main, ["show", rule]).output
    missing = CliRunner().invoke(main, ["verify", "any.py:f", "--as", f"{tmp_path / 'none.py'}:centred"])
    assert missing.exit_code == 64
    assert "there is no file" in missing.output


def outside(rule: Formula, style: str) -> list[str]:
    """The cases in which random right programs of a style leave the sets of its policy."""
    programs: Any = programs_of(rule)
    random, found = np.random.Generator(np.random.Philox(1)), []
    for case in programs.cases(0):
        seen = {n: a.astype(np.float32) for n, a in programs.legal(case, random, STYLES[style]).items()}
        judged = programs.kind.judge(rule, case.arrays, seen, STYLES[style].policy)
        found += [case.name for known, _ in judged.values() if (known.status == OUTSIDE).any()]
    return found


@pytest.mark.parametrize("name", GALLERY)
def test_formulas_of_the_gallery_tell_wrong_programs_from_right_ones(name: str) -> None:
    """The formula itself conforms, right programs lie within its sets, and every program with another operation is refused."""
    rule = GALLERY[name]()
    kind: Any = kind_of(rule)
    assert refgrad.verify(rule, rule, explain=False).conforms
    assert [found for style in STYLES for found in outside(rule, style)] == []
    accepted = set()
    for altered, _, how in kind.rewritten(rule):
        other = kind.departed(rule, how)
        verdict = refgrad.verify(lambda *a, f=other.apply: f(*a), rule, explain=False, shrink=False)
        accepted |= {altered} if verdict.conforms else set()
    assert accepted <= SAME.get(name, set())
