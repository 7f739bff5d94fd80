"""The progress of a survey on standard error: one live line in a terminal, a line a cell elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from refgrad.surveys.cell import Cell
from refgrad.surveys.run import Progress


@contextmanager
def line(stream: TextIO | None = None) -> Iterator[Progress]:
    """A progress to hand to `refgrad.survey`; its live line is gone afterwards."""
    out = sys.stderr if stream is None else stream
    live, start = out.isatty(), time.monotonic()

    def progress(done: int, total: int, now: Sequence[str], cell: Cell | None) -> None:
        if live:
            told = f"{done}/{total}  {time.monotonic() - start:.0f} s  {', '.join(now)}"
            width = shutil.get_terminal_size().columns - 1
            out.write(f"\r\x1b[K{told[:width]}")
        elif cell is not None:
            out.write(f"{done}/{total}  {cell.outcome}: {cell.called} as {cell.claim} ({cell.seconds:g} s)\n")
        out.flush()

    try:
        yield progress
    finally:
        if live:
            out.write("\r\x1b[K")
            out.flush()
