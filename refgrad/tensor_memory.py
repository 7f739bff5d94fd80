"""Whether the memory of a torch tensor has its values: what may be read there, and what may be written.

Torch has tensors without memory of their own, such as those of FSDP between two steps, of DTensor and of FakeTensor, and hands
out their address by DLPack all the same. torch is not imported here: where there is a tensor, somebody else has.
"""

from __future__ import annotations

import sys
from typing import Any

from refgrad.errors import with_article

#: devices whose memory has an address that torch tells
ADDRESSED = ("cpu", "cuda")


def _torch_of(value: Any) -> Any:
    """The module of torch where a value is one of its tensors, else None."""
    torch: Any = sys.modules.get("torch")
    tensor = getattr(torch, "Tensor", None)
    return None if tensor is None or not isinstance(value, tensor) else torch


def unreadable(value: Any) -> str:
    """Why the values of a tensor are not what lies in its memory.

    Args:
        value: a tensor on any device, or any other value.

    Returns:
        What follows "that cannot be read"; nothing where they are, or the value is no tensor of torch.
    """
    torch = _torch_of(value)
    if torch is None:
        return ""
    if type(value).__torch_dispatch__ is not torch.Tensor.__torch_dispatch__:
        return f"{with_article(type(value).__name__)} computes its values, and has no memory of them"
    if value.device.type not in ADDRESSED or value.layout is not torch.strided or not value.numel():
        return ""
    storage, last = value.untyped_storage(), value.numel() - 1
    if not value.is_contiguous():
        last = sum((n - 1) * stride for n, stride in zip(value.shape, value.stride(), strict=True))
    needed, has = value.element_size() * (value.storage_offset() + last + 1), storage.nbytes()
    if has < needed:
        return f"its storage has {has} bytes, of which it needs {needed}"
    try:
        return "" if storage.data_ptr() else "its storage has no memory"
    except RuntimeError:  # such as a tensor that `torch.func.functionalize` hands to a function
        return "its storage has no memory"


def unwritable(value: Any) -> str:
    """Why a step in place cannot write a tensor that can be read.

    Args:
        value: a tensor, or any other value.

    Returns:
        What follows "that cannot be written in place"; nothing where it can, or the value is no tensor of torch.
    """
    torch = _torch_of(value)
    if torch is None:
        return ""
    if value.is_neg():
        return "its negative bit is set: what lies in its memory are the negatives of its values; its clone() can"
    if value.is_inference() and not torch.is_inference_mode_enabled():
        return "it is an inference tensor outside inference mode; its clone() can"
    return ""


def resolved(value: Any) -> Any:
    """A tensor whose memory has its values as they are: a copy where torch has put off a negation or a conjugation.

    Args:
        value: a tensor, or any other value, which is given back as it is.
    """
    for word in ("resolve_conj", "resolve_neg"):
        value = getattr(value, word)() if hasattr(value, word) else value
    return value
