"""What makes a function of arrays of a package's transport between points of equal weights, by squared distances."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from refgrad.candidates.resolve import load

Array = Any


def plan(target: str, **arguments: Any) -> Callable[[Array, Array], Array]:
    """A plan of POT between points of equal weights, of squared distances."""

    def planned(x: Array, y: Array) -> Array:
        cost = _squared(x, y)
        shares = [np.full(len(points), 1.0 / len(points)) for points in (x, y)]
        relative = {"reg": arguments["epsilon"] * np.mean(cost)} if "epsilon" in arguments else {}
        options = {name: value for name, value in arguments.items() if name != "epsilon"}
        return np.asarray(load(target)(*shares, cost, **relative, **options)).astype(x.dtype)

    return planned


def coupling(target: str) -> Callable[[Array, Array], Array]:
    """The plan that dit has for two distributions, whose outcomes are the numbers of points."""
    from dit import Distribution

    def planned(x: Array, y: Array) -> Array:
        ours, theirs = ([(i,) for i in range(len(points))] for points in (x, y))
        shares = (Distribution(outcomes, [1 / len(outcomes)] * len(outcomes)) for outcomes in (ours, theirs))
        found = load(target)(*shares, _squared(x, y))
        return np.array([[found[a + b] for b in theirs] for a in ours]).astype(x.dtype)

    return planned


def _squared(x: Array, y: Array) -> Array:
    """Squared distances in float64, of each point of x to each of y."""
    wide = [np.asarray(points, np.float64) for points in (x, y)]
    return np.sum((wide[0][:, None] - wide[1][None]) ** 2, axis=2)


def divergence(target: str, **arguments: Any) -> Callable[[Array, Array], Array]:
    """A divergence of POT between two samples."""
    return lambda x, y: x.dtype.type(load(target)(x, y, **arguments))


def _solved(target: str, iterations: int, x: Array, y: Array, **geometry: Any) -> Any:
    """What ott's solver makes of points after so many iterations."""
    from ott.geometry.pointcloud import PointCloud

    bounds = {"min_iterations": iterations, "max_iterations": iterations, "inner_iterations": 1, "threshold": 0.0}
    return load(target)(PointCloud(x, y, **geometry), **bounds)


def potentials(target: str, iterations: int, **geometry: Any) -> Callable[[Array, Array], tuple[Array, Array]]:
    """The potentials of ott after so many iterations."""

    def found(x: Array, y: Array) -> tuple[Array, Array]:
        out = _solved(target, iterations, x, y, **geometry)
        return np.asarray(out.f), np.asarray(out.g)

    return found


def converged_plan(target: str, epsilon: float, iterations: int) -> Callable[[Array, Array], Array]:
    """The plan of ott after as many iterations as convergence takes, of a multiple of the mean cost."""

    def found(x: Array, y: Array) -> Array:
        return np.asarray(_solved(target, iterations, x, y, epsilon=epsilon, relative_epsilon="mean").matrix)

    return found


def debiased(target: str, iterations: int, epsilon: float) -> Callable[[Array, Array], Array]:
    """ott's divergence between two samples, of so many iterations of its solver for each of three pairs."""
    from ott.geometry.pointcloud import PointCloud

    bounds = {"min_iterations": iterations, "max_iterations": iterations, "inner_iterations": 1, "threshold": 0.0}
    options = {"epsilon": epsilon, "symmetric_sinkhorn": False, "solve_kwargs": bounds}
    return lambda x, y: np.asarray(load(target)(PointCloud, x, y, **options)[0])


def monge_gap(target: str, iterations: int, **arguments: Any) -> Callable[[Array, Array], Array]:
    """ott's Monge gap, of so many iterations of its solver."""
    bounds = {"min_iterations": iterations, "max_iterations": iterations, "inner_iterations": 1, "threshold": 0.0}
    return lambda x, y: np.asarray(load(target)(x, y, **arguments, **bounds))
