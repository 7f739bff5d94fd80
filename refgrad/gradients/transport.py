"""Optimal transport between samples: Sinkhorn's iteration, the Monge gap of a map, and Sinkhorn's divergence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np

from refgrad.arithmetic.function_arguments import ITERATIONS, NOT_NEGATIVE, POSITIVE, REAL, Numbers, OrNone, gated
from refgrad.errors import bad_argument
from refgrad.gradients.solved import Conditions, Solved
from refgrad.optimizers.transform import Transform, check_axes, check_count, check_same
from refgrad.rule import Choice, Citation, Iterations, Positive, Range, by

#: roundings, for each feature, that a cost may be off by
ROUNDINGS = 8

_COST = Choice(squared="the squared Euclidean distance", distance="the Euclidean distance")
_RELATIVE = Choice(
    absolute="epsilon itself",
    deviation=by("times the standard deviation of the costs", "ott: 0.6"),
    mean=by("times the mean cost", "ott: 0.5 and before"),
)
_FIRST = Choice(
    rows="f of x, then g of y",
    columns=by("g of y, then f of x", "ott", "POT: sinkhorn_log"),
)
_FORM = Choice(
    divergence=by("<P, C> + epsilon KL(P | a b)", "ott: reg_ot_cost"),
    entropy=by("<P, C> - epsilon H(P): less by epsilon (H(a) + H(b))", "ott: ent_reg_cost, in its Monge gap"),
)


def costs(x: Any, y: Any, cost: str) -> Any:
    """What it costs to move each point to each other, by the differences themselves.

    Args:
        x: points [n, feature].
        y: points [m, feature].
        cost: "squared" or "distance".

    Returns:
        [n, m].
    """
    difference = x[:, None, :] - y[None, :, :]
    squares = np.sum(difference * difference, axis=-1)
    return squares if cost == "squared" else np.sqrt(squares)


def log_sum_exp(x: Any, axis: int) -> Any:
    """The logarithm of a sum of exponentials along an axis, from which the largest is taken out first.

    Args:
        x: an array.
        axis: the axis.

    Returns:
        The logarithms, without the axis.
    """
    largest = np.max(x, axis=axis, keepdims=True)
    return np.squeeze(largest + np.log(np.sum(np.exp(x - largest), axis=axis, keepdims=True)), axis)


def check_samples(x: np.ndarray, y: np.ndarray) -> None:
    """Check two samples of points.

    Args:
        x: points [n, feature].
        y: points [m, feature].

    Raises:
        ArgumentError: they are not points of as many features, one at least of each.
    """
    for name, array in (("x", x), ("y", y)):
        check_axes(array, name, 2, "[point, feature]")
        check_count(array, name, 1, "one row a point")
    if x.shape[1] != y.shape[1]:
        raise bad_argument("y.shape", y.shape, f"{x.shape[1]} features, as x has")


class _Entropic(Transform):
    """What entropic transport between samples of equal weights shares."""

    epsilon: Positive = 0.5
    relative: Annotated[str, _RELATIVE] = "absolute"
    iterations: Annotated[int, Iterations()] = 2
    cost: Annotated[str, _COST] = "squared"
    first: Annotated[str, _FIRST] = "rows"

    shapes: ClassVar[Mapping[str, str]] = {"x": "n feature", "y": "m feature"}
    lengths: ClassVar[Mapping[str, int]] = {"n": 4, "m": 3, "feature": 2}
    longest: ClassVar[Mapping[str, int]] = {"n": 33, "m": 33, "feature": 129}

    def check(self, *arrays: np.ndarray) -> None:
        check_samples(*arrays)

    def scale(self, cost: Any) -> Any:
        """What epsilon is a multiple of."""
        if self.relative == "absolute":
            return 1.0
        return np.std(cost) if self.relative == "deviation" else np.mean(cost)

    def potentials(self, cost: Any) -> tuple[Any, Any, Any]:
        """f [n] and g [m] after the iterations, from zeros, and epsilon; weights are 1 / n and 1 / m."""
        epsilon = self.epsilon * self.scale(cost)
        log_a, log_b = -math.log(cost.shape[0]), -math.log(cost.shape[1])
        f, g = np.zeros_like(cost[:, 0]), np.zeros_like(cost[0])
        for _ in range(self.iterations):
            if self.first == "columns":
                g = epsilon * (log_b - log_sum_exp((f[:, None] - cost) / epsilon, axis=0))
            f = epsilon * (log_a - log_sum_exp((g[None, :] - cost) / epsilon, axis=1))
            if self.first == "rows":
                g = epsilon * (log_b - log_sum_exp((f[:, None] - cost) / epsilon, axis=0))
        return f, g, epsilon

    def value(self, x: Any, y: Any, form: str) -> Any:
        """The dual's value at the potentials: of converged ones, the cost in the form."""
        f, g, epsilon = self.potentials(costs(x, y, self.cost))
        total = np.mean(f) + np.mean(g)
        return total if form == "entropy" else total + epsilon * math.log(len(x) * len(y))


_CUTURI = "a study of ott-jax/ott 6aace50 and POT"


class SinkhornPotentials(_Entropic):
    """The dual potentials f and g of entropic transport, after so many of Sinkhorn's iterations in the log domain.

    ``x`` [n, feature], ``y`` [m, feature]. f_i = epsilon log a_i - epsilon log sum_j exp((g_j - C_ij) / epsilon), g likewise. The
    plan is exp((f + g - C) / epsilon). Gives ``(f, g)``. Source: Cuturi 2013, arXiv:1306.0895.
    """

    citation = Citation("Cuturi 2013", "Sinkhorn Distances", "arXiv:1306.0895", read="study", source=_CUTURI)
    unspecified = "how many iterations; costs of no spread where epsilon is relative: 0 / 0"

    def apply(self, x: Any, y: Any) -> Any:
        return self.potentials(costs(x, y, self.cost))[:2]


class MongeGap(_Entropic):
    """How far a map is from an optimal one: the mean cost from x to its image y, less the entropic cost between the samples.

    ``x`` [n, feature], ``y`` [n, feature], its image row by row. The entropic cost is the dual's value after the iterations.
    Gives one number. Source: Uscidda & Cuturi 2023, arXiv:2302.04953.
    """

    form: Annotated[str, _FORM] = "divergence"
    citation = Citation(
        "Uscidda & Cuturi 2023", "The Monge Gap", "ICML, arXiv:2302.04953", read="study", source=_CUTURI
    )
    shapes: ClassVar[Mapping[str, str]] = {"x": "n feature", "y": "n feature"}
    lengths: ClassVar[Mapping[str, int]] = {"n": 4, "feature": 2}
    longest: ClassVar[Mapping[str, int]] = {"n": 33, "feature": 129}
    unspecified = "how many iterations; costs of no spread where epsilon is relative: 0 / 0"

    def check(self, *arrays: np.ndarray) -> None:
        check_samples(*arrays)
        check_same(arrays[1], "y", arrays[0].shape, "the image of each row of x")

    def apply(self, x: Any, y: Any) -> Any:
        moved = x - y
        lengths = np.sum(moved * moved, axis=-1)
        lengths = lengths if self.cost == "squared" else np.sqrt(lengths)
        return np.mean(lengths) - self.value(x, y, self.form)


class SinkhornDivergence(_Entropic):
    """The entropic cost between two samples, less half of that of each with itself.

    ``x`` [n, feature], ``y`` [m, feature]; by default the dual's values after the iterations, which at convergence are costs in
    the KL form. Gives one number. Source: Feydy et al. 2019, arXiv:1810.08278.
    """

    relative: Annotated[str, Choice(absolute="epsilon itself")] = "absolute"
    cost: Annotated[str, Choice(squared="the squared Euclidean distance")] = "squared"
    values: Annotated[
        str,
        Choice(
            dual=by("the dual's value, entropy and all", "published", "ott"),
            plan=by("what the plan costs, <P, C>, without its entropy", "POT"),
        ),
    ] = "dual"
    citation = Citation(
        "Feydy et al. 2019",
        "Interpolating between Optimal Transport and MMD using Sinkhorn Divergences",
        "AISTATS, arXiv:1810.08278",
        read="study",
        source=_CUTURI,
    )
    unspecified = "how many iterations"

    def apply(self, x: Any, y: Any) -> Any:
        own = 0.5 * self._of_pair(x, x) + 0.5 * self._of_pair(y, y)
        return self._of_pair(x, y) - own

    def _of_pair(self, x: Any, y: Any) -> Any:
        if self.values == "dual":
            return self.value(x, y, "divergence")
        cost = costs(x, y, self.cost)
        f, g, epsilon = self.potentials(cost)
        return np.sum(np.exp((f[:, None] + g[None, :] - cost) / epsilon) * cost)


class Transport(NamedTuple):
    """A transport between two samples.

    Args:
        cost: <P, C>, what it costs without its entropy.
        plan: P [n, m], of which rows add up to a and columns to b.
        residual: the largest sum of absolute errors of a marginal.
        iterations: how many it took.
    """

    cost: float
    plan: np.ndarray
    residual: float
    iterations: int


_COSTS = Numbers(axes=2, within=REAL, least=1)
_WEIGHTS = OrNone(Numbers(axes=1, within=POSITIVE))


@gated(cost=_COSTS, epsilon=POSITIVE, a=_WEIGHTS, b=_WEIGHTS, tolerance=NOT_NEGATIVE, most=ITERATIONS)
def sinkhorn(
    cost: Any, epsilon: float, a: Any = None, b: Any = None, *, tolerance: float = 1e-12, most: int = 100_000
) -> Transport:
    """Entropic transport to convergence, in the log domain.

    The plan is the one that its form says, exp((f + g - C) / epsilon), with the right marginals: its ``residual`` says how
    nearly.

    Args:
        cost: C [n, m].
        epsilon: the weight of the entropy, positive.
        a: weights [n], positive ones that add up to 1; equal ones without them.
        b: weights [m], likewise.
        tolerance: of the residual, at which it ends.
        most: iterations at most; a plan that has not converged says so by its residual.

    Returns:
        The transport.

    Raises:
        ArgumentError: shapes do not fit, or a weight is not positive.

    >>> round(sinkhorn([[0.0, 1.0], [1.0, 0.0]], 0.1).cost, 9)
    4.5398e-05
    """
    weights = []
    for name, given, length in (("a", a, cost.shape[0]), ("b", b, cost.shape[1])):
        each = np.full(length, 1 / length) if given is None else given
        check_same(each, name, (length,), "a weight for each point")
        weights.append(each)
    f, g, residual, count = np.zeros(cost.shape[0]), np.zeros(cost.shape[1]), math.inf, 0
    while residual > tolerance and count < most:
        f = epsilon * (np.log(weights[0]) - log_sum_exp((g[None, :] - cost) / epsilon, axis=1))
        g = epsilon * (np.log(weights[1]) - log_sum_exp((f[:, None] - cost) / epsilon, axis=0))
        plan = np.exp((f[:, None] + g[None, :] - cost) / epsilon)
        errors = (plan.sum(axis=1) - weights[0], plan.sum(axis=0) - weights[1])
        residual, count = max(float(np.abs(error).sum()) for error in errors), count + 1
    return Transport(float(np.sum(plan * cost)), plan, residual, count)


@gated(cost=_COSTS)
def exact_transport(cost: Any) -> Transport:
    """The cheapest assignment of n points of equal weights to n others, without an entropy.

    Args:
        cost: C [n, n].

    Returns:
        The transport; its plan is a permutation over n. Solved by `scipy.optimize.linear_sum_assignment`.

    Raises:
        ArgumentError: the costs are not square, or not finite.

    >>> exact_transport([[1.0, 0.0], [0.0, 3.0]]).cost
    0.0
    """
    from scipy.optimize import linear_sum_assignment

    if cost.shape[0] != cost.shape[1]:
        raise bad_argument("cost.shape", cost.shape, "two axes of one length")
    plan = np.zeros_like(cost)
    plan[linear_sum_assignment(cost)] = 1 / len(cost)
    return Transport(float(np.sum(plan * cost)), plan, 0.0, 0)


class EntropicPlan(Solved):
    """The plan of entropic transport between two samples of equal weights, to convergence.

    ``x`` [n, feature], ``y`` [m, feature]; epsilon is a multiple of the mean cost. Gives P [n, m]. Judged by the divergence of
    the answer from the plan, sum of P log(P / Q) - P + Q: the root of twice that is at most ``tolerance``, and what roundings
    of the costs change in it. Source: Cuturi 2013, arXiv:1306.0895; the condition is derived.
    """

    epsilon: Annotated[float, Range(0.01, 10.0)] = 0.5
    cost: Annotated[str, _COST] = "squared"
    tolerance: Annotated[float, Range(0.0, 1e-2)] = 1e-3
    citation = SinkhornPotentials.citation
    shapes: ClassVar[Mapping[str, str]] = _Entropic.shapes
    lengths: ClassVar[Mapping[str, int]] = _Entropic.lengths
    longest: ClassVar[Mapping[str, int]] = _Entropic.longest
    unspecified = "costs of no mean: NaN; which iteration leads there, and when it ends"

    def check(self, *arrays: np.ndarray) -> None:
        check_samples(*arrays)

    def apply(self, x: Any, y: Any) -> Any:
        found = self._solved(np.asarray(x, np.float64), np.asarray(y, np.float64))
        return np.full((len(x), len(y)), np.nan) if found is None else found.plan

    def condition(self, x: Any, y: Any, plan: Any, unit: float) -> Conditions:
        found = self._solved(x, y)
        if found is None or found.residual > self.tolerance / 2:
            return {"the divergence from the plan": (0.0, np.inf)}  # the rule has no plan itself
        own, cost = found.plan, costs(x, y, self.cost)
        negative = max(0.0, -float(np.min(plan)))
        ratio = np.log(np.maximum(plan, 1e-300) / np.maximum(own, 1e-300))
        divergence = float(np.sum(np.maximum(plan, 0.0) * ratio - plan + own))
        # potentials move by no more than costs do, and logarithms of the plan by four times that
        magnitude = np.max(np.abs(x)) + np.max(np.abs(y))
        spread = ROUNDINGS * x.shape[1] * (magnitude**2 if self.cost == "squared" else magnitude) / np.mean(cost)
        room = self.tolerance + unit * (ROUNDINGS + 4 * spread / self.epsilon)
        return {
            "the divergence from the plan": (math.sqrt(max(2 * divergence, 0.0)), room),
            "a negative number": (negative, 0.0),
        }

    def _solved(self, x: Any, y: Any) -> Transport | None:
        cost = costs(x, y, self.cost)
        epsilon = self.epsilon * float(np.mean(cost))
        return sinkhorn(cost, epsilon, tolerance=self.tolerance / 1000, most=500) if 0 < epsilon < math.inf else None


class OptimalPlan(Solved):
    """A cheapest plan between two samples of as many points of equal weights.

    ``x``, ``y`` [n, feature]. Gives P [n, n]. Judged by its marginals, its sign and its cost, which is at most ``tolerance`` of
    all costs, and roundings, above the least. Source: Kantorovich 1942; the condition is derived.
    """

    cost: Annotated[str, _COST] = "squared"
    tolerance: Annotated[float, Range(0.0, 1e-2, open_low=False)] = 0.0
    citation = Citation(
        "Kantorovich 1942",
        "On the Translocation of Masses",
        "Doklady 37",
        read="study",
        source="a study of SciPy's linear_sum_assignment and POT's emd",
    )
    shapes: ClassVar[Mapping[str, str]] = MongeGap.shapes
    lengths: ClassVar[Mapping[str, int]] = MongeGap.lengths
    longest: ClassVar[Mapping[str, int]] = MongeGap.longest
    unspecified = "which plan, where several are cheapest: any of them"

    def check(self, *arrays: np.ndarray) -> None:
        check_samples(*arrays)
        check_same(arrays[1], "y", arrays[0].shape, "as many points as x has")

    def apply(self, x: Any, y: Any) -> Any:
        cost = costs(np.asarray(x, np.float64), np.asarray(y, np.float64), self.cost)
        outside = cost[~np.isfinite(cost)]
        if outside.size:
            raise bad_argument("a cost between x and y", float(outside[0]), "a finite number")
        return exact_transport(cost).plan

    def condition(self, x: Any, y: Any, plan: Any, unit: float) -> Conditions:
        cost = costs(x, y, self.cost)
        marginals = np.stack([plan.sum(axis=1), plan.sum(axis=0)]) - 1 / len(x)
        magnitude = np.max(np.abs(x)) + np.max(np.abs(y))
        rounded = ROUNDINGS * x.shape[1] * unit * (magnitude**2 if self.cost == "squared" else magnitude)
        above = float(np.sum(plan * cost)) - exact_transport(cost).cost
        return {
            "an error of a marginal": (np.max(np.abs(marginals)), ROUNDINGS * unit / len(x)),
            "a negative number": (max(0.0, -float(np.min(plan))), 0.0),
            "the cost above the least": (max(above, 0.0), self.tolerance * np.mean(cost) + rounded),
        }
