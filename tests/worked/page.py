"""The page of worked examples of rules without steps, from the formulas alone: no number on it was computed by refgrad."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator
from typing import Any

from tests.worked.digits import rounded
from tests.worked.example import Example, flat
from tests.worked.table import EXAMPLES, WITHOUT

HEAD = """# Worked examples of estimators, quantizers, masks and transforms

Each rule on a few numbers, so that a reader checks it by hand. What comes out was computed by the formula beneath, in fifty
digits or in fractions, and is rounded to ten digits: no number on this page was computed by refgrad. `r` is the rule, for its
hyperparameters alone. `tests/test_worked.py` holds refgrad in float64 to the numbers, to 1e-12 of the larger of the number and
1, and `python -m tests.worked > docs/worked-examples-others.md` renews the page. Optimizers, in three steps each, stand in
[worked-examples.md](worked-examples.md).
"""


def text() -> str:
    """The whole page, by kind and name."""
    ordered = sorted(EXAMPLES, key=lambda e: (e.rule.kind, e.name, str(e.rule)))
    parts = [HEAD]
    for kind in sorted({e.rule.kind for e in ordered}):
        parts.append(f"# {kind}\n")
        parts += [section(e) for e in ordered if e.rule.kind == kind]
    parts.append("# Without an example\n")
    reasons: dict[str, list[str]] = {}
    for name, reason in sorted(WITHOUT.items()):
        reasons.setdefault(reason, []).append(f"`{name}`")
    parts += [f"* {', '.join(names)}: {reason}" for reason, names in reasons.items()]
    return "\n".join(parts) + "\n"


def section(example: Example) -> str:
    """One example: the rule, what goes in, what comes out, and the formula."""
    lines = [f"## {example.rule}", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {numbers(flat(values))} |" for name, values in example.given.items()]
    lines += [f"| **{name}** | {numbers(values)} |" for name, values in example.by_hand().items()]
    source = "\n\n".join(dict.fromkeys(sources(example)))
    return "\n".join([*lines, "", "```", source, "```", ""])


def sources(example: Example) -> Iterator[str]:
    """The text of an example's formulas."""
    for function in example.shown or (example.equation,):
        yield textwrap.dedent(inspect.getsource(function)).strip().rstrip(",")


def numbers(values: list[Any]) -> str:
    """Numbers in a row, of many the first 32."""
    shown = " ".join(rounded(v, 10).removesuffix(".0") for v in values[:32])
    return shown + (f" ... ({len(values)} in all)" if len(values) > 32 else "")
