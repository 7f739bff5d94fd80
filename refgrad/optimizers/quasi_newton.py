"""L-BFGS: the inverse of the Hessian from the last few steps and differences of gradients, without a line search."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from refgrad.arithmetic.primitives import tree_sum
from refgrad.axes import TENSOR
from refgrad.optimizers.base import Optimizer
from refgrad.optimizers.trust_ratio import norm
from refgrad.rule import Choice, Citation, Flag, NonNegative, Slot, State, Whole, by, copy_of_param, zeros_like_param


class LBFGS(Optimizer):
    """Limited-memory BFGS with steps of fixed size: the two-loop recursion over ``history`` pairs of steps and differences.

    The state's pairs are ``s1, y1`` (the latest) and on, with ``w`` one over their inner product. Source: Liu & Nocedal 1989,
    Mathematical Programming 45; Nocedal & Wright 2006, Algorithms 7.4 and 7.5. All parameters are one vector.
    """

    lr: NonNegative = 1.0
    history: Annotated[int, Whole(1, 100)] = 10
    least_curvature: NonNegative = 0.0
    scale_first: Annotated[
        str,
        Choice(
            none=by("the first step is lr times the gradient", "published: where a line search follows"),
            euclidean=by("it is at most lr long: lr times the gradient over its norm, if that is above one", "optax"),
            sum=by("the same with the sum of magnitudes for the norm", "torch"),
        ),
    ] = "none"
    pairs: Annotated[
        str,
        Choice(
            all=by("every pair is kept; one whose inner product is zero counts nothing", "optax"),
            curved=by("a pair is kept if its inner product is above least_curvature", "torch: 1e-10"),
        ),
    ] = "all"
    difference: Annotated[
        str,
        Choice(
            points=by("a step is the difference of two parameters", "published", "optax"),
            steps=by("it is what was subtracted, before the parameter was rounded", "torch"),
        ),
    ] = "points"
    scale_initial: Annotated[
        bool, Flag(by("the recursion starts from the scale of the latest pair, not from one", "published: M3"))
    ] = True

    couples = True
    citation = Citation(
        "Liu & Nocedal 1989",
        "On the limited memory BFGS method for large scale optimization",
        "Mathematical Programming 45",
        read="package",
        source="torch 2.13.0 LBFGS; optax 0.2.8 lbfgs",
    )
    unspecified = (
        "steps whose inner product with the difference is not positive, which a Wolfe line search excludes: kept"
    )

    @property
    def state(self) -> State:  # type: ignore[override]
        """The last point (or step) and gradient, the initial scale, and the pairs with their weights, the latest first."""
        turns = range(1, self.history + 1)
        return State(
            previous=copy_of_param if self.difference == "points" else zeros_like_param,
            previous_g=zeros_like_param,
            scale=Slot(fill=1.0, axes=TENSOR),
            **{f"s{i}": zeros_like_param for i in turns},
            **{f"y{i}": zeros_like_param for i in turns},
            **{f"w{i}": Slot(axes=TENSOR) for i in turns},
        )

    def update(self, p: Any, g: Any, previous: Any, previous_g: Any, scale: Any, *rest: Any) -> tuple[Any, ...]:  # type: ignore[override]
        *slots, t = rest
        pairs = [slots[i :: self.history] for i in range(self.history)]
        scale = 1.0 * scale
        if t > 1:
            step = p - previous if self.difference == "points" else previous
            pairs, scale = self._remembered(step, g - previous_g, pairs, scale)
        present = pairs if t > 1 else []  # those that are not there yet are zeros, and change nothing
        moved = (
            self.lr * self._first_scale(g, t) * two_loops(g, present, scale if self.scale_initial and t > 1 else 1.0)
        )
        kept = 1.0 * p if self.difference == "points" else -moved
        s, y, w = zip(*pairs, strict=True)
        return p - moved, kept, 1.0 * g, scale, *s, *y, *w

    def _remembered(self, step: Any, change: Any, pairs: list[Any], scale: Any) -> tuple[list[Any], Any]:
        """The pairs with the latest at their head, and the scale of the latest."""
        curvature, square = tree_sum(change * step), tree_sum(change * change)
        weight = np.where(curvature == 0, 0.0, 1 / curvature)
        new = [(step, change, weight), *([1.0 * x for x in pair] for pair in pairs[:-1])]
        new_scale = np.where(square > 0, curvature / square, 1.0)
        if self.pairs == "all":
            return new, new_scale
        kept = curvature > self.least_curvature
        rows = [
            [np.where(kept, a, b) for a, b in zip(pair, old, strict=True)] for pair, old in zip(new, pairs, strict=True)
        ]
        return rows, np.where(kept, new_scale, scale)

    def _first_scale(self, g: Any, t: Any) -> Any:
        """What the first step is scaled by besides."""
        if t > 1 or self.scale_first == "none":
            return 1.0
        size = norm(g) if self.scale_first == "euclidean" else tree_sum(np.abs(g))
        return np.minimum(1.0, 1.0 / size)


def two_loops(g: Any, pairs: list[Any], scale: Any) -> Any:
    """The approximate inverse of the Hessian times a gradient; ``pairs`` of (s, y, w), the latest first."""
    q, alphas = g, []
    for s, y, w in pairs:
        alphas.append(w * tree_sum(s * q))
        q = q - alphas[-1] * y
    r = scale * q
    for (s, y, w), alpha in zip(reversed(pairs), reversed(alphas), strict=True):
        r = r + (alpha - w * tree_sum(y * r)) * s
    return r
