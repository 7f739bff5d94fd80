"""The commands that judge many targets: survey and demo."""

from __future__ import annotations

import sys
from typing import Any

import click

from refgrad.cli.group import UNJUDGED
from refgrad.cli.options import SCHEDULER, terminal_width
from refgrad.cli.results import write
from refgrad.errors import ArgumentError

SURVEYED = """\b
Examples:
  refgrad survey
  refgrad survey --packages torch,optax --html survey.html
  refgrad survey --rules AdamW,Lion --json survey.json
  refgrad survey --from survey.json --html survey.html
  refgrad survey --resume
"""


@click.command(epilog=SURVEYED)
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
    help="Where each cell is written as it comes; by default survey.jsonl in the cache folder (see `refgrad doctor`).",
)
@click.option("--resume", is_flag=True, help="Go on with what the log has.")
@click.option("--from", "read", type=click.Path(exists=True, dir_okay=False), help="Show a survey that --json wrote.")
@SCHEDULER
@click.option("--table", metavar="TARGET", help="Other implementations than refgrad knows, as module:list of them.")
def survey(
    packages: tuple[str, ...],
    rules: tuple[str, ...],
    json_file: str | None,
    html_file: str | None,
    jobs: int | None,
    time_limit: float,
    explain: float,
    log: str | None,
    resume: bool,
    read: str | None,
    scheduler: str | None,
    table: str | None,
) -> None:
    """Judge every implementation that is installed against the rule that it says it is."""
    from refgrad.report import survey_html, survey_progress
    from refgrad.surveys import survey_text
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
                log=log or _log(),
                resume=resume,
                table=table or TABLE,
                progress=progress,
                scheduler=scheduler,
            )
    for path, make in ((json_file, lambda: found.to_json(indent=1)), (html_file, lambda: survey_html.page(found))):
        if path is not None:
            write(path, make())
    click.echo(survey_text.render(found, terminal_width()))


def _log() -> str:
    """The log's place where none is named, so that nothing is left in the folder where the user stands."""
    from refgrad.backends import kernel_cache

    folder = kernel_cache.folder()
    try:
        if folder is None:
            raise OSError("the user has no folder for what is kept")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ArgumentError(f"--log is not given, and there is no place for one ({error}); legal: --log FILE") from None
    return str(folder / "survey.jsonl")


def _names(given: tuple[str, ...]) -> list[str] | None:
    """Names from options that may be repeated and may hold several, parted by commas; None if there are none."""
    return [name for text in given for name in text.replace(",", " ").split()] or None


@click.command()
def demo() -> int:
    """Judge the AdamW implementations on this machine against AdamW, and a NumPy example that is wrong."""
    from refgrad.examples import demo as demonstration

    found = []
    judging = demonstration.judged()
    for case in demonstration.cases():
        click.echo(f"judging {case.target}{''.join(f' {n}={v}' for n, v in case.options.items())} ...", err=True)
        found.append(next(judging))
    _table(demonstration.table(found))
    for remark in demonstration.remarks(found):
        click.echo(f"\n{click.wrap_text(remark, terminal_width())}")
    return UNJUDGED if any(one.verdict.exit_code == UNJUDGED for one in found) else 0


def _table(table: Any) -> None:
    if sys.stdout.isatty():
        from refgrad.report import terminal

        terminal.show_table(table)
    else:
        from refgrad.layout import render_table

        click.echo("\n".join(render_table(table)))
