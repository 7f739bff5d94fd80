"""Large arrays judged by a kernel, which says where every output is inside; the rest is judged as small arrays are.

The kernel is printed from the enclosure as a graph (`refgrad.arithmetic.enclosure_graph`). It looks at chunks of as many elements
as are judged together. Where all of its conditions hold in a chunk, each element of it is inside, and its truth, its distance
from it in units in the last place and what is allowed are those that `refgrad.oracle.acceptance.judge` has. Every other chunk
is judged there, so that verdict, counts and findings are the same either way (docs/enclosure.md, "The enclosure as a kernel").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np

from refgrad.arithmetic.averages import Pairs, complementary
from refgrad.arithmetic.enclosed import SPARE, Enclosed, seen
from refgrad.arithmetic.enclosure import Ambiguous
from refgrad.arithmetic.enclosure_graph import Unknown, enclosed
from refgrad.arithmetic.running_error import Bounded, Model
from refgrad.axes import COLUMN, ELEMENT, ROW
from refgrad.backends import kernels
from refgrad.backends.screen_source import BINADES, BINS, ROOM, groups_of, operand_source, screen_source, widest
from refgrad.backends.source import KernelSource
from refgrad.derived import derived
from refgrad.oracle.acceptance import judge as careful
from refgrad.oracle.acceptance.chunks import CHUNK, Cut
from refgrad.oracle.acceptance.findings import Count, count, tightness
from refgrad.oracle.acceptance.judge import UNDECIDED, Judged, Large, Step
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.acceptance.screened_folds import Shared, Unclear
from refgrad.oracle.acceptance.ulp_errors import Binades, Errors, measure
from refgrad.tracing import Plan

#: elements from which on a kernel is worth its while: where it is at hand, and where it must be compiled, which takes seconds
WORTH, WORTH_COMPILING = 4 * CHUNK, 1 << 24
#: dtypes that the kernel reads
READ = (np.dtype(np.float32), np.dtype(np.float64))


class Summary(NamedTuple):
    """What judging one output adds up to.

    Attributes:
        counted: how many elements are inside, outside and undecided.
        undecided_nan: how many are undecided and NaN.
        tightest: the largest distance from the truth over half the width of what is acceptable, of what is decided.
        errors: the distances in units in the last place; None if they were not asked for.
    """

    counted: Count
    undecided_nan: int
    tightest: float
    errors: Errors | None

    def merged(self, other: Summary) -> Summary:
        """That of both together.

        Args:
            other: the same of other elements, with errors where this one has them.
        """
        errors = None if self.errors is None or other.errors is None else self.errors + other.errors
        nan, tightest = self.undecided_nan + other.undecided_nan, max(self.tightest, other.tightest)
        return Summary(self.counted + other.counted, nan, tightest, errors)


def summary(judged: Judged, values: np.ndarray, unit: np.dtype | None = None, measured: bool = True) -> Summary:
    """What judging one output adds up to.

    Args:
        judged: the output.
        values: what was seen, shaped like the statuses.
        unit: the dtype whose units in the last place distances are counted in; None if they are not counted.
        measured: whether to look for the largest distance over what is acceptable.

    Returns:
        The sums.
    """
    if isinstance(judged, Screened) and (unit is None or unit == judged.dtype):
        return judged.summary(unit is not None, measured)
    if judged.status.size > CHUNK and judged.status.shape == values.shape:
        return _summed(judged, values, unit, measured)
    return _at_once(judged, values, unit, measured)


def _at_once(judged: Judged, values: np.ndarray, unit: np.dtype | None, measured: bool) -> Summary:
    undecided = judged.status == UNDECIDED
    nan = int(np.count_nonzero(undecided & np.isnan(values.astype(np.float64)))) if undecided.any() else 0
    largest = tightness(judged, values) if measured else 0.0
    return Summary(count(judged), nan, largest, None if unit is None else measure(judged, values, unit))


def _summed(judged: Judged, values: np.ndarray, unit: np.dtype | None, measured: bool) -> Summary:
    """`summary` of a large output, chunk by chunk: its temporaries are as large as a chunk."""
    cut, arrays = Cut.of(values.shape, CHUNK), judged.parts()
    found: Summary | None = None
    for chunk in cut.chunks():
        status, truth, low, high = (cut.part(a, chunk) for a in arrays[:4])
        each = _at_once(Judged(status, truth, low, high), cut.part(values, chunk), unit, measured)
        found = each if found is None else found.merged(each)
    assert found is not None
    return found


@dataclass(eq=False)
class Screen:
    """What the kernel said of one step.

    Attributes:
        clear: by chunk whether all of its elements are inside.
        rough, worst: by chunk and output the largest distance over what is allowed: of elements where that may be less by the
            output's loss, and of those where it is exact.
        counts: by output, group of binades and bin how many elements of clear chunks there are.
        largest: by output and group their largest distance in units in the last place.
        size, chunk: how many elements there are, and in a chunk.
        careful: a chunk's outputs, judged as small arrays are.
    """

    found: Enclosed
    clear: np.ndarray
    rough: np.ndarray
    worst: np.ndarray
    counts: np.ndarray
    largest: np.ndarray
    size: int
    chunk: int
    careful: Callable[[int], dict[str, Judged]]
    _known: dict[int, dict[str, Judged]] = field(default_factory=dict)

    @cached_property
    def unclear(self) -> tuple[int, ...]:
        """The chunks that are judged as small arrays are."""
        return tuple(np.flatnonzero(~self.clear).tolist())

    def judged(self, chunk: int) -> dict[str, Judged]:
        """The outputs of a chunk, judged as small arrays are; of those that are not clear they are kept."""
        if chunk not in self._known:
            found = self.careful(chunk)
            if self.clear[chunk]:
                return found
            self._known[chunk] = found
        return self._known[chunk]


class Screened(Judged):
    """One output of a large array: what it adds up to is known, and its arrays are worked out when they are asked for."""

    def __init__(self, screen: Screen, name: str, values: np.ndarray) -> None:
        for attribute, value in (("screen", screen), ("name", name), ("values", values)):
            object.__setattr__(self, attribute, value)

    screen: Screen
    name: str
    values: np.ndarray

    @property
    def dtype(self) -> np.dtype:
        """The dtype of what was seen."""
        return self.values.dtype

    @cached_property
    def status(self) -> np.ndarray:  # type: ignore[override]
        """`INSIDE`, `OUTSIDE` or `UNDECIDED`, of each element."""
        found = np.zeros(self.screen.size, np.uint8)
        for chunk in self.screen.unclear:
            found[self._cut(chunk)] = self._of(chunk).status.reshape(-1)
        return found.reshape(self.values.shape)

    @property
    def truth(self) -> np.ndarray:  # type: ignore[override]
        """The centre of each element's set."""
        return self._whole("truth")

    @property
    def low(self) -> np.ndarray:  # type: ignore[override]
        """The least that is acceptable."""
        return self._whole("low")

    @property
    def high(self) -> np.ndarray:  # type: ignore[override]
        """The largest that is acceptable."""
        return self._whole("high")

    def at(self, index: tuple[int, ...]) -> tuple[float, float, float]:
        """Of one element the truth and the ends."""
        place = int(np.ravel_multi_index(index, self.values.shape))
        found, inner = self._of(place // self.screen.chunk), place % self.screen.chunk
        return tuple(float(a.reshape(-1)[inner]) for a in (found.truth, found.low, found.high))  # type: ignore[return-value]

    def summary(self, counted: bool, measured: bool) -> Summary:
        """See `summary`; what the kernel said of the clear chunks, and the others judged."""
        screen, unit = self.screen, self.dtype if counted else None
        total = [summary(self._of(k), self._seen(k), unit, measured) for k in screen.unclear]
        few = sum((each.counted for each in total), Count())
        counts = Count(screen.size - few.total, 0, 0) + few
        largest = self._tightest(max((each.tightest for each in total), default=0.0)) if measured else 0.0
        errors = sum((e.errors for e in total if e.errors is not None), self._errors()) if counted else None
        return Summary(counts, sum(each.undecided_nan for each in total), largest, errors)

    def _tightest(self, known: float) -> float:
        """The largest distance over what is allowed; chunks where the kernel has it only nearly are judged, if need be."""
        screen, j = self.screen, self._place
        rough, worst = (np.where(screen.clear, a[:, j], 0.0) for a in (screen.rough, screen.worst))
        known = max(known, float(worst.max(initial=0.0)))
        most = rough / (1.0 - screen.found.losses[self.name] - SPARE) * (1.0 + 2.0**-20)
        for chunk in np.argsort(-most).tolist():
            if not most[chunk] > known:
                break
            known = max(known, tightness(self._of(chunk), self._seen(chunk)))
        return known

    def _errors(self) -> Errors:
        """The distances of the clear chunks."""
        counts, largest = self.screen.counts[self._place], self.screen.largest[self._place]
        first, rooms = groups_of(self.dtype)
        magnitudes = {}
        for group in range(rooms):
            many = int(counts[group].sum())
            if many:
                low = (group + first) * BINADES
                magnitudes[low] = Binades(low, many, 0, float(largest[group]))
        return Errors(tuple(counts.sum(axis=0)[:BINS].tolist()), magnitudes=magnitudes)

    @property
    def _place(self) -> int:
        return self.screen.found.names.index(self.name)

    def _cut(self, chunk: int) -> slice:
        return slice(chunk * self.screen.chunk, (chunk + 1) * self.screen.chunk)

    def _seen(self, chunk: int) -> np.ndarray:
        """What was seen in a chunk, shaped as it was judged."""
        return self.values.reshape(-1)[self._cut(chunk)].reshape(self._of(chunk).status.shape)

    def _of(self, chunk: int) -> Judged:
        return self.screen.judged(chunk)[self.name]

    def _whole(self, field_: str) -> np.ndarray:
        parts = (getattr(self._of(k), field_).reshape(-1) for k in range(len(self.screen.clear)))
        return np.concatenate(list(parts)).reshape(self.values.shape)


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
    if step.after["p"].size < WORTH_COMPILING and not all(map(kernels.at_hand, ready.sources())):
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
    if policy.subnormals != "keep":
        return "subnormal numbers may be flushed"
    if policy.nan_open:
        return "it is left open what comparisons make of NaN"
    for name, array in step.after.items():
        if np.dtype(array.dtype) not in READ or not array.dtype.isnative:
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
    model = careful.model_for(policy, p.dtype)
    scalars = _scalars(step, model)
    if any(not (np.isfinite(s.value) and np.isfinite(s.bound())) or s.has_ends() for s in scalars):
        return "a scalar is not finite, or so small that it may become zero"
    found = _transformed(step.plan, scalars)
    return found if isinstance(found, str) else None


def _unknown_input(name: str, step: Step, shape: tuple[int, ...] | None) -> str | None:
    stored = _stored(step.before, name)
    if isinstance(stored, Bounded):
        if stored.error is not None or stored.has_ends():
            return f"{name} is known to within a bound alone"
        stored = stored.value
    if stored.dtype not in READ or not stored.dtype.isnative:
        return f"{name} is {stored.dtype}"
    return None if shape in (None, stored.shape) else f"{name} has another shape than p"


def _stored(before: Mapping[str, Bounded], name: str) -> np.ndarray | Bounded:
    return before.arrays[name] if isinstance(before, Large) else before[name]


def _scalars(step: Step, model: Model) -> list[Bounded]:
    with np.errstate(all="ignore"):
        return careful.scalars_of(step.plan, step.plan.graph, step.free, model)


def _transformed(plan: Plan, scalars: Sequence[Bounded]) -> Enclosed | str:
    """The plan's enclosure as a graph, or why there is none."""
    pairs, known = complementary(plan.graph, scalars), _graphs(plan)
    key = tuple(sorted(pairs.items()))
    if key not in known:
        known[key] = _tried(plan, pairs)
    return known[key]


def _tried(plan: Plan, pairs: Pairs) -> Enclosed | str:
    try:
        return enclosed(plan.graph, pairs)
    except Unknown as why:
        return str(why)


@derived
def _graphs(plan: Plan) -> dict[tuple[tuple[int, tuple[tuple[int, int], ...]], ...], Enclosed | str]:
    """Those that were made so far, by the sums that are averages."""
    return {}


class _Ready(NamedTuple):
    """What a step is judged with: what its elements share, the kernel, and those of what reductions fold, by index."""

    shared: Shared
    source: KernelSource
    operands: dict[int, KernelSource]

    def sources(self) -> tuple[KernelSource, ...]:
        """Those of all kernels."""
        return self.source, *self.operands.values()


def _ready(step: Step, policy: Policy, threads: int | None = None) -> _Ready:
    model = careful.model_for(policy, step.after["p"].dtype)
    scalars = _scalars(step, model)
    found = _transformed(step.plan, scalars)
    assert isinstance(found, Enclosed), found
    stored = {name: _stored(step.before, name) for name in step.before}
    after, cut = dict(step.after), Cut.of(step.after["p"].shape, CHUNK)
    if cut.axis:  # elements see nothing of each other, so that they may as well stand in a line
        stored = {n: a.mapped(np.ravel) if isinstance(a, Bounded) else a.reshape(-1) for n, a in stored.items()}
        after = {n: a.reshape(-1) for n, a in after.items()}
        cut = Cut.of(after["p"].shape, CHUNK)
    known = {seen(name): after[name] for name in found.names}
    known |= {n: a.value if isinstance(a, Bounded) else a for n, a in stored.items()}
    read = {name for loop in (found.loop, *(fold.loop for fold in found.folds)) for name in loop.reads}
    arrays = {name: np.ascontiguousarray(known[name]) for name in known if name in read}
    shared = Shared(
        found,
        careful.enclosure_of(step.plan, model),
        model,
        scalars,
        arrays,
        Large(stored),
        after,
        cut,
        threads,
    )
    return _Ready(shared, *_printed(step.plan, found, {name: array.dtype for name, array in arrays.items()}))


def _printed(plan: Plan, found: Enclosed, types: dict[str, np.dtype]) -> tuple[KernelSource, dict[int, KernelSource]]:
    """The kernels of a graph."""
    known, key = _sources(plan), (found, tuple(types.items()))
    if key not in known:
        title = type(plan.rule).__name__
        folds = [fold for fold in found.folds if fold.value.axes == ELEMENT]
        known[key] = (
            screen_source(found, types, f"what is inside: {title}"),
            {f.node.index: operand_source(f, types, f"what is folded: {title}, {f.node.index}") for f in folds},
        )
    return known[key]


@derived
def _sources(
    plan: Plan,
) -> dict[tuple[Enclosed, tuple[tuple[str, np.dtype], ...]], tuple[KernelSource, dict[int, KernelSource]]]:
    """The kernels that were printed so far, by graph and the dtypes that it reads."""
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
        screen = _screen(shared, source, policy)
        few = shared.judged_few(policy)
        if shared.folded:  # else no decision is open that elements share
            for chunk in screen.unclear:
                screen.judged(chunk)
    except (Unclear, Ambiguous):
        return careful.judge(step, policy)[0]
    return {n: Screened(screen, n, step.after[n]) if n in shared.found.names else few[n] for n in step.after}


def _screen(shared: Shared, source: KernelSource, policy: Policy) -> Screen:
    """What the kernel says of a step."""
    names, chunks = shared.found.names, len(shared.chunks)
    failed, worst = np.zeros(chunks + 1, np.int64), np.zeros((chunks + 1, len(names), 2))
    rooms, totals = widest({name: shared.after[name].dtype for name in names}), []

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
        partial(_judged_chunk, shared, policy),
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
