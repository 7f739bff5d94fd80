"""Laws of quantizers: of what codes and scales stand for, ``y``, against the array that they were made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.errors import ArgumentError
from refgrad.kinds.laws.case_law import REPEATABLE, Arrays, Call, CaseLaw, Claim, first
from refgrad.quantizers.base import Quantized, Quantizer


def _of_y(results: Mapping[str, np.ndarray], change: Any = None) -> dict[str, np.ndarray]:
    return {"y": results["y"] if change is None else change(results["y"])}


def _between(change_x: Any, change_y: Any) -> Any:
    """The law that a change of the array is one of what its codes stand for."""

    def case_claims(call: Call, rule: Quantizer, arrays: Arrays) -> Iterator[Claim]:
        one, other = call(arrays), {"x": change_x(arrays["x"])}
        if "y" in one:  # of codes alone nothing is said
            yield Claim(other, call(other), _of_y(one, change_y))

    return case_claims


def _four(a: np.ndarray) -> np.ndarray:
    return a * a.dtype.type(4)


def _back_rows(a: np.ndarray) -> np.ndarray:
    return a[::-1].copy()


def _back_columns(a: np.ndarray) -> np.ndarray:
    return a[..., ::-1].copy()


def _zeros(call: Call, rule: Quantizer, arrays: Arrays) -> Iterator[Claim]:
    other = {"x": np.zeros_like(arrays["x"])}
    got = call(other)
    if "y" in got:
        yield Claim(other, got, _of_y(got, np.zeros_like))


def _idempotent(call: Call, rule: Quantizer, arrays: Arrays) -> Iterator[Claim]:
    one = call(arrays)
    if "y" in one:
        other = {"x": one["y"].astype(arrays["x"].dtype)}
        yield Claim(other, call(other), _of_y(one))


def _monotone(call: Call, rule: Quantizer, arrays: Arrays) -> Iterator[Claim]:
    other = {"x": np.sort(arrays["x"], axis=-1)}
    got = call(other)
    if "y" in got:
        falls = np.diff(got["y"].astype(np.float64), axis=-1) < 0
        message = ""
        if falls.any():
            at = first(falls)
            message = (
                f"y falls from {float(got['y'][..., :-1][at])!r} to {float(got['y'][..., 1:][at])!r} where x grows"
            )
        yield Claim(other, got, message=message)


def _nearest(call: Call, rule: Quantizer, arrays: Arrays) -> Iterator[Claim]:
    """Half a step: no neighbouring code stands for a nearer number, under the scales that were given.

    A quotient that is rounded lies at most half a unit in the last place of x away, and what codes stand for is rounded too.
    """
    got = call(arrays)
    x = arrays["x"]
    if not {*rule.parts, "y"} <= set(got) or "codes" not in rule.parts or got["codes"].shape != x.shape:
        return  # codes are packed, or are no numbers of elements
    away = np.abs(x.astype(np.float64) - _stands_for(rule, got, x, 0))
    for step in (-1, 1):
        other = _stands_for(rule, got, x, step)
        rounding = 2 * (dtypes.ulp(x, x.dtype) + dtypes.ulp(got["y"], x.dtype) + dtypes.ulp(other, x.dtype))
        nearer = np.abs(x.astype(np.float64) - other) + rounding < away
        if nearer.any():
            at = first(nearer)
            message = f"the code at [{', '.join(map(str, at))}] stands for {float(got['y'][at])!r}, a neighbour for {other[at]!r}"
            yield Claim(arrays, got, message=f"{message}, which is nearer to {float(x[at])!r}")
    yield Claim(arrays, got)


def _stands_for(rule: Quantizer, parts: Mapping[str, np.ndarray], x: np.ndarray, step: int) -> np.ndarray:
    """What codes of so many more stand for; infinitely far away where there are none."""
    codes = parts["codes"]
    moved = codes.astype(np.int64) + step
    legal = codes.dtype.type(0).dtype
    info = np.iinfo(legal)
    inside = (moved >= info.min) & (moved <= info.max)
    arrays = {n: parts[n] for n in rule.parts}
    try:
        whole = rule.dequantize(
            Quantized({**arrays, "codes": moved.clip(info.min, info.max).astype(legal)}, x.shape, x.dtype)
        )
    except (ArgumentError, IndexError):  # some are no codes: one by one
        whole = np.full(x.shape, np.inf)
        for at in np.ndindex(codes.shape):
            one = codes.copy()
            one[at] = np.clip(moved[at], info.min, info.max)
            try:
                whole[at] = rule.dequantize(Quantized({**arrays, "codes": one}, x.shape, x.dtype))[at]
            except (ArgumentError, IndexError):
                continue
    return np.where(inside & np.isfinite(whole), whole.astype(np.float64), np.inf)


LAWS: tuple[CaseLaw, ...] = (
    CaseLaw("zeros", "an array of zeros stands for zeros", _zeros),
    REPEATABLE,
    CaseLaw(
        "sign",
        "with all signs turned, what codes stand for is the negative",
        _between(np.negative, np.negative),
        moderate=True,
    ),
    CaseLaw(
        "scale",
        "an array four times as large stands for numbers four times as large",
        _between(_four, _four),
        moderate=True,
    ),
    CaseLaw("rows", "rows in another order give what they gave, in that order", _between(_back_rows, _back_rows)),
    CaseLaw(
        "columns",
        "the elements of rows in another order give what they gave, in that order",
        _between(_back_columns, _back_columns),
    ),
    CaseLaw("idempotent", "what codes stand for stands for itself", _idempotent, moderate=True),
    CaseLaw("monotone", "of two elements of a row the larger does not stand for the smaller number", _monotone),
    CaseLaw("half a step", "no neighbouring code stands for a nearer number", _nearest),
)
