"""The progress of an audit on standard error: a bar in a terminal, nothing elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from refgrad.audits.audit import Progress as Told


@contextmanager
def bar(console: Console | None = None) -> Iterator[Told]:
    """A progress to hand to `refgrad.audit`; its bar is gone afterwards."""
    console = console or Console(file=sys.stderr)
    columns = (
        TextColumn("{task.percentage:3.0f} %"),
        BarColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task("", total=None)

        def progress(done: int, total: int, tensor: str) -> None:
            shown.update(task, completed=done, total=total, description=escape(tensor))

        yield progress
