"""The state of the world: what every implementation that is known is, with a link, and lines that reproduce it, for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from html import escape

from refgrad.report import releases_page
from refgrad.report.site.gallery import FOLDER, filters
from refgrad.report.site.prose import escaped
from refgrad.report.survey_html import identity
from refgrad.report.survey_page import confirmed
from refgrad.surveys.cell import OUTCOMES, Cell
from refgrad.surveys.implementations.findings import FINDINGS
from refgrad.surveys.releases import Release
from refgrad.surveys.survey_text import remark

HEAD = """# The state of the world

Which public implementations are the rule that their documentation names? {count} implementations of {rules} rules in {packages}
packages, each judged value by value ([how](/survey.md)), in the survey of {day}. Of an implementation that conforms, what is
granted is what the survey's table holds ready for it: some need less.

{counts}

"""


def page(cells: Sequence[Cell], day: str, releases: Sequence[Release] = ()) -> str:
    """The page in Markdown.

    Args:
        cells: of all implementations.
        day: of the survey.
        releases: earlier ones.
    """
    found = Counter(cell.outcome for cell in cells)
    lines = "".join(f"- **{found[o]} {o}**: {sentence}\n" for o, sentence in OUTCOMES.items() if found[o])
    head = HEAD.format(
        count=len(cells),
        rules=len({c.rule for c in cells}),
        packages=len({c.package for c in cells}),
        day=day,
        counts=lines,
    )
    bar = filters(
        package=(c.package for c in cells),
        rule=(c.rule for c in cells),
        outcome=(c.outcome for c in cells),
        granted=(g for c in cells for g in c.conditions),
    )
    items = "\n".join(_item(c, releases_page.since(c, releases)) for c in sorted(cells, key=_order))
    every = f"## Every implementation\n\n{bar}\n<ul class='world' data-group>\n{items}\n</ul>\n"
    over = "\n".join(releases_page.sections(cells, releases, linked)) + "\n\n" if releases else ""
    return "".join([head, *_findings(cells), over, every])


def linked(cell: Cell) -> str:
    """An implementation's name as a link to its entry, for Markdown of the same page."""
    return f"<a href='#{identity(cell)}'><code>{escape(cell.called)}</code></a>"


def _order(cell: Cell) -> tuple[str, str, str]:
    return cell.rule.lower(), cell.package.lower(), cell.called


def _findings(cells: Sequence[Cell]) -> Iterator[str]:
    found = findings(cells)
    if found:
        yield f"## The {found.count('1. **')} most important findings\n\n{found}\n"


def findings(cells: Sequence[Cell], here: str = "") -> str:
    """The ten most important findings as a list, each with a link to its cell and the text for its maintainers.

    Args:
        cells: of all implementations.
        here: the address of this page, from the one on which the list stands.
    """
    found = [(f, cell) for f in FINDINGS if (cell := confirmed(f, cells)) is not None][:10]
    return "".join(
        f"1. **`{cell.called.partition('(')[0]}`** ({cell.package} {cell.version}): {escaped(finding.sentence)} "
        f"<a href='{here}#{identity(cell)}'>Its lines</a>, [the text for its maintainers](/upstream/{cell.package}.md).\n"
        for finding, cell in found
    )


def _item(cell: Cell, since: str) -> str:
    """A cell as HTML on one line, so that Markdown leaves it alone."""
    anchor = identity(cell)
    words = f"{cell.called} {cell.rule} {cell.column} {cell.variant} {cell.sentence}".lower()
    told = remark(cell) or cell.sentence
    granted = "".join(f" <code>{escape(c)}</code>" for c in cell.conditions)
    lines = escape(cell.reproduce).replace("\n", "<br>")
    marks = f'data-words="{escape(words)}" data-package="{escape(cell.package)}" data-rule="{escape(cell.rule)}"'
    marks += f' data-outcome="{cell.outcome}" data-granted="{escape("|".join(cell.conditions))}"'
    return (
        f'<li id="{anchor}" {marks}><span class="outcome" data-outcome="{cell.outcome}">{cell.outcome}</span> '
        f"<code>{escape(cell.called)}</code> ({escape(cell.package)} {escape(cell.version)}) as "
        f'<a href="{FOLDER}/{escape(cell.rule)}.html"><code>{escape(cell.claim)}</code></a>'
        f"{': ' + escape(told) if told else ''}{' — granted:' + granted if granted else ''} "
        f'<a class="headerlink" href="#{anchor}" title="Link to this">¶</a>'
        f"{f'<br><small>Releases: {escape(since)}</small>' if since else ''}"
        f"<details><summary>lines that reproduce it</summary><pre>{lines}</pre></details></li>"
    )
