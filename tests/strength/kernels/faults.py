"""Planted faults: edits of the programs in NumPy, chosen by hand, and programs in which one operation of the text is another."""

from __future__ import annotations

import inspect
import itertools
import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from refgrad.errors import RefgradError
from refgrad.kinds.table import kind_of
from refgrad.oracle.acceptance.bodies import named
from tests.strength.kernels import in_numpy
from tests.strength.kernels.edits import EDITS
from tests.strength.kernels.program import FORMULAS, Program, rule_of

#: from which on two results are two in real arithmetic, as a share of the number
DIFFERENT = 1e-9
#: one mutant of so many is tried: there are 845, and most are of the same few kinds
EVERY = 3


def edited(of: str, old: str, new: str) -> Callable[..., Any]:
    """The program in NumPy of a name with a text replaced.

    Args:
        of: its name.
        old: the text.
        new: what stands for it; where brackets are opened, they are closed at the end of the line.
    """
    head, *body = textwrap.dedent(inspect.getsource(getattr(in_numpy, of))).splitlines()
    assert any(old in line for line in body), (of, old)
    lines = [head]
    for line in body:
        opened = line.replace(old, new)
        lines.append(opened + ")" * (opened.count("(") - opened.count(")") - line.count("(") + line.count(")")))
    scope = dict(vars(in_numpy))
    exec("\n".join(lines), scope)
    return scope[of]  # type: ignore[no-any-return]


def by_hand() -> Iterator[Program]:
    """Faults that are chosen by hand."""
    for of, edits in EDITS.items():
        for old, new, name in edits:
            yield Program(of, "an edit", name, edited(of, old, new), wrong=True)


def mutants(of: str) -> Iterator[Program]:
    """Programs of a formula, or of its gradients, in which an operation of the text is another, or a result is off by a factor.

    Args:
        of: as of `Program.of`.
    """
    rule = rule_of(of)
    kind: Any = kind_of(rule)
    cases = kind.generate(rule, 3, np.dtype(np.float64), 0).arrays
    for name, _, how in kind.rewritten(rule):
        other = kind.departed(rule, how)
        if any(_differs(rule, other, arrays) for arrays in cases):
            yield Program(of, "a mutant", name, _function(other), wrong=True)


def _function(other: Any) -> Callable[..., Any]:
    def function(*arrays: Any) -> Any:
        kept = next(a.dtype for a in arrays if a.dtype.kind == "f")
        found = named(other.apply(*arrays))
        results = {name: np.asarray(each).astype(kept) for name, each in found.items()}
        return results if len(results) > 1 else results.popitem()[1]

    return function


def _differs(rule: Any, other: Any, arrays: Mapping[str, np.ndarray]) -> bool:
    with np.errstate(all="ignore"):
        try:
            found = named(other.apply(*(a.copy() for a in arrays.values())))
        except (RefgradError, ArithmeticError, IndexError, TypeError, ValueError):
            return False
        for name, true in named(rule(*arrays.values())).items():
            got, size = np.asarray(found[name], np.float64), np.abs(np.asarray(true, np.float64))
            if got.shape != size.shape:
                return False
            same = (got == true) | (np.abs(got - true) <= DIFFERENT * (np.abs(got) + size))
            if not (same | (np.isnan(got) & np.isnan(true))).all():
                return True
    return False


def programs() -> Iterator[Program]:
    """All of them: those by hand, and of the mutants of every formula one of `EVERY`."""
    yield from by_hand()
    for of in FORMULAS:
        yield from itertools.islice(mutants(of), 0, None, EVERY)
