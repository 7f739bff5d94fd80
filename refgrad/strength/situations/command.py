"""The command ``python -m refgrad.strength.situations [RULE ...]``: plants faults into rules and keeps the figures."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import click

from refgrad.errors import RefgradError
from refgrad.rule import Rule, find, rules
from refgrad.strength import figures_file
from refgrad.strength.situations import figures
from refgrad.strength.situations.figures import of_fault
from refgrad.strength.situations.planting import planted
from refgrad.strength.situations.trial import REFUSED, SURVIVES, UNJUDGED, Trial

#: of refgrad's own repository; it is not part of the package
OWN = figures_file.DOCS / "situations-strength.json"
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"


def measured(rule: Rule, seed: int = 0) -> dict[str, Any]:
    """The figures of one rule, as plain data.

    Args:
        rule: the rule with its defaults.
        seed: of the lots that choose the faults, and of the default run.
    """
    started = time.monotonic()
    trial = Trial(rule, seed)
    right = trial.right()
    outcomes = [trial.of(fault) for fault in planted(rule, seed)]
    return figures.of_rule(rule.kind, right, outcomes, time.monotonic() - started)


def again(rule: Rule, known: dict[str, Any], seed: int = 0) -> dict[str, Any]:
    """The figures of one rule, of which the faults that were accepted are tried again; all, if others are planted now.

    Args:
        rule: the rule with its defaults.
        known: its figures.
        seed: that of the figures.
    """
    faults, before = planted(rule, seed), known["faults"]
    if not known["right"] or [[f.situation, f.kind] for f in faults] != [each[:2] for each in before]:
        return measured(rule, seed)
    trial = Trial(rule, seed)
    after = [of_fault(trial.of(f)) if _accepted(e) else e for f, e in zip(faults, before, strict=True)]
    return {**known, "right": trial.right(), "faults": after}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("names", nargs=-1, metavar="[RULE]...")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Where the figures are kept.")
@click.option("--again", "again_all", is_flag=True, help="Measure what the file has already, too.")
@click.option("--accepted", is_flag=True, help="Try again the faults that were accepted.")
@click.option("--tables", is_flag=True, help="Write the tables of refgrad's documentation, measure nothing.")
def main(names: tuple[str, ...], file: Path | None, again_all: bool, accepted: bool, tables: bool) -> None:
    """Plant faults into the program of each RULE and count those that refgrad's default run refuses.

    RULE is the name of a rule that comes with refgrad; by default every one. Rules that the file has are not measured
    again, so that a run that was stopped goes on where it stood.
    """
    path = file or (OWN if OWN.parent.exists() else None)
    known = {} if path is None else figures_file.read(path)
    try:
        chosen = {name: find(name)() for name in names or sorted(rules())}
    except RefgradError as error:
        raise click.ClickException(str(error)) from None
    missing = [n for n in chosen if again_all or n not in known or (accepted and not _all_refused(known[n]))]
    failed = _measure({n: chosen[n] for n in missing} if not tables else {}, known, path, accepted and not again_all)
    if path is not None and path.resolve() == OWN.resolve():
        _write(known, path.with_suffix(".md"))
    else:
        click.echo(figures.text({n: known[n] for n in chosen if n in known}))
    sys.exit(1 if failed else 0)


def _measure(chosen: dict[str, Rule], known: dict[str, Any], path: Path | None, few: bool) -> list[str]:
    """Each rule measured, or of one that is known a few faults, and kept; one that fails leaves the others to be measured."""
    failed = []
    for number, (name, rule) in enumerate(chosen.items(), 1):
        try:
            found = again(rule, known[name]) if few and name in known else measured(rule)
        except Exception as error:
            failed.append(name)
            click.echo(f"{number}/{len(chosen)} {name}: {type(error).__name__}: {error}")
            continue
        known[name] = found
        refused = sum(each[2] == REFUSED for each in found["faults"])
        accepted = [each[3] for each in found["faults"] if _accepted(each)]
        alarm = "" if found["right"] else ", FALSE ALARM"
        click.echo(
            f"{number}/{len(chosen)} {name}: {found['seconds']} s, {refused} refused{alarm}, accepted {accepted}"
        )
        if path is not None:
            figures_file.save(path, known)
    return failed


def _accepted(fault: list[str]) -> bool:
    return fault[2] in (SURVIVES, UNJUDGED)


def _all_refused(found: dict[str, Any]) -> bool:
    return found["right"] and not any(_accepted(each) for each in found["faults"])


def _write(found: figures.Found, page: Path) -> None:
    """The tables of the page between its two marks."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n{figures.text(found)}\n{END}{after}", encoding="utf-8")
