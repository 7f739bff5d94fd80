"""Functions that cannot be traced: what is said where one is declared wrongly, and right and wrong kernels of them."""

from __future__ import annotations

import copy
import itertools
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.fft
import scipy.linalg
import scipy.signal
from click.testing import CliRunner

import refgrad
from refgrad.cli import main
from refgrad.errors import ArgumentError
from refgrad.kinds.opaque import MOST
from refgrad.kinds.table import kind_of
from refgrad.opaque_functions import Opaque
from refgrad.oracle.acceptance.spreads import FEWEST, spreads

pytest_plugins = ["pytester"]

expm = refgrad.opaque(scipy.linalg.expm, A="row row", errors="array")


@refgrad.opaque(x="batch time")
def smoothed(x: Any, *, keep: refgrad.Fraction = 0.9) -> Any:
    """An average that goes on from the one before."""
    y = np.zeros_like(x)
    for t in range(x.shape[-1]):
        y[..., t] = (1 - keep) * x[..., t] + keep * (y[..., t - 1] if t else 0.0)
    return y


cosines = refgrad.opaque(scipy.fft.dct, x="time", errors="array")


@refgrad.opaque(x="batch time", times=40.0)
def filtered(x: Any) -> Any:
    """A Butterworth filter."""
    sections = scipy.signal.butter(2, 0.2, output="sos")
    return scipy.signal.sosfilt(sections, x, axis=-1)


@refgrad.opaque(x="time", times=10.0)
def leaked(x: Any, *, pole: refgrad.Fraction = 0.5) -> Any:
    """The same by a routine that is not looked into."""
    return scipy.signal.lfilter([1 - pole], [1.0, -pole], x)


def leaky(x, pole):
    return scipy.signal.lfilter(np.array([1 - pole], x.dtype), np.array([1.0, -pole], x.dtype), x)


@refgrad.opaque(x="batch number")
def root(x: Any) -> Any:
    """A root by Newton's steps, until they change nothing."""
    x, y = np.abs(x) + 0.5, np.ones_like(x)
    while True:
        new = 0.5 * (y + x / y)
        if np.max(np.abs(new - y), initial=0.0) < 1e-12 * np.max(np.abs(y), initial=1.0):
            return new
        y = new


@refgrad.opaque(x="time")
def parts(x: Any) -> Any:
    """How often neighbours change their order, and the largest number so far."""
    return {"turns": sum(float(a > b) for a, b in itertools.pairwise(x)), "most": np.maximum.accumulate(x)}


def transformed(x):
    return scipy.fft.dct(x)


def by_a_matrix(x):
    n = np.arange(x.size)
    return np.cos(np.pi * n[:, None] * (2 * n + 1) / (2 * x.size)).astype(x.dtype) @ x * x.dtype.type(2)


def other_kind(x):
    return scipy.fft.dct(x, type=3)


def exponential(A):
    return scipy.linalg.expm(A)


def few_terms(A):
    """A series that stops early."""
    times = max(0, int(np.ceil(np.log2(max(np.abs(A).sum(-1).max(), 1e-9)))))
    small = A / A.dtype.type(2**times)
    total = term = np.eye(len(A), dtype=A.dtype)
    for k in range(1, 5):
        term = term @ small / A.dtype.type(k)
        total = total + term
    for _ in range(times):
        total = total @ total
    return total


def scanned(x, keep):
    y, last = np.zeros_like(x), np.zeros(x.shape[0], x.dtype)
    for t in range(x.shape[1]):
        last = last + x.dtype.type(1 - keep) * (x[:, t] - last)
        y[:, t] = last
    return y


def kept_more(x, keep):
    return scanned(x, keep + 1e-4)


def late(x, keep):
    return np.concatenate([x[:, :1] * 0, scanned(x, keep)[:, :-1]], axis=1)


def narrow(x, keep):
    return scanned(np.float32(x), keep).astype(x.dtype)


def in_sections(x):
    sections = scipy.signal.butter(2, 0.2, output="sos").astype(x.dtype)
    return scipy.signal.sosfilt(sections, x, axis=-1).astype(x.dtype)


def other_cut(x):
    sections = scipy.signal.butter(2, 0.2005, output="sos").astype(x.dtype)
    return scipy.signal.sosfilt(sections, x, axis=-1).astype(x.dtype)


def rooted(x):
    return np.sqrt(np.abs(x) + x.dtype.type(0.5))


def one_step(x):
    y = np.float16(rooted(x)).astype(x.dtype)
    return x.dtype.type(0.5) * (y + (np.abs(x) + x.dtype.type(0.5)) / y)


RIGHT = [(exponential, expm), (scanned, smoothed), (in_sections, filtered), (rooted, root), (transformed, cosines)]
RIGHT += [(by_a_matrix, cosines)]
WRONG = [(few_terms, expm), (kept_more, smoothed), (late, smoothed), (other_cut, filtered), (other_kind, cosines)]


@pytest.mark.sample(quick=1)
@pytest.mark.parametrize(("kernel", "rule"), RIGHT)
def test_right_kernels_conform_and_it_is_said_that_this_is_statistical(kernel: Any, rule: Any) -> None:
    verdict = refgrad.verify(kernel, rule())
    assert verdict.conforms, verdict
    assert verdict.mode == "statistical"
    assert str(verdict).splitlines()[1].startswith("statistical: what is allowed of a function that cannot be traced")
    assert json.loads(verdict.to_json())["mode"] == "statistical"
    assert verdict.situations["shapes"] >= 10
    assert any("NaN and infinities" in text for text in verdict.unexercised)


@pytest.mark.slow
@pytest.mark.sample(quick=1)
@pytest.mark.parametrize(("kernel", "rule"), WRONG)
def test_wrong_kernels_do_not(kernel: Any, rule: Any) -> None:
    verdict = refgrad.verify(kernel, rule(), explain=False)
    assert verdict.outcome == "does not conform", verdict
    assert "statistical: " in str(verdict).splitlines()[1]
    assert verdict.counterexample is not None


@pytest.mark.slow
def test_wrong_numbers_are_recovered_and_simple_faults_named() -> None:
    assert refgrad.verify(lambda x, pole: leaky(x, 0.8), leaked(), explain=5).explanation.name == "pole=0.8"
    found = refgrad.verify(lambda x, pole: 2 * leaky(x, pole), leaked(), explain=5)
    assert found.explanation.name == "result is taken twice"


@pytest.mark.slow
def test_a_narrow_kernel_is_rounded_once() -> None:
    assert refgrad.verify(narrow, smoothed(), dtype="bfloat16").conforms
    cut = refgrad.verify(
        lambda x, keep: narrow(x, keep) * x.dtype.type(1.01), smoothed(), dtype="bfloat16", explain=False
    )
    assert cut.outcome == "does not conform"


def test_what_is_less_accurate_is_let_in_by_a_factor() -> None:
    wide = refgrad.opaque(scipy.linalg.expm, A="row row", errors="array", times=1000.0)
    off = lambda A: scipy.linalg.expm(A) * A.dtype.type(1 + 3e-5)  # noqa: E731
    verdict = refgrad.verify(off, wide(), explain=False)
    assert verdict.conforms
    assert "times=1000: a kernel may be off by 1000 times as much as the runs say" in str(verdict)
    assert not refgrad.verify(off, expm(), explain=False).conforms


def test_several_results_and_python_numbers() -> None:
    assert parts()(np.array([3.0, 1.0, 2.0]))["most"].tolist() == [3.0, 3.0, 3.0]
    right = lambda x: {"turns": np.sum(x[:-1] > x[1:]).astype(x.dtype), "most": np.maximum.accumulate(x)}  # noqa: E731
    assert refgrad.verify(right, parts()).conforms
    wrong = lambda x: {"turns": np.sum(x[:-1] >= x[1:]).astype(x.dtype), "most": np.maximum.accumulate(x)}  # noqa: E731
    assert refgrad.verify(wrong, parts(), explain=False).outcome == "does not conform"


def test_what_is_allowed_grows_with_what_errors_become() -> None:
    x = np.float32([[1.0, 1.0 - 2.0**-12]])
    (near, mixed) = spreads(refgrad.opaque(x="batch pair")(lambda x: x[:, 0] - x[:, 1])(), {"x": x})["result"]
    assert near.value.tolist() == [2.0**-12]
    assert 2.0**-24 < near.bound()[0] < 100 * 2.0**-24
    assert not mixed.any()
    assert FEWEST >= 8
    sizes = kind_of(expm()).sizes(expm(), np.dtype(np.float32), 0)
    assert max(a["A"].size for a in sizes.arrays) <= MOST


def test_it_computes_in_float64_and_rounds_once() -> None:
    x = np.float32([[0.1, 0.2]])
    assert smoothed()(x).tobytes() == smoothed()(x.astype(np.float64)).astype(np.float32).tobytes()


@pytest.mark.slow
def test_identify_and_compare_say_it_too() -> None:
    found = refgrad.identify(leaky, leaked())
    assert (found.outcome, found.exit_code) == ("identified", 0)
    assert "statistical: " in str(found)
    both = refgrad.compare(exponential, few_terms, expm())
    assert both.outcome == "no longer conforms"
    assert "statistical: " in str(both)
    assert refgrad.compare(leaky, leaky, leaked()).outcome == "same bits"


def test_it_is_copied_and_pickled() -> None:
    for rule in (smoothed(keep=0.5), expm()):
        for again in (copy.deepcopy(rule), pickle.loads(pickle.dumps(rule))):
            assert again == rule
    assert kind_of(expm()).name == kind_of("transform").name == "transform"
    assert kind_of(expm()) is not kind_of("transform")


FILE = """
import numpy as np
import scipy.linalg
import refgrad

expm = refgrad.opaque(scipy.linalg.expm, A="row row", errors="array")

def right(A):
    return scipy.linalg.expm(A)

def wrong(A):
    return scipy.linalg.expm(-A)
"""


@pytest.mark.slow
def test_the_command_line_and_the_plugin_take_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pytester: pytest.Pytester
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(FILE)
    for word, code in {"right": 0, "wrong": 1}.items():
        run = CliRunner().invoke(main, ["verify", f"mine.py:{word}", "--as", "mine.py:expm", "--no-explain"])
        assert run.exit_code == code, run.output
        assert "statistical: " in run.output
    run = CliRunner().invoke(main, ["show", "mine.py:expm"])
    assert run.exit_code == 0, run.output
    assert "row row" in run.output
    monkeypatch.chdir(pytester.path)
    pytester.makepyfile(
        "import pytest\nimport refgrad\nfrom tests.test_opaque_functions import scanned, smoothed\n\n"
        "@pytest.mark.refgrad(smoothed())\ndef test_it():\n    return scanned\n"
    )
    pytester.runpytest_inprocess("-q", "-p", "no:cacheprovider").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: refgrad.opaque(scipy.linalg.expm),
            "legal: a function, and the axes of its arrays, as in refgrad.opaque",
        ),
        (lambda: refgrad.opaque(3, x="n"), "what is opaque is 3; legal: a function, such as scipy.linalg.expm"),
        (
            lambda: refgrad.opaque(np.linalg.solve, b="n", a="n n"),
            "solve takes a, b first; legal: axes of these, in this order",
        ),
        (lambda: refgrad.opaque(np.exp, x="n", errors="rows"), "errors is 'rows'; legal: "),
        (lambda: refgrad.opaque(np.exp, x="n", times=0.5), r"times is 0.5; legal: a number in \[1"),
        (
            lambda: refgrad.opaque(np.exp, x="n", lengths="n"),
            "an array of the name 'lengths' is taken by refgrad.opaque",
        ),
        (
            lambda: refgrad.opaque(x="n")(lambda x, k: x),
            "what is said of <lambda>'s k is None; legal: the names of its axes",
        ),
        (
            lambda: refgrad.opaque(x="n")(lambda x, *, k=1: x),
            "the type of <lambda>.k is 'not said'; legal: a type with its",
        ),
        (lambda: refgrad.opaque(x="n")(np.exp), "what is decorated is .*; legal: a function, defined by `def`"),
        (
            lambda: refgrad.opaque(x="n")(lambda x: np.fft.fft(x))()(np.ones(3)),
            "returned complex numbers; legal: real ones",
        ),
        (
            lambda: refgrad.opaque(x="n")(lambda x: None)()(np.ones(3)),
            "<lambda> returned None; legal: `return` an array",
        ),
        (
            lambda: refgrad.opaque(x="n")(lambda x: ["a"])()(np.ones(3)),
            "legal: an array of numbers, or a tuple or dict",
        ),
        (lambda: expm.backward, "expm cannot be traced, and has no gradient; legal: one more opaque function"),
        (lambda: expm.form("other"), "expm is judged by statistics; legal: forms of a refgrad.formula"),
        (lambda: expm()(np.ones((2, 3))), r"A.shape is \(2, 3\); legal: row = 2, as in A"),
    ],
)
def test_what_is_declared_wrongly_is_said(make: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make()


def test_a_function_that_takes_nothing_of_what_it_is_tried_on_is_said() -> None:
    @refgrad.opaque(x="n")
    def never(x: Any) -> Any:
        raise ValueError("five at least")

    with pytest.raises(
        ArgumentError, match=r"never gives nothing finite: .*five at least.*; legal: a function that takes"
    ):
        refgrad.verify(lambda x: x, never())


def test_undecided_where_runs_with_errors_are_no_numbers() -> None:
    @refgrad.opaque(x="n")
    def edge(x: Any) -> Any:
        return np.sqrt(x * 3.0 / 3.0 - x)

    assert issubclass(edge, Opaque)
    verdict = refgrad.verify(lambda x: x * 0, edge(), explain=False)
    assert verdict.total.undecided
