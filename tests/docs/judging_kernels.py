"""The table in docs/enclosure.md of rules that no kernel judges: ``python -m tests.docs.judging_kernels`` writes it."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from refgrad.arithmetic.enclosure_graph import Unknown, enclosed
from refgrad.backends.step_source import supports
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.acceptance.quantized_parts import has_graph, judge_parts
from refgrad.oracle.acceptance.screened_rows import Rows
from refgrad.rule import Rule, rules

PAGE = Path(__file__).parents[2] / "docs" / "enclosure.md"
BEGIN, END = "<!-- rules without a judging kernel -->\n", "<!-- end of rules without a judging kernel -->"
KINDS = ("estimator", "optimizer", "quantizer")
SHAPE = (4, 256)


def why_not(rule: Rule) -> str | None:
    """Why no kernel judges large arrays of a rule under the usual policy; None if one does.

    Args:
        rule: an optimizer, an estimator or a quantizer, at its defaults.
    """
    own: Any = rule
    if rule.kind == "quantizer":
        return _of_quantizer(own)
    if rule.kind == "estimator":
        if own.chosen:
            return "how it is judged depends on what was chosen at random or by order"
        graph = own.plan(SHAPE).graph
        if graph.small or graph.couples():
            return "its elements see each other, or a gradient is a sum"
    else:
        graph = own.plan(SHAPE, 3).graph
    try:
        enclosed(graph, {})
    except Unknown as why:
        return str(why)
    return None if supports(graph) else "a kernel has no lines for its step function"


def _of_quantizer(rule: Any) -> str | None:
    if not has_graph(rule):
        return "it is judged by its codes' bits or between ends that it names, without enclosures"
    kept: list[Rows] = []

    def worth(rows: Rows) -> bool:
        kept.append(rows)
        return False

    x = np.random.default_rng(0).standard_normal(SHAPE, np.float32)
    quantized = rule.quantize(x)
    with mock.patch.object(Rows, "worth", worth):
        judge_parts(rule, {"x": x}, {**quantized.arrays, "y": rule.dequantize(quantized)}, Policy())
    return kept[0].why_not()


def table() -> str:
    """The table in Markdown: by kind and reason the rules; and how many have a kernel."""
    found, judged = defaultdict[tuple[str, str], list[str]](list), dict.fromkeys(KINDS, 0)
    for name, cls in sorted(rules().items()):
        if cls.kind in KINDS:
            why = why_not(cls())
            if why is None:
                judged[cls.kind] += 1
            else:
                found[cls.kind, why].append(f"`{name}`")
    lines = ["| kind | why not | rules |", "|---|---|---|"]
    lines += [f"| {kind} | {why} | {', '.join(names)} |" for (kind, why), names in sorted(found.items())]
    counts = ", ".join(f"{many} {kind}s" for kind, many in judged.items())
    return "\n".join([*lines, "", f"The others have one: {counts}.", ""])


def written(page: str) -> str:
    """The page with its table as it is now.

    Args:
        page: as it was.
    """
    before, _, rest = page.partition(BEGIN)
    return before + BEGIN + table() + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
