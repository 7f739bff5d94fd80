"""Optimizers with 8-bit state as a stranger would write them: functions on codes, in other orders of operations; and faults.

Each update is written on float arrays; `on_codes` makes a function on codes of it, with a signature by names. Options of
`on_codes` are faults of the state, options of an update faults of the update.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from refgrad.optimizers import LAMB, LARS, SGD, Adagrad, Adam, AdamW, AdEMAMix, Lion, RMSprop
from refgrad.optimizers.base import Optimizer
from refgrad.quantizers import tables

F = np.float32
BLOCK = 256
MAPS = {signed: np.asarray(tables.dynamic(signed), F) for signed in (True, False)}
Update = Callable[..., tuple[np.ndarray, ...]]


def opened(codes: np.ndarray, absmax: np.ndarray, table: np.ndarray) -> np.ndarray:
    """A slot as numbers."""
    return table[codes] * np.repeat(absmax, BLOCK)[: codes.size].reshape(codes.shape)


def closed(x: np.ndarray, table: np.ndarray, shift: int = 0, floor: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Numbers as a slot, by a reciprocal and midpoints in float32."""
    flat = np.pad(x.ravel(), (0, -x.size % BLOCK)).reshape(-1, BLOCK)
    absmax = np.abs(flat).max(1)
    with np.errstate(all="ignore"):
        scaled = np.nan_to_num(flat * (F(1) / absmax[:, None]), nan=0.0, posinf=1.0, neginf=-1.0)
    if floor:
        codes = np.searchsorted(table, scaled, side="right") - 1
    else:
        codes = np.searchsorted((table[1:] + table[:-1]) * F(0.5), scaled)
    codes = np.clip(codes + shift, 0, 255).astype(np.uint8)
    return codes.ravel()[: x.size].reshape(x.shape), absmax


def on_codes(
    update: Update,
    slots: dict[str, bool],
    *,
    stale: bool = False,
    swapped: bool = False,
    shift: int = 0,
    floor: bool = False,
    one_absmax: bool = False,
    **options: Any,
) -> Callable[..., Any]:
    """A function ``f(p, g, m_codes, m_absmax, ..., t)`` of ``update(p, g, *slots, t) -> (direction(slots), *slots)``."""

    def function(p: np.ndarray, g: np.ndarray, t: int, **kept: np.ndarray) -> dict[str, np.ndarray]:
        old = [opened(kept[f"{n}_codes"], kept[f"{n}_absmax"], MAPS[signed]) for n, signed in slots.items()]
        new_p, *new = update(p, g, *old, t, **options)
        found: dict[str, np.ndarray] = {}
        for (name, signed), x in zip(slots.items(), new, strict=True):
            codes, absmax = closed(x.astype(F), MAPS[signed is not swapped], shift, floor)
            if one_absmax:
                codes, absmax = closed(x.astype(F) / absmax.max(), MAPS[signed])[0], np.full_like(absmax, absmax.max())
            found |= {f"{name}_codes": codes, f"{name}_absmax": absmax}
        if stale:  # the step is taken from the state as it is kept
            kept_new = [opened(found[f"{n}_codes"], found[f"{n}_absmax"], MAPS[signed]) for n, signed in slots.items()]
            new_p = update(p, g, *old, t, **options, instead=kept_new)[0]
        return {"p": new_p.astype(F), **found}

    names = ["p", "g", *(f"{n}_{part}" for n in slots for part in ("codes", "absmax")), "t"]
    function.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY) for n in names]
    )
    function.__name__ = f"{update.__name__}_on_codes"
    return function


def adam(
    p: Any, g: Any, m: Any, v: Any, t: int, *, wd: float = 0.0, eps: float = 1e-8, beta2: float = 0.999, root: bool = False,
    uncorrected: bool = False, coupled: bool = False, instead: Any = None
) -> tuple[Any, ...]:  # fmt: skip
    """Adam and AdamW with corrected scalars in place of corrected arrays."""
    g = g + F(wd) * p if coupled else g
    m = m + F(0.1) * (g - m)
    v = F(beta2) * v + (g * g) * F(1 - beta2)
    used_m, used_v = (m, v) if instead is None else instead
    first, second = (1.0, 1.0) if uncorrected else (1 - 0.9**t, 1 - beta2**t)
    below = np.sqrt(used_v * F(1 / second) + F(eps)) if root else np.sqrt(used_v) * F(second**-0.5) + F(eps)
    shrunk = p if coupled else p * F(1 - 1e-3 * wd)
    return shrunk - (used_m / below) * F(1e-3 / first), m, v


def sgd(p: Any, g: Any, b: Any, t: int, *, beta: float = 0.9, nesterov: bool = False, instead: Any = None) -> Any:
    """Heavy ball."""
    b = g + b * F(beta)
    used = b if instead is None else instead[0]
    return p - (g + F(beta) * used if nesterov else used) * F(1e-3), b


def rmsprop(p: Any, g: Any, v: Any, t: int, *, root: bool = False, eps: float = 1e-8, instead: Any = None) -> Any:
    """The mean square as an interpolation."""
    v = v + F(1 - 0.99) * (g * g - v)
    used = v if instead is None else instead[0]
    return p - F(1e-2) * g / (np.sqrt(used + F(eps)) if root else np.sqrt(used) + F(eps)), v


def adagrad(p: Any, g: Any, s: Any, t: int, *, decayed: bool = False, instead: Any = None) -> Any:
    """The sum of squares."""
    s = s * F(0.99) + g * g if decayed else s + g * g
    used = s if instead is None else instead[0]
    return p - g * (F(1e-2) / (np.sqrt(used) + F(1e-10))), s


def norm(x: Any) -> Any:
    """Summed in float64."""
    return F(np.sqrt(np.sum(x.astype(np.float64) ** 2)))


def lars(p: Any, g: Any, b: Any, t: int, *, trust: float = 1e-3, no_ratio: bool = False, instead: Any = None) -> Any:
    """One number for lr and the ratio."""
    small, large = norm(p), norm(g)
    ratio = 1.0 if no_ratio or small == 0 or large == 0 else trust * small / large
    b = F(0.9) * b + F(0.1 * ratio) * g
    return p - (b if instead is None else instead[0]), b


def lamb(p: Any, g: Any, m: Any, v: Any, t: int, *, no_ratio: bool = False, instead: Any = None) -> Any:
    """The ratio times lr before the step."""
    m, v = m + F(0.1) * (g - m), F(0.999) * v + g * F(1 - 0.999) * g
    used_m, used_v = (m, v) if instead is None else instead
    step = (used_m * F(1 / (1 - 0.9**t))) / (np.sqrt(used_v / F(1 - 0.999**t)) + F(1e-6))
    small, large = norm(p), norm(step)
    ratio = F(1) if no_ratio or small == 0 or large == 0 else small / large
    return p - step * (F(1e-3) * ratio), m, v


def lion(p: Any, g: Any, m: Any, t: int, *, beta1: float = 0.9, after: bool = False, instead: Any = None) -> Any:
    """The sign of an interpolation."""
    new = m * F(0.99) + g * F(1 - 0.99)
    base = new if after else m
    return p - F(1e-4) * np.sign(F(beta1) * base + F(1 - beta1) * g), new


def ademamix(
    p: Any, g: Any, m: Any, slow: Any, v: Any, t: int, *, alpha: float = 5.0, corrected: bool = False, instead: Any = None
) -> Any:  # fmt: skip
    """Two averages."""
    m, slow = m + F(0.1) * (g - m), slow * F(0.9999) + F(1 - 0.9999) * g
    v = F(0.999) * v + (g * g) * F(1 - 0.999)
    a, b, c = (m, slow, v) if instead is None else instead
    b = b * F(1 / (1 - 0.9999**t)) if corrected else b
    return (
        p - F(1e-3) * ((a * F(1 / (1 - 0.9**t)) + F(alpha) * b) / (np.sqrt(c) * F((1 - 0.999**t) ** -0.5) + F(1e-8))),
        m,
        slow,
        v,
    )


#: the update rule, the update, its slots (name, signed), and faults: options, and the tensor that is wrong first
Case = tuple[Optimizer, Update, dict[str, bool], list[tuple[dict[str, Any], str]]]
TWO = {"m": True, "v": False}

CASES: list[Case] = [
    (Adam(), adam, TWO, [({"root": True}, "p"), ({"eps": 1e-7}, "p"), ({"beta2": 0.99}, "v.absmax"),
      ({"uncorrected": True}, "p")]),
    (AdamW(weight_decay=0.1), partial(adam, wd=0.1), TWO, [({"coupled": True}, "m.absmax"), ({"wd": 0.0}, "p")]),
    (SGD(momentum=0.9), sgd, {"momentum_buffer": True}, [({"nesterov": True}, "p"), ({"beta": 0.95}, "buffer.absmax")]),
    (RMSprop(), rmsprop, {"square_avg": False}, [({"root": True}, "p"), ({"eps": 1e-6}, "p")]),
    (Adagrad(), adagrad, {"sum": False}, [({"decayed": True}, "s.absmax")]),
    (LARS(), lars, {"momentum_sum": True}, [({"no_ratio": True}, "momentum_sum.absmax"),
      ({"trust": 1e-2}, "momentum_sum.absmax")]),
    (LAMB(), lamb, TWO, [({"no_ratio": True}, "p")]),
    (Lion(), lion, {"exp_avg": True}, [({"after": True}, "p"), ({"beta1": 0.8}, "p")]),
    (AdEMAMix(), ademamix, {"m": True, "m_slow": True, "v": False}, [({"corrected": True}, "p"), ({"alpha": 4.0}, "p")]),
]  # fmt: skip

for _case in CASES:
    if isinstance(_case[1], partial):
        _case[1].__name__ = "adamw"  # type: ignore[attr-defined]

#: faults of the state, for every optimizer, and the part of a slot that is wrong first; "p" where none is
STATE_FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"stale": True}, "p"),
    ({"shift": 1}, "codes"),
    ({"floor": True}, "codes"),
    ({"one_absmax": True}, "absmax"),
]
