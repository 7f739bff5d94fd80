"""A rule's own page of the site, in Markdown, made from the rule: nothing on it is written by hand."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from refgrad.estimators.base import Estimator
from refgrad.optimizers.base import Optimizer
from refgrad.report import catalogue
from refgrad.report.site import formula_section
from refgrad.report.site.pictures import pictures
from refgrad.report.site.prose import cell, code, escaped, markdown, table
from refgrad.report.survey_html import identity
from refgrad.rule import Choice, Flag, Rule, qualified_name
from refgrad.surveys.cell import Cell
from refgrad.surveys.implementations import known
from refgrad.surveys.implementations.record import Implementation
from refgrad.testing.check import known_laws

#: the gallery leads to rules' pages, and no table of contents
FRONT = "---\norphan: true\n---\n\n"


@dataclass(frozen=True)
class Besides:
    """What stands on rules' pages and is not in the rules.

    Args:
        examples: the worked examples of docs/, by the rule's name, in Markdown.
        golden: the ids of the golden cases that are kept, by the rule's name.
        cells: what a survey found, by the key of the implementation's row.
    """

    examples: Mapping[str, str] = field(default_factory=dict)
    golden: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    cells: Mapping[str, Cell] = field(default_factory=dict)


def besides(root: Path, cells: Mapping[str, Cell]) -> Besides:
    """The same, from the files of a checkout.

    Args:
        root: the checkout.
        cells: what a survey found, by the key of the implementation's row.
    """
    examples: dict[str, str] = {}
    for name in ("worked-examples.md", "worked-examples-others.md"):
        for title, text in _sections((root / "docs" / name).read_text(encoding="utf-8")):
            examples[title.partition("(")[0]] = examples.get(title.partition("(")[0], "") + f"`{title}`\n\n{text}\n\n"
    golden = {
        path.stem: tuple(case["id"] for case in json.loads(path.read_text(encoding="utf-8"))["cases"])
        for path in sorted((root / "golden" / "smoke").glob("*.json"))
        if path.stem != "manifest"
    }
    return Besides(examples, golden, cells)


def page(cls: type[Rule], more: Besides | None = None) -> str:
    """The page of a rule.

    Args:
        cls: the rule's class.
        more: what stands on it besides.

    Returns:
        The page in Markdown, as MyST reads it.

    >>> from refgrad.optimizers import AdamW
    >>> page(AdamW).splitlines()[4]
    '# AdamW'
    """
    rule, more = cls(), more or Besides()
    sections = [
        ("", _head(rule)),
        ("", _drawn(rule)),
        ("Formula", formula_section.section(rule)),
        ("Arrays", _arrays(rule)),
        ("Hyperparameters", _hyperparameters(rule)),
        ("Named behaviours", _behaviours(rule)),
        ("What the source leaves open", _open(rule)),
        ("Verify an implementation", _verify(rule)),
        ("Implementations and their departures", _implementations(cls, more.cells)),
        ("Worked example", more.examples.get(cls.__name__, "")),
        ("Laws", _laws(rule)),
        ("Golden cases", _golden(more.golden.get(cls.__name__, ()))),
        ("As it is written", _source(cls)),
    ]
    parts = [f"## {title}\n\n{text.strip()}" if title else text.strip() for title, text in sections if text.strip()]
    return FRONT + "\n\n".join([f"# {cls.__name__}", *parts]) + "\n"


def _head(rule: Rule) -> str:
    """What it is, and where it comes from."""
    cls, cited = type(rule), type(rule).citation
    rows = [
        ("kind", f"[{cls.kind}](/gallery.md)"),
        ("name", code(qualified_name(cls))),
        ("source", cell(str(cited))),
        ("what was read", cell(cited.provenance())),
        ("revision", str(cls.revision)),
    ]
    return f"{markdown(cls.__doc__ or '')}\n\n{table(('', ''), rows)}"


def _drawn(rule: Rule) -> str:
    drawn = "".join(pictures(rule))
    return f'<div class="rule-pictures">{drawn}</div>' if drawn else ""


def _arrays(rule: Rule) -> str:
    """State, parameters, and what is taken and given."""
    rows = [(title, cell(name), cell(", ".join(rest))) for title, name, *rest in _named_arrays(rule)]
    return table(("", "array", "what it is"), rows)


def _named_arrays(rule: Rule) -> Iterator[tuple[str, ...]]:
    if isinstance(rule, Optimizer):
        yield from (("state", n, catalogue.slot_text(s)) for n, s in rule.slots().items())
        yield from (("besides the gradient", n, extra.facts.sentence) for n, extra in rule.inputs().items())
    if isinstance(rule, Estimator):
        yield from (("parameter", *row) for row in catalogue.parameters(rule))
    yield from ((title.lower(), *row) for title, rows in catalogue.arrays(rule) for row in rows)


def _hyperparameters(rule: Rule) -> str:
    legal = dict(catalogue.legal_texts(rule))
    understood = dict(catalogue.other_names(rule))
    rows = [
        (code(n), code(catalogue.shown_value(getattr(rule, n))), cell(text), cell(understood.get(n, "")))
        for n, text in legal.items()
    ]
    return table(("hyperparameter", "default", "legal", "other names that are understood"), rows)


def _behaviours(rule: Rule) -> str:
    """Each named behaviour with who has it, the default first."""
    rows = []
    for name, legal in rule.legal().items():
        default = getattr(rule, name)
        if isinstance(legal, Choice):
            values = sorted(legal.alternatives, key=lambda value: value != default)
            rows += [_behaviour(name, value, value == default, legal.sentences[value]) for value in values]
        elif isinstance(legal, Flag):
            rows += [
                _behaviour(name, catalogue.shown_value(v), v == default, legal.said(v)) for v in (default, not default)
            ]
    theirs = [*catalogue.elsewhere_with_difference(rule), *catalogue.itself_elsewhere(type(rule))]
    listed = "".join(f"- {escaped(line)}\n" for line in theirs)
    return table(("named behaviour", "", "what it means, and who does it"), rows) + (listed and f"\n{listed}")


def _behaviour(name: str, value: str, default: bool, sentence: str) -> tuple[str, str, str]:
    return code(f"{name}={value}"), "default" if default else "", cell(sentence)


def _open(rule: Rule) -> str:
    said = escaped(rule.citation.told(rule.unspecified)) if rule.unspecified else ""
    reasons = "".join(
        f"- `{name}` is not the publication's: {escaped(why)}\n" for name, why in rule.default_reasons.items()
    )
    return f"{said}\n\n{reasons}"


def _verify(rule: Rule) -> str:
    """The line that judges an implementation, of a package if one is known."""
    name = type(rule).__name__
    target = next(
        (row.target for row in known() if type(row.claim) is type(rule) and not row.through),
        "your_package.module:yours",
    )
    module = type(rule).__module__.rsplit(".", 1)[0]
    return (
        f"```console\n$ refgrad verify {target} --as {name}\n```\n\n"
        f"```python\nimport refgrad\nfrom {module} import {name}\n\nprint(refgrad.verify({target!r}, {name}()))\n```"
    )


def _implementations(cls: type[Rule], cells: Mapping[str, Cell]) -> str:
    """The rows of the survey's table whose claim is this rule, with what they are found to be."""
    rows = [_implementation(row, cells.get(row.key)) for row in known() if type(row.claim) is cls]
    return table(("implementation", "judged as", "found", "granted"), rows)


def _implementation(row: Implementation, found: Cell | None) -> tuple[str, ...]:
    where = f"{cell(row.called)} ({cell(row.column)}{' ' + cell(found.version) if found else ''})"
    named = ", ".join(f"{n}={catalogue.shown_value(v)}" for n, v in row.variant.items())
    expected = f"{code(named)}" if named and row.explained else "differs" if not row.explained else "conforms"
    needs = [*([f"scalars={row.scalars}"] if row.scalars != row.claim.scalars else [])]
    needs += [f"{n}={v}" for n, v in row.policy.items()] + (["gradient=copied"] if row.mutates else [])
    if found:
        # as HTML: Sphinx does not know what is linked to within HTML
        expected = f'<a href="../world.html#{identity(found)}">{found.outcome}</a>'
        expected += f": {code(found.variant)}" if found.variant else ""
        needs = list(found.conditions)
    noted = f"; {cell(row.note)}" if row.note else ""
    return where, code(str(row.claim)), expected + noted, ", ".join(map(code, needs))


def _laws(rule: Rule) -> str:
    """The laws that are asked of implementations, and those that the rule does not obey, with the reason."""
    exempt = rule.exempt()
    rows = [(cell(law.name), cell(law.sentence), cell(exempt.get(name, ""))) for name, law in known_laws(rule).items()]
    return table(("law", "says", "not obeyed, since"), rows)


def _golden(ids: tuple[str, ...]) -> str:
    if not ids:
        return ""
    listed = "\n".join(ids)
    told = f"{len(ids)} cases at the level smoke ([what they are](/golden.md))."
    return f"{told}\n\n<details><summary>Their ids</summary>\n\n```text\n{listed}\n```\n\n</details>"


def _source(cls: type[Rule]) -> str:
    """The rule's own text, which is the paper's algorithm."""
    try:
        text = inspect.getsource(cls)
    except (OSError, TypeError):
        return ""
    return f"<details><summary>{cls.__module__}</summary>\n\n```python\n{text.rstrip()}\n```\n\n</details>"


def _sections(text: str) -> Iterator[tuple[str, str]]:
    """The sections of a page of worked examples: titles such as ``Adam(eps=0.1)``, with what stands beneath."""
    title, fenced = "", False
    lines: list[str] = []
    for line in text.splitlines():
        fenced ^= line.startswith("```")
        if line.startswith(("# ", "## ")) and not fenced:
            if title:
                yield title, "\n".join(lines).strip()
            title, lines = (line.removeprefix("## ") if line.startswith("## ") else ""), []
        else:
            lines.append(line)
    if title:
        yield title, "\n".join(lines).strip()


def state_of(rule: Rule) -> dict[str, Any]:
    """What the gallery shows and filters by: name, kind, source, and the words that a reader may look for."""
    cls = type(rule)
    first = inspect.cleandoc(cls.__doc__ or "").partition("\n\n")[0].replace("\n", " ")
    packages = sorted({row.package for row in known() if type(row.claim) is cls})
    return {"name": cls.__name__, "kind": cls.kind, "summary": first, "source": str(cls.citation), "packages": packages}
