"""What torch quantizes with: functions that are handed scales and zero points, and observers, which find them.

``torch.quantize_per_tensor`` and its like compute codes alone. They are handed the scale and the zero point that the rule makes
of the array, and the candidate's name says so. An observer of ``torch.ao.quantization`` (a class, such as ``MinMaxObserver``)
finds them itself; codes are then `torch.quantize_per_tensor`'s or `torch.quantize_per_channel`'s.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from refgrad.candidates.arguments import check_options, parameters_of, with_options
from refgrad.candidates.faults import stepping
from refgrad.candidates.protocol import CandidateFault
from refgrad.candidates.torch_optimizer import to_array, to_tensor
from refgrad.errors import CandidateError
from refgrad.quantizers.affine import Affine
from refgrad.quantizers.base import Quantizer

Parts = dict[str, np.ndarray]

#: torch's functions, which take a scale for the tensor, or one a channel
FUNCTIONS: Mapping[Any, str] = {
    torch.quantize_per_tensor: "tensor",
    torch.quantize_per_channel: "channel",
    torch.fake_quantize_per_tensor_affine: "tensor",
    torch.fake_quantize_per_channel_affine: "channel",
}
FAKE = (torch.fake_quantize_per_tensor_affine, torch.fake_quantize_per_channel_affine)
LEGAL = "a rule Affine(granularity='tensor') or, with an axis, Affine(granularity='channel')"


def candidate(thing: Any, name: str, options: Mapping[str, Any]) -> tuple[str, Callable[..., Parts]] | None:
    """The name and the function to the rule's parts, if the thing is one of torch's; None if it is not."""
    try:
        granularity = FUNCTIONS.get(thing)
    except TypeError:  # it has no hash
        return None
    if granularity is not None:
        check_options(options, {}, False, name)
        return f"{name} with the rule's scale and zero point", _handed(thing, granularity, name)
    if isinstance(thing, type) and callable(getattr(thing, "calculate_qparams", None)):
        check_options(options, parameters_of(thing), False, name)
        return with_options(name, options), _observed(thing, options, name)
    return None


def _handed(function: Callable[..., Any], granularity: str, name: str) -> Callable[..., Parts]:
    def quantize(rule: Quantizer, x: np.ndarray, **besides: np.ndarray) -> Parts:
        affine = _affine(rule, granularity, name)
        own = affine.quantize(x)
        scale, zero = (torch.from_numpy(np.array(own[part])) for part in ("scale", "zero_point"))
        with stepping(name):
            return _codes(function, affine, to_tensor(np.array(x, order="C")), scale, zero)

    return quantize


def _observed(cls: Callable[..., Any], options: Mapping[str, Any], name: str) -> Callable[..., Parts]:
    def quantize(rule: Quantizer, x: np.ndarray, **besides: np.ndarray) -> Parts:
        known = parameters_of(cls)
        granularity = "channel" if "ch_axis" in known else "tensor"
        affine = _affine(rule, granularity, name)
        scheme = f"per_{granularity}_{'symmetric' if affine.symmetric else 'affine'}"
        told: dict[str, Any] = {"ch_axis": affine.axis} if granularity == "channel" else {}
        told |= {"dtype": _dtype(affine, name), "qscheme": getattr(torch, scheme)}
        told |= {"quant_min": affine.lowest, "quant_max": affine.highest}
        tensor = to_tensor(np.array(x, order="C"))
        with stepping(name):
            observer = cls(**{**{n: v for n, v in told.items() if n in known or "kwargs" in known}, **options})
            observer(tensor)
            scale, zero = observer.calculate_qparams()
            function = torch.quantize_per_channel if granularity == "channel" else torch.quantize_per_tensor
            return _codes(function, affine, tensor, scale, zero)

    return quantize


def _affine(rule: Quantizer, granularity: str, name: str) -> Affine:
    if not isinstance(rule, Affine) or rule.granularity != granularity:
        raise CandidateError(f"{name} takes one scale a {granularity}, and the rule is {rule}; legal: {LEGAL}")
    return rule


def _dtype(rule: Affine, name: str) -> torch.dtype:
    if rule.bits != 8:
        raise CandidateError(f"{name} makes codes of 8 bits, and the rule has bits={rule.bits}; legal: bits=8")
    return torch.qint8 if rule.signed else torch.quint8


def _codes(function: Any, rule: Affine, x: torch.Tensor, scale: torch.Tensor, zero: torch.Tensor) -> Parts:
    """The parts as torch makes them of an array: codes, and the array of them."""
    alone = FUNCTIONS[function] == "tensor"
    place: tuple[Any, ...] = (scale.reshape(()), zero.reshape(()).int()) if alone else (scale, zero.int(), rule.axis)
    found = {"scale": to_array(scale).reshape(-1), "zero_point": to_array(zero).astype(np.int32).reshape(-1)}
    if function in FAKE:
        y = to_array(function(x, *place, rule.lowest, rule.highest))
        return {**found, "codes": _codes_of(y, found, rule), "y": y}
    with warnings.catch_warnings():  # that they are deprecated is no business of the verdict's
        warnings.filterwarnings("ignore", "torch.quantize_per_tensor", UserWarning)
        dtype = _dtype(rule, function.__name__)
        made = function(x, *([float(place[0]), int(place[1])] if alone else place), dtype)
    return {**found, "codes": to_array(made.int_repr()), "y": to_array(made.dequantize())}


def _codes_of(y: np.ndarray, parts: Parts, rule: Affine) -> np.ndarray:
    """The codes that a fake quantization went through: its results lie on the grid of the scale."""
    shape = [1] * y.ndim
    if rule.granularity == "channel":
        shape[rule.axis] = -1
    scale, zero = (parts[part].reshape(shape) for part in ("scale", "zero_point"))
    with np.errstate(all="ignore"):
        codes = np.rint(y / scale.astype(np.float64)) + zero
    if not np.isfinite(codes).all():
        raise CandidateFault("structure", "its results are not finite, so that they have no codes")
    return codes.astype(rule.code_dtype)
