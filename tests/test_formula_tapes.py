"""Kernels of formulas for given lengths: the bits of the body by every language's text, and what has none."""

from __future__ import annotations

import ctypes
import re
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import refgrad
from refgrad import formula_kernels, formula_tapes
from refgrad.arithmetic.dtypes import whole_numbers
from refgrad.cli import main
from refgrad.errors import ArgumentError
from refgrad.examples import formulas as gallery
from refgrad.formula_tapes import FormulaTape, NoFormulaKernel, tape_for, tape_of
from refgrad.optimizers.transform import Transform
from refgrad.oracle.inputs.transforms import generate
from refgrad.rule import rules as every_rule
from tests.backends.cuda.covered import different
from tests.backends.test_dialect import COMPILER, needs_compiler
from tests.test_formula_kernels import FORMULAS, several

#: rules whose bodies look at numbers, or ask a library
REFUSED: Mapping[str, str] = {
    "BatchPerceptron": "a branch depends on the values of an array",
    "Bulyan": "a number of Python's is made of an array",
    "ConeOpacityReset": "a number of Python's is made of an array",
    "NormalizedBatchPerceptron": "a number of Python's is made of an array",
    "Perceptron": "numpy.flatnonzero is called",
    "RenderingErrorMap": "numpy.percentile is called",
    "SubnetDistillation": "a number of Python's is made of an array",
    "WinsorizedMean": "numpy.percentile is called",
}


@refgrad.formula(x="row column", y="few below:row", wrt="x")
def moved(x: Any, y: Any) -> Any:
    """Windows, pads, joins, sorts, places that are computed, an array of the body's own, and a loop over an axis."""
    padded = np.pad(x, ((1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, 3, axis=0)
    joined = np.concatenate([np.sort(x, axis=0), x[:, ::-1] * np.arange(x.shape[1])], axis=1)
    running = x[0]
    for row in x[1:]:
        running = np.maximum(0.5 * running, row)
    return {
        "windows": np.einsum("rcw,rcw->c", windows, windows),
        "joined": np.cumsum(joined, axis=1) @ np.log1p(np.exp(joined)).T,
        "running": np.expm1(running) + np.sum(x[y], axis=0),
        "chosen": np.sum(np.where(refgrad.top_k(x, 2), x, 0.0), axis=0),
    }


@refgrad.formula(x="row column", weight="column out")
def decided(x: Any, weight: Any) -> Any:
    """Results that are truth values, whole numbers that are computed, stacked products, and writing to a part."""
    order = np.argsort(x, axis=1)
    found = np.zeros_like(x)
    np.put_along_axis(found, order, x * 2.0, 1)
    found[:, 0] += np.max(x)
    return (
        np.take_along_axis(found, order, 1),
        x[np.argmax(x, axis=0)] @ weight,
        np.stack([x, found]) @ weight,
        np.any(np.isnan(x), axis=1),
    )


@refgrad.formula(x="row column")
def turned(x: Any) -> Any:
    """An infinity among the constants, equal numbers in a row, and a result that is no step in its order."""
    hidden = np.concatenate([-np.abs(x), np.full((x.shape[0], 2), -np.inf)], axis=1)
    order = np.argsort(np.rint(x), axis=1)
    return np.max(hidden, axis=1), (x * 2.0).T, np.take_along_axis(x, order, 1), np.cumsum(x, axis=1)


OWN = (moved(), moved().backward, decided())


def has_tape(rule: Any, given: Mapping[str, np.ndarray]) -> bool:
    try:
        tape_of(rule, given, np.dtype(np.float32))
    except NoFormulaKernel:
        return False
    return True


@cache
def cases() -> dict[str, Any]:
    """Every rule of refgrad's own and every formula of the gallery, with its gradient; by name."""
    found: list[Any] = [cls() for cls in every_rule(Transform).values()]
    for each in FORMULAS:
        found += [each(), each().backward] if each.wrt else [each()]
    found = [
        rule for rule in found if rule.kind == "transform" and rule.by_steps and type(rule).__name__ not in REFUSED
    ]
    return {type(rule).__name__: rule for rule in [*found, *OWN]}


def drawn(rule: Any, dtype: Any, wild: bool) -> dict[str, np.ndarray]:
    """Arrays that the rule is tried with; wild ones have infinities, NaN and zeros of both signs."""
    given = generate(rule, 1, np.dtype(dtype), 0).arrays[0]
    random = np.random.default_rng(5)
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, 1e-30]
    return {
        name: a
        if whole_numbers(a) or not wild
        else np.where(random.random(a.shape) < 0.1, random.choice(special, a.shape), a).astype(a.dtype)
        for name, a in given.items()
    }


def by_body(rule: Any, given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    with np.errstate(all="ignore"):
        return several(formula_kernels.run(rule, [a.copy() for a in given.values()], "numpy"))


def assert_same(found: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray]) -> None:
    assert list(found) == list(wanted)
    for name, x in wanted.items():
        assert np.shape(found[name]) == np.shape(x), name
        assert different(np.asarray(found[name], x.dtype), x) == 0, name


@pytest.mark.sample(quick=4, suite=24)
@pytest.mark.parametrize("name", cases())
def test_pythons_text_has_the_bits_of_the_body(name: str) -> None:
    rule = cases()[name]
    for dtype, wild in ((np.float32, True), (np.float64, False)):
        given = drawn(rule, dtype, wild)
        kernel = tape_of(rule, given, np.dtype(dtype))
        with np.errstate(all="ignore"):
            assert_same(several(kernel.in_python(compiled=False)(*given.values())), by_body(rule, given))


@pytest.mark.parametrize("rule", [*OWN, turned()], ids=lambda rule: type(rule).__name__)
def test_every_kind_of_step_has_the_bits_of_the_body(rule: Any) -> None:
    for wild in (False, True):
        given = drawn(rule, np.float32, wild)
        kernel = tape_of(rule, given, np.dtype(np.float32))
        with np.errstate(all="ignore"):
            assert_same(several(kernel.in_python(compiled=False)(*given.values())), by_body(rule, given))


@pytest.mark.slow
@pytest.mark.parametrize("rule", [gallery.attention().backward, moved(), decided()], ids=str)
def test_numba_compiles_the_text(rule: Any) -> None:
    given = drawn(rule, np.float32, True)
    assert_same(several(formula_kernels.run(rule, [*given.values()], "numba")), by_body(rule, given))


def in_c(kernel: FormulaTape, given: Mapping[str, np.ndarray], folder: Path) -> dict[str, np.ndarray]:
    """What the driver in C gives."""
    assert COMPILER is not None
    text, library = folder / f"{kernel.name}.c", folder / f"{kernel.name}_{len(list(folder.iterdir()))}.so"
    text.write_text(kernel.text([kernel.name], "c"))
    told = ["-x", "c", "-std=c99", "-O1", "-ffp-contract=off", "-fPIC", "-shared", "-Wall", "-Werror=uninitialized"]
    done = subprocess.run([COMPILER, *told, str(text), "-o", str(library)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return ran(kernel, given, getattr(ctypes.CDLL(str(library)), kernel.name))


def ran(kernel: FormulaTape, given: Mapping[str, np.ndarray], driver: Any) -> dict[str, np.ndarray]:
    """What a driver gives that is handed addresses of arrays, and of room for results."""
    tape = kernel.tape
    held = formula_tapes.tape_text.arrays_of(tape, [*given.values()])
    kinds = {"floats": tape.working, "whole": np.dtype(np.int64)}
    room = [np.empty(places.shape, kinds[memory]) for memory, places in tape.results.values()]
    assert driver(*(ctypes.c_void_p(a.ctypes.data) for a in (*held, *room))) == 0
    return several(kernel.found(room))


@needs_compiler
@pytest.mark.slow
@pytest.mark.sample(suite=12)
@pytest.mark.parametrize("name", cases())
def test_the_text_in_c_has_the_bits_of_the_body(name: str, tmp_path: Path) -> None:
    rule = cases()[name]
    for dtype, wild in ((np.float32, False), (np.float64, True)):
        given = drawn(rule, dtype, wild)
        assert_same(in_c(tape_of(rule, given, np.dtype(dtype)), given, tmp_path), by_body(rule, given))


#: what CUDA has and C++ has not; a grid of one thread after the other, the last one first
WORDS = """#include <cmath>
#include <cstdint>
#include <cstring>
using std::isnan;
#define __global__
#define __device__
struct Index { unsigned x; };
static Index threadIdx, blockIdx, blockDim, gridDim;
template <class To, class Of> static inline To same_bits(Of x) { To y; memcpy(&y, &x, sizeof y); return y; }
static inline int __float_as_int(float x) { return same_bits<int>(x); }
static inline float __int_as_float(int x) { return same_bits<float>(x); }
static inline long long __double_as_longlong(double x) { return same_bits<long long>(x); }
static inline double __longlong_as_double(long long x) { return same_bits<double>(x); }
template <class F, class G> static void launch(F kernel, unsigned blocks, unsigned threads, G *floats, int64_t *whole) {
    gridDim.x = blocks; blockDim.x = threads;
    for (unsigned b = blocks; b-- > 0;) for (unsigned t = threads; t-- > 0;) {
        blockIdx.x = b; threadIdx.x = t; kernel(floats, whole);
    }
}
"""


def in_cuda(kernel: FormulaTape, given: Mapping[str, np.ndarray], folder: Path) -> dict[str, np.ndarray]:
    """What the launches give that the head of the text says, on the host."""
    assert COMPILER is not None
    text, kind = kernel.text([kernel.name], "cuda"), {4: "float", 8: "double"}[kernel.tape.working.itemsize]
    launches = re.findall(r"^     (\w+)<<<(\d+), (\d+)>>>\(floats, whole\);$", text, re.MULTILINE)
    calls = "".join(f"launch({n}, {b}, {t}, floats, whole);\n" for n, b, t in launches)
    entry = f'extern "C" void all_({kind} *floats, int64_t *whole) {{\n{calls}}}\n'
    file, library = folder / f"{kernel.name}.cpp", folder / f"{kernel.name}.so"
    file.write_text(WORDS + text + entry)
    told = ["-x", "c++", "-std=c++17", "-O1", "-ffp-contract=off", "-fPIC", "-shared"]
    done = subprocess.run([COMPILER, *told, str(file), "-o", str(library)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    tape = kernel.tape
    memory = {
        "floats": np.zeros(tape.length("floats") + 1, tape.working),
        "whole": np.zeros(tape.length("whole") + 1, int),
    }
    inputs, results = formula_tapes.tape_text.given(tape)
    for one, array in zip(inputs, given.values(), strict=True):
        memory[one.memory][one.start : one.start + one.size] = array.ravel()
    ctypes.CDLL(str(library)).all_(*(ctypes.c_void_p(a.ctypes.data) for a in memory.values()))
    found = [memory[r.memory][r.start : r.start + r.size].reshape(r.shape) for r in results]
    return several(kernel.found(found))


@needs_compiler
@pytest.mark.slow
@pytest.mark.sample(suite=6)
@pytest.mark.parametrize("name", cases())
def test_the_text_in_cuda_has_the_bits_of_the_body(name: str, tmp_path: Path) -> None:
    rule = cases()[name]
    given = drawn(rule, np.float32, True)
    assert_same(in_cuda(tape_of(rule, given, np.dtype(np.float32)), given, tmp_path), by_body(rule, given))


@refgrad.formula(x="row column", y="row column", wrt="x y")
def functions(x: Any, y: Any) -> Any:
    """Every function whose text is refgrad's own and no machine's."""
    return {
        "angles": np.arctan(x) + np.arctan2(y, x),
        "angle": np.arctan2(y, x),
        "hyperbolic": np.sinh(x) - np.cosh(y),
        "powers": np.exp2(x) + np.expm1(y),
        "logarithms": np.log2(np.abs(x)) - np.log1p(np.abs(y)),
        "power": np.expm1(x),
        "sinh": np.sinh(x),
        "log2": np.log2(x),
    }


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("dialect", [in_c, in_cuda])
def test_texts_of_functions_have_the_bits_of_the_body_on_axes_infinities_and_all_magnitudes(
    dialect: Any, dtype: Any, tmp_path: Path
) -> None:
    special = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-40, -3.5, 2.0**-30, 40.5, -90.0, 1e30]
    wide = np.concatenate([special, np.geomspace(1e-38, 1e38, 19), -np.geomspace(1e-30, 100.0, 19)])
    y, x = (grid.astype(dtype) for grid in np.meshgrid(wide, wide))
    for rule in (functions(), functions().backward):
        given = dict(zip(rule.takes(), [x, y, *[np.full_like(x, 0.75)] * (len(rule.takes()) - 2)], strict=True))
        assert_same(dialect(tape_of(rule, given, np.dtype(dtype)), given, tmp_path), by_body(rule, given))


@needs_compiler
@pytest.mark.slow
def test_folds_of_more_terms_than_a_block_and_long_sorts(tmp_path: Path) -> None:
    rule = refgrad.formula(x="n", y="n")(lambda x, y: (x @ y, np.max(x), np.sort(x), x[np.argmax(x)], np.mean(y)))()
    random = np.random.default_rng(3)
    for length in (1, 2, 1023, 1024, 1025, 5000):
        given = {"x": random.standard_normal(length), "y": random.standard_normal(length)}
        assert_same(in_c(tape_of(rule, given, np.dtype(np.float64)), given, tmp_path), by_body(rule, given))


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_kernel_for_any_lengths_is_said(name: str) -> None:
    rule: Any = every_rule(Transform)[name]()
    with pytest.raises(NoFormulaKernel, match=re.escape(REFUSED[name])):
        tape_of(rule, drawn(rule, np.float32, False), np.dtype(np.float32))


def test_a_text_is_for_its_lengths() -> None:
    kernel = tape_for(gallery.linear(), {"batch": 2, "in": 5}, np.dtype(np.float32))
    assert {name: shape for name, _, _, shape in kernel.tape.inputs}["x"][0] == 2
    with pytest.raises(ArgumentError, match="lengths is 'rows'; legal: axes of linear: "):
        tape_for(gallery.linear(), {"rows": 2}, np.dtype(np.float32))


@pytest.mark.parametrize(("source", "text"), [("c", "int attention("), ("cuda", "<<<"), ("numba", "def attention(")])
def test_the_command_prints_a_kernel_for_given_lengths(source: str, text: str) -> None:
    asked = [
        "show",
        "refgrad.examples.formulas:attention",
        "--source",
        source,
        "--length",
        "query=3",
        "--length",
        "key=5",
    ]
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 0, done.output
    assert text in done.output
    assert "for arrays of these lengths alone: query = 3" in done.output
    for wrong, said in (("query=none", "legal: a whole number from 1 on"), ("rows=3", "legal: axes of attention")):
        done = CliRunner().invoke(main, [*asked[:4], "--length", wrong])
        assert (done.exit_code, said in done.output) == (64, True), done.output
    done = CliRunner().invoke(main, ["show", "AdamW", "--source", source, "--length", "n=3"])
    assert done.exit_code == 64
