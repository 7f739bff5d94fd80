"""Findings over releases of packages: in which release each came or went.

``python -m refgrad.report.releases_page docs`` writes docs/releases.md from docs/survey.json and docs/releases/.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from refgrad.report.site.prose import escaped
from refgrad.report.survey_page import KEPT
from refgrad.surveys import releases as r
from refgrad.surveys.cell import CRASHED, HUNG, UNJUDGED, Cell
from refgrad.surveys.releases import ABSENT, Found, Release
from refgrad.surveys.run import Survey

COMMAND = "python -m refgrad.report.releases_page docs"
#: outcomes that say nothing of what an implementation computes
SILENT = (ABSENT, CRASHED, HUNG, UNJUDGED)

HEAD = f"""# Over releases

In which release did a finding of [the survey](survey.md) come, and in which did it go? Rows of packages in earlier releases, each
in an environment of its own, judged on the same cases. A row is first judged as what it is in the newest release; where it is not
that, as the survey judges it, but for the search for a name. Rows that need what an earlier release does not have are *absent*;
where rows are fewer than the survey's, findings of weight and one row a departure were judged first. What changed was judged in
the newest release again, beside the others.

Written by `{COMMAND}` from [the survey](survey.json) and `docs/releases/`, a file a release, which
`python -m refgrad.surveys.releases docs PACKAGE` makes of what is installed. What is granted besides (`scalars=float32`,
`subnormals=either`) is what the newest release is granted. The ten packages were chosen by how widely they are used as far as we
know; no counts of downloads were read. Releases of bitsandbytes before 0.49 have optimizers of 8 bits and lookups of codes for
graphics cards alone, and raise or end their process on a CPU.
"""


def page(survey: Survey, releases: Sequence[Release]) -> str:
    """The page in Markdown.

    Args:
        survey: of the newest releases.
        releases: the earlier ones.
    """
    return "\n".join([HEAD, *sections(survey.cells, releases)]) + "\n"


def sections(
    cells: Sequence[Cell], releases: Sequence[Release], name: Callable[[Cell], str] | None = None
) -> Iterator[str]:
    """What was judged, package by package, and what changed.

    Args:
        cells: of the survey.
        releases: the earlier ones.
        name: what an implementation is called in Markdown, such as a link.
    """
    name = name or (lambda cell: f"`{cell.called}`")
    packages = list(dict.fromkeys(release.package for release in releases))
    yield "## Releases that were judged\n"
    yield "| package | release | on | rows | findings | not there, or not judged |\n|---|---|---|---|---|---|"
    for package in packages:
        yield from _counted(package, [c for c in cells if c.package == package], releases)
    yield "\n## What came and what went\n"
    yield "Findings that are the same in all releases that were judged are not listed here.\n"
    for package in packages:
        for cell in cells:
            told = r.history(cell, releases) if cell.package == package else []
            if len(_runs(told)) > 1:
                yield f"- {name(cell)} ({cell.package}), judged as `{cell.claim}`: {escaped(text(told))}"


def _counted(package: str, cells: Sequence[Cell], releases: Sequence[Release]) -> Iterator[str]:
    """A line a release of a package, oldest first."""
    for release in releases:
        if release.package != package or release.version in {cell.version for cell in cells}:
            continue
        found = list(release.found.values())
        beneath = ", ".join(f"{n} {v}" for n, v in release.beneath.items())
        yield _line(package, release.version, beneath, found, len(cells))
    yield _line(package, cells[0].version if cells else "", "the survey", [Found.of(c) for c in cells], len(cells))


def _line(package: str, version: str, where: str, found: Sequence[Found], rows: int) -> str:
    silent = sum(each.outcome in SILENT for each in found)
    findings = sum(each.is_finding for each in found)
    told = f"{len(found)} of {rows}" if len(found) < rows else str(rows)
    return f"| {package} | {version} | {where} | {told} | {findings} | {silent} |"


def _runs(told: Sequence[tuple[str, Found]]) -> list[tuple[Found, str, str]]:
    """Runs of releases, without those in which nothing was seen of it."""
    return r.changes([pair for pair in told if pair[1].outcome not in SILENT])


def text(told: Sequence[tuple[str, Found]]) -> str:
    """What an implementation is, release by release, in one line.

    Args:
        told: what `refgrad.surveys.releases.history` gives.
    """
    parts = []
    for found, first, last in r.changes(told):
        why = f" ({found.message})" if found.message and found.outcome in (CRASHED, HUNG, UNJUDGED) else ""
        parts.append(f"{first}{f' to {last}' if last != first else ''}: {found}{why}")
    return "; ".join(parts)


def since(cell: Cell, releases: Sequence[Release]) -> str:
    """The release in which what the newest one shows came, in words; empty where no other release was judged.

    Args:
        cell: of the survey.
        releases: the earlier ones.
    """
    told = r.history(cell, releases)
    if len(told) < 2:
        return ""
    runs = r.changes(told)
    if len(runs) == 1:
        return f"the same in {', '.join(version for version, _ in told)}"
    return text(told)


def main(arguments: Sequence[str]) -> int | str:
    """Write the page.

    Args:
        arguments: the folder of the pages.

    Returns:
        What a process exits with: 0, or what is wrong.
    """
    if len(arguments) != 1:
        return f"usage: {COMMAND}"
    docs = Path(arguments[0])
    (docs / "releases.md").write_text(page(Survey.read(docs / KEPT), r.read(docs)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
