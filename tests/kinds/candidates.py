"""Of every kind a rule, a candidate that is right, one that is wrong, and some that misbehave; written without rules."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from refgrad import estimators, optimizers, quantizers, sparsity
from refgrad.rule import Rule
from tests.oracle.eight_bit_programs import adam, on_codes

Array = np.ndarray


@dataclass(frozen=True)
class Example:
    """What is tried of a kind.

    Attributes:
        rule: the claim.
        right, wrong: candidates.
        misbehaving: candidates by the fault that they have.
        lawless: a law of the rule, and a candidate that breaks it; what is wrong need not, since laws are shared by many rules.
    """

    rule: Rule
    right: Any
    wrong: Any
    misbehaving: Mapping[str, Any]
    lawless: tuple[str, Any]


def raising(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function with the arguments of another that raises an exception, whatever it is asked."""

    @functools.wraps(function)
    def changed(*arrays: Any, **more: Any) -> Any:
        raise RuntimeError("out of order")

    return changed


def writing(function: Callable[..., Any], word: str) -> Callable[..., Any]:
    """A function that overwrites one of its arguments before it returns."""

    @functools.wraps(function)
    def changed(*arrays: Any, **more: Any) -> Any:
        returned = function(*(np.array(a) if isinstance(a, np.ndarray) else a for a in arrays), **more)
        array = more[word] if word in more else arrays[0]
        array[...] = 0
        return returned

    return changed


def downhill(p: Array, g: Array, lr: float) -> Array:
    return p - p.dtype.type(lr) * g


def tailless(p: Array, g: Array) -> None:
    """Twice the rate of SGD(lr=0.1), and nothing for what a block of 128 does not take in."""
    whole = p.size // 128 * 128
    p.reshape(-1)[:whole] -= np.float32(0.2) * g.reshape(-1)[:whole]


def uphill(p: Array, g: Array, lr: float) -> Array:
    return p + p.dtype.type(lr) * g


def never_up(p: Array, g: Array, lr: float) -> Array:
    return p - p.dtype.type(lr) * np.abs(g)


def wide_p(p: Array, g: Array, lr: float) -> Array:
    return p.astype(np.float64) - lr * g


BLOCKS = {"block_size": 256}
EIGHT_BIT = quantizers.EightBit(
    optimizers.Adam(), quantizers.Blockwise(**BLOCKS), quantizers.Blockwise(map="dynamic_unsigned", **BLOCKS)
)
SLOTS = {"m": True, "v": False}
CODES = on_codes(adam, SLOTS)


def drifting(p: Array, g: Array, m: Array, v: Array, t: int) -> tuple[Array, ...]:
    moved, *slots = adam(p, g, m, v, t)
    return moved + p.dtype.type(0.125), *slots


def without_nan(g: Array) -> Array:
    return np.where(np.isnan(g), g.dtype.type(0), g)


def without_infinities(g: Array) -> Array:
    return np.nan_to_num(g, nan=0.0, posinf=0.0, neginf=0.0)


def without_negative_zeros(g: Array) -> Array:
    return np.where((g == 0) & np.signbit(g), g.dtype.type(1), without_nan(g))


def flat(g: Array) -> Array:
    return g.reshape(-1)


def proportional(batch: int, lr: float, base_batch: int) -> float:
    return lr * batch / base_batch


def inverse(batch: int, lr: float, base_batch: int) -> float:
    return lr * base_batch / batch


def no_number(batch: int) -> str:
    return "a tenth"


def bfloat16(x: Array) -> Array:
    return x.astype(ml_dtypes.bfloat16).view(np.uint16)


def truncated(x: Array) -> Array:
    return (x.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)


def without_zeros(x: Array) -> dict[str, Array]:
    codes = bfloat16(np.where(x == 0, x.dtype.type(1), x))
    return {"codes": codes, "y": codes.view(ml_dtypes.bfloat16).astype(x.dtype)}


def too_few(x: Array) -> Array:
    return bfloat16(x).reshape(-1)[:1].copy()


def spike(x: Array) -> Array:
    return (x >= 0).astype(x.dtype)


def rectangle(g: Array, x: Array, width: float) -> Array:
    return g * (np.abs(x) < width / 2).astype(x.dtype) * x.dtype.type(1 / width)


def wider(g: Array, x: Array, width: float) -> Array:
    return g * (np.abs(x) < width).astype(x.dtype) * x.dtype.type(1 / width)


def squared(g: Array, x: Array, width: float) -> Array:
    return rectangle(g, x, width) * np.abs(g)


def sideways(g: Array, x: Array, width: float) -> Array:
    return rectangle(g, x, width)[..., :1].copy()


def largest(w: Array, sparsity: float) -> Array:
    pruned = round(w.size * sparsity)
    order = np.argsort(-np.nan_to_num(np.abs(w), nan=np.inf, posinf=np.finfo(w.dtype).max).ravel(), kind="stable")
    mask = np.zeros(w.size, bool)
    mask[order[: w.size - pruned]] = True
    return mask.reshape(w.shape)


def smallest(w: Array, sparsity: float) -> Array:
    return ~largest(w, sparsity)


def doubled(w: Array, sparsity: float) -> Array:
    return largest(w, sparsity) * 2


def evolved(w: Array, mask: Array, u: Array, zeta: float) -> tuple[Array, Array]:
    count = int(np.floor(np.count_nonzero(mask) * zeta))
    size = np.where(mask, np.abs(w.astype(np.float64)), np.inf).ravel()
    kept = mask.ravel().copy()
    kept[np.argsort(size, kind="stable")[:count]] = False
    rank = np.where(mask, -1.0, u.astype(np.float64)).ravel()
    grown = np.argsort(-rank, kind="stable")[: min(count, int(np.count_nonzero(~mask)))]
    new = kept.copy()
    new[grown] = True
    new = new.reshape(w.shape)
    return new, np.where(kept.reshape(w.shape), w, w.dtype.type(0))


def not_evolved(w: Array, mask: Array, u: Array, zeta: float) -> tuple[Array, Array]:
    return mask, w


TURNS = itertools.count()


def evolved_in_turns(w: Array, mask: Array, u: Array, zeta: float) -> tuple[Array, Array]:
    return evolved(w, mask, u, zeta) if next(TURNS) % 2 else (mask, w)


def doubled_next(w: Array, mask: Array, u: Array, zeta: float) -> Array:
    return mask * 2


EXAMPLES: Mapping[str, Example] = {
    "optimizer": Example(
        optimizers.SGD(lr=0.1),
        downhill,
        uphill,
        {"raised": raising(downhill), "mutated": writing(downhill, "g"), "dtype": wide_p},
        ("odd", never_up),
    ),
    "8-bit-optimizer": Example(
        EIGHT_BIT,
        CODES,
        on_codes(adam, SLOTS, eps=1e-5),
        {"raised": raising(CODES), "mutated": writing(CODES, "g")},
        ("still", on_codes(drifting, SLOTS)),
    ),
    "transform": Example(
        optimizers.ZeroNaNs(),
        without_nan,
        without_infinities,
        {"raised": raising(without_nan), "mutated": writing(without_nan, "g"), "shape": flat},
        ("zeros of either sign", without_negative_zeros),
    ),
    "scaling": Example(
        optimizers.BatchScaledRate(),
        proportional,
        inverse,
        {"raised": raising(proportional), "structure": no_number},
        ("grows", inverse),
    ),
    "quantizer": Example(
        quantizers.Cast(format="bfloat16"),
        bfloat16,
        truncated,
        {"raised": raising(bfloat16), "mutated": writing(bfloat16, "x"), "shape": too_few},
        ("zeros", without_zeros),
    ),
    "estimator": Example(
        estimators.Rectangular(width=0.5),
        (spike, rectangle),
        (spike, wider),
        {
            "raised": (raising(spike), rectangle),
            "mutated": (writing(spike, "x"), rectangle),
            "shape": (spike, sideways),
        },
        ("linear in the cotangent", (spike, squared)),
    ),
    "mask": Example(
        sparsity.Magnitude(),
        largest,
        smallest,
        {"raised": raising(largest), "mutated": writing(largest, "w"), "structure": doubled},
        ("best", smallest),
    ),
    "mask-update": Example(
        sparsity.SET(tails="together"),
        evolved,
        not_evolved,
        {"raised": raising(evolved), "mutated": writing(evolved, "w"), "structure": doubled_next},
        ("repeatable", evolved_in_turns),
    ),
}


#: the same by names that a target can have, such as ``tests.kinds.candidates:right_mask_update``
for _kind, _example in EXAMPLES.items():
    _word = _kind.replace("-", "_")
    globals()[f"right_{_word}"], globals()[f"wrong_{_word}"] = _example.right, _example.wrong
    globals()[f"raising_{_word}"] = _example.misbehaving["raised"]
