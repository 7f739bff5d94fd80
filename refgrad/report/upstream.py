"""Texts that maintainers of packages could be sent; none was.

``python -m refgrad.report.upstream docs`` writes docs/upstream/ from docs/survey.json: a page a package, a section an
implementation that is not the rule as claimed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from refgrad.legal import Choice, Flag
from refgrad.report.releases_page import since
from refgrad.report.survey_page import KEPT, confirmed
from refgrad.rule import Rule
from refgrad.surveys.cell import CONFORMS, DIFFERS, OUTCOMES, Cell
from refgrad.surveys.implementations import known
from refgrad.surveys.implementations.findings import FINDINGS
from refgrad.surveys.implementations.record import Implementation
from refgrad.surveys.releases import Release, read
from refgrad.surveys.run import Survey
from refgrad.surveys.survey_text import remark

#: what is granted to an implementation that writes into the gradient
COPIED = "gradient=copied"
COMMAND = "python -m refgrad.report.upstream docs"

HEAD = f"""# Texts for maintainers

For each implementation of the [survey](../survey.md) that is not the rule as claimed, a text that its maintainers could be sent:
what was found, in which version, the lines that show it, what was expected, and from which source. **None was sent.** Many
departures are meant: a convention of the package, or what its authors' code has where the paper says otherwise; whether one is,
its maintainers know. Written from the survey by `{COMMAND}`.

| package | version | texts |
|---|---|---|
"""


def pages(cells: Sequence[Cell], rows: Iterable[Implementation], releases: Sequence[Release] = ()) -> dict[str, str]:
    """Each page in Markdown by its path within docs: of all packages together, and of each.

    Args:
        cells: what was found.
        rows: of the table, for what was claimed.
        releases: earlier ones.
    """
    claims = {row.key: row.claim for row in rows}
    sentences = {cell.key: f.sentence for f in FINDINGS if (cell := confirmed(f, cells)) is not None}
    told = [c for c in cells if c.key in claims and (c.outcome != CONFORMS or c.key in sentences)]
    texts: dict[str, str] = {}
    lines = []
    for package in sorted({c.package for c in told}, key=str.lower):
        groups = _grouped([c for c in told if c.package == package], sentences)
        version = groups[0][0].version
        lines.append(f"| [{package}]({package}.md) | {version} | {len(groups)} |\n")
        sections = [
            text(same, claims[same[0].key], _first(same, sentences), since(same[0], releases)) for same in groups
        ]
        head = f"# {package} {version}".rstrip()
        told_all = "[All packages](README.md). None of these texts was sent."
        texts[f"upstream/{package}.md"] = "\n\n".join([head, told_all, *sections]) + "\n"
    return {"upstream/README.md": HEAD + "".join(lines), **texts}


def _grouped(cells: Sequence[Cell], sentences: Mapping[str, str]) -> list[list[Cell]]:
    """Cells of which one text speaks: forms of one implementation that are the same; findings of weight first."""
    groups: dict[tuple[str, ...], list[Cell]] = {}
    for cell in cells:
        name = cell.called.partition("(")[0]
        groups.setdefault((name, cell.claim, cell.variant, cell.outcome, sentences.get(cell.key, "")), []).append(cell)
    return sorted(groups.values(), key=lambda same: not _first(same, sentences))


def _first(cells: Iterable[Cell], sentences: Mapping[str, str]) -> str:
    return next((sentences[c.key] for c in cells if c.key in sentences), "")


def text(cells: Sequence[Cell], claim: Rule, sentence: str = "", over: str = "") -> str:
    """What a package's maintainers could be sent of one implementation.

    Args:
        cells: what was found of its forms, the same of each.
        claim: the rule that they were judged as.
        sentence: what was found, in words, where somebody wrote them.
        over: what it is in other releases, in words.

    Returns:
        A section in Markdown.
    """
    cell, *others = cells
    cited = type(claim).citation
    parts = [
        f"## {cell.called.partition('(')[0]}: {_title(cell)}",
        f"`{cell.called}` of {cell.package} {cell.version} was judged as `{claim}`: {cited}.",
        f"**Found.** {_sentence(sentence or _found(cell))}" + (f" ({cell.note})" if cell.note and sentence else ""),
        f"**Expected.** {_sentence(_expected(cell, claim))}",
        f"**Derived from.** {_sentence(cited.provenance())}",
    ]
    if over:
        parts.append(f"**In releases.** {over[:1].upper()}{_sentence(over[1:])}")
    if others:
        parts.append("**The same** holds of " + ", ".join(f"`{other.called}`" for other in others) + ".")
    granted = [c for c in cell.conditions if not (sentence and c == COPIED)]
    if granted:
        parts.append(f"**Granted besides**, and no part of the finding: {', '.join(f'`{c}`' for c in granted)}.")
    parts.append("**Lines that show it.**\n\n" + "\n".join(f"    {line}" for line in cell.reproduce.splitlines()))
    return "\n\n".join(parts)


def _title(cell: Cell) -> str:
    if cell.outcome == CONFORMS:
        return "writes into the gradient"
    return (
        f"is {cell.rule}({cell.variant})" if cell.variant and cell.outcome != DIFFERS else f"differs from {cell.rule}"
    )


def _found(cell: Cell) -> str:
    """What it is, in the words of the rule's named behaviours, or of the row's note."""
    if cell.outcome == DIFFERS:
        return remark(cell) or OUTCOMES[DIFFERS]
    return cell.sentence + (f" ({cell.note})" if cell.note else "")


def _expected(cell: Cell, claim: Rule) -> str:
    """What the claim has where the implementation has something else."""
    if cell.outcome == CONFORMS:
        return "the gradient that is handed in is left as it was"
    legal = claim.legal()
    said = []
    for name in re.findall(r"(?:^|, )(\w+)=", cell.variant):
        behaviour, value = legal.get(name), getattr(claim, name, None)
        if isinstance(behaviour, Choice):
            said.append(f"`{name}={value}`: {behaviour.sentences[str(value)]}")
        elif isinstance(behaviour, Flag):
            said.append(f"`{name}={str(value).lower()}`: {behaviour.said(bool(value))}")
        elif value is not None:
            said.append(f"`{name}={value}`")
    return "; ".join(said) or f"each value lies in the set of what a correct program of `{claim}` may return"


def _sentence(words: str) -> str:
    return words if words.endswith((".", ":")) else f"{words}."


def write(docs: Path) -> None:
    """Write every page into docs/, from the survey that is kept there."""
    for path, page in pages(Survey.read(docs / KEPT).cells, known(), read(docs)).items():
        (docs / path).parent.mkdir(exist_ok=True)
        (docs / path).write_text(page, encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: {COMMAND}")
    write(Path(sys.argv[1]))
