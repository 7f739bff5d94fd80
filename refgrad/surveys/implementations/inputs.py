"""Inputs for implementations on which generated ones say nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from refgrad.gradients import CheckpointInfluence, GradCAM, Krum
from refgrad.optimizers import LBFGS, SAM, Muon, PolyakSGD, PSGDKron, Shampoo, Sophia
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.inputs import transforms
from refgrad.oracle.inputs.cases import Cases
from refgrad.oracle.inputs.steps import completed, generate
from refgrad.oracle.inputs.written import of_steps


def without_wide_magnitudes() -> Cases:
    """The leaves of ordinary numbers and of edges: squares of distances overflow on the others."""
    every = generate(10, np.dtype(np.float32), 0)
    return of_steps(every.p[::2], [g[::2] for g in every.g])


def seven_workers() -> Cases:
    """Gradients of seven workers, all finite: of another number of them other rows are kept."""
    return transforms.generate(Krum(), 10, np.dtype(np.float32), 0)


def finite_maps() -> Cases:
    """Layers of finite numbers: of infinities in maps programs say what they like."""
    return transforms.generate(GradCAM(), 10, np.dtype(np.float32), 0)


def independent_tasks() -> Cases:
    """Gradients of tasks that are far from dependent, and none of which is zero."""
    random = np.random.default_rng(0)
    return Cases([{"gradients": random.standard_normal((3, 8)).astype(np.float32)} for _ in range(6)])


def balanced_tasks() -> Cases:
    """Tasks of losses that have come down, with weights whose sum is their number."""
    random, found = np.random.default_rng(0), []
    for tasks, parameters in ((3, 8), (2, 5), (5, 3), (3, 1), (4, 33), (3, 8)):
        weights = np.exp(random.standard_normal(tasks) / 2)
        losses, initial = np.exp(random.standard_normal((2, tasks)))
        arrays = {"gradients": random.standard_normal((tasks, parameters)), "weights": weights * tasks / weights.sum()}
        arrays |= {"losses": losses, "initial": initial}
        found.append({name: a.astype(np.float32) for name, a in arrays.items()})
    return Cases(found)


def signed_starts() -> Cases:
    """Symmetric matrices, some of them of little curvature, and signs for a vector to begin with."""
    random, found = np.random.default_rng(0), []
    for n, size in ((4, 1.0), (5, 1e-3), (8, 1e-5), (33, 1.0)):
        matrix = size * random.standard_normal((n, n))
        start = random.choice([-1.0, 1.0], n)
        found.append({"matrix": ((matrix + matrix.T) / 2).astype(np.float32), "start": start.astype(np.float32)})
    return Cases(found)


def near_points() -> Cases:
    """Two samples of points that are no farther apart than a kernel of them can have."""
    random = np.random.default_rng(0)
    shapes = ((4, 3, 2), (7, 7, 3), (12, 5, 1), (1, 6, 2))
    draws = [(random.standard_normal((n, d)), random.standard_normal((m, d)) + 0.5) for n, m, d in shapes]
    return Cases([{"x": x.astype(np.float32), "y": y.astype(np.float32)} for x, y in draws])


def near_images() -> Cases:
    """Points and their images, likewise."""
    random = np.random.default_rng(0)
    draws = [random.standard_normal((2, n, d)) for n, d in ((4, 2), (7, 3), (12, 1))]
    return Cases([{"x": x.astype(np.float32), "y": y.astype(np.float32)} for x, y in draws])


def varied_points() -> Cases:
    """Observations that are not all the same, and predictions of them."""
    random = np.random.default_rng(0)
    draws = [random.standard_normal((2, n)) for n in (2, 6, 7, 33)]
    return Cases([{"observed": o.astype(np.float32), "predicted": (o + p / 4).astype(np.float32)} for o, p in draws])


def finite_examples() -> Cases:
    """Gradients of examples, all finite: a program that takes gradients in batches multiplies those of the others by zero."""
    return transforms.generate(CheckpointInfluence(), 10, np.dtype(np.float32), 0)


def lines_of_points() -> Cases:
    """Points along a line, with errors of their own."""
    random, found = np.random.default_rng(0), []
    for n in (4, 6, 9, 33):
        x, noise = random.standard_normal((2, n))
        sigma = np.exp(random.standard_normal(n) / 2)
        found.append(
            {name: a.astype(np.float32) for name, a in (("x", x), ("y", 2 * x + sigma * noise), ("sigma", sigma))}
        )
    return Cases(found)


def distinct_points() -> Cases:
    """Points of which no two are the same."""
    random = np.random.default_rng(0)
    return Cases([{"points": random.standard_normal((12, 3)).astype(np.float32)} for _ in range(6)])


def even_blocks() -> Cases:
    """Weights that blocks divide."""
    random = np.random.default_rng(0)
    return Cases([{"w": random.standard_normal((8, 16)).astype(np.float32)}])


def ragged_blocks() -> Cases:
    """Weights that blocks of four by four do not divide."""
    return Cases([{"w": np.random.default_rng(0).standard_normal((5, 8)).astype(np.float32)}])


def matrices() -> Cases:
    """Generated inputs for rules of matrices, without the leaf of three axes, which torch and optax do not take."""
    return _chosen(lambda name, p: p.ndim == 2, Muon())


def two_matrices() -> Cases:
    """Two of them: every shape is compiled."""
    return _chosen(lambda name, p: p.shape in [(3, 5), (6, 4)], Muon())


def large_matrices() -> Cases:
    """Those of at least four rows, which timm does not give to AdamW."""
    return _chosen(lambda name, p: p.shape[0] >= 4, Muon())


def regular_matrices() -> Cases:
    """Generated leaves of two axes that are far from singular."""
    return _chosen(lambda name, p: name in ("wide", "tall", "square"), Shampoo())


def probed_matrices() -> Cases:
    """The same with random probes."""
    return completed(regular_matrices(), PSGDKron())


def _chosen(keeps: Callable[[str, np.ndarray], bool], rule: Optimizer) -> Cases:
    made = generate(6, np.dtype(np.float32), 0, rule)
    return made.leaves(lambda leaf, arrays: keeps(made.name(leaf), arrays["p"]))


def two_steps() -> Cases:
    """Generated inputs for two steps."""
    return generate(2, np.dtype(np.float32), 0)


def with_extra_inputs() -> Cases:
    """The leaves of ordinary numbers and of edges, with a loss, a second gradient and an estimate of the diagonal."""
    made = generate(8, np.dtype(np.float32), 0).leaves(lambda leaf, _: leaf in (0, 2))
    for rule in (PolyakSGD(), SAM(), Sophia()):
        made = completed(made, rule)
    return made


def one_leaf_with_extra_inputs() -> Cases:
    """Ordinary numbers alone."""
    return with_extra_inputs().only(0)


def from_zero() -> Cases:
    """The same from parameters of zero, so that what was walked from the start is known exactly."""
    made = with_extra_inputs()
    return dataclasses.replace(made, arrays=[{"p": np.zeros_like(a)} for a in made.p])


def noise_of_optax(made: Cases | None = None) -> Cases:
    """With the noise that optax draws from key 0.

    Args:
        made: what it is for; by default the leaves of ordinary numbers and of edges.
    """
    import jax
    import optax

    made = with_extra_inputs() if made is None else made
    key, steps = jax.random.key(0), []
    for grads in made.g:
        key, sample = jax.random.split(key)
        noise = optax.tree.random_like(sample, target_tree=list(grads), sampler=jax.random.normal)
        steps.append({"noise": [np.asarray(a) for a in noise]})
    return of_steps(made.p, made.g, made.names, made.seed, steps)


def quadratic(seed: int = 0, size: int = 40) -> Cases:
    """The gradients of a well-conditioned quadratic on the way that L-BFGS takes.

    Args:
        seed: of its eigenvalues and of the start.
        size: how many numbers it is of.
    """
    random = np.random.default_rng(seed)
    diagonal = np.exp(random.uniform(-1, 1, size)).astype(np.float32)
    rule = LBFGS(lr=0.1, history=3, scale_first="euclidean")
    start = random.standard_normal(size).astype(np.float32)
    p, state, grads = start, rule.init(start), []
    for _ in range(8):
        grads.append([diagonal * p])
        p, state = rule.step(p, grads[-1][0], state, backend="numpy")
    return of_steps([start], grads)
