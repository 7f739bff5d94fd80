"""The command ``python -m refgrad.strength [RULE ...]``: measures rules in several processes and keeps the figures."""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from refgrad.candidates.resolve import load
from refgrad.errors import RefgradError
from refgrad.strength import chart, figures_file, tables
from refgrad.strength.figures import Strength
from refgrad.strength.figures_file import OWN_FIGURES, Unit
from refgrad.strength.measurement import PARTS, Figures, Measured

#: values of random programs that are judged of each rule
VALUES = 10_000_000


@dataclass(frozen=True)
class Done:
    """A unit that was measured: the rule as text, its figures, and the seconds that they took; or why there are none."""

    unit: Unit
    rule: str = ""
    figures: Figures | None = None
    seconds: float = 0.0
    error: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The figures as the file keeps them."""
        assert self.figures is not None
        rule = {} if self.unit.part == "rewrites" else {"rule": self.rule}
        return {**rule, **self.figures.to_dict(), "asked": self.unit.values, "seconds": self.seconds}


class _Wrong(click.ClickException):
    """The command line is wrong; the code is that of the command ``refgrad``."""

    exit_code = 64


def measured(unit: Unit) -> Done:
    """One part of one rule's figures; a rule that fails leaves the others to be measured."""
    started = time.monotonic()
    try:
        subject = Measured.of(unit.rule)
        figures = subject.part(unit.part, unit.values, None if unit.rewrites is None else load(unit.rewrites))
    except Exception as error:
        return Done(unit, error=f"{type(error).__name__}: {error}")
    rule = subject.for_mutants if unit.part == "mutants" else subject.for_programs
    return Done(unit, str(rule), figures, round(time.monotonic() - started, 1))


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("rules", nargs=-1, metavar="[RULE]...")
@click.option("--values", default=VALUES, show_default=True, type=click.IntRange(min=1), help="Values judged a rule.")
@click.option(
    "--processes", default=2, show_default=True, type=click.IntRange(min=1), help="How many processes measure."
)
@click.option("--part", "parts", multiple=True, type=click.Choice(PARTS), help="What is measured; by default all.")
@click.option("--again", is_flag=True, help="Measure what the file has already, too.")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Where the figures are kept.")
@click.option("--rewrites", metavar="TARGET", help="A function from a rule's class to right programs, written by hand.")
@click.option(
    "--tables", "tables_alone", is_flag=True, help="Write the tables of refgrad's documentation, measure nothing."
)
def main(
    rules: tuple[str, ...],
    values: int,
    processes: int,
    parts: tuple[str, ...],
    again: bool,
    file: Path | None,
    rewrites: str | None,
    tables_alone: bool,
) -> None:
    """Measure how often refgrad rejects right programs of a RULE and accepts wrong ones.

    RULE is the name of a rule, or of your own as package.module:Name or path/to/file.py:Name; by default every rule
    that comes with refgrad. Figures that the file has are not measured again, unless fewer values were asked for, so that
    a run that was stopped goes on where it stood. In refgrad's own repository the figures of its rules are kept in
    docs/strength.json, and the tables and the picture of docs/strength.md are written.
    """
    failed = False
    try:
        kinds = _kinds(rules)
        path = file or (OWN_FIGURES if OWN_FIGURES.exists() and set(kinds) <= set(figures_file.shipped()) else None)
        if not tables_alone:
            known = {} if again or path is None else figures_file.read(path)
            units = list(figures_file.missing(known, kinds, parts or PARTS, Unit("", "", values, rewrites)))
            done = list(_kept(units, processes, kinds, path))
            failed = any(each.error for each in done)
            if rules:
                click.echo("\n".join(_texts(done, kinds)))
    except RefgradError as error:
        raise _Wrong(str(error)) from None
    if path is not None and path.resolve() == OWN_FIGURES:
        found = figures_file.read(path)
        tables.write(path.with_suffix(".md"), found)
        path.with_suffix(".svg").write_text(chart.picture(found), encoding="utf-8")
    sys.exit(1 if failed else 0)


def _kinds(names: Sequence[str]) -> dict[str, str]:
    """The rules that are measured, as they were named, each with its kind."""
    if not names:
        return {name: cls.kind for name, cls in figures_file.shipped().items()}
    return {name: Measured.of(name).for_programs.kind for name in names}


def _kept(units: Sequence[Unit], processes: int, kinds: Mapping[str, str], path: Path | None) -> Iterator[Done]:
    """Each unit measured; what comes of it is said, and kept in the file, as soon as it is known."""
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for number, done in enumerate(pool.imap_unordered(measured, units), 1):
            name, part = done.unit.rule, done.unit.part
            click.echo(f"{number}/{len(units)} {name} {part}: {done.error or f'{done.seconds} s'}")
            if path is not None and done.figures is not None:
                found = figures_file.read(path)
                found.setdefault(name, {})[figures_file.key_of(kinds[name], part)] = done.to_dict()
                figures_file.save(path, found)
            yield done


def _texts(done: Sequence[Done], kinds: Mapping[str, str]) -> Iterator[str]:
    """What was measured, rule by rule."""
    for name, kind in kinds.items():
        own = {each.unit.part: each for each in done if each.unit.rule == name and each.figures is not None}
        if own:
            figures: dict[str, Any] = {part: each.figures for part, each in own.items()}
            yield str(Strength(own.get("programs", next(iter(own.values()))).rule, kind, **figures))
