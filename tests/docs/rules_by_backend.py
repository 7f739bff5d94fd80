"""The table in docs/cuda.md of what runs rules on a card: ``python -m tests.docs.rules_by_backend`` writes it from the rules.

A rule counts once, by what runs most of it: kernels of its graph, its own code operation by operation, or the host.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from refgrad.arithmetic.enclosure_graph import Unknown, enclosed
from refgrad.backends.cuda.source import why_not
from refgrad.estimators.base import Estimator
from refgrad.optimizers.base import Optimizer
from refgrad.rule import Rule, rules

PAGE = Path(__file__).parents[2] / "docs" / "cuda.md"
BEGIN, END = "<!-- rules by backend -->\n", "<!-- end of rules by backend -->"
GRAPH, OPERATIONS, HOST, NUMBERS = (
    "kernels of its graph",
    "its own code, operation by operation",
    "the host",
    "no arrays",
)
#: the modules of quantizers whose kernels are those of a graph
OF_GRAPHS = ("on_device", "elements_on_device", "cast_on_device")


def on_the_host() -> set[str]:
    """The rules of which the page says that they run on the host, all of them or a method."""
    return set(re.findall(r"^\| `(\w+)` \| `[^|]*` \| ", PAGE.read_text(encoding="utf-8"), re.MULTILINE))


def runs(rule: Rule, host: set[str]) -> str:
    """What runs a rule on CuPy's arrays.

    Args:
        rule: the rule, at its defaults.
        host: the rules that run on the host.
    """
    if type(rule).__name__ in host:
        return HOST
    if rule.kind == "scaling":
        return NUMBERS
    if isinstance(rule, Optimizer | Estimator):
        plan = rule.plan((4, 4), 1) if isinstance(rule, Optimizer) else rule.plan((4, 4))
        return GRAPH if why_not(plan.graph) is None else OPERATIONS
    module = rule.device_module.rpartition(".")[2]
    if rule.kind in ("mask", "8-bit-optimizer") or (rule.kind == "quantizer" and module in OF_GRAPHS):
        return GRAPH
    return OPERATIONS


def has_judging_kernel(rule: Rule) -> bool:
    """True if large arrays of a rule are judged by a kernel: its enclosure is a graph of operations that kernels have."""
    if not isinstance(rule, Optimizer | Estimator):
        return False
    graph = (rule.plan((4, 4), 3) if isinstance(rule, Optimizer) else rule.plan((4, 4))).graph
    if isinstance(rule, Estimator) and (rule.chosen or graph.small or graph.couples()):
        return False
    try:
        enclosed(graph, {})
    except Unknown:
        return False
    return True


def table() -> str:
    """The table in Markdown: how many rules of each kind there are by what runs them, and on what they are judged."""
    host, found, judged = on_the_host(), Counter[tuple[str, str]](), Counter[str]()
    for cls in rules().values():
        found[cls.kind, runs(cls(), host)] += 1
        judged[cls.kind] += has_judging_kernel(cls())
    columns = (GRAPH, OPERATIONS, HOST, NUMBERS)
    lines = [
        f"| kind | {' | '.join(columns)} | large arrays judged on the card |",
        f"|---|{'---|' * (len(columns) + 1)}",
    ]
    for kind in sorted({kind for kind, _ in found}):
        lines.append(
            f"| {kind} | {' | '.join(str(found[kind, how] or '') for how in columns)} | {judged[kind] or ''} |"
        )
    sums = [str(sum(n for (_, own), n in found.items() if own == how)) for how in columns]
    return "\n".join([*lines, f"| all | {' | '.join(sums)} | {judged.total()} |", ""])


def written(page: str) -> str:
    """The page with its table as it is now."""
    before, _, rest = page.partition(BEGIN)
    return before + BEGIN + table() + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
