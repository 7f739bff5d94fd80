"""A graph in float64, array operations as they stand: a sketch of the real numbers, fast and without bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from refgrad.arithmetic import matrices
from refgrad.arithmetic.graph import Graph
from refgrad.arithmetic.operations import MATRIX, OPERATIONS, REDUCTIONS
from refgrad.axes import places


def evaluate(
    graph: Graph, arrays: Mapping[str, np.ndarray], scalars: Sequence[Any], batch: int = 0
) -> dict[str, np.ndarray]:
    """Each output, from float64 arrays by name and the graph's scalars in its order.

    ``batch`` is the number of leading axes along which tensors are stacked.
    """
    values: dict[int, Any] = {}
    supply = iter(scalars)
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            args = [values[a.index] for a in node.args]
            if node.op == "scalar":
                values[node.index] = next(supply)
            elif node.op == "input":
                values[node.index] = arrays[node.attribute]
            elif node.op in REDUCTIONS:
                axes = places(node.attribute, args[0].ndim, batch)
                values[node.index] = OPERATIONS[node.op].sketched(args, axes)
            elif node.op in MATRIX:
                values[node.index] = _matrix(node.op, args, node.attribute, batch)
            else:
                values[node.index] = OPERATIONS[node.op].sketched(args, node.attribute)
    return {name: values[node.index] for name, node in graph.outputs.items()}


def _matrix(op: str, args: Sequence[np.ndarray], rule: Any, batch: int) -> np.ndarray:
    """An operation on matrices, each of those that are stacked by itself."""
    if op == "newton_schulz":  # of all of them at once
        first = matrices.as_matrices(args[0], batch)
        return np.asarray(OPERATIONS[op].sketched([first, *args[1:]], rule)).reshape(args[0].shape)
    if batch:
        lead = args[0].shape[:batch]
        flat = [a.reshape(-1, *a.shape[batch:]) for a in args]
        found = [_matrix(op, [a[i] for a in flat], rule, 0) for i in range(len(flat[0]))]
        return np.reshape(found, (*lead, *np.shape(found[0])))
    return np.asarray(OPERATIONS[op].sketched(args, rule))
