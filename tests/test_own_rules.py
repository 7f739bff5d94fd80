"""A rule that stands in a user's file, by every entry point of refgrad; and what authors of rules are told first."""

from __future__ import annotations

import ast
import ctypes
import json
import runpy
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
from click.testing import CliRunner

import refgrad
from refgrad.cli import main
from refgrad.errors import RefgradError
from refgrad.estimators import Estimator
from refgrad.golden import reading
from refgrad.hex_floats import read as from_hex
from refgrad.optimizers import Optimizer
from refgrad.quantizers import Affine
from refgrad.rule import Citation, Range, State, zeros_like_param
from refgrad.sparsity import Magnitude
from refgrad.surveys.cell import CONFORMS, VARIANT
from tests.backends.test_dialect import COMPILER, needs_compiler
from tests.testing.test_plugin import _plugin

pytest_plugins = ["pytester"]

MINE = """
import numpy as np
import refgrad
from refgrad.surveys.implementations import Implementation


@refgrad.formula(q="query depth", k="key depth", v="key value", wrt="q k v",
                 lengths=dict(query=8, key=9, depth=8, value=4))
def attention(q, k, v, *, scale: refgrad.Positive = 0.125):
    s = scale * np.einsum("id,jd->ij", q, k)
    p = refgrad.stored(refgrad.softmax(s, axis=-1), "p")  # a place that may be rounded
    return np.einsum("ij,jv->iv", p, v)


@refgrad.formula(x="batch feature", weight="feature", wrt="x weight")
def rmsnorm(x, weight, *, eps: refgrad.Positive = 1e-6):
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps) * weight


def fused(q, k, v, scale):
    s = q.dtype.type(scale) * (q @ k.T)
    p = np.exp(s - s.max(axis=-1, keepdims=True))
    return (p / p.sum(axis=-1, keepdims=True)) @ v


def halved(q, k, v, scale):
    return fused(q, k, v, scale / 2)


def norm(x, weight, eps):
    return x * (1 / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + x.dtype.type(eps))) * weight


def of_another_eps(x, weight, eps):
    return norm(x, weight, 1e-5)


ROWS = [
    Implementation(package="numpy", target="kernels_of_mine.py:norm", claim=rmsnorm(), name="norm"),
    Implementation(package="numpy", target="kernels_of_mine.py:of_another_eps", claim=rmsnorm(), name="of_another_eps"),
]
"""
FILE = "kernels_of_mine.py"
RULES = {"attention": ("fused", "halved", "scale=0.0625"), "rmsnorm": ("norm", "of_another_eps", "eps=1e-05")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the file, which is one module for as long as the process lasts."""
    found = tmp_path_factory.mktemp("mine")
    (found / FILE).write_text(MINE)
    return found


@pytest.fixture
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, which is the current one."""
    monkeypatch.chdir(folder)
    return folder


def run(*words: str, code: int = 0) -> str:
    found = CliRunner().invoke(main, words)
    assert found.exit_code == code, found.output
    return found.output


@pytest.mark.slow
@pytest.mark.parametrize("name", RULES)
def test_verify_and_identify(here: Path, name: str) -> None:
    right, wrong, said = RULES[name]
    rule = ("--as", f"{FILE}:{name}")
    assert run("verify", f"{FILE}:{right}", *rule).startswith(f"CONFORMS: {FILE}:{right} is {name}()")
    assert f"({said})" in run("verify", f"{FILE}:{wrong}", *rule, code=1)
    assert run("identify", f"{FILE}:{wrong}", *rule).startswith(f"IDENTIFIED: {FILE}:{wrong} is {name}({said})")


@pytest.mark.slow
def test_laws(here: Path) -> None:
    found = run("verify", f"{FILE}:norm", "--as", f"{FILE}:rmsnorm", "--steps", "2", "--laws")
    assert "holds  repeatable" in found
    assert "broken" not in found


@pytest.mark.parametrize("name", RULES)
def test_show_has_the_formula_and_its_inputs(here: Path, name: str) -> None:
    found = run("show", f"{FILE}:{name}")
    text = MINE[MINE.index(f"def {name}(") :].partition("\n\n")[0]
    assert [line.strip() for line in text.splitlines()] == [
        line.strip() for line in found.partition("Formula\n")[2].partition("\n\n")[0].splitlines()
    ]
    assert "an array of axes" in found.partition("Takes\n")[2].partition("\n\n")[0]
    assert json.loads(run("show", f"{FILE}:{name}", "--json"))


@pytest.mark.parametrize("dialect", ["c", "cuda", "numba"])
@pytest.mark.parametrize("name", [*RULES, "attention.backward", "rmsnorm.backward"])
def test_show_has_a_kernel_in_every_dialect(here: Path, name: str, dialect: str) -> None:
    source = run("show", f"{FILE}:{name}", "--source", dialect)
    if dialect == "numba":
        assert [each.name for each in ast.walk(ast.parse(source)) if isinstance(each, ast.FunctionDef)]
    else:
        assert "float" in source
        assert ("__global__" in source) == (dialect == "cuda")


@pytest.mark.slow
@needs_compiler
def test_the_printed_kernel_has_the_bits_of_the_formula(here: Path) -> None:
    (here / "k.c").write_text(run("show", f"{FILE}:attention", "--source", "c"))
    assert COMPILER is not None
    flags = ["-O2", "-ffp-contract=off", "-shared", "-fPIC"]
    subprocess.run([COMPILER, *flags, "k.c", "-o", "k.so", "-lm"], check=True)
    formula = runpy.run_path(FILE)["attention"]
    random = np.random.default_rng(0)
    arrays = [random.standard_normal(shape, np.float32) for shape in ((8, 8), (9, 8), (9, 4))]
    found = np.empty((8, 4), np.float32)
    assert ctypes.CDLL(str(here / "k.so")).attention(*(ctypes.c_void_p(a.ctypes.data) for a in (*arrays, found))) == 0
    assert found.tobytes() == np.asarray(formula()(*arrays), np.float32).tobytes()


@pytest.mark.slow
def test_a_survey_of_a_table_of_the_file(here: Path) -> None:
    run("survey", "--table", f"{FILE}:ROWS", "--jobs", "1", "--json", "found.json", "--log", "log.jsonl")
    cells = json.loads((here / "found.json").read_text())["cells"]
    assert [each["outcome"] for each in cells] == [CONFORMS, VARIANT]
    assert "eps=1e-05" in json.dumps(cells[1])


@pytest.mark.slow
def test_golden_vectors_are_made_read_and_judge(here: Path) -> None:
    run("golden", "make", f"{FILE}:rmsnorm", "--out", "golden")
    assert run("golden", "verify", f"{FILE}:rmsnorm", "--at", "golden").splitlines()[-1] == "right"
    file = reading.read(here / "golden", "rmsnorm")
    assert file.document["mutants"] > 0
    assert file.document["not_refused"] == []
    kernels: dict[str, Any] = runpy.run_path(FILE)
    assert not any(outside(file, number, kernels["norm"]) for number in range(len(file.document["cases"])))
    assert any(outside(file, number, kernels["of_another_eps"]) for number in range(len(file.document["cases"])))


def outside(file: Any, number: int, kernel: Callable[..., Any]) -> int:
    """How many of a kernel's numbers lie outside the sets of a case, by the file alone."""
    (low, high), *more = file.array(number, "set", "result")
    assert not more
    case = file.document["cases"][number]
    eps = from_hex(case["hyperparameters"]["eps"])
    with np.errstate(all="ignore"):
        wide = (np.asarray(file.array(number, "in", name), np.float32) for name in ("x", "weight"))
        result = np.float64(kernel(*wide, eps).astype(low.dtype))  # a narrow case is rounded once
    nan = np.isnan(low) & np.isnan(result)
    return int(np.sum(~(nan | ((np.float64(low) <= result) & (result <= np.float64(high))))))


TESTS = """
import pytest
from kernels_of_mine import attention, fused, halved, norm, rmsnorm


@pytest.mark.refgrad(attention(scale=0.25), steps=2)
def test_right():
    return fused


@pytest.mark.refgrad(rmsnorm(eps=1e-5), steps=2)
def test_norm():
    return norm


@pytest.mark.refgrad(attention(), steps=2)
def test_wrong():
    return halved


def test_fixture(refgrad_verify):
    assert refgrad_verify(fused, attention(), steps=2).conforms
    refgrad_verify(halved, attention(), steps=2).raise_if_wrong()
"""


@pytest.mark.slow
def test_in_pytest(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(kernels_of_mine=MINE)
    pytester.makepyfile(test_mine=TESTS)
    result = pytester.runpytest_subprocess(*_plugin())
    result.assert_outcomes(passed=2, failed=2)
    text = result.stdout.str()
    assert text.count("halved is not attention()") >= 2
    assert "scale is 0.0625" in text


OURS = Citation("We 2026", "Our own", "equation 1")


class WithoutRange(Optimizer):
    lr: float = 0.1
    citation = OURS

    def update(self, p: Any, g: Any, t: Any) -> Any:
        return (p - self.lr * g,)


def unranged(x: Any, *, factor: float = 1.0) -> Any:
    return factor * x


class Plain(Optimizer):
    lr: Annotated[float, Range(0, 1)] = 0.1
    citation = OURS


class NothingReturned(Plain):
    def update(self, p: Any, g: Any, t: Any) -> Any:
        p - self.lr * g


class BareReturn(NothingReturned):
    def update(self, p: Any, g: Any, t: Any) -> Any:
        return p - self.lr * g


class StateForgotten(Plain):
    state = State(m=zeros_like_param)

    def update(self, p: Any, g: Any, m: Any, t: Any) -> Any:
        return p - self.lr * g


class Branching(Plain):
    def update(self, p: Any, g: Any, t: Any) -> Any:
        return (p if (g > 0).all() else p - self.lr * g,)


class BranchingOnAnElement(Plain):
    def update(self, p: Any, g: Any, t: Any) -> Any:
        return (p if g > 0 else p - self.lr * g,)


class Summing(Plain):
    def update(self, p: Any, g: Any, t: Any) -> Any:
        return (p - self.lr * g / np.sum(g * g),)


class ForwardOnly(Estimator):
    citation = OURS

    def forward(self, x: Any) -> Any:
        return np.sign(x)


class GradientForgotten(ForwardOnly):
    def backward(self, g: Any, x: Any) -> Any:
        g * x


class CodesForgotten(Affine):
    citation = OURS

    def encode(self, x: Any) -> Any:
        super().encode(x)


class CodesAlone(CodesForgotten):
    def encode(self, x: Any) -> Any:
        return np.rint(x)


class ScoresForgotten(Magnitude):
    citation = OURS

    def scores(self, w: Any) -> Any:
        np.abs(w)


class ScoresOfSums(ScoresForgotten):
    def scores(self, w: Any) -> Any:
        return np.abs(w) / np.sum(w)


DESCENT = lambda p, g, lr: p - np.float32(lr) * g  # noqa: E731
PAIR = (np.sign, lambda g, x: g)
RANGE = "legal: a type with its legal values, such as "
SUM = r"numpy.sum is not an operation of a rule; write tree_sum\(x\)"
BRANCH = "a rule does not branch on an array's values: write numpy.where"
FIRST: list[tuple[Callable[[], Any], Any, str]] = [
    (WithoutRange, None, f"the type of WithoutRange.lr is <class 'float'>; {RANGE}NonNegative, Positive"),
    (lambda: refgrad.formula(x="n")(unranged), None, f"the type of unranged.factor is .*; {RANGE}refgrad.Positive"),
    (NothingReturned, DESCENT, r"returns no tuple; legal: `return \(p,\)`, with the comma"),
    (BareReturn, DESCENT, r"returns no tuple; legal: `return \(p,\)`, with the comma"),
    (StateForgotten, lambda p, g, m, lr: (p, m), "returns no tuple; legal: `return p, m`"),
    (GradientForgotten, PAIR, "body returns None for x_grad; legal: `return` what it is"),
    (CodesForgotten, np.sign, "encode returned None; write `def encode"),
    (CodesAlone, np.sign, "encode returned an ndarray; write `def encode"),
    (ScoresForgotten, np.sign, "body returns None for scores; legal: `return` what it is"),
    (Branching, DESCENT, BRANCH),
    (BranchingOnAnElement, DESCENT, "a branch depends on an array's values; use numpy.where"),
    (ForwardOnly, PAIR, "ForwardOnly has no backward; write `def backward"),
    (Summing, DESCENT, SUM),
    (ScoresOfSums, np.sign, SUM),
]


@pytest.mark.parametrize(("made", "candidate", "message"), FIRST, ids=[f"{i}" for i in range(len(FIRST))])
def test_the_first_errors_of_authors_are_a_sentence_that_says_what_to_write(
    made: Callable[[], Any], candidate: Any, message: str
) -> None:
    with pytest.raises(RefgradError, match=message) as raised:
        refgrad.verify(candidate, made(), explain=False)
    assert not type(raised.value).__name__.startswith("_")
    assert "\n" not in str(raised.value)
