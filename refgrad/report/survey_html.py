"""A survey as one page that needs nothing else: its style, its script and its data are in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from html import escape
from importlib.resources import files
from typing import Any

from refgrad.oracle.acceptance.ulp_errors import ENDS
from refgrad.report import html_page
from refgrad.surveys.attempts import CONDITIONS
from refgrad.surveys.cell import CONFORMS, CRASHED, DIFFERS, HUNG, OUTCOMES, UNJUDGED, VARIANT, Cell
from refgrad.surveys.run import Survey, Surveyed
from refgrad.surveys.survey_text import remark

#: outcome -> what stands in its cells; the colour says the same
MARKS = {CONFORMS: "✓", VARIANT: "≈", DIFFERS: "✗", CRASHED: "!", HUNG: "…", UNJUDGED: "?"}

#: condition -> how it is written in a cell
SHORT = {"scalars=float32": "f32", "subnormals=either": "sub", "gradient=copied": "copy"}

BODY = """<a class="skip" href="#matrix">To the matrix</a>
<header>
<h1>Is it the rule that it says it is?</h1>
<p>{lead}</p>
<button type="button" class="plain theme" aria-label="Light or dark" title="Light or dark">◐</button>
<div class="tiles" role="group" aria-label="Show only these outcomes">{tiles}</div>
</header>
<div class="filters" role="search">
<label>Rule or implementation <input type="search" id="text" placeholder="AdamW" autocomplete="off"></label>
<label>Kind <select id="kind"><option value="">all kinds</option>{kinds}</select></label>
<label>Package <select id="package"><option value="">all packages</option>{packages}</select></label>
<label class="check"><input type="checkbox" id="empty"> {empty} rules without an implementation</label>
<button type="button" class="plain" id="all">Show all</button>
<span class="shown" role="status" aria-live="polite"></span>
</div>
<main>
<div class="matrix" id="matrix" tabindex="-1">
<table class="rules">
<thead><tr><th scope="col">Rule</th>{heads}</tr></thead>
<tbody>
{rows}
</tbody>
</table>
<p class="none" hidden>Nothing fits these filters.</p>
</div>
</main>
<footer>
<h2>How to read it</h2>
<ul class="legend">{legend}</ul>
<h2>What may be granted</h2>
<p>A cell says what had to be granted, and nothing where nothing had to be.</p>
<ul class="legend">{conditions}</ul>
<h2>Versions</h2>
<ul class="versions">{versions}</ul>
{missing}
<p>{made}</p>
</footer>
<dialog aria-labelledby="title">
<div class="bar"><span class="mark" aria-hidden="true"></span><strong></strong>
<button type="button" class="plain" id="previous" aria-label="Previous cell">←</button>
<button type="button" class="plain" id="next" aria-label="Next cell">→</button>
<button type="button" class="plain" id="close">Close</button></div>
<article></article>
</dialog>
<script type="application/json" id="survey">{data}</script>
<script>{script}</script>"""


def page(survey: Survey) -> str:
    """The page, as HTML."""
    place = files("refgrad.report").joinpath("page")
    covered = set(survey.covered)
    body = BODY.format(
        script=place.joinpath("survey.js").read_text(encoding="utf-8"),
        lead=_lead(survey),
        tiles="".join(_tile(outcome, count) for outcome, count in survey.counts.items()),
        kinds=_options(dict.fromkeys(r.kind for r in survey.rules)),
        packages=_options(dict.fromkeys(c.package for c in survey.cells)),
        empty=sum(r.name not in covered for r in survey.rules),
        heads="".join(_head(column, survey) for column in survey.columns),
        rows="\n".join(_rows(survey)),
        legend="".join(f"<li>{_mark(o)}<span><b>{escape(o)}</b>: {escape(s)}</span></li>" for o, s in OUTCOMES.items()),
        conditions="".join(
            f"<li><code>{SHORT[name]}</code><span><code>{name}</code>: {escape(sentence)}</span></li>"
            for name, sentence in CONDITIONS.items()
        ),
        versions="".join(f"<li>{escape(n)} {escape(v)}</li>" for n, v in sorted(survey.packages.items())),
        missing=f"<p>Not installed: {escape(', '.join(survey.missing))}.</p>" if survey.missing else "",
        made=escape("Made with " + ", ".join(f"{n} {v}" for n, v in survey.environment.items()) + "."),
        data=_data(survey),
    )
    return html_page.page("refgrad survey", place.joinpath("survey.css").read_text(encoding="utf-8"), body)


def _lead(survey: Survey) -> str:
    day, _, clock = survey.started.partition("T")
    return (
        f"{len(survey.cells)} implementations of {len(survey.covered)} rules in {len(survey.packages)} packages, each judged "
        f"against the rule that its documentation names, value by value: inside the set of what a correct one may return, or "
        f"outside. Run on <time datetime='{escape(survey.started)}'>{escape(day)}</time> at "
        f"{escape(clock[:5])} UTC, with {_duration(survey.judging)} of judging. A cell opens to its verdict."
    )


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 120 else f"{seconds / 60:.0f} minutes"


def _mark(outcome: str) -> str:
    return f"<span class='mark' data-outcome='{outcome}' aria-hidden='true'>{MARKS[outcome]}</span>"


def _tile(outcome: str, count: int) -> str:
    return (
        f"<button type='button' class='tile' data-outcome='{outcome}' aria-pressed='false'>"
        f"<span class='mark' aria-hidden='true'>{MARKS[outcome]}</span><b>{count}</b><span>{escape(outcome)}</span></button>"
    )


def _options(names: Any) -> str:
    return "".join(f"<option>{escape(name)}</option>" for name in sorted(names, key=str.lower))


def _head(column: str, survey: Survey) -> str:
    package, _, form = column.partition(" (")
    told = f" <small>{escape(form.rstrip(')'))}</small>" if form else ""
    version = f"<br><small>{escape(survey.packages.get(package, ''))}</small>"
    return f"<th scope='col' data-column='{escape(column)}'><div class='up'>{escape(package)}{told}{version}</div></th>"


def _rows(survey: Survey) -> Iterator[str]:
    numbers = {cell.key: number for number, cell in enumerate(survey.cells)}
    kind = ""
    for rule in survey.rules:
        if rule.kind != kind:
            kind = rule.kind
            rest = "".join(f"<td data-column='{escape(c)}'></td>" for c in survey.columns)
            yield f"<tr class='kind' data-kind='{escape(kind)}'><th scope='rowgroup'>{escape(kind)}s</th>{rest}</tr>"
        yield _row(rule, survey, numbers)


def _row(rule: Surveyed, survey: Survey, numbers: dict[str, int]) -> str:
    cells = [c for c in survey.cells if c.rule == rule.name]
    search = " ".join([rule.name, *(f"{c.called} {c.column} {c.variant}" for c in cells)]).lower()
    parts = []
    for column in survey.columns:
        own = "".join(_cell(c, numbers[c.key]) for c in cells if c.column == column)
        inner = f"<div class='cells'>{own}</div>" if own else ""
        parts.append(f"<td data-column='{escape(column)}'>{inner}</td>")
    return (
        f"<tr class='rule' data-kind='{escape(rule.kind)}' data-search='{escape(search, quote=True)}'>"
        f"<th scope='row' title='{escape(rule.citation, quote=True)}'>{escape(rule.name)}</th>{''.join(parts)}</tr>"
    )


def _cell(cell: Cell, number: int) -> str:
    granted = " ".join(SHORT.get(c, c) for c in cell.conditions)
    told = f"{cell.called} as {cell.claim}: {cell.outcome}"
    rest = "; ".join(filter(None, [remark(cell), f"granted: {', '.join(cell.conditions)}" if granted else ""]))
    label = escape(f"{told}{f' ({rest})' if rest else ''}", quote=True)
    small = f"<small>{escape(granted)}</small>" if granted else ""
    return (
        f"<button type='button' class='cell' id='{identity(cell)}' data-outcome='{cell.outcome}' data-cell='{number}' "
        f"title='{label}' aria-label='{label}' aria-haspopup='dialog'>{MARKS[cell.outcome]}{small}</button>"
    )


def identity(cell: Cell) -> str:
    """What links to a cell: the same in every survey."""
    return "c" + hashlib.sha256(cell.key.encode()).hexdigest()[:10]


def _data(survey: Survey) -> str:
    """What the script needs; nothing in it can end the element that it stands in."""
    data = {
        "marks": MARKS,
        "conditions": CONDITIONS,
        "ends": [str(end) if end == float("inf") else end for end in ENDS],
        "cells": [cell.to_dict() for cell in survey.cells],
    }
    return json.dumps(data, allow_nan=False).replace("<", "\\u003c").replace("\u2028", "\\u2028")
