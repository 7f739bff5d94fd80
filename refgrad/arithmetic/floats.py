"""A graph in float64, array operations as they stand: a sketch of the real numbers, fast and without bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes, matrices
from refgrad.arithmetic.graph import MATRIX, Graph

OPERATIONS: Mapping[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.true_divide,
    "neg": np.negative,
    "abs": np.abs,
    "sqrt": np.sqrt,
    "exp": np.exp,
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
    "log": np.log,
    "power": np.power,
    "power_of_two": np.exp2,
    "rint": np.rint,
    "floor": np.floor,
    "ceil": np.ceil,
    "sign": np.sign,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "where": np.where,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "eq": np.equal,
    "ne": np.not_equal,
    "and": np.logical_and,
    "or": np.logical_or,
    "not": np.logical_not,
}


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
            elif node.op in ("sum", "max"):
                values[node.index] = _reduce(node.op, args[0], node.attribute, batch)
            elif node.op == "round":
                values[node.index] = node.attribute(*args)
            elif node.op in MATRIX:
                values[node.index] = _matrix(node.op, args, node.attribute, batch)
            elif node.op == "cast":
                values[node.index] = dtypes.cast(args[0], *node.attribute)
            elif node.op == "step":
                values[node.index] = node.attribute(args[0])
            elif node.op == "loose":
                values[node.index] = args[0]
            else:
                values[node.index] = OPERATIONS[node.op](*args)
    return {name: values[node.index] for name, node in graph.outputs.items()}


def _reduce(op: str, x: np.ndarray, over: str, batch: int) -> np.ndarray:
    every = tuple(range(batch, x.ndim))
    axes = {"tensor": every, "row": every[1:], "column": every[:1]}[over]
    return np.sum(x, axis=axes, keepdims=True) if op == "sum" else np.max(x, axis=axes, keepdims=True, initial=-np.inf)


def _matrix(op: str, args: Sequence[np.ndarray], rule: Any, batch: int) -> np.ndarray:
    """An operation on matrices, each of those that are stacked by itself."""
    if op == "newton_schulz":
        numbers = matrices.gathered(args[1:], rule[0])
        x = matrices.as_matrices(args[0], batch)
        return matrices.odd_polynomials(x, numbers, multiply=np.matmul).reshape(args[0].shape)
    if batch:
        lead = args[0].shape[:batch]
        flat = [a.reshape(-1, *a.shape[batch:]) for a in args]
        found = [_matrix(op, [a[i] for a in flat], rule, 0) for i in range(len(flat[0]))]
        return np.reshape(found, (*lead, *np.shape(found[0])))
    given = () if rule is None else rule if isinstance(rule, tuple) else (rule,)
    return np.asarray(getattr(matrices, op)(*args, *given))
