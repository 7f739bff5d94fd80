"""Judging a rule without state on one case: every output that was seen, from the inputs alone.

Outputs with an element for each of the input's are judged element by element over all admissible decisions. A sum over
elements (a parameter's gradient) is judged given these: where a decision could go either way at an element, the term is
taken as the outputs that were seen there say that it went.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

import numpy as np

from refgrad.arithmetic.enclosure import Branch, Enclosure
from refgrad.arithmetic.exact import Outcomes, evaluate
from refgrad.arithmetic.graph import Graph, Node
from refgrad.arithmetic.operations import OUTCOMES
from refgrad.arithmetic.running_error import Bounded, Model, exact, widest
from refgrad.axes import ELEMENT
from refgrad.oracle.acceptance import screened_cases
from refgrad.oracle.acceptance.chunks import CHUNK, Cut, Gathered
from refgrad.oracle.acceptance.comparing import compare, model_for
from refgrad.oracle.acceptance.explicit_sets import Ends, ends
from refgrad.oracle.acceptance.judge import can_be_cut, scalars_of
from refgrad.oracle.acceptance.judgement import INSIDE, OUTSIDE, UNDECIDED, Judged, Parts, outside, undecide, union
from refgrad.oracle.acceptance.kept import bits, computed, made
from refgrad.oracle.acceptance.policy import Policy
from refgrad.tracing import Plan


@dataclass(frozen=True)
class _Case:
    """What is judged, and how: the arguments of `judge_case`, with the model of the policy, and the shape of the primary."""

    plan: Plan
    free: Mapping[str, float]
    seen: Mapping[str, np.ndarray]
    policy: Policy
    model: Model
    shape: tuple[int, ...]
    products: frozenset[str]

    def branches(self, graph: Graph, inputs: Mapping[str, Bounded]) -> Iterator[Branch]:
        """The acceptance sets of a part of the plan's graph, for every way that its decisions may go."""
        scalars = scalars_of(self.plan, graph, self.free, self.model)
        return Enclosure(graph, self.model).branches(inputs, scalars, {})

    def compared(self, name: str, acceptable: Bounded) -> Judged:
        """An output that was seen against its acceptance set."""
        acceptable = _multiplied(acceptable, self.model) if name in self.products else acceptable
        return compare(acceptable, self.seen[name].astype(np.float64), self.seen[name].dtype, self.policy)


@dataclass
class _Group:
    """What is known under one way of the decisions that a whole tensor shares."""

    judged: dict[str, Judged]
    #: the ends of each output's acceptance set on the first way
    ends: dict[str, tuple[np.ndarray, np.ndarray]]
    #: where an output's acceptance set depends on a decision that could go another way
    open: dict[str, np.ndarray] = field(default_factory=dict)
    #: for each term of a sum, its bounds over the branches that agree with the outputs, and over all branches
    terms: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    others: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)


def judge_case(
    plan: Plan,
    free: Mapping[str, float],
    arrays: Mapping[str, np.ndarray],
    seen: Mapping[str, np.ndarray],
    policy: Policy,
    products: frozenset[str] = frozenset(),
) -> dict[str, Judged]:
    """Every output that was seen, judged.

    Args:
        plan: the traced rule.
        free: the values of the plan's free names.
        arrays: the inputs by name, as the candidate was given them.
        seen: the candidate's outputs by name, of the shapes that the rule gives them.
        policy: what counts as correct.
        products: outputs that come out of at least one multiplication, even where the rule multiplies by nothing: a
            chain rule multiplies by a derivative of one, or by a scale and its reciprocal.
    """

    def key() -> Hashable:
        read = sorted({plan.rule.primary, *plan.graph.inputs()} & arrays.keys())
        given, shown = tuple((n, bits(arrays[n])) for n in read), tuple((n, bits(a)) for n, a in seen.items())
        return judge_case, computed(plan, free), given, shown, policy, products

    def make() -> tuple[tuple[str, Parts], ...]:
        judged = _judge_case(plan, free, arrays, seen, policy, products)
        return tuple((n, each.parts()) for n, each in judged.items())

    case = screened_cases.Case(plan, free, arrays, seen, policy, products)
    known = screened_cases.judge(case, partial(_judge_at_once, plan, free, policy=policy, products=products))
    if known is not None:
        return known
    return {n: Judged(*parts) for n, parts in made(arrays[plan.rule.primary].size, key, make)}


def _judge_case(
    plan: Plan,
    free: Mapping[str, float],
    arrays: Mapping[str, np.ndarray],
    seen: Mapping[str, np.ndarray],
    policy: Policy,
    products: frozenset[str],
) -> dict[str, Judged]:
    graph, shape = plan.graph, arrays[plan.rule.primary].shape
    if arrays[plan.rule.primary].size > CHUNK and not graph.small and not graph.couples() and can_be_cut(graph):
        cut = Cut.of(shape, CHUNK)
        found = Gathered(cut)
        for chunk in cut.chunks():
            given, shown = ({n: cut.part(a, chunk) for n, a in of.items()} for of in (arrays, seen))
            judged = _judge_at_once(plan, free, given, shown, policy, products)
            for n, each in judged.items():
                found.add(n, each.parts(), ELEMENT, chunk)
        return {n: Judged(*found.of(n, len(each.parts()))) for n, each in judged.items()}
    return _judge_at_once(plan, free, arrays, seen, policy, products)


def _judge_at_once(
    plan: Plan,
    free: Mapping[str, float],
    arrays: Mapping[str, np.ndarray],
    seen: Mapping[str, np.ndarray],
    policy: Policy,
    products: frozenset[str],
) -> dict[str, Judged]:
    parts = _parts(plan, free, arrays, seen, policy, products)
    with np.errstate(all="ignore"):
        group = _elements(parts.case, parts.graph, parts.inputs)
        if not parts.late:
            return group.judged
        known = {**parts.inputs, **{_term(i): _between(group, _term(i)) for i in parts.terms}}
        return {**group.judged, **_small(parts.case, parts.sums(), known)}


class _Parts(NamedTuple):
    """A case in two: what has an element for each of the input's and the terms of sums, and the results that are sums."""

    case: _Case
    inputs: Mapping[str, Bounded]
    graph: Graph
    terms: Mapping[int, Node]
    late: Mapping[str, Node]

    def sums(self) -> Graph:
        """The graph of the sums, given their terms."""
        return self.case.plan.graph.cut(self.late, {i: _term(i) for i in self.terms})


def _parts(
    plan: Plan,
    free: Mapping[str, float],
    arrays: Mapping[str, np.ndarray],
    seen: Mapping[str, np.ndarray],
    policy: Policy,
    products: frozenset[str],
) -> _Parts:
    primary = arrays[plan.rule.primary]
    model = model_for(policy, primary.dtype)
    case = _Case(plan, free, seen, policy, model, primary.shape, products)
    with np.errstate(all="ignore"):
        inputs = {n: exact(a.astype(np.float64), model) for n, a in arrays.items()}
    wanted = {n: node for n, node in plan.graph.outputs.items() if n in seen}
    late = {n: node for n, node in wanted.items() if n in plan.graph.small}
    terms = _terms(late)
    early = {n: node for n, node in wanted.items() if n not in late}
    graph = plan.graph.cut({**early, **{_term(i): node for i, node in terms.items()}}, {})
    return _Parts(case, inputs, graph, terms, late)


def sums_apart(
    plan: Plan,
    free: Mapping[str, float],
    arrays: Mapping[str, np.ndarray],
    seen: Mapping[str, np.ndarray],
    policy: Policy,
) -> dict[str, Ends]:
    """The ends of the results that are sums over elements, whichever way each element goes.

    Args:
        plan, free, arrays, policy: as of `judge_case`.
        seen: of the results shapes and dtypes count.
    """
    parts = _parts(plan, free, arrays, seen, policy, frozenset())
    if not parts.late:
        return {}
    case, group, found = parts.case, _Group({}, {}), dict[str, Ends]()
    with np.errstate(all="ignore"):
        for branch in case.branches(parts.graph, parts.inputs):
            for i in parts.terms:
                _widen(group.terms, _term(i), branch.sets[_term(i)], np.ones(case.shape, bool), case.shape)
        group.others = group.terms
        known = {**parts.inputs, **{_term(i): _between(group, _term(i)) for i in parts.terms}}
        for branch in case.branches(parts.sums(), known):
            for n, acceptable in branch.sets.items():
                low, high = ends(acceptable, seen[n].shape, seen[n].dtype, policy)
                before = found.get(n, (low, high))
                found[n] = np.minimum(before[0], low), np.maximum(before[1], high)
    return found


def outcomes_seen(
    plan: Plan,
    free: Mapping[str, float],
    arrays: Mapping[str, np.ndarray],
    seen: Mapping[str, np.ndarray],
    policy: Policy,
    digits: int,
    products: frozenset[str] = frozenset(),
) -> Outcomes:
    """The decisions that went another way than those of exact numbers, as the results of elements show.

    Args:
        plan, free, arrays, seen, policy, products: as of `judge_case`.
        digits: decimal digits of the exact arithmetic.

    Returns:
        By the index of the decision in the plan's graph, the elements at which it did, and the outcomes.
    """
    parts = _parts(plan, free, arrays, seen, policy, products)
    groups: dict[tuple[tuple[int, int], ...], _Shown] = {}
    own: dict[int, np.ndarray] = {}
    with np.errstate(all="ignore"):
        for branch in parts.case.branches(parts.graph, parts.inputs):
            if branch.outcomes and not own:
                own = _of_exact_numbers(parts, digits)
            if own:
                groups.setdefault(branch.shared, _Shown(np.zeros(parts.case.shape, np.int8), {})).add(
                    parts.case, branch, own
                )
    if not groups:
        return {}
    best = max(groups.values(), key=lambda group: (int((group.rank > 0).sum()), int(group.rank.sum())))
    found = {}
    for i, values in best.outcomes.items():
        part = tuple(slice(0, n) for n in own[i].shape)  # of what is one a row all numbers are the same
        if (best.rank[part] == 1).any():
            found[i] = (best.rank[part] == 1, values[part])
    return found


def _of_exact_numbers(parts: _Parts, digits: int) -> dict[int, np.ndarray]:
    """What decisions give of exact numbers, by index."""
    graph = parts.graph.cut({str(n.index): n for n in parts.graph.nodes if n.op in OUTCOMES}, {})
    arrays = {n: parts.inputs[n].value for n in graph.inputs()}
    found = evaluate(graph, arrays, {**parts.case.plan.rule.numbers(), **parts.case.free}, digits)
    return {int(i): np.asarray(a, object).astype(np.float64) for i, a in found.items()}


@dataclass
class _Shown:
    """Under one way of the decisions that a tensor shares, what the results of elements show of the others.

    Attributes:
        rank: of each element the best way so far: 2 that of exact numbers and 1 another, if the results agree; else 0.
        outcomes: by the index of a decision, what it gives on these ways, one an element.
    """

    rank: np.ndarray
    outcomes: dict[int, np.ndarray]

    def add(self, case: _Case, branch: Branch, own: Mapping[int, np.ndarray]) -> None:
        """One more way."""
        agrees, exact_ = np.ones(case.shape, bool), np.ones(case.shape, bool)
        for name in branch.sets.keys() & case.seen.keys():
            agrees &= case.compared(name, branch.sets[name]).status != OUTSIDE
        for i, values in branch.outcomes.items():
            exact_ &= (values == own[i]) | np.isnan(own[i])
            self.outcomes.setdefault(i, np.broadcast_to(own[i], case.shape).copy())
        rank = np.where(agrees, np.where(exact_, 2, 1), 0).astype(np.int8)
        for i, kept in self.outcomes.items():
            kept[...] = np.where(rank > self.rank, branch.outcomes.get(i, own[i]), kept)
        self.rank = np.maximum(rank, self.rank)


def _term(index: int) -> str:
    return f"term {index}"


def _terms(late: Mapping[str, Node]) -> dict[int, Node]:
    """The operands of the reductions over elements that the late outputs need last."""
    found: dict[int, Node] = {}
    stack = list(late.values())
    while stack:
        node = stack.pop()
        if node.op in ("sum", "max") and node.args[0].axes == ELEMENT:
            found[node.args[0].index] = node.args[0]
        else:
            stack.extend(node.args)
    return found


def _elements(case: _Case, graph: Graph, inputs: Mapping[str, Bounded]) -> _Group:
    """The elementwise outputs judged, and bounds on the terms of sums."""
    groups: dict[tuple[tuple[int, float], ...], _Group] = {}
    for branch in case.branches(graph, inputs):
        judged = {n: case.compared(n, acceptable) for n, acceptable in branch.sets.items() if n in case.seen}
        agree = np.ones(case.shape, bool)
        for result in judged.values():
            agree &= result.status != OUTSIDE
        # not the ends that were judged by: these are on the grid of the dtype only where some element was not clearly inside
        ends = {n: widest(None, branch.sets[n]) for n in judged}
        group = groups.get(branch.shared)
        if group is None:
            group = groups[branch.shared] = _Group(judged, ends, {n: np.zeros(case.shape, bool) for n in judged})
        else:
            for n, (low, high) in ends.items():
                group.open[n] |= ((low != group.ends[n][0]) | (high != group.ends[n][1])) & ~np.isnan(low)
            group.judged = union(group.judged, judged)
        for name, acceptable in branch.sets.items():
            if name not in case.seen:
                _widen(group.terms, name, acceptable, agree, case.shape)
                _widen(group.others, name, acceptable, np.ones(case.shape, bool), case.shape)
    best = min(groups.values(), key=lambda group: outside(group.judged.values()))
    for n, known in best.judged.items():
        status = np.where(best.open[n] & (known.status == INSIDE), UNDECIDED, known.status)
        best.judged[n] = replace(known, status=status)
    return best


def _multiplied(acceptable: Bounded, model: Model) -> Bounded:
    """The roundings of one operation, where there are none."""
    least = model.charge * np.abs(np.where(np.isfinite(acceptable.value), acceptable.value, 0.0))
    if not acceptable.has_ends():
        return Bounded(acceptable.value, np.maximum(acceptable.bound(), least))
    low, high = acceptable.value - least, acceptable.value + least
    return acceptable._replace(
        error=np.maximum(acceptable.bound(), least),
        low=np.minimum(acceptable.lowest(), low),
        high=np.maximum(acceptable.highest(), high),
        nan=acceptable.may_be_nan(),
    )


def _widen(
    into: dict[str, tuple[np.ndarray, np.ndarray]],
    name: str,
    acceptable: Bounded,
    where: np.ndarray,
    shape: tuple[int, ...],
) -> None:
    least, most = (np.broadcast_to(end, shape) for end in widest(None, acceptable))
    low, high = into.get(name, (np.full(shape, np.inf), np.full(shape, -np.inf)))
    # NaN stays NaN: the term is NaN under every decision that agrees
    into[name] = (
        np.where(where, np.minimum(low, least), low),
        np.where(where, np.maximum(high, most), high),
    )


def _between(group: _Group, name: str) -> Bounded:
    """A term by its bounds; where no branch agrees with what was seen, by those of all."""
    low, high = group.terms[name]
    none = low > high
    low, high = np.where(none, group.others[name][0], low), np.where(none, group.others[name][1], high)
    same = low == high
    error = np.where(same, 0.0, (high - low) / 2 + np.abs(high) * 2.0**-52)
    unknown = np.isposinf(error)
    return Bounded(np.where(same, low, np.where(unknown, 0.0, (low + high) / 2)), error)


def _small(case: _Case, graph: Graph, inputs: Mapping[str, Bounded]) -> dict[str, Judged]:
    """The outputs that are one number a row or a tensor."""
    best: dict[str, Judged] = {}
    for branch in case.branches(graph, inputs):
        judged = {
            n: undecide(case.compared(n, acceptable), branch.open.get(n)) for n, acceptable in branch.sets.items()
        }
        best = union(best or None, judged)
    return best
