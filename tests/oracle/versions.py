"""Of every kind of rule whose results are numbers a program, and one whose numbers are moved and still allowed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from refgrad import estimators, optimizers, quantizers
from refgrad.examples import formulas
from tests.kinds import candidates
from tests.oracle.eight_bit_programs import adam, on_codes
from tests.oracle.quantizer_programs import affine

F = np.float32


class Versions(NamedTuple):
    """A rule, a program of it, and one that is farther from the truth in an output, and conforms."""

    rule: Any
    near: Any
    far: Any
    output: str


def up(x: Any) -> Any:
    """Numbers moved away from zero by one unit in the last place."""
    return np.where(x == 0, x, np.nextafter(x, np.copysign(np.asarray(np.inf, x.dtype), x)))


def downhill(p: Any, g: Any, lr: float) -> Any:
    return p - p.dtype.type(lr) * g


def downhill_off(p: Any, g: Any, lr: float) -> Any:
    return p - up(p.dtype.type(lr) * g)


def adam_off(p: Any, g: Any, m: Any, v: Any, t: int) -> tuple[Any, ...]:
    moved, *slots = adam(p, g, m, v, t)
    return p - up(p - moved), *slots


def rectangle_off(g: Any, x: Any, width: float) -> Any:
    return up(candidates.rectangle(g, x, width))


def proportional_off(batch: int, lr: float, base_batch: int) -> float:
    return float(np.nextafter(candidates.proportional(batch, lr, base_batch), np.inf))


def affine_off(x: Any) -> tuple[Any, ...]:
    scale, *others = affine(x)
    return np.where(scale == 1, scale, up(scale)), *others  # which is the scale of zeros, exactly


def rmsnorm(x: Any, weight: Any, eps: float) -> Any:
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + F(eps)) * weight


def rmsnorm_off(x: Any, weight: Any, eps: float) -> Any:
    return up(rmsnorm(x, weight, eps))


def rmsnorm_wide(x: Any, weight: Any, eps: float) -> Any:
    wide = x.astype(np.float64)
    return (wide / np.sqrt(np.mean(wide * wide, axis=-1, keepdims=True) + eps) * weight).astype(x.dtype)


def rmsnorm_by_reciprocal(x: Any, weight: Any, eps: float) -> Any:
    return x * (F(1) / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + F(eps))) * weight


def rmsnorm_in_turn(x: Any, weight: Any, eps: float) -> Any:
    squares = np.zeros((*x.shape[:-1], 1), x.dtype)
    if x.shape[-1]:
        squares = np.cumsum(x * x, axis=-1)[..., -1:]
    with np.errstate(all="ignore"):
        return x / np.sqrt(squares / F(x.shape[-1]) + F(eps)) * weight


def rmsnorm_beside(x: Any, weight: Any, eps: float) -> Any:
    return x / (np.sqrt(np.mean(x * x, axis=-1, keepdims=True)) + F(eps)) * weight


VERSIONS: Mapping[str, Versions] = {
    "optimizer": Versions(optimizers.SGD(lr=0.1), downhill, downhill_off, "p"),
    "8-bit-optimizer": Versions(
        candidates.EIGHT_BIT, on_codes(adam, candidates.SLOTS), on_codes(adam_off, candidates.SLOTS), "p"
    ),
    "scaling": Versions(optimizers.BatchScaledRate(), candidates.proportional, proportional_off, "rate"),
    "estimator": Versions(
        estimators.Rectangular(width=0.5),
        (candidates.spike, candidates.rectangle),
        (candidates.spike, rectangle_off),
        "x_grad",
    ),
    "quantizer": Versions(quantizers.Affine(), affine, affine_off, "scale"),
    "formula": Versions(formulas.rmsnorm(), rmsnorm, rmsnorm_off, "result"),
}
