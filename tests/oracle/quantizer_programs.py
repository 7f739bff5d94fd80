"""Quantizers that a stranger might have written, in plain NumPy: right ones, and ones with one thing wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from refgrad.quantizers import MX, NF4, Affine, Blockwise, Quantizer, tables

F = np.float32


def blocks(x: np.ndarray, size: int) -> np.ndarray:
    """The flat array in rows, filled up with zeros."""
    flat = x.astype(F).ravel()
    return np.pad(flat, (0, -flat.size % size)).reshape(-1, size)


def nf4(
    x: np.ndarray,
    *,
    reciprocal: bool = False,
    size: int = 64,
    upper: bool = False,
    shift: int = 0,
    per_tensor: bool = False,
    middle: float = 0.5,
) -> dict[str, np.ndarray]:
    """Distances to all 16 values, the first least one."""
    rows = blocks(x, size)
    absmax = np.abs(rows).max(1, keepdims=True)
    absmax = np.full_like(absmax, absmax.max()) if per_tensor else absmax
    with np.errstate(all="ignore"):
        scaled = rows * (F(1) / absmax) if reciprocal else rows / absmax
    table = np.asarray(tables.NF4, np.float64)
    thresholds = table[:-1] + (table[1:] - table[:-1]) * middle
    codes = np.searchsorted(thresholds, np.nan_to_num(scaled, nan=0.0), side="right" if upper else "left")
    codes = np.clip(codes + shift, 0, 15).astype(np.uint8)
    return {"absmax": absmax.ravel(), "codes": codes.ravel()[: x.size].reshape(x.shape)}


def nf4_back(absmax: np.ndarray, codes: np.ndarray, *, size: int = 64, squared: bool = False) -> np.ndarray:
    """The value of each code times the absmax of its block."""
    scale = np.repeat(absmax, size)[: codes.size].reshape(codes.shape)
    values = np.asarray(tables.NF4, F)[codes]
    return values * scale * scale if squared else values * scale


def affine(
    x: np.ndarray,
    *,
    reciprocal: bool = False,
    before: bool = False,
    away: bool = False,
    levels: float = 255.0,
    include_zero: bool = True,
    floor: bool = False,
) -> tuple[Any, ...]:
    """Asymmetric int8 of a whole tensor."""
    x = x.astype(F)
    low, high = x.min(), x.max()
    if include_zero:
        low, high = min(low, F(0)), max(high, F(0))
    scale = (high - low) / F(levels)
    scale = scale if scale else F(1)
    zero = np.clip(-128 - np.rint(low / scale), -128, 127)
    with np.errstate(all="ignore"):
        t = x * (F(1) / scale) if reciprocal else x / scale
    t = t + F(zero) if before else t
    whole = (
        np.trunc(t) + np.copysign(np.abs(t - np.trunc(t)) >= 0.5, t) if away else np.floor(t) if floor else np.rint(t)
    )
    codes = np.clip(whole if before else whole + zero, -128, 127)
    return scale, np.int32(zero), codes.astype(np.int8)


def affine_back(scale: np.ndarray, zero_point: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """(q - z) s."""
    return (codes.astype(F) - zero_point.astype(F)) * scale.astype(F)


def mx(x: np.ndarray, *, logarithm: bool = False, offset: int = 0, away: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """MXFP4 by comparison with the midpoints of magnitudes."""
    x = x.astype(F)
    width = x.shape[-1]
    rows = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, -width % 32)]).reshape(-1, 32)
    amax = np.abs(rows).max(1)
    with np.errstate(all="ignore"):
        exponent = np.floor(np.log2(amax)) if logarithm else np.frexp(amax)[1] - 1
    exponent = np.where(amax > 0, np.clip(exponent - 2 + offset, -127, 127), -127)
    exponent = np.where(np.isfinite(amax), exponent, 128)  # NaN, whose code is 255
    scaled = np.abs(np.ldexp(rows.astype(np.float64), -exponent[:, None].astype(int)))
    middles = np.asarray([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0])
    up = [m for i, m in enumerate(middles) if i % 2 or away]  # a tie goes to the even code
    codes = np.searchsorted(middles, scaled, side="left") + np.isin(scaled, up)
    codes = codes + 8 * np.signbit(rows)
    padded = codes.reshape(*x.shape[:-1], -1)[..., :width]
    return (exponent + 127).astype(np.uint8), padded.astype(np.uint8)


def blockwise(x: np.ndarray, *, size: int = 256, through_grid: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """8 bits by bitsandbytes' map; with ``through_grid`` by way of 65536 equal steps, as its CPU kernels look codes up."""
    rows = blocks(x, size)
    absmax = np.abs(rows).max(1)
    with np.errstate(all="ignore"):
        scaled = np.nan_to_num(rows * (F(1) / absmax[:, None]), nan=0.0, posinf=1.0, neginf=-1.0)
    table = np.asarray(tables.dynamic_float32(True), np.float64)
    if through_grid:
        scaled = -1 + 2 * np.rint((np.clip(scaled, -1, 1) + 1) / 2 * 65535) / 65535
    codes = np.searchsorted((table[1:] + table[:-1]) / 2, scaled, side="left").astype(np.uint8)
    return absmax, codes.ravel()[: x.size].reshape(x.shape)


Program = tuple[str, Quantizer, Any, dict[str, Any]]
_BLOCKWISE = Blockwise(map="bitsandbytes", block_size=256)

LEGAL: list[Program] = [
    ("nf4 by division", NF4(), (nf4, nf4_back), {}),
    ("nf4 by a reciprocal", NF4(), (nf4, nf4_back), {"reciprocal": True}),
    ("affine by division", Affine(), (affine, affine_back), {}),
    ("affine by a reciprocal", Affine(), (affine, affine_back), {"reciprocal": True}),
    ("affine, zero point first", Affine(zero_point_added="before"), (affine, affine_back), {"before": True}),
    ("affine, ties away", Affine(ties="away"), (affine, affine_back), {"away": True}),
    ("mx", MX(format="float4_e2m1fn"), mx, {}),
    ("blockwise", _BLOCKWISE, blockwise, {}),
]

#: a program, its rule, the options that make it wrong, and the part that is wrong first
WRONG: list[tuple[Program, str]] = [
    (("nf4, ties up", NF4(), (nf4, nf4_back), {"upper": True}), "codes"),
    (("nf4, the next code", NF4(), (nf4, nf4_back), {"shift": 1}), "codes"),
    (("nf4, one absmax", NF4(), (nf4, nf4_back), {"per_tensor": True}), "absmax"),
    (("nf4, thresholds off the middle", NF4(), (nf4, nf4_back), {"middle": 0.501}), "codes"),
    (("nf4, blocks of 32", NF4(block_size=32), (nf4, nf4_back), {"size": 64}), ""),
    (("affine, zero point first", Affine(), (affine, affine_back), {"before": True}), "codes"),
    (("affine, ties away", Affine(), (affine, affine_back), {"away": True}), "codes"),
    (("affine, floor", Affine(), (affine, affine_back), {"floor": True}), "codes"),
    (("affine, 256 steps", Affine(), (affine, affine_back), {"levels": 256.0}), "scale"),
    (("affine, zero left out", Affine(), (affine, affine_back), {"include_zero": False}), "scale"),
    (("mx, float32 logarithm", MX(format="float4_e2m1fn"), mx, {"logarithm": True}), "scale"),
    (("mx, one exponent up", MX(format="float4_e2m1fn"), mx, {"offset": 1}), "scale"),
    (("mx, ties away", MX(format="float4_e2m1fn"), mx, {"away": True}), "codes"),
    (("blockwise through a grid", _BLOCKWISE, blockwise, {"through_grid": True}), "codes"),
]


def wrong_back(back: Callable[..., Any]) -> Callable[..., Any]:
    """The way back with absmax twice."""

    def dequantize(absmax: np.ndarray, codes: np.ndarray) -> Any:
        return back(absmax, codes, squared=True)

    return dequantize
