"""The pages of all rules: ``python -m refgrad.report.rules_page docs`` writes them from the rules themselves, one a kind.

With the argument ``defaults`` it writes the table of docs/departures.md of defaults that are not the publication's.
"""

from __future__ import annotations

import inspect
import sys
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from refgrad.citation import READ
from refgrad.report.catalogue import shown_value
from refgrad.rule import Choice, Flag, Rule, rules

COMMAND = "python -m refgrad.report.rules_page docs"

HEAD = f"""# Rules

Every rule, with its source, what of it was read, what the source leaves open, and its named variants with who does each: a page
a kind, written by `{COMMAND}`. `refgrad list` finds a rule by words, and `refgrad show RULE` has its formula too.

Examples that a reader checks by hand, worked out by equations that are no part of refgrad, stand in
[worked-examples.md](worked-examples.md) (three steps of every optimizer) and
[worked-examples-others.md](worked-examples-others.md) (all other rules). Departures of implementations that were run stand in
[departures.md](departures.md), and so do defaults that are not what the publication has.

A label claims no more than was read. "The paper" is a text that was read; "the paper as reported" is what a publication is held
to say by code and by other texts, its own not having been read; "as reported" names another publication so.

"""

KIND_HEAD = f"""[All kinds](../rules.md). The first value of a hyperparameter is its default; every rule has besides
`scalars=float64 | float32`, the precision of scalars, unless it is listed without. Written by `{COMMAND}`.
"""


def pages() -> dict[str, str]:
    """Each page in Markdown by its path within docs: of all kinds together, and of each kind."""
    return {"rules.md": page(), **{path_of(kind): kind_page(kind) for kind in kinds()}}


def kinds() -> list[str]:
    """The kinds of rules, in the order of the alphabet."""
    return sorted({cls.kind for cls in rules().values()})


def path_of(kind: str) -> str:
    """Where the page of a kind stands within docs."""
    return f"rules/{kind.replace(' ', '-')}.md"


def page() -> str:
    """The page of all kinds: how many rules were read how, and which rules each kind has."""
    parts = [HEAD, counts()]
    for kind in kinds():
        names = ", ".join(f"`{name}`" for name, cls in rules().items() if cls.kind == kind)
        parts.append(f"\n## [{kind}]({path_of(kind)})\n\n{names}\n")
    return "".join(parts)


def kind_page(kind: str) -> str:
    """A kind's page: a table of its rules, then each rule's variants."""
    of_kind = [cls for cls in rules().values() if cls.kind == kind]
    return "".join(
        [
            f"# Rules of kind {kind}\n\n{KIND_HEAD}\n",
            "| rule | source | read | what the source leaves open |\n|---|---|---|---|\n",
            *(rule_row(cls) for cls in of_kind),
            "\n## Variants\n\n| rule | variant | who does it |\n|---|---|---|\n",
            *(row for cls in of_kind for row in variant_rows(cls)),
        ]
    )


def counts() -> str:
    """How many rules there are by what was read of each, as a table."""
    known = rules()
    found = Counter((cls.kind, cls.citation.read) for cls in known.values())
    lines = [f"| read | {' | '.join(kinds())} | all |", f"|---|{'---|' * len(kinds())}---|"]
    for read, sentence in READ.items():
        numbers = [found[kind, read] for kind in kinds()]
        lines.append(f"| {read}: {sentence} | {' | '.join(map(str, numbers))} | {sum(numbers)} |")
    return "\n".join(lines) + "\n"


def rule_row(cls: type[Rule]) -> str:
    """A rule's table row: its source, what was read, and what the source leaves open."""
    cited = cls.citation
    read = cited.read + (f": {cited.source}" if cited.source else "")
    read += f"; not read: {cited.missing()}" if cited.unreachable else ""
    return f"| `{cls.__name__}` | {cell(str(cited))} | {cell(read)} | {cell(cited.told(cls.unspecified)) or 'not examined'} |\n"


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
            rows.append(f"| `{cls.__name__}` | `{name}={shown}` | {cell(legal.said(not default))} |\n")
    return rows


def unlike_published(cls: type[Rule]) -> list[str]:
    """The hyperparameters of which a value is what the publication has, and the default is not."""
    names = []
    for name in cls.legal():
        theirs = published(cls, name, ("paper", "published"))
        if theirs and shown_value(cls.defaults()[name]) not in theirs:
            names.append(name)
    return names


def published(cls: type[Rule], name: str, kinds: Collection[str] = ("paper", "published", "elsewhere")) -> list[str]:
    """The values of a hyperparameter that are from sources of these kinds."""
    legal = cls.legal()[name]
    if isinstance(legal, Choice):
        return [value for value, a in legal.alternatives.items() if any(s.kind in kinds for s in a.sources)]
    told = isinstance(legal, Flag) and any(s.kind in kinds for s in legal.alternative.sources)
    return ["true"] if told else []


def default_rows(cls: type[Rule]) -> list[str]:
    """A row of docs/departures.md for each default of a rule that is not a publication's, with the reason for it."""
    rows = []
    for name, reason in cls.default_reasons.items():
        default = shown_value(cls.defaults()[name])
        theirs = ", ".join(f"`{name}={value}`" for value in published(cls, name) if value != default)
        rows.append(f"| `{cls.__name__}` | `{name}={default}` | {theirs} | {cell(reason)} |\n")
    return rows


def cell(text: str) -> str:
    """A text as it can stand in a table."""
    return " ".join(inspect.cleandoc(text).replace("|", "\\|").split())


def write(folder: Path) -> None:
    """Write every page into a folder."""
    for path, text in pages().items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:] == ["defaults"]:
        print("".join(row for cls in rules().values() for row in default_rows(cls)), end="")
    elif len(sys.argv) == 2:
        write(Path(sys.argv[1]))
    else:
        sys.exit(f"usage: {COMMAND}, or defaults")
