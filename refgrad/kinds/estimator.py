"""Estimators: a value and its vector-Jacobian products, judged where decisions fall and between."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from typing import Any

import numpy as np

from refgrad.arithmetic.running_error import exact
from refgrad.axes import COLUMN, ELEMENT, ROW, TENSOR, Axes
from refgrad.candidates.estimator import check_outputs, resolve
from refgrad.candidates.protocol import STRIDED
from refgrad.errors import ArgumentError
from refgrad.estimators.base import Estimator
from refgrad.estimators.choosing import Choosing
from refgrad.kinds.kind import NOT_FINITE
from refgrad.kinds.record import Call, Driven, Graph, Record, Results, Situation
from refgrad.kinds.stateless import Answer, Stateless
from refgrad.oracle.acceptance import no_numbers
from refgrad.oracle.acceptance.comparing import model_for
from refgrad.oracle.acceptance.explicit_sets import Way, of_case
from refgrad.oracle.acceptance.findings import Counts
from refgrad.oracle.acceptance.judge import scalars_of
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.acceptance.selections import Choices, judge_choices
from refgrad.oracle.acceptance.stateless import judge_case, outcomes_seen, sums_apart
from refgrad.oracle.inputs.cases import Arrays, Cases
from refgrad.oracle.inputs.estimators import generate, sizes
from refgrad.oracle.inputs.extremes import MOST, by_columns, far_from_zero
from refgrad.oracle.inputs.simpler import parts, simpler
from refgrad.oracle.inputs.sizes import ODD
from refgrad.oracle.inputs.undefined import undefined_inputs
from refgrad.tracing import Plan, Plans, free_names, free_values, plan_for

#: rows and columns of the cases on which hypotheses are tried, and how many cases these are
ROWS, COLUMNS, FEW = 4, 64, 3
#: results that come out of at least one multiplication
PRODUCTS = frozenset({"x_grad"})


class EstimatorKind(Stateless):
    """See `refgrad.kinds.kind`; a case is ``x``, a cotangent, and the parameters that are handed over."""

    name = "estimator"
    legal_inputs = "refgrad.Cases with x and cotangent"

    def find(self, candidate: Any, options: Mapping[str, Any]) -> Any:
        """The candidate that a thing is."""
        return resolve(candidate, options)

    def generate(self, rule: Estimator, steps: int, dtype: np.dtype, seed: int, subject: Any = None) -> Cases:
        """As many cases as there are steps."""
        return generate(rule, steps, dtype, seed)

    def few(self, rule: Estimator, asked: Driven) -> Cases:
        """Those of every kind, and lengths of which a share is no whole number."""
        return super().few(rule, asked).with_more(sizes(rule, asked.dtype, asked.seed, ODD))

    def sizes(self, rule: Estimator, dtype: np.dtype, seed: int) -> Cases | None:
        """A case a shape."""
        return sizes(rule, dtype, seed)

    def far(self, rule: Estimator, cases: Cases) -> Cases | None:
        """Those of x of which the value and gradients of a rule with exponentials are finite."""
        if not any(node.op in ("exp", "tanh") for node in rule.plan((2, 2)).graph.nodes):
            return None
        return far_from_zero(cases, ["x"], lambda arrays: _finite(rule, arrays))

    def promised(self, subject: Any) -> tuple[str, ...]:
        """NaN and infinities."""
        return NOT_FINITE

    def situations(self, rule: Estimator, asked: Driven) -> Iterator[Situation]:
        """Those of every kind, and inputs that are not finite where a result tells them."""
        yield from super().situations(rule, asked)
        cases = sizes(rule, asked.dtype, asked.seed)
        if cases is not None:
            chosen = any("nan" in name.split("_") for name in rule.legal())
            for name, undefined in undefined_inputs(cases, rule.plan((2, 2)), chosen).items():
                if not rule.chosen:  # read off values, of which a product with 0 or a detached part makes NaN
                    yield Situation(name, undefined, rule)
            matrices = [a["x"].ndim == 2 and 1 < a["x"].size <= MOST for a in cases.arrays]
            if STRIDED in getattr(asked.subject, "abilities", ()) and any(matrices):
                yield Situation("not contiguous", by_columns(cases.leaves(lambda i, _: matrices[i])), rule)

    def checked(self, rule: Estimator, cases: Cases) -> Cases:
        """The cases with parameters that broadcast; choices are made where they are not given."""
        for arrays in cases.arrays:
            if "cotangent" not in arrays or "x" not in arrays:
                raise ArgumentError(f"{type(rule).__name__} needs 'cotangent' and 'x'; legal: arrays of one shape")
        return Cases([rule.prepared(arrays) for arrays in cases.arrays], cases.names, cases.seed)

    def expected(self, rule: Estimator) -> tuple[str, ...]:
        """The value and the gradients."""
        return rule.results()

    def essential(self, rule: Estimator) -> tuple[str, ...]:
        """The gradient, which estimators differ in: values are those of any rounding or sign."""
        return ("x_grad",)

    def start(self, subject: Any, rule: Estimator, call: Call) -> Callable[[Arrays], Any]:
        """Build the candidate once; it is called with each case."""
        run = call(lambda: subject.start(rule), f"building {subject.name}")
        return lambda arrays: call(lambda: run(arrays), subject.name)

    def handed(self, rule: Estimator, arrays: Arrays) -> Arrays:
        """All but the choices, which a candidate makes by itself."""
        return {n: a for n, a in arrays.items() if n not in rule.chosen}

    def results(self, rule: Estimator, arrays: Arrays, returned: Any, name: str) -> Results:
        """The results that the rule has, in its shapes."""
        wanted = {n: a for n, a in returned.items() if n in rule.results()}
        return check_outputs(wanted, rule, arrays, name)

    def judge(self, rule: Estimator, arrays: Arrays, seen: Results, policy: Policy, plans: Plans = plan_for) -> Answer:
        """Choices that the value shows, then value and gradients given the candidate's own choices."""
        if not arrays["x"].ndim:  # a number without axes is judged as a vector of one
            arrays, seen = ({n: np.atleast_1d(a) for n, a in each.items()} for each in (arrays, seen))
        arrays = rule.prepared(arrays)
        x, chosen = arrays["x"], Choices()
        if isinstance(rule, Choosing) and "y" in seen and x.size:
            arrays, chosen = judge_choices(rule, arrays, seen, policy)
        values = free_values(x.shape, {})
        free = dict(zip(free_names(rule, x.ndim), values, strict=True))
        judged = judge_case(plans(rule, x.ndim, values), free, arrays, seen, policy, PRODUCTS)
        return {**chosen, **{n: (judged[n], seen[n]) for n in rule.results() if n in judged}}

    def no_numbers(self, rule: Estimator, arrays: Arrays, seen: Results) -> Mapping[str, np.ndarray]:
        """By the rule's graph; of a choice nothing."""
        if rule.chosen or not arrays["x"].ndim:
            return {}
        arrays = rule.prepared(arrays)
        plan, bound = _planned(rule, arrays)
        model = model_for(Policy(), arrays["x"].dtype)
        with np.errstate(all="ignore"):
            inputs = {n: exact(a.astype(np.float64), model) for n, a in arrays.items()}
            return no_numbers.of_graph(plan.graph, inputs, scalars_of(plan, plan.graph, bound, model), {})

    def conditioned(self, rule: Estimator, arrays: Arrays, seen: Results) -> Arrays:
        """The case with the choices that the value shows."""
        if not isinstance(rule, Choosing) or "y" not in seen or not arrays["x"].size or not arrays["x"].ndim:
            return arrays
        return judge_choices(rule, arrays, seen, Policy())[0]

    def ways(self, rule: Estimator, record: Record, policy: Policy, given: Container[str]) -> list[Way]:
        """Those of the results with an element for each of the input's; where none of these is given, of sums all that may be.

        None where a choice among elements is shown.
        """
        if rule.chosen:
            return []
        arrays, seen = rule.prepared(record.cases.arrays[-1]), record.seen[-1]
        plan, bound = _planned(rule, arrays)
        wanted = {n: (a.shape, a.dtype) for n, a in seen.items()}
        found = of_case(plan, bound, arrays, wanted, policy)
        if not found or any(n in given for n in found[0].sets):
            return found
        sums = sums_apart(plan, bound, arrays, seen, policy)
        return [found[0]._replace(sets={**found[0].sets, **sums}), *found[1:]]

    def exactly(self, rule: Estimator, record: Record, digits: int) -> dict[str, Any]:
        """Those of the rule's graph; of sums over elements, where decisions go as the other results show."""
        found = super().exactly(rule, record, digits)
        arrays, seen = self.conditioned(rule, rule.prepared(record.cases.arrays[-1]), record.seen[-1]), record.seen[-1]
        plan, bound = _planned(rule, arrays)
        sums = found.keys() & plan.graph.small.keys()
        outcomes = outcomes_seen(plan, bound, arrays, seen, Policy(), digits, PRODUCTS) if sums else {}
        if outcomes:
            given = Graph(arrays, arrays["x"].shape).exactly(rule, digits, outcomes)
            found |= {n: np.broadcast_to(given[n], seen[n].shape) for n in sums}
        return found

    def unit(self, rule: Estimator, name: str, arrays: Arrays, values: np.ndarray) -> np.dtype:
        """That of the result; a choice has none."""
        return np.dtype(bool) if name in rule.chosen else values.dtype

    def notes(self, subject: Any, record: Record, counts: Counts) -> Iterator[str]:
        """Results that are not given."""
        seen = next((each for each in record.seen if each is not None), None)
        missing = [n for n in record.rules[0].results() if seen is not None and n not in seen]
        if missing:
            yield f"{subject.name} gives no {', '.join(missing)}, which is not judged"

    def comparable(self, rule: Estimator, other: Estimator, record: Record) -> bool:
        """The same arrays taken and given; a choice belongs to its own rule."""
        if type(rule) is not type(other) and (rule.chosen or other.chosen):
            return False
        return rule.takes() == other.takes() and rule.gives() == other.gives()

    def smaller(self, rule: Estimator, cases: Cases, index: tuple[int, ...]) -> Iterator[Cases]:
        """The element that failed, halves along each axis; of one element simpler numbers."""
        arrays, axes = dict(cases.arrays[0]), rule.takes()
        if arrays["x"].size > 1:
            for at in parts(arrays["x"].shape, index):
                yield Cases([_cut(arrays, axes, at)], [""])
            return
        for name, array in arrays.items():
            for simple in simpler(array):
                if _is_legal({**arrays, name: simple}, rule):
                    yield Cases([{**arrays, name: simple}], [""])

    def reduced(self, record: Record) -> Cases | None:
        """The first rows and columns of the first cases."""
        cases = record.cases
        return Cases([_few(arrays) for arrays in cases.arrays[:FEW]], list(cases.names[:FEW]), cases.seed)

    def graph(self, rule: Estimator, arrays: Arrays) -> Graph | None:
        """The case as it is."""
        return Graph(arrays, arrays["x"].shape)

    def literal(self, rule: Estimator, arrays: Arrays, plans: Plans = plan_for) -> list[np.ndarray]:
        """The results that the rule has, in their order."""
        wide = rule.prepared({n: np.asarray(a, np.float64) for n, a in arrays.items()})
        shape = wide["x"].shape
        found = Graph(wide, shape).evaluated(rule, plans)
        return [np.broadcast_to(found[n], shape) for n in rule.results() if n in found]

    def laws(self, rule: Estimator) -> tuple[Any, ...]:
        """Those of estimators."""
        from refgrad.kinds.laws.estimator import LAWS

        return LAWS


def _planned(rule: Estimator, arrays: Arrays) -> tuple[Plan, dict[str, float]]:
    """The plan for a case, and the values of its free names."""
    values = free_values(arrays["x"].shape, {})
    plan = plan_for(rule, arrays["x"].ndim, values)
    return plan, dict(zip(plan.free, values, strict=True))


def _is_legal(arrays: dict[str, np.ndarray], rule: Estimator) -> bool:
    """True if the rule takes these arrays: a scale of zero is simple, but no scale."""
    try:
        rule.prepared(arrays)
    except ArgumentError:
        return False
    return True


def _cut(arrays: Arrays, axes: Mapping[str, Axes], at: tuple[slice, ...]) -> dict[str, np.ndarray]:
    """Part of every array; of one number a row only the rows are cut, of the tensor's nothing."""
    kept = {ELEMENT: at, ROW: at[:1], COLUMN: (slice(None), *at[1:]), TENSOR: ()}
    # a table has a shape of its own
    return {n: a[kept[axes.get(n, TENSOR)]].copy() for n, a in arrays.items()}


def _few(arrays: Arrays) -> dict[str, np.ndarray]:
    """The first rows and columns of the arrays that have those of ``x``."""
    shape = arrays["x"].shape
    cut = lambda a: a[  # noqa: E731
        tuple(
            slice(0, most if a.shape[i] == shape[i] else None)
            for i, most in zip(range(a.ndim), (ROWS, COLUMNS), strict=False)
        )
    ]
    return {n: cut(a).copy() if a.ndim <= len(shape) else a for n, a in arrays.items()}


def _finite(rule: Estimator, arrays: Arrays) -> bool:
    """True if a rule's own value and gradients are finite numbers."""
    handed: dict[str, Any] = dict(rule.prepared(arrays))
    with np.errstate(all="ignore"):
        found = rule.both(**handed, backend="numpy")
    return all(np.isfinite(np.asarray(each, np.float64)).all() for each in found.values())


KIND = EstimatorKind()
