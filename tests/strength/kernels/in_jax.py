"""Programs of JAX, each compiled by `jax.jit`, once for each shape: they are tried in one shape alone."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.strength.kernels.program import BACKWARD, ONE_SHAPE, Program, rule_of

#: XLA flushes subnormal numbers to zero
POLICY = {"subnormals": "either"}


def rmsnorm(x, weight, eps):
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + eps) * weight


def layernorm(x, weight, bias, eps):
    mean, variance = jnp.mean(x, axis=-1, keepdims=True), jnp.var(x, axis=-1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(variance + eps) * weight + bias


def softmax(x):
    return jax.nn.softmax(x)


def log_softmax(x):
    return jax.nn.log_softmax(x)


def cross_entropy_of_labels(logits, labels, smoothing, z_loss):
    log_sum = jax.nn.logsumexp(logits, axis=-1)
    of_label = log_sum - jnp.take_along_axis(logits, labels[:, None], -1)[:, 0]
    loss = (1 - smoothing) * of_label + smoothing * (log_sum - logits.mean(-1)) + z_loss * log_sum**2
    return loss.mean()


def gelu(x):
    return jax.nn.gelu(x, approximate=False)


def gelu_tanh(x):
    return jax.nn.gelu(x)


def swiglu(x, gate):
    return x * jax.nn.silu(gate)


def geglu(x, gate):
    return x * jax.nn.gelu(gate, approximate=False)


def attention(q, k, v, scale):
    return jax.nn.softmax(scale * (q @ k.T)) @ v


def causal_attention(q, k, v, scale):
    return jax.nn.softmax(jnp.where(jnp.tri(len(q), dtype=bool), scale * (q @ k.T), -jnp.inf)) @ v


def linear(x, weight, bias):
    return x @ weight.T + bias


def statistics(x):
    return jnp.mean(x, axis=0), jnp.var(x, axis=0)


def embedding(table, tokens):
    return jnp.take(table, tokens, axis=0)


def top_2_routing(logits):
    values, places = jax.lax.top_k(logits, 2)
    return jnp.zeros_like(logits).at[jnp.arange(len(logits))[:, None], places].set(jax.nn.softmax(values))


BACKWARDS = (rmsnorm, layernorm, softmax, log_softmax, gelu, swiglu, attention, linear, embedding)
FUNCTIONS = tuple(f for f in vars().copy().values() if inspect.isfunction(f) and f.__module__ == __name__)


def _called(function: Callable[..., Any], narrow: bool = False) -> Callable[..., Any]:
    """A compiled function as one of NumPy's arrays; of narrow ones computed in float32."""
    arrays_taken = list(rule_of(function.__name__).shapes)

    def wide(*arrays: Any, **numbers: Any) -> Any:
        kept = next(a.dtype for a in arrays if jnp.issubdtype(a.dtype, jnp.floating))
        found = function(*(a.astype(jnp.float32) if a.dtype == kept else a for a in arrays), **numbers)
        return jax.tree.map(lambda each: each.astype(kept), found)

    names = [n for n in inspect.signature(function).parameters if n not in arrays_taken]
    compiled = jax.jit(wide if narrow else function, static_argnames=names)

    @functools.wraps(function)
    def called(*arrays: Any, **numbers: Any) -> Any:
        return jax.tree.map(np.asarray, compiled(*arrays, **numbers))

    return called


def _differentiated(function: Callable[..., Any]) -> Callable[..., Any]:
    """What JAX gives of a function's gradients, compiled."""
    rule = rule_of(function.__name__)
    wanted = [list(rule.shapes).index(name) for name in rule.wrt]

    def backward(*arrays: Any, **numbers: Any) -> Any:
        own, upstream = list(arrays[:-1]), arrays[-1]

        def of(*chosen: Any) -> Any:
            for place, each in zip(wanted, chosen, strict=True):
                own[place] = each
            return function(*own, **numbers)

        return jax.vjp(of, *(own[place] for place in wanted))[1](upstream)

    parameters = list(inspect.signature(function).parameters.values())
    place = len(rule.shapes)
    compiled = jax.jit(backward, static_argnames=[p.name for p in parameters[place:]])

    def called(*arrays: Any, **numbers: Any) -> Any:
        return tuple(map(np.asarray, compiled(*arrays, **numbers)))

    upstream = inspect.Parameter("grad_output", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    called.__signature__ = inspect.Signature([*parameters[:place], upstream, *parameters[place:]])  # type: ignore[attr-defined]
    return called


def programs() -> Iterator[Program]:
    """All of them."""
    for function in FUNCTIONS:
        name = function.__name__
        yield Program(name, "jax.jit", "as written", _called(function), policy=POLICY, tried=ONE_SHAPE)
        said = "in float32, rounded once"
        yield Program(name, "jax.jit", said, _called(function, True), "bfloat16", POLICY, tried=ONE_SHAPE)
    for function in BACKWARDS:
        name = function.__name__ + BACKWARD
        yield Program(name, "jax.jit", "vjp", _differentiated(function), policy=POLICY, tried=ONE_SHAPE)
