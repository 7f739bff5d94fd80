"""Devices without a card, on arrays of NumPy's: kernels compiled for the host, and PTX interpreted."""

from __future__ import annotations

import ctypes
import shutil
import struct
import subprocess
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from refgrad.backends.cuda import nvrtc
from refgrad.backends.cuda.dialect import SYMBOL
from refgrad.backends.source import KernelSource
from tests.backends.cuda.ptx_machine import Machine, parse

COMPILER = shutil.which("g++") or shutil.which("c++") or shutil.which("clang++")

#: what CUDA has and C++ has not; each thread of a block is a coroutine that stops where threads wait for each other
CUDA_WORDS = """#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <ucontext.h>
#include <utility>
#include <vector>
using std::abs; using std::isnan;
struct Index { unsigned x; };
static Index threadIdx, blockIdx, blockDim, gridDim;
#define __global__
#define __device__
#define __shared__ static
template <class To, class Of> static inline To same_bits(Of x) { To y; memcpy(&y, &x, sizeof y); return y; }
static inline int __float_as_int(float x) { return same_bits<int>(x); }
static inline float __int_as_float(int x) { return same_bits<float>(x); }
static inline long long __double_as_longlong(double x) { return same_bits<long long>(x); }
static inline double __longlong_as_double(long long x) { return same_bits<double>(x); }

/* The first line that did what C++ leaves undefined: the compiler has these called there, with where it stands first. */
static int undefined_line;
struct Place { const char *file; unsigned line, column; };
#define UNDEFINED(kind) extern "C" __attribute__((visibility("hidden"))) void __ubsan_handle_##kind(const Place *at) { \
    if (undefined_line == 0) undefined_line = at->line; \
}
UNDEFINED(add_overflow) UNDEFINED(sub_overflow) UNDEFINED(mul_overflow) UNDEFINED(negate_overflow)
UNDEFINED(divrem_overflow) UNDEFINED(shift_out_of_bounds) UNDEFINED(out_of_bounds) UNDEFINED(float_cast_overflow)
UNDEFINED(load_invalid_value) UNDEFINED(type_mismatch_v1) UNDEFINED(pointer_overflow)

struct Thread { ucontext_t at; bool done, waits; };
static const size_t STACK = 64 << 10;
static ucontext_t scheduler;
static std::vector<Thread> all;
static std::vector<char> stacks;
static std::function<void()> body;
static void whole() {
    body();
    all[threadIdx.x].done = true;
}
static void __syncthreads() {
    Thread &own = all[threadIdx.x];
    own.waits = true;
    swapcontext(&own.at, &scheduler);
}
/* Runs a block's threads in an order that the seed says; 1 if some have ended and others wait for them. */
static int run_block(unsigned seed) {
    unsigned n = blockDim.x;
    all.assign(n, Thread()); stacks.resize(STACK * n);
    std::vector<unsigned> order(n);
    for (unsigned i = 0; i < n; ++i) {
        order[i] = i; getcontext(&all[i].at);
        all[i].at.uc_stack.ss_sp = &stacks[STACK * i]; all[i].at.uc_stack.ss_size = STACK;
        all[i].at.uc_link = &scheduler; makecontext(&all[i].at, whole, 0);
    }
    for (;;) {
        for (unsigned i = n; i > 1; --i) {
            seed = seed * 1664525u + 1013904223u;
            std::swap(order[i - 1], order[(seed >> 8) % i]);
        }
        unsigned done = 0, waiting = 0;
        for (unsigned i : order) { threadIdx.x = i; swapcontext(&scheduler, &all[i].at); }
        for (Thread &each : all) { done += each.done; waiting += each.waits; each.waits = false; }
        if (done == n) return 0;
        if (waiting != n) return 1;
    }
}
"""
#: what the compiler checks where kernels run: overflow of whole numbers, shifts, bounds, alignment, floats that no integer is
CHECKED = (
    "-fsanitize=signed-integer-overflow,shift,integer-divide-by-zero,bounds,alignment,bool,pointer-overflow",
    "-fsanitize=float-cast-overflow",
)
#: runs all threads of a grid; it is called with the numbers of blocks and threads, a seed, and the arguments, and gives
#: -1 of threads that wait for others which have ended, or the line of what C++ leaves undefined
_LAUNCH = """extern "C" int launch_{index}(unsigned blocks, unsigned threads, unsigned seed, const char *at) {{
    gridDim.x = blocks; blockDim.x = threads; undefined_line = 0;
    body = [at] {{ {symbol}({arguments}); }};
    for (blockIdx.x = 0; blockIdx.x < blocks; ++blockIdx.x) {{
        if ({waits}) {{ if (run_block(seed + blockIdx.x)) return -1; continue; }}
        for (threadIdx.x = 0; threadIdx.x < threads; ++threadIdx.x) body();
    }}
    return undefined_line;
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

    def put(self, array: np.ndarray) -> np.ndarray:
        return self.copy(array)

    def copy(self, array: np.ndarray) -> np.ndarray:
        made = self.empty(array.shape, array.dtype)
        made[...] = array
        return made

    def spread(self, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        return np.broadcast_to(array, shape)

    def get(self, array: np.ndarray) -> np.ndarray:
        return np.array(array)

    def address(self, array: np.ndarray) -> int:
        return array.ctypes.data

    def running(self, arrays: Sequence[Any]) -> AbstractContextManager[None]:
        return nullcontext()

    def card(self) -> int:
        return 0

    def stream(self) -> None:
        return None


class Emulated(OnHost):
    """Kernels as C++, compiled for this machine: what the text says, in some order of the threads.

    Args:
        folder: where libraries are made.

    Attributes:
        seed: says in which order the threads of a block run between two places where they wait.
    """

    name = "emulated"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder, self.names, self.entries, self.seed = folder, count(), dict[str, Any](), 1

    def compile(self, sources: Sequence[KernelSource]) -> None:
        """Several kernels compiled at once."""
        new = [s for s in dict.fromkeys(sources) if s.text not in self.entries]
        texts = ['#include "words.h"\n']
        for index, source in enumerate(new):
            kernel = source.text.replace(SYMBOL, f"{SYMBOL}_{index}")
            texts += [f"namespace kernel_{index} {{\n{kernel}\n{_launcher(source, index)}}}\n"]
        library = self.folder / f"emulated_{next(self.names)}.so"
        library.with_suffix(".cpp").write_text("\n".join(texts))
        made = library.with_suffix(".o")
        self.compile_text(library.with_suffix(".cpp"), made)
        # linked without the compiler's own library of such checks: what is called is in words.h
        self._compiler("-shared", str(made), "-o", str(library))
        loaded = ctypes.CDLL(str(library))
        for index, source in enumerate(new):
            self.entries[source.text] = getattr(loaded, f"launch_{index}"), library.with_suffix(".cpp")

    def compile_text(self, text: Path, made: Path) -> None:
        """Compile a text that includes the words of CUDA, with the checks that these were compiled with."""
        self._header()
        self._compiler("-c", str(text), "-o", str(made), *CHECKED)

    def _header(self) -> None:
        """The words of CUDA, compiled once for all libraries."""
        words = self.folder / "words.h"
        if not words.exists():
            words.write_text(CUDA_WORDS)
            self._compiler("-x", "c++-header", str(words), *CHECKED)

    def _compiler(self, *told: str) -> None:
        assert COMPILER is not None
        usual = ["-O0", "-std=c++17", "-ffp-contract=off", "-fPIC", "-Wall", "-Werror=uninitialized", "-w"]
        done = subprocess.run([COMPILER, *usual, *told], capture_output=True, text=True, cwd=self.folder)
        assert done.returncode == 0, done.stderr

    def launch(self, source: KernelSource, blocks: int, threads: int, arguments: Sequence[float], stream: Any) -> None:
        self.launches += 1
        if source.text not in self.entries:
            self.compile([source])
        layout = f"={source.integers}q{len(source.arrays)}Q{source.scalars}d"
        # fewer threads, which take more elements each: a coroutine is dear
        few = min(threads, 32) if _waits(source) else threads
        entry, text = self.entries[source.text]
        code = entry(min(blocks, 3), few, self.seed, struct.pack(layout, *arguments))
        assert code >= 0, "threads wait for others that have ended"
        assert code == 0, f"what C++ leaves undefined: {text.read_text().splitlines()[code - 1].strip()}"


def _waits(source: KernelSource) -> bool:
    """True if threads wait for each other."""
    return "__syncthreads" in source.text


def _launcher(source: KernelSource, index: int) -> str:
    """What reads a kernel's arguments, eight bytes each, and runs it."""
    types = {"float32": "float", "float64": "double"}
    pointers = [types.get(kind, f"{kind}_t") for kind in source.element_types()]
    read = [f"((const int64_t *)at)[{i}]" for i in range(source.integers)]
    read += [f"(({p} **)at)[{i}]" for i, p in enumerate(pointers, len(read))]
    read += [f"((const double *)at)[{i}]" for i in range(len(read), len(read) + source.scalars)]
    facts = {"index": index, "symbol": f"{SYMBOL}_{index}", "waits": int(_waits(source))}
    return _LAUNCH.format(**facts, arguments=", ".join(read))


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
