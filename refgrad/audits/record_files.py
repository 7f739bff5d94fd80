"""The files of a record: a folder a step, and in it a safetensors file a moment, with the hyperparameters of groups beside."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from refgrad.audits import safetensors_file

#: where the hyperparameters of groups stand in a file's metadata
GROUPS = "refgrad.groups"


def write(
    folder: str, step: int, moment: str, arrays: Mapping[str, np.ndarray], groups: Sequence[Mapping[str, Any]] = ()
) -> None:
    """Write one moment of a step.

    Args:
        folder: that of the record.
        step: counted from 1, from the beginning of the record.
        moment: "before", "grads" or "after".
        arrays: by name.
        groups: the hyperparameters of each group, with its ``parameters``.
    """
    place = os.path.join(folder, f"step-{step:06d}")
    os.makedirs(place, exist_ok=True)
    metadata = {GROUPS: json.dumps(list(groups))} if groups else {}
    safetensors_file.write(os.path.join(place, f"{moment}.safetensors"), arrays, metadata)
