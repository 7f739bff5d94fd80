"""Formulas of layers, written as anybody would for NumPy: rules that kernels of them are judged by.

Each is `refgrad.formula` of a few lines; ``refgrad verify kernels.py:mine --as refgrad.examples.formulas:rmsnorm``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.special

import refgrad

Array = Any


@refgrad.formula(x="batch feature", weight="feature", wrt="x weight")
def rmsnorm(x: Array, weight: Array, *, eps: refgrad.Positive = 1e-6) -> Array:
    """Rows over the root of their mean square, scaled feature by feature."""
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps) * weight


@refgrad.formula(x="batch feature", weight="feature", bias="feature", wrt="x weight bias")
def layernorm(x: Array, weight: Array, bias: Array, *, eps: refgrad.Positive = 1e-5) -> Array:
    """Rows without their mean, over the root of their variance; scaled and moved feature by feature."""
    centred = x - np.mean(x, axis=-1, keepdims=True)
    return centred / np.sqrt(np.mean(centred * centred, axis=-1, keepdims=True) + eps) * weight + bias


@refgrad.formula(x="batch group member", weight="group member", bias="group member", wrt="x weight bias")
def groupnorm(x: Array, weight: Array, bias: Array, *, eps: refgrad.Positive = 1e-5) -> Array:
    """As `layernorm`, of each group of features by itself."""
    centred = x - np.mean(x, axis=-1, keepdims=True)
    return centred / np.sqrt(np.mean(centred * centred, axis=-1, keepdims=True) + eps) * weight + bias


@refgrad.formula(x="batch class", wrt="x")
def softmax(x: Array) -> Array:
    """Shares of exponentials, row by row."""
    return refgrad.softmax(x)


@refgrad.formula(x="batch class", wrt="x")
def log_softmax(x: Array) -> Array:
    """Logarithms of these shares."""
    return x - refgrad.logsumexp(x, keepdims=True)


@refgrad.formula(logits="batch class", target="batch class+")
def cross_entropy(logits: Array, target: Array, *, z_loss: refgrad.NonNegative = 0.0) -> Array:
    """The mean over rows of minus the target's logarithms of shares, and of ``z_loss`` times the squared log of the sum.

    ``target`` are shares that add up to one, such as one-hot rows that are smoothed.
    """
    log_sum = refgrad.logsumexp(logits, keepdims=True)
    losses = np.sum(target * (log_sum - logits), axis=-1) + z_loss * (log_sum * log_sum)[:, 0]
    return np.mean(losses)


@refgrad.formula(x="batch feature", wrt="x")
def gelu(x: Array) -> Array:
    """The number times the normal distribution function of it."""
    return x * (0.5 * (1.0 + scipy.special.erf(x * math.sqrt(0.5))))


@refgrad.formula(x="batch feature", wrt="x")
def gelu_tanh(x: Array) -> Array:
    """The same, with a hyperbolic tangent in place of the error function."""
    return 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * (x * x * x))))


@refgrad.formula(x="batch feature", gate="batch feature", wrt="x gate")
def swiglu(x: Array, gate: Array) -> Array:
    """One half of a projection times the other's SiLU."""
    return x * (gate * scipy.special.expit(gate))


@refgrad.formula(x="batch feature", gate="batch feature", wrt="x gate")
def geglu(x: Array, gate: Array) -> Array:
    """One half of a projection times the other's GELU."""
    return x * (gate * (0.5 * (1.0 + scipy.special.erf(gate * math.sqrt(0.5)))))


@refgrad.formula(x="token head pair 2", cos="token pair", sin="token pair", wrt="x")
def rotary(x: Array, cos: Array, sin: Array) -> Array:
    """Pairs of neighbouring features turned by an angle, whose cosine and sine are given."""
    c, s = cos[:, None, :], sin[:, None, :]
    first, second = x[..., 0], x[..., 1]
    return np.stack([first * c - second * s, first * s + second * c], axis=-1)


@refgrad.formula(x="token head 2 pair", cos="token pair", sin="token pair", wrt="x")
def rotary_of_halves(x: Array, cos: Array, sin: Array) -> Array:
    """The same of pairs that stand half a head apart."""
    c, s = cos[:, None, :], sin[:, None, :]
    first, second = x[..., 0, :], x[..., 1, :]
    return np.stack([first * c - second * s, first * s + second * c], axis=-2)


@refgrad.formula(q="query depth", k="key depth", v="key value", lengths={"key": 19}, wrt="q k v")
def attention(q: Array, k: Array, v: Array, *, scale: refgrad.Positive = 0.125) -> Array:
    """Scaled dot-product attention of one head."""
    shares = refgrad.softmax(scale * np.einsum("id,jd->ij", q, k))
    return np.einsum("ij,jv->iv", refgrad.stored(shares, "p"), v)


@refgrad.formula(q="token depth", k="token depth", v="token value", wrt="q k v", lengths={"token": 11})
def causal_attention(q: Array, k: Array, v: Array, *, scale: refgrad.Positive = 0.125) -> Array:
    """The same of tokens that see themselves and those before them."""
    seen = np.tri(q.shape[0], dtype=bool)
    shares = refgrad.softmax(np.where(seen, scale * (q @ k.T), -np.inf))
    return refgrad.stored(shares, "p") @ v


@causal_attention.form("row by row")
def _row_by_row(q: Array, k: Array, v: Array, scale: float) -> Array:
    """Tokens that are not seen are not looked at, so that what is NaN there does not come in."""
    rows = [refgrad.softmax(scale * (k[: i + 1] @ q[i])) @ v[: i + 1] for i in range(q.shape[0])]
    return np.stack(rows)


@refgrad.formula(x="batch in", weight="out in", bias="out", wrt="x weight bias")
def linear(x: Array, weight: Array, bias: Array) -> Array:
    """A layer of weights and biases."""
    return x @ weight.T + bias


@refgrad.formula(x="batch in", weight="out in", x_scale="batch+", weight_scale="out+")
def scaled_matmul(x: Array, weight: Array, x_scale: Array, weight_scale: Array) -> Array:
    """A product of numbers that were divided by a scale a row, as those of fp8 are."""
    return (x @ weight.T) * (x_scale[:, None] * weight_scale)


@refgrad.formula(x="batch feature", bits="batch feature below:256", wrt="x")
def dropout(x: Array, bits: Array, *, rate: refgrad.Fraction = 0.25) -> Array:
    """Numbers whose random byte is below the rate's share of all bytes are dropped, and the others made larger."""
    return np.where(bits >= rate * 256, x / (1.0 - rate), 0.0)


@refgrad.formula(x="batch channel time", weight="channel 3", wrt="x weight")
def depthwise_convolution(x: Array, weight: Array) -> Array:
    """Each channel's numbers, and their neighbours in time, times three weights of the channel."""
    padded, time = np.pad(x, ((0, 0), (0, 0), (1, 1))), x.shape[-1]
    terms = [padded[:, :, i : i + time] * weight[:, i, None] for i in range(3)]
    return terms[0] + terms[1] + terms[2]


@depthwise_convolution.form("without padding")
def _without_padding(x: Array, weight: Array) -> Array:
    """Beyond the ends nothing is multiplied, so that a weight that is infinite does not make NaN there."""
    edge = ((0, 0), (0, 0))
    before = np.pad(x[:, :, :-1] * weight[:, 0, None], (*edge, (1, 0)))
    after = np.pad(x[:, :, 1:] * weight[:, 2, None], (*edge, (0, 1)))
    return before + x * weight[:, 1, None] + after


@refgrad.formula(x="batch feature", wrt="x")
def statistics(x: Array) -> tuple[Array, Array]:
    """Mean and variance of each feature over the batch."""
    mean = np.mean(x, axis=0)
    return mean, np.mean((x - mean) * (x - mean), axis=0)


@refgrad.formula(logits="batch class", labels="batch below:class", wrt="logits")
def cross_entropy_of_labels(
    logits: Array, labels: Array, *, smoothing: refgrad.Fraction = 0.0, z_loss: refgrad.NonNegative = 0.0
) -> Array:
    """The mean over rows of the loss of a label, ``smoothing`` of which is spread over all classes, and of a z-loss."""
    log_sum = refgrad.logsumexp(logits)
    of_label = log_sum - refgrad.take(logits, labels)
    of_all = log_sum - np.mean(logits, axis=-1)
    return np.mean((1.0 - smoothing) * of_label + smoothing * of_all + z_loss * (log_sum * log_sum))


@refgrad.formula(table="word feature", tokens="token below:word", wrt="table")
def embedding(table: Array, tokens: Array) -> Array:
    """Rows of a table; a row's gradient is the sum of those of all tokens that took it."""
    return table[tokens]


@refgrad.formula(logits="token expert", wrt="logits", lengths={"expert": 7})
def top_2_routing(logits: Array) -> Array:
    """Shares of the two experts with the largest logits, which add up to one; of none of the others."""
    largest = refgrad.stop_gradient(np.max(logits, axis=-1, keepdims=True))
    chosen = refgrad.top_k(logits, 2)
    numbers = np.where(chosen, np.exp(logits - largest), 0.0)
    return np.where(chosen, numbers / np.sum(numbers, axis=-1, keepdims=True), 0.0)
