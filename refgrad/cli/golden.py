"""The commands of golden files: make, lint, verify, diff, show."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import click

from refgrad.errors import ArgumentError

FOLDER = Path("golden") / "smoke"
AT = click.option(
    "--at", "folder", type=click.Path(path_type=Path), default=FOLDER, show_default=True, help="Where the files are."
)
RULES = click.argument("names", nargs=-1, metavar="[RULE]...")


@click.group()
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
    made = make_files(out or Path("golden") / level, level_of(level), _known(names), fresh, _progress)
    click.echo(f"{len(made)} rules made in {time.perf_counter() - start:.0f} s")
    return 0


@golden.command()
@RULES
@AT
def lint(names: tuple[str, ...], folder: Path) -> int:
    """Check form: schema, digests, tensors, notes."""
    from refgrad.golden import checking

    return _told(checking.lint(folder, _known(names)), "well-formed")


@golden.command()
@RULES
@AT
def verify(names: tuple[str, ...], folder: Path) -> int:
    """Check form and digests, and compute every truth again by the exact path."""
    from refgrad.golden import checking

    return _told(checking.verify(folder, _known(names), _progress), "right")


@golden.command()
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
def diff(old: Path, new: Path) -> int:
    """What changed from OLD to NEW, case by case."""
    from refgrad.golden import checking

    return _told(checking.differences(old, new), "the same")


@golden.command()
@click.argument("case", metavar="ID")
@AT
def show(case: str, folder: Path) -> int:
    """Show one case as people read it."""
    from refgrad.golden import checking

    click.echo(checking.shown(folder, case))
    return 0


def _known(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names of rules of refgrad's own, each of which there is."""
    from refgrad.rule import find, rules, short_name

    found = {name: find(name) for name in names}
    for name, rule in found.items():
        if rules().get(short_name(rule)) is not rule:
            legal = "a rule of refgrad's own; of yours `refgrad.sets` gives acceptance sets, and `refgrad judge` asks a program"
            raise ArgumentError(f"golden files of {name}; legal: {legal}")
    return tuple(map(short_name, found.values()))


def _progress(text: str) -> None:
    click.echo(text, err=True)


def _told(problems: Iterable[str], otherwise: str) -> int:
    """Print what there is to say; 1 if there is anything."""
    found = 0
    for text in problems:
        click.echo(text)
        found += 1
    if not found:
        click.echo(otherwise)
    return 1 if found else 0
