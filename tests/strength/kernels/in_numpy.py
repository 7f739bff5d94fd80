"""Programs in NumPy, in float32: one that a reader would write, and others in another order of operations."""

from __future__ import annotations

import math

import numpy as np
import scipy.special

F = np.float32


def _in_turn(terms, axis=-1):
    """A sum that is added up one term after the other."""
    return np.take(np.cumsum(terms, axis=axis), [-1], axis=axis)


def rmsnorm(x, weight, eps):
    scale = 1 / np.sqrt(np.mean(np.square(x), axis=-1, keepdims=True) + F(eps))
    return x * scale * weight


def rmsnorm__sums_in_turn(x, weight, eps):
    return x * weight / np.sqrt(_in_turn(x * x) / F(x.shape[-1]) + F(eps))


def rmsnorm__root_of_the_length_taken_out(x, weight, eps):
    count = x.shape[-1]
    return x * (weight * F(math.sqrt(count))) / np.sqrt(np.einsum("bi,bi->b", x, x)[:, None] + F(eps * count))


def layernorm(x, weight, bias, eps):
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = np.mean(np.square(centred), axis=-1, keepdims=True)
    return centred * (1 / np.sqrt(variance + F(eps))) * weight + bias


def layernorm__mean_corrected(x, weight, bias, eps):
    centred = x - x.mean(axis=-1, keepdims=True)
    centred = centred - centred.mean(axis=-1, keepdims=True)
    variance = np.einsum("bi,bi->b", centred, centred)[:, None] * F(1 / x.shape[-1])
    return weight * centred / np.sqrt(variance + F(eps)) + bias


def groupnorm(x, weight, bias, eps):
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt(np.mean(centred * centred, axis=-1, keepdims=True) + F(eps)) * weight + bias


def groupnorm__scale_beside(x, weight, bias, eps):
    centred = x - _in_turn(x) / F(x.shape[-1])
    scale = 1 / np.sqrt(_in_turn(centred * centred) / F(x.shape[-1]) + F(eps))
    return centred * (scale * weight) + bias


def softmax(x):
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def softmax__powers_of_two(x):
    powers = np.exp2((x - x.max(axis=-1, keepdims=True)) * F(math.log2(math.e)))
    return powers * (1 / powers.sum(axis=-1, keepdims=True))


def softmax__by_the_logarithm(x):
    moved = x - x.max(axis=-1, keepdims=True)
    return np.exp(moved) / _in_turn(np.exp(moved))


def log_softmax(x):
    moved = x - x.max(axis=-1, keepdims=True)
    return moved - np.log(np.exp(moved).sum(axis=-1, keepdims=True))


def log_softmax__log_of_the_sum(x):
    largest = x.max(axis=-1, keepdims=True)
    return x - (largest + np.log(_in_turn(np.exp(x - largest))))


def cross_entropy(logits, target, z_loss):
    largest = logits.max(axis=-1, keepdims=True)
    log_sum = largest + np.log(np.exp(logits - largest).sum(axis=-1, keepdims=True))
    losses = (target * (log_sum - logits)).sum(axis=-1) + F(z_loss) * np.square(log_sum[:, 0])
    return losses.mean()


def cross_entropy_of_labels(logits, labels, smoothing, z_loss):
    largest = logits.max(axis=-1, keepdims=True)
    log_sum = largest + np.log(np.exp(logits - largest).sum(axis=-1, keepdims=True))
    of_label = (log_sum - logits)[np.arange(len(labels)), labels]
    of_all = log_sum[:, 0] - logits.mean(axis=-1)
    return np.mean(F(1 - smoothing) * of_label + F(smoothing) * of_all + F(z_loss) * log_sum[:, 0] ** 2)


def gelu(x):
    return F(0.5) * x * (1 + scipy.special.erf(x * F(math.sqrt(0.5))))


def gelu__halves_first(x):
    half = F(0.5) * x
    return half + half * scipy.special.erf(x / F(math.sqrt(2)))


def gelu_tanh(x):
    return F(0.5) * x * (1 + np.tanh(F(math.sqrt(2 / math.pi)) * (x + F(0.044715) * x**3)))


def gelu_tanh__factored(x):
    inner = x * (F(math.sqrt(2 / math.pi)) + F(math.sqrt(2 / math.pi) * 0.044715) * (x * x))
    return x * (F(0.5) + F(0.5) * np.tanh(inner))


def swiglu(x, gate):
    return x * gate * scipy.special.expit(gate)


def swiglu__divided(x, gate):
    return gate / (1 + np.exp(-gate)) * x


def geglu(x, gate):
    return x * (F(0.5) * gate * (1 + scipy.special.erf(gate * F(math.sqrt(0.5)))))


def rotary(x, cos, sin):
    c, s, first, second = cos[:, None, :], sin[:, None, :], x[..., 0], x[..., 1]
    return np.stack([first * c - second * s, second * c + first * s], axis=-1)


def rotary__of_the_whole(x, cos, sin):
    turned = np.stack([-x[..., 1], x[..., 0]], axis=-1)
    return x * cos[:, None, :, None] + turned * sin[:, None, :, None]


def rotary_of_halves(x, cos, sin):
    turned = np.stack([-x[..., 1, :], x[..., 0, :]], axis=-2)
    return x * cos[:, None, None, :] + turned * sin[:, None, None, :]


def attention(q, k, v, scale):
    scores = F(scale) * (q @ k.T)
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True) @ v


def attention__divided_last(q, k, v, scale):
    scores = (q * F(scale)) @ k.T
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers @ v / powers.sum(axis=-1, keepdims=True)


def attention__powers_of_two(q, k, v, scale):
    scores = F(scale * math.log2(math.e)) * (q @ k.T)
    powers = np.exp2(scores - scores.max(axis=-1, keepdims=True))
    return powers @ v / powers.sum(axis=-1, keepdims=True)


def causal_attention(q, k, v, scale):
    scores = np.where(np.tri(len(q), dtype=bool), F(scale) * (q @ k.T), -np.inf).astype(q.dtype)
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True) @ v


def causal_attention__row_by_row(q, k, v, scale):
    rows = []
    for i in range(len(q)):
        scores = F(scale) * (k[: i + 1] @ q[i])
        powers = np.exp(scores - scores.max())
        rows.append(powers @ v[: i + 1] / powers.sum())
    return np.stack(rows) if rows else np.zeros_like(v)


def linear(x, weight, bias):
    return x @ weight.T + bias


def linear__by_einsum(x, weight, bias):
    return bias + np.einsum("bi,oi->bo", x, weight)


def scaled_matmul(x, weight, x_scale, weight_scale):
    return (x @ weight.T) * x_scale[:, None] * weight_scale


def scaled_matmul__scales_first(x, weight, x_scale, weight_scale):
    return np.einsum("bi,oi->bo", x, weight) * np.outer(x_scale, weight_scale)


def dropout(x, bits, rate):
    return np.where(bits >= F(rate * 256), x * F(1 / (1 - rate)), F(0))


def dropout__divided(x, bits, rate):
    return np.where(bits < F(rate * 256), F(0), x / F(1 - rate))


def depthwise_convolution(x, weight):
    padded, time = np.pad(x, ((0, 0), (0, 0), (1, 1))), x.shape[-1]
    return sum((padded[:, :, i : i + time] * weight[:, i, None] for i in (1, 2)), padded[:, :, :time] * weight[:, :1])


def depthwise_convolution__from_the_middle(x, weight):
    found = x * weight[:, 1, None]
    found[:, :, 1:] += x[:, :, :-1] * weight[:, 0, None]
    found[:, :, :-1] += x[:, :, 1:] * weight[:, 2, None]
    return found


def statistics(x):
    mean = x.mean(axis=0)
    return mean, np.mean((x - mean) ** 2, axis=0)


def statistics__by_welford(x):
    mean, squares = np.zeros(x.shape[1:], F), np.zeros(x.shape[1:], F)
    for count, row in enumerate(x, 1):
        off = row - mean
        mean = mean + off / F(count)
        squares = squares + off * (row - mean)
    return mean, squares / F(len(x))


def embedding(table, tokens):
    return table[tokens]


def top_2_routing(logits):
    order = np.argsort(-logits, axis=-1, kind="stable")[:, :2]
    powers = np.exp(np.take_along_axis(logits, order, -1) - logits.max(axis=-1, keepdims=True))
    found = np.zeros_like(logits)
    np.put_along_axis(found, order, powers / powers.sum(axis=-1, keepdims=True), -1)
    return found


def rmsnorm_backward(x, weight, grad_output, eps):
    scale = 1 / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + F(eps))
    normed, reached = x * scale, grad_output * weight
    of_x = scale * (reached - normed * np.mean(reached * normed, axis=-1, keepdims=True))
    return of_x, np.sum(grad_output * normed, axis=0)


def layernorm_backward(x, weight, bias, grad_output, eps):
    centred = x - x.mean(axis=-1, keepdims=True)
    scale = 1 / np.sqrt(np.mean(centred * centred, axis=-1, keepdims=True) + F(eps))
    normed, reached = centred * scale, grad_output * weight
    along = np.mean(reached * normed, axis=-1, keepdims=True)
    of_x = scale * (reached - reached.mean(axis=-1, keepdims=True) - normed * along)
    return of_x, (grad_output * normed).sum(axis=0), grad_output.sum(axis=0)


def softmax_backward(x, grad_output):
    shares = softmax(x)
    return shares * (grad_output - np.sum(shares * grad_output, axis=-1, keepdims=True))


def log_softmax_backward(x, grad_output):
    return grad_output - softmax(x) * grad_output.sum(axis=-1, keepdims=True)


def gelu_backward(x, grad_output):
    below = F(0.5) * (1 + scipy.special.erf(x * F(math.sqrt(0.5))))
    return grad_output * (below + x * np.exp(F(-0.5) * x * x) * F(1 / math.sqrt(2 * math.pi)))


def swiglu_backward(x, gate, grad_output):
    share = scipy.special.expit(gate)
    return grad_output * gate * share, grad_output * x * (share + gate * share * (1 - share))


def linear_backward(x, weight, bias, grad_output):
    return grad_output @ weight, grad_output.T @ x, grad_output.sum(axis=0)


def attention_backward(q, k, v, grad_output, scale):
    shares = softmax(F(scale) * (q @ k.T))
    of_shares = grad_output @ v.T
    of_scores = F(scale) * shares * (of_shares - np.sum(shares * of_shares, axis=-1, keepdims=True))
    return of_scores @ k, of_scores.T @ q, shares.T @ grad_output


def cross_entropy_of_labels_backward(logits, labels, grad_output, smoothing, z_loss):
    rows, count = logits.shape
    largest = logits.max(axis=-1, keepdims=True)
    powers = np.exp(logits - largest)
    total = powers.sum(axis=-1, keepdims=True)
    log_sum = largest + np.log(total)
    found = powers / total * (1 + F(2 * z_loss) * log_sum) - F(smoothing / count)
    found[np.arange(rows), labels] -= F(1 - smoothing)
    return found * (grad_output / F(rows))


def embedding_backward(table, tokens, grad_output):
    found = np.zeros_like(table)
    np.add.at(found, tokens, grad_output)
    return found


def dropout_backward(x, bits, grad_output, rate):
    return np.where(bits >= F(rate * 256), grad_output / F(1 - rate), F(0))


def depthwise_convolution_backward(x, weight, grad_output):
    time = x.shape[-1]
    wide, far = np.pad(x, ((0, 0), (0, 0), (1, 1))), np.pad(grad_output, ((0, 0), (0, 0), (1, 1)))
    of_x = sum(far[:, :, 2 - i : 2 - i + time] * weight[:, i, None] for i in range(3))
    of_weight = np.stack([np.sum(wide[:, :, i : i + time] * grad_output, axis=(0, 2)) for i in range(3)], axis=-1)
    return of_x, of_weight


def rotary_backward(x, cos, sin, grad_output):
    c, s, first, second = cos[:, None, :], sin[:, None, :], grad_output[..., 0], grad_output[..., 1]
    return np.stack([first * c + second * s, second * c - first * s], axis=-1)
