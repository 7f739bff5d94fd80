"""What happens between steps and between parameters: gradients left out, state saved and loaded, groups, late steps."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator

import numpy as np

from refgrad.errors import ArgumentError
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.inputs.cases import Cases
from refgrad.oracle.inputs.extremes import beside_numbers, large, of_one_number, one_alone, small
from refgrad.oracle.inputs.sizes import normal
from refgrad.oracle.inputs.steps import completed, epsilons
from refgrad.oracle.inputs.written import of_steps

#: three small leaves, two of them alike, so that one may be taken for the other
SHAPES = ((3, 4), (3, 4), (5, 2))
#: steps and leaves, counted from 0, without a gradient: from the start, in between, twice running, and all at once
ABSENT = frozenset({(0, 1), (1, 1), (2, 0), (3, 2), (4, 2), (5, 0), (5, 1), (5, 2), (6, 0)})
#: steps of a long run: a counter of one byte has overflowed, with and without a sign
LATE = 260
#: of which these are judged: around powers of two, and a few more
JUDGED = frozenset({10, 11, 19, 49, 99, 199, *(2**k + d for k in range(3, 9) for d in (-2, -1, 0))})
#: steps of a run of parameters in groups: what is read once, or at some steps alone, is another at the last
GROUPED = 6
#: steps with one and the same gradient: so many that powers of a third are below the unit in the last place of float32
SAME = 32
#: the factors by which the rate is changed, by the step before which that is done, counted from 0: powers of two, so that
#: nothing is rounded, and never to more than it is at first
CHANGED = {2: 0.25, 4: 2.0}
#: a row of the late steps has a gradient once in so many steps, and another one's grow by this from step to step
RARE, GROWTH = 50, 1.1


def small_run(rule: Optimizer, dtype: np.dtype, seed: int, steps: int, shapes: tuple[tuple[int, ...], ...]) -> Cases:
    """A run of some leaves of ordinary numbers.

    Args:
        rule: what the leaves are for.
        dtype: of parameters and gradients.
        seed: of the numbers.
        steps: how many steps.
        shapes: of the leaves.
    """
    random = np.random.Generator(np.random.Philox([seed, steps]))
    p = [normal(random, shape, dtype) for shape in shapes]
    grads = [[normal(random, shape, dtype) for shape in shapes] for _ in range(steps)]
    return completed(of_steps(p, grads, [f"{i + 1} of {len(shapes)}" for i in range(len(shapes))], seed), rule)


def absent_gradients(rule: Optimizer, dtype: np.dtype, seed: int) -> Cases:
    """Three leaves of which some have no gradient at some steps."""
    return dataclasses.replace(small_run(rule, dtype, seed, 8, SHAPES), absent=ABSENT)


def saved_and_loaded(rule: Optimizer, dtype: np.dtype, seed: int) -> Cases:
    """Three leaves whose state is saved and loaded before the fourth step, and when a history of steps is longer."""
    return dataclasses.replace(small_run(rule, dtype, seed, 8, SHAPES), saved=frozenset({3, 6}))


def grouped(rule: Optimizer, dtype: np.dtype, seed: int, other: Optimizer) -> Cases:
    """Three leaves, of which the second and the third have settings of their own: those that groups are made for."""
    changed = {n: v for n, v in other.numbers().items() if v != rule.numbers()[n]}
    own = {n: v for n, v in changed.items() if n in ("lr", "weight_decay")} or changed
    last = dict(list(own.items())[:1])
    return dataclasses.replace(small_run(rule, dtype, seed, GROUPED, SHAPES), settings=({}, own, last))


def changed_rates(rule: Optimizer, dtype: np.dtype, seed: int, other: Optimizer | None) -> Cases:
    """Three leaves of which the rate is changed in the middle of the run, twice, as a scheduler does.

    Args:
        rule: what the leaves are for.
        dtype: of parameters and gradients.
        seed: of the numbers.
        other: settings that groups are made of, as `grouped` makes them; None for a candidate that makes its groups by itself.
    """
    cases = small_run(rule, dtype, seed, GROUPED, SHAPES) if other is None else grouped(rule, dtype, seed, other)
    return dataclasses.replace(cases, rates=CHANGED)


def zeros(rule: Optimizer, dtype: np.dtype, seed: int) -> Cases:
    """Parameters that are zero, gradients that are, and both: a ratio of norms has no meaning there but the rule's own."""
    cases = small_run(rule, dtype, seed, 3, SHAPES)
    for leaf in (0, 2):
        cases = cases.with_array(leaf, "p", np.zeros_like(cases.p[leaf]))
    for leaf in (1, 2):
        for step in (0, 2):  # the last from a state that is not zero
            cases = cases.with_array(leaf, "g", np.zeros_like(cases.p[leaf]), step)
    return dataclasses.replace(cases, names=["p of zeros", "g of zeros", "p and g of zeros"])


def large_gradients(rule: Optimizer, dtype: np.dtype, seed: int) -> Cases | None:
    """Three small leaves whose gradients are far above those of ordinary cases, and whose powers are finite still.

    None of a rule that takes roots of matrices: a Gram matrix so far above its eps is singular but for its rounding errors,
    and what the root of these is, nothing tells.
    """
    if any(node.op == "inverse_root" for node in rule.plan((2, 2), 1).graph.nodes):
        return None
    cases = small_run(rule, dtype, seed, 2, SHAPES)
    for step, leaf in itertools.product(range(2), range(3)):
        cases = cases.with_array(leaf, "g", large(cases.steps[step][leaf]["g"]), step)
    return cases


#: what gradients of few kinds of numbers are made of, by the name of the leaf
UNIFORM = {"g of one number": of_one_number, "one of g alone": one_alone, "small g": small}


def uniform_gradients(rule: Optimizer, dtype: np.dtype, seed: int) -> Cases | None:
    """Small leaves whose gradients are one number, zeros but for one, and far below ordinary ones, beside a parameter of zeros.

    None of a rule that multiplies matrices: one of a single number has a single singular value that is not zero, and what
    belongs to the others is a matter of rounding.
    """
    if rule.plan((2, 2), 1).graph.matrix():
        return None
    cases = small_run(rule, dtype, seed, 2, SHAPES)
    cases = cases.with_array(len(UNIFORM) - 1, "p", np.zeros_like(cases.p[-1]))
    for step, (leaf, change) in itertools.product(range(2), enumerate(UNIFORM.values())):
        cases = cases.with_array(leaf, "g", change(cases.steps[step][leaf]["g"]), step)
    return dataclasses.replace(cases, names=list(UNIFORM))


#: the size of the gradients of like leaves at each step: below a bound on their norm, about it, and far above; then of each eps
SIZES = (2.0**-7, 2.0**-2, 1.0, 2.0**7)
#: leaves of like size, and those of one element
LIKE, SINGLE = ((2, 3), (3, 2), (6, 1)), ((), (1,))


def like_leaves(rule: Optimizer, dtype: np.dtype, seed: int) -> Cases:
    """Small leaves of like size, whose gradients are small, ordinary and large together: no leaf is lost among others.

    Those without axes and of one element are there, as far as the rule takes them: a program may leave them out of a sum.
    """
    sizes = (*SIZES, *(size for size in epsilons(rule) if size < 1.0))
    cases = small_run(rule, dtype, seed, len(sizes), (*LIKE, *_taken(rule, SINGLE, dtype)))
    for step, size in enumerate(sizes):
        for leaf, arrays in enumerate(cases.steps[step]):
            cases = cases.with_array(leaf, "g", np.asarray(arrays["g"] * np.asarray(size, dtype)), step)
    return cases


#: the situation of parameters that are coupled, each in a group of its own
IN_GROUPS = "groups"


def in_groups(rule: Optimizer, dtype: np.dtype, seed: int) -> Cases:
    """The same, each in a group of parameters of its own, all of one setting: what is added up runs over all groups."""
    cases = like_leaves(rule, dtype, seed)
    return dataclasses.replace(cases, settings=({},) * len(cases.arrays))


def norms_near(rule: Optimizer, dtype: np.dtype, seed: int) -> Cases | None:
    """A few numbers whose norm is just below and just above each of the rule's own, beside parameters that are zero at first.

    What is added to a norm, or is close to it, shows there: far from a bound it is lost in a sum of many rounding errors, and
    beside an ordinary parameter in that one's. Of a rule that couples parameters it is the norm of all, else each one's. None
    of a rule that takes no norm, and of one that multiplies matrices, of which the norm is another.
    """
    graph = rule.plan((2, 2), 1).graph
    if graph.matrix() or not (rule.scope == "tree" or graph.couples()):
        return None
    norms = beside_numbers(rule, dtype)
    cases = small_run(rule, dtype, seed, len(norms), ((2, 1), *_taken(rule, SINGLE, dtype)))
    for leaf, p in enumerate(cases.p):
        cases = cases.with_array(leaf, "p", np.zeros_like(p))
    for step, norm in enumerate(norms):
        grads = [arrays["g"] for arrays in cases.steps[step]]
        together = math.sqrt(sum(float(np.square(g, dtype=np.float64).sum()) for g in grads))
        for leaf, g in enumerate(grads):
            length = together if rule.scope == "tree" else float(np.linalg.norm(g.astype(np.float64)))
            scaled = np.asarray(g.astype(np.float64) * (norm / length), dtype)
            cases = cases.with_array(leaf, "g", scaled, step)
    return cases


def repeated_gradients(rule: Optimizer, dtype: np.dtype, seed: int) -> Cases | None:
    """One small leaf whose gradient is the same at every step: what is a difference of two means goes to nothing.

    Of its rounding errors a variance is made then, which may be below zero. None of a rule that multiplies matrices, of which
    the difference has no directions.

    Args:
        rule: what the leaf is for, at a setting at which what is kept of the past is soon forgotten.
        dtype: of parameter and gradients.
        seed: of the numbers.
    """
    if rule.plan((2, 2), 1).graph.matrix():
        return None
    cases = small_run(rule, dtype, seed, SAME, ((8, 8),))
    first = cases.steps[0][0]["g"]
    steps = [[{**leaf, "g": first.copy()} for leaf in step] for step in cases.steps]
    return dataclasses.replace(cases, steps=steps, judged=frozenset({0, 1, SAME // 2, SAME - 1}))


def _taken(rule: Optimizer, shapes: Iterable[tuple[int, ...]], dtype: np.dtype) -> Iterator[tuple[int, ...]]:
    """Those of some shapes that a rule takes."""
    for shape in shapes:
        with contextlib.suppress(ArgumentError):
            rule.init(np.zeros(shape, dtype))
            rule.plan(shape, 1)
            yield shape


def late_steps(rule: Optimizer, dtype: np.dtype, seed: int) -> Cases:
    """One small leaf, and many steps: a row of ordinary gradients, one that is zero at most of them, and one that grows.

    A moment that decays is long over when the next gradient comes, and one that grows is ahead of the other: the ratio of
    two, which ordinary gradients keep near one, is as large as it can be.
    """
    cases = small_run(rule, dtype, seed, LATE, ((3, 2),))
    steps = [[{**leaf, "g": leaf["g"].copy()} for leaf in step] for step in cases.steps]
    for t, (leaf,) in enumerate(steps):
        if t % RARE != RARE - 1:
            leaf["g"][1] = 0
        leaf["g"][2] = np.asarray([1.0, -1.0]) * GROWTH ** (t - LATE)
    return dataclasses.replace(cases, steps=steps, judged=JUDGED)
