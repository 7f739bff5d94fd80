"""The command that puts the site's sources together."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from refgrad.report import upstream
from refgrad.report.site import gallery, reference, rule_page, schema_page, staging, world
from refgrad.rule import Rule, find, rules
from refgrad.surveys.cell import Cell
from refgrad.surveys.expected import expected
from refgrad.surveys.implementations import known
from refgrad.surveys.run import Survey

USAGE = "usage: python -m refgrad.report.site FOLDER [RULE ...]"
#: the pages that are made, by the heading of docs/index.md under which they are listed
GENERATED = {
    "Rules": ("gallery",),
    "The state of the world": ("world",),
    "Reading a verdict": ("schema",),
    "Reference": ("reference/index",),
}


def main(arguments: Sequence[str]) -> int | str:
    """Put the sources together in a folder, from the checkout that is the current folder.

    Args:
        arguments: the folder, which is emptied first; then the names of rules, of which alone pages are made, by default all.

    Returns:
        What a process exits with: 0, or what is wrong.
    """
    if not arguments or arguments[0].startswith("-"):
        return USAGE
    root = Path.cwd()
    if not (root / "docs" / "conf.py").is_file():
        return f"{root} has no docs/conf.py; run it from a checkout of refgrad"
    classes = [find(name) for name in arguments[1:]] or list(rules().values())
    write(root, Path(arguments[0]), classes)
    return 0


def write(root: Path, folder: Path, classes: Iterable[type[Rule]]) -> None:
    """Write every source of the site.

    Args:
        root: the checkout.
        folder: where they go; what stood there is removed.
        classes: the rules that get a page.
    """
    classes = sorted(classes, key=lambda cls: cls.__name__)
    shutil.rmtree(folder, ignore_errors=True)
    staging.stage(root / "docs", folder, GENERATED)
    cells, source = _cells(root)
    more = rule_page.besides(root, {cell.key: cell for cell in cells})
    pages = {f"{gallery.FOLDER}/{cls.__name__}": rule_page.page(cls, more) for cls in classes}
    pages["world"] = world.page([c for c in cells if c.rule in {cls.__name__ for cls in classes}], source)
    pages |= {"schema": schema_page.page(), **reference.pages()}
    pages["gallery"] = gallery.page(classes)
    for name, text in pages.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.md").write_text(text, encoding="utf-8")


def _cells(root: Path) -> tuple[Sequence[Cell], str]:
    """What every implementation is, and where that is from: a survey that is kept as docs/survey.json, else its table."""
    kept = root / "docs" / "survey.json"
    if kept.is_file():
        survey = Survey.read(kept)
        return survey.cells, f"From the survey of {survey.started[:10]}."
    text = (root / "docs" / "survey.md").read_text(encoding="utf-8")
    dated = text.partition("## The survey of ")[2].partition("\n")[0]
    return expected(known(), upstream.versions(text)), (
        f"Found by the survey of {dated}, kept as a table, and held to it by the tests: what the table says is what is found."
    )
