"""The enclosure as a graph: where its conditions hold, the enclosure has its centres, and no bound that is smaller."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from refgrad import optimizers
from refgrad.arithmetic import summation
from refgrad.arithmetic.averages import complementary
from refgrad.arithmetic.enclosed import SPARE, Enclosed, Few, Fold, Pass, seen
from refgrad.arithmetic.enclosure import Ambiguous
from refgrad.arithmetic.enclosure_graph import Unknown, enclosed
from refgrad.arithmetic.graph import Node, walk
from refgrad.arithmetic.operations import OPERATIONS
from refgrad.arithmetic.running_error import Bounded
from refgrad.axes import ELEMENT
from refgrad.kinds.leaf import Leaf
from refgrad.optimizers import AdamW, Stored
from refgrad.oracle.acceptance.comparing import model_for
from refgrad.oracle.acceptance.judge import Step, enclosure_of, judge_outputs, read, scalars_of
from refgrad.oracle.acceptance.judgement import INSIDE
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.acceptance.screening import why_not
from refgrad.strength.exercised import exercised
from refgrad.strength.programs.optimizer import OptimizerPrograms
from refgrad.strength.rounding_styles import STYLES
from refgrad.tracing import free_values, plan_for
from tests.depth import at_depth
from tests.oracle.cases import shipped

Arrays = Mapping[str, np.ndarray]

#: the default, the sharpest, a wide one, and sums along a tree
POLICIES = (
    Policy(),
    Policy(roundings=1, scalar_roundings=1),
    Policy(roundings=6, scalar_roundings=4),
    Policy(sums="pairwise"),
)
RULES = [exercised(rule) for rule in shipped()]


def steps(rule: Any, style: str) -> Iterator[Step]:
    """The steps of random legal programs, as many as the depth says."""
    programs, random = OptimizerPrograms(rule), np.random.Generator(np.random.Philox(5))
    for batch in programs.batches(1):
        for case in list(batch)[: at_depth(quick=1, suite=2, thorough=20)]:
            record = programs.legal(case, random, STYLES[style])
            leaf = Leaf(record, 0, record.rules[0], Policy(), plan_for)
            yield from (leaf.step(t) for t in range(1, at_depth(quick=2, suite=3, thorough=len(record.seen))))
        return


def in_float64(step: Step) -> Step:
    """The same step as the rule makes it in float64, which begins with the same numbers."""
    rule, names = step.plan.rule, list(step.before)
    state = {n: step.before[n].value for n in names if n in rule.slots()} | {
        n: step.free[n] for n in rule.slots() if n in step.free
    }
    extras = {n: step.before[n].value if n in names else step.free[n] for n in rule.inputs()}
    p, g = step.before["p"].value, step.before["g"].value
    with np.errstate(all="ignore"):
        new, after = rule.step(p, g, {**state, "t": int(step.free["t"]) - 1}, backend="numpy", **extras)
    return dataclasses.replace(step, after={n: np.asarray(after.get(n, new)) for n in step.after})


class Evaluated:
    """What a graph gives in NumPy.

    Args:
        found: the graph.
        step: what it reads.
        policy: what is charged.
    """

    def __init__(self, found: Enclosed, step: Step, policy: Policy) -> None:
        self.found, self.shape = found, step.after["p"].shape
        model = model_for(policy, step.after["p"].dtype)
        scalars = scalars_of(step.plan, step.plan.graph, step.free, model)
        self.arrays = {n: b.value for n, b in step.before.items()} | {
            seen(n): a.astype(np.float64) for n, a in step.after.items()
        }
        self.few = Few(found, scalars, model, self.arrays)
        self.left = left(step, policy)
        self.values = self.few.values
        self.folded: list[tuple[Fold, bool]] = []
        for fold in found.folds:
            self.folded.append((fold, self._compute(fold.loop)))
            self.few.add(fold.node, self.left[fold.node.index][1])
        bounds = [each for _, each in self.left.values()]
        known = all(np.isfinite(each.bound()).all() and not each.has_ends() for each in bounds)
        self.shared = self._compute(found.loop) and known

    def _compute(self, loop: Pass) -> bool:
        """Whether what elements share is as it must be."""
        holds = self.few.hold(loop)
        with np.errstate(all="ignore"):
            for node in loop.elements:
                if node.index not in self.values:
                    self.values[node.index] = self._value(node)
        return holds

    def _value(self, node: Node) -> Any:
        if node.op == "input":
            return self.arrays[node.attribute]
        return OPERATIONS[node.op].on([self.values[a.index] for a in node.args])

    def hold(self, conditions: tuple[Node, ...]) -> np.ndarray:
        """Where all of some conditions hold."""
        if not self.shared:
            return np.zeros(self.shape, bool)
        each = [self.values[n.index] for n in conditions if n.axes == ELEMENT]
        return np.logical_and.reduce([np.broadcast_to(v, self.shape) for v in [np.asarray(True), *each]])

    def output(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """The centre and the bound of an output."""
        error = self.found.errors.get(name)
        both = self.values[self.found.truths[name].index], 0.0 if error is None else self.values[error.index]
        return tuple(np.broadcast_to(np.asarray(a, np.float64), self.shape) for a in both)  # type: ignore[return-value]

    def inside(self, spare: float = SPARE) -> np.ndarray:
        """Where every output is inside with the margin."""
        fine = self.hold(self.found.conditions)
        for name in self.found.names:
            truth, error = self.output(name)
            with np.errstate(all="ignore"):
                fine = fine & (
                    np.abs(self.arrays[seen(name)] - truth) <= error * (1.0 - self.found.losses[name] - spare)
                )
        return fine


def left(step: Step, policy: Policy) -> dict[int, tuple[Bounded, Bounded]]:
    """By the index of a reduction what it folds and what it leaves, as the enclosure has them of the whole arrays."""
    model = model_for(policy, step.after["p"].dtype)
    enclosure = enclosure_of(step.plan, model)
    found: dict[int, tuple[Bounded, Bounded]] = {}
    with np.errstate(all="ignore"):
        scalars = scalars_of(step.plan, step.plan.graph, step.free, model)
        numbers, _, observed = read(enclosure, step.before, step.after)
        for node in enclosure.folds():
            known = {index: each for index, (_, each) in found.items()}
            operand = enclosure.operand(node, numbers, scalars, observed, known)
            found[node.index] = operand, enclosure.fold(node, operand)
    return found


def wrong_folds(step: Step, policy: Policy, found: Enclosed | None = None) -> list[str]:
    """What kernels would hand to reductions in place of what the enclosure has, where they are clear."""
    known = _enclosed(step, policy) if found is None else found
    evaluated, wrong = Evaluated(known, step, policy), []
    for fold, shared in evaluated.folded:
        if not shared:
            continue
        musts = [n for n in (*fold.loop.conditions, *fold.loop.exactly) if n.axes == ELEMENT]
        if not all(np.all(evaluated.values[n.index]) for n in musts):
            continue
        theirs = evaluated.left[fold.node.index][0]
        error = 0.0 if fold.error is None else evaluated.values[fold.error.index]
        if not np.array_equal(evaluated.values[fold.value.index], theirs.value):
            wrong.append(f"the centre of what {fold.node.index} folds")
        if not np.array_equal(np.broadcast_to(error, theirs.value.shape), theirs.bound()):
            wrong.append(f"the bound of what {fold.node.index} folds")
    return wrong


def judged_alone(step: Step, policy: Policy, some: np.ndarray) -> tuple[dict[str, Bounded], dict[str, np.ndarray]]:
    """Some elements as the enclosure has them, judged together without the others: the sets, and the statuses."""
    model = model_for(policy, step.after["p"].dtype)
    enclosure = enclosure_of(step.plan, model)
    coupled = step.plan.graph.couples() or bool(step.plan.graph.small)
    before = step.before if coupled else {n: b.mapped(lambda a: a[some]) for n, b in step.before.items()}
    after = step.after if coupled else {n: a[some] for n, a in step.after.items()}
    with np.errstate(all="ignore"):
        scalars = scalars_of(step.plan, step.plan.graph, step.free, model)
        judged = judge_outputs(enclosure, before, scalars, after, policy)[0]
        observed = {n: Bounded(a.astype(np.float64)) for n, a in after.items()}
        sets = dict(next(iter(enclosure.branches(before, scalars, observed))).sets)
    return sets, {n: j.status for n, j in judged.items()}


def faults(step: Step, policy: Policy, found: Enclosed | None = None, spare: float = SPARE) -> tuple[list[str], float]:
    """What the graph says that the enclosure does not, and the share of elements of which it says that they are inside."""
    known = _enclosed(step, policy) if found is None else found
    evaluated = Evaluated(known, step, policy)
    some = evaluated.inside(spare)
    coupled = bool(known.folds or known.few)
    if not (some.all() if coupled else some.any()):  # elements that share numbers are judged with all others
        return wrong_folds(step, policy, known) if coupled else [], 0.0
    sets, statuses = judged_alone(step, policy, some)
    wrong = [f"{n} is not inside" for n, status in statuses.items() if (status != INSIDE).any() and n in known.names]
    wrong += wrong_folds(step, policy, known) if coupled else []
    exactly = evaluated.hold(known.exactly)[some]
    for name in known.names:
        (truth, error), theirs = (a[some] for a in evaluated.output(name)), sets[name]
        if coupled:
            theirs = theirs.mapped(np.ravel)
        bound = np.broadcast_to(theirs.bound(), error.shape)
        wrong += [f"the centre of {name}"] * (not np.array_equal(truth, np.broadcast_to(theirs.value, truth.shape)))
        wrong += [f"the bound of {name} is larger than it says"] * bool((bound > error).any())
        wrong += [f"the bound of {name} is smaller"] * bool((bound < error * (1.0 - known.losses[name])).any())
        wrong += [f"the bound of {name} is another"] * (not np.array_equal(bound[exactly], error[exactly]))
    return wrong, float(some.mean())


def _enclosed(step: Step, policy: Policy) -> Enclosed:
    model = model_for(policy, step.after["p"].dtype)
    return enclosed(
        step.plan.graph, complementary(step.plan.graph, scalars_of(step.plan, step.plan.graph, step.free, model))
    )


def at_the_edge(step: Step, policy: Policy, random: np.random.Generator) -> Step:
    """The step of a program whose results are off by half to one and a half of what is allowed."""
    evaluated, after = Evaluated(_enclosed(step, policy), step, policy), dict(step.after)
    for name in evaluated.found.names:
        array = step.after[name]
        truth, error = evaluated.output(name)
        off = error * random.uniform(0.5, 1.5, error.shape) * random.choice([-1.0, 1.0], error.shape)
        with np.errstate(all="ignore"):
            after[name] = np.where(np.isfinite(off), truth + off, array).astype(array.dtype)
    return dataclasses.replace(step, after=after)


@pytest.mark.sample(quick=3, suite=6)
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_what_it_says_is_what_the_enclosure_says(rule: Any) -> None:
    random, covered = np.random.Generator(np.random.Philox(3)), []
    for number, step in enumerate(steps(rule, "rewritten and directed")):
        for policy in POLICIES if number < 2 else POLICIES[:1]:
            if why_not(step, policy) is not None:
                continue
            with contextlib.suppress(
                Ambiguous
            ):  # a decision is open that a sum depends on: all is judged without kernels
                for each in (step, at_the_edge(step, policy, random), in_float64(step)):
                    wrong, share = faults(each, policy)
                    assert not wrong
                    if not step.plan.graph.couples():  # else a kernel is only asked where all elements are ordinary
                        covered.append(share)
    assert not covered or max(covered) > 0


ADAMW = AdamW(lr=0.01, weight_decay=0.1)


def ordinary(rule: Any = ADAMW, size: int | tuple[int, ...] = 4096, t: int = 3, dtype: Any = np.float32) -> Step:
    """A step of a right program on ordinary numbers."""
    random = np.random.default_rng(0)
    p = random.standard_normal(size).astype(dtype)
    state, before = rule.init(p), {}
    for _ in range(t):
        g = random.standard_normal(size).astype(dtype)
        before = {"p": p, "g": g, **{n: state[n] for n in rule.slots()}}
        p, state = rule.step(p, g, state, backend="numpy")
    plan = rule.plan(p.shape, t)
    free = dict(zip(plan.free, free_values(p.shape, {"t": float(t)}), strict=True))
    known = {n: Bounded(a.astype(np.float64)) for n, a in before.items()}
    return Step(plan, free, known, {"p": p, **{n: state[n] for n in rule.slots()}})


def test_ordinary_numbers_are_all_clear() -> None:
    assert faults(ordinary(), Policy()) == ([], 1.0)


#: rules whose elements see each other by sums
COUPLED = (
    optimizers.LAMB(weight_decay=0.1),
    optimizers.Adafactor(),
    optimizers.LARS(momentum=0.9),
    optimizers.NovoGrad(weight_decay=0.1),
)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rule", COUPLED, ids=lambda rule: type(rule).__name__)
def test_sums_of_ordinary_numbers_are_those_of_the_enclosure(rule: Any, dtype: Any) -> None:
    random, shares = np.random.Generator(np.random.Philox(3)), []
    step = ordinary(rule, (60, 40), dtype=dtype)
    for policy in POLICIES:
        assert why_not(step, policy) is None
        wrong, share = faults(step, policy)
        assert (wrong, share) == ([], 1.0)
        assert not faults(at_the_edge(step, policy, random), policy)[0]
        shares.append(len(Evaluated(_enclosed(step, policy), step, policy).folded))
    assert min(shares) > 0


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("rule", COUPLED, ids=lambda rule: type(rule).__name__)
def test_sums_of_many_terms_are_those_of_the_enclosure(
    rule: Any, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a sum may be off by, as a share of itself, as of arrays of millions of elements."""
    monkeypatch.setattr(summation, "steps", lambda terms, model: int(share / model.of_adding * terms / 2400))
    random, step = np.random.Generator(np.random.Philox(3)), ordinary(rule, (60, 40))
    assert faults(step, Policy()) == ([], 1.0)
    assert not faults(at_the_edge(step, Policy(), random), Policy())[0]


@pytest.mark.parametrize("scale", [1e-12, 1e-22, 1e-30, 1e18])
def test_sums_of_numbers_whose_squares_underflow_are_those_of_the_enclosure(scale: float) -> None:
    for rule in COUPLED:
        step = ordinary(rule, (60, 40))
        before = {n: Bounded((b.value * scale).astype(np.float32).astype(np.float64)) for n, b in step.before.items()}
        assert not faults(dataclasses.replace(step, before=before), Policy())[0]


@pytest.mark.parametrize("planted", ["no bound", "no condition"])
def test_a_fault_in_what_is_folded_is_seen(planted: str) -> None:
    """A bound that is left out; a chunk in which squares underflow that counts as clear."""
    rule = COUPLED[0]
    step = ordinary(rule, (60, 40))
    if planted == "no condition":
        p = (step.before["p"].value * 1e-22).astype(np.float32).astype(np.float64)
        step = dataclasses.replace(step, before={**step.before, "p": Bounded(p)})
    found = _enclosed(step, Policy())
    others = {
        "no bound": lambda fold: fold._replace(error=None),
        "no condition": lambda fold: fold._replace(loop=Pass(fold.loop.roots, (), ())),
    }
    changed = dataclasses.replace(found, folds=tuple(map(others[planted], found.folds)))
    assert not wrong_folds(step, Policy(), found)
    assert wrong_folds(step, Policy(), changed)


def test_the_first_step_begins_with_zeros() -> None:
    step = ordinary(t=1)
    assert not step.before["m"].value.any()
    assert faults(step, Policy()) == ([], 1.0)


#: what is done to the graph of AdamW, each of which must be seen: by the index of a node, another operation
PLANTED = {
    "a sign of a bound": ("sub", "add"),
    "a sum of bounds": ("add", "sub"),
    "a product": ("mul", "add"),
    "a root": ("sqrt", "abs"),
}


@pytest.mark.sample(quick=2)
@pytest.mark.parametrize("planted", PLANTED)
def test_a_fault_in_the_graph_is_seen(planted: str) -> None:
    step, (old, new) = ordinary(), PLANTED[planted]
    found = _enclosed(step, Policy())
    changed, seen_faults, right = 0, 0, outputs_of(found, step)
    needed = {n.index for root in (*found.truths.values(), *found.errors.values()) for n in walk(root)}
    for node in found.of_elements:
        if node.op == old and node.index in needed:
            other = with_other(found, node.index, new)
            if outputs_of(other, step) == right:  # what counts only where numbers underflow
                continue
            changed += 1
            wrong, share = faults(step, Policy(), other)
            seen_faults += bool(wrong) or share < 1.0
    assert changed
    assert seen_faults == changed


def outputs_of(found: Enclosed, step: Step) -> list[bytes]:
    """The centres and bounds that a graph gives."""
    evaluated = Evaluated(found, step, Policy())
    return [array.tobytes() for name in found.names for array in evaluated.output(name)]


def with_other(found: Enclosed, index: int, op: str) -> Enclosed:
    """The graph with one operation in place of another."""
    made: dict[int, Node] = {}
    for node in found.graph.nodes:
        args, other = tuple(made[a.index] for a in node.args), node.op
        if node.index == index:
            args, other = args[: OPERATIONS[op].arity], op
        made[node.index] = Node(node.index, other, args, node.attribute, node.axes)
    return dataclasses.replace(
        found,
        graph=dataclasses.replace(found.graph, nodes=tuple(made.values())),
        conditions=tuple(made[n.index] for n in found.conditions),
        exactly=tuple(made[n.index] for n in found.exactly),
        truths={n: made[node.index] for n, node in found.truths.items()},
        errors={n: made[node.index] for n, node in found.errors.items()},
    )


def test_a_dropped_error_is_seen() -> None:
    step = ordinary()
    found = _enclosed(step, Policy())
    for name in found.names:
        without = {n: node for n, node in found.errors.items() if n != name}
        wrong, share = faults(step, Policy(), dataclasses.replace(found, errors=without))
        assert wrong or share < 1.0


def test_a_margin_that_is_too_small_is_seen() -> None:
    step, random = ordinary(), np.random.Generator(np.random.Philox(11))
    edge = at_the_edge(step, Policy(), random)
    assert not faults(edge, Policy())[0]
    assert any("not inside" in fault for fault in faults(edge, Policy(), spare=-0.1)[0])


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        (optimizers.Muon(), "see each other"),
        (optimizers.DiffGrad(), "exp is no operation"),
        (Stored(), "round is no operation"),
    ],
    ids=str,
)
def test_what_it_does_not_know_it_refuses_with_a_reason(rule: Any, why: str) -> None:
    with pytest.raises(Unknown, match=why):
        enclosed(rule.plan((4, 4), 2).graph, {})


def test_averages_are_found_by_the_values_of_their_coefficients() -> None:
    step = ordinary()
    scalars = scalars_of(step.plan, step.plan.graph, step.free, model_for(Policy(), np.dtype(np.float32)))
    assert sorted(complementary(step.plan.graph, scalars).values()) == [((0, 1),), ((0, 1),)]
    others = [s._replace(value=s.value * 0.5) for s in scalars]
    assert complementary(step.plan.graph, others) == {}
