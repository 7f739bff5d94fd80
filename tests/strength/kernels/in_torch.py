"""Programs of torch, eager: its own functions of layers, and what autograd makes of them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import ml_dtypes
import numpy as np
import torch
import torch.nn.functional as F

from tests.strength.kernels.program import BACKWARD, SHAPES, Program, rule_of


def rmsnorm(x, weight, eps):
    return F.rms_norm(x, x.shape[-1:], weight, eps)


def layernorm(x, weight, bias, eps):
    return F.layer_norm(x, x.shape[-1:], weight, bias, eps)


def groupnorm(x, weight, bias, eps):
    return F.group_norm(x.reshape(len(x), -1), x.shape[1], weight.reshape(-1), bias.reshape(-1), eps).reshape(x.shape)


def softmax(x):
    return F.softmax(x, dim=-1)


def log_softmax(x):
    return F.log_softmax(x, dim=-1)


def cross_entropy(logits, target, z_loss):
    loss = -(target * F.log_softmax(logits, dim=-1)).sum(-1)  # torch's own takes shares to add up to one
    return (loss + z_loss * torch.logsumexp(logits, -1) ** 2).mean()


def cross_entropy_of_labels(logits, labels, smoothing, z_loss):
    loss = F.cross_entropy(logits, labels, label_smoothing=smoothing)
    return loss + z_loss * torch.logsumexp(logits, -1).square().mean()


def gelu(x):
    return F.gelu(x)


def gelu_tanh(x):
    return F.gelu(x, approximate="tanh")


def swiglu(x, gate):
    return x * F.silu(gate)


def geglu(x, gate):
    return x * F.gelu(gate)


def rotary(x, cos, sin):
    c, s = cos[:, None, :], sin[:, None, :]
    return torch.stack([x[..., 0] * c - x[..., 1] * s, x[..., 0] * s + x[..., 1] * c], dim=-1)


def rotary_of_halves(x, cos, sin):
    turned = torch.stack([-x[..., 1, :], x[..., 0, :]], dim=-2)
    return x * cos[:, None, None, :] + turned * sin[:, None, None, :]


def attention(q, k, v, scale):
    return F.scaled_dot_product_attention(q[None, None], k[None, None], v[None, None], scale=scale)[0, 0]


def causal_attention(q, k, v, scale):
    return F.scaled_dot_product_attention(q[None, None], k[None, None], v[None, None], scale=scale, is_causal=True)[
        0, 0
    ]


def linear(x, weight, bias):
    return F.linear(x, weight, bias)


def scaled_matmul(x, weight, x_scale, weight_scale):
    return (x * x_scale[:, None]) @ (weight * weight_scale[:, None]).T


def dropout(x, bits, rate):
    return torch.where(bits >= rate * 256, x / (1 - rate), torch.zeros_like(x))


def depthwise_convolution(x, weight):
    return F.conv1d(x, weight[:, None], padding=1, groups=x.shape[1])


def statistics(x):
    variance, mean = torch.var_mean(x, dim=0, correction=0)
    return mean, variance


def embedding(table, tokens):
    return F.embedding(tokens, table)


def top_2_routing(logits):
    values, places = torch.topk(logits, 2, dim=-1)
    return torch.zeros_like(logits).scatter(-1, places, F.softmax(values, dim=-1))


#: of whose gradients autograd gives what the formula's derivative is
BACKWARDS = (
    rmsnorm,
    layernorm,
    groupnorm,
    softmax,
    log_softmax,
    cross_entropy_of_labels,
    gelu,
    gelu_tanh,
    swiglu,
    geglu,
    rotary,
    rotary_of_halves,
    attention,
    linear,
    embedding,
    depthwise_convolution,
)
#: those that compute in float32 and round once, whatever the arrays are; others are handed float32 and rounded after
BY_THEMSELVES = (layernorm, softmax, gelu, gelu_tanh)
FUNCTIONS = tuple(f for f in vars().copy().values() if inspect.isfunction(f) and f.__module__ == __name__)


def _tensor(array: np.ndarray) -> torch.Tensor:
    array = np.ascontiguousarray(array)
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def _array(tensor: torch.Tensor) -> np.ndarray:
    tensor = tensor.detach().contiguous()
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()


def _given(found: Any) -> Any:
    return tuple(map(_array, found)) if isinstance(found, tuple) else _array(found)


def _called(function: Callable[..., Any], as_float: bool = False) -> Callable[..., Any]:
    """A function of tensors as one of arrays; if so wanted, computed in float32."""

    @functools.wraps(function)
    def called(*arrays: Any, **numbers: Any) -> Any:
        tensors = [_tensor(a) for a in arrays]
        kept = next(t.dtype for t in tensors if t.is_floating_point())
        if as_float:
            tensors = [t.float() if t.is_floating_point() else t for t in tensors]
        found = function(*tensors, **numbers)
        if as_float:
            found = tuple(each.to(kept) for each in found) if isinstance(found, tuple) else found.to(kept)
        return _given(found)

    return called


def _differentiated(function: Callable[..., Any]) -> Callable[..., Any]:
    """What autograd gives of a function, for the gradient of its result."""
    rule = rule_of(function.__name__)
    wanted = [list(rule.shapes).index(name) for name in rule.wrt]

    def backward(*arrays: Any, **numbers: Any) -> Any:
        tensors = [_tensor(a) for a in arrays]
        for place in wanted:
            tensors[place].requires_grad_(True)
        result = function(*tensors[:-1], **numbers)
        found = torch.autograd.grad(result, [tensors[place] for place in wanted], tensors[-1].reshape(result.shape))
        return _given(tuple(found))

    parameters = list(inspect.signature(function).parameters.values())
    place = len(rule.shapes)
    upstream = inspect.Parameter("grad_output", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    backward.__signature__ = inspect.Signature([*parameters[:place], upstream, *parameters[place:]])  # type: ignore[attr-defined]
    return backward


def programs() -> Iterator[Program]:
    """All of them."""
    for function in FUNCTIONS:
        yield Program(function.__name__, "torch", "its function", _called(function))
        own = function in BY_THEMSELVES
        if (
            function is log_softmax
        ):  # which is off by a unit in the last place where one rounding would be by half of one
            storage = {"precision": "storage"}
            yield Program(
                function.__name__, "torch", "its function", _called(function), "bfloat16", storage, tried=SHAPES
            )
        said = "its function" if own else "in float32, rounded once"
        yield Program(function.__name__, "torch", said, _called(function, not own), "bfloat16", tried=SHAPES)
    for function in BACKWARDS:
        yield Program(function.__name__ + BACKWARD, "torch", "autograd", _differentiated(function), tried=SHAPES)
