"""The page of a survey: ``python -m refgrad.report.survey_page survey.json > docs/survey.md`` writes it from the JSON.

With ``--keep`` before the file it writes what docs/survey.json keeps of the survey.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator

from refgrad.report.rules_page import cell as cell_text
from refgrad.surveys.attempts import CONDITIONS
from refgrad.surveys.cell import CONFORMS, CRASHED, DIFFERS, HUNG, OUTCOMES, UNJUDGED, VARIANT, Cell
from refgrad.surveys.implementations.findings import FINDINGS, Finding
from refgrad.surveys.run import Survey
from refgrad.surveys.survey_text import remark

#: the survey that pages of docs/ and of the site are made from
KEPT = "survey.json"

HEAD = """# The survey

Which of the implementations out there are the rule that they say they are? `refgrad survey` judges every implementation
that it knows and that is installed, each against the rule that its documentation names:

    refgrad survey --html survey.html --json survey.json
    refgrad survey --packages torch,optax --rules AdamW,Lion
    refgrad survey --resume                       # goes on with what was judged before it was interrupted
    refgrad survey --from survey.json --html survey.html

Each cell is judged in a process that may crash or hang without harm to the others, and has one of these outcomes:

{outcomes}

First the claim is judged as it stands. If it fails, what the package is known to need is granted, and what of that turns out not
to be needed is taken away again:

{conditions}

If that fails too the variant that the table names is judged, and if there is none, or it fails, the search of `refgrad verify`
looks for a name, for as long as `--explain` allows. The page that `--html` writes needs nothing else: every cell opens to its
verdict, to the lines of Python that give it again, and to the distances of all values from the truth.

The table is data, in `refgrad/surveys/implementations/`: one record an implementation, with its target, the claim,
the variant, what it needs, and how it is driven. A new implementation is a new record; `--table module:NAME` surveys a
table of your own. What is below was written from one survey by
`python -m refgrad.report.survey_page survey.json > docs/survey.md`; with `--keep survey.json > docs/survey.json` the same command
keeps what [texts for maintainers](upstream/README.md) are made from. What a row is in earlier releases of its package, and in
which release a finding came or went, stands in [over releases](releases.md).
"""


def page(survey: Survey) -> str:
    """The page in Markdown."""
    outcomes = "\n".join(f"- **{outcome}**: {sentence};" for outcome, sentence in OUTCOMES.items())
    granted = "\n".join(f"- `{name}`: {sentence};" for name, sentence in CONDITIONS.items())
    parts = [HEAD.format(outcomes=outcomes, conditions=granted), *_counts(survey), *_findings(survey)]
    for outcome in (DIFFERS, CRASHED, HUNG, UNJUDGED, VARIANT):
        parts += _listed(survey, outcome)
    return "\n".join([*parts, *_conforming(survey)]) + "\n"


def _counts(survey: Survey) -> Iterator[str]:
    yield f"## The survey of {survey.started[:10]}\n"
    yield (
        f"{len(survey.cells)} implementations of {len(survey.covered)} of {len(survey.rules)} rules, in {len(survey.packages)} "
        f"packages; judging them took {survey.judging / 60:.0f} minutes by the clock. "
        f"With {', '.join(f'{n} {v}' for n, v in survey.environment.items())}.\n"
    )
    yield "| outcome | implementations |\n|---|---|"
    yield from (f"| {outcome} | {count} |" for outcome, count in survey.counts.items())
    needed = Counter(condition for cell in survey.cells for condition in cell.conditions)
    yield "\n| granted | implementations |\n|---|---|"
    yield from (f"| `{name}` | {needed[name]} |" for name in CONDITIONS)
    versions = ", ".join(f"{n} {v}" for n, v in sorted(survey.packages.items()))
    yield f"\nVersions that were run: {versions}. Those that were read stand with each rule ([rules.md](rules.md)).\n"
    if survey.missing:
        yield f"Not installed: {', '.join(survey.missing)}.\n"


def confirmed(finding: Finding, cells: Iterable[Cell]) -> Cell | None:
    """The cell that confirms a finding."""
    for cell in cells:
        right = cell.package == finding.package and cell.rule == finding.rule and cell.called.startswith(finding.called)
        said = (cell.outcome, *cell.conditions)
        if right and any(word in said or word in cell.variant for word in finding.confirmed_by):
            return cell
    return None


def _findings(survey: Survey) -> Iterator[str]:
    found = [(f, cell) for f in FINDINGS if (cell := confirmed(f, survey.cells)) is not None][:10]
    if found:
        yield f"## The {len(found)} most important findings\n"
    for number, (finding, cell) in enumerate(found, 1):
        yield f"{number}. **{cell.called.partition('(')[0]}** ({cell.package} {cell.version}): {finding.sentence}\n"
        yield "".join(f"       {line}\n" for line in cell.reproduce.splitlines())


def _listed(survey: Survey, outcome: str) -> Iterator[str]:
    cells = [c for c in survey.cells if c.outcome == outcome]
    if not cells:
        return
    yield f"\n## {outcome.capitalize()}\n"
    yield "| implementation | judged as | what is found | granted |\n|---|---|---|---|"
    for cell in cells:
        where = f"{cell.called} ({cell.column} {cell.version})"
        granted = ", ".join(f"`{c}`" for c in cell.conditions)
        yield f"| {cell_text(where)} | `{cell_text(cell.claim)}` | {cell_text(remark(cell))} | {granted} |"


def _conforming(survey: Survey) -> Iterator[str]:
    yield "\n## Conforms\n"
    yield "| rule | implementations |\n|---|---|"
    for rule in survey.rules:
        cells = [c for c in survey.cells if c.rule == rule.name and c.outcome == CONFORMS]
        if cells:
            names = dict.fromkeys(f"{c.called.partition('(')[0]} ({c.column})" for c in cells)
            yield f"| {rule.name} | {cell_text(', '.join(names))} |"


def kept(survey: Survey) -> Survey:
    """What is kept of a survey: the cells without their verdicts' texts and distances, which are most of it.

    Args:
        survey: the survey.
    """
    cells = (dataclasses.replace(cell, report="", errors={}, attempts=cell.attempts[-1:]) for cell in survey.cells)
    return dataclasses.replace(survey, cells=tuple(cells))


if __name__ == "__main__":
    read = Survey.read(sys.argv[-1])
    if sys.argv[1:-1] == ["--keep"]:
        print(json.dumps(kept(read).to_dict(), indent=0, ensure_ascii=False))
    else:
        print(page(read), end="")
