"""Any rule used once, whatever its kind, on small arrays that are the same each time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from refgrad.axes import axes_shape
from refgrad.estimators.base import Estimator
from refgrad.optimizers.base import Optimizer
from refgrad.optimizers.transform import Transform, axes_named, below, length_of
from refgrad.quantizers.base import Quantized, Quantizer
from refgrad.quantizers.eight_bit import EightBit
from refgrad.rule import Rule
from refgrad.sparsity.base import Mask
from refgrad.sparsity.dynamic import MaskUpdate
from tests.optimizers.made_up import extras

SHAPE = (4, 8)
LENGTHS = {"codebook": (5, 8)}
#: numbers of which one is legal for every parameter of an estimator
NUMBERS = (0.5, 1.0, 2.0, 0.25, -0.5)


def used(rule: Rule, **how: Any) -> list[np.ndarray]:
    """All that a rule gives: bits to be compared with those that an equal rule gives.

    Args:
        rule: any rule of refgrad.
        how: further arguments of an optimizer's step, such as ``backend="numba"``.
    """
    random = np.random.default_rng(3)
    found = USES[rule.kind](rule, random, **how) if isinstance(rule, Optimizer) else USES[rule.kind](rule, random)
    return list(_arrays(found))


def _arrays(found: Any) -> Iterator[np.ndarray]:
    if isinstance(found, Quantized):
        found = found.arrays
    if isinstance(found, Mapping):
        found = tuple(found.values())
    if isinstance(found, (list, tuple)):
        for each in found:
            yield from _arrays(each)
    else:
        yield np.asarray(found)


def _normal(random: np.random.Generator, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return random.standard_normal(shape).astype(np.float32)


def _optimizer(rule: Optimizer, random: np.random.Generator, **how: Any) -> Any:
    p = _normal(random)
    state = rule.init(p)
    for _ in range(2):
        g = _normal(random)
        given = extras(rule, g)
        pure = rule.step(p, g, state, **given, **how)
        rule.step_(p, g, state, **given, **how)
    return p, state, pure


def _eight_bit(rule: EightBit, random: np.random.Generator) -> Any:
    p = _normal(random, (64, 64))
    return rule.step(p, _normal(random, (64, 64)), rule.init(p))


def _estimator(rule: Estimator, random: np.random.Generator) -> Any:
    given: dict[str, Any] = {name: _normal(random, LENGTHS[name]) for name in rule.tables}
    for name, axes in rule.parameter_axes().items():
        if name in rule.handed():
            number = next(n for n in NUMBERS if n in rule.parameters[name].legal)
            given[name] = np.full(axes_shape(axes, SHAPE), number, np.float32)
    return rule.both(_normal(random), _normal(random), **given)


def _quantizer(rule: Quantizer, random: np.random.Generator) -> Any:
    x = abs(_normal(random, (8, 256)))
    quantized = rule.quantize(x, **rule.besides(x, random))
    return quantized, rule.dequantize(quantized)


def _others(rule: Any, random: np.random.Generator, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    names = [n for n in rule.takes() if n not in ("w", "mask")]
    return {n: random.random(shape, np.float32) * np.float32(0.75) + np.float32(0.125) for n in names}


def _mask(rule: Mask, random: np.random.Generator) -> Any:
    w = _normal(random, rule.example_shape())
    return rule.mask(w, **_others(rule, random, w.shape))


def _mask_update(rule: MaskUpdate, random: np.random.Generator) -> Any:
    w, mask = _normal(random, (8, 8)), random.random((8, 8)) < 0.5
    given = {"w": w * mask, "mask": mask, **_others(rule, random, w.shape)}
    after = rule.after(given, rule.steps()[0])
    return after, rule.weights(given, after, rule.steps()[0])


def _transform(rule: Transform, random: np.random.Generator) -> Any:
    return rule(*transform_arrays(rule, random, lambda shape: abs(_normal(random, shape))))


def transform_arrays(
    rule: Transform, random: np.random.Generator, floats: Callable[[tuple[int, ...]], np.ndarray], times: int = 1
) -> list[np.ndarray]:
    """Arrays that a transform takes, with axes of its own lengths.

    Args:
        rule: the transform.
        random: where labels are drawn from.
        floats: an array of floats of a shape.
        times: how many times as long each axis is that has no length of its own.
    """
    lengths, arrays = {axis: times * n for axis, n in rule.lengths.items()}, []
    for axes in rule.shapes.values():
        shape, most = tuple(length_of(axis, lengths) for axis in axes_named(axes)), below(axes)
        arrays.append(random.integers(0, length_of(most, lengths), shape) if most else floats(shape))
    return arrays


def _scaling(rule: Any, random: np.random.Generator) -> Any:
    return rule.rate(1024)


USES: Mapping[str, Callable[..., Any]] = {
    "optimizer": _optimizer,
    "8-bit-optimizer": _eight_bit,
    "estimator": _estimator,
    "quantizer": _quantizer,
    "mask": _mask,
    "mask-update": _mask_update,
    "transform": _transform,
    "scaling": _scaling,
}
