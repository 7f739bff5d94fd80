"""The page of worked examples, from the equations alone: no number on it was computed by refgrad."""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import Any

from tests.optimizers.worked.by_hand import GRADIENTS, Example, P, follow
from tests.optimizers.worked.examples import EXAMPLES
from tests.worked.digits import rounded

HEAD = """# Worked examples

Each optimizer on three numbers for three steps, so that a reader checks it by hand; on other numbers, which it then says,
where these do not show what it is about. The parameter is {p} before the first step, and the gradients are

| step | g |  |  |
|---|---|---|---|
{gradients}

unless a rule takes more than a gradient: then a second gradient is -1/2 of it, noise 1/4 of it, an estimate of curvature its
magnitude, and the loss 3/4. A rule of matrices sees the three numbers as one row, or, where it says so, as a vector.

The numbers are those of the equation beneath them, in sixty digits, rounded to twelve: no number on this page was computed by
refgrad. `h` are the hyperparameters, `s` the state, which the equation replaces, and `t` counts from 1. The state starts at
zero, or as [the rule](rules.md) says. `tests/optimizers/test_worked.py` holds refgrad in float64 to them, to 1e-12 of the
larger of the number and 1, and `python -m tests.optimizers.worked > docs/worked-examples.md` renews the page.
"""


def text() -> str:
    """The whole page."""
    rows = "\n".join(f"| {t} | {' | '.join(f'{x:g}' for x in g)} |" for t, g in enumerate(GRADIENTS, 1))
    head = HEAD.format(p=", ".join(f"{x:g}" for x in P), gradients=rows)
    return "\n".join([head, *(section(example) for example in EXAMPLES)])


def section(example: Example) -> str:
    """One example: the rule, its numbers, and the equation."""
    rates = f"\n\nThe learning rates are {', '.join(map(str, example.rates))}." if example.rates else ""
    if example.gradients != GRADIENTS:
        rates += f"\n\nThe gradients are {', '.join(str(tuple(map(float, g))) for g in example.gradients)}."
    if example.rows > 1:
        rates += f"\n\nThe parameter is a matrix of {example.rows} rows, {example.start} at first."
    columns = len(example.start)
    lines = [f"## {example.rule}{rates}", "", f"| step | p |{'  |' * (columns - 1)}", "|---" * (columns + 1) + "|"]
    lines += [f"| {t} | {' | '.join(rounded(x, 12) for x in p)} |" for t, p in enumerate(follow(example), 1)]
    source = "\n\n".join(textwrap.dedent(inspect.getsource(function)).rstrip() for function in needed(example.paper))
    return "\n".join([*lines, "", "```", source, "```", ""])


def needed(function: Any, known: tuple[Any, ...] = ()) -> tuple[Any, ...]:
    """A function, and those of the tests that it calls, each once."""
    if function in known:
        return known
    known = (*known, function)
    tree = ast.parse(
        textwrap.dedent(inspect.getsource(function))
    )  # by the text: bytecode names others on another Python
    names = sorted((n for n in ast.walk(tree) if isinstance(n, ast.Name)), key=lambda n: (n.lineno, n.col_offset))
    for name in dict.fromkeys(n.id for n in names):
        called = function.__globals__.get(name)
        if inspect.isfunction(called) and called.__module__.startswith("tests."):
            known = needed(called, known)
    return known
