"""The command that judges a recorded step: audit."""

from __future__ import annotations

from typing import Any

import click

from refgrad.cli.completion import complete_rule
from refgrad.cli.options import HYPERPARAMETERS, JSON, NO_EXPLAIN, POLICY, SCHEDULER, claimed
from refgrad.cli.results import show, write
from refgrad.errors import ArgumentError

AUDITED = """\b
Examples:
  refgrad audit --before step-000002/before.safetensors \\
      --after step-000002/after.safetensors \\
      --grads step-000002/grads.safetensors --as AdamW
  refgrad audit --before model1.pt --before optim1.pt \\
      --after model2.pt --after optim2.pt --grads grads.npz \\
      --as AdamW lr=0.001 --map names.toml --log audit.jsonl
  refgrad audit --before a.pt --after b.pt --as AdamW

\b
Exit codes: 0 conforms, 1 does not, 2 could not be judged
(without gradients too, where nothing is impossible),
64 the command line is wrong, 70 refgrad itself failed.
"""
FILES: dict[str, Any] = {"multiple": True, "required": True, "type": click.Path()}


@click.command(epilog=AUDITED)
@click.option(
    "--before", metavar="PATH", help="Parameters and state before the step; a file or folder, repeated.", **FILES
)
@click.option("--after", metavar="PATH", help="The same after it.", **FILES)
@click.option("--grads", multiple=True, metavar="PATH", type=click.Path(), help="The gradients that the step took.")
@click.option(
    "--as", "rule", metavar="RULE", required=True, shell_complete=complete_rule, help="The rule that it claims to be."
)
@HYPERPARAMETERS
@click.option("--map", "names", metavar="FILE", help="Names that the files use, in TOML (docs/audit.md).")
@click.option("--step", type=click.IntRange(min=1), help="Which step it is, where the state does not say.")
@POLICY
@click.option("--log", metavar="FILE", help="Where each chunk is written: an audit that was killed goes on with it.")
@SCHEDULER
@click.option(
    "--html", "html_file", type=click.Path(dir_okay=False), help="Write the report as one page that needs nothing else."
)
@JSON
@NO_EXPLAIN
def audit(
    before: tuple[str, ...],
    after: tuple[str, ...],
    grads: tuple[str, ...],
    rule: str,
    hyperparameters: tuple[str, ...],
    names: str | None,
    step: int | None,
    policy: tuple[str, ...],
    log: str | None,
    scheduler: str | None,
    html_file: str | None,
    as_json: bool,
    no_explain: bool,
) -> int:
    """Judge a recorded step: the parameters and state after it, from those before it and the gradients."""
    import refgrad
    from refgrad.report import audit_html, audit_progress
    from refgrad.rule_text import literal, pairs

    claim = claimed(rule, hyperparameters)
    if not hasattr(claim, "slots"):
        raise ArgumentError(f"--as is {rule}; legal: an optimizer")
    with audit_progress.bar() as progress:
        found = refgrad.audit(
            claim,
            before=list(before),
            after=list(after),
            grads=list(grads) or None,
            map=names,
            step=step,
            policy=pairs(policy, "--policy", literal),
            explain=not no_explain,
            log=log,
            progress=progress,
            scheduler=scheduler,
        )
    if html_file is not None:
        write(html_file, audit_html.page(found))
    show(found, as_json)
    return found.exit_code
