"""`record`: write what an audit needs of the first steps of a training."""

from __future__ import annotations

import os
from typing import Any

from refgrad.arguments import STEPS
from refgrad.errors import ArgumentError, bad_argument, with_article


def record(optimizer: Any, folder: Any, steps: int = 3, names: Any = None) -> Any:
    """Write what an audit needs of the next steps: parameters, state and gradients before each, parameters and state after it.

    Each step has a folder of its own in ``folder``, ``step-000001`` and so on, with ``before.safetensors``, ``grads.safetensors``
    and ``after.safetensors``; the first two are written before the step is taken. The values are those that the optimizer sees.

    Args:
        optimizer: a torch optimizer, whose ``step`` writes them from here on; or an optax transformation, of which one that
            writes them is returned.
        folder: the path of a folder, which is made.
        steps: how many steps are written.
        names: of a torch optimizer's parameters: a module, or what its ``named_parameters()`` gives; by default the
            names that the optimizer has, or numbers.

    Returns:
        Of a torch optimizer a handle, whose ``remove()`` ends it early; of an optax transformation the one to use in its place.

    Raises:
        ArgumentError: it is neither, or another argument is not legal.
    """
    if not isinstance(folder, str | os.PathLike):
        raise bad_argument("folder", folder, "the path of a folder")
    steps = STEPS.check("steps", steps)
    if all(hasattr(optimizer, word) for word in ("register_step_pre_hook", "state_dict", "param_groups")):
        from refgrad.audits import torch_recorder

        return torch_recorder.record(optimizer, os.fspath(folder), steps, names)
    if all(callable(getattr(optimizer, word, None)) for word in ("init", "update")):
        from refgrad.audits import optax_recorder

        return optax_recorder.record(optimizer, os.fspath(folder), steps)
    found = with_article(type(optimizer).__name__)
    raise ArgumentError(f"optimizer is {found}; legal: a torch optimizer or an optax transformation")
