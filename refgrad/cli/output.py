"""Standard output that cannot be written, and standard streams that are closed."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator

#: how standard output says that it cannot be written
UNWRITABLE = (errno.ENOSPC, errno.EPIPE, errno.EBADF, errno.EIO, errno.EDQUOT, errno.EFBIG)


class UnwrittenError(Exception):
    """Standard output cannot be written: a full disk, or a reader that has gone."""


@contextlib.contextmanager
def writing() -> Iterator[None]:
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


def flush_errors() -> None:
    """Write what standard error has still to write; nowhere if it cannot be: Python would end with an exit code of its own."""
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
    except OSError:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


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
