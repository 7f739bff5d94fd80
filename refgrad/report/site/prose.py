"""Docstrings and short texts as Markdown: examples in fences, sections as lists, signs of Markdown that mean themselves."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Sequence

#: sections of a docstring
SECTIONS = ("Args", "Attributes", "Returns", "Raises", "Yields")
_SPANS = re.compile(r"(``?[^`]+``?)")
_SIGNS = re.compile(r"([*_<>\[\]$|])")


def escaped(text: str) -> str:
    """A text whose signs mean themselves; what stands in backticks is code.

    >>> escaped("p*_i* is `a*b`")
    'p\\\\*\\\\_i\\\\* is `a*b`'
    """
    parts = _SPANS.split(text)
    parts[::2] = [_SIGNS.sub(r"\\\1", part) for part in parts[::2]]
    return "".join(parts)


def cell(text: str) -> str:
    """A text on one line of a table."""
    parts = _SPANS.split(" ".join(text.split()))
    parts[::2] = [_SIGNS.sub(r"\\\1", part) for part in parts[::2]]
    parts[1::2] = [part.replace("|", "\\|") for part in parts[1::2]]
    return "".join(parts)


def code(text: str) -> str:
    """A text as code on one line of a table."""
    return f"`{' '.join(text.split())}`".replace("|", "\\|")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, whose cells are Markdown; nothing where it has no rows."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(heads)} |", "|" + "---|" * len(heads), *lines]) + "\n" if lines else ""


def markdown(docstring: str) -> str:
    """A docstring as Markdown.

    Args:
        docstring: as a class or function has it.

    Returns:
        Paragraphs, indented lines as they stand, examples as programs, sections as lists under a bold word.

    >>> print(markdown("Doubles it.\\n\\nArgs:\\n    x: a number."))
    Doubles it.
    <BLANKLINE>
    **Args**
    <BLANKLINE>
    - `x`: a number.
    """
    return "\n\n".join(_blocks(inspect.cleandoc(docstring)))


def _blocks(text: str) -> Iterator[str]:
    for block in re.split(r"\n\s*\n(?=\S)", text):
        head, _, rest = block.partition("\n")
        if block.startswith(">>>"):
            yield f"```python\n{block.rstrip()}\n```"
        elif head.rstrip(":") in SECTIONS and head.endswith(":"):
            yield f"**{head[:-1]}**\n\n" + "\n".join(_items(inspect.cleandoc("\n" + rest)))
        else:
            yield from _paragraphs(block)


def _paragraphs(block: str) -> Iterator[str]:
    """A paragraph, and the indented lines that follow it, which are shown as they stand."""
    lines = block.splitlines()
    for indented, group in _runs(lines):
        if indented:
            yield "```text\n" + inspect.cleandoc("\n" + "\n".join(group)) + "\n```"
        else:
            yield "\n".join(escaped(re.sub(r"^(\d+)\.", r"\1\\.", line)) for line in group)


def _runs(lines: Sequence[str]) -> Iterator[tuple[bool, list[str]]]:
    """Lines in groups of indented ones and others; empty ones go with those before."""
    run: list[str] = []
    kind = False
    for line in lines:
        own = line.startswith("  ") if line.strip() else kind
        if run and own != kind:
            yield kind, run
            run = []
        kind = own
        run.append(line)
    if run:
        yield kind, run


def _items(text: str) -> Iterator[str]:
    """A section's entries: a name and what it is, which may go on in indented lines."""
    found: list[str] = []
    for line in text.splitlines():
        if line.startswith(" ") and found:
            found[-1] += f" {line.strip()}"
        elif line.strip():
            found.append(line)
    for entry in found:
        name, colon, rest = entry.partition(": ")
        named = colon and re.fullmatch(r"[*\w]+(, [*\w]+)*", name)
        yield f"- `{name}`: {escaped(rest)}" if named else f"- {escaped(entry)}"
