"""More quantizers that a stranger might have written, other than the rules in form; each with a way to be wrong."""

from __future__ import annotations

import itertools
from typing import Any

import ml_dtypes
import numpy as np

from refgrad.quantizers import (
    AF4,
    BWN,
    FP4,
    GPTQ,
    INQ,
    N2UQ,
    NUQSGD,
    NVFP4,
    QSGD,
    TTQ,
    TWN,
    AdaRound,
    APoT,
    BitNetActivations,
    BitNetWeights,
    Cast,
    DoReFaGradient,
    KMeans,
    LogQuantizer,
    N2UQWeights,
    NaturalCompression,
    OneBit,
    OptimalCodebook,
    ProductQuantizer,
    RandomK,
    RoundToNearest,
    ScaledFloat,
    SignSGD,
    TernGrad,
    TopK,
    WAGEError,
    WAGEGradient,
    tables,
)
from tests.oracle.quantizer_programs import F, blocks

Parts = dict[str, np.ndarray]


def cast(x: np.ndarray, *, truncated: bool = False) -> np.ndarray:
    """bfloat16 by adding half a unit to the bits; or by dropping them. NaN stays one, wherever its bits are."""
    bits = x.astype(F).view(np.uint32).astype(np.uint64)
    rounded = bits if truncated else bits + 0x7FFF + ((bits >> np.uint64(16)) & np.uint64(1))
    codes = np.where(np.isnan(x), bits >> np.uint64(16) | np.uint64(0x40), rounded >> np.uint64(16))
    return codes.astype(np.uint16)


def fp4(x: np.ndarray, *, swapped: bool = False) -> Parts:
    """Distances to the magnitudes; a tie goes to the lower value."""
    rows = blocks(x, 64)
    absmax = np.abs(rows).max(1, keepdims=True)
    with np.errstate(all="ignore"):
        share = np.nan_to_num(rows / absmax).astype(np.float64)
    values = np.asarray(sorted({s * v for v in tables.FP4_MAGNITUDES for s in (1, -1)}))
    nearest = values[np.searchsorted((values[1:] + values[:-1]) / 2, share)]
    number = np.asarray([tables.FP4_MAGNITUDES.index(v) for v in np.abs(nearest).ravel()]).reshape(nearest.shape)
    number = np.where(number == 6, 7, np.where(number == 7, 6, number)) if swapped else number
    codes = (number + 8 * (nearest < 0)).astype(np.uint8)
    return {"absmax": absmax.ravel(), "codes": codes.ravel()[: x.size].reshape(x.shape)}


def af4(x: np.ndarray, *, up: bool = False) -> Parts:
    """A count of thresholds below."""
    rows = blocks(x, 64)
    absmax = np.abs(rows).max(1, keepdims=True)
    table = np.asarray(tables.AF4)
    with np.errstate(all="ignore"):
        share = np.nan_to_num(rows * (F(1) / absmax), posinf=0.0, neginf=0.0).astype(np.float64)
    codes = np.zeros(rows.shape, np.uint8)
    for low, high in itertools.pairwise(table):
        codes += share > (high if up else (low + high) / 2)
    return {"absmax": absmax.ravel(), "codes": codes.ravel()[: x.size].reshape(x.shape)}


def small_floats(x: np.ndarray, *, format: str = "float8_e4m3fn", largest: float = 448.0) -> Parts:
    """FP8 with one scale, by ml_dtypes and a reciprocal."""
    wide = x.astype(F)
    scale = np.abs(wide).max() / F(largest)
    scaled = np.clip(wide * (F(1) / scale) if scale else wide * F(0), -448, 448)
    with np.errstate(all="ignore"):
        scaled = np.where(np.isfinite(scaled), scaled, F(0))
        return {"scale": np.asarray(scale), "codes": scaled.astype(getattr(ml_dtypes, format)).view(np.uint8)}


def nvfp4(x: np.ndarray, *, scale_up: bool = False) -> Parts:
    """Two levels, by ml_dtypes."""
    x = x.astype(F)
    width = x.shape[-1]
    rows = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, -width % 16)]).reshape(-1, 16)
    tensor = np.abs(rows).max() / F(448 * 6)
    tensor = tensor if tensor else F(1)
    scale = np.clip(np.abs(rows).max(1) / F(6) / tensor, F(2**-6), F(448))
    kept = (scale * F(1.0625) if scale_up else scale).clip(max=448).astype(ml_dtypes.float8_e4m3fn)
    scaled = np.clip(rows * (F(1) / tensor / kept.astype(F)[:, None]), -6, 6)
    codes = scaled.astype(ml_dtypes.float4_e2m1fn).view(np.uint8) & 15
    padded = codes.reshape(*x.shape[:-1], -1)[..., :width]
    return {"tensor_scale": np.asarray(tensor), "scale": kept.view(np.uint8), "codes": padded}


def filters(x: np.ndarray) -> np.ndarray:
    """Rows of filters."""
    return x.astype(F).reshape(x.shape[0], -1) if x.ndim > 1 else x.astype(F).reshape(-1, 1)


def bwn(x: np.ndarray, *, of_zero: int = 1) -> Parts:
    """Means in float64."""
    rows = filters(x)
    codes = np.where(x < 0, -1, np.where(x > 0, 1, of_zero)).astype(np.int8)
    return {"scale": np.abs(rows).astype(np.float64).mean(1).astype(F), "codes": codes}


def twn(x: np.ndarray, *, at: float = 0.7) -> Parts:
    """A threshold in float64."""
    size = np.abs(x.astype(np.float64))
    above = size > at * size.mean()
    scale = size[above].mean() if above.any() else 0.0
    return {"scale": np.asarray(scale, F), "codes": (np.sign(x) * above).astype(np.int8)}


def ttq(x: np.ndarray, *, at_least: bool = False) -> np.ndarray:
    """A comparison of magnitudes."""
    size = np.abs(x.astype(F))
    delta = F(0.05) * size.max()
    return (np.sign(x.astype(F)) * (size >= delta if at_least else size > delta)).astype(np.int8)


def bitnet_weights(x: np.ndarray, *, down: bool = False) -> Parts:
    """A reciprocal, and comparisons in place of rounding."""
    wide = x.astype(F)
    gamma = F(np.abs(wide).astype(np.float64).mean()) + F(1e-5)
    share = wide * (F(1) / gamma)
    half = F(1.0) if down else F(0.5)
    return {"scale": np.asarray(gamma), "codes": ((share > half).astype(np.int8) - (share < -half).astype(np.int8))}


def bitnet_activations(x: np.ndarray, *, levels: float = 127.0) -> Parts:
    """By token."""
    rows = x.astype(F).reshape(-1, x.shape[-1])
    scale = F(levels) / np.maximum(np.abs(rows).max(1), F(1e-5))
    codes = np.clip(np.rint(rows * scale[:, None]), -128, 127).astype(np.int8)
    return {"scale": scale, "codes": codes.reshape(x.shape)}


def logarithmic(x: np.ndarray, *, by_logarithm: bool = False) -> np.ndarray:
    """Squares against powers of two; or a logarithm in float32."""
    size = np.minimum(np.abs(x.astype(np.float64)), 1.0)
    with np.errstate(all="ignore"):
        if by_logarithm:
            k = np.rint(np.log2(size.astype(F)).astype(np.float64))
        else:
            k = np.where(
                size >= 2.0**-40, np.searchsorted(4.0 ** np.arange(-40, 1) / 2, size * size, side="right") - 41, -50
            )
    number = np.clip(k + 16, 0, 15) * (size > 0)
    return np.where(x < 0, -number, number).astype(np.int8)


def inq(x: np.ndarray, *, lower: bool = False) -> Parts:
    """Levels in a list, cut half-way."""
    wide = x.astype(np.float64)
    largest = np.abs(wide).max()
    top = int(np.frexp(largest)[1]) - 1 + (np.frexp(largest)[0] >= 0.75) if largest else 0
    levels = np.asarray([0.0, *(2.0 ** (top + n) for n in range(-7, 1))])
    number = np.searchsorted((levels[1:] + levels[:-1]) / 2, np.abs(wide), side="left" if lower else "right")
    return {"exponent": np.asarray([top], np.int16), "codes": (np.sign(wide) * number).astype(np.int8)}


def apot(x: np.ndarray, *, up: bool = False) -> np.ndarray:
    """Distances to all levels, the first of the least."""
    levels = APoT().levels.astype(F).astype(np.float64)
    share = np.minimum(np.abs(x.astype(np.float64)), 1.0)
    distance = np.abs(share[..., None] - levels)
    number = len(levels) - 1 - distance[..., ::-1].argmin(-1) if up else distance.argmin(-1)
    return (np.sign(x.astype(F)) * number).astype(np.int8)


def n2uq(x: np.ndarray, *, closed: bool = False) -> np.ndarray:
    """Comparisons with three thresholds."""
    wide, step = x.astype(np.float64), 2 / 3
    cuts = [step / 2, step / 2 + step, step / 2 + step + step]
    return sum((wide >= c if closed else wide > c).astype(np.uint8) for c in cuts)


def n2uq_weights(x: np.ndarray, *, maximum: bool = False) -> Parts:
    """Floor of a half more."""
    rows = filters(x)
    mean = np.abs(rows).max(1) if maximum else np.abs(rows).astype(np.float64).mean(1).astype(F)
    scale = F(3 / 2) * mean
    with np.errstate(all="ignore"):
        share = np.nan_to_num(rows / scale[:, None])
    codes = np.rint((np.clip(share, -1, 1) + F(1)) * F(1.5)).astype(np.uint8)
    return {"scale": scale, "codes": codes.reshape(x.shape)}


def codebook(
    x: np.ndarray,
    *,
    iterations: int = 300,
    clusters: int = 16,
    once: bool = False,
    optimal: bool = False,
    shift: int = 0,
) -> Parts:
    """Lloyd's algorithm by thresholds; then a search of the optimum by its own dynamic programme, for few elements."""
    wide = np.sort(x.astype(np.float64).ravel())
    if optimal:
        centres = OptimalCodebook(clusters=clusters).centres(wide) + (0.01 * np.abs(wide).max() if once else 0.0)
    else:
        centres = np.linspace(wide[0], wide[-1], clusters)
        for _ in range(1 if once else iterations):
            label = np.searchsorted((centres[1:] + centres[:-1]) / 2, wide)
            count = np.bincount(label, minlength=clusters)
            new = np.where(count, np.bincount(label, wide, clusters) / np.maximum(count, 1), centres)
            if np.array_equal(new, centres):
                break
            centres = new
    book = np.sort(centres.astype(F if x.dtype.itemsize < 8 else x.dtype))
    middle = (book[1:].astype(np.float64) + book[:-1]) / 2
    codes = np.minimum(np.searchsorted(middle, x.astype(np.float64)) + shift, len(book) - 1)
    return {"codebook": book, "codes": codes.astype(np.uint8)}


def optimum(x: np.ndarray, *, clusters: int, once: bool = False) -> Parts:
    """The nearest of the optimal codebook, which is that of the rule: there is but one."""
    return codebook(x, optimal=True, once=once, clusters=clusters)


def round_to_nearest(x: np.ndarray, *, levels: float = 15.0, before: bool = False) -> Parts:
    """In float32 with a reciprocal."""
    w = x.astype(F)
    low, high = np.minimum(w.min(1), 0), np.maximum(w.max(1), 0)
    empty = low == high
    low, high = np.where(empty, F(-1), low), np.where(empty, F(1), high)
    scale = (high - low) * F(1 / levels)
    zero = np.rint(-low / scale)
    with np.errstate(all="ignore"):
        share = w * (F(1) / scale)[:, None]
    whole = np.floor(share + zero[:, None] + F(0.5)) if before else np.rint(share) + zero[:, None]
    codes = np.clip(whole, 0, 15).astype(np.uint8)
    group = np.zeros(x.shape[1], np.int32)
    return {"scale": scale[:, None], "zero": zero.astype(np.int16)[:, None], "codes": codes, "group_of": group}


def gptq(x: np.ndarray, hessian: np.ndarray, *, undamped: bool = False) -> Parts:
    """The inverse of H eliminated input by input, with no factor of it."""
    w, h = x.astype(np.float64).copy(), hessian.copy()
    dead = np.diag(h) == 0
    h[dead, dead], w[:, dead] = 1.0, 0.0
    h += (0.0 if undamped else 0.01 * np.mean(np.diag(h))) * np.eye(len(h))
    inverse, (scale, zero), codes = np.linalg.inv(h), _grid(w), np.zeros(w.shape)
    for j in range(w.shape[1]):
        codes[:, j] = np.clip(np.rint(w[:, j] / scale) + zero, 0, 15)
        error = (w[:, j] - scale * (codes[:, j] - zero)) / inverse[0, 0]
        w[:, j:] -= np.outer(error, inverse[0])
        inverse = inverse[1:, 1:] - np.outer(inverse[1:, 0], inverse[0, 1:]) / inverse[0, 0]
    group = np.zeros(x.shape[1], np.int32)
    return {"scale": scale[:, None], "zero": zero[:, None], "codes": codes, "group_of": group}


def _grid(w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low, high = np.minimum(w.min(1), 0), np.maximum(w.max(1), 0)
    low, high = np.where(low == high, -1, low), np.where(low == high, 1, high)
    return (high - low) / 15.0, np.rint(-low / ((high - low) / 15.0))


def adaround(x: np.ndarray, *, even: bool = False) -> np.ndarray:
    """Halves up."""
    wide = x.astype(np.float64)
    return np.clip(np.rint(wide) if even else np.floor(wide) + (wide - np.floor(wide) >= 0.5), -8, 7).astype(np.int8)


def qsgd(x: np.ndarray, uniform: np.ndarray, *, ceiling: bool = False) -> Parts:
    """In float32, the chance first."""
    wide = x.astype(F).ravel()
    norm = F(np.sqrt(np.sum(wide.astype(np.float64) ** 2)))
    y = np.abs(wide) * (F(16) / norm) if norm else np.abs(wide) * F(0)
    y = np.minimum(np.where(np.isfinite(y), y, F(16)), F(16)).astype(np.float64)
    level = np.ceil(y) if ceiling else np.floor(y) + (uniform.ravel() < y - np.floor(y))
    return {"norm": np.asarray(norm), "codes": (np.sign(wide) * level).astype(np.int32).reshape(x.shape)}


def terngrad(x: np.ndarray, uniform: np.ndarray, *, squared: bool = False) -> Parts:
    """In float32."""
    size = np.abs(x.astype(F))
    scale = size.max()
    chance = size / scale if scale else size
    return {
        "scale": np.asarray(scale),
        "codes": (np.sign(x.astype(F)) * (uniform < (chance**2 if squared else chance))).astype(np.int8),
    }


def sign_sgd(x: np.ndarray, *, root: bool = False) -> Parts:
    """A mean in float64."""
    wide = x.astype(np.float64)
    scale = np.sqrt(np.mean(wide * wide)) if root else np.mean(np.abs(wide))
    return {"scale": np.asarray(scale, F), "codes": np.sign(x.astype(F)).astype(np.int8)}


def one_bit(x: np.ndarray, *, zero_below: bool = False) -> Parts:
    """Means in float64 of each column."""
    columns = x.astype(np.float64).reshape(x.shape[0], -1)
    up = columns > 0 if zero_below else columns >= 0
    means = [np.where(c, columns, 0).sum(0) / np.maximum(c.sum(0), 1) for c in (~up, up)]
    return {"low": means[0].astype(F), "high": means[1].astype(F), "codes": up.reshape(x.shape).astype(np.uint8)}


def top_k(x: np.ndarray, *, last: bool = False) -> Parts:
    """A full sort of pairs."""
    flat = x.astype(F).ravel()
    count = max(1, int(0.01 * flat.size))
    order = sorted(range(flat.size), key=lambda i: (-abs(float(flat[i])), -i if last else i))
    indices = np.sort(np.asarray(order[:count]))
    return {"indices": indices, "values": flat[indices]}


def random_k(x: np.ndarray, uniform: np.ndarray, *, largest: bool = False) -> Parts:
    """A partial sort."""
    flat, draws = x.astype(F).ravel(), uniform.ravel() * (-1 if largest else 1)
    count = max(1, int(0.01 * flat.size))
    indices = np.sort(np.lexsort((np.arange(flat.size), draws))[:count])
    return {"indices": indices, "values": flat[indices]}


def product(x: np.ndarray, *, wrong: bool = False) -> Parts:
    """Lloyd's algorithm with einsum distances."""
    books, codes = [], []
    for part in np.split(x.astype(np.float64), 4, axis=1):
        centres = part[np.rint(np.linspace(0, len(part) - 1, 16)).astype(int)].copy()
        label = None
        for _ in range(1 if wrong else 26):
            distance = ((part[:, None] - centres[None]) ** 2).sum(-1)
            new = distance.argmin(1)
            moved = np.stack([part[new == k].mean(0) if (new == k).any() else centres[k] for k in range(16)])
            if label is not None and np.array_equal(moved, centres):
                break
            label, centres = new, moved
        books.append(centres.astype(F))
        codes.append(((part[:, None] - books[-1].astype(np.float64)[None]) ** 2).sum(-1).argmin(1))
    return {"codebooks": np.stack(books), "codes": np.stack(codes, 1).astype(np.uint8)}


def natural(x: np.ndarray, uniform: np.ndarray, *, nearest: bool = False) -> np.ndarray:
    """On the bits: the significand against the uniform number."""
    bits = x.astype(np.float64).view(np.int64)
    fraction = (bits & ((1 << 52) - 1)) / 2.0**52
    up = fraction >= 0.5 if nearest else uniform < fraction
    number = ((bits >> 52) & 0x7FF) - 1023 + up + 1100
    return np.where(x == 0, 0, np.where(x < 0, -number, number)).astype(np.int16)


def nuqsgd(x: np.ndarray, uniform: np.ndarray, *, floor: bool = False) -> Parts:
    """In float32, by a table of levels."""
    wide = x.astype(F).ravel()
    norm = F(np.sqrt(np.sum(wide.astype(np.float64) ** 2)))
    with np.errstate(all="ignore"):
        share = np.nan_to_num(np.minimum(np.abs(wide) / norm, F(1)))
    levels = np.asarray([0.0, 0.125, 0.25, 0.5, 1.0, 2.0])
    low = np.searchsorted(levels, share, side="right") - 1
    chance = (share - levels[low]) / (levels[low + 1] - levels[low])
    level = low if floor else low + (uniform.ravel() < chance)
    return {"norm": np.asarray(norm), "codes": (np.sign(wide) * level).astype(np.int8).reshape(x.shape)}


def dorefa_gradient(x: np.ndarray, uniform: np.ndarray, *, whole: bool = False) -> Parts:
    """In float32, the noise in units of a step."""
    rows = x.astype(F).reshape(x.shape[0], -1)
    largest = np.abs(rows).max(1)
    size = np.full_like(largest, largest.max()) if whole else largest
    with np.errstate(all="ignore"):
        share = rows / size[:, None] * F(0.5) + F(0.5)
        steps = np.clip(share * F(15) + (uniform.reshape(rows.shape) - 0.5), 0, 15)
    codes = np.where(size[:, None] > 0, np.rint(np.nan_to_num(steps)), 0).astype(np.uint8)
    return {"scale": size, "codes": codes.reshape(x.shape)}


def wage_error(x: np.ndarray, *, up: bool = False) -> np.ndarray:
    """Shift by comparing squares."""
    largest = float(np.abs(x.astype(np.float64)).max())
    k = np.frexp(largest)[1] - 1
    k = k + (largest / 2.0**k * largest / 2.0**k >= 2.0) if largest else 0
    k = np.frexp(largest)[1] if up else k
    return np.clip(np.rint(x.astype(np.float64) * 2.0 ** (7 - k)), -127, 127).astype(np.int16)


def wage_gradient(x: np.ndarray, uniform: np.ndarray, *, nearest: bool = False) -> np.ndarray:
    """Ceilings where a uniform number is below what is left."""
    largest = float(np.abs(x.astype(np.float64)).max())
    k = int(np.floor(np.log2(largest) + 0.5)) if largest else 0
    n = np.abs(x.astype(np.float64)) * 2.0 ** (3 - k)
    steps = np.rint(n) if nearest else np.where(uniform < n % 1.0, np.floor(n) + 1, np.floor(n))
    return (np.sign(x.astype(np.float64)) * steps).astype(np.int32)


#: the rule, the program, the options that make it wrong
REWRITES: list[tuple[Any, Any, dict[str, Any]]] = [
    (Cast(format="bfloat16"), cast, {"truncated": True}),
    (FP4(), fp4, {"swapped": True}),
    (AF4(), af4, {"up": True}),
    (ScaledFloat(), small_floats, {"largest": 240.0}),
    (NVFP4(), nvfp4, {"scale_up": True}),
    (BWN(), bwn, {"of_zero": -1}),
    (TWN(), twn, {"at": 0.75}),
    (TTQ(), ttq, {"at_least": True}),
    (BitNetWeights(), bitnet_weights, {"down": True}),
    (BitNetActivations(), bitnet_activations, {"levels": 128.0}),
    (LogQuantizer(), logarithmic, {"by_logarithm": True}),
    (INQ(), inq, {"lower": True}),
    (APoT(), apot, {"up": True}),
    (N2UQ(), n2uq, {"closed": True}),
    (N2UQWeights(), n2uq_weights, {"maximum": True}),
    (KMeans(iterations=6), codebook, {"once": True}),
    (OptimalCodebook(clusters=3), optimum, {"once": True}),
    (KMeans(clusters=5, iterations=3), codebook, {"shift": 1}),
    (ProductQuantizer(), product, {"wrong": True}),
    (RoundToNearest(), round_to_nearest, {"levels": 16.0}),
    (RoundToNearest(), round_to_nearest, {"before": True}),
    (GPTQ(), gptq, {"undamped": True}),
    (AdaRound(), adaround, {"even": True}),
    (QSGD(), qsgd, {"ceiling": True}),
    (TernGrad(), terngrad, {"squared": True}),
    (SignSGD(scaled="mean"), sign_sgd, {"root": True}),
    (OneBit(), one_bit, {"zero_below": True}),
    (TopK(), top_k, {"last": True}),
    (RandomK(), random_k, {"largest": True}),
    (NaturalCompression(), natural, {"nearest": True}),
    (NUQSGD(), nuqsgd, {"floor": True}),
    (DoReFaGradient(), dorefa_gradient, {"whole": True}),
    (WAGEError(), wage_error, {"up": True}),
    (WAGEGradient(), wage_gradient, {"nearest": True}),
]
