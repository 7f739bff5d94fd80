"""NaN in gradients and inputs: what an output is, into which it comes by sums, products and functions alone; infinities.

How comparisons, signs, maxima and choices take NaN, programs settle in several ways (torch's sign of NaN is 0, NumPy's is
NaN). So each of them is left open where it meets NaN, and what is no result of any way is refused. How they take an
infinity, no two programs settle differently: it is driven at the last step, since one step further it may meet another and be
NaN, into all outputs but those of operations on matrices, and of decisions on what may be NaN by then. Whether it meets itself on
the way is a matter of how a program is written (`x + (hard - x)`, a mask as a factor): NaN in its place is right.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection, Mapping

import numpy as np

from refgrad.arithmetic import classed
from refgrad.arithmetic.graph import Graph, Node, walk
from refgrad.arithmetic.operations import MATRIX, OUTCOMES, REDUCTIONS
from refgrad.errors import ArgumentError
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.inputs.calls import SHAPES, small_run
from refgrad.oracle.inputs.cases import Arrays, Cases
from refgrad.oracle.inputs.extremes import MOST
from refgrad.oracle.inputs.sizes import EXACT
from refgrad.tracing import Plan, free_values

#: NaN and infinities, by the name of the situation in which it is driven
VALUES: Mapping[str, float] = {"NaN": np.nan, "infinities": np.inf}
#: infinities of the other sign: a minimum drops the one, and a maximum the other
NEGATIVE: Mapping[str, float] = {"infinities": -np.inf}
#: elements at most of an array in which what is not finite meets few numbers, so that some results are without it
FEW = 64
#: operations that make codes, or what only some programs keep of NaN
CODING = frozenset({"step", "round", "cast", "loose", "power_of_two", "mod"})

#: operations that choose by their operands, and those in which infinities meet
DECIDING = frozenset({*OUTCOMES, "where", "maximum", "minimum"})
MEETING = frozenset({"add", "sub", "mul", "div", "mod", "hypot"})
#: functions of which infinity has no value
WAVES = frozenset({"sin", "cos", "mod"})


def followed(graph: Graph, of: str = "g", said: Collection[str] = ()) -> frozenset[str]:
    """The outputs of a graph into which NaN of an input is followed: by way of numbers alone, and of decisions on them.

    Args:
        graph: the graph.
        of: the input's name.
        said: the outputs whose codes can say NaN, so that rounding to them is followed too.
    """
    return frozenset(
        n
        for n, node in graph.outputs.items()
        if _reaches(node, of) and all(_is_followed(each, of, CODING - _steps(n in said)) for each in walk(node))
    )


def _steps(said: bool) -> frozenset[str]:
    """The operation by which numbers are rounded to a format, if its codes can say NaN."""
    return frozenset({"step"}) if said else frozenset()


def _is_followed(node: Node, of: str, coding: frozenset[str]) -> bool:
    """True if a node makes no code, is no operation on matrices, and nothing that one program computes and another leaves out."""
    multiplies = node.op in ("mul", "div") and any(map(_is_zero, node.args))
    # where NaN decides whether it is multiplied by 0, both ways are followed, but not into a sum over elements
    masks = _masks(node, of) and not _reaches(node.args[0], of)
    folds = node.op in REDUCTIONS and any(each.op in DECIDING and _reaches(each, of) for each in walk(node))
    return node.op not in MATRIX | coding and not multiplies and not masks and not folds


def _masks(node: Node, of: str) -> bool:
    """True if it is a number of an input or else zero: some programs choose, and others multiply by 1 or 0."""
    branches = node.args[1:]
    return node.op == "where" and any(map(_is_zero, branches)) and any(_reaches(each, of) for each in branches)


def _is_zero(node: Node) -> bool:
    """True if it is the number 0: what is multiplied by it, one program leaves out and another makes NaN of."""
    return node.op == "scalar" and node.attribute.op == "const" and node.attribute.args == (0.0,)


def _reaches(node: Node, of: str) -> bool:
    return any(each.op == "input" and each.attribute == of for each in walk(node))


def nan_gradients(rule: Optimizer, dtype: np.dtype, seed: int, steps: tuple[int, int] = (0, 1)) -> Cases | None:
    """Two small leaves, each with NaN among its gradients at one step; None if no output of the rule tells it.

    Args:
        rule: the rule.
        dtype: of parameters and gradients.
        seed: of the other numbers.
        steps: of each leaf at which of two steps it is, counted from 0.
    """
    outputs = _at_both_steps(rule, np.nan, followed)
    cases = _with_one(small_run(rule, dtype, seed, 2, SHAPES[:2]), steps, lambda first: np.nan, outputs)
    return None if cases is None else dataclasses.replace(cases, nan_open=True)


def infinite_gradients(rule: Optimizer, dtype: np.dtype, seed: int) -> Cases | None:
    """Two small leaves, each with an infinity among its gradients at the second step, of the sign of the gradient before.

    Args:
        rule: the rule.
        dtype: of parameters and gradients.
        seed: of the other numbers.
    """
    outputs = _at_both_steps(rule, np.inf, _ordered)
    cases = _with_one(
        small_run(rule, dtype, seed, 2, SHAPES[:2]), (1, 1), lambda first: np.copysign(np.inf, first), outputs
    )
    return None if cases is None else dataclasses.replace(cases, may_meet=True)


def _at_both_steps(
    rule: Optimizer, value: float, judged: Callable[[Graph, str], frozenset[str]]
) -> frozenset[str] | None:
    """The outputs that are judged in full at both steps; None if there are none, and none that is no number for certain."""
    first, second = (rule.plan((2, 2), t) for t in (1, 2))
    found = judged(first.graph, "g") & judged(second.graph, "g")
    return found if found or _certain(rule, second, value) else None


def _certain(rule: Optimizer, plan: Plan, value: float) -> bool:
    """True if an output of a step is no number where a gradient is NaN or infinite, whatever program it is of."""
    numbers = (*rule.scalar_inputs(), *(n for n, slot in rule.slots().items() if slot.scalar))
    try:
        scalars = plan.scalars(*free_values((2, 2), {"t": 2, **dict.fromkeys(numbers, 1.0)}))
        return bool(classed.certain(plan.graph, list(scalars), "g", value))
    except (ArithmeticError, ArgumentError):  # of a number that is kept these are none
        return False


def _with_one(
    cases: Cases, steps: tuple[int, ...], value: Callable[[float], float], outputs: frozenset[str] | None
) -> Cases | None:
    """A run with one gradient of each leaf changed, at that leaf's step, by what it is at first; None for no outputs."""
    if outputs is None:
        return None
    for leaf, step in enumerate(steps):
        g = cases.steps[step][leaf]["g"].copy()
        g[1, 1] = value(cases.steps[0][leaf]["g"][1, 1])
        cases = cases.with_array(leaf, "g", g, step)
    return dataclasses.replace(cases, outputs=outputs)


def chosen_by_infinities(graph: Graph, of: str, said: Collection[str] = ()) -> frozenset[str]:
    """The outputs that every program chooses alike where one element of an input is infinite: none that needs a code, or a mask.

    Args:
        graph: the graph.
        of: the input's name.
        said: the outputs whose codes can say NaN, so that rounding to them is none of these codes.
    """
    coded = lambda node, n: node.op in CODING - _steps(n in said)  # noqa: E731
    masked = lambda node: _masks(node, of) and node.args[1].op != "sign"  # noqa: E731
    return frozenset(
        n for n in _ordered(graph, of) if not any(coded(node, n) or masked(node) for node in walk(graph.outputs[n]))
    )


def _ordered(graph: Graph, of: str) -> frozenset[str]:
    """The outputs that are the same in every program where one element of an input is infinite."""
    return frozenset(n for n, node in graph.outputs.items() if all(_is_ordered(each, of) for each in walk(node)))


def _is_ordered(node: Node, of: str) -> bool:
    """True if a node is no operation on matrices, has a value where it is infinite, and is no decision on what may be NaN."""
    return node.op not in MATRIX | WAVES and not (
        node.op in DECIDING and any(_may_cancel(each, of) for each in node.args)
    )


def _may_cancel(node: Node, of: str) -> bool:
    """True if infinities may meet below a node: two in a sum or quotient, or one a decision's zero in a product."""
    return any(each.op in MEETING and _meet(each, of) for each in walk(node))


def _meet(node: Node, of: str) -> bool:
    if not all(_reaches(each, of) for each in node.args):
        return any(map(_is_zero, node.args))
    return node.op != "mul" or any(each.op in DECIDING for arg in node.args for each in walk(arg))


def undefined_inputs(cases: Cases, plan: Plan, chosen: bool = False) -> dict[str, Cases]:
    """Two small inputs of an estimator with a NaN, and with an infinity, by the name of the situation.

    Args:
        cases: of many shapes.
        plan: the estimator's, of an array of two axes.
        chosen: whether what is decided on NaN is a named behaviour, of which no other program need know.
    """
    shapes = [a["x"].shape for a in cases.arrays]
    kept = [len(s) == 2 and 4 < math.prod(s) <= MOST and s not in EXACT for s in shapes]
    few = [arrays for arrays, wanted in zip(cases.arrays, kept, strict=True) if wanted][-2:]
    found, graph = {}, plan.graph
    nan = followed(graph, "x") - (_deciding(graph) if chosen else frozenset())
    masked = {n for n, node in graph.outputs.items() if any(_masks(each, "x") for each in walk(node))}
    for name, outputs in {"NaN": nan, "infinities": _ordered(graph, "x") - masked}.items():
        tells = outputs or classed.certain(graph, list(plan.scalars(*free_values((2, 2), {}))), "x", VALUES[name])
        made = [{**a, "x": _third(a["x"], VALUES[name])} for a in few] if tells else []
        if made:
            new = Cases(made, [name] * len(few), cases.seed, outputs=outputs)
            found[name] = dataclasses.replace(new, nan_open=name == "NaN", may_meet=name == "infinities")
    return found


def _deciding(graph: Graph) -> frozenset[str]:
    """The outputs of a graph that depend on a decision."""
    return frozenset(n for n, node in graph.outputs.items() if any(each.op in DECIDING for each in walk(node)))


def not_finite(
    cases: Cases,
    primary: str,
    takes: Callable[[Arrays], bool],
    every: int = MOST,
    values: Mapping[str, float] = VALUES,
    most: int = MOST,
) -> dict[str, Cases]:
    """One small array with a NaN, and one with an infinity, by the name of the situation; none that a rule does not take.

    Args:
        cases: of many shapes.
        primary: the array that is changed.
        takes: whether the rule takes the arrays of a case.
        every: one of so many elements is changed; by default one alone.
        values: what elements become, by the name of the situation.
        most: how many elements the array has at most, if any array has as few.
    """
    known = [
        a for a in cases.arrays if a[primary].ndim and 4 < a[primary].size <= MOST and a[primary].dtype.kind == "f"
    ]
    few = [a for a in known if a[primary].size <= most] or known
    if not few:
        return {}
    arrays = max(few, key=lambda a: (a[primary].ndim == 2, a[primary].size))
    made = {name: {**arrays, primary: _third(arrays[primary], value, every)} for name, value in values.items()}
    return {
        name: Cases([each], [name], cases.seed, may_meet=name == "infinities")
        for name, each in made.items()
        if takes(each)
    }


def of_every_nan(x: np.ndarray) -> np.ndarray:
    """An array whose first elements are NaN of other bits: of both signs, quiet and signalling, with the ends of the fraction.

    A program that rounds by adding to the bits makes an infinity of the least, and zero of the largest.

    Args:
        x: floats, of two bytes or more.

    >>> bool(np.isnan(of_every_nan(np.ones(9, np.float32))[:8]).all())
    True
    """
    unsigned = np.dtype(f"u{x.dtype.itemsize}")
    sign, infinity, usual = (int(np.array(n, x.dtype).view(unsigned)) for n in (-0.0, np.inf, np.nan))
    quiet = usual & ~(infinity | sign)
    fractions = (1, quiet - 1, quiet, 2 * quiet - 1)
    bits = [each | infinity | fraction for each in (0, sign) for fraction in fractions]
    flat = np.array(x).reshape(-1).view(unsigned)
    flat[: len(bits)] = np.array(bits[: flat.size], unsigned)
    return flat.view(x.dtype).reshape(x.shape)


def _third(x: np.ndarray, value: float, every: int = MOST) -> np.ndarray:
    """An array with its third element changed, and one of so many after it."""
    return np.where(np.arange(x.size).reshape(x.shape) % every == 2, x.dtype.type(value), x)
