"""How a command line ends: exit codes that leave 1 and 2 to verdicts, errors on standard error, and a document if asked for."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import traceback
from collections.abc import Iterator
from typing import Any

import click

from refgrad.errors import ArgumentError, RefgradError, nearest
from refgrad.report import document

#: the environment variable by which a shell asks what it may offer
COMPLETING = "_REFGRAD_COMPLETE"
#: how standard output says that it cannot be written
UNWRITABLE = (errno.ENOSPC, errno.EPIPE, errno.EBADF, errno.EIO, errno.EDQUOT, errno.EFBIG)
#: characters of an error's message, which may have a candidate's words
TOLD = 20_000
UNJUDGED, USAGE, INTERNAL, UNWRITTEN, INTERRUPTED = 2, 64, 70, 74, 130


class Cli(click.Group):
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
            with _output():
                code = super().main(*args, **kwargs)
        except BaseException as error:
            with contextlib.suppress(OSError):  # where standard error cannot be written either, the exit code tells it
                code = UNWRITTEN if isinstance(error, UnwrittenError) else INTERNAL
                code = _failed(error, document.wanted(given))
        sys.exit(code if isinstance(code, int) else 0)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """The command line as click reads it, which prints help."""
        with _output():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was named."""
        with _output():
            return super().invoke(ctx)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """The command that is named, or an error that names the nearest."""
        if args and self.get_command(ctx, args[0]) is None:
            legal = ", ".join(self.list_commands(ctx))
            raise click.UsageError(f"no command {args[0]!r}{nearest(args[0], self.commands)}; legal: {legal}", ctx)
        return super().resolve_command(ctx, args)


class UnwrittenError(Exception):
    """Standard output cannot be written: a full disk, or a reader that has gone."""


@contextlib.contextmanager
def _output() -> Iterator[None]:
    """What is printed within is written when it is over; `UnwrittenError` where it cannot be.

    A file's own errors have its name, and those of standard output have none.
    """
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        if error.filename is not None or error.errno not in UNWRITABLE:
            raise
        with contextlib.suppress(OSError, ValueError, AttributeError):  # what is left of it has nowhere to go
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise UnwrittenError(f"standard output cannot be written: {error.strerror}") from None


def open_closed() -> None:
    """Standard streams that a caller closed go nowhere, so that no file that is opened later stands in their place."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is not None:
            continue
        with contextlib.suppress(OSError):
            os.fstat(number)
            continue
        nowhere = os.open(os.devnull, os.O_RDWR)
        if nowhere != number:
            os.dup2(nowhere, number)
            os.close(nowhere)
        setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


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
        click.echo(document.error(code, type(error).__name__, message))
    return code
