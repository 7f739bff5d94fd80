"""Judging one step: each observed output against its acceptance set, given what was observed before it.

An element is inside if some way through the decisions has it in the sets of all outputs, outside if every way has some output
out of its set, and undecided where bounds say nothing or another decision would have given another set.
"""

from __future__ import annotations

import contextlib
from collections.abc import Container, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from refgrad.arithmetic import dtypes, scalar_error, scalar_math
from refgrad.arithmetic.enclosure import Ambiguous, Enclosure, within
from refgrad.arithmetic.graph import Graph
from refgrad.arithmetic.operations import MATRIX, OPERATIONS, SELECTIONS
from refgrad.arithmetic.running_error import Bounded, Model, between, exact, scalar, widest
from refgrad.axes import ELEMENT, broadcasts
from refgrad.derived import derived
from refgrad.oracle.acceptance.chunks import CHUNK, Cut, Gathered, together
from refgrad.oracle.acceptance.kept import bits, bits_of, computed, made
from refgrad.oracle.acceptance.policy import Policy
from refgrad.tracing import Plan

#: what `Judged` is made of
Parts = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]

INSIDE, OUTSIDE, UNDECIDED = np.uint8(0), np.uint8(1), np.uint8(2)


@dataclass(frozen=True)
class Judged:
    """One output of one step, judged element by element; all arrays have the shape of the output.

    Attributes:
        status: `INSIDE`, `OUTSIDE` or `UNDECIDED`, uint8.
        truth: the centre of the acceptance set that decided it, float64.
        low, high: the ends of that set, float64, on the grid of the output's dtype.
        no_number: where no program gives a number, as far as that was looked at (`refgrad.oracle.acceptance.no_numbers`).
    """

    status: np.ndarray
    truth: np.ndarray
    low: np.ndarray
    high: np.ndarray
    no_number: np.ndarray | None = None

    def parts(self) -> Parts:
        """All that it is made of, in order."""
        return self.status, self.truth, self.low, self.high, self.no_number

    def at(self, index: tuple[int, ...]) -> tuple[float, float, float]:
        """Of one element the truth and the ends.

        Args:
            index: that of the element.

        Returns:
            The truth, the least and the largest that is acceptable.
        """
        return float(self.truth[index]), float(self.low[index]), float(self.high[index])


class Large(Mapping[str, Bounded]):
    """Arrays as they are stored, of which each is widened when it is asked for: large ones are not held twice.

    Args:
        arrays: by name the numbers, in their own dtypes, or what is known of them.

    >>> Large({"p": np.ones(2, np.float32)})["p"].value
    array([1., 1.])
    """

    def __init__(self, arrays: Mapping[str, np.ndarray | Bounded]) -> None:
        self.arrays = arrays

    def __getitem__(self, name: str) -> Bounded:
        known = self.arrays[name]
        return known if isinstance(known, Bounded) else Bounded(known.astype(np.float64))

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)

    def part(self, cut: Cut, chunk: slice) -> Large:
        """What stands in a chunk.

        Args:
            cut: how arrays are cut.
            chunk: the places.

        Returns:
            The same arrays there.
        """

        def of(known: np.ndarray | Bounded) -> np.ndarray | Bounded:
            return cut.part_of(known, chunk) if isinstance(known, Bounded) else cut.part(known, chunk)

        return Large({n: of(known) for n, known in self.arrays.items()})


@dataclass(frozen=True)
class Step:
    """All that one step of one leaf is judged from.

    Attributes:
        plan: the rule, traced for the branches that the step takes.
        free: the values of the plan's free names: ``t``, scalar slots and extra inputs, lengths.
        before: the arrays before the step, or what is known of those that could not be read; float64.
        after: the outputs that were seen, in their own dtypes; a slot that cannot be read is missing.
    """

    plan: Plan
    free: Mapping[str, float]
    before: Mapping[str, Bounded]
    after: Mapping[str, np.ndarray]


def outside(judged: Iterable[Judged]) -> int:
    """The number of elements that are outside.

    Args:
        judged: outputs, each of any shape.

    Returns:
        The number.
    """
    return sum(int((j.status == OUTSIDE).sum()) for j in judged)


def model_for(policy: Policy, dtype: np.dtype) -> Model:
    """The rounding model of a policy for arrays of a dtype.

    Args:
        policy: what counts as correct.
        dtype: that of the parameter; a narrow one is computed in float32, unless the policy's ``precision`` is another.

    Returns:
        The model, in the format that is computed in.
    """
    wide = _model(dtypes.working(dtype), policy)
    if policy.precision == "wide" or dtypes.working(dtype) == dtype:
        return wide
    of_sums = wide if policy.precision == "sums" else None
    return replace(_model(dtype, policy), cancelled=wide.unit_roundoff, of_sums=of_sums)


def _model(computed_in: np.dtype, policy: Policy) -> Model:
    facts = dtypes.format_of(computed_in)
    model = Model.of(facts, policy.roundings, policy.scalar_roundings, policy.subnormals, policy.sums)
    model = replace(model, stored=policy.stored) if policy.stored else model
    if policy.accumulate != "own":
        of_sums = dtypes.format_of(np.dtype(policy.accumulate)).unit_roundoff
        model = replace(model, added_in=of_sums) if of_sums < facts.unit_roundoff else model
    return replace(model, nan_open=True) if policy.nan_open else model


def enclosure_of(plan: Plan, model: Model) -> Enclosure:
    """What evaluates a plan's graph under a model; one for all steps, which then look through the graph once.

    Args:
        plan: the traced rule.
        model: of the format that is computed in.

    Returns:
        The enclosure, which is kept with the plan.
    """
    known = _enclosures(plan)
    if model not in known:
        known[model] = Enclosure(plan.graph, model)
    return known[model]


@derived
def _enclosures(plan: Plan) -> dict[Model, Enclosure]:
    """Those that were made so far, by model."""
    return {}


def judge(step: Step, policy: Policy) -> tuple[dict[str, Judged], dict[str, Bounded]]:
    """One step judged.

    Args:
        step: what was there before and after, with the rule.
        policy: what counts as correct.

    Returns:
        The outputs that were seen, judged, by name; and what is known of those that were not, to be carried on to the next
        step's ``before``.
    """

    def key() -> Hashable:
        read = tuple((n, bits_of(step.before[n])) for n in step.plan.graph.inputs() if n in step.before)
        return judge, computed(step.plan, step.free), read, tuple((n, bits(a)) for n, a in step.after.items()), policy

    def make() -> tuple[tuple[tuple[str, Parts], ...], tuple[tuple[str, Bounded], ...]]:
        judged, carried = _judge(step, policy)
        return tuple((n, each.parts()) for n, each in judged.items()), tuple(carried.items())

    judged, carried = made(step.after["p"].size, key, make)
    return {n: Judged(*parts) for n, parts in judged}, dict(carried)


def _judge(step: Step, policy: Policy) -> tuple[dict[str, Judged], dict[str, Bounded]]:
    dtype = step.after["p"].dtype
    model = model_for(policy, dtype)
    enclosure = enclosure_of(step.plan, model)
    with np.errstate(all="ignore"):
        scalars = scalars_of(step.plan, step.plan.graph, step.free, model)
        graph = step.plan.graph
        if step.after["p"].size > CHUNK and can_be_cut(graph):
            with contextlib.suppress(Ambiguous):
                return _judge_in_chunks(enclosure, step, scalars, policy)
        return judge_outputs(enclosure, step.before, scalars, step.after, policy)


def how_matrices(graphs: Iterable[Graph]) -> list[str]:
    """Sentences on how operations on matrices are judged, each once.

    Args:
        graphs: where these stand.

    Returns:
        The sentences, none if there are no such operations.
    """
    notes = (OPERATIONS[n.op].judged for graph in graphs for n in graph.nodes if n.op in MATRIX)
    return list(dict.fromkeys(filter(None, notes)))


def scalars_of(plan: Plan, graph: Graph, free: Mapping[str, float], model: Model) -> list[Bounded]:
    """The scalars of a plan's graph, or of a part of it, with their errors.

    Args:
        plan: the rule, whose hyperparameters and precision of scalars count.
        graph: the plan's graph, a rewritten one, or a part of either.
        free: the values of the plan's free names.
        model: the roundings that a scalar takes when it meets an array, and whether subnormal numbers may be flushed.

    Returns:
        One 0-d value for each of ``graph.scalars()``, in that order.
    """
    table = scalar_error.table(plan.rule.scalars, model.flushes)
    names = {n: table["const"](v) for n, v in {**plan.rule.numbers(), **free}.items()}
    memo: dict[scalar_math.Expr, scalar_error.Pair] = {}
    pairs = [scalar_math.evaluate(e, names, table, memo) for e in graph.scalars()]
    return [scalar(value, error, model) for value, error in pairs]


def judge_scalars(step: Step, observed: Mapping[str, tuple[float, np.dtype]], policy: Policy) -> dict[str, Judged]:
    """The scalar slots of one step judged.

    Args:
        step: what was there before.
        observed: by name, the value of each slot that was read, and the dtype that it is kept in.
        policy: whether subnormal numbers are kept.

    Returns:
        Each slot that the rule has and that was read, as arrays without axes.
    """
    flushes = policy.subnormals != "keep"
    table = scalar_error.table(step.plan.rule.scalars, flushes)
    names = {n: table["const"](v) for n, v in {**step.plan.rule.numbers(), **step.free}.items()}
    found = {}
    for name, expr in step.plan.graph.scalar_outputs.items():
        if name in observed:
            value, dtype = observed[name]
            truth, error = scalar_math.evaluate(expr, names, table)
            facts = dtypes.format_of(dtype)
            # the grid's unit is its smallest subnormal number where it has these
            lost = 3 * facts.smallest_normal if flushes else facts.smallest_subnormal
            error += max(3 * facts.unit_roundoff * abs(truth), lost)
            right = value == truth or abs(value - truth) <= error  # both may be infinite
            if policy.subnormals == "flush":
                right &= not 0.0 < abs(value) < facts.smallest_normal
            status = INSIDE if right else OUTSIDE
            found[name] = Judged(*(np.asarray(x) for x in (status, truth, truth - error, truth + error)))
    return found


def can_be_cut(graph: Graph) -> bool:
    """True if nothing but reductions couples elements, so that chunks are judged given these.

    Args:
        graph: a rule's.

    Returns:
        Whether it is so.
    """
    axes = (*graph.small.values(), *(n.axes for n in graph.nodes))
    return all(map(broadcasts, axes)) and not any(n.op in MATRIX | SELECTIONS for n in graph.nodes)


def _judge_in_chunks(
    enclosure: Enclosure, step: Step, scalars: list[Bounded], policy: Policy
) -> tuple[dict[str, Judged], dict[str, Bounded]]:
    """`judge_outputs` of a chunk at a time: what couples elements is worked out before, each of its operands in chunks.

    Raises:
        Ambiguous: a decision is open that chunks share.
    """
    graph, cut = enclosure.graph, Cut.of(step.after["p"].shape, CHUNK)
    before = step.before if isinstance(step.before, Large) else Large(step.before)
    folded: dict[int, Bounded] = {}

    def chunk_of(chunk: slice) -> tuple[Large, dict[str, np.ndarray], dict[int, Bounded]]:
        after = {n: cut.part(a, chunk) for n, a in step.after.items()}
        return before.part(cut, chunk), after, {i: cut.part_of(known, chunk) for i, known in folded.items()}

    for node in enclosure.folds():
        parts = []
        for chunk in cut.chunks():
            inputs, after, known = chunk_of(chunk)
            numbers, _, observed = read(enclosure, inputs, after)
            parts.append(enclosure.operand(node, numbers, scalars, observed, known))
        operand = together(parts, cut, node.args[0].axes)
        del parts
        folded[node.index] = enclosure.fold(node, operand)
        del operand
    found, hidden = Gathered(cut), dict[str, list[Bounded]]()
    for chunk in cut.chunks():
        inputs, after, known = chunk_of(chunk)
        judged, carried = judge_outputs(enclosure, inputs, scalars, after, policy, known)
        for n, each in judged.items():
            found.add(n, each.parts(), graph.small.get(n, ELEMENT), chunk)
        for n, bounded in carried.items():
            hidden.setdefault(n, []).append(bounded)
    whole = {n: Judged(*found.of(n, len(each.parts()))) for n, each in judged.items()}
    return whole, {n: together(parts, cut, graph.small.get(n, ELEMENT)) for n, parts in hidden.items()}


FIELDS = ("status", "truth", "low", "high")


def judge_outputs(
    enclosure: Enclosure,
    before: Mapping[str, Bounded],
    scalars: list[Bounded],
    after: Mapping[str, np.ndarray],
    policy: Policy,
    folded: Mapping[int, Bounded] | None = None,
) -> tuple[dict[str, Judged], dict[str, Bounded]]:
    """`judge`, once it is known how to evaluate; several steps at once where nothing couples elements.

    Args:
        enclosure: evaluates the rule's graph under the policy's model.
        before: the arrays before the step, float64, of shapes that broadcast against each other.
        scalars: the graph's scalars, in its order.
        after: the outputs that were seen, in their own dtypes.
        policy: what counts as correct.
        folded: the reductions of the graph, by index, where the arrays are parts of larger ones.

    Returns:
        As of `judge`. Of the ways that a whole tensor may take, the one with the fewest elements outside.

    Raises:
        Ambiguous: a decision is open that the rest of the larger arrays has a part in.
    """
    inputs, wide, observed = read(enclosure, before, after)
    hidden = _Hidden(_extent(enclosure.graph, before, after), enclosure.graph.small)
    groups: dict[tuple[tuple[int, int], ...], dict[str, Judged]] = {}
    for branch in enclosure.branches(inputs, scalars, observed, folded):
        judged = {n: compare(branch.sets[n], wide[n], after[n].dtype, policy) for n in wide if n in branch.sets}
        judged = {n: undecide(j, branch.open.get(n)) for n, j in judged.items()}
        groups[branch.shared] = union(groups.get(branch.shared), judged)
        hidden.add({n: found for n, found in branch.sets.items() if n not in wide})
    return min(groups.values(), key=lambda judged: outside(judged.values())), hidden.known()


def read(
    enclosure: Enclosure, before: Mapping[str, Bounded], after: Mapping[str, np.ndarray]
) -> tuple[dict[str, Bounded], dict[str, np.ndarray], dict[str, Bounded]]:
    """What a step is evaluated on.

    Args:
        enclosure: evaluates the rule's graph.
        before: the arrays before the step.
        after: the outputs that were seen.

    Returns:
        What the graph is evaluated on, the outputs as float64, and what goes on from these.
    """
    model = enclosure.model
    inputs = {n: exact(b.value, model) if b.error is None else b for n, b in before.items()}
    wide = {n: a.astype(np.float64) for n, a in after.items()}
    observed = {n: conditioned(wide[n], after[n].dtype, model, _as_stored(enclosure.graph, n)) for n in wide}
    return inputs, wide, observed


def _extent(graph: Graph, before: Mapping[str, Bounded], after: Mapping[str, np.ndarray]) -> tuple[int, ...]:
    """The shape of what is one number an element."""
    read = [n.attribute for n in graph.nodes if n.op == "input" and broadcasts(n.axes)]
    whole = np.broadcast_shapes(*(np.shape(before[n].value) for n in read))
    return next((a.shape for n, a in after.items() if n not in graph.small), whole)


@dataclass
class _Hidden:
    """Outputs that cannot be read: carried on as intervals over all ways, or as they are where there is only one."""

    shape: tuple[int, ...]
    small: Container[str]
    first: dict[str, Bounded] = field(default_factory=dict)
    ends: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)

    def add(self, sets: Mapping[str, Bounded]) -> None:
        """One more way."""
        for n, found in sets.items():
            known = self.first.setdefault(n, found)
            if found is not known:
                self.ends[n] = widest(self.ends.get(n) or widest(None, known), found)

    def known(self) -> dict[str, Bounded]:
        """What holds them."""
        found = {n: between(*self.ends[n]) if n in self.ends else known for n, known in self.first.items()}
        return {n: b if n in self.small else self._whole(b) for n, b in found.items()}

    def _whole(self, known: Bounded) -> Bounded:
        return known.mapped(lambda a: np.broadcast_to(a, self.shape))


def _as_stored(graph: Graph, output: str) -> bool:
    """True if an output is rounded by the rule itself, so that what goes on from it goes on from what was stored."""
    return output in graph.outputs and graph.outputs[output].op == "round"


def conditioned(values: np.ndarray, dtype: np.dtype, model: Model, as_stored: bool = False) -> Bounded:
    """An observed output to go on from.

    A narrow one may have been used before it was rounded for storage. So may any other in a wider register, which matters
    where it underflowed; and a number that was subnormal until it was stored as zero, where subnormals may be flushed.

    Args:
        values: what was seen, float64.
        dtype: what it is stored in.
        model: of the format that is computed in.
        as_stored: whether the rule itself rounds it, so that it is used as it is stored.

    Returns:
        The number that went on, with its error: one unit in the last place of a narrow dtype, or where it is subnormal
        what may have been lost there; else none.
    """
    if as_stored and not model.flushes:
        return Bounded(values)
    if as_stored or dtypes.format_of(dtype).unit_roundoff <= model.unit_roundoff:
        small = np.abs(values) < model.smallest_normal
        return Bounded(values, np.where(small, model.lost, 0.0) if small.any() else None)
    return Bounded(values, dtypes.ulp(values, dtype))


def compare(acceptable: Bounded, values: np.ndarray, dtype: np.dtype, policy: Policy) -> Judged:
    """Inside, outside or undecided, element by element; NaN and infinities by class.

    Args:
        acceptable: the acceptance set, which broadcasts to the output's shape.
        values: the output, float64.
        dtype: what it is stored in: the correctly rounded result of anything in the set is acceptable. A number of the set that
            came in a wider dtype is too, whatever the others are.
        policy: whether subnormals are kept.

    Returns:
        Statuses, the truth, and the least and the largest that are acceptable, shaped like the output. Of what is outside where
        NaN is acceptable beside numbers, the truth is NaN, and the ends are those of the numbers.
    """
    shape = values.shape
    truth = np.broadcast_to(acceptable.value, shape)
    error = np.broadcast_to(acceptable.bound(), shape)
    low, high = _ends(acceptable, truth, error, policy)
    inside = (values >= low) & (values <= high)
    if acceptable.norm is not None and dtypes.working(dtype) == dtype:
        inside, low, high = _within_norm(acceptable.norm, values - truth, error, truth, (inside, low, high))
    if (
        inside.all()
        and high.max(initial=0.0) < np.inf
        and low.min(initial=0.0) > -np.inf
        and policy.subnormals != "flush"
    ):
        return Judged(np.zeros(shape, np.uint8), truth, low, high)
    undefined = np.isnan(error) & ~np.isnan(truth)
    low, high = np.where(undefined, -np.inf, low), np.where(undefined, np.inf, high)
    # the correctly rounded result of anything in the set is acceptable, and so is a number of the set itself, in a wider dtype
    held = (values >= low) & (values <= high) & np.isfinite(truth)
    low, high = dtypes.round_to(low, dtype), dtypes.round_to(high, dtype)
    infinite = (low == high) & np.isinf(low) & ~np.isnan(truth)
    truth = np.where(infinite, low, truth)
    endless = ~np.isfinite(error) & ~np.isnan(truth) & ~(np.isfinite(low) & np.isfinite(high)) & ~infinite
    nan = np.isnan(values)
    inside = (values >= low) & (values <= high)
    special = ~np.isfinite(truth)
    if special.any():
        low, high = np.where(special, truth, low), np.where(special, truth, high)
        # where it is infinity, another order of evaluation may meet infinity minus infinity
        inside = np.where(special, (values == truth) | nan, inside)
    inside = inside | held
    if policy.subnormals == "flush":
        inside &= (values == 0) | ~(np.abs(values) < dtypes.format_of(dtype).smallest_normal)
    status = np.where(inside, np.where(endless, UNDECIDED, INSIDE), OUTSIDE)
    if nan.any():  # where nothing tells whether it may be NaN, nothing is decided
        unknown = nan & endless if acceptable.nan is None else np.asarray(False)
        # beside infinity another order of evaluation may meet infinity minus infinity
        admitted = nan & (np.broadcast_to(acceptable.may_be_nan(), shape) | np.isinf(low) | np.isinf(high))
        status = np.where(unknown, UNDECIDED, np.where(admitted, INSIDE, status))
    if acceptable.nan is not None:  # told of what is neither NaN nor a number that is admissible
        truth = np.where((status == OUTSIDE) & acceptable.may_be_nan(), np.nan, truth)
    return Judged(status.astype(np.uint8), truth, low, high)


def _ends(acceptable: Bounded, truth: np.ndarray, error: np.ndarray, policy: Policy) -> tuple[np.ndarray, np.ndarray]:
    """The bound where it says enough, since it is that of programs written otherwise as well; else what is known besides."""
    bounded = np.isfinite(acceptable.bound()) & (policy.subnormals == "keep")
    with np.errstate(invalid="ignore"):  # an infinity of which nothing is known
        low, high = truth - error, truth + error
        if bounded.all():
            return low, high
        return np.where(bounded, low, acceptable.lowest()), np.where(bounded, high, acceptable.highest())


def _within_norm(
    norm: np.ndarray,
    off: np.ndarray,
    error: np.ndarray,
    truth: np.ndarray,
    known: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What is inside, and the ends, where elements may be off by a matrix of a known norm besides bounds of their own.

    Where the norm of what their own bounds leave over is larger, those that are off by more than their share are outside.
    """
    inside, low, high = known
    own = np.maximum(error - norm, 0.0)
    over = np.maximum(np.abs(off) - own, 0.0)
    axes = tuple(i for i, n in enumerate(norm.shape) if n == 1)
    total = np.sqrt(np.sum(over * over, axis=axes, keepdims=True))
    share = norm / np.sqrt(max(1.0, float(np.prod([off.shape[i] for i in axes]))))
    wrong = (total * (1.0 - off.size * 2.0**-52) > norm) & (over > share)
    reach = own + share
    return inside & ~wrong, np.where(wrong, truth - reach, low), np.where(wrong, truth + reach, high)


def undecide(judged: Judged, open_: np.ndarray | None) -> Judged:
    """An output's elements that another decision may change: undecided rather than inside.

    Args:
        judged: the output on one way through the decisions.
        open_: the elements at which a decision that it depends on was open (`Branch.open`); None if there is no such decision.

    Returns:
        The output with other statuses; itself if nothing was open.
    """
    if open_ is None:
        return judged
    marks = within(open_, judged.status.shape)
    status = np.where(marks & (judged.status == INSIDE), UNDECIDED, judged.status)
    return Judged(status, judged.truth, judged.low, judged.high)


def admitted(judged: Judged) -> Judged:
    """An output of which nothing is undecided: what some program gives is inside.

    Args:
        judged: the output.

    Returns:
        The output with other statuses.
    """
    return Judged(np.where(judged.status == UNDECIDED, INSIDE, judged.status), *judged.parts()[1:])


def met(judged: Judged, values: np.ndarray) -> Judged:
    """An output where an infinity was handed in: it is NaN or infinite where the rule's own is, or NaN in its place.

    `a + b (g - a)`, `x + (hard - x)` and products with a mask make NaN of an infinity of which other forms of the same number
    make none. What is a number and should be none, or another number, stays outside.

    Args:
        judged: the output.
        values: what was seen, shaped like the statuses.

    Returns:
        The output with other statuses.
    """
    seen = np.isnan(values) | (np.isinf(values) & np.isnan(judged.truth))
    status = np.where((judged.status == OUTSIDE) & seen, INSIDE, judged.status)
    return Judged(status, *judged.parts()[1:])  # of large arrays the arrays are not made yet


def union(known: dict[str, Judged] | None, new: dict[str, Judged]) -> dict[str, Judged]:
    """What either of two ways explains: element by element, the way with fewer outputs outside; of equals the known one.

    One way must explain all outputs of an element, so that all are taken from the same one. An output that is one number a
    row, a column or a tensor is taken from the new way where any of its elements is.

    Args:
        known: all outputs on the ways before; None if there were none.
        new: the same outputs on one more.

    Returns:
        All outputs, by name; the new ones if there were none before.
    """
    if known is None:
        return new
    worse = sum((known[n].status == OUTSIDE).astype(np.int8) for n in known)
    fewer = np.asarray(sum((new[n].status == OUTSIDE).astype(np.int8) for n in new) < worse)
    return {n: either(known[n], new[n], within(fewer, new[n].status.shape)) for n in new}


def either(known: Judged, new: Judged, better: np.ndarray) -> Judged:
    """One output of either of two ways, element by element.

    Args:
        known: the output on one way.
        new: the same on another.
        better: where it is taken from that one.

    Returns:
        The output. Where both refuse what was seen, and one of them admits NaN and the other numbers, the truth is NaN and the
        ends are those of the numbers, so that all that is admissible can be told.
    """
    taken = Judged(*(np.where(better, getattr(new, f), getattr(known, f)) for f in FIELDS))
    nan = np.isnan(known.truth) != np.isnan(new.truth)
    if not nan.any():
        return taken
    at = nan & (known.status == OUTSIDE) & (new.status == OUTSIDE)
    low = np.where(at, np.where(np.isnan(known.low), new.low, known.low), taken.low)
    high = np.where(at, np.where(np.isnan(known.high), new.high, known.high), taken.high)
    truth = np.where(at, np.nan, taken.truth)
    return Judged(taken.status, truth, low, high)
