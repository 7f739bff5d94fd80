"""The command that holds two versions of an implementation against each other: compare."""

from __future__ import annotations

from typing import Any

import click

from refgrad.cli.completion import complete_rule
from refgrad.cli.options import (
    ASKED,
    HYPERPARAMETERS,
    ISOLATE,
    JSON,
    OPTIONS,
    QUIET,
    SEARCHED,
    checked_target,
    claimed,
    searched,
)
from refgrad.cli.results import show
from refgrad.errors import ArgumentError
from refgrad.report import document

COMPARED = """\b
Examples:
  refgrad compare old.py:rmsnorm new.py:rmsnorm --as mine.py:rmsnorm
  refgrad compare old.py:step new.py:step --as AdamW lr=0.01 --steps 20
  refgrad compare old.py:f new.py:f --as SignSTE --quiet

\b
Exit codes, of NEW: 0 conforms, 1 does not, 2 could not be judged,
64 the command line is wrong, 70 refgrad itself failed.
"""


@click.command(epilog=COMPARED)
@click.argument("old", callback=checked_target)
@click.argument("new", callback=checked_target)
@click.option(
    "--as",
    "rule",
    metavar="RULE",
    required=True,
    shell_complete=complete_rule,
    help="The rule that both claim to be; see `refgrad list`.",
)
@HYPERPARAMETERS
@OPTIONS
@ASKED
@SEARCHED
@JSON
@QUIET
@ISOLATE
def compare(
    old: str,
    new: str,
    rule: str,
    hyperparameters: tuple[str, ...],
    options: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    isolate: bool,
    **words: Any,
) -> int:
    """Say what changed between OLD and NEW, two versions of an implementation of a rule, and whether for the better."""
    if quiet and as_json:
        raise ArgumentError("--json is given with --quiet; legal: one of them")
    import refgrad
    from refgrad.rule_text import literal, pairs

    claim = claimed(rule, hyperparameters)
    asking = {**searched(words), **({"shrink": False, "explain": False} if quiet else {})}
    given = pairs(options, "--set", literal)
    with document.apart():
        found = refgrad.compare(old, new, claim, options=given, isolate=isolate, **asking)
    if not quiet:
        show(found, as_json)
    return found.exit_code
