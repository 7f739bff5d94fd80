"""Kernels in C, compiled without contraction, have the bits of the same kernels by Numba: one kernel, two languages."""

from __future__ import annotations

import ctypes
import shutil
import struct
import subprocess
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from refgrad import backends
from refgrad.arguments import BACKEND
from refgrad.arithmetic.graph import Builder, Graph
from refgrad.arithmetic.operations import functions
from refgrad.arithmetic.scalar_math import Scope
from refgrad.arithmetic.steps import Integer, Nearest, NearestCode, Ranks, ToFormat, WholeCodes, step
from refgrad.arithmetic.storage import Grid, to_grid
from refgrad.arithmetic.top_k import TopK
from refgrad.backends import c_dialect, group_source, kernels, numba_backend, row_kernels, selection, selection_source
from refgrad.backends.compiler import Kernel
from refgrad.backends.dialect import NUMBA, Dialect
from refgrad.backends.program import program_of
from refgrad.backends.source import KernelSource, kernel_source
from refgrad.backends.step_source import Kept
from refgrad.optimizers import CAME, LAMB, SGD, SGDP, AdamW, Optimizer
from refgrad.quantizers import KMeans
from refgrad.sparsity import NOfM
from refgrad.tracing import Plan, plan_for

COMPILER = shutil.which("g++") or shutil.which("c++") or shutil.which("clang++")
#: each language that the compiler takes, with what it is told; operations are not contracted
LANGUAGES = {"C99": ("c", "-std=c99"), "C++": ("c++", "-std=c++17")}
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C compiler is installed")

Compile = Callable[[KernelSource], Kernel]


@pytest.fixture
def compile_c(tmp_path: Path) -> Compile:
    """Compiles a kernel in C into a library, once, and loads it."""
    return cache(lambda source: compiled(source, tmp_path, "C++"))


def compiled(source: KernelSource, folder: Path, language: str) -> Kernel:
    assert COMPILER is not None
    count = len(list(folder.iterdir()))
    text, library = folder / f"kernel{count}.c", folder / f"kernel{count}.so"
    text.write_text(source.text)
    name, standard = LANGUAGES[language]
    told = ["-x", name, standard, "-O1", "-ffp-contract=off", "-fPIC", "-shared", "-Wall", "-Werror=uninitialized"]
    done = subprocess.run([COMPILER, *told, str(text), "-o", str(library)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    entry = getattr(ctypes.CDLL(str(library)), c_dialect.ENTRY)
    entry.argtypes, entry.restype = [ctypes.c_char_p], None
    pack = struct.Struct(f"={source.integers}q{len(source.arrays)}Q{source.scalars}d").pack
    return Kernel(pack, entry, ctypes.cast(entry, ctypes.c_void_p).value or 0)


@pytest.fixture
def c_backend(compile_c: Compile, monkeypatch: pytest.MonkeyPatch) -> str:
    """A backend whose kernels are printed in C."""

    def run(plan: Plan, free: tuple[float, ...], arrays: Mapping[str, np.ndarray], threads: int | None) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(kernels, "get", compile_c)
            numba_backend.run(plan, free, arrays, threads, dialect=c_dialect.DIALECT)

    monkeypatch.setitem(backends._RUNNERS, "c", run)
    monkeypatch.setitem(BACKEND.sentences, "c", "kernels printed in C")  # type: ignore[arg-type]
    return "c"


RULES = [
    (AdamW(weight_decay=0.1, lr=0.01), np.float32),
    (AdamW(weight_decay=0.1, lr=0.01), ml_dtypes.bfloat16),
    (AdamW(), np.float64),
    (SGD(momentum=0.9, nesterov=True), np.float32),
    (LAMB(), np.float32),  # reductions over the tensor
    (CAME(), np.float32),  # rows and columns
    (SGDP(), np.float32),  # rows alone: one kernel
]


def test_a_constant_in_c_is_the_number() -> None:
    for value in (0.1, 1 / 3, np.pi, 5e-324, 1.7976931348623157e308):
        assert float.fromhex(c_dialect.DIALECT.number(value)) == value


@pytest.mark.sample(quick=1, suite=3)
@needs_compiler
@pytest.mark.parametrize(("rule", "dtype"), RULES, ids=lambda x: str(getattr(x, "__name__", x)))
def test_a_rule_in_c_has_the_bits_of_its_kernels(rule: Optimizer, dtype: Any, c_backend: str) -> None:
    random = np.random.default_rng(3)
    p = random.standard_normal((37, 61)).astype(dtype)
    states = {name: (p, rule.init(p)) for name in ("numba", c_backend)}
    for _ in range(3):
        g = (random.standard_normal(p.shape) * np.exp(4 * random.standard_normal(p.shape))).astype(dtype)
        states = {n: rule.step(p, g, state, backend=n, threads=2) for n, (p, state) in states.items()}
    (wanted, state), (found, other) = states.values()
    assert found.tobytes() == wanted.tobytes()
    for name in rule.slots():
        assert np.asarray(other[name]).tobytes() == np.asarray(state[name]).tobytes(), name


def program_graph() -> Graph:
    """What rules have besides: every elementary function, step functions, roundings onto a grid."""
    builder = Builder(Scope(), 1)
    x, y = builder.input("x"), builder.input("y")
    roots = {
        **{n: f(x) for n, f in vars(functions).items() if getattr(f, "arity", 0) == 1},
        "power": functions.power(abs(x), 1.5),
        "where": np.where((x > y) & ~(x == 0) | (y < -1), np.maximum(x, y), np.sign(x)),
        "whole": np.rint(x) + np.floor(y) - np.ceil(x),
        "even": step(x, Integer(low=-8, high=7)),
        "away": step(x, Integer(ties="away", unit=0.25)),
        "format": step(x, ToFormat("float8_e4m3fn")),
        "table": step(x, Nearest((-1.0, -0.25, 0.0, 0.5, 2.0))),
        "long_table": step(x, Nearest(tuple(float(v) for v in np.linspace(-3, 3, 101, dtype=np.float32)), "even")),
        "code": step(x, NearestCode(Nearest((-1.0, -0.25, 0.0, 0.5, 2.0)), (9, 8, 0, 1, 2))),
        "ranks": step(x, Ranks((-1.5, 0.1, 2.0), -1)),
        "near": to_grid(x, Grid("bfloat16")),
        "by_chance": to_grid(x, Grid("bfloat16", 16), abs(np.rint(y))),
    }
    nodes = {f"{name}_of": builder.lift(value) for name, value in roots.items()}
    return Graph(builder.live(nodes), nodes, {}, ())


@needs_compiler
@pytest.mark.thorough  # the rules above have most operations
@pytest.mark.parametrize(("language", "dtype"), [("C99", np.float32), ("C++", np.float64)])
def test_every_operation_in_c_has_the_bits_of_numba(language: str, dtype: Any, tmp_path: Path) -> None:
    graph, random = program_graph(), np.random.default_rng(5)
    x = (random.standard_normal(4000) * np.exp(6 * random.standard_normal(4000))).astype(dtype)
    x[:8] = [0.0, -0.0, np.inf, -np.inf, np.nan, 0.5, -2.5, 1e7]
    y = random.permutation(x)
    results = {}
    for dialect in (NUMBA, c_dialect.DIALECT):
        source = kernel_source(graph, np.dtype(dtype), "operations", dialect)
        held = {"x": x, "y": y, **{n: np.empty_like(x) for n in graph.outputs}}
        kernel = made(source, dialect, tmp_path, language)
        kernel(x.size, *(held[a].ctypes.data for a in source.arrays), *(e.args[0] for e in graph.scalars()))
        results[dialect.name] = held
    for name in graph.outputs:
        wanted, found = results["numba"][name], results["c"][name]
        number = ~np.isnan(wanted)
        assert np.array_equal(np.isnan(found), ~number), name
        assert found[number].tobytes() == wanted[number].tobytes(), name


def made(source: KernelSource, dialect: Dialect, folder: Path, language: str = "C++") -> Kernel:
    if dialect is NUMBA:
        return kernels.get(source)
    return compiled(source, folder, language)


@pytest.mark.slow
@pytest.mark.sample(quick=1)
@needs_compiler
@pytest.mark.parametrize(("n", "m", "dtype"), [(2, 4, "float16"), (1, 3, "float32"), (4, 8, "bfloat16")])
def test_masks_in_c_are_those_of_numba(n: int, m: int, dtype: str, tmp_path: Path) -> None:
    random, kind = np.random.default_rng(7), np.dtype(getattr(ml_dtypes, dtype, dtype))
    w = random.integers(-4, 5, (50, m)).astype(kind)
    w[3, 1], w[4, 0] = np.nan, -np.inf
    masks = []
    for dialect in (NUMBA, c_dialect.DIALECT):
        graph = selection.selecting(plan_for(NOfM(), 2, (4.0, 2.0, 2.0)), TopK(n))
        source = group_source.group_source(graph, selection.MASK, kind, m, "a mask", dialect)
        mask = np.zeros(w.shape, bool)
        made(source, dialect, tmp_path)(len(w), w.ctypes.data, mask.ctypes.data)
        masks.append(mask)
    assert (masks[0].sum(axis=1) == n).all()
    assert np.array_equal(*masks)


@needs_compiler
def test_values_of_a_table_in_c_are_those_of_numba(tmp_path: Path) -> None:
    rule, found = KMeans(clusters=9), []
    codes, book = np.random.default_rng(2).integers(0, 9, 500).astype(np.uint8), np.linspace(-1, 1, 9)
    for dialect in (NUMBA, c_dialect.DIALECT):
        (source,) = program_of(
            row_kernels.decoder(rule), book.dtype, {"codes": Kept(WholeCodes("uint8"))}, dialect
        ).sources
        held = {"codes": codes, "codebook": book, "y": np.empty(500)}
        made(source, dialect, tmp_path)(0, 500, 500, 500, *(held[a].ctypes.data for a in source.arrays))
        found.append(held["y"].tobytes())
    assert found == [book[codes].tobytes()] * 2


@pytest.mark.slow
@needs_compiler
def test_compressed_groups_in_c_are_those_of_numba(tmp_path: Path) -> None:
    w = np.random.default_rng(9).standard_normal((20, 16)).astype(np.float16)
    found = []
    for dialect in (NUMBA, c_dialect.DIALECT):
        source = selection_source.compress_source(w.dtype, "low", "largest", dialect)
        values, metadata = np.zeros((20, 8), np.float16), np.zeros(20, np.int16)
        made(source, dialect, tmp_path)(20, w.ctypes.data, values.ctypes.data, metadata.ctypes.data)
        found.append(values.tobytes() + metadata.tobytes())
    assert found[0] == found[1]
