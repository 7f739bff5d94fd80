"""The table of docs/gradients.md of titles, and of what was read of each: by the citations of the room's rules.

``python -m tests.docs.gradient_sources`` writes it.
"""

from __future__ import annotations

from pathlib import Path

from refgrad.optimizers.transform import Transform
from refgrad.rule import rules

PAGE = Path(__file__).parents[2] / "docs" / "gradients.md"
BEGIN, END = "<!-- sources -->", "<!-- end of sources -->"


def grouped() -> dict[tuple[str, str], tuple[set[str], list[str]]]:
    """By title and authors what was read, and the rules."""
    found: dict[tuple[str, str], tuple[set[str], list[str]]] = {}
    for name, cls in rules(Transform).items():
        if cls.__module__.startswith("refgrad.gradients."):
            cited = cls.citation
            assert cited is not None, f"{name} has a citation"
            read, names = found.setdefault((cited.title, cited.authors), (set(), []))
            read.add(cited.read)
            names.append(name)
    return dict(sorted(found.items(), key=lambda pair: pair[1][1]))


def table() -> str:
    """The table in Markdown."""
    lines = ["| title of the paper | authors | read | rules |", "|---|---|---|---|"]
    for (title, authors), (read, names) in grouped().items():
        lines.append(f"| {title} | {authors} | {', '.join(sorted(read))} | {', '.join(f'`{n}`' for n in names)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
