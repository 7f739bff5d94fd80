"""Quantizers against others on the same array, interleaved in one run: `python -m tests.benchmarks.quantizers`.

Medians of 5 rounds, or 45 where they are short, at 4194304 elements; a ratio above one says how many times faster this package
is. What is not installed is left out.
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import ml_dtypes
import numpy as np

from refgrad.arithmetic.minifloats import MINIFLOATS
from refgrad.backends import thread_pool
from refgrad.quantizers import MX, NF4, NVFP4, Affine, Blockwise

SIZE, ROUNDS = 1 << 22, 5
Call = Callable[[], Any]


def medians(calls: dict[str, Call]) -> dict[str, float]:
    """The median time of each call in milliseconds, the calls taking turns; more of them where they are short."""
    start = time.perf_counter()
    for call in (*calls.values(), *calls.values()):
        call()
    rounds = ROUNDS if time.perf_counter() - start > 0.2 else 9 * ROUNDS
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append((time.perf_counter() - start) * 1e3)
    return {name: statistics.median(found) for name, found in times.items()}


def casts(x: np.ndarray) -> dict[str, dict[str, Call]]:
    """float32 to each format, by one thread as ml_dtypes does it."""
    from refgrad.backends import rounding_kernels

    found = {}
    for name, form in MINIFLOATS.items():
        dtype = np.dtype(getattr(ml_dtypes, name, name))
        given = np.abs(x) if name == "float8_e8m0fnu" else x
        found[f"cast to {name}"] = {
            "refgrad": lambda given=given, form=form: rounding_kernels.encode(
                given, form, "nearest_even", "overflow", count=1
            ),
            "ml_dtypes": lambda given=given, dtype=dtype: given.astype(dtype),
        }
        if importlib.util.find_spec("torch"):
            found[f"cast to {name}"] |= _torch_cast(given, name)
    return found


def _torch_cast(x: np.ndarray, name: str) -> dict[str, Call]:
    """By torch, on all its threads, to what it has."""
    import torch

    torch.set_num_threads(thread_pool.available())
    t, dtype = torch.from_numpy(x), getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        return {}
    try:
        t[:1].to(dtype)
    except RuntimeError:  # a name alone
        return {}
    return {"torch": lambda: t.to(dtype)}


def blocks(x: np.ndarray) -> dict[str, dict[str, Call]]:
    """Block-wise 8 bits and NF4, and back."""
    rule, nf4 = Blockwise(map="bitsandbytes", block_size=256), NF4()
    kept, kept4 = rule.quantize(x), nf4.quantize(x)
    found: dict[str, dict[str, Call]] = {
        "quantize, 8 bits": {"refgrad": lambda: rule.quantize(x)},
        "dequantize, 8 bits": {"refgrad": lambda: rule.dequantize(kept)},
        "quantize, NF4": {"refgrad": lambda: nf4.quantize(x)},
        "dequantize, NF4": {"refgrad": lambda: nf4.dequantize(kept4)},
    }
    if importlib.util.find_spec("torch"):
        _torch(found, x, rule)
        _torch_affine(found, x)
    if importlib.util.find_spec("torchao"):
        _torchao(found, x)
    if importlib.util.find_spec("bitsandbytes"):
        _bitsandbytes(found, x)
    return found


def _torch(found: dict[str, dict[str, Call]], x: np.ndarray, rule: Blockwise) -> None:
    """The plain way in torch: absmax, division, a binary search in the midpoints."""
    import torch

    torch.set_num_threads(thread_pool.available())
    table = torch.tensor(rule.table())
    middles = (table[1:] + table[:-1]) / 2
    t = torch.from_numpy(x).reshape(-1, 256)

    def quantize() -> Any:
        absmax = t.abs().amax(1, keepdim=True)
        return torch.bucketize(t / absmax, middles, out_int32=True).to(torch.uint8), absmax

    codes, absmax = quantize()
    found["quantize, 8 bits"]["torch"] = quantize
    found["dequantize, 8 bits"]["torch"] = lambda: table[codes.int()] * absmax


def _torch_affine(found: dict[str, dict[str, Call]], x: np.ndarray) -> None:
    """int8 by the least and the largest number, and back."""
    import torch

    rule, t = Affine(), torch.from_numpy(x)
    kept = rule.quantize(x)

    def quantize() -> Any:
        low, high = (float(v) for v in torch.aminmax(t))
        scale = (max(high, 0.0) - min(low, 0.0)) / 255
        return torch.quantize_per_tensor(t, scale, -128 - round(low / scale), torch.qint8)

    codes = quantize()
    found["quantize, affine int8"] = {"refgrad": lambda: rule.quantize(x), "torch": quantize}
    found["dequantize, affine int8"] = {"refgrad": lambda: rule.dequantize(kept), "torch": codes.dequantize}


def _torchao(found: dict[str, dict[str, Call]], x: np.ndarray) -> None:
    """MX and NVFP4 without its compiler."""
    import torch
    from torchao.prototype.mx_formats import mx_tensor, nvfp4_tensor

    rows = x.reshape(-1, 4096)
    t, tensor = torch.from_numpy(rows), torch.tensor(float(np.abs(x).max()) / (448 * 6))
    for name in ("float8_e4m3fn", "float4_e2m1fn"):
        element = torch.float8_e4m3fn if name == "float8_e4m3fn" else torch.float4_e2m1fn_x2
        found[f"quantize, MX {name}"] = {
            "refgrad": partial(MX(format=name).quantize, rows),
            "torchao": lambda element=element: mx_tensor.to_mx(t, element, 32),
        }
    found["quantize, NVFP4"] = {
        "refgrad": lambda: NVFP4().quantize(rows),
        "torchao": lambda: nvfp4_tensor.nvfp4_quantize(t, 16, tensor),
    }


def _bitsandbytes(found: dict[str, dict[str, Call]], x: np.ndarray) -> None:
    import torch
    from bitsandbytes import functional

    t, table = torch.from_numpy(x), functional.create_dynamic_map(True)
    codes, state = functional.quantize_blockwise(t, code=table, blocksize=256)
    codes4, state4 = functional.quantize_4bit(t, blocksize=64, quant_type="nf4")
    found["quantize, 8 bits"]["bitsandbytes"] = lambda: functional.quantize_blockwise(t, code=table, blocksize=256)
    found["dequantize, 8 bits"]["bitsandbytes"] = lambda: functional.dequantize_blockwise(codes, state)
    found["quantize, NF4"]["bitsandbytes"] = lambda: functional.quantize_4bit(t, blocksize=64, quant_type="nf4")
    found["dequantize, NF4"]["bitsandbytes"] = lambda: functional.dequantize_4bit(codes4, state4)


def main() -> None:
    """Print a table."""
    x = np.random.default_rng(0).standard_normal(SIZE).astype(np.float32)
    rounds, cores = f"{ROUNDS} to {9 * ROUNDS}", f"{thread_pool.available()} of {os.cpu_count()}"
    print(f"{SIZE} elements, medians of {rounds}, {cores} processors, milliseconds\n")
    print("| what | refgrad | other | time | ratio |\n|---|---|---|---|---|")
    for what, calls in {**blocks(x), **casts(x)}.items():
        times = medians(calls)
        for other in [n for n in times if n != "refgrad"]:
            ratio = times[other] / times["refgrad"]
            print(f"| {what} | {times['refgrad']:.1f} | {other} | {times[other]:.1f} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
