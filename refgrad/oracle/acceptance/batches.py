"""Small steps judged together: those of many leaves cost what one does, where nothing couples their elements.

A verdict drives leaves of many shapes, most of a few elements, and what judging one costs is the number of operations on
arrays, whatever their length. Steps that compute the same from the same numbers are laid end to end, judged as one, and
cut again. Reductions are bounded step by step, each over its own elements. Statuses are those of each step alone. The ends of a
set may be others within a unit in the last place: as within an array, what is special of one element (underflow, ends that are
not its bound's, a value that is outside) is followed at all that are evaluated with it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from refgrad.arithmetic.enclosure import Ambiguous
from refgrad.arithmetic.running_error import Bounded
from refgrad.axes import ELEMENT
from refgrad.derived import derived
from refgrad.oracle.acceptance import comparing
from refgrad.oracle.acceptance import judge as careful
from refgrad.oracle.acceptance.judge import Large, Step
from refgrad.oracle.acceptance.judgement import Judged, Parts
from refgrad.oracle.acceptance.kept import FEW, bits, bits_of, computed, made
from refgrad.oracle.acceptance.policy import Policy
from refgrad.tracing import Plan

#: elements of a step up to which it is judged with others: beyond, its own elements are what it costs
SMALL = 8192
#: the same where reductions couple them: what is one number a step is then one at each element
SMALL_FOLDED = 1024


def judged_together(steps: Sequence[Step], policy: Policy) -> list[dict[str, Judged] | None]:
    """Steps judged, those together that can be.

    Args:
        steps: of any leaves.
        policy: what counts as correct.

    Returns:
        Of each step its outputs, as `refgrad.oracle.acceptance.judge.judge` gives them; None of one that is to be judged alone.
    """
    found: list[dict[str, Judged] | None] = [None] * len(steps)
    for places in _groups(steps):
        group = [steps[i] for i in places]
        if len(group) == 1:
            continue
        with contextlib.suppress(Ambiguous):
            judged = _judged(group, policy)
            for i, each in zip(places, _apart(judged, group), strict=True):
                found[i] = each
    return found


def _judged(steps: Sequence[Step], policy: Policy) -> dict[str, Judged]:
    """Steps as one.

    Raises:
        Ambiguous: a decision is open that all elements of a step share.
    """
    whole = _joined(steps)
    if not whole.plan.graph.couples():
        return careful.judge(whole, policy)[0]

    def key() -> Hashable:
        read = tuple((n, bits_of(known)) for n, known in whole.before.items())
        seen = tuple((n, bits(a)) for n, a in whole.after.items())
        shapes = tuple(s.after["p"].shape for s in steps)
        return judged_together, computed(whole.plan, whole.free), shapes, read, seen, policy

    def make() -> tuple[tuple[str, Parts], ...]:
        return tuple((n, each.parts()) for n, each in _with_folds(steps, whole, policy).items())

    return {n: Judged(*parts) for n, parts in made(whole.after["p"].size, key, make)}


def _with_folds(steps: Sequence[Step], whole: Step, policy: Policy) -> dict[str, Judged]:
    """Steps as one, of which each has reductions of its own: what these fold is made together, each is bounded by itself."""
    model = comparing.model_for(policy, whole.after["p"].dtype)
    enclosure = careful.enclosure_of(whole.plan, model)
    with np.errstate(all="ignore"):
        scalars = careful.scalars_of(whole.plan, whole.plan.graph, whole.free, model)
        numbers, _, observed = careful.read(enclosure, whole.before, whole.after)
        folded: dict[int, Bounded] = {}
        for node in enclosure.folds():
            operand = enclosure.operand(node, numbers, scalars, observed, folded)
            operand = _mapped(operand, lambda a: np.broadcast_to(a, whole.after["p"].shape))
            each = [enclosure.fold(node, _cut(operand, step, end)) for step, end in _places(steps)]
            folded[node.index] = _end_to_end([_spread(known, step) for known, step in zip(each, steps, strict=True)])
        return careful.judge_outputs(enclosure, whole.before, scalars, whole.after, policy, folded)[0]


def _places(steps: Sequence[Step]) -> list[tuple[Step, int]]:
    """Each step with the place after its last element."""
    return list(zip(steps, np.cumsum([step.after["p"].size for step in steps]).tolist(), strict=True))


def _cut(known: Bounded, step: Step, end: int) -> Bounded:
    """What is known of one step's elements, in its own shape."""
    shape, size = step.after["p"].shape, step.after["p"].size
    return _mapped(known, lambda a: a[end - size : end].reshape(shape))


def _spread(known: Bounded, step: Step) -> Bounded:
    """What is one number a row or a step, at each of its elements."""
    shape = step.after["p"].shape
    return _mapped(known, lambda a: np.broadcast_to(a, shape).reshape(-1))


def _mapped(known: Bounded, function: Callable[[np.ndarray], np.ndarray]) -> Bounded:
    """All that is known, in another order or shape."""
    moved: dict[str, Any] = {n: function(a) for n, a in known._asdict().items() if isinstance(a, np.ndarray)}
    return known._replace(**moved)


def _end_to_end(parts: Sequence[Bounded]) -> Bounded:
    """What is known of the numbers of all parts.

    Raises:
        Ambiguous: of some parts is known what of others is not.
    """
    fields: dict[str, Any] = {}
    for name in Bounded._fields:
        found = [getattr(part, name) for part in parts]
        missing = [each is None for each in found]
        if any(missing) != all(missing):
            raise Ambiguous
        if not any(missing):
            fields[name] = min(found) if name == "least" else np.concatenate(found)
    return Bounded(**fields)


def _groups(steps: Sequence[Step]) -> list[list[int]]:
    """The places of those that are judged together, none of more elements than are judged at a time."""
    groups: list[list[int]] = []
    last: dict[Hashable, int] = {}
    sizes: list[int] = []
    for i, step in enumerate(steps):
        if not _alone(step):
            size, key = step.after["p"].size, _key(step)
            if key not in last or sizes[last[key]] + size > FEW:
                last[key] = len(groups)
                groups.append([])
                sizes.append(0)
            groups[last[key]].append(i)
            sizes[last[key]] += size
    return groups


def _key(step: Step) -> Hashable:
    types = tuple((name, array.dtype) for name, array in sorted(step.after.items()))
    return computed(step.plan, step.free), types


def _alone(step: Step) -> bool:
    """True if a step has to be judged by itself."""
    p, graph = step.after["p"], step.plan.graph
    most = SMALL_FOLDED if graph.couples() else SMALL
    if not 0 < p.size <= most or isinstance(step.before, Large) or not _can_be_joined(step.plan):
        return True
    if any(name not in step.after or step.after[name].shape != p.shape for name in graph.outputs):
        return True
    return any(not _is_plain(step.before[name], p.shape) for name in graph.inputs())


def _is_plain(known: Bounded, shape: tuple[int, ...]) -> bool:
    return known.value.shape == shape and all(part is None for part in known[1:])


@derived
def _can_be_joined(plan: Plan) -> bool:
    """True if reductions alone couple elements, and every array has one number an element."""
    graph = plan.graph
    return (
        not graph.small
        and careful.can_be_cut(graph)
        and (graph.couples() or all(node.axes == ELEMENT or node.op == "scalar" for node in graph.nodes))
        and not any(node.op == "scalar" for node in graph.outputs.values())
    )


def _joined(steps: Sequence[Step]) -> Step:
    """Steps laid end to end."""
    first = steps[0]
    before = {
        n: Bounded(np.concatenate([s.before[n].value.reshape(-1) for s in steps])) for n in first.plan.graph.inputs()
    }
    after = {n: np.concatenate([s.after[n].reshape(-1) for s in steps]) for n in first.plan.graph.outputs}
    return replace(first, before=before, after=after)


def _apart(judged: dict[str, Judged], steps: Sequence[Step]) -> list[dict[str, Judged]]:
    """Of each step its own outputs, in its own shape."""
    return [{name: Judged(*_parts(each, step, end)) for name, each in judged.items()} for step, end in _places(steps)]


def _parts(judged: Judged, step: Step, end: int) -> Parts:
    """What a step's own part of an output is made of."""
    shape, cut = step.after["p"].shape, slice(end - step.after["p"].size, end)
    status, truth, low, high = (a[cut].reshape(shape) for a in judged.parts()[:4] if a is not None)
    nowhere = judged.no_number
    return status, truth, low, high, None if nowhere is None else nowhere[cut].reshape(shape)
