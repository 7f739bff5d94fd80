"""The disk cache: shared, checked, and harmless in every way that a folder can be bad."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numba
import numpy as np
import pytest

import refgrad
from refgrad.backends import compiler, kernel_cache
from refgrad.backends.numba_backend import kernel_sources
from refgrad.backends.source import KernelSource
from refgrad.optimizers import AdamW
from refgrad.report import doctor
from tests.depth import at_depth

STEP = """
import sys, numpy as np
from refgrad.optimizers import AdamW
p = np.ones(5, np.float32); rule = AdamW(); state = rule.init(p)
rule.step_(p, np.full(5, 0.5, np.float32), state, backend="numba")
print(p[0].hex() if hasattr(p[0], "hex") else float(p[0]).hex(), "numba" in sys.modules)
"""


@pytest.fixture
def source() -> KernelSource:
    return kernel_sources(AdamW().plan((5,), 1), np.dtype(np.float32))[0]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REFGRAD_CACHE_DIR", str(tmp_path / "kernels"))
    return tmp_path / "kernels"


def step_in_new_process(folder: Path) -> list[str]:
    environment = {**os.environ, "REFGRAD_CACHE_DIR": str(folder)}
    done = subprocess.run([sys.executable, "-c", STEP], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.slow
def test_a_second_process_loads_without_numba(folder: Path) -> None:
    first, compiled = step_in_new_process(folder)
    second, imported = step_in_new_process(folder)
    assert (compiled, imported) == ("True", "False")
    assert first == second


@pytest.mark.slow
def test_two_processes_that_write_at_once(folder: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(step_in_new_process, [folder, folder]))
    assert results[0][0] == results[1][0]
    assert [path.suffix for path in folder.iterdir()] == [".kernel"]


@pytest.mark.sample(suite=2)
@pytest.mark.slow
@pytest.mark.parametrize("damage", ["truncated", "flipped", "foreign", "empty", "other key"])
def test_a_damaged_file_is_ignored_and_replaced(folder: Path, source: KernelSource, damage: str) -> None:
    code = compiler.compile_object(source)
    kernel_cache.write(source, code)
    path = kernel_cache.path_of(source)
    whole = path.read_bytes()
    damaged = {
        "truncated": whole[: len(whole) // 2],
        "flipped": whole[:-100] + bytes([whole[-100] ^ 1]) + whole[-99:],
        "foreign": b"\x80\x04not a kernel",
        "empty": b"",
        "other key": whole.replace(kernel_cache.key(source).encode(), b"0" * 64),
    }
    path.write_bytes(damaged[damage])
    assert kernel_cache.read(source) is None
    assert step_in_new_process(folder)[1] == "True"
    assert kernel_cache.read(source) is not None


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_does_no_harm(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    assert step_in_new_process(blocked)[1] == "True"
    assert blocked.read_text() == "in the way"


def test_code_that_others_may_write_is_not_trusted(folder: Path, source: KernelSource) -> None:
    kernel_cache.write(source, compiler.compile_object(source))
    assert kernel_cache.read(source) is not None
    folder.chmod(0o777)
    assert kernel_cache.read(source) is None


def test_a_file_that_others_may_write_is_not_trusted(folder: Path, source: KernelSource) -> None:
    kernel_cache.write(source, b"machine code")
    assert kernel_cache.read(source) == b"machine code"
    for mode in (0o620, 0o602):
        kernel_cache.path_of(source).chmod(mode)
        assert kernel_cache.read(source) is None


@pytest.mark.parametrize("content", [b"[" * 200_000, b"{}", b"3", b'{"key": ' * 50_000, b"\xff\n\x00"], ids=repr)
def test_whatever_stands_in_a_file_is_damage(folder: Path, source: KernelSource, content: bytes) -> None:
    kernel_cache.write(source, b"machine code")
    path = kernel_cache.path_of(source)
    assert path is not None
    path.write_bytes(content)
    assert kernel_cache.read(source) is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("made", ["pipe", "folder", "large", "link to a pipe"])
def test_what_is_no_file_of_a_kernel_is_not_opened(folder: Path, source: KernelSource, made: str) -> None:
    """A pipe would be waited for, and a file of any size read into memory."""
    kernel_cache.write(source, b"machine code")
    path = kernel_cache.path_of(source)
    assert path is not None
    path.unlink()
    if made == "folder":
        path.mkdir()
    elif made == "large":
        with path.open("wb") as file:
            file.truncate(kernel_cache.LARGEST + 1)
        path.chmod(0o600)
    else:
        pipe = path if made == "pipe" else path.with_suffix(".pipe")
        os.mkfifo(pipe, 0o600)
        if pipe != path:
            path.symlink_to(pipe)
    assert kernel_cache.read(source) is None
    kernel_cache.write(source, b"machine code")
    assert kernel_cache.read(source) == (None if made == "folder" else b"machine code")


def test_where_a_user_has_no_folder_nothing_is_kept(monkeypatch: pytest.MonkeyPatch, source: KernelSource) -> None:
    for name in ("REFGRAD_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", staticmethod(nobody))
    assert kernel_cache.folder() is kernel_cache.path_of(source) is None
    kernel_cache.write(source, b"machine code")
    assert kernel_cache.read(source) is None
    assert "REFGRAD_CACHE_DIR" in dict(doctor._kernels())["cache"]


def test_numba_compiles_where_it_was_told_not_to(monkeypatch: pytest.MonkeyPatch, source: KernelSource) -> None:
    """As in runs that measure coverage; what it was told holds again afterwards."""
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    assert compiler.compile_object(source)
    assert numba.config.DISABLE_JIT == 1


LLVM = """\
define void @kernel(float %x) {
  %1 = call float @sqrtf(float %x)
  %2 = call <8 x float> @llvm.sqrt.v8f32(<8 x float> %wide)
}
declare float @sqrtf(float) #1
declare <8 x float> @llvm.sqrt.v8f32(<8 x float>)
"""


def test_roots_are_instructions_and_no_functions_of_the_c_library() -> None:
    """A process that loads machine code without Numba may have no such function."""
    text = compiler.with_own_roots(LLVM)
    assert "@sqrtf" not in text
    assert text.count("declare float @llvm.sqrt.f32(float)") == 1
    assert "declare <8 x float> @llvm.sqrt.v8f32(<8 x float>)" in text
    assert compiler.with_own_roots(text) == text


def test_machine_code_calls_no_function_of_the_c_library(source: KernelSource) -> None:
    assert b"sqrt" in source.text.encode()
    assert b"sqrt" not in compiler.compile_object(source)


def test_no_cache_of_numbas_own_is_used() -> None:
    """It unpickles what lies on disk; kernels have a cache of their own, from which nothing is unpickled."""
    sources = [path.read_text(encoding="utf-8") for path in Path(refgrad.__file__).parent.rglob("*.py")]
    assert any("cfunc(" in text for text in sources)
    assert not any(re.search(r"\bcache\s*=\s*True", text) for text in sources)


RUN_GGUF = """
import sys, numpy as np
from refgrad import quantizers
x = np.random.default_rng(0).standard_normal((256, 256), np.float32)
for name in sys.argv[1:]:
    getattr(quantizers, name)().quantize(x)
print("numba" in sys.modules)
"""
#: at depth quick the one whose loops are compiled fastest
GGUF = at_depth(quick=["Q8_0"], suite=["IQ4_NL", "Q4_K", "Q8_0"], thorough=["IQ4_NL", "Q4_K", "Q8_0"])


@pytest.mark.slow
def test_loops_of_block_formats_are_loaded_without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a process that finds them on disk, after one that has them."""
    monkeypatch.setattr(sys, "argv", ["-c", *GGUF])
    exec(RUN_GGUF, {})
    done = subprocess.run([sys.executable, "-c", RUN_GGUF, *GGUF], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


FILLED = (
    """
import sys, numpy as np
from refgrad.backends import kernels
from refgrad.backends.source import KernelSource
text = """
    + repr("def kernel(n, x_at):\n    x = carray(x_at, (n,))\n    for i in range(n):\n        x[i] = -128\n")
    + """
x = np.zeros(1003, np.int8)
kernels.get(KernelSource(text, ("x",), 0, np.dtype(np.int8)))(1002, x.ctypes.data)
print(bool((x[:1002] == -128).all()), x[1002], "numba" in sys.modules)
"""
)


@pytest.mark.slow
def test_a_loop_that_fills_memory_runs_without_numba(folder: Path) -> None:
    """Compilers make a call of the C library of it, which only a process with Numba finds."""
    environment = {**os.environ, "REFGRAD_CACHE_DIR": str(folder)}
    for imported in ("True", "False"):
        done = subprocess.run(
            [sys.executable, "-c", FILLED], env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout.split() == ["True", "0", imported]
    assert b"memset" in next(folder.iterdir()).read_bytes()


def test_kernels_that_differ_in_anything_have_other_keys(source: KernelSource) -> None:
    others = [
        replace(source, text=f"{source.text} "),
        replace(source, dtype=np.dtype(np.float64)),
        replace(source, arrays=source.arrays[:-1]),
        replace(source, scalars=source.scalars + 1),
    ]
    assert len({kernel_cache.key(each) for each in (source, *others)}) == len(others) + 1


def test_import_needs_no_compiler_and_no_framework() -> None:
    heavy = ("numba", "llvmlite", "torch", "jax", "cupy", "rich", "mpmath")
    code = f"import sys, refgrad; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_small_arrays_do_not_wait_for_the_compiler(folder: Path) -> None:
    environment = {**os.environ, "REFGRAD_CACHE_DIR": str(folder)}
    code = STEP.replace(', backend="numba"', "")
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split()[1] == "False"
    assert not folder.exists()
