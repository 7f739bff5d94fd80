"""The table of docs/gradients.md that says which rules of the room have kernels, and what keeps the others from one.

``python -m tests.docs.gradient_kernels`` writes it.
"""

from __future__ import annotations

from pathlib import Path

from refgrad.optimizers.transform import Transform
from refgrad.rule import rules
from tests.docs.where_rules_run import kernel_said

PAGE = Path(__file__).parents[2] / "docs" / "gradients.md"
BEGIN, END = "<!-- kernels -->", "<!-- end of kernels -->"
#: how reasons begin that name axes or functions -> what they have in common
ALIKE = {
    "numpy.": "it calls a function that kernels do not have: a percentile, or as many numbers as there are of a kind",
    "a branch depends": "it is a branch on numbers of an array",
    "a number of Python's": "it is a branch on numbers of an array",
}


def grouped() -> dict[str, list[str]]:
    """The rules of the room by what is said of their kernels, the largest group first."""
    found: dict[str, list[str]] = {}
    for name, cls in rules(Transform).items():
        if cls.__module__.startswith("refgrad.gradients."):
            said = kernel_said(cls())
            said = next((alike for start, alike in ALIKE.items() if said.startswith(start)), said)
            found.setdefault(said, []).append(name)
    return dict(sorted(found.items(), key=lambda pair: (not pair[0].startswith("a kernel"), -len(pair[1]))))


def table() -> str:
    """The table in Markdown."""
    lines = ["| what is said | rules | which |", "|---|---|---|"]
    lines += [f"| {said} | {len(names)} | {', '.join(f'`{n}`' for n in names)} |" for said, names in grouped().items()]
    return "\n".join(lines)


if __name__ == "__main__":
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
