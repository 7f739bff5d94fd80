"""Steps on arrays of a device's, such as CuPy's: the same checks, the same bits, and nothing that is copied to the host."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from refgrad import trees
from refgrad.arithmetic.dtypes import is_float
from refgrad.axes import LEFT, RIGHT
from refgrad.backends.cuda import literal_run, range_check
from refgrad.backends.cuda import run as on_cuda
from refgrad.backends.cuda.device import Device, grid
from refgrad.backends.cuda.source import why_not
from refgrad.backends.cuda.staged_source import copy_source
from refgrad.errors import ArgumentError, NoKernel, bad_argument, with_article
from refgrad.optimizers import extra
from refgrad.optimizers.leaf import Leaf, check_fits
from refgrad.rule import Slot
from refgrad.tracing import Plan, free_values, plan_for

_LIKE_P = Slot()


def init(rule: Any, p: Any, device: Device, state_dtype: Any = None) -> dict[str, Any]:
    """The state before the first step.

    Args:
        rule: an optimizer.
        p: an array of the device, or a tree of such.
        device: the device.
        state_dtype: the dtype of the state's arrays; None for that of each parameter.

    Raises:
        ArgumentError: a leaf is no array of a float dtype on the device.
        NoKernel: a slot is a matrix.
    """
    named = trees.leaves(p)
    for path, leaf in named:
        _check(leaf, f"p{path}", named[0][1])
    state: dict[str, Any] = {"t": 0}
    for name, slot in rule.slots().items():
        values = [_first(rule, slot, leaf, np.dtype(state_dtype or leaf.dtype), device) for _, leaf in named]
        state[name] = trees.rebuild(p, values)
    return state


def _first(rule: Any, slot: Slot, p: Any, dtype: np.dtype, device: Device) -> Any:
    """A slot's value before the first step."""
    if slot.axes in (LEFT, RIGHT) and p.ndim:
        raise NoKernel("its states are matrices")
    if slot.fill != "p":
        fill = getattr(rule, slot.fill) if isinstance(slot.fill, str) else slot.fill
        return float(fill) if slot.scalar else device.put(np.full(slot.shape(p.shape), fill, dtype))
    return converted(p, dtype, device)


def converted(p: Any, dtype: np.dtype, device: Device) -> Any:
    """A new array of a dtype, with the numbers of another one: exact, or rounded once.

    Args:
        p: an array of the device.
        dtype: a float dtype.
        device: the device.
    """
    given = device.copy(p)
    if dtype == p.dtype:
        return given
    made = device.empty(p.shape, dtype)
    if p.size:
        at = [device.address(given), device.address(made)]
        device.launch(copy_source(p.dtype.name, dtype.name), *grid(p.size), [p.size, *at], device.stream())
    return made


def step(
    rule: Any,
    p: Any,
    g: Any,
    state: Mapping[str, Any],
    t: int,
    extras: Mapping[str, Any],
    in_place: bool,
    device: Device,
) -> list[Leaf]:
    """One step.

    Args:
        rule: an optimizer.
        p: the parameters, arrays of the device or a tree of such.
        g: the gradients.
        state: what `init` or the last step made.
        t: the step, counted from 1.
        extras: the extra inputs by name.
        in_place: True if the arrays of ``p`` and ``state`` are overwritten, and not copies of them.
        device: the device.

    Returns:
        The parameters with their arrays after the step.

    Raises:
        ArgumentError: what does not fit; nothing has been written then.
        NoKernel: the rule has no CUDA kernels for this.
    """
    slots = rule.slots()
    missing = [name for name in ("t", *slots) if name not in state]
    if missing:
        raise ArgumentError(f"state has no {missing[0]!r}; legal: what {type(rule).__name__}.init returned")
    inputs = rule.inputs()
    numbers, arrays = extra.separated(
        {name: each if not each.bits else replace(each, bits=0) for name, each in inputs.items()},
        extras,
        p,
        type(rule).__name__,
    )
    for name, each in inputs.items():
        if each.bits:
            _check_bits(arrays[name], name, each.bits, device)
    given = {"p": p, "g": g, **arrays, **{name: state[name] for name in slots}}
    work = leaves(rule, given, p, in_place, device)
    _run(rule, work, t, numbers, device)
    return work


def _check_bits(tree: Any, name: str, bits: int, device: Device) -> None:
    """That random bits are such."""
    for path, array in trees.leaves(tree):
        if getattr(array, "dtype", None) != np.uint32:
            raise NoKernel("random bits are no arrays of uint32 on the device")
        whole = array if array.flags.c_contiguous else device.copy(array)
        if not range_check.within(whole, 0.0, 2.0**bits - 1, device):
            legal = f"whole numbers from 0 to 2**{bits} - 1, as unsigned integers or as floats"
            raise bad_argument(f"{name}{path}", "an array with larger numbers", legal)


def leaves(rule: Any, given: Mapping[str, Any], p: Any, in_place: bool, device: Device) -> list[Leaf]:
    """Every parameter with its arrays, checked, and new arrays for what is written unless it is in place.

    Args:
        rule: an optimizer.
        given: ``p``, ``g``, the extra inputs and the slots, trees like ``p``, by name.
        p: the parameters.
        in_place: True if what is handed in is overwritten.
        device: the device.

    Raises:
        ArgumentError: structures, shapes, dtypes or devices that do not fit, or arrays that overlap in place.
    """
    slots, read_only, inputs = rule.slots(), rule.read_only(), rule.inputs()
    paths = [path for path, _ in trees.leaves(p)]
    columns = [trees.matching(p, tree, name) for name, tree in given.items()]
    found = []
    for path, *row in zip(paths, *columns, strict=True):
        arrays: dict[str, Any] = {}
        numbers: dict[str, float] = {}
        for name, value in zip(given, row, strict=True):
            slot = slots.get(name, _LIKE_P)
            if slot.scalar:
                numbers[name] = float(value)
                continue
            bits = name in inputs and inputs[name].bits
            _check(value, f"{name}{path}", row[0], bool(bits))
            if not bits:
                check_fits(row[0], value, f"{name}{path}", slot)
            elif value.shape != row[0].shape:
                raise bad_argument(f"{name}{path}.shape", value.shape, f"{row[0].shape}, the shape of its parameter")
            apart = not value.flags.c_contiguous or (not in_place and name not in read_only)
            if apart and in_place and name not in read_only:
                raise ArgumentError(f"{name}{path} is not contiguous; legal: a contiguous array, or the pure `step`")
            arrays[name] = device.copy(value) if apart else value
        found.append(Leaf(arrays, numbers, read_only))
    if in_place:
        _check_apart(found, paths, device)
    return found


def _check(value: Any, name: str, p: Any, bits: bool = False) -> None:
    """That a value is an array of a float dtype of the parameter's kind, on its card."""
    if type(value).__module__ != type(p).__module__:
        raise ArgumentError(
            f"{name} is {with_article(type(value).__name__)}; legal: an array on the device of the parameter"
        )
    if not bits and not is_float(value.dtype):
        raise bad_argument(f"{name}.dtype", str(value.dtype), "a float dtype, such as float32, float64 or bfloat16")
    if getattr(value, "device", None) != getattr(p, "device", None):
        raise bad_argument(f"{name}.device", value.device, f"{p.device}, that of the parameter")


def _check_apart(found: list[Leaf], paths: list[str], device: Device) -> None:
    """That no array overlaps one that is written."""
    placed = [
        (at := device.address(a), at + a.size * a.dtype.itemsize, f"{name}{path}", name not in leaf.read_only)
        for leaf, path in zip(found, paths, strict=True)
        for name, a in leaf.arrays.items()
        if a.size
    ]
    reaching: list[tuple[int, int, str, bool]] = []
    for each in sorted(placed):
        reaching = [other for other in reaching if other[1] > each[0]]
        for other in reaching:
            if other[3] or each[3]:
                raise ArgumentError(f"{other[2]} and {each[2]} share memory; legal: separate arrays")
        reaching.append(each)


def _run(rule: Any, work: list[Leaf], t: int, numbers: Mapping[str, float], device: Device) -> None:
    """Overwrite every leaf with its next value, once all of them are known to have kernels."""
    if len(work) > 1 and rule.scope == "tree":
        raise NoKernel("it sees several parameters as one vector")
    plans: list[tuple[Plan, tuple[float, ...]]] = []
    together: dict[Any, list[int]] = {}
    literal: dict[int, Any] = {}
    for place, leaf in enumerate(work):
        shape = tuple(leaf.arrays["p"].shape)
        free = free_values(shape, {"t": t, **leaf.scalar_values, **numbers})
        plan = plan_for(rule, len(shape), free)
        types = {name: np.dtype(a.dtype) for name, a in leaf.arrays.items()}
        plans.append((plan, free))
        if why_not(plan.graph) is not None:  # nothing is written before all is known to have kernels
            literal[place] = literal_run.computed(plan, free, leaf.arrays, device)
            continue
        loop = on_cuda.program_of(plan, types).loop
        alike = None if loop is None or not math.prod(shape) else (loop, plan.scalars(*free))
        together.setdefault(place if alike is None else alike, []).append(place)
        if plan.graph.small and not math.prod(shape):
            raise NoKernel("a parameter has no elements, and it sets a number of them")
    for place, results in literal.items():
        literal_run.store(results, work[place].arrays, device)
    for places in together.values():
        plan, free = plans[places[0]]
        if len(places) > 1:
            on_cuda.run_many(plan, free, [work[i].arrays for i in places], device)
        else:
            on_cuda.run(plan, free, work[places[0]].arrays, device)
    for leaf, (plan, free) in zip(work, plans, strict=True):
        if leaf.scalar_values:
            leaf.scalar_values = dict(zip(leaf.scalar_values, plan.scalar_outputs(*free), strict=True))
