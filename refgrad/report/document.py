"""Standard output of the command line: a report, or with ``--json`` one document, and nothing that a candidate prints.

What a candidate prints goes to standard error (`apart`). The documents are described by a JSON Schema in the package
(`schema`): a verdict, an identification, a comparison, an audit, or where there is none of them, an error with the exit
code of the command.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources

ERROR = "refgrad-error-1"
#: exit code -> the outcome of an error document
OUTCOMES: Mapping[int, str] = {
    2: "could not be judged",
    64: "the command line is wrong",
    70: "refgrad failed",
    130: "interrupted",
}
#: commands whose ``--json`` is one of the documents
COMMANDS = ("verify", "identify", "compare", "judge", "audit")


def schema() -> str:
    """The JSON Schema of what the command line prints with ``--json``, as JSON text."""
    return resources.files("refgrad.report").joinpath("schemas", "output.json").read_text("utf-8")


def wanted(arguments: Sequence[str]) -> bool:
    """True if a command line asks for a document.

    >>> wanted(["verify", "torch.optim:AdamW", "--as", "AdamW", "--json"]), wanted(["survey", "--json", "file"])
    (True, False)
    """
    return bool(arguments) and arguments[0] in COMMANDS and "--json" in arguments


def error(code: int, name: str, message: str) -> str:
    """The document of a run without a verdict.

    Args:
        code: the exit code, a key of `OUTCOMES`.
        name: the class of the exception.
        message: what it says.
    """
    found = {"schema": ERROR, "exit_code": code, "outcome": OUTCOMES[code], "error": name, "message": message}
    return json.dumps(found, indent=2)


class _Relay(io.TextIOBase):
    """What a candidate finds as ``sys.stdout``: it writes to standard error, and may be closed."""

    def __init__(self) -> None:
        self._to = sys.stderr

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        return self._to.write(text)

    def flush(self) -> None:
        if not self.closed:
            self._to.flush()

    def fileno(self) -> int:
        return self._to.fileno()


@contextlib.contextmanager
def apart() -> Iterator[None]:
    """Standard output is standard error within, for Python and for C; afterwards both are what they were, closed or not."""
    out, err = sys.stdout, sys.stderr
    out.flush()
    kept = _descriptor(out)
    if kept is not None:
        os.dup2(2, 1)
    sys.stdout = _Relay()
    try:
        yield
    finally:
        sys.stdout, sys.stderr = out, err
        if kept is not None:
            os.dup2(kept, 1)
            os.close(kept)


def _descriptor(out: object) -> int | None:
    """A copy of descriptor 1 if that is what a stream writes to; None for a stream of somebody else's."""
    try:
        return os.dup(1) if out.fileno() == 1 and os.fstat(2) else None  # type: ignore[attr-defined]
    except (OSError, AttributeError, ValueError):
        return None
