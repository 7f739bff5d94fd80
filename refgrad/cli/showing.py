"""The commands that judge nothing: list, show, schema and doctor."""

from __future__ import annotations

import json
from typing import Any

import click

from refgrad.cli.completion import complete_rule
from refgrad.cli.group import UNJUDGED
from refgrad.cli.options import HYPERPARAMETERS, claimed, terminal_width
from refgrad.errors import ArgumentError, with_article
from refgrad.report import document

SHOWN = """\b
Examples:
  refgrad show AdamW
  refgrad show Lookahead 'inner=SGD(lr=0.1)'
  refgrad show AdamW --latex
  refgrad show AdamW --source c --dtype float64
  refgrad show AdamW --source cuda --dtype bfloat16
  refgrad show mine.py:rmsnorm --source c
  refgrad show mine.py:attention --source c --length query=128 --length key=64
  refgrad show AdamW --json
"""

LISTED = """\b
Examples:
  refgrad list --kind mask
  refgrad list --package optax
  refgrad list 2024 lion
  refgrad list arXiv:1711.05101
"""


@click.command(name="list", epilog=LISTED)
@click.argument("words", nargs=-1, metavar="[WORD]...")
@click.option("--kind", help="One kind alone: optimizer, transform, quantizer, estimator, mask ...")
@click.option("--package", help="What a distribution has implementations of, such as torch or optax.")
def list_(words: tuple[str, ...], kind: str | None, package: str | None) -> None:
    """All rules with their sources and those of installed packages, or those in whose names and sources each WORD occurs."""
    from refgrad.report.listing import listing

    click.echo("\n".join(listing(words, kind, package, terminal_width())))


@click.command(epilog=SHOWN)
@click.argument("rule", shell_complete=complete_rule)
@HYPERPARAMETERS
@click.option("--step", default=10, show_default=True, type=click.IntRange(min=1), help="The step whose form is shown.")
@click.option("--latex", is_flag=True, help="The formula alone, as LaTeX.")
@click.option("--source", type=click.Choice(["numba", "c", "cuda"]), help="The kernel's source alone.")
@click.option("--arch", help="With --source cuda: what NVRTC makes of it for an architecture, such as sm_90, as PTX.")
@click.option("--dtype", default="float32", show_default=True, help="The dtype of the kernel.")
@click.option(
    "--length", "lengths", multiple=True, metavar="AXIS=N", help="With --source: a kernel for this length of an axis."
)
@click.option(
    "--json", "as_json", is_flag=True, help="The citation, what was read, and who does each variant, as JSON."
)
def show(
    rule: str,
    hyperparameters: tuple[str, ...],
    step: int,
    latex: bool,
    source: str | None,
    arch: str | None,
    dtype: str,
    lengths: tuple[str, ...],
    as_json: bool,
) -> None:
    """A rule's source, formula, state, hyperparameters and variants."""
    from refgrad.estimators.base import Estimator
    from refgrad.optimizers.base import Optimizer
    from refgrad.optimizers.transform import Transform
    from refgrad.report import catalogue

    if arch is not None and source != "cuda":
        raise ArgumentError(f"--arch is {arch!r}; legal: none without --source cuda")
    known = claimed(rule, hyperparameters)
    if as_json:
        click.echo(json.dumps(catalogue.record(known), indent=2, ensure_ascii=False))
        return
    if isinstance(known, Transform) and source is not None:
        click.echo(_of_arrays(known, source, dtype, arch, lengths))
        return
    if lengths:
        legal = "none but of a formula or another function of arrays, with --source"
        raise ArgumentError(f"--length is {lengths[0]!r}; legal: {legal}")
    if not isinstance(known, Optimizer | Estimator):
        if source or latex:
            legal = "an optimizer or estimator, and for --source a formula or another function of arrays"
            raise ArgumentError(f"{rule} is {with_article(known.kind)}; legal for --latex and --source: {legal}")
        click.echo(catalogue.page(known, step, terminal_width()))
        return
    if source is not None:
        from refgrad.backends.outline import outline_of

        plan = known.plan(catalogue.SHAPE, step)
        click.echo(_kernel(plan, source, dtype, arch, outline_of(plan, f"{known}, as at step {step}")))
    elif latex:
        from refgrad.arithmetic import formula

        click.echo(formula.latex(known.plan(catalogue.SHAPE, step)))
    else:
        click.echo(catalogue.page(known, step, terminal_width()))


def _of_arrays(known: Any, language: str, dtype: str, arch: str | None, lengths: tuple[str, ...]) -> str:
    """The text of a formula's kernels, or of another function's of arrays: for any lengths, or for given ones."""
    from refgrad.arithmetic.dtypes import as_dtype, working
    from refgrad.formula_kernels import NoFormulaKernel, kernel_of, outline
    from refgrad.formula_tapes import tape_for

    given = {axis: as_length(text) for axis, text in (each.partition("=")[::2] for each in lengths)}
    if not given:
        try:
            kernel = kernel_of(known)
        except NoFormulaKernel:
            pass
        else:
            return _kernel(kernel.plan, language, dtype, arch, outline(known, kernel))
    if arch is not None:
        raise ArgumentError(f"--arch is {arch!r}; legal: none of a kernel that is for given lengths")
    in_ = working(as_dtype(dtype, "--dtype"))
    told = ", ".join(f"{axis} = {n}" for axis, n in {**known.lengths, **given}.items() if not axis.isdigit())
    return tape_for(known, given, in_).text(
        [f"{known}, in {in_.name}, for arrays of these lengths alone: {told}"], language
    )


def as_length(text: str) -> int:
    """The length of an axis, of what stands behind the equals sign."""
    if not text.isdecimal() or not int(text):
        raise ArgumentError(f"--length says {text!r}; legal: a whole number from 1 on, as in --length batch=64")
    return int(text)


def _kernel(plan: Any, language: str, dtype: str, arch: str | None, outline: Any) -> str:
    """The text of a plan's kernels: Numba's Python, C, or CUDA C++ and what NVRTC makes of it for an architecture."""
    from dataclasses import replace

    from refgrad.arithmetic.dtypes import as_dtype, working

    stored = as_dtype(dtype, "--dtype")
    told = replace(outline, title=f"{outline.title}, in {stored.name if language == 'cuda' else working(stored).name}")
    if language == "cuda":
        from refgrad.backends.cuda import shown

        return shown.text(plan, stored, told, arch)
    from refgrad.backends import whole_source

    return whole_source.text(plan, working(stored), told, language)


@click.command()
def doctor() -> int:
    """What is installed, and how this machine computes: versions, frameworks, arithmetic, cache. Exit code 2 if amiss."""
    from refgrad.layout import BAD
    from refgrad.report import doctor as examined
    from refgrad.report import terminal

    parts = examined.sections()
    terminal.show_sections(parts)
    return UNJUDGED if any(part.tone == BAD for part in parts) else 0


@click.command()
def schema() -> None:
    """The JSON Schema of what `verify --json` and `identify --json` print."""
    click.echo(document.schema(), nl=False)
