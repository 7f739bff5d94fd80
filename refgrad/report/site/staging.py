"""Pages of docs/ as Sphinx reads them: links that lead out of docs/ are mended, and docs/index.md becomes the contents."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from refgrad.errors import ArgumentError

#: where what stands outside docs/ is put
OUTSIDE = "project"
LINK = re.compile(r"(?<=\]\()([^)#\s]+)(?=(#[^)\s]*)?\))")


#: among pages that are made, the place of those of docs/
PAGES = "*"
#: how mathematics begins as forges read it; MyST has another word
FORGES = "```math\n"


def stage(
    docs: Path, folder: Path, generated: Mapping[str, Sequence[str]], told: Mapping[str, str] | None = None
) -> None:
    """Copy the pages of docs/, and the files that they link to, into a folder that Sphinx reads.

    Args:
        docs: the folder of the pages, in a checkout.
        folder: where they go; what stands there under other names is left alone.
        generated: pages that are made and are no part of docs/, by the heading of docs/index.md under which they are listed.
        told: what stands below its list of pages besides, in Markdown, by the heading.

    Raises:
        ArgumentError: docs/index.md has no such heading.
    """
    docs = docs.resolve()
    waiting = sorted(p for p in docs.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    done: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path in done:
            continue
        done.add(path)
        place = folder / staged(path, docs)
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".md":
            text, linked = mended(path.read_text(encoding="utf-8"), path, docs)
            text = text.replace(FORGES, "```{math}\n")
            if path == docs / "index.md":
                text = with_contents(text, generated, told or {})
            elif path.name == "README.md" and path.is_relative_to(docs):
                text += toctree(link for link, _ in LINK.findall(text) if link.endswith(".md") and "/" not in link)
            place.write_text(text, encoding="utf-8")
            waiting += linked
        else:
            shutil.copyfile(path, place)


def staged(path: Path, docs: Path) -> Path:
    """Where a file of the checkout stands among the site's sources."""
    return path.relative_to(docs) if path.is_relative_to(docs) else OUTSIDE / path.relative_to(docs.parent)


def mended(text: str, path: Path, docs: Path) -> tuple[str, list[Path]]:
    """A page whose links lead to where the files stand among the site's sources.

    A link to a folder leads to the first of its files. What leads nowhere is left as it is: Sphinx says so.

    Args:
        text: the page.
        path: where it stands.
        docs: the folder of all pages, resolved.

    Returns:
        The page, and the files outside docs/ that it links to.
    """
    linked: list[Path] = []

    def target(match: re.Match[str]) -> str:
        found = (path.parent / match[1]).resolve()
        if "://" in match[1] or not found.exists() or not found.is_relative_to(docs.parent):
            return match[1]
        if found.is_dir():
            found = min(p for p in found.iterdir() if p.is_file())
        if not found.is_relative_to(docs):
            linked.append(found)
        return os.path.relpath(staged(found, docs), staged(path, docs).parent)

    return LINK.sub(target, text), linked


def with_contents(text: str, generated: Mapping[str, Sequence[str]], told: Mapping[str, str]) -> str:
    """The first page with its contents for Sphinx: under each heading, the pages that it links to.

    Args:
        text: the page, whose sections list pages.
        generated: pages that are made, by heading; they come first, or where `PAGES` stands among them around the others.
        told: what stands below the list besides, by heading.

    Returns:
        The page, with a hidden table of contents for each section.

    Raises:
        ArgumentError: there is no such heading.
    """
    head, *sections = re.split(r"^## ", text, flags=re.MULTILINE)
    titles = [section.partition("\n")[0] for section in sections]
    for heading in generated:
        if heading not in titles:
            raise ArgumentError(f"docs/index.md has no heading {heading!r}; legal: {', '.join(titles)}")
    parts = [head]
    for title, section in zip(titles, sections, strict=True):
        made = list(generated.get(title, ()))
        place = made.index(PAGES) if PAGES in made else len(made)
        first, last = made[:place], made[place + 1 :]
        # a link to a section leads to a page that is listed elsewhere
        pages = [link for link, fragment in LINK.findall(section) if link.endswith(".md") and not fragment]
        listed = [_links(first), section.partition("\n")[2].strip() + "\n", _links(last)]
        more = f"\n{told[title]}" if told.get(title) else ""
        parts.append(f"## {title}\n\n{''.join(listed)}{more}{toctree([*first, *pages, *last], title)}\n")
    return "".join(parts)


def _links(pages: Iterable[str]) -> str:
    """Items of a list that lead to pages, each under its own title."""
    return "".join(f"- [](/{page}.md)\n" for page in pages)


def toctree(pages: Iterable[str], caption: str = "") -> str:
    """A table of contents that Sphinx reads and no page shows, of pages in their order."""
    listed = "\n".join(dict.fromkeys(page.removesuffix(".md") for page in pages if "://" not in page))
    told = f":caption: {caption}\n" if caption else ""
    return f"\n```{{toctree}}\n:hidden:\n{told}\n{listed}\n```\n"
