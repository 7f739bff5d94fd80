"""Quantizers of packages as functions of one array, which return a rule's parts; each takes its package's target first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from refgrad.candidates.resolve import load

Parts = Mapping[str, np.ndarray]
Quantize = Callable[[np.ndarray], Parts]


def cast(target: str) -> Quantize:
    """A cast of NumPy arrays to a dtype of ml_dtypes, and back."""
    dtype = np.dtype(load(target))

    def quantize(x: np.ndarray) -> Parts:
        with np.errstate(all="ignore"):
            codes = x.astype(dtype)
            return {"codes": codes.view(f"u{dtype.itemsize}"), "y": codes.astype(x.dtype)}

    return quantize


def torch_cast(target: str) -> Quantize:
    """The same of torch tensors."""
    import torch

    dtype = load(target)
    codes_of = {1: torch.uint8, 2: torch.uint16}[dtype.itemsize]

    def quantize(x: np.ndarray) -> Parts:
        codes = torch.from_numpy(x.copy()).to(dtype)
        return {"codes": codes.view(codes_of).numpy(), "y": codes.to(torch.float32).numpy()}

    return quantize


def gfloat_cast(target: str, format: str, saturate: bool) -> Quantize:
    """gfloat's rounding and encoding of arrays by one of its formats."""
    import gfloat

    round_array, info = load(target), load(f"gfloat.formats:{format}")

    def quantize(x: np.ndarray) -> Parts:
        y = round_array(info, x.astype(np.float64), sat=saturate)
        codes = gfloat.encode_ndarray(info, y)
        return {"codes": codes.astype(f"u{max(1, info.bits // 8)}"), "y": y.astype(x.dtype)}

    return quantize


def blockwise(target: str, signed: bool, block_size: int) -> Quantize:
    """bitsandbytes' codes of 8 bits by its dynamic map."""
    import torch
    from bitsandbytes import functional

    function = load(target)

    def quantize(x: np.ndarray) -> Parts:
        flat = torch.from_numpy(x.copy())
        codes, state = function(flat, code=functional.create_dynamic_map(signed), blocksize=block_size)
        y = functional.dequantize_blockwise(codes, state)
        return {"absmax": state.absmax.numpy(), "codes": codes.numpy(), "y": y.numpy()}

    return quantize


def four_bits(target: str, kind: str, block_size: int) -> Quantize:
    """bitsandbytes' codes of 4 bits, two to a byte, the first one high."""
    import torch
    from bitsandbytes import functional

    function = load(target)

    def quantize(x: np.ndarray) -> Parts:
        packed, state = function(torch.from_numpy(x.copy()), blocksize=block_size, quant_type=kind)
        flat = packed.numpy().ravel()
        codes = np.stack([flat >> 4, flat & 15], 1).ravel()[: x.size]
        y = functional.dequantize_4bit(packed, state).numpy()
        return {"absmax": state.absmax.numpy(), "codes": codes, "y": y}

    return quantize


def microscaled(target: str, format: str, scale_rule: str) -> Quantize:
    """torchao's blocks of 32 with a power of two."""
    import torch

    function = load(target)
    mode = getattr(load("torchao.prototype.mx_formats.mx_tensor:ScaleCalculationMode"), scale_rule.upper())
    half = format.startswith("float4")
    element = getattr(torch, "float4_e2m1fn_x2" if half else format)

    def quantize(x: np.ndarray) -> Parts:
        width = x.shape[-1]
        filled = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, -width % 32)])
        scale, data = function(torch.from_numpy(filled), element, 32, mode)
        codes = data.view(torch.uint8).numpy()
        if half:
            codes = np.stack([codes & 15, codes >> 4], -1)
        return {
            "scale": scale.view(torch.uint8).numpy().ravel(),
            "codes": codes.reshape(filled.shape)[..., :width],
        }

    return quantize


def nvfp4(target: str) -> Quantize:
    """torchao's blocks of 16 with a scale in float8."""
    import torch

    function = load(target)

    def quantize(x: np.ndarray) -> Parts:
        width = x.shape[-1]
        filled = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, -width % 16)])
        scale, data = function(torch.from_numpy(np.atleast_2d(filled)), 16, None)
        codes = data.view(torch.uint8).numpy()
        codes = np.stack([codes & 15, codes >> 4], -1).reshape(filled.shape)[..., :width]
        return {"scale": scale.view(torch.uint8).numpy().ravel(), "codes": codes}

    return quantize


def gguf_blocks(target: str, name: str) -> Quantize:
    """The bytes that gguf writes, read as the fields of their blocks."""
    from refgrad.quantizers import gguf as formats

    function, kind = load(target), load(f"gguf:GGMLQuantizationType.{name}")
    rule: Any = getattr(formats, name)()
    back = load("gguf.quants:dequantize")

    def quantize(x: np.ndarray) -> Parts:
        with np.errstate(all="ignore"):
            stored = function(x.astype(np.float32), kind)
            return {**rule.unpack(stored).arrays, "y": back(stored, kind).astype(x.dtype)}

    return quantize


def observed(target: str, scheme: str) -> Quantize:
    """torch's codes of 8 bits by the scale of its observer of minima and maxima."""
    import torch

    function = load(target)
    observer = load("torch.ao.quantization.observer:MinMaxObserver")

    def quantize(x: np.ndarray) -> Parts:
        tensor = torch.from_numpy(x.copy())
        watch = observer(dtype=torch.qint8, qscheme=getattr(torch, scheme))
        watch(tensor)
        scale, zero = watch.calculate_qparams()
        found = function(tensor, float(scale), int(zero), torch.qint8)
        return {
            "scale": scale.numpy().astype(np.float32),
            "zero_point": zero.numpy().astype(np.int32),
            "codes": found.int_repr().numpy(),
            "y": found.dequantize().numpy(),
        }

    return quantize
