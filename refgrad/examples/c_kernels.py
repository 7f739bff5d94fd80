"""Formulas of the gallery written by hand in C, which the compiler of the machine makes once a process.

Each function takes arrays of float32 and gives one; rows of others than that are none of these kernels.
"""

from __future__ import annotations

import ctypes
import functools
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from refgrad.errors import ArgumentError

Array = Any
#: sums may not be reordered, and products not be fused into them, but by the text
FLAGS = ("-std=c99", "-O2", "-ffp-contract=off", "-shared", "-fPIC")
TEXT = r"""
#include <math.h>

void rmsnorm(const float *x, const float *weight, float *y, long rows, long n, float eps) {
    for (long r = 0; r < rows; r++, x += n, y += n) {
        float sum = 0;
        for (long i = 0; i < n; i++) sum += x[i] * x[i];
        float scale = 1 / sqrtf(sum / n + eps);
        for (long i = 0; i < n; i++) y[i] = x[i] * scale * weight[i];
    }
}

void layernorm(const float *x, const float *weight, const float *bias, float *y, long rows, long n, float eps) {
    for (long r = 0; r < rows; r++, x += n, y += n) {
        float mean = 0, squares = 0;
        for (long i = 0; i < n; i++) mean += x[i];
        mean /= n;
        for (long i = 0; i < n; i++) squares += (x[i] - mean) * (x[i] - mean);
        float scale = 1 / sqrtf(squares / n + eps);
        for (long i = 0; i < n; i++) y[i] = (x[i] - mean) * scale * weight[i] + bias[i];
    }
}

void softmax(const float *x, float *y, long rows, long n) {
    for (long r = 0; r < rows; r++, x += n, y += n) {
        float most = -INFINITY, sum = 0; /* of what was seen so far */
        for (long i = 0; i < n; i++) {
            if (x[i] > most) {
                sum *= expf(most - x[i]);
                most = x[i];
            }
            sum += expf(x[i] - most);
        }
        for (long i = 0; i < n; i++) y[i] = expf(x[i] - most) / sum;
    }
}
"""


def compiler() -> str | None:
    """The path of a C compiler; None where the machine has none."""
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


@functools.cache
def _library() -> ctypes.CDLL:
    command = compiler()
    if command is None:
        raise ArgumentError("this machine has no C compiler; legal: cc, gcc or clang on the path")
    with tempfile.TemporaryDirectory() as folder:
        made, text = Path(folder, "kernels.so"), Path(folder, "kernels.c")
        text.write_text(TEXT, encoding="utf-8")
        subprocess.run([command, *FLAGS, str(text), "-o", str(made), "-lm"], check=True)
        return ctypes.CDLL(str(made))


def _called(name: str, *arguments: Any) -> None:
    """Call a kernel: arrays by their addresses, whole numbers as ``long``, others as ``float``."""
    kept = [np.ascontiguousarray(a, np.float32) if isinstance(a, np.ndarray) else a for a in arguments]
    getattr(_library(), name)(*map(_passed, kept))


def _passed(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return ctypes.c_void_p(value.ctypes.data)
    return ctypes.c_long(value) if isinstance(value, int) else ctypes.c_float(value)


def c_rmsnorm(x: Array, weight: Array, eps: float) -> Array:
    """A sum of squares in turn, and a product with the reciprocal root."""
    found = np.empty(x.shape, np.float32)
    _called("rmsnorm", x, weight, found, *x.shape, float(eps))
    return found


def c_layernorm(x: Array, weight: Array, bias: Array, eps: float) -> Array:
    """In two passes, each a sum in turn."""
    found = np.empty(x.shape, np.float32)
    _called("layernorm", x, weight, bias, found, *x.shape, float(eps))
    return found


def c_softmax(x: Array) -> Array:
    """In one pass for the largest number and the sum, with a running maximum."""
    found = np.empty(x.shape, np.float32)
    _called("softmax", x, found, *x.shape)
    return found
