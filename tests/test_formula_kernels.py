"""Kernels of formulas: the bits of the body in every dialect, one sentence where there is none, and the page's table."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import refgrad
from refgrad import backends, formula_kernels, gradients, optimizers
from refgrad.arithmetic.dtypes import whole_numbers
from refgrad.arithmetic.fixed_bits import as_fixed
from refgrad.backends import c_dialect, kernels, numba_backend
from refgrad.backends.cuda.run import run as run_on_device
from refgrad.cli import main
from refgrad.errors import ArgumentError
from refgrad.examples import formulas as gallery
from refgrad.formula_kernels import NoFormulaKernel, kernel_of, run
from refgrad.formula_tapes import tape_for
from refgrad.formulas import Formula
from refgrad.optimizers.transform import Transform, axes_named
from refgrad.oracle.inputs.transforms import generate
from refgrad.rule import rules as every_rule
from tests.backends.cuda.conftest import emulated  # noqa: F401  # a fixture
from tests.backends.cuda.covered import Case, different
from tests.backends.cuda.devices import Emulated
from tests.backends.test_dialect import compiled, needs_compiler
from tests.depth import at_depth

PAGE = Path(__file__).parent.parent / "docs" / "formula.md"
FORMULAS = [c for c in vars(gallery).values() if isinstance(c, type) and issubclass(c, Formula) and c is not Formula]


def rules() -> Iterator[Formula]:
    """Those of the gallery, and their gradients."""
    for each in FORMULAS:
        yield each()
        if each.wrt:
            yield each().backward
            yield each().with_backward


def has_kernel(rule: Transform) -> bool:
    try:
        kernel_of(rule)
    except NoFormulaKernel:
        return False
    return True


@refgrad.formula(x="a b 1 c", weight="b", shift="c a", wrt="x")
def of_three_axes(x: Any, weight: Any, shift: Any, *, share: refgrad.Fraction = 0.3) -> Any:
    """An axis of length one, arrays with some of the axes, in another order, and results that are turned."""
    moved = x[:, :, 0] * weight[:, None] + shift.T[:, None, :] ** 3
    return {
        "x": np.where(np.abs(moved) > share, moved, 0.0).transpose(2, 0, 1),
        "all": np.max(moved),
        "n": np.min(x, -1),
    }


@refgrad.formula(x="row column", wrt="x", lengths={"row": 6, "column": 5})
def folds(x: Any) -> Any:
    """Folds of folds, of conditions, over each axis and both; a root of a sum that may be zero, and kinks."""
    norms = np.linalg.norm(x, axis=0)
    counted = np.sum(x > 0.0, axis=-1, keepdims=True) + np.var(x, axis=-1, keepdims=True, ddof=1)
    return (
        np.clip(x, -1.0, 1.5) / (1.0 + norms) + np.abs(x) * counted,
        np.max(np.mean(x, axis=-1)),
        np.log(np.sum(x**2)),
    )


@refgrad.formula(x="token word", labels="token below:word", wrt="x")
def of_labels(x: Any, labels: Any) -> Any:
    """Labels that are numbers, that pick, and that are rows of zeros and a one."""
    hot = refgrad.one_hot(labels, x.shape[-1])
    return np.sum(hot * np.exp(x), axis=-1) * refgrad.take(x, labels) + np.where(labels > 2, 0.5, 1.0)


OWN = (of_three_axes, folds, of_labels)


@cache
def printed() -> tuple[Formula, ...]:
    return (*(r for r in rules() if has_kernel(r)), *(r for own in OWN for r in (own(), own().backward)))


def drawn(rule: Formula, dtype: Any, long: bool, wild: bool) -> list[np.ndarray]:
    """Arrays of a few rows that are longer than a block of a sum, or of short ones; wild ones have infinities and NaN."""
    random = np.random.default_rng(7)
    lengths = {
        a: int(a) if a.isdigit() else n for a, n in zip(rule.lengths, (3, 1500) if long else (7, 6, 5, 4), strict=False)
    }
    lengths = {a: lengths.get(a, int(a) if a.isdigit() else 2) for a in rule.lengths}
    found = []
    for array in rule.drawn(lengths, random).values():
        if whole_numbers(array):
            found.append(array)
            continue
        numbers = random.standard_normal(array.shape) * np.exp(random.standard_normal(array.shape))
        if wild:
            special = random.choice([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, 1e-30], array.shape)
            numbers = np.where(random.random(array.shape) < 0.1, special, numbers)
        found.append(np.asarray(numbers, dtype))
    return found


def several(found: Any) -> dict[str, np.ndarray]:
    found = found if isinstance(found, dict) else dict(enumerate(found if isinstance(found, tuple) else [found]))
    return {str(name): np.atleast_1d(x) for name, x in found.items()}


#: rules in whose kernels every fold, function and label is
@refgrad.formula(x="row column", y="row column", wrt="x y")
def functions(x: Any, y: Any) -> Any:
    """Functions whose text is refgrad's own and no machine's."""
    return {
        "angle": np.arctan2(y, x) - np.arctan(y),
        "grown": np.sinh(x) - np.cosh(y) + np.exp2(x) * np.expm1(y),
        "logarithms": np.log2(np.abs(x)) + np.log1p(np.abs(y)),
    }


SOME = (
    functions(),
    functions().backward,
    gallery.rmsnorm().backward,
    gallery.gelu().backward,
    gallery.cross_entropy_of_labels().backward,
    of_three_axes(),
    folds(),
)
CASES = [(np.float32, False, False), (np.float32, True, True), (np.float64, False, True), (np.float64, True, False)]


@pytest.mark.sample(quick=1, suite=5)
@pytest.mark.parametrize("rule", printed(), ids=lambda rule: type(rule).__name__)
def test_the_compiled_kernel_has_the_bits_of_the_body(rule: Formula) -> None:
    with np.errstate(all="ignore"):
        for dtype, long, wild in CASES:
            arrays = drawn(rule, dtype, long, wild)
            wanted, found = (several(run(rule, [a.copy() for a in arrays], backend)) for backend in ("numpy", "numba"))
            assert list(found) == list(wanted)
            assert {name: different(found[name], wanted[name]) for name in wanted} == dict.fromkeys(wanted, 0)
            plain = several(rule.apply(*(a.copy() for a in arrays)))  # NumPy's own functions: the same but for rounding
            for name, x in wanted.items() if not wild and dtype is np.float64 else ():
                np.testing.assert_allclose(x, plain[name], rtol=1e-9, atol=1e-10 * np.abs(plain[name]).max())


#: rules of refgrad's own that have kernels
REFGRADS: list[Any] = [rule for cls in every_rule(Transform).values() if has_kernel(rule := cls())]  # type: ignore[arg-type]


@pytest.mark.sample(quick=1, suite=6)
@pytest.mark.parametrize("rule", REFGRADS, ids=str)
def test_kernels_of_refgrads_own_functions_of_arrays_have_the_bits_of_their_bodies(rule: Transform) -> None:
    for dtype in (np.float32, np.float64):
        for given in generate(rule, 4, np.dtype(dtype), 0).arrays:
            with np.errstate(all="ignore"):
                copies = ([a.copy() for a in given.values()] for _ in range(2))
                wanted, found = (
                    several(run(rule, each, by)) for each, by in zip(copies, ("numpy", "numba"), strict=True)
                )
            assert list(found) == list(wanted)
            assert {name: different(found[name], wanted[name]) for name in wanted} == dict.fromkeys(wanted, 0)


def test_refgrads_own_functions_of_arrays_say_what_keeps_them_from_a_kernel() -> None:
    assert len(REFGRADS) > 40
    for rule, said in (
        (gradients.Krum(), "an array has an axis twice"),
        (gradients.GeometricMedian(), "it is known by a condition of its results"),
        (gradients.TremaineWeinberg(), "repeated along some of the axes alone, is folded"),
        (optimizers.SpikedRate(), "it takes numbers, and no arrays"),
    ):
        with pytest.raises(NoFormulaKernel, match=said):
            kernel_of(rule)


@pytest.mark.parametrize("length", [1, 7, 2000])
def test_a_formula_of_one_axis_has_a_kernel(length: int) -> None:
    """It had none, and a sentence of Python's for the reason."""

    @refgrad.formula(x="n", y="n")
    def shares(x: Any, y: Any) -> Any:
        return {"shares": refgrad.softmax(x) * np.mean(y), "all": np.sum(x * y)}

    arrays = list(np.random.default_rng(length).standard_normal((2, length)))
    wanted, found = (several(run(shares(), [a.copy() for a in arrays], by)) for by in ("numpy", "numba"))
    assert {name: different(found[name], wanted[name]) for name in wanted} == {"shares": 0, "all": 0}


def test_a_number_that_is_repeated_along_rows_alone_has_no_kernel() -> None:
    """Its kernel raised ValueError, for it had one number a column in place of one of all."""

    @refgrad.formula(x="row column")
    def count(x: Any) -> Any:
        return np.sum(np.ones_like(np.sum(x, axis=1))) + np.max(x)

    assert count()(np.ones((3, 2))) == 4.0
    with pytest.raises(NoFormulaKernel, match="repeated along some of the axes"):
        kernel_of(count())


@pytest.mark.parametrize(
    ("source", "text"), [("c", "void GradCAM_pass_1("), ("cuda", "__global__"), ("numba", "def GradCAM_pass_1(")]
)
def test_the_command_prints_refgrads_own_functions_of_arrays(source: str, text: str) -> None:
    done = CliRunner().invoke(main, ["show", "GradCAM", "--source", source])
    assert (done.exit_code, text in done.output) == (0, True), done.output
    done = CliRunner().invoke(main, ["show", "RenderingErrorMap", "--source", source])
    assert (done.exit_code, "numpy.percentile is called" in done.output) == (64, True), done.output


def held(rule: Formula, arrays: list[np.ndarray]) -> tuple[Any, dict[str, np.ndarray]]:
    kernel, working = kernel_of(rule), next(a.dtype for a in arrays if a.dtype.kind == "f")
    return kernel, kernel.arrays(rule, dict(zip(rule.shapes, arrays, strict=True)), working)


def lengths_of(rule: Formula, arrays: list[np.ndarray], kernel: Any) -> dict[str, int]:
    return kernel.lengths(rule, dict(zip(rule.shapes, arrays, strict=True)))


@needs_compiler
@pytest.mark.slow
@pytest.mark.sample(suite=4)
@pytest.mark.parametrize("rule", printed(), ids=lambda rule: type(rule).__name__)
def test_the_kernel_in_c_has_the_bits_of_the_body(
    rule: Formula, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "get", cache(lambda source: compiled(source, tmp_path, "C++")))
    for dtype, long, wild in CASES[1:3]:
        arrays = drawn(rule, dtype, long, wild)
        kernel, given = held(rule, arrays)
        free = kernel.free(lengths_of(rule, arrays, kernel))
        numba_backend.run(kernel.plan, free, given, 1, dialect=c_dialect.DIALECT)
        with np.errstate(all="ignore"):
            wanted = several(run(rule, arrays, "numpy"))
        found = several(kernel.found(given, lengths_of(rule, arrays, kernel)))
        assert {name: different(found[name], wanted[name]) for name in wanted} == dict.fromkeys(wanted, 0)


@needs_compiler
@pytest.mark.slow
def test_the_kernel_in_cuda_has_the_bits_of_the_body(emulated: Emulated) -> None:  # noqa: F811
    cases = []
    for rule in at_depth(quick=[], suite=SOME, thorough=printed()):
        arrays = drawn(rule, np.float32, False, True)
        kernel, given = held(rule, arrays)
        case = Case(kernel.plan, kernel.free(lengths_of(rule, arrays, kernel)), given)
        cases.append((rule, arrays, kernel, case))
    emulated.compile([source for *_, case in cases for source in case.sources()])
    for emulated.seed, (rule, arrays, kernel, case) in enumerate(cases, 1):
        there = {name: emulated.put(a) for name, a in case.arrays.items()}
        run_on_device(case.plan, case.free, there, emulated)
        with np.errstate(all="ignore"):
            wanted = several(run(rule, arrays, "numpy"))
        lengths = lengths_of(rule, arrays, kernel)
        found = several(kernel.found({name: np.asarray(a) for name, a in there.items()}, lengths))
        assert {name: different(found[name], wanted[name]) for name in wanted} == dict.fromkeys(wanted, 0), rule


def test_large_arrays_are_computed_by_the_kernel_and_small_ones_wait_for_no_compiler(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []
    monkeypatch.setattr(numba_backend, "run", lambda *args, **kwargs: asked.append(args))
    monkeypatch.setattr(backends, "WORTH_COMPILING", 64)
    monkeypatch.setattr(numba_backend, "at_hand", lambda *args: False)
    rule = gallery.softmax()
    for length, runs in ((31, 0), (64, 0), (256, 1)):
        rule(np.zeros((1, length), np.float32))
        assert len(asked) == runs
    gallery.linear()(*(np.zeros(s, np.float32) for s in ((40, 40), (40, 40), (40,))))  # which has none
    assert len(asked) == 1
    assert rule(np.zeros((0, 5), np.float32)).shape == (0, 5)


def lengthened(rule: Transform, dtype: Any) -> list[np.ndarray]:
    """Arrays of a rule of which the largest has 262,144 elements at least, and not many times that."""
    known = {a: int(a) if a.isdigit() else n for a, n in rule.lengths.items()}
    widest = max(
        (axes_named(text) for text in rule.shapes.values()), key=lambda axes: math.prod(known[a] for a in axes)
    )
    longest = next(a for a in widest[::-1] if not a.isdigit())
    known[longest] = -(
        -backends.WORTH_COMPILING * formula_kernels.SELDOM * known[longest] // math.prod(known[a] for a in widest)
    )
    arrays = rule.drawn(known, np.random.default_rng(3))
    return [a.astype(dtype) if a.dtype.kind == "f" else a for a in arrays.values()]


#: those whose arrays may be long
LONG = [rule for rule in REFGRADS if any(not a.isdigit() for text in rule.shapes.values() for a in axes_named(text))]


@pytest.mark.slow
@pytest.mark.sample(suite=3)
@pytest.mark.parametrize("rule", LONG, ids=str)
def test_a_call_of_large_arrays_runs_the_kernel_with_the_bits_of_the_body(
    rule: Transform, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays, ran, own = lengthened(rule, np.float32), [], numba_backend.run

    def seen(*args: Any, **kwargs: Any) -> Any:
        ran.append(args)
        return own(*args, **kwargs)

    monkeypatch.setattr(numba_backend, "run", seen)
    found = several(rule(*arrays))
    assert len(ran) == 1
    with np.errstate(all="ignore"):
        wanted = several(run(rule, [a.copy() for a in arrays], "numpy"))
    kept = {name: np.asarray(x, found[name].dtype) for name, x in wanted.items()}
    assert {name: different(found[name], kept[name]) for name in kept} == dict.fromkeys(kept, 0)
    with np.errstate(all="ignore"):
        plain = several(rule.apply(*(a.astype(np.float64) if a.dtype.kind == "f" else a for a in arrays)))
    for name, x in plain.items():
        scale = np.abs(x[np.isfinite(x)]).max(initial=0.0)
        np.testing.assert_allclose(found[name], x, rtol=1e-3, atol=1e-3 * scale)


def test_small_arrays_and_rules_without_a_kernel_have_their_body(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba_backend, "run", None)
    small = np.random.default_rng(0).standard_normal((2, 3, 200, 300)).astype(np.float32)
    assert np.array_equal(gradients.GradCAM()(*small), gradients.GradCAM().apply(*small))
    large = np.random.default_rng(0).standard_normal((3, 100_000)).astype(np.float32)
    assert np.array_equal(gradients.CoordinateMedian()(large), np.median(large, axis=0))
    points = np.random.default_rng(0).standard_normal((3, 100_000))
    np.testing.assert_allclose(gradients.GeometricMedian()(points), gradients.GeometricMedian().apply(points))


def test_labels_that_the_working_dtype_has_not_are_left_to_the_body() -> None:
    rule = refgrad.formula(x="n", labels="n below:50000000")(lambda x, labels: np.where(labels == 33554433, x, 0.0))()
    arrays = [np.ones(2, np.float32), np.array([33554432, 33554433])]
    assert run(rule, arrays, "numba").tolist() == run(rule, arrays, "numpy").tolist()


NONE = {
    "functions": (lambda x: np.arcsin(x), "numpy.arcsin is called"),
    "sorts": (lambda x: np.sort(x, axis=-1), "numpy.sort is called"),
    "slices": (lambda x: x[:, 1:] - x[:, :-1], "numbers are moved to other places"),
    "flat": (lambda x: np.sum(x.reshape(-1)), "numbers are moved to other places"),
    "powers": (lambda x: x**0.3, "a power has an exponent that is no half"),
    "matrices": (lambda x: x @ x.T, "matrices are multiplied, by @"),
    "functions of lengths": (lambda x: x * math.cbrt(x.shape[-1]), "a number is made of the length of an axis"),
    "logarithms of lengths": (lambda x: x * np.log(x.shape[-1]), "numpy.log of a length is taken"),
    "whole numbers": (lambda x: x * int(x.shape[-1] ** 0.5), "int() of a number made of lengths"),
    "branches on lengths": (lambda x: x if x.shape[-1] > 4 else -x, "a branch depends on the length of an axis"),
    "lengths of one": (lambda x: x if x.shape[-1] == 1 else -x, "a branch depends on the length of an axis"),
    "even lengths": (lambda x: x if x.shape[-1] % 2 else -x, "a branch depends on the length of an axis"),
    "larger lengths": (lambda x: x * max(x.shape[-1] - 1, 1), "a branch depends on the length of an axis"),
    "constants": (lambda x: x * np.arange(x.shape[-1]), "an array is made in the body"),
    "counts": (lambda x: np.where((x > 0) + (x < 1), x, 0.0), "truth values are added"),
    "parts": (lambda x: np.concatenate([x, x]), "arrays are joined"),
    "places": (lambda x: x[np.argsort(x[:, 0])], "numbers are moved to other places"),
    "diagonal": (lambda x: x + x.T, "the axes row and column meet in one place"),
}


OF_LENGTHS = {
    "power": lambda x: x * x.shape[-1] ** -0.5,
    "root": lambda x: x / np.sqrt(x.shape[-1]),
    "root of Python's": lambda x: x / math.sqrt(x.shape[-1]) + (1.0 / math.sqrt(x.size - 1)) * x,
    "logarithm of Python's": lambda x: x * math.log(x.shape[0]) / float(len(x)),
    "whole numbers": lambda x: x * (x.shape[1] // 2) + (x.shape[1] % 3 - x.size) * x,
    "larger": lambda x: np.sum(x, axis=-1) / np.maximum(x.shape[1] - 1, 1),
    "of both": lambda x: refgrad.softmax(x * ((x.shape[1] + 1) / (2 + x.shape[0])) ** 0.5),
}


@pytest.mark.parametrize("name", OF_LENGTHS)
def test_numbers_that_are_made_of_lengths_are_handed_to_the_kernel(name: str) -> None:
    rule = refgrad.formula(x="row column")(OF_LENGTHS[name])()
    assert kernel_of(rule).plan.free == ("length_of_row", "length_of_column")
    for dtype, shape in ((np.float32, (3, 8)), (np.float64, (2, 2)), (np.float32, (5, 1500))):
        x = np.random.default_rng(1).standard_normal(shape).astype(dtype)
        wanted, found = (np.asarray(run(rule, [x], backend)) for backend in ("numpy", "numba"))
        assert (found.tobytes(), found.dtype) == (wanted.tobytes(), dtype)


@pytest.mark.parametrize("name", NONE)
def test_what_has_no_kernel_says_which_operation(name: str) -> None:
    body, said = NONE[name]
    rule = refgrad.formula(x="row column")(body)()
    with pytest.raises(NoFormulaKernel, match="has no kernel") as raised:
        kernel_of(rule)
    assert said in str(raised.value)


def test_by_numba_what_has_none_for_any_lengths_has_one_for_given_ones_or_says_why() -> None:
    rule = refgrad.formula(x="row column")(lambda x: np.sum(x[:, 1:] - x[:, :-1], axis=1))()
    assert run(rule, [np.float32([[1.0, 3.0, 7.0]])], "numba").tolist() == [6.0]
    with pytest.raises(ArgumentError, match=r"has no kernel: numpy\.arcsin is called"):
        run(refgrad.formula(x="row column")(lambda x: np.arcsin(x))(), [np.ones((2, 3))], "numba")


def test_an_outer_product_and_an_opaque_function_have_none() -> None:
    with pytest.raises(NoFormulaKernel, match="no array has all of the axes m, n"):
        kernel_of(refgrad.formula(a="m", b="n")(lambda a, b: a[:, None] * b)())
    with pytest.raises(NoFormulaKernel, match="cannot be traced"):
        kernel_of(refgrad.opaque(np.sin, x="n")())


@pytest.mark.parametrize(
    ("source", "text"), [("numba", "def bent("), ("c", "int bent("), ("cuda", "__global__ void bent_")]
)
def test_the_command_prints_a_formula_of_ones_own(source: str, text: str, tmp_path: Path) -> None:
    mine = tmp_path / f"printed_in_{source}.py"
    mine.write_text(
        "import numpy as np\nimport refgrad\n\n\n@refgrad.formula(x='n', wrt='x')\ndef bent(x, *, at: refgrad.Real = 0.5):\n"
        "    return np.maximum(x, at) * x\n"
    )
    for rule in ("bent", "bent.backward"):
        done = CliRunner().invoke(main, ["show", f"{mine}:{rule}", "at=0.25", "--source", source, "--dtype", "float32"])
        assert done.exit_code == 0, done.output
        assert text.replace("bent", rule.replace(".", "_")) in done.output


def table() -> list[str]:
    """The rows of the page's table: a formula, and for which lengths it and its gradient are printed."""
    rows = []
    for each in FORMULAS:
        said = []
        for rule in (each(), each().backward) if each.wrt else (each(),):
            any_lengths = not isinstance(formula_kernels._kernel(rule), str)
            tape_for(rule, {}, np.dtype(np.float32))
            said.append("any lengths" if any_lengths else "given lengths")
        said = said if each.wrt else [*said, "no gradient is asked"]
        rows.append(f"| `{each.__name__}` | {' | '.join(said)} |")
    return rows


def test_the_page_says_which_formulas_of_the_gallery_have_kernels() -> None:
    text = PAGE.read_text()
    assert (
        text.partition("<!-- kernels -->")[2].partition("<!-- end of kernels -->")[0].strip().splitlines()[2:]
        == table()
    )


@pytest.mark.parametrize("asked", [np.any, lambda condition: condition.any()], ids=["function", "method"])
def test_a_condition_of_all_numbers_has_no_kernel(asked: Any) -> None:
    """It was taken to hold, so that a kernel of another function was printed."""

    @refgrad.formula(x="row column")
    def either(x: Any) -> Any:
        return np.where(asked(x > 0), x, 2.0 * x)

    assert either()(np.float32([[-1.0, -2.0]])).tolist() == [[-2.0, -4.0]]
    with pytest.raises(NoFormulaKernel, match=r"any|anywhere"):
        kernel_of(either())


def test_what_folds_are_called_with_besides_is_numpys_own() -> None:
    x = as_fixed(np.float32([[1.0, -2.0], [3.0, 0.5]]), np.dtype(np.float32))
    assert np.max(x, axis=0, initial=2.0).tolist() == [3.0, 2.0]
    assert np.sum(x, axis=0, dtype=np.float64).tolist() == [4.0, -1.5]
    assert float(np.median(x)) == 0.75
