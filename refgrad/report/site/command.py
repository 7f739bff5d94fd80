"""The command that puts the site's sources together."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from refgrad.report.site import gallery, reference, rule_page, schema_page, staging, world
from refgrad.report.survey_page import KEPT
from refgrad.rule import Rule, find, rules
from refgrad.surveys import releases
from refgrad.surveys.run import Survey

USAGE = "usage: python -m refgrad.report.site FOLDER [RULE ...]"
#: the pages that are made, by the heading of docs/index.md under which they are listed
GENERATED = {
    "Rules": ("gallery",),
    "The state of the world": ("world",),
    "Reading a verdict": (staging.PAGES, "schema"),
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
    survey = Survey.read(root / "docs" / KEPT)
    names = {cls.__name__ for cls in classes}
    cells = [c for c in survey.cells if c.rule in names]
    found = world.findings(cells, "world.html")
    front = {"The state of the world": f"The most important findings:\n\n{found}" if found else ""}
    staging.stage(root / "docs", folder, GENERATED, front)
    more = rule_page.besides(root, {cell.key: cell for cell in survey.cells})
    pages = {f"{gallery.FOLDER}/{cls.__name__}": rule_page.page(cls, more) for cls in classes}
    pages["world"] = world.page(cells, survey.started[:10], releases.read(root / "docs"))
    pages |= {"schema": schema_page.page(), **reference.pages()}
    pages["gallery"] = gallery.page(classes)
    for name, text in pages.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.md").write_text(text, encoding="utf-8")
