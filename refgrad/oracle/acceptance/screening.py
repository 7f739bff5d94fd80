"""Large arrays judged by a kernel, which says where every output is inside; the rest is judged as small arrays are.

The kernel is printed from the enclosure as a graph (`refgrad.arithmetic.enclosure_graph`). It looks at chunks of as many elements
as are judged together. Where all of its conditions hold in a chunk, each element of it is inside, and its truth, its distance
from it in units in the last place and what is allowed are those that `refgrad.oracle.acceptance.judge` has. Every other chunk
is judged there, so that verdict, counts and findings are the same either way (docs/enclosure.md, "The enclosure as a kernel").
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from refgrad.arithmetic.averages import Pairs, complementary
from refgrad.arithmetic.dtypes import format_of
from refgrad.arithmetic.enclosed import Enclosed, seen
from refgrad.arithmetic.enclosure import Ambiguous, Enclosure
from refgrad.arithmetic.enclosure_graph import Unknown, enclosed
from refgrad.arithmetic.graph import Graph
from refgrad.arithmetic.running_error import Bounded, Model
from refgrad.axes import COLUMN, ELEMENT, ROW
from refgrad.backends import kernels
from refgrad.backends.cuda import screens
from refgrad.backends.dialect import NUMBA, Dialect
from refgrad.backends.narrow_source import narrow
from refgrad.backends.screen_source import ROOM, operand_source, screen_source, widest
from refgrad.backends.source import KernelSource
from refgrad.backends.step_source import supports
from refgrad.derived import derived
from refgrad.oracle.acceptance import comparing, judging_place
from refgrad.oracle.acceptance import judge as careful
from refgrad.oracle.acceptance.chunks import CHUNK, Cut
from refgrad.oracle.acceptance.judge import Large, Step
from refgrad.oracle.acceptance.judgement import Judged
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.acceptance.screened_folds import Shared, Unclear
from refgrad.oracle.acceptance.screened_outputs import Screen, Screened
from refgrad.tracing import Plan

#: elements from which on a kernel is worth its while: where it is at hand, and where it must be compiled, which takes seconds
WORTH, WORTH_COMPILING = 4 * CHUNK, 1 << 24
#: dtypes that the kernel reads, besides narrow ones
READ = (np.dtype(np.float32), np.dtype(np.float64))


def can_be_read(dtype: np.dtype) -> bool:
    """True if kernels read arrays of a dtype.

    Args:
        dtype: any.
    """
    return dtype.isnative and (dtype in READ or narrow(dtype) is not None)


def judge(step: Step, policy: Policy) -> tuple[dict[str, Judged], dict[str, Bounded]]:
    """As `refgrad.oracle.acceptance.judge.judge`, by a kernel where one is worth its while.

    Args:
        step: what was there before and after, with the rule.
        policy: what counts as correct.

    Returns:
        The same outputs; those of large arrays are `Screened`.
    """
    if step.after["p"].size < WORTH or why_not(step, policy) is not None:
        return careful.judge(step, policy)
    ready = _ready(step, policy)
    if not ready.worth():
        return careful.judge(step, policy)
    return screened(step, policy), {}


def why_not(step: Step, policy: Policy) -> str | None:
    """Why a step is not judged by a kernel, however large its arrays are; None if it can be.

    Args:
        step: what was there before and after, with the rule.
        policy: what counts as correct.

    Returns:
        A sentence without its first word, which is "because".
    """
    p = step.after["p"]
    if (why := policy_unknown(policy)) is not None:
        return why
    for name, array in step.after.items():
        if not can_be_read(np.dtype(array.dtype)):
            return f"{name} is {array.dtype}"
        if array.shape != p.shape and name not in step.plan.graph.small:
            return f"{name} has another shape than p"
    few = {node.attribute for node in step.plan.graph.nodes if node.op == "input" and node.axes != ELEMENT}
    for name in step.plan.graph.inputs():
        why = _unknown_input(name, step, None if name in few else p.shape)
        if why is not None:
            return why
    if step.plan.graph.couples() or few:
        if p.ndim == 1 and any(node.axes in (ROW, COLUMN) for node in step.plan.graph.nodes):
            return "a row of it is an element"
        if Cut.of(p.shape, CHUNK).axis:
            return "a row of it has more elements than are judged together"
    missing = [name for name in step.plan.graph.outputs if name not in step.after]
    if missing:
        return f"{missing[0]} cannot be read"
    model = comparing.model_for(policy, p.dtype)
    scalars = _scalars(step, model)
    if (why := scalars_unknown(scalars)) is not None:
        return why
    found = _transformed(step.plan, scalars)
    return found if isinstance(found, str) else storage_unknown(found, step.after, model)


def storage_unknown(found: Enclosed, after: Mapping[str, np.ndarray], model: Model) -> str | None:
    """Why nothing is judged by a kernel where outputs are narrower than what is computed in.

    Args:
        found: the graph of centres and bounds.
        after: what was seen, by name.
        model: what is charged.
    """
    for name in found.goes_on:
        if narrower(after[name].dtype, model):
            return f"what is computed from {name} may go on from it before it is rounded to {after[name].dtype}"
    if model.of_sums is not None:
        return "sums are computed in another format"
    return "a sum takes in what it takes out again" if found.cancels and model.cancelled is not None else None


def policy_unknown(policy: Policy) -> str | None:
    """Why nothing is judged by a kernel under a policy."""
    if policy.subnormals != "keep":
        return "subnormal numbers may be flushed"
    return "it is left open what comparisons make of NaN" if policy.nan_open else None


def scalars_unknown(scalars: Sequence[Bounded]) -> str | None:
    """Why nothing is judged by a kernel where a rule has some scalars."""
    if any(not (np.isfinite(s.value) and np.isfinite(s.bound())) or s.has_ends() for s in scalars):
        return "a scalar is not finite, or so small that it may become zero"
    return None


def _unknown_input(name: str, step: Step, shape: tuple[int, ...] | None) -> str | None:
    stored = _stored(step.before, name)
    if isinstance(stored, Bounded):
        if stored.error is not None or stored.has_ends():
            return f"{name} is known to within a bound alone"
        stored = stored.value
    if not can_be_read(stored.dtype):
        return f"{name} is {stored.dtype}"
    return None if shape in (None, stored.shape) else f"{name} has another shape than p"


def _stored(before: Mapping[str, Bounded], name: str) -> np.ndarray | Bounded:
    return before.arrays[name] if isinstance(before, Large) else before[name]


def _scalars(step: Step, model: Model) -> list[Bounded]:
    with np.errstate(all="ignore"):
        return careful.scalars_of(step.plan, step.plan.graph, step.free, model)


def _transformed(plan: Plan, scalars: Sequence[Bounded]) -> Enclosed | str:
    """The plan's enclosure as a graph, or why there is none."""
    return kept_graph(plan, plan.graph, scalars)


def kept_graph(
    plan: Plan, graph: Graph, scalars: Sequence[Bounded], products: frozenset[str] | None = None
) -> Enclosed | str:
    """The enclosure of a plan's graph, or of some of its outputs, as a graph; without steps, ``products`` as of `enclosed`."""
    pairs, known = complementary(graph, scalars), _graphs(plan)
    key = tuple(sorted(pairs.items())), tuple(graph.outputs), products
    if key not in known:
        known[key] = _tried(graph, pairs, products)
    return known[key]


def _tried(graph: Graph, pairs: Pairs, products: frozenset[str] | None) -> Enclosed | str:
    try:
        found = enclosed(graph, pairs) if products is None else enclosed(graph, pairs, False, products)
        return found if supports(graph) else "kernels do not know one of its step functions"
    except Unknown as why:
        return str(why)


@derived
def _graphs(plan: Plan) -> dict[Hashable, Enclosed | str]:
    """Those that were made so far, by the sums that are averages, and what was seen."""
    return {}


class Ready(NamedTuple):
    """What a step is judged with: what its elements share, the kernel, and those of what reductions fold, by index."""

    shared: Shared
    source: KernelSource
    operands: dict[int, KernelSource]

    def worth(self) -> bool:
        """True if kernels are at hand, or it is worth compiling them."""
        if self.shared.device is not None:
            return True
        size, sources = self.shared.size, (self.source, *self.operands.values())
        return size >= WORTH and (size >= WORTH_COMPILING or all(map(kernels.at_hand, sources)))


def _ready(step: Step, policy: Policy, threads: int | None = None) -> Ready:
    model = comparing.model_for(policy, step.after["p"].dtype)
    scalars = _scalars(step, model)
    found = _transformed(step.plan, scalars)
    assert isinstance(found, Enclosed), found
    enclosure = careful.enclosure_of(step.plan, model)
    stored = {name: _stored(step.before, name) for name in step.before}
    return prepared(step.plan, found, enclosure, scalars, stored, step.after, threads)


def prepared(
    plan: Plan,
    found: Enclosed,
    enclosure: Enclosure,
    scalars: list[Bounded],
    stored: dict[str, np.ndarray | Bounded],
    after: Mapping[str, np.ndarray],
    threads: int | None,
) -> Ready:
    """What is judged, as kernels are called with it."""
    cut = Cut.of(after[found.names[0]].shape, CHUNK)
    if cut.axis:  # elements see nothing of each other, so that they may as well stand in a line
        stored = {n: a.mapped(np.ravel) if isinstance(a, Bounded) else a.reshape(-1) for n, a in stored.items()}
        after = {n: a.reshape(-1) for n, a in after.items()}
        cut = Cut.of(after[found.names[0]].shape, CHUNK)
    known = {seen(name): after[name] for name in found.names}
    known |= {n: a.value if isinstance(a, Bounded) else a for n, a in stored.items()}
    read = {name for loop in (found.loop, *(fold.loop for fold in found.folds)) for name in loop.reads}
    arrays = {name: np.ascontiguousarray(known[name]) for name in known if name in read}
    device = judging_place.place_for(after[found.names[0]].size)
    shared = Shared(found, enclosure, scalars, arrays, Large(stored), after, cut, threads, device)
    types = {name: array.dtype for name, array in arrays.items()}
    narrow = frozenset(name for name in found.names if narrower(types[seen(name)], enclosure.model))
    dialect = NUMBA if device is None else screens.DIALECT
    return Ready(shared, *_printed(plan, found, types, narrow, dialect))


def narrower(dtype: np.dtype, model: Model) -> bool:
    """True if a dtype has fewer bits than what is computed in."""
    return format_of(dtype).unit_roundoff > model.unit_roundoff


def _printed(
    plan: Plan, found: Enclosed, types: dict[str, np.dtype], stored: frozenset[str], dialect: Dialect
) -> tuple[KernelSource, dict[int, KernelSource]]:
    """The kernels of a graph."""
    known, key = _sources(plan), (found, tuple(types.items()), stored, dialect)
    if key not in known:
        title = type(plan.rule).__name__
        folds = [fold for fold in found.folds if fold.value.axes == ELEMENT]
        known[key] = (
            screen_source(found, types, f"what is inside: {title}", dialect, stored),
            {
                f.node.index: operand_source(f, types, f"what is folded: {title}, {f.node.index}", dialect)
                for f in folds
            },
        )
    return known[key]


@derived
def _sources(
    plan: Plan,
) -> dict[
    tuple[Enclosed, tuple[tuple[str, np.dtype], ...], frozenset[str], Dialect],
    tuple[KernelSource, dict[int, KernelSource]],
]:
    """The kernels that were printed so far, by graph, dtypes, outputs that are stored narrower, and language."""
    return {}


def screened(step: Step, policy: Policy, threads: int | None = None) -> dict[str, Judged]:
    """The outputs of a step that `why_not` says nothing against, judged by a kernel, which is compiled if it must be.

    Args:
        step: what was there before and after, with the rule.
        policy: what counts as correct.
        threads: how many; None for as many as are worth it.

    Returns:
        Each output as `Screened`, but for those that are one number a row, a column or a tensor. Where such numbers are not
        what kernels need, all outputs as without a kernel.
    """
    shared, source, operands = _ready(step, policy, threads)
    try:
        shared.fold(operands)
        if not shared.few.hold(shared.found.loop):
            raise Unclear
        screen = screen_of(shared, source, partial(_judged_chunk, shared, policy))
        few = shared.judged_few(policy)
        if shared.folded:  # else no decision is open that elements share
            for chunk in screen.unclear:
                screen.judged(chunk)
    except (Unclear, Ambiguous):
        return careful.judge(step, policy)[0]
    return {n: Screened(screen, n, step.after[n]) if n in shared.found.names else few[n] for n in step.after}


def screen_of(
    shared: Shared,
    source: KernelSource,
    judged: Callable[[int], dict[str, Judged]],
    types: Mapping[str, np.dtype] | None = None,
    failed: np.ndarray | None = None,
) -> Screen:
    """What the kernel says.

    Args:
        shared: what is judged.
        source: the kernel.
        judged: judges a chunk without it.
        types: the dtype of each output; by default that of what was seen.
        failed: for each chunk more than zero if it is not clear whatever the kernel finds, and one number more.
    """
    names = shared.found.names
    types = {name: shared.after[name].dtype for name in names} if types is None else types
    failed = np.zeros(len(shared.chunks) + 1, np.int64) if failed is None else failed
    chunks = len(failed) - 1
    worst = np.zeros((chunks + 1, len(names), 2))
    rooms, totals = widest(dict(types)), []

    def own() -> list[np.ndarray]:
        totals.append(_room(len(names), rooms))
        return totals[-1]

    shared.run(source, shared.found.loop, [(failed, 1), (worst, 2 * len(names))], own)
    return Screen(
        shared.found,
        failed[:chunks] == 0,
        worst[:chunks, :, 0],
        worst[:chunks, :, 1],
        np.sum([each[0] for each in totals], axis=0),
        np.max([each[1] for each in totals], axis=0),
        shared.size,
        shared.chunk,
        judged,
    )


def _room(outputs: int, rooms: int) -> list[np.ndarray]:
    """What one thread counts into, and as much again that it may overwrite."""
    own = [np.zeros((outputs, rooms, ROOM), np.int64), np.zeros((outputs, rooms))]
    return own + [np.empty_like(a) for a in own]


def _judged_chunk(shared: Shared, policy: Policy, number: int) -> dict[str, Judged]:
    """One chunk of a step, judged as small arrays are."""
    before, after, folded = shared.of_chunk(shared.chunks[number])
    with np.errstate(all="ignore"):
        known = folded if shared.folded else None
        return careful.judge_outputs(shared.enclosure, before, shared.scalars, after, policy, known)[0]
