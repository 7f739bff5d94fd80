"""Formulas of the gallery as Keras has them, for the rows of `refgrad.examples.kernels`; Keras is imported when one is called."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = Any


def _keras(name: str, *arrays: Array, **how: Any) -> Array:
    """A function of keras.ops."""
    import keras

    return np.asarray(keras.ops.convert_to_numpy(getattr(keras.ops, name)(*arrays, **how)))


def keras_softmax(x: Array) -> Array:
    """keras.ops.softmax."""
    return _keras("softmax", x, axis=-1)


def keras_log_softmax(x: Array) -> Array:
    """keras.ops.log_softmax."""
    return _keras("log_softmax", x, axis=-1)


def keras_gelu(x: Array) -> Array:
    """keras.ops.gelu by the error function."""
    return _keras("gelu", x, approximate=False)


def keras_gelu_tanh(x: Array) -> Array:
    """keras.ops.gelu, as it is called without more."""
    return _keras("gelu", x)


def keras_rmsnorm(x: Array, weight: Array, eps: float) -> Array:
    """keras.ops.rms_normalization."""
    return _keras("rms_normalization", x, scale=weight, axis=-1, epsilon=eps)


def keras_layernorm(x: Array, weight: Array, bias: Array, eps: float) -> Array:
    """keras.ops.layer_normalization."""
    return _keras("layer_normalization", x, gamma=weight, beta=bias, axis=-1, epsilon=eps)
