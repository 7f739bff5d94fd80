"""The errors that refgrad raises: each names the argument, the value that was given, and what is legal."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RefgradError(Exception):
    """Base of every error that refgrad raises on purpose."""


class ArgumentError(RefgradError, ValueError):
    """An argument has a value that is not legal."""


class VerdictError(RefgradError, AssertionError):
    """An implementation is wrong; the text is a report that needs no traceback."""


class TraceError(RefgradError, TypeError):
    """A rule's body used an operation that refgrad's arithmetics do not know."""


class CandidateError(RefgradError):
    """A candidate could not be found, built or understood."""


def bad_argument(name: str, value: object, legal: str) -> ArgumentError:
    """The one sentence shape of an argument error."""
    return ArgumentError(f"{name} is {value!r}; legal: {legal}")


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint such as ``; did you mean 'AdamW'?``, or an empty string if nothing is near."""
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.5)
    return f"; did you mean {by_lower[close[0]]!r}?" if close else ""
