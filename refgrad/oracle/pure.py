"""Judging a rule without state on one case: every output that was seen, from the inputs alone.

Outputs with an element for each of the input's are judged element by element over all admissible decisions. A sum over
elements (a parameter's gradient) is judged given these: where a decision could go either way at an element, the term is
taken as the outputs that were seen there say that it went.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from refgrad.arithmetic.enclosure import Enclosure
from refgrad.arithmetic.graph import Graph, Node
from refgrad.arithmetic.running_error import Bounded, Model, exact
from refgrad.oracle.judge import INSIDE, OUTSIDE, UNDECIDED, Judged, compare, model_for, scalars_of, undecide, union
from refgrad.oracle.policy import Policy
from refgrad.tracing import Plan


@dataclass
class _Group:
    """What is known under one way of the decisions that a whole tensor shares."""

    judged: dict[str, Judged]
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
    primary = arrays[plan.rule.primary]
    model = model_for(policy, primary.dtype)
    with np.errstate(all="ignore"):
        inputs = {n: exact(a.astype(np.float64), model) for n, a in arrays.items()}
        wanted = {n: node for n, node in plan.graph.outputs.items() if n in seen}
        late = {n: node for n, node in wanted.items() if n in plan.graph.small}
        terms = _terms(late)
        early = {n: node for n, node in wanted.items() if n not in late}
        first = plan.graph.cut({**early, **{_term(i): node for i, node in terms.items()}}, {})
        group = _elements(plan, first, free, inputs, seen, policy, model, primary.shape, products)
        if not late:
            return group.judged
        second = plan.graph.cut(late, {i: _term(i) for i in terms})
        known = {**inputs, **{_term(i): _between(group, _term(i)) for i in terms}}
        return {**group.judged, **_small(plan, second, free, known, seen, policy, model)}


def _term(index: int) -> str:
    return f"term {index}"


def _terms(late: Mapping[str, Node]) -> dict[int, Node]:
    """The operands of the reductions over elements that the late outputs need last."""
    found: dict[int, Node] = {}
    stack = list(late.values())
    while stack:
        node = stack.pop()
        if node.op in ("sum", "max") and node.args[0].level == "element":
            found[node.args[0].index] = node.args[0]
        else:
            stack.extend(node.args)
    return found


def _elements(
    plan: Plan,
    graph: Graph,
    free: Mapping[str, float],
    inputs: Mapping[str, Bounded],
    seen: Mapping[str, np.ndarray],
    policy: Policy,
    model: Model,
    shape: tuple[int, ...],
    products: frozenset[str],
) -> _Group:
    """The elementwise outputs judged, and bounds on the terms of sums."""
    enclosure = Enclosure(graph, model)
    groups: dict[tuple[tuple[int, float], ...], _Group] = {}
    for branch in enclosure.branches(inputs, scalars_of(plan, graph, free, model), {}):
        judged = {}
        agree = np.ones(shape, bool)
        for name, acceptable in branch.sets.items():
            if name in seen:
                if name in products:
                    acceptable = _multiplied(acceptable, model)
                result = compare(acceptable, seen[name].astype(np.float64), seen[name].dtype, policy)
                agree &= result.status != OUTSIDE
                judged[name] = result
        group = groups.get(branch.shared)
        if group is None:
            group = groups[branch.shared] = _Group(judged, {n: np.zeros(shape, bool) for n in judged})
        else:
            for n, new in judged.items():
                group.open[n] |= (new.low != group.judged[n].low) & ~np.isnan(new.low)
            group.judged = union(group.judged, judged)
        for name, acceptable in branch.sets.items():
            if name not in seen:
                _widen(group.terms, name, acceptable, agree, shape)
                _widen(group.others, name, acceptable, np.ones(shape, bool), shape)
    best = min(groups.values(), key=lambda g: sum(int((j.status == OUTSIDE).sum()) for j in g.judged.values()))
    for n, known in best.judged.items():
        status = np.where(best.open[n] & (known.status == INSIDE), UNDECIDED, known.status)
        best.judged[n] = replace(known, status=status)
    return best


def _multiplied(acceptable: Bounded, model: Model) -> Bounded:
    """The roundings of one operation, where there are none."""
    least = model.charge * np.abs(np.where(np.isfinite(acceptable.value), acceptable.value, 0.0))
    return Bounded(acceptable.value, np.maximum(acceptable.bound(), least))


def _widen(
    into: dict[str, tuple[np.ndarray, np.ndarray]],
    name: str,
    acceptable: Bounded,
    where: np.ndarray,
    shape: tuple[int, ...],
) -> None:
    value, error = np.broadcast_to(acceptable.value, shape), np.broadcast_to(acceptable.bound(), shape)
    low, high = into.get(name, (np.full(shape, np.inf), np.full(shape, -np.inf)))
    # NaN stays NaN: the term is NaN under every decision that agrees
    into[name] = (
        np.where(where, np.minimum(low, value - error), low),
        np.where(where, np.maximum(high, value + error), high),
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


def _small(
    plan: Plan,
    graph: Graph,
    free: Mapping[str, float],
    inputs: Mapping[str, Bounded],
    seen: Mapping[str, np.ndarray],
    policy: Policy,
    model: Model,
) -> dict[str, Judged]:
    """The outputs that are one number a row or a tensor."""
    best: dict[str, Judged] = {}
    for branch in Enclosure(graph, model).branches(inputs, scalars_of(plan, graph, free, model), {}):
        judged = {
            n: undecide(compare(acceptable, seen[n].astype(np.float64), seen[n].dtype, policy), branch)
            for n, acceptable in branch.sets.items()
        }
        best = union(best or None, judged)
    return best
