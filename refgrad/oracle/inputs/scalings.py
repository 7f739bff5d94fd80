"""Batch sizes that scalings are judged on: one, the rule's own, its neighbours and multiples, and large ones."""

from __future__ import annotations

import numpy as np

from refgrad.optimizers.batch_scaling import Scaling
from refgrad.oracle.inputs.cases import Cases

#: besides the rule's own batch size times these
FACTORS = (0.5, 1.0, 2.0, 3.0, 4.0, 10.0, 64.0)
SIZES = (1, 2, 3, 7, 32, 100, 255, 257, 1000, 4096, 10**6, 2**31 + 1)


def generate(rule: Scaling, seed: int) -> Cases:
    """A case a batch size, each with a number of epochs."""
    random = np.random.Generator(np.random.Philox(seed))
    own = int(rule.hyperparameters().get("batch", 128))
    sizes = sorted(
        {*SIZES, own - 1, own + 1, *(round(own * f) for f in FACTORS), *random.integers(1, 10**5, 8).tolist()}
    )
    sizes = [size for size in sizes if size >= 1]
    epochs = random.integers(1, 300, len(sizes))
    cases = [{"batch": np.array(float(b)), "epochs": np.array(float(e))} for b, e in zip(sizes, epochs, strict=True)]
    return Cases(cases, [f"batch {size}" for size in sizes], seed)
