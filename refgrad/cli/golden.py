"""The commands of golden files: make, lint, verify, diff, show."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from refgrad.cli.group import UNJUDGED, Commands
from refgrad.cli.options import claimed
from refgrad.errors import bad_argument

FOLDER = Path("golden") / "smoke"
AT = click.option(
    "--at", "folder", type=click.Path(path_type=Path), default=FOLDER, show_default=True, help="Where the files are."
)
RULES = click.argument("names", nargs=-1, metavar="[RULE]...")


@click.group(cls=Commands)
def golden() -> None:
    """Files of cases with the sets of right results, for implementations in any language (docs/golden.md)."""


@golden.command()
@RULES
@click.option("--level", default="smoke", show_default=True, help="smoke, standard or exhaustive.")
@click.option("--out", type=click.Path(path_type=Path), help="Where the files go; golden/LEVEL by default.")
@click.option("--fresh", is_flag=True, help="Make what is there already too.")
def make(names: tuple[str, ...], level: str, out: Path | None, fresh: bool) -> int:
    """Make the files of a level; what a run that was broken off has made is kept."""
    from refgrad.golden.levels import level_of
    from refgrad.golden.making import make as make_files

    start = time.perf_counter()
    known, own = _known(names)
    folder = out or Path("golden") / level
    try:
        made = make_files(folder, level_of(level), known, fresh, _progress, own)
    except OSError as error:
        raise bad_argument("--out", str(folder), f"a folder that can be written ({error.strerror or error})") from None
    click.echo(f"{len(made)} rule{'' if len(made) == 1 else 's'} made in {time.perf_counter() - start:.0f} s")
    return 0


@golden.command()
@RULES
@AT
def lint(names: tuple[str, ...], folder: Path) -> int:
    """Check form: schema, digests, tensors, notes."""
    from refgrad.golden import checking

    _check_folder(folder)
    return _told(checking.lint(folder, _known(names)[0]), lambda: "well-formed")


@golden.command()
@RULES
@AT
def verify(names: tuple[str, ...], folder: Path) -> int:
    """Check form and digests, and compute every truth again by the exact path."""
    from refgrad.golden import checking

    known, own = _known(names)
    _check_folder(folder)
    progress = list[str]()

    def say(text: str) -> None:
        progress.append(text)
        _progress(text)

    code = _told(checking.verify(folder, known, say, own), lambda: "right" if progress else "")
    others = [] if known or code else checking.unknown(folder, own)
    if others:
        which = checking.some_of(others)
        legal = f"rules of your own by their files too, as in `refgrad golden verify mine.py:{others[0]}`"
        click.echo(f"not verified, since no rule of refgrad is called so: {which}; legal: {legal}", err=True)
    return UNJUDGED if others else code


@golden.command()
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
def diff(old: Path, new: Path) -> int:
    """What changed from OLD to NEW, case by case. Files that are damaged or missing are an error."""
    from refgrad.golden import checking

    _check_folder(old, "OLD")
    _check_folder(new, "NEW")
    return _told(checking.differences(old, new), lambda: "the same")


@golden.command()
@click.argument("case", metavar="ID")
@AT
def show(case: str, folder: Path) -> int:
    """Show one case as people read it."""
    from refgrad.golden import checking

    _check_folder(folder)
    click.echo(checking.shown(folder, case))
    return 0


def _check_folder(folder: Path, argument: str = "--at") -> None:
    """`ArgumentError` unless there are golden files in a folder."""
    from refgrad.golden.making import MANIFEST

    if not (folder / MANIFEST).is_file():
        raise bad_argument(argument, str(folder), f"a folder of golden files, which has a {MANIFEST}")


def _known(names: tuple[str, ...]) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The names of rules, each of which there is, and those of them that are not refgrad's."""
    from refgrad.golden.rules_of_files import own_rules

    classes = [type(claimed(name, ())) for name in names]
    return tuple(cls.__name__ for cls in classes), own_rules(classes)


def _progress(text: str) -> None:
    click.echo(text, err=True)


def _told(problems: Iterable[str], otherwise: Callable[[], str]) -> int:
    """Print what there is to say, or else what may be said then; 1 if there is anything."""
    found = 0
    for text in problems:
        click.echo(text)
        found += 1
    if not found and otherwise():
        click.echo(otherwise())
    return 1 if found else 0
