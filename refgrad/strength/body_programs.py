"""Programs of rules that have no graph: legal ones, and mutants, by running their bodies as they stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from refgrad.arithmetic.body_mutations import BodyMutation
from refgrad.optimizers.transform import Transform
from refgrad.strength.body_interpreter import BodyRun
from refgrad.strength.body_operations import REAL
from refgrad.strength.rounding_styles import PLAIN, Array, Rounding, Style

#: the relative difference from which two results are two in real arithmetic, of which there are eighteen digits
DIFFERENCE = 1e-9


def legal_program(
    rule: Transform, arrays: Mapping[str, Array], random: np.random.Generator, style: Style
) -> dict[str, Array]:
    """The results of a random legal program of a body.

    Args:
        rule: a rule without a graph.
        arrays: what its body takes, by name, in its order: arrays of its precision.
        random: where the program's choices come from.
        style: what the program may do, and how it rounds.

    Returns:
        The results by name, arrays of the precision (see `precision_of`).
    """
    rounding = Rounding(style, random, precision_of(rule))
    return _rounded(BodyRun(rounding, random=random).results(rule, arrays), rounding)


def mutated_program(rule: Transform, mutation: BodyMutation | None, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The results of a body, each operation rounded once to its precision.

    Args:
        rule: a rule without a graph.
        mutation: the operation that is replaced, and by what; None for the rule as it stands.
        arrays: what its body takes, by name, in its order: arrays of its precision.

    Returns:
        The results by name, arrays of the precision (see `precision_of`).
    """
    rounding = Rounding(PLAIN, np.random.Generator(np.random.Philox(0)), precision_of(rule))
    return _rounded(BodyRun(rounding, mutation).results(rule, arrays), rounding)


def precision_of(rule: Transform) -> type:
    """The precision that a body is run in: float64 if it is one of numbers, float32 if it is one of arrays."""
    return np.float64 if rule.kind == "scaling" else np.float32


def _rounded(results: Mapping[str, Array], rounding: Rounding) -> dict[str, Array]:
    return {n: a.astype(rounding.precision) for n, a in results.items()}


def body_mutants(rule: Transform, cases: Sequence[Mapping[str, Array]]) -> list[BodyMutation]:
    """Every mutation that gives other real numbers than the rule on some case.

    Args:
        rule: a rule without a graph.
        cases: what its body takes, by name, case by case.

    Returns:
        The mutations; none of a rule that is judged by its condition, whose body is one way of many.
    """
    if not rule.by_steps:
        return []
    met: dict[BodyMutation, None] = {}
    truths = [BodyRun(met=met).results(rule, case) for case in cases]
    return [m for m in met if any(_differs(rule, m, c, t) for c, t in zip(cases, truths, strict=True))]


def _differs(rule: Transform, mutation: BodyMutation, case: Mapping[str, Array], truth: Mapping[str, Array]) -> bool:
    try:
        other = BodyRun(mutation=mutation).results(rule, case)
    except (ArithmeticError, ValueError, IndexError, TypeError):
        return False
    for name, true in truth.items():
        values = np.asarray(other[name], REAL)
        if values.shape != true.shape:
            return False
        with np.errstate(all="ignore"):
            same = (values == true) | (np.abs(values - true) <= DIFFERENCE * (np.abs(values) + np.abs(true)))
        if not (same | (np.isnan(values) & np.isnan(true))).all():
            return True
    return False
