"""Where a result goes: standard output, as JSON, in colour or as plain text, and files that the command line names."""

from __future__ import annotations

import sys
from typing import Any

import click

from refgrad import whole_file
from refgrad.errors import ArgumentError


def show(result: Any, as_json: bool) -> None:
    """Print a result, a `refgrad.oracle.engine.result.Result`."""
    if as_json:
        click.echo(result.to_json(indent=2))
    elif sys.stdout.isatty():
        from refgrad.report import terminal

        terminal.show(result)
    else:
        click.echo(str(result))


def write(path: str, text: str) -> None:
    """Write a text to a file that the command line names."""
    try:
        whole_file.write(path, f"{text}\n".encode())
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ArgumentError(
            f"{path!r} cannot be written: {why}; legal: a file in a folder that exists, or a pipe that is read"
        ) from None
