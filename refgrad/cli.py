"""The command ``refgrad``: verify, identify, survey, list, show, schema, demo, doctor.

Exit codes: 0 conforms or was identified, 1 does not conform or is unknown, 2 could not be judged (a candidate that cannot
be found or built is one of these), 64 the command line is wrong, 70 refgrad itself failed. Whatever a command needs is
imported when it runs, so that help and the version come at once.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import traceback
from dataclasses import asdict
from typing import Any

import click

from refgrad.errors import ArgumentError, RefgradError, nearest
from refgrad.report import document
from refgrad.version import VERSION

UNJUDGED, USAGE, INTERNAL, INTERRUPTED = 2, 64, 70, 130

EPILOG = """\b
Examples:
  refgrad demo
  refgrad verify torch.optim:AdamW --as AdamW
  refgrad verify torch.optim:AdamW --as AdamW lr=0.01 --set fused=true --steps 20
  refgrad verify optax:adamw --as AdamW scalars=float32 --json
  refgrad identify my_optimizer.py:step
  refgrad identify my_quantizer.py:quantize --kind quantizer
  refgrad verify my_optimizer.py:step --as AdamW --dtype bfloat16 --policy subnormals=either
  refgrad verify my_wrapper.py:step --as Lookahead 'inner=SGD(lr=0.1)' k=5
  refgrad verify torch.optim:AdamW --as AdamW --laws
  refgrad survey --packages torch,optax --html survey.html
  refgrad show AdamW

\b
Exit codes: 0 conforms (or identified), 1 does not conform (or unknown),
2 could not be judged,
64 the command line is wrong, 70 refgrad itself failed.
With --json, verify and identify print one document whatever happens; see `refgrad schema`.
"""


LISTED = """\b
Examples:
  refgrad list --kind mask
  refgrad list --package optax
  refgrad list 2024 lion
  refgrad list arXiv:1711.05101
"""


class Cli(click.Group):
    """A click group whose exit codes leave 1 and 2 to verdicts."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command line and exit."""
        kwargs["standalone_mode"] = False
        given = list(kwargs.get("args") or (args[0] if args else None) or sys.argv[1:])
        if os.getcwd() not in sys.path:
            sys.path.insert(0, os.getcwd())  # targets are looked for where the user stands, as `python -m` does
        try:
            code = super().main(*args, **kwargs)
        except BaseException as error:
            code = _failed(error, document.wanted(given))
        sys.exit(code if isinstance(code, int) else 0)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """The command that is named, or an error that names the nearest."""
        if args and self.get_command(ctx, args[0]) is None:
            legal = ", ".join(self.list_commands(ctx))
            raise click.UsageError(f"no command {args[0]!r}{nearest(args[0], self.commands)}; legal: {legal}", ctx)
        return super().resolve_command(ctx, args)


def _failed(error: BaseException, as_json: bool) -> int:
    """The exit code of what was raised, which is told on standard error, and as a document if one was asked for."""
    message = str(error)
    if isinstance(error, click.Abort | KeyboardInterrupt):
        code = INTERRUPTED
    elif isinstance(error, click.ClickException):
        error.show()
        code, message = USAGE, error.format_message()
    elif isinstance(error, RefgradError):
        click.echo(f"Error: {error}", err=True)
        code = USAGE if isinstance(error, ArgumentError) else UNJUDGED
    else:
        traceback.print_exception(error)
        code = INTERNAL
    if as_json:
        click.echo(document.error(code, type(error).__name__, message))
    return code


# what several commands take
HYPERPARAMETERS = click.argument("hyperparameters", nargs=-1, metavar="[HYPER=VALUE]...")
OPTIONS = click.option(
    "--set", "options", multiple=True, metavar="OPTION=VALUE", help="An argument of the target's own constructor."
)
STEPS = click.option(
    "--steps", default=10, show_default=True, type=click.IntRange(min=1), help="How many steps to run."
)
DTYPE = click.option("--dtype", help="float16, bfloat16, float32 or float64; float32 unless the rule keeps another.")
SEED = click.option("--seed", default=0, show_default=True, type=int, help="Seed of the inputs.")
SECRET = click.option(
    "--secret-seed",
    is_flag=True,
    help="Draw the seed when the target has been loaded, so that it cannot know the inputs.",
)
POLICY = click.option(
    "--policy", multiple=True, metavar="FIELD=VALUE", help="What counts as correct, such as subnormals=either."
)
ISOLATE = click.option(
    "--isolate/--no-isolate",
    default=True,
    show_default=True,
    help="Run the target in a process of its own, so that there is a verdict whatever it does.",
)
TIME_LIMIT = click.option(
    "--time-limit",
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long one step may take before it has the fault `hung`; inf for no limit.",
)


@click.group(cls=Cli, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="refgrad")
def main() -> None:
    """Is this implementation right? Judge it against the rule that it says it is."""


@main.command(epilog=EPILOG)
@click.argument("target")
@click.option("--as", "rule", required=True, metavar="RULE", help="The rule that it claims to be; see `refgrad list`.")
@HYPERPARAMETERS
@OPTIONS
@click.option(
    "--state",
    "states",
    multiple=True,
    metavar="SLOT=NAME",
    help="What the target's state calls a slot, as m=my_buffer.",
)
@STEPS
@DTYPE
@SEED
@SECRET
@POLICY
@click.option("--json", "as_json", is_flag=True, help="Print the verdict as JSON.")
@click.option("--no-shrink", is_flag=True, help="Do not look for the smallest input that fails.")
@click.option("--no-explain", is_flag=True, help="Do not look for what a target that fails is instead.")
@TIME_LIMIT
@ISOLATE
@click.option("--laws", is_flag=True, help="Check the rule's laws on the target too (needs Hypothesis).")
def verify(
    target: str,
    rule: str,
    hyperparameters: tuple[str, ...],
    options: tuple[str, ...],
    states: tuple[str, ...],
    steps: int,
    dtype: str | None,
    seed: int,
    secret_seed: bool,
    policy: tuple[str, ...],
    as_json: bool,
    no_shrink: bool,
    no_explain: bool,
    time_limit: float,
    isolate: bool,
    laws: bool,
) -> int:
    """Judge TARGET, as package.module:name or path/to/file.py:name, against a rule with given hyperparameters."""
    if isolate and ":" in target:
        from refgrad.isolation import hosting

        hosting.begin()  # its process starts while this one imports
    import refgrad
    from refgrad.rule_text import build_rule, literal, pairs

    claim = build_rule(rule, hyperparameters)
    declared = pairs(policy, "--policy", literal)
    given = pairs(options, "--set", literal)
    stated = pairs(states, "--state", str)
    with document.apart():
        verdict = refgrad.verify(
            target,
            claim,
            steps=steps,
            dtype=dtype,
            seed=None if secret_seed else seed,
            policy=declared,
            options=given,
            state_names=stated,
            shrink=not no_shrink,
            explain=not no_explain,
            time_limit=time_limit,
            isolate=isolate,
        )
        # one that is lost at every step would be started again for every law
        lost = [fault.kind for fault in verdict.faults if fault.kind in ("crashed", "hung")] if laws else []
        reports: Any = ()
        if laws and not lost:
            told = {"policy": declared, "options": given, "time_limit": time_limit, "isolate": isolate}
            reports = _laws(target, claim, dtype=dtype or claim.kept_in, seed=verdict.seed or 0, **told)
    if lost:
        click.echo(f"laws are not checked of a candidate that has {lost[0]}", err=True)
    code = 1 if any(report.broken for report in reports) else verdict.exit_code
    if as_json:
        click.echo(verdict.to_json(indent=2) if not laws else _with_laws(verdict, reports, code))
    elif sys.stdout.isatty():
        from refgrad.report import terminal

        terminal.show(verdict)
    else:
        click.echo(str(verdict))
    if reports and not as_json:
        click.echo("\n".join(["", "Laws", *map(str, reports)]))
    return code


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


@main.command(epilog=EPILOG)
@click.argument("target")
@click.option("--as", "rule", metavar="RULE", help="The rule that it is a form of; by default all are tried.")
@click.option(
    "--kind",
    metavar="KIND",
    help="All rules of a kind, where no rule is named: optimizer (by default), 8-bit-optimizer, transform, scaling, "
    "quantizer, estimator, mask or mask-update.",
)
@HYPERPARAMETERS
@OPTIONS
@STEPS
@DTYPE
@SEED
@POLICY
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
@TIME_LIMIT
@ISOLATE
def identify(
    target: str,
    rule: str | None,
    kind: str | None,
    hyperparameters: tuple[str, ...],
    options: tuple[str, ...],
    steps: int,
    dtype: str | None,
    seed: int,
    policy: tuple[str, ...],
    as_json: bool,
    time_limit: float,
    isolate: bool,
) -> int:
    """Name what TARGET computes: a rule, a variant, other hyperparameters, or a fault."""
    if rule is None and hyperparameters:
        raise ArgumentError(f"{hyperparameters[0]!r} is given without --as RULE; legal: hyperparameters of a rule")
    if rule is not None and kind is not None:
        raise ArgumentError(f"--kind {kind} is given with --as {rule}; legal: one of them, because a rule is of a kind")
    import refgrad
    from refgrad.rule_text import build_rule, literal, pairs

    claim = kind if rule is None else build_rule(rule, hyperparameters)
    declared = pairs(policy, "--policy", literal)
    given = pairs(options, "--set", literal)
    with document.apart():
        found = refgrad.identify(
            target,
            claim,
            steps=steps,
            dtype=dtype,
            seed=seed,
            policy=declared,
            options=given,
            time_limit=time_limit,
            isolate=isolate,
        )
    if as_json:
        click.echo(found.to_json(indent=2))
    elif sys.stdout.isatty():
        from refgrad.oracle import identification_text
        from refgrad.report import terminal

        terminal.show_sections(identification_text.sections(found))
    else:
        click.echo(str(found))
    return found.exit_code


@main.command(epilog=EPILOG)
@click.option("--packages", multiple=True, metavar="NAME,...", help="Only these distributions, such as torch,optax.")
@click.option("--rules", multiple=True, metavar="RULE,...", help="Only these rules, such as Adam,AdamW.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False), help="Write the survey as JSON.")
@click.option("--html", "html_file", type=click.Path(dir_okay=False), help="Write it as one self-contained page.")
@click.option("--jobs", type=click.IntRange(min=1), help="How many processes judge at a time; by default one a core.")
@click.option(
    "--time-limit",
    default=240.0,
    show_default=True,
    metavar="SECONDS",
    help="How long one implementation may take before its process is ended.",
)
@click.option(
    "--explain",
    default=20.0,
    show_default=True,
    metavar="SECONDS",
    help="How long the search for what a failing implementation is may take; 0 for none.",
)
@click.option(
    "--log",
    type=click.Path(dir_okay=False),
    default="refgrad-survey.jsonl",
    show_default=True,
    help="Where each cell is written as it comes.",
)
@click.option("--resume", is_flag=True, help="Go on with what the log has.")
@click.option("--from", "read", type=click.Path(exists=True, dir_okay=False), help="Show a survey that --json wrote.")
@click.option("--table", metavar="TARGET", help="Other implementations than refgrad knows, as module:list of them.")
def survey(
    packages: tuple[str, ...],
    rules: tuple[str, ...],
    json_file: str | None,
    html_file: str | None,
    jobs: int | None,
    time_limit: float,
    explain: float,
    log: str,
    resume: bool,
    read: str | None,
    table: str | None,
) -> None:
    """Judge every implementation that is installed against the rule that it says it is."""
    from refgrad.report import survey_html, survey_progress
    from refgrad.surveys.run import TABLE, Survey, survey

    if read is not None:
        found = Survey.read(read)
    else:
        with survey_progress.line() as progress:
            found = survey(
                _names(packages),
                _names(rules),
                jobs=jobs,
                time_limit=time_limit,
                explain=explain,
                log=log,
                resume=resume,
                table=table or TABLE,
                progress=progress,
            )
    for path, write in ((json_file, lambda: found.to_json(indent=1)), (html_file, lambda: survey_html.page(found))):
        if path is not None:
            _write(path, write())
    click.echo(str(found))


def _names(given: tuple[str, ...]) -> list[str] | None:
    """Names from options that may be repeated and may hold several, parted by commas; None if there are none."""
    return [name for text in given for name in text.replace(",", " ").split()] or None


def _write(path: str, text: str) -> None:
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text + "\n")
    except OSError as error:
        raise ArgumentError(
            f"{path!r} cannot be written: {error.strerror}; legal: a file in a folder that exists"
        ) from None


@main.command(name="list", epilog=LISTED)
@click.argument("words", nargs=-1, metavar="[WORD]...")
@click.option("--kind", help="One kind alone: optimizer, transform, quantizer, estimator, mask ...")
@click.option("--package", help="What a distribution has implementations of, such as torch or optax.")
def list_(words: tuple[str, ...], kind: str | None, package: str | None) -> None:
    """All rules with their sources, or those in whose name, authors, title and place each WORD occurs."""
    from refgrad.report.listing import WIDTH, listing

    width = shutil.get_terminal_size((WIDTH, 24)).columns if sys.stdout.isatty() else WIDTH
    click.echo("\n".join(listing(words, kind, package, width)))


@main.command()
@click.argument("rule")
@HYPERPARAMETERS
@click.option("--step", default=10, show_default=True, type=click.IntRange(min=1), help="The step whose form is shown.")
@click.option("--latex", is_flag=True, help="The formula alone, as LaTeX.")
@click.option("--source", type=click.Choice(["numba", "c"]), help="The kernel's source alone.")
@click.option("--dtype", default="float32", show_default=True, help="The dtype of the kernel.")
@click.option(
    "--json", "as_json", is_flag=True, help="The citation, what was read, and who does each variant, as JSON."
)
def show(
    rule: str, hyperparameters: tuple[str, ...], step: int, latex: bool, source: str | None, dtype: str, as_json: bool
) -> None:
    """A rule's source, formula, state, hyperparameters and variants."""
    from refgrad.arithmetic import formula
    from refgrad.estimators.base import Estimator
    from refgrad.optimizers.base import Optimizer
    from refgrad.report import catalogue
    from refgrad.rule_text import build_rule

    known = build_rule(rule, hyperparameters)
    if as_json:
        click.echo(json.dumps(catalogue.record(known), indent=2, ensure_ascii=False))
        return
    if not isinstance(known, Optimizer | Estimator):
        if source or latex:
            raise ArgumentError(f"{rule} is a {known.kind}; legal for --latex and --source: an optimizer or estimator")
        click.echo(catalogue.page(known, step))
        return
    if source is not None:
        from refgrad.arithmetic.dtypes import as_dtype, working

        precision = working(as_dtype(dtype, "--dtype"))
        from refgrad.backends import c_dialect, dialect, numba_backend

        language = c_dialect.DIALECT if source == "c" else dialect.NUMBA
        click.echo(numba_backend.kernel_source(known.plan(catalogue.SHAPE, step), precision, language))
    elif latex:
        click.echo(formula.latex(known.plan(catalogue.SHAPE, step)))
    else:
        click.echo(catalogue.page(known, step))


@main.command()
def doctor() -> int:
    """What is installed, and how this machine computes: versions, frameworks, arithmetic, cache. Exit code 2 if amiss."""
    from refgrad.layout import BAD
    from refgrad.report import doctor as examined
    from refgrad.report import terminal

    parts = examined.sections()
    terminal.show_sections(parts)
    return UNJUDGED if any(part.tone == BAD for part in parts) else 0


@main.command()
def schema() -> None:
    """The JSON Schema of what `verify --json` and `identify --json` print."""
    click.echo(document.schema(), nl=False)


@main.command()
def demo() -> int:
    """Judge the AdamW implementations on this machine against AdamW; NumPy examples where there are none."""
    from refgrad.examples import demo as demonstration

    judged = []
    names = [case.target + "".join(f" {n}={v}" for n, v in case.options.items()) for case in demonstration.cases()]
    verdicts = demonstration.verdicts()
    for name in names:
        click.echo(f"judging {name} ...", err=True)
        judged.append(next(verdicts))
    _table(demonstration.table(judged))
    for remark in demonstration.remarks(judged):
        click.echo(f"\n{remark}")
    return UNJUDGED if any(v.exit_code == UNJUDGED for v in judged) else 0


def _table(table: Any) -> None:
    if sys.stdout.isatty():
        from refgrad.report import terminal

        terminal.show_table(table)
    else:
        from refgrad.layout import render_table

        click.echo("\n".join(render_table(table)))
