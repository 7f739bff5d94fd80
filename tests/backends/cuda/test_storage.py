"""Narrow formats on the bits of floats: every code is read, and every rounding boundary stored, as ml_dtypes and NumPy do it."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from refgrad.backends.cuda import storage
from refgrad.backends.cuda.dialect import DIALECT
from refgrad.errors import ArgumentError
from tests.backends.cuda.conftest import needs_compiler
from tests.backends.cuda.covered import different
from tests.backends.cuda.devices import COMPILER, CUDA_WORDS

_LOOPS = """extern "C" void read_{name}(long n, {code} *in, float *out) {{ for (long i = 0; i < n; ++i) out[i] = {read}; }}
extern "C" void store_{name}_float32(long n, float *in, {code} *out) {{ for (long i = 0; i < n; ++i) out[i] = {store32}; }}
extern "C" void store_{name}_float64(long n, double *in, {code} *out) {{ for (long i = 0; i < n; ++i) out[i] = {store64}; }}
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """All formats' functions, compiled for the host; what C++ leaves undefined would be told."""
    lines = [CUDA_WORDS, DIALECT.file(storage.functions(map(storage.Number, storage.FORMATS), "float64"), [])]
    for name in storage.FORMATS:
        facts = {"name": name, "code": f"{storage.kind_of(name)}_t", "read": storage.read(name, "float32", "in[i]")}
        facts |= {f"store{w}": storage.stored(name, f"float{w}", "in[i]") for w in (32, 64)}
        lines.append(_LOOPS.format(**facts))
    text = tmp_path_factory.mktemp("storage") / "storage.cpp"
    text.write_text("\n".join(lines))
    command = [str(COMPILER), "-O1", "-std=c++17", "-fPIC", "-shared", "-Wall", "-Werror=uninitialized", str(text)]
    library: Path = text.with_suffix(".so")
    subprocess.run([*command, "-fsanitize=shift", "-fsanitize-undefined-trap-on-error", "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))


def called(function: Any, given: np.ndarray, dtype: Any) -> np.ndarray:
    given, made = np.ascontiguousarray(given), np.empty(given.shape, dtype)
    function(ctypes.c_long(given.size), ctypes.c_void_p(given.ctypes.data), ctypes.c_void_p(made.ctypes.data))
    return made


def codes(name: str) -> np.ndarray:
    dtype = np.dtype(getattr(ml_dtypes, name, name))
    return np.arange(1 << (8 * dtype.itemsize), dtype=f"u{dtype.itemsize}").view(dtype)


def boundaries(name: str, dtype: Any) -> np.ndarray:
    """Every number of a format, the middle between each two, what lies beyond the last, and the floats beside all of them."""
    with np.errstate(invalid="ignore"):
        known = np.unique(codes(name).astype(np.float64))
    known = known[np.isfinite(known)]
    last = known[-1] - known[-2]
    ends = known[-1] + last * np.array([0.25, 0.5, 0.75, 1.0, 2.0, 1e9])
    middles = (known[1:] + known[:-1]) / 2
    with np.errstate(over="ignore"):
        x = np.concatenate([known, middles, ends, -ends, [np.inf, -np.inf, 0.0, -0.0]]).astype(dtype)
        return np.concatenate([x, np.nextafter(x, dtype(np.inf)), np.nextafter(x, dtype(-np.inf)), [dtype(np.nan)]])


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("name", storage.FORMATS)
def test_every_code_is_read_as_its_number(name: str, library: Any) -> None:
    every = codes(name)
    found = called(getattr(library, f"read_{name}"), every, np.float32)
    assert different(found, every.astype(np.float32)) == 0


@needs_compiler
@pytest.mark.sample(quick=4)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", storage.FORMATS)
def test_every_boundary_is_stored_as_numpy_stores_it(name: str, dtype: Any, library: Any) -> None:
    x = boundaries(name, dtype)
    kind = np.dtype(getattr(ml_dtypes, name, name))
    with np.errstate(all="ignore"):
        wanted = x.astype(kind)
    found = called(getattr(library, f"store_{name}_{np.dtype(dtype)}"), x, kind)
    assert different(found, wanted) == 0


def test_formats_without_nan_or_zero_are_refused() -> None:
    for name in ("float4_e2m1fn", "float8_e8m0fnu", "int8"):
        with pytest.raises(ArgumentError, match=f"dtype is '{name}'; legal: what CUDA kernels store"):
            storage.kind_of(name)
