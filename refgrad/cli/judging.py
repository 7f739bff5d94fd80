"""The commands that judge one target: verify and identify."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from refgrad.cli.command_line import command_line
from refgrad.cli.completion import complete_rule
from refgrad.cli.options import (
    ASKED,
    DEVICE,
    HYPERPARAMETERS,
    ISOLATE,
    JSON,
    OPTIONS,
    QUIET,
    SEARCHED,
    TARGET,
    asked,
    check_kind,
    claimed,
    searched,
)
from refgrad.cli.results import show
from refgrad.errors import ArgumentError, bad_argument
from refgrad.report import document

VERIFIED = """\b
Examples:
  refgrad verify torch.optim:AdamW --as AdamW
  refgrad verify torch.optim:AdamW --as AdamW lr=0.01 'betas=(0.9, 0.99)'
  refgrad verify torch.optim:AdamW --as AdamW --set fused=true --steps 20
  refgrad verify optax:adamw --as AdamW scalars=float32 \\
      --policy subnormals=either
  refgrad verify my_optimizer.py:step --as AdamW --dtype bfloat16 --json
  refgrad verify my_wrapper.py:step --as Lookahead 'inner=SGD(lr=0.1)' k=5
  refgrad verify torch.nn.utils.prune:L1Unstructured --as Magnitude
  refgrad verify torch.optim:AdamW --as AdamW --laws
  refgrad verify ./lib.so:lion --as Lion \\
      --signature 'p*,g,m*,n,lr,beta1,beta2,weight_decay'

\b
Exit codes: 0 conforms, 1 does not, 2 could not be judged,
64 the command line is wrong, 70 refgrad itself failed.
"""

IDENTIFIED = """\b
Examples:
  refgrad identify my_optimizer.py:step
  refgrad identify my_optimizer.py:step --as AdamW
  refgrad identify my_quantizer.py:quantize --kind quantizer
  refgrad identify optax:nadamw --steps 20 --json

\b
Exit codes: 0 identified, 1 unknown, 2 could not be judged,
64 the command line is wrong, 70 refgrad itself failed.
"""


@click.command(epilog=VERIFIED)
@TARGET
@click.option(
    "--as",
    "rule",
    metavar="RULE",
    shell_complete=complete_rule,
    help="The rule that it claims to be; see `refgrad list`.",
)
@HYPERPARAMETERS
@OPTIONS
@click.option(
    "--state",
    "states",
    multiple=True,
    metavar="SLOT=NAME",
    help="What the target's state calls a slot, as m=my_buffer.",
)
@ASKED
@SEARCHED
@JSON
@QUIET
@ISOLATE
@DEVICE
@click.option("--laws", is_flag=True, help="Check the rule's laws on the target too (needs Hypothesis).")
@click.option(
    "--signature",
    metavar="ARGUMENTS",
    help="TARGET is path/to/library.so:function, which takes these in order, such as 'p*,g,m*,v*,n,t,lr,eps' "
    "(docs/judge.md).",
)
def verify(
    target: str,
    rule: str | None,
    hyperparameters: tuple[str, ...],
    options: tuple[str, ...],
    states: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    isolate: bool,
    device: str | None,
    laws: bool,
    signature: str | None,
    **words: Any,
) -> int:
    """Judge TARGET, as package.module:name or path/to/file.py:name, against a rule with given hyperparameters."""
    if rule is None:
        from refgrad.report.proposals import advice

        raise click.MissingParameter(advice(target), param_hint="'--as'", param_type="option")
    _check_apart(quiet=quiet, json=as_json)
    _check_apart(device=device, laws=laws)
    _check_apart(device=device, signature=signature)
    if isolate and ":" in target:
        from refgrad.isolation import hosting

        hosting.begin()  # its process starts while this one imports
    import refgrad
    from refgrad.rule_text import literal, pairs

    claim = claimed(rule, hyperparameters)
    asking = {**searched(words), **({"shrink": False, "explain": False} if quiet else {})}
    given = pairs(options, "--set", literal)
    stated = pairs(states, "--state", str)
    candidate: Any = target if signature is None else _library(target, signature, claim, given, stated)
    with document.apart():
        verdict = refgrad.verify(
            candidate, claim, options=given, state_names=stated, isolate=isolate, device=device, **asking
        )
        if signature is not None:  # there is no call in Python that says it
            verdict = dataclasses.replace(verdict, reproduce=command_line(verdict.seed))
        lost, reports = _lost(verdict) if laws else "", list[Any]()
        if laws and not lost:
            told = {**{n: asking[n] for n in ("policy", "time_limit")}, "options": given, "isolate": isolate}
            reports = _laws(target, claim, dtype=asking["dtype"] or claim.kept_in, seed=verdict.seed or 0, **told)
    if lost:
        click.echo(f"laws are not checked of a candidate that has {lost}", err=True)
    code = 1 if any(report.broken for report in reports) else verdict.exit_code
    if quiet:
        return code
    if as_json and laws:
        click.echo(_with_laws(verdict, reports, code))
    else:
        show(verdict, as_json)
    if reports and not as_json:
        click.echo("\n".join(["", "Laws", *map(str, reports)]))
    return code


def _check_apart(**given: Any) -> None:
    """Refuse options that are given together, of which one alone is legal."""
    names = [f"--{name}" for name, value in given.items() if value not in (None, False)]
    if len(names) > 1:
        raise ArgumentError(f"{' is given with '.join(sorted(names))}; legal: one of them")


def _lost(verdict: Any) -> str:
    """How a candidate was lost, which is at every step, so that it would be started again for every law; empty if it was not."""
    return next((fault.kind for fault in verdict.faults if fault.kind in ("crashed", "hung")), "")


def _library(target: str, signature: str, claim: Any, options: Mapping[str, Any], stated: Mapping[str, str]) -> Any:
    """The recipe of a function of a shared library."""
    from refgrad.candidates import shared_library
    from refgrad.candidates.resolve import LIBRARIES
    from refgrad.candidates.targets import target_parts
    from refgrad.isolation.recipe import Recipe

    path, symbol = target_parts(target)
    if path.endswith(".py") or (
        not Path(path).is_file() and all(map(str.isidentifier, path.split("."))) and not path.endswith(LIBRARIES)
    ):
        legal = "path/to/library.so:function; what is Python is judged without --signature"
        raise bad_argument("target", target, f"with --signature {legal}")
    shared_library.check_signature(signature, claim, options, stated)
    given = {"path": path, "symbol": symbol, "signature": signature}
    return Recipe(shared_library.__name__, "", "function", given, lambda: shared_library.function(**given))


def _laws(target: str, claim: Any, **keywords: Any) -> Any:
    try:
        import hypothesis  # noqa: F401
    except ImportError:
        raise ArgumentError("--laws needs Hypothesis, which is not installed; install refgrad[laws]") from None
    from refgrad.candidates.resolve import load
    from refgrad.testing import check_laws

    return check_laws(target if keywords["isolate"] else load(target), claim, **keywords)


def _with_laws(verdict: Any, reports: Any, code: int) -> str:
    found = {**verdict.to_dict(), "exit_code": code, "laws": [asdict(r) for r in reports]}
    return json.dumps(found, indent=2, allow_nan=False)


@click.command(epilog=IDENTIFIED)
@TARGET
@click.option(
    "--as",
    "rule",
    metavar="RULE",
    shell_complete=complete_rule,
    help="The rule that it is a form of; by default all are tried.",
)
@click.option(
    "--kind",
    metavar="KIND",
    help="All rules of a kind, where no rule is named: optimizer (by default), 8-bit-optimizer, transform, scaling, "
    "quantizer, estimator, mask or mask-update.",
)
@HYPERPARAMETERS
@OPTIONS
@ASKED
@JSON
@ISOLATE
def identify(
    target: str,
    rule: str | None,
    kind: str | None,
    hyperparameters: tuple[str, ...],
    options: tuple[str, ...],
    as_json: bool,
    isolate: bool,
    **words: Any,
) -> int:
    """Name what TARGET computes: a rule, a variant, other hyperparameters, or a fault."""
    if rule is None and hyperparameters:
        raise ArgumentError(f"{hyperparameters[0]!r} is given without --as RULE; legal: hyperparameters of a rule")
    if kind is not None:
        check_kind(kind)
    if rule is not None and kind is not None:
        raise ArgumentError(f"--kind {kind} is given with --as {rule}; legal: one of them, because a rule is of a kind")
    import refgrad
    from refgrad.rule_text import literal, pairs

    claim = kind if rule is None else claimed(rule, hyperparameters)
    given = pairs(options, "--set", literal)
    with document.apart():
        found = refgrad.identify(target, claim, options=given, isolate=isolate, **asked(words))
    show(found, as_json)
    return found.exit_code
