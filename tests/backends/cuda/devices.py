"""Devices without a card, on arrays of NumPy's: kernels compiled for the host, and PTX interpreted."""

from __future__ import annotations

import ctypes
import shutil
import struct
import subprocess
from collections import Counter
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from refgrad.backends.cuda import nvrtc
from refgrad.backends.cuda.dialect import SYMBOL
from refgrad.backends.source import KernelSource
from tests.backends.cuda.ptx_machine import Machine, parse

COMPILER = shutil.which("g++") or shutil.which("c++") or shutil.which("clang++")

#: what CUDA has and C++ has not
CUDA_WORDS = """#include <cmath>
#include <cstdint>
#include <cstring>
using namespace std;
struct Index { unsigned x; };
static Index threadIdx, blockIdx, blockDim, gridDim;
#define __global__
#define __device__
template <class To, class Of> static inline To same_bits(Of x) { To y; memcpy(&y, &x, sizeof y); return y; }
static inline int __float_as_int(float x) { return same_bits<int>(x); }
static inline float __int_as_float(int x) { return same_bits<float>(x); }
static inline long long __double_as_longlong(double x) { return same_bits<long long>(x); }
static inline double __longlong_as_double(long long x) { return same_bits<double>(x); }
"""
#: runs all threads of a grid, one after the other; it is called with the numbers of blocks and threads, and the arguments
_LAUNCH = """extern "C" void launch_{index}(unsigned blocks, unsigned threads, const char *at) {{
    gridDim.x = blocks; blockDim.x = threads;
    for (blockIdx.x = 0; blockIdx.x < blocks; ++blockIdx.x)
        for (threadIdx.x = 0; threadIdx.x < threads; ++threadIdx.x)
            {symbol}({arguments});
}}
"""


class OnHost:
    """Arrays of NumPy's."""

    def __init__(self) -> None:
        self.launches = 0
        #: what kernels may read and write: all arrays that were made here
        self.arrays: list[np.ndarray] = []

    def empty(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        self.arrays.append(np.empty(shape, dtype))
        return self.arrays[-1]

    def copy(self, array: np.ndarray) -> np.ndarray:
        made = self.empty(array.shape, array.dtype)
        made[...] = array
        return made

    def address(self, array: np.ndarray) -> int:
        return array.ctypes.data

    def stream(self) -> None:
        return None


class Emulated(OnHost):
    """Kernels as C++, compiled for this machine: what the text says, one thread after the other.

    Args:
        folder: where libraries are made.
    """

    name = "emulated"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder, self.names, self.entries = folder, count(), dict[str, Any]()

    def compile(self, sources: Sequence[KernelSource]) -> None:
        """Several kernels compiled at once."""
        new = [s for s in dict.fromkeys(sources) if s.text not in self.entries]
        texts = [CUDA_WORDS]
        for index, source in enumerate(new):
            kernel = source.text.replace(SYMBOL, f"{SYMBOL}_{index}")
            texts += [f"namespace kernel_{index} {{\n{kernel}\n{_launcher(source, index)}}}\n"]
        library = self.folder / f"emulated_{next(self.names)}.so"
        library.with_suffix(".cpp").write_text("\n".join(texts))
        told = ["-O0", "-std=c++17", "-ffp-contract=off", "-fPIC", "-shared", "-Wall", "-Werror=uninitialized", "-w"]
        assert COMPILER is not None
        command = [COMPILER, *told, str(library.with_suffix(".cpp")), "-o", str(library)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        loaded = ctypes.CDLL(str(library))
        for index, source in enumerate(new):
            self.entries[source.text] = getattr(loaded, f"launch_{index}")

    def launch(self, source: KernelSource, blocks: int, threads: int, arguments: Sequence[float], stream: Any) -> None:
        self.launches += 1
        if source.text not in self.entries:
            self.compile([source])
        layout = f"={source.integers}q{len(source.arrays)}Q{source.scalars}d"
        self.entries[source.text](blocks, threads, struct.pack(layout, *arguments))


def _launcher(source: KernelSource, index: int) -> str:
    """What reads a kernel's arguments, eight bytes each, and runs it."""
    types = {"float32": "float", "float64": "double"}
    pointers = [types.get(kind, f"{kind}_t") for kind in source.element_types()]
    read = [f"((const int64_t *)at)[{i}]" for i in range(source.integers)]
    read += [f"(({p} **)at)[{i}]" for i, p in enumerate(pointers, len(read))]
    read += [f"((const double *)at)[{i}]" for i in range(len(read), len(read) + source.scalars)]
    return _LAUNCH.format(index=index, symbol=f"{SYMBOL}_{index}", arguments=", ".join(read))


class Interpreted(OnHost):
    """PTX as NVRTC makes it, interpreted.

    Args:
        arch: the architecture that it is made for.
    """

    name = "interpreted"

    def __init__(self, arch: str = nvrtc.USUAL) -> None:
        super().__init__()
        self.arch, self.executed = arch, Counter[str]()

    def launch(self, source: KernelSource, blocks: int, threads: int, arguments: Sequence[float], stream: Any) -> None:
        self.launches += 1
        compiled = nvrtc.compile_source(source, self.arch)
        machine = Machine(parse(compiled.ptx, SYMBOL), [a for a in self.arrays if a.size])
        # fewer threads than there are elements, so that each takes several
        machine.run(min(blocks, 2), min(threads, 96), arguments)
        self.executed += machine.executed
