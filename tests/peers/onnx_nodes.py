"""ONNX's node tests of optimizers, quantizers and casts, as the package makes them, judged by the rules that they are."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np

import refgrad
from refgrad.optimizers import SGD, Adagrad, Adam
from refgrad.quantizers import Affine, Cast
from refgrad.quantizers.base import Quantized

Attributes = Mapping[str, Any]
Values = list[np.ndarray]
OPERATORS = ("Adam", "Adagrad", "Momentum", "QuantizeLinear", "DequantizeLinear", "Cast")


class Node(NamedTuple):
    """A test of one node: its operator and attributes, the values that go in, and those that come out."""

    name: str
    operator: str
    attributes: Attributes
    inputs: list[Any]
    outputs: list[Any]


class Unasked(Exception):
    """A test of what refgrad has no rule for."""


@cache
def nodes() -> tuple[Node, ...]:
    """The node tests of these operators."""
    import onnx
    from onnx.backend.test.case import node as cases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        every = cases.collect_testcases(None)
    found = []
    for case in every:
        graph = case.model.graph
        if len(graph.node) != 1 or graph.node[0].op_type not in OPERATORS or case.name.endswith("_expanded"):
            continue  # what is expanded is the test of another operator
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in graph.node[0].attribute}
        inputs, outputs = case.data_sets[0]
        found.append(Node(case.name, graph.node[0].op_type, attributes, list(inputs), list(outputs)))
    return tuple(sorted(found))


def differing(node: Node) -> str:
    """What differs in a test, "" if nothing does.

    Args:
        node: the test.

    Raises:
        Unasked: refgrad has no rule for it.
    """
    with np.errstate(all="ignore"):
        off = [(name, np.asarray(wrong)) for name, wrong in ASKED[node.operator](node)]
    return ", ".join(f"{name}: {int(wrong.sum())} of {wrong.size} outside" for name, wrong in off if wrong.any())


def _array(value: Any) -> np.ndarray:
    """A tensor's numbers; of what NumPy has no dtype for, those of ml_dtypes."""
    import onnx

    plain = isinstance(value, np.ndarray | np.generic)
    return np.asarray(value if plain else onnx.numpy_helper.to_array(value))


def _step(node: Node, rule: Any, slots: tuple[str, ...], t: int) -> Iterator[tuple[str, np.ndarray]]:
    """Whether each output of each tensor is outside its set, given ONNX's own new state."""
    values, results = [np.asarray(v) for v in node.inputs[2:]], [np.asarray(v) for v in node.outputs]
    count = len(values) // (2 + len(slots))
    names = ("p", "g", *slots)
    for i in range(count):
        given = {n: values[k * count + i].astype(np.float32) for k, n in enumerate(names)}
        new = {n: results[k * count + i] for k, n in enumerate(("p", *slots))}
        state = {n: new[n] for n in slots}
        found = refgrad.sets(rule, {**given, "t": t}, given=state)
        yield from ((n, ~found[n].contains(new[n])) for n in found)


def _told(node: Node) -> tuple[float, int, Attributes]:
    """The rate, the step count and the attributes, as float32 has them."""
    return float(np.asarray(node.inputs[0])), int(np.asarray(node.inputs[1])), node.attributes


def _adam(node: Node) -> Iterator[tuple[str, np.ndarray]]:
    lr, done, told = _told(node)
    if told.get("norm_coefficient_post"):
        raise Unasked("a decay after the step")
    rule = Adam(
        lr=lr,
        beta1=told["alpha"],
        beta2=told["beta"],
        eps=told["epsilon"],
        weight_decay=told["norm_coefficient"],
        eps_placement="uncorrected",
        bias_correction=done > 0,
    )
    yield from _step(node, rule, ("m", "v"), max(done, 1))


def _adagrad(node: Node) -> Iterator[tuple[str, np.ndarray]]:
    lr, done, told = _told(node)
    rule = Adagrad(lr=lr, lr_decay=told["decay_factor"], weight_decay=told["norm_coefficient"], eps=told["epsilon"])
    yield from _step(node, rule, ("s",), done + 1)


def _momentum(node: Node) -> Iterator[tuple[str, np.ndarray]]:
    """The first gradient is not damped, and yet added to what the momentum was: a later step without dampening."""
    lr, done, told = _told(node)
    rule = SGD(
        lr=lr,
        momentum=told["alpha"],
        dampening=1 - told["beta"] if done else 0.0,
        weight_decay=told["norm_coefficient"],
        nesterov=told["mode"] == b"nesterov",
    )
    yield from _step(node, rule, ("buffer",), 2)


#: ONNX's types of codes -> bits and sign
WHOLE = {f"{sign}int{bits}": (bits, not sign) for sign in ("", "u") for bits in (2, 4, 8, 16)}
FLOATS = {f"float8_{n}": f"float8_{n}" for n in ("e4m3fn", "e5m2", "e4m3fnuz", "e5m2fnuz", "e8m0fnu")}
FLOATS |= {"float4_e2m1fn": "float4_e2m1fn", "bfloat16": "bfloat16", "float16": "float16"}


def _affine(node: Node, shape: tuple[int, ...], scale: np.ndarray, kind: str) -> Affine:
    """The rule of codes of a type, with the groups of a scale's shape; blocks lie along the last axis."""
    bits, signed = WHOLE[kind]
    axis, size = node.attributes.get("axis", 1) % max(len(shape), 1), node.attributes.get("block_size", 0)
    if size:
        return Affine(bits=bits, signed=signed, granularity="group", group_size=size)
    if scale.size == 1:
        return Affine(bits=bits, signed=signed)
    return Affine(bits=bits, signed=signed, granularity="channel", axis=axis)


def _laid_out(node: Node) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray]:
    """What goes in, its scale, its zero point, and what comes out; blocks are brought to the last axis."""
    x, scale, *zeros = [_array(v) for v in node.inputs]
    found = [x, scale, zeros[0] if zeros else None, _array(node.outputs[0])]
    if node.attributes.get("block_size"):
        axis = node.attributes.get("axis", 1)
        found = [None if a is None else np.ascontiguousarray(np.moveaxis(a, axis, -1)) for a in found]
    return found[0], found[1], found[2], found[3]  # type: ignore[return-value]


def _along(node: Node, x: np.ndarray, each: np.ndarray) -> np.ndarray:
    """Numbers of one a channel, in a shape that broadcasts against ``x``."""
    axis = node.attributes.get("axis", 1)
    return each.reshape([-1 if i == axis % x.ndim else 1 for i in range(x.ndim)]) if each.size > 1 else each.reshape(())


def _quantize(node: Node) -> Iterator[tuple[str, np.ndarray]]:
    x, scale, zero, wanted = _laid_out(node)
    kind = wanted.dtype.name
    if kind in FLOATS:
        cast = Cast(format=FLOATS[kind], overflow="saturate")
        moved = np.zeros((), np.float32) if zero is None else _along(node, x, zero.astype(np.float32))
        found = cast.encode(x / _along(node, x, scale) + moved)["codes"]
        yield "codes", found != wanted.view(found.dtype)
        return
    zero = np.zeros(scale.shape) if zero is None else zero.astype(np.float64)
    rule = _affine(node, x.shape, scale, kind)
    yield "codes", rule.quantize_with(x, scale, zero) != wanted.astype(np.int32)


def _dequantize(node: Node) -> Iterator[tuple[str, np.ndarray]]:
    codes, scale, zero, wanted = _laid_out(node)
    kind = codes.dtype.name
    if kind in FLOATS:
        whole = codes.view(np.uint8)
        numbers = Cast(format=FLOATS[kind]).decode({"codes": whole}, whole.shape).astype(scale.dtype)
        off = np.zeros((), scale.dtype) if zero is None else zero.astype(scale.dtype)
        yield "y", (numbers - _along(node, codes, off)) * _along(node, codes, scale) != wanted
        return
    rule = _affine(node, codes.shape, scale, kind)
    whole = np.zeros(scale.shape, np.int32) if zero is None else zero.astype(np.int32)
    parts = {"scale": scale.ravel(), "zero_point": whole.ravel(), "codes": codes.astype(rule.code_dtype)}
    yield "y", rule.dequantize(Quantized(parts, codes.shape, np.dtype(scale.dtype))) != wanted


def _cast(node: Node) -> Iterator[tuple[str, np.ndarray]]:
    x, wanted = _array(node.inputs[0]), _array(node.outputs[0])
    to, given = wanted.dtype.name, x.dtype.name
    if to in FLOATS and given in ("float16", "float32", "float64"):
        saturates = node.attributes.get("saturate", 1) and to.startswith("float8")
        rounding = node.attributes.get("round_mode", b"nearest_even").decode()
        rule = Cast(format=FLOATS[to], overflow="saturate" if saturates else "overflow", rounding=rounding)
        x = x.astype(np.float32) if given == "float16" else x
        undefined = np.isnan(x) & (rule.record.nan_code is None)
        found = rule.encode(np.where(undefined, x.dtype.type(0), x))["codes"]
        yield "codes", (found != wanted.view(found.dtype)) | undefined
    elif given in FLOATS and to in ("float16", "float32", "float64"):
        rule = Cast(format=FLOATS[given])
        codes = x.view(f"u{x.dtype.itemsize}")
        numbers = rule.decode({"codes": codes}, codes.shape)
        same = (numbers.astype(to) == wanted) | (np.isnan(numbers) & np.isnan(wanted))
        yield "y", ~same
    else:
        raise Unasked(f"from {given} to {to}: neither is a format of Cast")


ASKED: Mapping[str, Callable[[Node], Iterator[tuple[str, np.ndarray]]]] = {
    "Adam": _adam,
    "Adagrad": _adagrad,
    "Momentum": _momentum,
    "QuantizeLinear": _quantize,
    "DequantizeLinear": _dequantize,
    "Cast": _cast,
}
