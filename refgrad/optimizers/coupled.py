"""Rules that see all parameters as one vector: the leaves of a pytree joined for a step, and cut again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from refgrad.arithmetic import dtypes

Arrays = Mapping[str, np.ndarray]


def join(leaves: Sequence[Arrays], whole: Mapping[str, bool]) -> dict[str, np.ndarray]:
    """Each array of every leaf, in order, as one vector of the working dtype; ``whole`` marks what all leaves share."""
    dtype = dtypes.working(np.result_type(*(arrays["p"] for arrays in leaves)))
    parts = {n: [np.ravel(arrays[n]) for arrays in (leaves[:1] if whole.get(n) else leaves)] for n in leaves[0]}
    return {name: np.concatenate([part.astype(dtype) for part in arrays]) for name, arrays in parts.items()}


def cut(vectors: Arrays, leaves: Sequence[Arrays], whole: Mapping[str, bool]) -> None:
    """Overwrite every leaf with its part of the vectors."""
    for name, vector in vectors.items():
        start = 0
        for arrays in leaves:
            size = 1 if whole.get(name) else arrays[name].size
            with np.errstate(over="ignore", under="ignore"):
                arrays[name][...] = vector[start : start + size].reshape(arrays[name].shape)
            start += 0 if whole.get(name) else size
