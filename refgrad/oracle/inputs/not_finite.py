"""Gradients that are not finite: what an output is, into which they come by sums, products, quotients and roots alone.

How comparisons, signs, maxima and choices take NaN, programs settle in several ways (torch's sign of NaN is 0, NumPy's is
NaN), and an infinity is NaN or not as terms are arranged. So NaN is driven where no decision lies between the gradient and
an output, and an infinity where no difference or quotient of what depends on it does besides. No other output is judged.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from refgrad.arithmetic.graph import Graph, Node, walk
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.inputs.calls import SHAPES, small_run
from refgrad.oracle.inputs.cases import Cases
from refgrad.oracle.inputs.extremes import MOST

#: operations after which NaN is NaN in every program
CARRYING = frozenset({"input", "scalar", "add", "sub", "mul", "div", "neg", "abs", "square", "sqrt", "sum", "rint"})
VALUES = {"NaN": np.nan, "infinities": np.inf}


def carrying(graph: Graph, of: str = "g") -> tuple[frozenset[str], frozenset[str]]:
    """The outputs of a graph that are NaN where an input is, and of these those that are infinite where it is infinite.

    Args:
        graph: the graph.
        of: the input's name.
    """
    nan = {n for n, node in graph.outputs.items() if _reaches(node, of) and _only_carried(node)}
    infinite = {n for n in nan if all(_keeps_infinity(each, of) for each in walk(graph.outputs[n]))}
    return frozenset(nan), frozenset(infinite)


def _only_carried(node: Node) -> bool:
    return all(each.op in CARRYING for each in walk(node))


def _reaches(node: Node, of: str) -> bool:
    return any(each.op == "input" and each.attribute == of for each in walk(node))


def _keeps_infinity(node: Node, of: str) -> bool:
    """Whether an operation has no terms of an input that may cancel, and divides by none."""
    reached = [_reaches(each, of) for each in node.args]
    if node.op in ("sub", "add"):
        return sum(reached) < 2
    return node.op != "sum" and not (node.op == "div" and reached[1])


def not_finite(rule: Optimizer, dtype: np.dtype, seed: int) -> Iterator[tuple[str, Cases]]:
    """Two small leaves with NaN in their gradients, and two with infinities, of rules of which an output tells them.

    Args:
        rule: the rule.
        dtype: of parameters and gradients.
        seed: of the other numbers.
    """
    found = [carrying(rule.plan((2, 2), t).graph) for t in (1, 2)]
    cases = small_run(rule, dtype, seed, 2, SHAPES[:2])
    for number, (name, value) in enumerate(VALUES.items()):
        outputs = frozenset.intersection(*(each[number] for each in found))
        if outputs:
            yield name, dataclasses.replace(_sprinkled(cases, value), outputs=outputs)


def special(cases: Cases, graph: Graph) -> Iterator[tuple[str, Cases]]:
    """Two small inputs of an estimator with NaN, and two with infinities, where a result tells them.

    Args:
        cases: of many shapes.
        graph: the estimator's.
    """
    few = [{**a, "x": a["x"].copy()} for a in cases.arrays if a["x"].ndim == 2 and 4 < a["x"].size <= MOST][-2:]
    for outputs, (name, value) in zip(carrying(graph, "x"), VALUES.items(), strict=True):
        if outputs and few:
            made = [
                {
                    **a,
                    "x": np.where(np.arange(a["x"].size).reshape(a["x"].shape) == 2, a["x"].dtype.type(value), a["x"]),
                }
                for a in few
            ]
            yield name, Cases(made, [name] * len(made), cases.seed, outputs=outputs)


def _sprinkled(cases: Cases, value: float) -> Cases:
    """With a value and its negative among the gradients: of the first leaf at the first step, of the second at the second."""
    for leaf in range(2):
        g = cases.steps[leaf][leaf]["g"].copy()
        g[1, 1:3] = value, -value
        cases = cases.with_array(leaf, "g", g, leaf)
    return cases
