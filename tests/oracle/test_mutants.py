"""Rewrites of graphs: what they make is valid, new, and the same every time."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

from refgrad.arithmetic import floats, scalar_math
from refgrad.arithmetic.graph import Graph, axes_of
from refgrad.estimators import RoundingSTE
from refgrad.kinds.table import kind_of
from refgrad.optimizers import (
    LAMB,
    LARS,
    SGD,
    AdaBelief,
    Adadelta,
    Adafactor,
    AdamW,
    AMSGrad,
    Lion,
    NAdam,
    RAdam,
    Rprop,
    ScheduleFreeSGD,
    Sophia,
    StableAdamW,
    Yogi,
)
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.hypotheses.changes import NONE, Change
from refgrad.oracle.hypotheses.equivalence import distinct, same
from refgrad.oracle.mutants import CASE_FURTHER, REWRITES, STEP_FURTHER, Mutation, computed, mutations
from refgrad.oracle.mutants.operand import signature
from refgrad.quantizers import MX, Affine
from refgrad.rule import find, rules
from refgrad.tracing import Plan, plan_for

SHAPE = (3, 2)
#: one rule of each build: averages, signs, branches on t, nested roots, reductions over rows and tensors, small slots
NAMES = (
    "AdamW",
    "SGD",
    "RMSprop",
    "Lion",
    "NAdam",
    "RAdam",
    "Adadelta",
    "AdaBelief",
    "DiffGrad",
    "LAMB",
    "AdamP",
    "Adafactor",
)
ON = {"weight_decay": 0.1, "momentum": 0.9}


def configured(name: str) -> Optimizer:
    """A rule with its decay and its momentum switched on."""
    cls = rules(Optimizer)[name]
    assert issubclass(cls, Optimizer)
    return cls(**{n: v for n, v in ON.items() if n in cls.defaults()})


RULES = [configured(name) for name in NAMES]


def plans(rule: Optimizer) -> list[Plan]:
    """The forms that the first and the tenth step take."""
    return list(dict.fromkeys(rule.plan(SHAPE, t) for t in (1, 10)))


@functools.cache
def mutants(rule: Optimizer) -> list[Mutation]:
    """All mutants of a rule, made once."""
    return mutations(plans(rule))


def check_valid(graph: Graph, plan: Plan) -> None:
    """Operands come first, axes follow from the operands', nothing is dead, and every name is known."""
    seen: set[int] = set()
    known = {*plan.rule.numbers(), *plan.free}
    for node in graph.nodes:
        assert all(a.index in seen for a in node.args), node
        if node.args:
            assert node.axes == axes_of(node.op, [a.axes for a in node.args], node.attribute, 2), node
        if node.op == "scalar":
            assert scalar_math.names_in(node.attribute) <= known, node
        seen.add(node.index)
    used = {a.index for n in graph.nodes for a in n.args} | {n.index for n in graph.outputs.values()}
    assert used == seen
    assert graph.outputs.keys() == plan.graph.outputs.keys()


def evaluate(plan: Plan, graph: Graph, random: np.random.Generator) -> dict[str, np.ndarray]:
    """The outputs of a graph on random numbers, in float64."""
    arrays = {n.attribute: np.abs(random.standard_normal(SHAPE)) for n in graph.nodes if n.op == "input"}
    values = dict(zip(plan.free, np.arange(2.0, 2.0 + len(plan.free)), strict=True))
    names = {**plan.rule.numbers(), **values}
    return floats.evaluate(
        graph, arrays, [scalar_math.evaluate(e, names, scalar_math.FLOAT64) for e in graph.scalars()]
    )


@pytest.mark.sample(quick=2)
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_every_mutant_is_a_valid_graph(rule: Optimizer) -> None:
    forms = plans(rule)
    found = mutants(rule)
    assert len(found) > 20
    random = np.random.Generator(np.random.Philox(0))
    for mutation in found:
        for plan in forms:
            graph = mutation.apply(plan).graph
            check_valid(graph, plan)
        try:
            assert set(evaluate(plan, graph, random)) == set(plan.graph.outputs)
        except (ArithmeticError, ValueError):
            continue  # scalar arithmetic that these hyperparameters do not allow


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_no_mutant_is_the_rule_or_another_mutant(rule: Optimizer) -> None:
    forms = plans(rule)
    signatures = [tuple(computed(p, m.apply(p).graph) for p in forms) for m in mutants(rule)]
    signatures.append(tuple(computed(p, p.graph) for p in forms))
    assert len(set(signatures)) == len(signatures)


@pytest.mark.sample(quick=1)
@pytest.mark.parametrize("rule", RULES[:4], ids=str)
def test_rewriting_is_deterministic(rule: Optimizer) -> None:
    first, second = ([(m.rewrite.name, m.name, m.sentence) for m in mutations(plans(rule.replace()))] for _ in range(2))
    assert first == second


def test_the_values_of_a_choice_are_exchanged() -> None:
    """Rprop's gradient counts as zero where its sign changed: exchanged it counts there alone."""
    plan = Rprop().plan(SHAPE, 6)
    wrong = next(m for m in mutations([plan]) if m.name == "g_prev' exchanged").apply(plan)
    random = np.random.Generator(np.random.Philox(1))
    names = {**plan.rule.numbers(), **dict.fromkeys(plan.free, 6.0)}
    arrays = {n: random.standard_normal(SHAPE) for n in ("p", "g", "g_prev", "step_size")}

    def kept(graph: Graph) -> np.ndarray:
        scalars = [scalar_math.evaluate(e, names, scalar_math.FLOAT64) for e in graph.scalars()]
        return floats.evaluate(graph, arrays, scalars)["g_prev"]

    changed = arrays["g"] * arrays["g_prev"] < 0
    assert 0 < np.count_nonzero(changed) < changed.size
    assert np.array_equal(kept(plan.graph), np.where(changed, 0.0, arrays["g"]))
    assert np.array_equal(kept(wrong.graph), np.where(changed, arrays["g"], 0.0))


def test_a_mutation_leaves_plans_without_its_place_alone() -> None:
    rule = RAdam()
    early, late = rule.plan(SHAPE, 1), rule.plan(SHAPE, 10)
    dropped = next(m for m in mutations([early, late]) if m.name == "no eps")
    assert dropped.apply(early) is early
    assert dropped.apply(late) is not late


def test_rewrites_know_no_rule_by_name() -> None:
    import inspect

    import refgrad.oracle.mutants as package

    names = set(rules(Optimizer))
    modules = [
        package,
        *(vars(package)[m] for m in ("correction", "decay", "eps", "operand", "rough", "step", "weight")),
    ]
    for module in modules:
        code = "\n".join(line.split("#")[0] for line in inspect.getsource(module).splitlines() if '"' not in line)
        assert not names & set(code.replace("(", " ").replace(".", " ").split()), module


@pytest.mark.parametrize("rewrite", [r for r in REWRITES if r.name != "stored"], ids=lambda r: r.name)
def test_every_rewrite_finds_something_in_some_rule(rewrite: Any) -> None:
    assert any(m.rewrite is rewrite for rule in RULES for m in mutants(rule))


@pytest.mark.parametrize("rewrite", STEP_FURTHER, ids=lambda r: r.name)
def test_what_is_tried_late_makes_valid_graphs(rewrite: Any) -> None:
    found = []
    others = (Lion(), Rprop(), LARS(weight_decay=0.1), ScheduleFreeSGD(), Yogi())
    for rule in (AdaBelief(), LAMB(), NAdam(), Sophia(), Adafactor(), Adadelta(), *others):
        plan = rule.plan((4, 4), 1)
        for mutation in mutations([plan], (rewrite,)):
            graph = mutation.apply(plan).graph
            assert set(graph.outputs) == set(plan.graph.outputs)
            assert computed(plan, graph) != computed(plan, plan.graph)
            found.append((type(rule), mutation.name))
    assert found
    assert len(set(found)) > len(found) // 2


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        (AMSGrad(), "eps in v at every step"),
        (RAdam(), "eps in v at every step"),
        (StableAdamW(), "beta2^t for beta1^t"),
        (ScheduleFreeSGD(), "1 + beta1 stands for 1 - beta1 in (1 - beta1) z alone"),
        (Yogi(), "|g| stands for g^2 in v - g^2 alone"),
    ],
    ids=["of a maximum", "of a branch", "of a decay made anew", "a sign at one use", "a magnitude at one use"],
)
def test_what_is_tried_late_finds(rule: Optimizer, name: str) -> None:
    plan = rule.plan((4, 4), 2)  # at which RAdam's step reads no eps
    found = {m.name: m for m in mutations([plan], STEP_FURTHER)}
    assert name in found
    assert computed(plan, found[name].apply(plan).graph) != computed(plan, plan.graph)


@pytest.mark.parametrize("rewrite", CASE_FURTHER, ids=lambda r: r.name)
def test_what_is_tried_late_of_rules_without_state_makes_valid_graphs(rewrite: Any) -> None:
    """Of a quantizer, and where one result of several may be another alone, of an estimator."""
    plans = [RoundingSTE().plan((2, 2))]
    for rule in (Affine(), MX()):
        graph = kind_of("quantizer").graph(rule, {"x": np.linspace(-1.0, 2.0, 12).reshape(3, 4)})
        assert graph is not None
        plans.append(graph.plan(rule, plan_for))
    total = 0
    for plan in plans:
        found = mutations([plan], (rewrite,))
        assert {signature(m.apply(plan).graph) for m in found}.isdisjoint({signature(plan.graph)})
        assert len({m.name for m in found}) == len(found)
        total += len(found)
    assert total >= 2


def changes(rule: Optimizer) -> dict[str, Change]:
    return {m.name: Change(m.name, m.sentence, "mutant", mutations=(m,)) for m in mutants(rule)}


@pytest.mark.sample(quick=2)
@pytest.mark.parametrize(
    ("rule", "mutant", "field"),
    [
        (AdamW(), "eps under the root", {"eps_placement": "inside"}),
        (AdamW(), "eps before bias correction", {"eps_placement": "uncorrected"}),
        (AdamW(), "eps as a maximum", {"eps_placement": "clamped"}),
        (AdamW(), "no bias correction", {"bias_correction": False}),
        (AdamW(), "decoupled weight decay after the step by lr times weight_decay", {"decay": "after"}),
        (AdamW(), "no weight decay", {"weight_decay": 0.0}),
    ],
    ids=lambda value: str(value),
)
def test_a_mutant_is_the_variant_that_it_is(rule: Optimizer, mutant: str, field: dict[str, Any]) -> None:
    variant = Change("", "", "field", field)
    assert same((rule, changes(rule)[mutant]), (rule, variant), 2)
    assert not same((rule, NONE), (rule, variant), 2)


def test_rules_that_are_one_at_some_hyperparameters() -> None:
    from refgrad.optimizers import Adam

    assert same((AdamW(weight_decay=0.0), NONE), (Adam(), NONE), 2)
    assert not same((AdamW(), NONE), (Adam(weight_decay=0.01), NONE), 2)
    assert not same((AdamW(), NONE), (AMSGrad(), NONE), 2)


def test_small_differences_are_differences() -> None:
    """Neither eps squared nor a learning rate that is off in the tenth digit is taken for the rule."""
    assert not same((AdamW(), NONE), (AdamW(eps=1e-16), NONE), 2)
    assert not same((AdamW(), NONE), (AdamW(lr=1e-3 * (1 + 1e-10)), NONE), 2)


@pytest.mark.parametrize("rule", [Lion(weight_decay=0.1), SGD(momentum=0.9, nesterov=True)], ids=str)
def test_distinct_mutants_differ_from_the_rule_in_real_arithmetic(rule: Optimizer) -> None:
    found = mutants(rule)
    kept = distinct(rule, found, 2)
    assert 0 < len(kept) < len(found)
    assert all(isinstance(m, Mutation) and not m.model for m in kept)
    dropped = {m.name for m in found} - {m.name for m in kept}
    assert "bfloat16 arithmetic inside" in dropped


@pytest.mark.sample(quick=1)
@pytest.mark.parametrize("name", ["GaLore", "SOAP", "PSGDKron", "Mechanic"])
def test_mutants_read_what_there_is(name: str) -> None:
    """Rules of matrices, and one without a rate: no mutant joins shapes that do not go together, or reads what is not there."""
    rule = find(name)(weight_decay=0.1)
    plan = rule.plan((4, 4), 2)  # type: ignore[attr-defined]
    of_decay = [r for r in REWRITES if r.find.__module__.endswith("weight")]
    found = mutations([plan], of_decay if name == "Mechanic" else REWRITES)  # of Mechanic there are thousands
    assert len(found) > 5
    known = {*plan.free, *rule.numbers()}
    for mutation in found:
        assert {n for e in mutation.apply(plan).graph.scalars() for n in scalar_math.names_in(e)} <= known, (
            mutation.name
        )
