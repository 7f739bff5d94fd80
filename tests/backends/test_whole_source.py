"""Texts of kernels that stand by themselves: a compiler takes them as they are, and the driver gives the bits of the body."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import refgrad
from refgrad.backends import numba_backend, whole_source
from refgrad.backends.cuda import shown
from refgrad.backends.outline import Outline, outline_of
from refgrad.cli import main
from refgrad.errors import ArgumentError
from refgrad.estimators import BiPer
from refgrad.examples import formulas as gallery
from refgrad.formula_kernels import kernel_of, outline, run
from refgrad.formulas import Formula
from refgrad.optimizers import CAME, LAMB, SGDP, Adafactor, AdamW, Lion, Muon, Optimizer
from refgrad.tracing import Plan, free_values
from tests.backends.cuda.conftest import emulated  # noqa: F401  # a fixture
from tests.backends.cuda.covered import different
from tests.backends.cuda.devices import Emulated
from tests.test_formula_kernels import drawn, lengths_of, printed, several

COMPILER = shutil.which("gcc") or shutil.which("cc") or shutil.which("clang")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C compiler is installed")
#: a text is meant to be copied: it has no warnings, but for lengths that a kernel is handed and does not need
TOLD = ("-O1", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter")
LIBRARIES = count()


def driver(text: str, name: str, folder: Path) -> Any:
    """The driver of a text in C, compiled as C99, and as C++ for its errors alone."""
    assert COMPILER is not None
    file = folder / f"text{next(LIBRARIES)}.c"
    file.write_text(text)
    library = file.with_suffix(".so")
    usual = [COMPILER, *TOLD, "-ffp-contract=off", "-fPIC"]
    for told in (
        ["-std=c99", "-shared", "-o", str(library), str(file), "-lm"],
        ["-x", "c++", "-fsyntax-only", str(file)],
    ):
        done = subprocess.run([*usual, *told], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return getattr(ctypes.CDLL(str(library)), name)


def in_c(
    text: str, told: Outline, lengths: dict[str, int], numbers: list[float], arrays: dict[str, Any], f: Path
) -> None:
    """Results written by the driver in C."""
    handed = [n for n in told.shapes if n not in told.results] + list(told.results)
    given = [*(ctypes.c_int64(lengths[a]) for a in told.lengths), *map(ctypes.c_double, numbers)]
    assert driver(text, told.name, f)(*given, *(ctypes.c_void_p(arrays[n].ctypes.data) for n in handed)) == 0


def in_numba(text: str, told: Outline, lengths: dict[str, int], numbers: list[float], arrays: dict[str, Any]) -> None:
    """Results written where the driver in Python gives them."""
    names: dict[str, Any] = {}
    exec(text, names)
    handed = [arrays[n] for n in told.shapes if n not in told.results]
    found = names[told.name](*(lengths[a] for a in told.lengths), *numbers, *handed)
    for name, x in zip(told.results, found if isinstance(found, tuple) else (found,), strict=False):
        arrays[name][...] = x.reshape(arrays[name].shape)


@refgrad.formula(size="n at", long="at", wrt="size")
def awkward(size: Any, long: Any) -> Any:
    """Names that C and kernels have already, a length that is a number, and results that are each other's."""
    total = np.sum(size * long, axis=-1) / size.shape[0] ** 0.5
    return {"int": total, "buffer": total, "row": np.tanh(size) * total[:, None], "first": np.sum(total)}


@needs_compiler
@pytest.mark.slow
@pytest.mark.sample(suite=4)
@pytest.mark.parametrize("rule", [*printed(), awkward(), awkward().backward], ids=lambda rule: type(rule).__name__)
def test_the_text_of_a_formula_in_c_gives_the_bits_of_the_body(rule: Formula, tmp_path: Path) -> None:
    formula_gives_the_bits(rule, "c", tmp_path)


@needs_compiler
@pytest.mark.parametrize("rule", [gallery.cross_entropy_of_labels(), awkward()], ids=lambda rule: type(rule).__name__)
def test_a_text_of_some_passes_in_c_gives_the_bits_of_the_body(rule: Formula, tmp_path: Path) -> None:
    formula_gives_the_bits(rule, "c", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "rule",
    [gallery.rmsnorm().backward, gallery.gelu(), gallery.cross_entropy_of_labels(), awkward()],
    ids=lambda rule: type(rule).__name__,
)
def test_the_text_of_a_formula_in_numba_gives_the_bits_of_the_body(rule: Formula, tmp_path: Path) -> None:
    formula_gives_the_bits(rule, "numba", tmp_path)


def formula_gives_the_bits(rule: Formula, language: str, folder: Path) -> None:
    kernel, cases = kernel_of(rule), ((np.float32, True, True), (np.float64, False, True))
    told = outline(rule, kernel)
    for dtype, long, wild in cases if language == "c" else cases[:1]:
        arrays = drawn(rule, dtype, long, wild)
        lengths = lengths_of(rule, arrays, kernel)
        held = kernel.arrays(rule, dict(zip(rule.shapes, arrays, strict=True)), np.dtype(dtype))
        text = whole_source.text(kernel.plan, np.dtype(dtype), told, language)
        with np.errstate(all="ignore"):
            wanted = several(run(rule, [a.copy() for a in arrays], "numpy"))
            if language == "c":
                in_c(text, told, lengths, [], held, folder)
            else:
                in_numba(text, told, lengths, [], held)
        found = several(kernel.found(held, lengths))
        assert {name: different(found[name], wanted[name]) for name in wanted} == dict.fromkeys(wanted, 0)


RULES = [AdamW(weight_decay=0.1), CAME(), LAMB(), SGDP(), Lion(), Adafactor(), AdamW(scalars="float32"), BiPer()]


@needs_compiler
@pytest.mark.sample(quick=1, suite=3)
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_the_text_of_a_rule_gives_the_bits_of_its_kernels(rule: Any, tmp_path: Path) -> None:
    plan: Plan = rule.plan((37, 61), 3)
    told, random = outline_of(plan, str(rule)), np.random.default_rng(3)
    lengths, t = {"rows": 37, "row_length": 61}, dict.fromkeys(rule.scalar_inputs(), 3.0)
    given = {
        n: np.abs(random.standard_normal([lengths[a] for a in s])).astype(np.float32) for n, s in told.shapes.items()
    }
    free = free_values((37, 61), t)
    wanted = {n: np.array(x) for n, x in given.items()}
    numba_backend.run(plan, free, wanted, 1)
    scalars = dict(zip(dict.fromkeys(plan.graph.scalars()), plan.scalars(*free), strict=False))
    numbers = [t[n] for n in told.numbers]
    if rule.scalars == "float32":  # which the driver is handed
        every = dict(zip(plan.graph.scalars(), plan.scalars(*free), strict=True))
        numbers = [every[e] for e in dict.fromkeys(plan.graph.scalars()) if e.op != "const"]
    assert scalars
    held = {n: np.array(x) for n, x in given.items()}
    in_c(whole_source.text(plan, np.dtype(np.float32), told, "c"), told, lengths, numbers, held, tmp_path)
    assert [n for n in wanted if held[n].tobytes() != wanted[n].tobytes()] == []


@pytest.mark.slow
def test_the_python_text_of_a_rule_overwrites_its_arrays() -> None:
    rule: Optimizer = LAMB()
    plan = rule.plan((5, 7), 3)
    told, random = outline_of(plan, str(rule)), np.random.default_rng(3)
    wanted = {n: np.abs(random.standard_normal((5, 7))).astype(np.float32) for n in told.shapes}
    held = {n: x.copy() for n, x in wanted.items()}
    numba_backend.run(plan, free_values((5, 7), {"t": 3.0}), wanted, 1)
    in_numba(
        whole_source.text(plan, np.dtype(np.float32), told, "numba"), told, {"rows": 5, "row_length": 7}, [3.0], held
    )
    assert [n for n in wanted if held[n].tobytes() != wanted[n].tobytes()] == []


@needs_compiler
@pytest.mark.slow
def test_the_cuda_text_is_one_that_compiles(emulated: Emulated, tmp_path: Path) -> None:  # noqa: F811
    for rule in (gallery.rmsnorm().backward, gallery.cross_entropy_of_labels(), awkward()):
        kernel = kernel_of(rule)
        text = shown.text(kernel.plan, np.dtype(np.float16), outline(rule, kernel))
        file = emulated.folder / f"{type(rule).__name__}.cpp"
        file.write_text(f'#include "words.h"\nnamespace own {{\n{text.replace("#include <stdint.h>", "")}\n}}\n')
        emulated.compile_text(file, tmp_path / "object.o")
        launched = [line.partition("<<<")[0].strip() for line in text.splitlines() if "<<<" in line]
        assert launched == [line.split()[0] for line in text.splitlines() if "  reads " in line]
        assert all(f" {name}(" in text for name in launched)


def test_the_head_says_what_passes_read_and_write() -> None:
    text = CliRunner().invoke(main, ["show", "refgrad.examples.formulas:rmsnorm", "--source", "c"]).output
    assert "rmsnorm_pass_1         reads x; writes sum_3" in text
    assert "rmsnorm_pass_2         reads x, sqrt_8, weight; writes result" in text
    assert "int rmsnorm(int64_t batch, int64_t feature, const float *x, const float *weight, float *result) {" in text
    assert text.count("#include <math.h>") == 1
    one_axis = (
        CliRunner().invoke(main, ["show", "refgrad.examples.formulas:cross_entropy_of_labels", "--source", "c"]).output
    )
    assert "cross_entropy_of_labels_before_pass_3" in one_axis  # which gives the loss
    assert "cross_entropy_of_labels_pass_3" not in one_axis  # there are no elements to store


def test_what_no_text_has_is_said() -> None:
    plan = Muon().plan((4, 4), 3)
    with pytest.raises(ArgumentError, match="Muon has no kernel that can be printed: it has operations on matrices"):
        whole_source.text(plan, np.dtype(np.float32), outline_of(plan, "Muon()"), "c")
    done = CliRunner().invoke(main, ["show", "Muon", "--source", "c"])
    assert done.exit_code == 64
