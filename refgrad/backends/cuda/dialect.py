"""The dialect CUDA C++, for NVRTC: what it has not in common with C.

Operators are IEEE's where contraction and flushing are off, as `refgrad.backends.cuda.nvrtc` has them, and asserts on what the
compiler made of them. The text is C++ but for the words of CUDA, so that a host compiler takes it where these are defined.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from refgrad.backends.c_dialect import SYMBOL, TYPES, C
from refgrad.backends.dialect import Array

#: what every file begins with; NVRTC has no headers, so that types of a width are named here
HEAD = """#ifdef __CUDACC_RTC__
typedef signed char int8_t;
typedef unsigned char uint8_t;
typedef short int16_t;
typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long long int64_t;
typedef unsigned long long uint64_t;
#endif

static __device__ inline int32_t bits_float32_int32(float x) { return __float_as_int(x); }
static __device__ inline float bits_int32_float32(int32_t x) { return __int_as_float(x); }
static __device__ inline int64_t bits_float64_int64(double x) { return __double_as_longlong(x); }
static __device__ inline double bits_int64_float64(int64_t x) { return __longlong_as_double(x); }
"""


class Cuda(C):
    """CUDA C++, as NVRTC compiles it."""

    name = "cuda"

    def number(self, value: float, kind: str | None = None) -> str:
        """A constant; infinities and NaN by their bits, as NVRTC has no macros for them."""
        if math.isfinite(value) or (kind is not None and "float" not in kind):
            return super().number(value, kind)
        bits = 0x7FF8000000000000 if math.isnan(value) else 0x7FF0000000000000
        wide = f"bits_int64_float64({bits:#x}LL)"
        signed = wide if math.isnan(value) or value > 0 else f"(-{wide})"
        return f"(float){signed}" if kind == "float32" else signed

    def table(self, name: str, values: Sequence[float], kind: str) -> str:
        """An array of constants in the memory of the device."""
        return f"static __device__ const {TYPES[kind]} {name}[] = {{{', '.join(self._literal(v) for v in values)}}};"

    def loop_over(self, name: str, values: Sequence[float]) -> tuple[list[str], str, list[str]]:
        """A loop over a table of constants, which is not unrolled: the code of a long one would fill the caches."""
        table, head, first = super().loop_over(name, values)
        return [*table, "#pragma unroll 1"], head, first

    def strided(self, name: str, stop: str) -> tuple[list[str], str]:
        """A loop in which the threads of the grid share the integers from 0: lines before it, and what begins it.

        It is not unrolled, so that each operation stands once in what the compiler makes.

        Args:
            name: the integer.
            stop: where they end.
        """
        start, step = self.thread, "(int64_t)gridDim.x * blockDim.x"
        return ["#pragma unroll 1"], f"for (int64_t {name} = {start}; {name} < {stop}; {name} += {step}) {{"

    #: the number of a thread in the grid
    thread = "(int64_t)blockIdx.x * blockDim.x + threadIdx.x"

    #: where the threads of a block wait for each other
    barrier = "__syncthreads()"

    def by_blocks(self, name: str, stop: str) -> str:
        """What begins a loop in which the blocks of the grid share the integers from 0, all threads of a block the same."""
        return f"for (int64_t {name} = blockIdx.x; {name} < {stop}; {name} += gridDim.x) {{"

    def by_threads(self, name: str, start: str, stop: str) -> str:
        """What begins a loop in which the threads of a block share integers."""
        return f"for (int64_t {name} = {start} + threadIdx.x; {name} < {stop}; {name} += blockDim.x) {{"

    def pointer(self, array: Array, address: str) -> str:
        """An array, by its address as an integer."""
        return f"{TYPES[array.kind]} *{array.name} = ({TYPES[array.kind]} *){address};"

    def shared(self, name: str, kind: str, length: int) -> str:
        """An array that the threads of a block share."""
        return f"__shared__ {TYPES[kind]} {name}[{length}];"

    def function(self, name: str, parameters: Sequence[str], kind: str) -> list[str]:
        """What begins a function of the device."""
        *before, head = super().function(name, parameters, kind)
        return [*before, head.replace("static ", "static __device__ ", 1)]

    def kernel(self, integers: Sequence[str], arrays: Sequence[Array], scalars: Sequence[str]) -> tuple[str, list[str]]:
        """What begins a kernel; scalars come by value, in float64."""
        head, first = super().kernel(integers, arrays, scalars)
        return f'extern "C" __global__ {head}', first

    def file(self, lines: Sequence[str], kinds: Sequence[str]) -> str:
        """A whole file: arguments are passed one by one, so that it needs no entry."""
        return "\n".join([HEAD, *lines, ""])

    def _literal(self, value: float) -> str:
        """A number in a table, whose elements are made before anything runs."""
        if math.isfinite(value):
            return float(value).hex()
        return '__builtin_nan("")' if math.isnan(value) else f"{'-' if value < 0 else ''}__builtin_huge_val()"


DIALECT = Cuda()

__all__ = ["DIALECT", "HEAD", "SYMBOL", "Cuda"]
