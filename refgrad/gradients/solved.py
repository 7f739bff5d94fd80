"""The base of functions of gradients that are known by what their result satisfies, and not by the steps that lead to it.

A median to convergence, a nearest point, a decoding: programs go there by different ways, and may give different answers
where there are several. Such a rule has a body that gives one right answer, and a condition by which every answer is judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refgrad.optimizers.transform import Transform

#: by the name of a quantity the quantity, and how large it may be
Conditions = Mapping[str, tuple[Any, Any]]


class Solved(Transform):
    """A function of arrays whose result is judged by a condition, and not by the path to it.

    A subclass writes `apply`, by any means (SciPy, loops until nothing changes), and `condition`.

    >>> import numpy as np
    >>> from refgrad.gradients import GeometricMedian
    >>> points = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [10.0, 10.0]])
    >>> median = GeometricMedian()
    >>> median(points).round(12).tolist()
    [0.788675134595, 0.788675134595]
    >>> {name: bool(size <= most) for name, (size, most) in median.condition(points, points.mean(axis=0), 0.0).items()}
    {"the subgradient's norm": False}
    """

    variant = "solved"
    by_steps = False

    def condition(self, *arrays_and_results_and_unit: Any) -> Conditions:
        """What a right answer satisfies; a subclass writes it, with arguments of its own names.

        Args:
            arrays_and_results_and_unit: the arrays of `shapes` in order, then the results in order, all in float64 (labels as
                they are); and then the unit roundoff of the dtype that the results came in, which bounds must allow for:
                a right answer is rounded to it.

        Returns:
            By the name of each quantity, as messages call it, the quantity and the largest magnitude that it may have. What has
            the shape of a result's first axes is judged part by part; anything else of all results as a whole.
        """
        raise NotImplementedError
