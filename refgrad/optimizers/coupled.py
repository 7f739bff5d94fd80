"""Rules that see all parameters as one vector: kernels run over the leaves of a pytree where they are.

The body as it stands is run by NumPy on one vector: for that the leaves are joined, and cut again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from refgrad import backends
from refgrad.arithmetic import dtypes
from refgrad.axes import TENSOR
from refgrad.optimizers.leaf import Leaf, working_copies
from refgrad.rule import Rule
from refgrad.tracing import Plan, free_values, plan_for

Arrays = Mapping[str, np.ndarray]


def step(rule: Rule, work: Sequence[Leaf], values: Mapping[str, float], backend: str, threads: int | None) -> None:
    """Overwrite every leaf with its next value.

    Args:
        rule: the optimizer.
        work: the leaves, at least one.
        values: those of the rule's scalar inputs, in their order.
        backend: the backend's name.
        threads: how many threads a kernel may use.
    """
    kinds = {dtypes.working(leaf.arrays["p"].dtype) for leaf in work}
    size = sum(leaf.arrays["p"].size for leaf in work)
    free = free_values((size,), values)
    plan = plan_for(rule, 1, free)
    outputs = plan.scalar_outputs(*free)  # before anything is written: there may be no such number
    run = backends.over_leaves(backend, plan, next(iter(kinds)), size) if len(kinds) == 1 else None
    if run is None:
        _step_joined(plan, free, work, backend, threads)
    else:
        ready = [working_copies(leaf) for leaf in work]
        run(plan, free, [arrays for arrays, _ in ready], threads)
        for leaf, (arrays, narrow) in zip(work, ready, strict=True):
            leaf.write_back(arrays, narrow)
    for leaf in work:
        leaf.set_scalars(outputs)


def _step_joined(plan: Plan, free: tuple[float, ...], work: Sequence[Leaf], backend: str, threads: int | None) -> None:
    """The same on one vector."""
    leaves, whole = [leaf.arrays for leaf in work], {n: axes == TENSOR for n, axes in plan.rule.takes().items()}
    vectors = join(leaves, whole)
    backends.runner(backend)(plan, free, vectors, threads)
    cut({n: vector for n, vector in vectors.items() if n not in work[0].read_only}, leaves, whole)


def join(leaves: Sequence[Arrays], whole: Mapping[str, bool]) -> dict[str, np.ndarray]:
    """Each array of every leaf, in order, as one vector of the working dtype; ``whole`` marks what all leaves share."""
    dtype = np.result_type(
        *(dtypes.working(arrays["p"].dtype) for arrays in leaves)
    )  # narrow floats have no common dtype
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
