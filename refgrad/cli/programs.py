"""The command judge: a program in any language, asked over a pipe."""

from __future__ import annotations

import dataclasses

import click

from refgrad.cli.command_line import command_line
from refgrad.cli.judging import show_verdict
from refgrad.cli.options import DTYPE, HYPERPARAMETERS, POLICY, SECRET, SEED, STEPS, TIME_LIMIT, claimed
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
@STEPS
@DTYPE
@SEED
@SECRET
@POLICY
@click.option("--json", "as_json", is_flag=True, help="Print the verdict as JSON.")
@click.option("--no-shrink", is_flag=True, help="Do not look for the smallest input that fails.")
@click.option("--no-explain", is_flag=True, help="Do not look for what a program that fails is instead.")
@TIME_LIMIT
def judge(
    program: str,
    rule: str,
    hyperparameters: tuple[str, ...],
    arguments: tuple[str, ...],
    steps: int,
    dtype: str | None,
    seed: int,
    secret_seed: bool,
    policy: tuple[str, ...],
    as_json: bool,
    no_shrink: bool,
    no_explain: bool,
    time_limit: float,
) -> int:
    """Judge PROGRAM, which speaks refgrad's protocol on its standard input and output, against a rule."""
    import refgrad
    from refgrad.candidates import program as subject
    from refgrad.isolation.recipe import Recipe
    from refgrad.rule import short_name
    from refgrad.rule_text import literal, pairs

    claim = claimed(rule, hyperparameters)
    given = {"command": [program, *arguments], "rule": short_name(type(claim)), "kind": claim.kind}
    recipe = Recipe(subject.__name__, "", "function", given, lambda: subject.function(**given))
    with document.apart():
        verdict = refgrad.verify(
            recipe,
            claim,
            steps=steps,
            dtype=dtype,
            seed=None if secret_seed else seed,
            policy=pairs(policy, "--policy", literal),
            shrink=not no_shrink,
            explain=not no_explain,
            time_limit=time_limit,
            isolate="fresh",
        )
    show_verdict(dataclasses.replace(verdict, reproduce=command_line(verdict.seed)), as_json)
    return verdict.exit_code
