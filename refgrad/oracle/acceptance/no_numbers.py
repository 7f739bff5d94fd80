"""Where NaN or an infinity was handed in, and no program gives a number: one that is given all the same is outside.

What is inside beside it, bounds and decisions say; this is what is certain whichever way a decision on NaN goes, in whatever
order sums and products are taken, and whatever over- or underflows on the way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from refgrad.arithmetic import classed, classes
from refgrad.arithmetic.bounded import Bounded
from refgrad.arithmetic.classed import Classed
from refgrad.arithmetic.dtypes import whole_numbers
from refgrad.arithmetic.graph import Graph
from refgrad.oracle.acceptance.judgement import INSIDE, OUTSIDE, Judged

Where = Mapping[str, np.ndarray]


def of_graph(
    graph: Graph, inputs: Mapping[str, Bounded], scalars: Sequence[Bounded], seen: Mapping[str, np.ndarray]
) -> Where:
    """Where no program gives a number, by output; nowhere if operations are met of which that is not known.

    Args:
        graph: the rule's.
        inputs: the arrays by name, or what is known of them.
        scalars: the graph's, in its order.
        seen: outputs that were seen, from which others go on.
    """
    given = {n: _classes(b) for n, b in inputs.items()}
    # what overflowed as it was stored, may have gone on as a number
    observed = {n: classes.of(a) | np.where(np.isinf(a), classes.NUMBERS, np.uint8(0)) for n, a in seen.items()}
    try:
        found = classed.evaluate(graph, given, [float(np.reshape(s.value, -1)[0]) for s in scalars], observed)
    except classed.UNKNOWN:
        return {}
    return {n: classes.no_number(mask) for n, mask in found.items()}


def of_body(rule: Any, arrays: Mapping[str, np.ndarray]) -> Sequence[np.ndarray] | None:
    """The same of the results of a body that is run as it stands; None if that is not known.

    Args:
        rule: a transform.
        arrays: what it is handed.
    """
    try:
        results = rule.apply(*(a if whole_numbers(a) else Classed(classes.of(a)) for a in arrays.values()))
    except classed.UNKNOWN:
        return None
    results = list(results.values()) if isinstance(results, dict) else results
    results = results if isinstance(results, tuple | list) else [results]
    return [classes.no_number(classed.lifted(r).mask) for r in results]


def looked_at(judged: Mapping[str, Judged], where: Where) -> dict[str, Judged]:
    """Outputs with where no program gives a number.

    Args:
        judged: the outputs by name.
        where: booleans by name, that broadcast to the outputs' shapes.
    """
    return {
        n: replace(j, no_number=np.broadcast_to(where[n], j.status.shape)) if n in where else j
        for n, j in judged.items()
    }


def refused(judged: Judged, values: np.ndarray) -> Judged:
    """An output whose numbers are outside where no program gives one.

    Args:
        judged: the output.
        values: what was seen.
    """
    if judged.no_number is None:
        return judged
    wrong = judged.no_number & np.isfinite(values)
    if not wrong.any():
        return judged
    truth, low, high = (np.where(wrong, np.nan, a) for a in (judged.truth, judged.low, judged.high))
    return replace(judged, status=np.where(wrong, OUTSIDE, judged.status), truth=truth, low=low, high=high)


def alone(judged: Judged, values: np.ndarray) -> Judged | None:
    """An output of which nothing else is looked at; None if every element of it may be a number.

    Args:
        judged: the output.
        values: what was seen.
    """
    if judged.no_number is None or not judged.no_number.any():
        return None
    return refused(replace(judged, status=np.full(values.shape, INSIDE)), values)


def _classes(known: Bounded) -> np.ndarray:
    if known.error is None or not np.any(known.error):
        return classes.of(known.value)
    return classes.between(known.lowest(), known.highest(), known.may_be_nan())
