"""Programs in C, which the compiler of this machine makes of one text: with and without FMA, and with sums in lanes."""

from __future__ import annotations

import ctypes
import functools
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.strength.kernels.program import EVERYWHERE, SHAPES, Program

TEXT = Path(__file__).with_name("kernels.c")
COMPILER = shutil.which("gcc")
_FUSED = ("-mfma",) if platform.machine() in ("x86_64", "AMD64") else ()
#: how the text is compiled, by what programs of it are called; none of these is allowed to take subnormals for zero
FLAGS: Mapping[str, tuple[str, ...]] = {
    "C": ("-O2", "-ffp-contract=off"),
    "C with FMA": ("-O2", "-ffp-contract=fast", *_FUSED),
    "C in lanes": ("-O3", "-fassociative-math", "-fno-signed-zeros", "-fno-trapping-math", "-freciprocal-math"),
}


@functools.cache
def library(language: str) -> ctypes.CDLL:
    """The compiled text.

    Args:
        language: one of `FLAGS`.
    """
    assert COMPILER is not None
    folder = Path(tempfile.mkdtemp(prefix="kernels-"))
    made = folder / "kernels.so"
    subprocess.run([COMPILER, "-std=c99", "-shared", "-fPIC", *FLAGS[language], TEXT, "-o", made, "-lm"], check=True)
    found = ctypes.CDLL(str(made))
    shutil.rmtree(folder)
    return found


def _call(language: str, name: str, *arguments: Any) -> None:
    """Call a kernel: arrays by their addresses, whole numbers as ``long``, others as ``float``."""
    kept = [np.ascontiguousarray(a) if isinstance(a, np.ndarray) else a for a in arguments]
    getattr(library(language), name)(*map(_argument, kept))


def _argument(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return ctypes.c_void_p(value.ctypes.data)
    return ctypes.c_long(value) if isinstance(value, int) else ctypes.c_float(value)


def _like(array: np.ndarray, *shape: int) -> np.ndarray:
    return np.empty(shape or array.shape, np.float32)


def _kernels(c: str) -> Iterator[tuple[str, str, Callable[..., Any]]]:
    """Of each kernel the formula, what is said of it, and the function."""

    def rmsnorm(x, weight, eps):
        _call(c, "rmsnorm", x, weight, y := _like(x), *x.shape, eps)
        return y

    def rmsnorm_backward(x, weight, grad_output, eps):
        _call(c, "rmsnorm_backward", x, weight, grad_output, dx := _like(x), dw := _like(weight), *x.shape, eps)
        return dx, dw

    yield "rmsnorm", "", rmsnorm
    yield "rmsnorm_backward", "", rmsnorm_backward
    for form in ("", "_online"):

        def layernorm(x, weight, bias, eps, form=form):
            _call(c, f"layernorm{form}", x, weight, bias, y := _like(x), *x.shape, eps)
            return y

        yield "layernorm", form, _without_form(layernorm, form)
        for name in ("softmax", "log_softmax"):

            def shares(x, name=name + form):
                _call(c, name, x, y := _like(x), *x.shape)
                return y

            yield name, form, _without_form(shares, name + form)

    def groupnorm(x, weight, bias, eps):
        _call(c, "groupnorm", x, weight, bias, y := _like(x), *x.shape, eps)
        return y

    def softmax_backward(x, grad_output):
        _call(c, "softmax_backward", x, grad_output, dx := _like(x), *x.shape)
        return dx

    def cross_entropy_of_labels(logits, labels, smoothing, z_loss):
        _call(c, "cross_entropy_of_labels", logits, labels, y := _like(logits, 1), *logits.shape, smoothing, z_loss)
        return y[0]

    yield "groupnorm", "", groupnorm
    yield "softmax_backward", "", softmax_backward
    yield "cross_entropy_of_labels", "online", cross_entropy_of_labels
    for name in ("gelu", "gelu_tanh"):
        yield name, "", _of_elements(c, name)
    for name in ("swiglu", "geglu"):
        yield name, "", _of_gated(c, name)
    for name in ("rotary", "rotary_of_halves"):
        yield name, "", _of_pairs(c, name)

    def attention(q, k, v, scale):
        y, scores = _like(q, len(q), v.shape[1]), _like(q, len(k))
        _call(c, "attention", q, k, v, y, scores, len(q), *k.shape, v.shape[1], scale)
        return y

    def attention_online(q, k, v, scale):
        _call(c, "attention_online", q, k, v, y := _like(q, len(q), v.shape[1]), len(q), *k.shape, v.shape[1], scale)
        return y

    def causal_attention(q, k, v, scale):
        _call(c, "causal_attention_online", q, k, v, y := _like(v), *k.shape, v.shape[1], scale)
        return y

    def linear(x, weight, bias):
        _call(c, "linear", x, weight, bias, y := _like(x, len(x), len(bias)), *x.shape, len(bias))
        return y

    def scaled_matmul(x, weight, x_scale, weight_scale):
        y = _like(x, len(x), len(weight))
        _call(c, "scaled_matmul", x, weight, x_scale, weight_scale, y, *x.shape, len(weight))
        return y

    def dropout(x, bits, rate):
        _call(c, "dropout", x, bits, y := _like(x), x.size, rate)
        return y

    def depthwise_convolution(x, weight):
        _call(c, "depthwise_convolution", x, weight, y := _like(x), *x.shape)
        return y

    def statistics(x):
        _call(c, "statistics", x, mean := _like(x, x.shape[1]), variance := _like(x, x.shape[1]), *x.shape)
        return mean, variance

    def embedding_backward(table, tokens, grad_output):
        _call(c, "embedding_backward", tokens, grad_output, found := _like(table), len(tokens), *table.shape)
        return found

    yield "attention", "", attention
    yield "attention", "online", attention_online
    yield "causal_attention", "online", causal_attention
    yield "linear", "", linear
    yield "scaled_matmul", "", scaled_matmul
    yield "dropout", "", dropout
    yield "depthwise_convolution", "", depthwise_convolution
    yield "statistics", "online", statistics
    yield "embedding_backward", "", embedding_backward


def _without_form(function: Callable[..., Any], form: str) -> Callable[..., Any]:
    """A function without its last parameter, so that nothing but the formula's own is handed to it."""
    if function.__code__.co_argcount == 2:
        return lambda x: function(x, form)
    return lambda x, weight, bias, eps: function(x, weight, bias, eps, form)


def _of_elements(c: str, name: str) -> Callable[..., Any]:
    def function(x):
        _call(c, name, x, y := _like(x), x.size)
        return y

    return function


def _of_gated(c: str, name: str) -> Callable[..., Any]:
    def function(x, gate):
        _call(c, name, x, gate, y := _like(x), x.size)
        return y

    return function


def _of_pairs(c: str, name: str) -> Callable[..., Any]:
    def function(x, cos, sin):
        _call(c, name, x, cos, sin, y := _like(x), *x.shape[:2], cos.shape[1])
        return y

    return function


def programs() -> Iterator[Program]:
    """All of them; none where there is no compiler."""
    for language in FLAGS if COMPILER else ():
        for of, form, function in _kernels(language):
            yield Program(
                of, language, form.strip("_") or "as written", function, tried=EVERYWHERE if language == "C" else SHAPES
            )
