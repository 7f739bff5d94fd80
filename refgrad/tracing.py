"""A rule traced into plans: a graph with the scalars that it needs, for the branches that a step takes."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from refgrad.arithmetic import scalar_math
from refgrad.arithmetic.graph import Builder, Graph, Tracer
from refgrad.arithmetic.working import as_working, plain
from refgrad.axes import ELEMENT, described, within
from refgrad.derived import Frozen, derived, unchecked
from refgrad.errors import TraceError
from refgrad.float_environment import in_standard
from refgrad.rule import Rule

Scalars = tuple[float, ...]

#: constants that Python writes as names
_NOT_FINITE = {"inf": math.inf, "nan": math.nan}
#: a function of scalars; where one has no value it says so, and it takes no longer where all have
_SCALARS = """
def _scalars({free}):
    try:
        return ({body})
    except _no_number as error:
        raise _undefined(error) from None
"""


@dataclass(frozen=True, eq=False)
class Plan(Frozen):
    """One traced form of a rule: valid for steps on which its guards hold.

    Args:
        rule: the rule that was traced.
        graph: its body's operations on arrays of one number of axes.
        free: the names that scalar expressions read besides the hyperparameters: those of `free_names`.

    >>> from refgrad.optimizers import SGD
    >>> plan = SGD(lr=0.5).plan((4,), t=1)
    >>> plan.graph.inputs(), plan.free
    (['p', 'g'], ('t', 'tensor_length', 'row_length', 'column_length'))
    >>> plan.scalars(1.0, 4.0, 1.0, 4.0)
    (0.5,)
    """

    rule: Rule
    graph: Graph
    free: tuple[str, ...]

    @property
    def table(self) -> scalar_math.Table:
        """The arithmetic of the scalars."""
        return scalar_math.TABLES[self.rule.scalars]

    def names(self, free: Mapping[str, float]) -> dict[str, float]:
        """The value of every name that scalar expressions read, in the arithmetic of the scalars.

        Args:
            free: the values of `free`, by name.

        Returns:
            Name -> value, those of ``free`` included.
        """
        constant = self.table["const"]
        return {n: constant(v) for n, v in {**self.rule.numbers(), **free}.items()}

    @property
    @derived
    def scalars(self) -> Callable[..., Scalars]:
        """A function of the values of `free`, in order, that gives each scalar that meets an array, in the graph's order."""
        return self._function(self.graph.scalars())

    @property
    @derived
    def scalar_outputs(self) -> Callable[..., Scalars]:
        """A function of the values of `free`, in order, that gives the new value of each scalar slot."""
        return self._function(list(self.graph.scalar_outputs.values()))

    @property
    @derived
    def holds(self) -> Callable[..., bool]:
        """A function of the values of `free`, in order: True if the branches on scalars go the way that was traced."""
        guards = [(expr, taken) for expr, taken in self.graph.guards if set(self.free) & scalar_math.names_in(expr)]
        if not guards:
            return lambda *free: True
        values = self._function([expr for expr, _ in guards])
        wanted = tuple(taken for _, taken in guards)
        if len(wanted) == 1:
            one = bool(wanted[0])
            return lambda *free: bool(values(*free)[0]) is one
        return lambda *free: tuple(map(bool, values(*free))) == wanted

    def _function(self, exprs: list[scalar_math.Expr]) -> Callable[..., Scalars]:
        if self.rule.scalars != "float64":
            return lambda *free: self._interpret(exprs, dict(zip(self.free, free, strict=True)))
        names: dict[str, Any] = {**scalar_math.FUNCTIONS, **_NOT_FINITE, **self.rule.numbers()}
        names |= {"_no_number": scalar_math.NO_NUMBER, "_undefined": lambda e: scalar_math.undefined(exprs, e)}
        body = "".join(f"{scalar_math.python_source(e)}, " for e in exprs)
        # the source is made of operators, numbers and the names of fields alone
        exec(_SCALARS.format(free=", ".join(self.free), body=body), names)
        return names["_scalars"]  # type: ignore[no-any-return]

    def _interpret(self, exprs: list[scalar_math.Expr], free: Mapping[str, float]) -> Scalars:
        names, memo = self.names(free), {}  # type: ignore[var-annotated]
        try:
            return tuple(scalar_math.evaluate(e, names, self.table, memo) for e in exprs)
        except scalar_math.NO_NUMBER as error:
            raise scalar_math.undefined(exprs, error) from None


def with_scalars(rule: Rule, scope: scalar_math.Scope, prefix: str = "") -> Rule:
    """The rule with its numeric hyperparameters, and those of nested rules, as scalars of a scope.

    Args:
        rule: the rule.
        scope: what the scalars note their expressions and branches in.
        prefix: what their names begin with, such as ``"inner_"``.

    Returns:
        A copy, which only a body reads.
    """
    own = {n: v for n, v in rule.numbers().items() if n in rule.legal()}
    changes: dict[str, Any] = {n: scope.named(prefix + n, v) for n, v in own.items()}
    changes |= {n: with_scalars(inner, scope, f"{prefix}{n}_") for n, inner in rule.inner_rules().items()}
    return unchecked(rule, changes)


def free_names(rule: Rule, ndim: int) -> tuple[str, ...]:
    """The names besides the hyperparameters that scalar expressions read, in the order in which a plan's functions take them.

    Args:
        rule: the rule.
        ndim: the number of axes of its primary array.

    Returns:
        The rule's `scalar_inputs`, ``tensor_length`` and, for arrays with axes, ``row_length`` and ``column_length``.
    """
    return (*rule.scalar_inputs(), "tensor_length") + (("row_length", "column_length") if ndim else ())


def free_values(shape: tuple[int, ...], scalar_values: Mapping[str, float]) -> tuple[float, ...]:
    """The values of `free_names`.

    Args:
        shape: the shape of the primary array.
        scalar_values: the values of the rule's `scalar_inputs`, in their order.

    Returns:
        A float for each of `free_names`.

    >>> free_values((4, 3), {"t": 1})
    (1.0, 12.0, 3.0, 4.0)
    """
    return (*map(float, scalar_values.values()), *lengths(shape))


def lengths(shape: tuple[int, ...]) -> tuple[float, ...]:
    """The values of those of `free_names` that are lengths: of the primary array, a row of it, and a column of it.

    Args:
        shape: the shape of the primary array.

    Returns:
        Three floats.
    """
    if len(shape) == 1:  # the common case, at each step of each parameter
        length = float(shape[0])
        return length, 1.0, length
    return (float(math.prod(shape)), float(math.prod(shape[1:])), float(shape[0])) if shape else (1.0,)


@in_standard
def trace(rule: Rule, ndim: int, free: Mapping[str, float], wanted: tuple[str, ...] | None = None) -> Plan:
    """The plan of a rule's body, traced anew; `plan_for` keeps plans.

    Args:
        rule: the rule.
        ndim: the number of axes of its arrays.
        free: the values of `free_names` by name; the branches that these take are those of the plan.
        wanted: the names of the results that are asked for; by default all.

    Returns:
        The plan.

    Raises:
        TraceError: the body uses an operation that no arithmetic knows, or gives a result with other axes than it says.
    """
    scope = scalar_math.Scope(scalar_math.TABLES[rule.scalars])
    builder = Builder(scope, ndim)
    takes = rule.takes() if ndim else dict.fromkeys(rule.takes(), ELEMENT)  # without axes each is one number
    given: dict[str, Any] = {name: builder.input(name, axes) for name, axes in takes.items()}
    given |= {name: scope.named(name, free[name]) for name in rule.scalar_inputs()}
    results = with_scalars(rule, scope).body(given)
    if wanted is not None:
        results = {n: results[n] for n in wanted}
    if any(v is None for v in results.values()):
        missing = " and ".join(n for n, v in results.items() if v is None)
        raise TraceError(f"{type(rule).__name__}'s body returns None for {missing}; legal: `return` what it is")
    outputs = {n: builder.lift(v) for n, v in results.items() if isinstance(v, Tracer)}
    small = {n: axes for n, axes in rule.gives().items() if n in outputs}
    numbers = {
        n: scope.lift(v) for n, v in results.items() if n in rule.scalar_inputs()
    }  # a rule may set one to a constant
    scalar_outputs = {n: v.expr for n, v in numbers.items() if v is not None}
    for name, node in outputs.items():
        axes = small.get(name, ELEMENT)
        if ndim and not within(node.axes, axes):
            raise TraceError(
                f"{type(rule).__name__}'s {name} is {described(axes)}, but is given {described(node.axes)}"
            )
    if not ndim:
        small = {}
    graph = Graph(builder.live(outputs), outputs, scalar_outputs, tuple(dict.fromkeys(scope.guards)), small)
    return Plan(rule, graph, free_names(rule, ndim))


def plan_for(rule: Rule, ndim: int, free: tuple[float, ...], wanted: tuple[str, ...] | None = None) -> Plan:
    """The plan of a rule that holds for a step; it is traced at the first call and kept with the rule.

    Args:
        rule: the rule.
        ndim: the number of axes of its arrays.
        free: the values of `free_names`, in order.
        wanted: the names of the results that are asked for; by default all.

    Returns:
        The plan, the same one for all values that take the same branches.

    Raises:
        TraceError: as `trace` says.
    """
    last = _last(rule)
    found = last.get((ndim, wanted))
    if found is not None and found[0](*free):  # the common case: as the step before
        return found[1]
    known = _plans(rule).setdefault((ndim, wanted), [])
    for each in known:
        if each[0](*free):
            last[ndim, wanted] = each
            return each[1]
    plan = trace(rule, ndim, dict(zip(free_names(rule, ndim), free, strict=True)), wanted)
    known.append((plan.holds, plan))
    return plan


@derived
def _last(rule: Rule) -> dict[tuple[int, tuple[str, ...] | None], tuple[Callable[..., bool], Plan]]:
    """Of these the ones that held last."""
    return {}


@derived
def _plans(rule: Rule) -> dict[tuple[int, tuple[str, ...] | None], list[tuple[Callable[..., bool], Plan]]]:
    """The plans that were asked for so far, with their guards, by number of axes and results."""
    return {}


#: the plan of a rule for a number of axes and values of `free_names`: `plan_for`, or a rewritten one, where a mutant is judged
Plans = Callable[[Any, int, tuple[float, ...]], Plan]
#: what a backend computes at once: a plan, the values of its free names in order, and its arrays by name
Step = tuple[Plan, tuple[float, ...], Mapping[str, np.ndarray]]


def known_plans(rule: Rule, ndim: int) -> list[Plan]:
    """The plans of a rule that were asked for so far, with all results.

    Args:
        rule: the rule.
        ndim: the number of axes of its arrays.

    Returns:
        The plans, none if nothing was traced yet.
    """
    return [plan for _, plan in _plans(rule).get((ndim, None), [])]


@derived
def _run_as_it_stands(rule: Rule) -> tuple[Rule, scalar_math.Scope]:
    """The rule whose body `literal` runs, with the scope of its scalars, which remembers no branches: none is asked for."""
    scope = scalar_math.Scope(scalar_math.TABLES[rule.scalars], deque(maxlen=0))
    return with_scalars(rule, scope), scope


@in_standard
@np.errstate(all="ignore")
def literal(
    rule: Rule,
    arrays: Mapping[str, np.ndarray],
    scalar_values: Mapping[str, float],
    body: Callable[[Any, Mapping[str, Any]], Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """The rule's body run on NumPy arrays as it stands: the meaning of the rule.

    Args:
        rule: the rule.
        arrays: what it takes, by name, all of one working dtype (float32 or float64), shaped as their axes say.
        scalar_values: the values of its `scalar_inputs`, by name.
        body: a part of the rule's body to be run in its place, a function of the rule and of what it is given.

    Returns:
        The results by name: arrays of the working dtype, and scalars as floats.

    >>> from refgrad.optimizers import SGD
    >>> literal(SGD(lr=0.5), {"p": np.ones(2), "g": np.ones(2)}, {"t": 1.0})["p"]
    array([0.5, 0.5])
    """
    if arrays[rule.primary].ndim == 0:  # NumPy turns results of 0-d arrays into scalars, which promote differently
        rows = literal(rule, {n: a.reshape(1) for n, a in arrays.items()}, scalar_values, body)
        return {n: v.reshape(()) if isinstance(v, np.ndarray) else v for n, v in rows.items()}
    given = {n: as_working(a, rule.scalars) for n, a in arrays.items()}
    return {n: plain(v) for n, v in carried(rule, given, scalar_values, body).items()}


def carried(
    rule: Rule,
    values: Mapping[str, Any],
    scalar_values: Mapping[str, float],
    body: Callable[[Any, Mapping[str, Any]], Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """The rule's body run as it stands on what stands for its arrays.

    Args:
        rule: the rule.
        values: what stands for the arrays that it takes, by name.
        scalar_values: the values of its `scalar_inputs`, by name.
        body: a part of the rule's body to be run in its place, a function of the rule and of what it is given.

    Returns:
        The results by name; scalars as floats.
    """
    run, scope = _run_as_it_stands(rule)
    given = {**values, **{n: scope.named(n, scalar_values[n]) for n in rule.scalar_inputs()}}
    results = run.body(given) if body is None else body(run, given)
    return {n: v.value if isinstance(v, scalar_math.Scalar) else v for n, v in results.items()}
