"""The formulas of the gallery as frameworks have them: rows for ``refgrad survey --table refgrad.examples.kernels:ROWS``.

Each function, those of Keras' and those in C beside them, takes arrays of NumPy and gives them; its framework is imported when it
is called. A row of a framework that is not installed is not driven, and of C there are none where there is no compiler.
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np

from refgrad.examples import formulas
from refgrad.examples.c_kernels import c_layernorm, c_rmsnorm, c_softmax, compiler
from refgrad.examples.keras_kernels import (
    keras_gelu,
    keras_gelu_tanh,
    keras_layernorm,
    keras_log_softmax,
    keras_rmsnorm,
    keras_softmax,
)
from refgrad.surveys.implementations import Implementation

Array = Any
#: XLA takes numbers below the smallest normal one for zero
FLUSHED = {"subnormals": "either"}


def _torch(name: str, *given: Any, **how: Any) -> Array:
    """A function of torch's for layers, of arrays and of what else it takes."""
    import torch

    function = getattr(torch.nn.functional, name)
    return function(*(torch.as_tensor(x) if isinstance(x, np.ndarray) else x for x in given), **how).numpy()


def torch_rmsnorm(x: Array, weight: Array, eps: float) -> Array:
    """torch's own."""
    return _torch("rms_norm", x, x.shape[-1:], weight, eps)


def torch_layernorm(x: Array, weight: Array, bias: Array, eps: float) -> Array:
    """torch's own."""
    return _torch("layer_norm", x, x.shape[-1:], weight, bias, eps)


def torch_groupnorm(x: Array, weight: Array, bias: Array, eps: float) -> Array:
    """torch's own, which has the groups' features in one axis."""
    flat = _torch("group_norm", x.reshape(len(x), -1), x.shape[1], weight.reshape(-1), bias.reshape(-1), eps)
    return flat.reshape(x.shape)


def torch_softmax(x: Array) -> Array:
    """torch's own."""
    return _torch("softmax", x, dim=-1)


def torch_log_softmax(x: Array) -> Array:
    """torch's own."""
    return _torch("log_softmax", x, dim=-1)


def torch_gelu(x: Array) -> Array:
    """torch's own."""
    return _torch("gelu", x)


def torch_gelu_tanh(x: Array) -> Array:
    """torch's own."""
    return _torch("gelu", x, approximate="tanh")


def torch_linear(x: Array, weight: Array, bias: Array) -> Array:
    """torch's own."""
    return _torch("linear", x, weight, bias)


def torch_embedding(table: Array, tokens: Array) -> Array:
    """torch's own."""
    return _torch("embedding", tokens, table)


def torch_cross_entropy(logits: Array, labels: Array, smoothing: float) -> Array:
    """torch's own, with smoothed labels."""
    return _torch("cross_entropy", logits, labels, label_smoothing=smoothing)


def torch_attention(q: Array, k: Array, v: Array, scale: float) -> Array:
    """torch's own, of one head."""
    return _torch("scaled_dot_product_attention", q[None, None], k[None, None], v[None, None], scale=scale)[0, 0]


def torch_attention_in_steps(q: Array, k: Array, v: Array, scale: float) -> Array:
    """torch's own, of one head, by products and a softmax in place of one kernel."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    with sdpa_kernel(SDPBackend.MATH):
        return torch_attention(q, k, v, scale)


def torch_convolution(x: Array, weight: Array) -> Array:
    """torch's own, each channel by itself."""
    return _torch("conv1d", x, weight[:, None], padding=1, groups=x.shape[1])


def _compiled(function: Callable[..., Any], *arrays: Any) -> Array:
    """What `torch.compile` makes of a function by its C++ compiler, for any lengths."""
    import torch

    compiled = _kept(function, torch)
    return compiled(*(torch.as_tensor(x) for x in arrays)).numpy()


@functools.cache
def _kept(function: Callable[..., Any], torch: Any) -> Any:
    return torch.compile(function, dynamic=True, fullgraph=True)  # which raises where it would run eagerly


@functools.cache
def _norm_of(eps: float) -> Callable[..., Any]:
    """A function for each eps, since a compiler writes its numbers into the text."""
    return lambda x, weight: x * (x.square().mean(-1, keepdim=True) + eps).rsqrt() * weight


def _stable_softmax(x: Any) -> Any:
    powers = (x - x.amax(-1, keepdim=True)).exp()
    return powers / powers.sum(-1, keepdim=True)


def _gelu(x: Any) -> Any:
    return 0.5 * x * (1 + (x * 0.7071067811865476).erf())


def compiled_rmsnorm(x: Array, weight: Array, eps: float) -> Array:
    """By `torch.compile`, of one expression."""
    return _compiled(_norm_of(eps), x, weight)


def compiled_softmax(x: Array) -> Array:
    """By `torch.compile`, of one expression."""
    return _compiled(_stable_softmax, x)


def compiled_gelu(x: Array) -> Array:
    """By `torch.compile`, of one expression."""
    return _compiled(_gelu, x)


def jax_softmax(x: Array) -> Array:
    """JAX's own."""
    import jax

    return np.asarray(jax.nn.softmax(x, axis=-1))


def jax_log_softmax(x: Array) -> Array:
    """JAX's own."""
    import jax

    return np.asarray(jax.nn.log_softmax(x, axis=-1))


def jax_gelu(x: Array) -> Array:
    """JAX's own, by the error function."""
    import jax

    return np.asarray(jax.nn.gelu(x, approximate=False))


def jax_gelu_tanh(x: Array) -> Array:
    """JAX's own, as it is called without more."""
    import jax

    return np.asarray(jax.nn.gelu(x))


def _flax(layer: Any, x: Array, **values: Array) -> Array:
    """A layer of flax.nnx whose parameters have some values."""
    for name, value in values.items():
        getattr(layer, name).value = value
    return np.asarray(layer(x))


def flax_rmsnorm(x: Array, weight: Array, eps: float) -> Array:
    """flax.nnx.RMSNorm."""
    from flax import nnx

    return _flax(nnx.RMSNorm(x.shape[-1], epsilon=eps, rngs=nnx.Rngs(0)), x, scale=weight)


def flax_layernorm(x: Array, weight: Array, bias: Array, eps: float) -> Array:
    """flax.nnx.LayerNorm as it is called without more: the variance is a mean of squares less a square."""
    from flax import nnx

    return _flax(nnx.LayerNorm(x.shape[-1], epsilon=eps, rngs=nnx.Rngs(0)), x, scale=weight, bias=bias)


def flax_layernorm_in_two_passes(x: Array, weight: Array, bias: Array, eps: float) -> Array:
    """flax.nnx.LayerNorm(use_fast_variance=False)."""
    from flax import nnx

    layer = nnx.LayerNorm(x.shape[-1], epsilon=eps, use_fast_variance=False, rngs=nnx.Rngs(0))
    return _flax(layer, x, scale=weight, bias=bias)


def flax_linear(x: Array, weight: Array, bias: Array) -> Array:
    """flax.nnx.Linear, whose weights stand the other way round."""
    from flax import nnx

    return _flax(nnx.Linear(*weight.shape[::-1], rngs=nnx.Rngs(0)), x, kernel=weight.T, bias=bias)


def scipy_softmax(x: Array) -> Array:
    """scipy.special.softmax."""
    import scipy.special

    return np.asarray(scipy.special.softmax(x, axis=-1))


def scipy_log_softmax(x: Array) -> Array:
    """scipy.special.log_softmax."""
    import scipy.special

    return np.asarray(scipy.special.log_softmax(x, axis=-1))


def written_online_attention(q: Array, k: Array, v: Array, scale: float) -> Array:
    """By hand in NumPy: key after key, with a running maximum."""
    most = np.full((len(q), 1), -np.inf, q.dtype)
    total, found = np.zeros_like(most), np.zeros((len(q), v.shape[1]), q.dtype)
    for key, value in zip(k, v, strict=True):
        score = q.dtype.type(scale) * (q @ key)[:, None]
        larger = np.maximum(most, score)
        before, share = np.exp(most - larger), np.exp(score - larger)
        total, found, most = total * before + share, found * before + share * value, larger
    return found / total


def written_statistics(x: Array) -> tuple[Array, Array]:
    """By hand in NumPy: Welford's, row after row."""
    mean, squares = np.zeros_like(x[0]), np.zeros_like(x[0])
    for count, row in enumerate(x, 1):
        away = row - mean
        mean = mean + away / x.dtype.type(count)
        squares = squares + away * (row - mean)
    return mean, squares / x.dtype.type(len(x))


def _row(package: str, function: Callable[..., Array], claim: Any, **others: Any) -> Implementation:
    """A function that stands here or beside."""
    name = f"{function.__module__}:{function.__name__}"
    return Implementation(package=package, target=name, claim=claim, name=function.__name__, **others)


#: why torch's kernel of attention on the CPU does not conform
HIDDEN_NAN = (
    "of a query whose scores are all NaN it gives 0 where there are fewer than 16 keys, and NaN where there are more"
)
#: whose numbers are keywords of the class that the decorator makes
_smoothed: Any = formulas.cross_entropy_of_labels
TORCH = [
    _row("torch", torch_rmsnorm, formulas.rmsnorm()),
    _row("torch", torch_layernorm, formulas.layernorm()),
    _row("torch", torch_groupnorm, formulas.groupnorm()),
    _row("torch", torch_softmax, formulas.softmax()),
    _row("torch", torch_log_softmax, formulas.log_softmax()),
    _row("torch", torch_gelu, formulas.gelu()),
    _row("torch", torch_gelu_tanh, formulas.gelu_tanh()),
    _row("torch", torch_linear, formulas.linear()),
    _row("torch", torch_embedding, formulas.embedding()),
    _row("torch", torch_cross_entropy, _smoothed(smoothing=0.1)),
    _row("torch", torch_attention, formulas.attention(), explained=False, note=HIDDEN_NAN),
    _row("torch", torch_attention_in_steps, formulas.attention()),
    _row("torch", torch_convolution, formulas.depthwise_convolution()),
]
JAX = [
    _row("jax", jax_softmax, formulas.softmax(), policy=FLUSHED),
    _row("jax", jax_log_softmax, formulas.log_softmax(), policy=FLUSHED),
    _row("jax", jax_gelu, formulas.gelu(), policy=FLUSHED),
    _row("jax", jax_gelu_tanh, formulas.gelu_tanh(), policy=FLUSHED),
]
#: why flax's row does not conform, as it is called without more
ONE_PASS = "the variance is a mean of squares less a square, which loses what the mean swamps; use_fast_variance=False conforms"
FLAX = [
    _row("flax", flax_rmsnorm, formulas.rmsnorm(), policy=FLUSHED),
    _row("flax", flax_layernorm, formulas.layernorm(), policy=FLUSHED, explained=False, note=ONE_PASS),
    _row("flax", flax_layernorm_in_two_passes, formulas.layernorm(), policy=FLUSHED),
    _row("flax", flax_linear, formulas.linear(), policy=FLUSHED),
]
KERAS = [
    _row("keras", function, claim, environment={"KERAS_BACKEND": "torch"}, requires=("torch",))
    for function, claim in (
        (keras_softmax, formulas.softmax()),
        (keras_log_softmax, formulas.log_softmax()),
        (keras_gelu, formulas.gelu()),
        (keras_gelu_tanh, formulas.gelu_tanh()),
        (keras_rmsnorm, formulas.rmsnorm()),
        (keras_layernorm, formulas.layernorm()),
    )
]
NUMPY = [
    _row("scipy", scipy_softmax, formulas.softmax()),
    _row("scipy", scipy_log_softmax, formulas.log_softmax()),
    _row("numpy", written_online_attention, formulas.attention()),
    _row("numpy", written_statistics, formulas.statistics()),
]
#: written in C, where there is a compiler
WRITTEN_IN_C = [
    _row("numpy", c_rmsnorm, formulas.rmsnorm(), form="C"),
    _row("numpy", c_layernorm, formulas.layernorm(), form="C"),
    _row("numpy", c_softmax, formulas.softmax(), form="C"),
]
#: of torch.compile, which asks for a compiler of C++
COMPILED = [
    _row("torch", compiled_rmsnorm, formulas.rmsnorm(), form="torch.compile"),
    _row("torch", compiled_softmax, formulas.softmax(), form="torch.compile"),
    _row("torch", compiled_gelu, formulas.gelu(), form="torch.compile"),
]
ROWS = [
    *TORCH,
    *(COMPILED if shutil.which("g++") else ()),
    *JAX,
    *FLAX,
    *KERAS,
    *NUMPY,
    *(WRITTEN_IN_C if compiler() else ()),
]
