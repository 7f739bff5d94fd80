"""How a command line ends: exit codes that leave 1 and 2 to verdicts, errors on standard error, and a document if asked for."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from typing import Any

import click

from refgrad.cli.output import UnwrittenError, flush_errors, open_closed, writing
from refgrad.errors import ArgumentError, CandidateError, NotThereError, RefgradError, nearest
from refgrad.report import document

#: the environment variable by which a shell asks what it may offer
COMPLETING = "_REFGRAD_COMPLETE"
#: characters of an error's message, which may have a candidate's words
TOLD = 20_000
UNJUDGED, USAGE, INTERNAL, UNWRITTEN, INTERRUPTED = 2, 64, 70, 74, 130


class Commands(click.Group):
    """A click group that says which commands there are."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """The command that is named, or an error that names the nearest."""
        if args and self.get_command(ctx, args[0]) is None:
            legal = ", ".join(self.list_commands(ctx))
            raise click.UsageError(f"no command {args[0]!r}{nearest(args[0], self.commands)}; legal: {legal}", ctx)
        return super().resolve_command(ctx, args)


class Cli(Commands):
    """A click group whose exit codes leave 1 and 2 to verdicts."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command line and exit."""
        if COMPLETING in os.environ:  # click answers the shell, and exits
            return super().main(*args, **{**kwargs, "complete_var": COMPLETING})
        kwargs["standalone_mode"] = False
        open_closed()
        given = list(kwargs.get("args") or (args[0] if args else None) or sys.argv[1:])
        if os.getcwd() not in sys.path:
            sys.path.insert(0, os.getcwd())  # targets are looked for where the user stands, as `python -m` does
        try:
            with writing():
                code = super().main(*args, **kwargs)
        except BaseException as error:
            with contextlib.suppress(OSError):  # where standard error cannot be written either, the exit code tells it
                code = UNWRITTEN if isinstance(error, UnwrittenError) else INTERNAL
                code = _failed(error, document.wanted(given))
            flush_errors()
        sys.exit(code if isinstance(code, int) else 0)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """The command line as click reads it, which prints help."""
        with writing():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was named."""
        with writing():
            return super().invoke(ctx)


def _failed(error: BaseException, as_json: bool) -> int:
    """The exit code of what was raised, which is told on standard error, and as a document if one was asked for."""
    message = str(error)
    if isinstance(error, click.Abort | KeyboardInterrupt):
        code = INTERRUPTED
    elif isinstance(error, click.ClickException):
        error.show()
        code, message = USAGE, error.format_message()
    elif isinstance(error, RefgradError):
        from refgrad.layout import printable

        message = message if len(message) <= TOLD else f"{message[:TOLD]} ..."
        click.echo(f"Error: {printable(message)}", err=True)
        code = USAGE if isinstance(error, ArgumentError) else UNJUDGED
    elif isinstance(error, UnwrittenError):
        click.echo(f"Error: {message}", err=True)
        return UNWRITTEN
    else:
        traceback.print_exception(error)
        sys.stderr.flush()
        code = INTERNAL
    if as_json:
        # a document says what went wrong by the public class: those below it are told apart inside alone
        kind = CandidateError if isinstance(error, NotThereError) else type(error)
        click.echo(document.error(code, kind.__name__, message))
    return code
