"""The command judge: a program in any language, asked over a pipe."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from refgrad.cli.command_line import command_line
from refgrad.cli.options import ASKED, HYPERPARAMETERS, JSON, SEARCHED, claimed, searched
from refgrad.cli.results import show
from refgrad.errors import ArgumentError
from refgrad.report import document

JUDGED = """\b
Examples:
  refgrad judge ./my_adamw --as AdamW
  refgrad judge ./my_adamw --as AdamW lr=0.01 --steps 20 --json
  refgrad judge node --arg my_adamw.js --as AdamW

\b
The program answers lines of JSON; docs/judge.md has the protocol, and complete
programs in C, C++, Rust and JavaScript.
Exit codes: 0 conforms, 1 does not, 2 could not be judged,
64 the command line is wrong, 70 refgrad itself failed.
"""


@click.command(epilog=JUDGED)
@click.argument("program")
@click.option("--as", "rule", required=True, metavar="RULE", help="The rule that it claims to be; see `refgrad list`.")
@HYPERPARAMETERS
@click.option("--arg", "arguments", multiple=True, metavar="WORD", help="An argument of the program.")
@ASKED
@SEARCHED
@JSON
def judge(
    program: str, rule: str, hyperparameters: tuple[str, ...], arguments: tuple[str, ...], as_json: bool, **words: Any
) -> int:
    """Judge PROGRAM, which speaks refgrad's protocol on its standard input and output, against a rule."""
    import refgrad
    from refgrad.arithmetic.dtypes import as_dtype
    from refgrad.candidates import program as subject
    from refgrad.isolation import hosting
    from refgrad.isolation.recipe import Recipe
    from refgrad.oracle.engine.time_limit import check_time_limit

    claim = claimed(rule, hyperparameters)
    asked = searched(words)
    command, patience = [program, *arguments], check_time_limit(asked["time_limit"])

    def judged(dtype: str) -> Any:
        given = {"command": command, "rule": claim, "dtype": dtype, "patience": patience}
        # in a process of its own it is ended with that process's group
        there = {**given, "group": False}
        recipe = Recipe(subject.__name__, "", "function", there, lambda: subject.function(**given))
        isolate = hosting.FRESH if hosting.possible() else True
        return refgrad.verify(recipe, claim, isolate=isolate, **{**asked, "dtype": dtype})

    usual = str(as_dtype(asked["dtype"] or claim.kept_in))
    with document.apart():
        try:
            verdict = judged(usual)
        except ArgumentError:
            if asked["dtype"] is not None:
                raise
            name, formats = subject.formats(command, claim, patience)
            if len(formats) > 1 or usual in formats:  # it is wrong for another reason, or there is a choice
                raise
            verdict = judged(formats[0])
            said = f"{usual}: {name} has {formats[0]} alone, in which it was judged, since no --dtype was named"
            verdict = dataclasses.replace(verdict, unexercised=(said, *verdict.unexercised))
    show(dataclasses.replace(verdict, reproduce=command_line(verdict.seed)), as_json)
    return verdict.exit_code
