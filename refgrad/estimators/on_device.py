"""Estimators on arrays of a device's: the same checks, the same bits, and nothing that is copied to the host."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from refgrad import backends
from refgrad.arithmetic.dtypes import is_float, working
from refgrad.axes import ELEMENT, Axes, axes_shape, one_of
from refgrad.backends.cuda import range_check, top_k
from refgrad.backends.cuda import run as on_cuda
from refgrad.backends.cuda.arrays import Body, converted
from refgrad.backends.cuda.device import Device, device_of, grid
from refgrad.backends.cuda.staged_source import conversion_source
from refgrad.backends.cuda.storage import Number
from refgrad.errors import ArgumentError, bad_argument
from refgrad.estimators.base import Estimator, check_legal
from refgrad.rule import Range
from refgrad.tracing import free_values, plan_for


def evaluate(rule: Estimator, x: Any, device: Device, **given: Any) -> Any:
    """`Estimator.evaluate` on arrays of a device.

    Args:
        rule: the estimator.
        x: its input, on the device.
        device: the device.
        given: parameters by name, and the options of the method.
    """
    return _asked(rule, ("y",), {"x": x, **given}, device)["y"]


def differentiate(rule: Estimator, cotangent: Any, x: Any, device: Device, **given: Any) -> dict[str, Any]:
    """`Estimator.differentiate` on arrays of a device; arguments are those of `evaluate`."""
    return _asked(rule, rule.results()[1:], {"x": x, "cotangent": cotangent, **given}, device)


def both(rule: Estimator, cotangent: Any, x: Any, device: Device, **given: Any) -> dict[str, Any]:
    """`Estimator.both` on arrays of a device; arguments are those of `evaluate`."""
    return _asked(rule, rule.results(), {"x": x, "cotangent": cotangent, **given}, device)


def _asked(rule: Estimator, wanted: tuple[str, ...], given: Mapping[str, Any], device: Device) -> dict[str, Any]:
    backends.runner(given.get("backend", "auto"))  # which refuses what is no backend
    return run(rule, wanted, {n: value for n, value in given.items() if n not in ("backend", "threads")}, device)


def run(rule: Estimator, wanted: tuple[str, ...], given: Mapping[str, Any], device: Device) -> dict[str, Any]:
    """Results by name, in new arrays of the device.

    Args:
        rule: the estimator.
        wanted: the results that are asked for.
        given: arrays of the device, arrays of NumPy's and numbers, by name.
        device: the device.

    Raises:
        ArgumentError: a shape, dtype, number or name that is not legal.
        NoKernel: the rule's body calls what no kernel does.
    """
    absent = [name for name in rule.chosen if name not in given]
    rule.check_names({n: v for n, v in {**given, **dict.fromkeys(absent)}.items() if n not in rule.tables})
    x = _placed(given["x"], "x", device)
    tables = {name: _placed(given[name], name, device) for name in rule.tables if name in given}
    takes = {name: axes for name, axes in rule.takes().items() if name in given}
    arrays = {name: x if name == "x" else _fitted(rule, name, takes[name], given[name], x, device) for name in takes}
    arrays |= (
        _nearest(rule, absent, {**arrays, **tables}, device) if rule.tables else _choices(rule, absent, arrays, device)
    )
    shape, gives = x.shape, rule.gives()
    shapes = {name: axes_shape(gives.get(name, ELEMENT), shape) for name in wanted}
    if not x.size:  # a sum over nothing is zero
        return {name: device.put(np.zeros(own, x.dtype)) for name, own in shapes.items()}
    results = {name: device.empty(own, x.dtype) for name, own in shapes.items()}
    # without axes there is a row of one
    work = {name: a if shape else a.reshape(1) for name, a in {**arrays, **results}.items()}
    free = free_values(shape or (1,), {})
    work.setdefault("cotangent", work["x"])  # which is not looked at
    on_cuda.run(plan_for(rule, max(len(shape), 1), free, wanted), free, work, device)
    return results


def _nearest(rule: Any, absent: list[str], arrays: Mapping[str, Any], device: Device) -> dict[str, Any]:
    """The code that is nearest to each vector, where none is handed in."""
    if not absent:
        return {}
    if set(rule.tables) - set(arrays):
        raise ArgumentError(f"{type(rule).__name__} needs {rule.tables[0]!r}; legal: an array")
    x = arrays["x"]
    if not x.size:
        return dict.fromkeys(absent, x)
    body = Body(device, np.dtype(working(x.dtype)))
    given = {name: body.array(converted(arrays[name], body.working, device)) for name in ("x", *rule.tables)}
    (selection,) = rule.selections(given).values()
    scores = selection.rule.scores(*(selection.arrays[name] for name in ("w", "q")))
    pairs = scores.flat_data.reshape(-1, selection.rule.codes)
    chosen = top_k.top_k(pairs, 1, selection.rule.ties, selection.rule.nan_rank, device)
    codes = given[rule.tables[0]].reshape(selection.rule.codes, -1)
    vectors = np.argmax(body.array(chosen).astype(np.uint8), axis=1)  # type: ignore[call-overload]
    starts = vectors.reshape(-1, 1) * codes.shape[1] + np.arange(codes.shape[1])
    return dict.fromkeys(absent, converted(codes.at(starts).data.reshape(x.shape), np.dtype(x.dtype), device))


def _choices(rule: Any, absent: list[str], arrays: Mapping[str, Any], device: Device) -> dict[str, Any]:
    """The choices that no argument is: one where an entry is chosen, zero elsewhere."""
    x, found = arrays["x"], {}
    for name, selection in rule.selections(arrays).items() if absent and x.size else ():
        if name in absent:
            chosen, made = selection.mask(), device.empty(x.shape, x.dtype)
            form, own = Number("uint8"), Number(x.dtype.name)
            given = [x.size, device.address(chosen), device.address(made)]
            source = conversion_source(form, own, working(x.dtype).name)
            device.launch(source, *grid(x.size), given, device.stream())
            found[name] = made
    return found or dict.fromkeys(absent, x)


def _placed(value: Any, name: str, device: Device) -> Any:
    """A contiguous array on the device, of a float dtype."""
    if isinstance(value, np.ndarray | np.generic):
        value = device.put(np.asarray(value))
    if device_of(value) is None:
        raise ArgumentError(f"{name} is a {type(value).__name__}; legal: an array of a float dtype on the device")
    if not is_float(value.dtype):
        raise bad_argument(f"{name}.dtype", str(value.dtype), "a float dtype, such as float32, float64 or bfloat16")
    return value if value.flags.c_contiguous else device.copy(value)


def _fitted(rule: Estimator, name: str, axes: Axes, value: Any, x: Any, device: Device) -> Any:
    """A parameter or the cotangent, as `Estimator.prepared` has it."""
    shape = axes_shape(axes, x.shape)
    legal = rule.parameters[name].legal if name in rule.parameters else Range()
    if isinstance(value, int | float):
        number = np.asarray(value, x.dtype)
        check_legal(name, legal, number)
        if shape and axes == ELEMENT:
            raise bad_argument(f"{name}.shape", (), f"{shape}, one number for each {one_of(axes)} of x")
        return device.put(np.full(shape, number))
    array = _placed(value, name, device)
    if array.shape != shape:
        if axes == ELEMENT or array.ndim > 1 or array.size != math.prod(shape):
            raise bad_argument(f"{name}.shape", array.shape, f"{shape}, one number for each {one_of(axes)} of x")
        array = array.reshape(shape)
    if array.dtype == np.float64 and x.dtype != np.float64:
        raise bad_argument(f"{name}.dtype", "float64", f"float32 or narrower, because x is {x.dtype}")
    ends = (legal.low, legal.high, device, legal.open_low, legal.open_high)
    if legal != Range() and not range_check.within(array, *ends):
        check_legal(name, legal, device.get(array))
    return array
