"""Masks on arrays of a device's: scores by the kernels of their graphs, and the largest of them found there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from refgrad.arithmetic.dtypes import is_float, working
from refgrad.axes import ELEMENT, axes_shape
from refgrad.backends import row_kernels, runner
from refgrad.backends.cuda import run as on_cuda
from refgrad.backends.cuda import top_k
from refgrad.backends.cuda.arrays import Body
from refgrad.backends.cuda.device import Device, device_of, grid
from refgrad.backends.cuda.staged_source import copy_source
from refgrad.errors import ArgumentError, NoKernel, bad_argument
from refgrad.sparsity.base import Mask, Structured, Unstructured, tensors
from refgrad.sparsity.n_of_m import Groups
from refgrad.sparsity.sensitivity import SoftMovement
from refgrad.tracing import free_values, plan_for

#: the ways to choose, to arrange in units and to spread these that are written here; a rule with another one runs on the host
SELECTIONS = (Unstructured.select, Groups.select, SoftMovement.select)
UNITS = (Mask.units, Structured.units)
SPREADS = (Mask.spread, Structured.spread)


def masks(rule: Mask, ws: Sequence[Any], device: Device, **others: Sequence[Any]) -> list[Any]:
    """The masks of several arrays; ``others`` are sequences beside them.

    Raises:
        ArgumentError: what `mask` says, or there are not as many of each.
        NoKernel: it ranks all of their entries together, or what `mask` says.
    """
    if getattr(rule, "granularity", "") == "together":
        raise NoKernel("it ranks the entries of several arrays together")
    return [mask(rule, w, device, **own) for w, own in tensors(ws, others)]


def mask(rule: Mask, w: Any, device: Device, backend: str = "auto", threads: int | None = None, **others: Any) -> Any:
    """Which entries of an array are kept.

    Args:
        rule: the mask.
        w: the weights, an array of the device.
        device: the device.
        backend: as of `Optimizer.step`; a device has one of its own.
        threads: not looked at.
        others: what else its scores take, by name: arrays of the device or of the host.

    Returns:
        Booleans of the shape of ``w``, on the device.

    Raises:
        ArgumentError: what the rule says of arrays that do not fit.
        NoKernel: its pattern is searched, or nothing can be cut into its groups.
    """
    runner(backend)  # which refuses what is no backend
    found = score(rule, w, device, **others)
    if isinstance(rule, Groups):
        return _of_groups(rule, found, device)
    if isinstance(rule, SoftMovement):
        return top_k.above(found, np.asarray(rule.threshold, found.dtype), rule.nan_rank, device)
    assert isinstance(rule, Unstructured)
    by_row = rule.granularity == "row" and found.ndim > 0
    shape = (found.shape[0], math.prod(found.shape[1:])) if by_row else (1, found.size)
    chosen = top_k.top_k(found.reshape(shape), rule.kept(shape[1]), rule.ties, rule.nan_rank, device)
    chosen = chosen.reshape(found.shape)
    if type(rule).spread is Mask.spread:
        return chosen
    if type(rule).spread not in SPREADS:
        body = Body(device, found.dtype, fixed=False)
        return rule.spread(body.array(chosen), tuple(w.shape)).flat_data  # type: ignore[arg-type, attr-defined]
    axis: int = rule.axis  # type: ignore[attr-defined]  # what spreads as slices has one
    slices = (w.shape[axis], *w.shape[:axis], *w.shape[axis + 1 :])
    whole = device.copy(device.spread(chosen, slices))
    return device.copy(whole.transpose((*range(1, axis + 1), 0, *range(axis + 1, w.ndim))))


def score(rule: Mask, w: Any, device: Device, **others: Any) -> Any:
    """The scores that the mask is chosen by, in the working dtype; arguments and errors are those of `mask`."""
    if type(rule).select not in SELECTIONS:
        raise NoKernel("its pattern, or what it is made of, is no ranking of entries, rows or slices")
    arrays = _prepared(rule, w, others, device)
    w = arrays["w"]
    if not w.size or not w.ndim:
        raise NoKernel("there are no elements, or there is no axis")
    free = free_values(w.shape, {})
    plan = row_kernels.as_given(plan_for(rule, w.ndim, free))
    (node,) = plan.graph.outputs.values()
    if node.op == "input":
        return arrays[node.attribute]
    small = plan.graph.small
    found = device.empty(axes_shape(small.get("scores", ELEMENT), w.shape), w.dtype)
    on_cuda.run(plan, free, {**arrays, "scores": found}, device)
    return found


def _prepared(rule: Mask, w: Any, others: Mapping[str, Any], device: Device) -> dict[str, Any]:
    """The arrays that scores are made of, in the working dtype and in units, as `Mask.prepare` has them."""
    wanted = rule.takes()
    others = {n: np.ones((), np.float32) for n, what in rule.inputs.items() if what == "ones"} | dict(others)
    for name in others:
        if name not in wanted or name == "w":
            raise ArgumentError(f"{type(rule).__name__} takes no {name!r}; legal: {', '.join(wanted)}")
    arrays = {}
    for name in wanted:
        if name != "w" and name not in others:
            raise ArgumentError(f"{name} is missing; {type(rule).__name__} takes {', '.join(wanted)}")
        array = w if name == "w" else others[name]
        array = device.put(np.asarray(array)) if isinstance(array, np.ndarray | np.generic) else array
        if device_of(array) is None:
            raise ArgumentError(f"{name} is a {type(array).__name__}; legal: an array of a float dtype on the device")
        if not is_float(array.dtype):
            raise bad_argument(f"{name}.dtype", str(array.dtype), "a float dtype, such as float32, float64 or bfloat16")
        arrays[name] = _in_units(rule, array, name, w, device)
    return arrays


def _in_units(rule: Mask, array: Any, name: str, w: Any, device: Device) -> Any:
    if array.shape != w.shape:
        try:
            array = device.spread(array, w.shape)
        except ValueError:
            legal = f"one that broadcasts to {w.shape}, that of w"
            raise bad_argument(f"{name}.shape", array.shape, legal) from None
    if type(rule).units not in UNITS:
        body = Body(device, np.dtype(working(array.dtype)), fixed=False)
        array = rule.units(body.array(array if array.flags.c_contiguous else device.copy(array))).flat_data  # type: ignore[arg-type, attr-defined]
    elif isinstance(rule, Structured):
        if rule.axis >= w.ndim:
            raise bad_argument("w.ndim", w.ndim, f"more than {rule.axis}, the axis of {rule}")
        array = array.transpose((rule.axis, *(i for i in range(w.ndim) if i != rule.axis)))
    array = array if array.flags.c_contiguous else device.copy(array)
    dtype = working(w.dtype)
    if array.dtype == dtype or not array.size:
        return array
    made = device.empty(array.shape, dtype)
    given = [array.size, device.address(array), device.address(made)]
    device.launch(copy_source(array.dtype.name, dtype.name), *grid(array.size), given, device.stream())
    return made


def _of_groups(rule: Groups, scores: Any, device: Device) -> Any:
    """The largest of every m neighbours along an axis."""
    if rule.along == "flat":
        lines, back = scores.reshape(1, -1), None
    else:
        axis = {"last": scores.ndim - 1, "first": 0, "channel": 1}[rule.along]
        if axis >= scores.ndim:
            raise NoKernel("there is no such axis")
        order = (*(i for i in range(scores.ndim) if i != axis), axis)
        moved = scores.transpose(order)
        lines = (moved if moved.flags.c_contiguous else device.copy(moved)).reshape(-1, scores.shape[axis])
        back = (*range(axis), scores.ndim - 1, *range(axis, scores.ndim - 1))
    if lines.shape[1] % rule.m:
        raise NoKernel("groups do not fill its length")
    chosen = top_k.top_k(lines.reshape(-1, rule.m), min(rule.kept(), rule.m), rule.ties, rule.nan_rank, device)
    if back is None:
        return chosen.reshape(scores.shape)
    turned = chosen.reshape(tuple(scores.shape[i] for i in order)).transpose(back)
    return turned if turned.flags.c_contiguous else device.copy(turned)
