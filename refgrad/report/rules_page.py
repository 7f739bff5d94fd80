"""The page of all rules: ``python -m refgrad.report.rules_page > docs/rules.md`` writes it from the rules themselves."""

from __future__ import annotations

import inspect

from refgrad.rule import Choice, Flag, Rule, rules

HEAD = """# Rules

Every rule, with its source, what the source leaves open, and its named variants with who does each. The first value of a
hyperparameter is its default: the paper, unless the sentence says otherwise. Written by
`python -m refgrad.report.rules_page > docs/rules.md`; every rule has besides `scalars=float64 | float32`, the precision of
scalars, unless it is listed without. Departures of implementations that were run stand in
[departures.md](departures.md).
"""


def page() -> str:
    """The page in Markdown: for each room a table of its rules, then each rule's variants."""
    known = rules()
    parts = [HEAD]
    for kind in sorted({cls.kind for cls in known.values()}):
        of_kind = {name: cls for name, cls in known.items() if cls.kind == kind}
        parts.append(f"\n## Rules of kind {kind}\n\n| rule | source | what the source leaves open |\n|---|---|---|\n")
        parts += [
            f"| `{n}` | {cell(str(c.citation))} | {cell(c.unspecified) or 'not examined'} |\n"
            for n, c in of_kind.items()
        ]
        parts.append("\n| rule | variant | who does it |\n|---|---|---|\n")
        parts += [row for cls in of_kind.values() for row in variant_rows(cls)]
    return "".join(parts)


def variant_rows(cls: type[Rule]) -> list[str]:
    """A table row for each value of each choice and flag of a rule, the default first."""
    rows = []
    for name, legal in cls.legal().items():
        default = cls.defaults()[name]
        if name == "scalars":
            continue
        if isinstance(legal, Choice):
            ordered = sorted(legal.sentences.items(), key=lambda pair: pair[0] != default)
            rows += [f"| `{cls.__name__}` | `{name}={value}` | {cell(text)} |\n" for value, text in ordered]
        elif isinstance(legal, Flag):
            shown = str(not default).lower()
            sentence = legal.sentence if not default else f"not: {legal.sentence}"
            rows.append(f"| `{cls.__name__}` | `{name}={shown}` | {cell(sentence)} |\n")
    return rows


def cell(text: str) -> str:
    """A text as it can stand in a table."""
    return " ".join(inspect.cleandoc(text).replace("|", "\\|").split())


if __name__ == "__main__":
    print(page(), end="")
