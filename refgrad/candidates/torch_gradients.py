"""Functions of torch on the gradients of ``parameters``, such as ``clip_grad_norm_``: what they leave in ``grad``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from refgrad.candidates.arguments import parameters_of
from refgrad.candidates.torch_optimizer import to_array, to_tensor
from refgrad.candidates.transform_arguments import Arrays, TransformCandidate, told
from refgrad.optimizers.transform import Transform


def candidate(thing: Any, name: str, options: Mapping[str, Any]) -> TransformCandidate | None:
    """A candidate if the thing is a function whose first argument is called ``parameters``."""
    if not callable(thing) or next(iter(parameters_of(thing)), "") != "parameters":
        return None
    return TransformCandidate(name, lambda rule, arrays: _in_place(thing, rule, arrays, options))


def _in_place(function: Callable[..., Any], rule: Transform, arrays: Arrays, options: Mapping[str, Any]) -> Any:
    tensor = to_tensor(np.array(arrays.get("p", arrays["g"]), order="C", copy=True)).requires_grad_()
    tensor.grad = to_tensor(np.array(arrays["g"], order="C", copy=True))
    with torch.no_grad():
        function([tensor], **{**told(rule, parameters_of(function)), **options})
    return to_array(tensor.grad)
