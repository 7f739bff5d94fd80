"""Formulas of one's own: what is said where one is written wrongly, and right and wrong kernels of it."""

from __future__ import annotations

import copy
import pickle
import sys
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
from refgrad.oracle.acceptance.judgement import OUTSIDE
from refgrad.rule import REGISTRY, Citation
from refgrad.strength.programs import programs_of
from refgrad.strength.rounding_styles import STYLES

GALLERY = {name: cls for name, cls in vars(gallery).items() if isinstance(cls, type) and issubclass(cls, Formula)}
#: formulas that take a softmax
SHARES = ("softmax", "attention", "causal_attention", "top_2_routing")
#: mutants of a softmax that are the softmax: twice an exponential, or minus it, above and below
SAME = {name: {"exp is taken twice", "exp has the other sign"} for name in SHARES}

#: settings at which each of a formula's terms shows
SETTINGS: dict[str, dict[str, float]] = {
    "cross_entropy": {"z_loss": 1e-3},
    "cross_entropy_of_labels": {"smoothing": 0.1, "z_loss": 1e-3},
}


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


@pytest.mark.slow
@pytest.mark.sample(quick=1, suite=2)
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@refgrad.formula(x="batch feature")
def both(x: Any) -> dict[str, Any]:
    return {"twice": x * 2, "cubed": x**3}


def fault_of(candidate: Any) -> str:
    (fault,) = refgrad.verify(candidate, both(), explain=False).faults
    return fault.message


def test_results_go_by_their_names() -> None:
    assert refgrad.verify(lambda x: {"cubed": x * x * x, "twice": x + x}, both()).conforms
    assert refgrad.verify(lambda x: (x + x, x * x * x), both()).conforms  # in the formula's order
    assert not refgrad.verify(lambda x: (x * x * x, x + x), both(), explain=False).conforms
    assert "returned 3 results; legal: 2" in fault_of(lambda x: (x + x, x * x * x, x))
    assert "returned cubed; legal: 2" in fault_of(lambda x: {"cubed": x}) or "returned 1 results" in fault_of(
        lambda x: {"cubed": x}
    )
    assert "twice is 'two'; legal: an array of numbers" in fault_of(lambda x: {"cubed": x, "twice": "two"})
    assert refgrad.verify(lambda x: (x + x,), refgrad.formula(x="n")(lambda x: 2 * x)()).conforms


#: bodies, and right kernels of them
BODIES: dict[str, tuple[Any, Any]] = {
    "cube": (lambda x: x**3, lambda x: np.power(x, np.float32(3))),
    "inverse": (lambda x: x**-1, lambda x: 1 / x),
    "root": (lambda x: (x * x + 1.0) ** -0.5, lambda x: 1 / np.sqrt(x * x + np.float32(1))),
    "power": (lambda x: np.power(np.abs(x), 1.5), lambda x: np.sqrt(np.abs(x)) * np.abs(x)),
    "clip above": (lambda x: np.clip(x, None, 1), lambda x: np.minimum(x, np.float32(1))),
    "clip below": (lambda x: np.clip(x, -1, None), lambda x: np.maximum(x, np.float32(-1))),
    "clip by name": (lambda x: np.clip(x, a_min=-1, a_max=1), lambda x: np.clip(x, np.float32(-1), np.float32(1))),
    "clip of an array": (lambda x: x.clip(-1, 1), lambda x: np.clip(x, np.float32(-1), np.float32(1))),
    "conditions": (lambda x: np.where((x > 0) & ~(x > 1), x, -x), lambda x: np.where((x > 0) & (x <= 1), x, -x)),
    "logical": (
        lambda x: np.where(np.logical_or(x > 1, x < 0), x, 0.0),
        lambda x: np.where((x > 1) | (x < 0), x, x * 0),
    ),
    "select": (
        lambda x: np.select([x > 1, x < -1], [2 * x, 3 * x]),
        lambda x: x * (2 * (x > 1) + 3 * (x < -1)).astype("f4"),
    ),
    "counted": (lambda x: np.mean((x > 0) * x), lambda x: np.mean((x > 0) * x)),
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies_mean_what_numpy_means(name: str) -> None:
    body, kernel = BODIES[name]
    rule = refgrad.formula(x="n")(body)()
    with np.errstate(all="ignore"):
        assert refgrad.verify(kernel, rule, explain=False, shrink=False).conforms
        assert not refgrad.verify(lambda x: kernel(x) * np.float32(1.001), rule, explain=False, shrink=False).conforms


def test_a_body_may_write_to_its_arrays() -> None:
    def moved(x: Any) -> Any:
        x += 1
        x[0] = 0
        return x

    rule, x = refgrad.formula(x="n")(moved)(), np.ones(3, np.float32)
    assert rule(x).tolist() == [0, 2, 2]
    assert x.tolist() == [1, 1, 1]
    assert refgrad.verify(lambda x: np.concatenate([x[:1] * 0, x[1:] + np.float32(1)]), rule, explain=False).conforms


def into_zeros(x: Any) -> Any:
    y = np.zeros(x.shape[0])
    for i in range(x.shape[0]):
        y[i] = x[i]
    return y


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (lambda x: x * undefined, "body raised NameError: name 'undefined' is not defined"),  # type: ignore[name-defined] # noqa: F821
        (lambda x: x.shape, "returned 6 as a result; legal: arrays of floats"),
        (lambda x: "text", "returned 'text' as a result"),
        (lambda x: {}, "returned nothing"),
        (lambda x: {"a": (x, x)}, "returned a tuple as a result"),
        (lambda x: 2**x, r"an exponent is an array; write np.exp\(y \* np.log\(x\)\)"),
        (lambda x: np.abs(x) ** 0.75, r"a power has exponent 0.75; legal: whole numbers and halves"),
        (lambda x: x // 2, "numpy.floor_divide has no bound in refgrad"),
        (lambda x: x[x > 0], r"write numpy.where\(x > 0, x, 0.0\)"),
        (lambda x: np.asarray(x), "numbers are made of an array, as by numpy.asarray"),
        (into_zeros, "where an array of numpy.zeros is filled; write numpy's functions, and numpy.stack"),
        (lambda x: x * x[0].item(), "an array's item is not known to refgrad"),
        (lambda x: {1: x}, "returned a result by the name 1; legal: names that are texts"),
        (lambda x: sys.exit(3), "body raised SystemExit: 3"),
    ],
)
def test_what_is_wrong_with_a_body_is_not_said_of_the_kernel(body: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message) as raised:
        refgrad.verify(lambda x: x, refgrad.formula(x="n")(body)())
    assert not {"Ranged", "Decision", "transform"} & set(str(raised.value).split())


@pytest.mark.parametrize(
    "kind", [lambda x: x.view(np.matrix), lambda x: np.ma.array(x, mask=x > 0)], ids=["matrix", "masked"]
)
def test_a_body_that_gives_another_kind_of_array_is_refused(kind: Any) -> None:
    rule, x = refgrad.formula(x="n m")(kind)(), np.ones((2, 2), np.float32)
    with pytest.raises(
        ArgumentError, match=r"<lambda> returned a (matrix|MaskedArray) as a result; legal: arrays of floats"
    ):
        rule(x)
    assert type(refgrad.formula(x="n m")(lambda x: x + 1)()(x.view(np.matrix))) is np.ndarray


@pytest.mark.parametrize("text", ["refgrad.Nope", "Nope", "a b", "refgrad.Positive.nope"])
def test_a_type_that_is_nowhere_is_said(text: str) -> None:
    def scaled(x: Any, *, eps: Any = 1.0) -> Any:
        return x * eps

    scaled.__annotations__ = {"eps": text}
    with pytest.raises(
        ArgumentError, match=rf"the type of scaled.eps is '{text}'; legal: a type with its legal values"
    ):
        refgrad.formula(x="n")(scaled)


def test_a_formula_is_called_by_the_names_of_its_arrays() -> None:
    x, weight = np.ones((2, 3)), np.full(3, 2.0)
    np.testing.assert_array_equal(rmsnorm()(weight=weight, x=x), rmsnorm()(x, weight))
    with pytest.raises(ArgumentError, match="rmsnorm was called without weight; legal: x, weight"):
        rmsnorm()(x=x)
    with pytest.raises(ArgumentError, match=r"rmsnorm was called with arrays; legal: .*rmsnorm\(\)\(x, weight\)"):
        rmsnorm(x)
    with pytest.raises(ArgumentError, match=r"refgrad.formula was called with .*; legal: @refgrad.formula\(x="):
        refgrad.formula(fused)  # type: ignore[arg-type]


def test_names_that_are_taken_are_refused() -> None:
    with pytest.raises(ArgumentError, match=r"an array of the name 'lengths': this name is taken by refgrad.formula"):
        refgrad.formula(lengths="n")  # type: ignore[arg-type]
    for name in ("kind", "scalars", "self", "function", "shapes"):
        names: dict[str, Any] = {"refgrad": refgrad}
        exec(f"def f(x, *, {name}: refgrad.Real = 2.0): return x * {name}", names)
        with pytest.raises(ArgumentError, match=f"f's {name}: this name is taken by every rule; legal: another name"):
            refgrad.formula(x="n")(names["f"])


@pytest.mark.parametrize("count", [512, 2048, 8192])
def test_sums_of_the_first_ones_alone_are_refused(count: int) -> None:
    def first(x: Any, weight: Any, eps: Any) -> Any:
        total = np.sum(np.square(x[:, :count]), axis=-1, keepdims=True) / np.float32(x.shape[1])
        return x / np.sqrt(total + np.float32(eps)) * weight

    verdict = refgrad.verify(first, rmsnorm(), explain=False, shrink=False)
    assert verdict.situation == "shapes"


@pytest.mark.slow
def test_arrays_for_one_another_and_other_axes_are_named() -> None:
    swiglu = gallery.swiglu()
    exchanged = refgrad.verify(lambda x, gate: swiglu(gate, x), swiglu)
    assert exchanged.explanation.name == "x and gate are exchanged"
    columns = lambda x, weight, eps: x / np.sqrt(np.mean(x * x, axis=0, keepdims=True) + np.float32(eps)) * weight  # noqa: E731
    assert refgrad.verify(columns, rmsnorm()).explanation.name == "mean is taken over the other axis"
    nothing = refgrad.verify(lambda x: np.sin(x) + np.float32(2), refgrad.formula(x="n")(lambda x: x + 1)())
    assert str(nothing).splitlines()[1].startswith("no known departure explains it")


def test_what_the_formula_makes_nan_of_is_left_out_and_said() -> None:
    unbiased = refgrad.formula(x="batch feature")(lambda x: np.var(x, axis=-1, ddof=1))()
    verdict = refgrad.verify(unbiased, unbiased)
    assert verdict.conforms
    assert any("feature = 1" in each and "the formula itself gives NaN" in each for each in verdict.unexercised)


def outside(rule: Formula, style: str) -> list[str]:
    """The cases in which random right programs of a style leave the sets of its policy."""
    programs: Any = programs_of(rule)
    random, found = np.random.Generator(np.random.Philox(1)), []
    for case in programs.cases(0):
        seen = {n: a.astype(np.float32) for n, a in programs.legal(case, random, STYLES[style]).items()}
        judged = programs.kind.judge(rule, case.arrays, seen, STYLES[style].policy)
        found += [case.name for known, _ in judged.values() if (known.status == OUTSIDE).any()]
    return found


@pytest.mark.slow
@pytest.mark.sample(quick=1, suite=3)
@pytest.mark.parametrize("name", GALLERY)
def test_formulas_of_the_gallery_tell_wrong_programs_from_right_ones(name: str) -> None:
    """The formula itself conforms, right programs lie within its sets, and every program with another operation is refused."""
    rule = GALLERY[name](**SETTINGS.get(name, {}))
    kind: Any = kind_of(rule)
    assert refgrad.verify(rule, rule, explain=False).conforms
    assert [found for style in STYLES for found in outside(rule, style)] == []
    accepted = set()
    for altered, _, how in kind.rewritten(rule):
        other = kind.departed(rule, how)
        verdict = refgrad.verify(lambda *a, f=other.apply: f(*a), rule, explain=False, shrink=False)
        accepted |= {altered} if verdict.conforms else set()
    assert accepted <= SAME.get(name, set())


def test_an_illegal_default_is_said_at_the_decorator() -> None:
    with pytest.raises(ArgumentError, match=r"eps is -1\.0; legal: "):

        @refgrad.formula(x="n")
        def negative(x: Any, *, eps: refgrad.Positive = -1.0) -> Any:
            return x + eps


def test_a_kernel_of_keywords_alone_is_called_by_the_arrays_names() -> None:
    @refgrad.formula(x="n", y="n")
    def weighted(x: Any, y: Any, *, scale: refgrad.Positive = 2.0) -> Any:
        return x * scale + y

    right = lambda **given: np.float32(given.get("scale", 2.0)) * given["x"] + given["y"]  # noqa: E731
    assert refgrad.verify(right, weighted(), explain=False).conforms
    assert not refgrad.verify(lambda **given: given["x"] + given["y"], weighted(), explain=False).conforms


@pytest.mark.slow
def test_a_number_that_is_added_and_one_that_is_the_least_are_told_apart() -> None:
    @refgrad.formula(x="batch feature")
    def normalize(x: Any, *, eps: refgrad.Positive = 1e-6) -> Any:
        return x / np.maximum(np.sqrt(np.sum(x * x, axis=-1, keepdims=True)), eps)

    added = lambda x, eps: x / (np.sqrt(np.sum(x * x, axis=-1, keepdims=True)) + np.float32(eps))  # noqa: E731
    verdict = refgrad.verify(added, normalize(), shrink=False)
    assert verdict.outcome == "does not conform"
    assert verdict.explanation.name == "add stands for maximum"


def online(x: Any, least_rise: float = 0.0) -> Any:
    """A softmax in one pass; what was added up is made smaller where the maximum rises by more than a number."""
    most, total = np.full(len(x), -np.inf, x.dtype), np.zeros(len(x), x.dtype)
    with np.errstate(all="ignore"):
        for column in x.T:
            larger = np.maximum(most, column)
            before = np.where(larger - most > x.dtype.type(least_rise), np.exp(most - larger), x.dtype.type(1))
            total = np.where(np.isneginf(most), 0, total * before) + np.exp(column - larger)
            most = larger
        return (np.exp(x - most[:, None]) / total[:, None]).astype(x.dtype)


def never_far_below(x: Any) -> Any:
    shares = np.exp(np.maximum(x - np.max(x, axis=-1, keepdims=True), x.dtype.type(-15)))
    return shares / np.sum(shares, axis=-1, keepdims=True)


@refgrad.formula(logits="row column", seen="row column below:2")
def masked(logits: Any, seen: Any) -> Any:
    """Shares of what is seen; none where nothing is."""
    some = np.max(seen, axis=-1, keepdims=True) > 0
    return np.where(some, refgrad.softmax(np.where(seen > 0, logits, -np.inf)), 0.0)


def by_selection(logits: Any, seen: Any) -> Any:
    low = np.where(seen > 0, logits, -np.inf).astype(logits.dtype)
    with np.errstate(all="ignore"):
        shares = np.exp(low - np.max(low, axis=-1, keepdims=True, initial=-np.inf))
        found = shares / np.sum(shares, axis=-1, keepdims=True)
    return np.where(np.any(seen > 0, axis=-1, keepdims=True), found, logits.dtype.type(0))


def by_a_large_number(logits: Any, seen: Any) -> Any:
    """Where nothing is seen, all shares are alike."""
    low = np.where(seen > 0, logits, logits.dtype.type(-1e30))
    shares = np.exp(low - np.max(low, axis=-1, keepdims=True))
    return shares / np.sum(shares, axis=-1, keepdims=True)


@pytest.mark.parametrize(
    ("right", "wrong", "rule"),
    [
        pytest.param(online, lambda x: online(x, 0.01), gallery.softmax(), id="a maximum that rises slowly"),
        pytest.param(online, never_far_below, gallery.softmax(), id="one dominating number"),
        pytest.param(by_selection, by_a_large_number, masked(), id="rows that are all masked"),
    ],
)
def test_aimed_inputs_tell_faults_of_few_rows_from_right_programs(right: Any, wrong: Any, rule: Any) -> None:
    assert refgrad.verify(lambda *arrays: right(*arrays), rule, explain=False, shrink=False).conforms
    assert refgrad.verify(lambda *arrays: wrong(*arrays), rule, explain=False).outcome == "does not conform"
