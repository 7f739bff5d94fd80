"""The errors that refgrad raises: each names the argument, the value that was given, and what is legal.

Args and Raises of other docstrings name these classes; whoever wants to catch all of them catches `RefgradError`.
"""

from __future__ import annotations

from collections.abc import Iterable

#: characters of a value that an error shows; and of a word, beyond which nothing like it is looked for
SHOWN, LONGEST = 400, 100


class RefgradError(Exception):
    """Base of every error that refgrad raises on purpose."""


class ArgumentError(RefgradError, ValueError):
    """An argument has a value that is not legal; a `ValueError` too.

    >>> raise ArgumentError("lr is -1.0; legal: a number in [0, inf)")
    Traceback (most recent call last):
        ...
    refgrad.errors.ArgumentError: lr is -1.0; legal: a number in [0, inf)
    """


class VerdictError(RefgradError, AssertionError):
    """An implementation is wrong, as `Verdict.raise_if_wrong` says; an `AssertionError` too. The text is the whole report."""


class TraceError(RefgradError, TypeError):
    """A rule's body used an operation that refgrad's arithmetics do not know; a `TypeError` too."""


class NoKernel(ArgumentError):
    """Something has no kernel for a device; nothing has been written.

    Args:
        reason: why, in words.
        what: what has none.
    """

    def __init__(self, reason: str, what: str = "this") -> None:
        super().__init__(f"{what} has no CUDA kernel, because {reason}; legal: what docs/cuda.md lists")
        self.reason = reason


class DeviceError(RefgradError):
    """A device cannot be used: no driver, no card, no memory; the text says which, and what to do."""


class OnHostWarning(UserWarning):
    """A rule copies the arrays of a device to the host, runs there, and copies its results back."""


class CandidateError(RefgradError):
    """A candidate could not be found, built or understood."""


class NotThereError(CandidateError):
    """There is nothing where a candidate was said to be: no such module, file or name, or importing it failed."""


def bad_argument(name: str, value: object, legal: str) -> ArgumentError:
    """The error that an argument's value is not legal, in the one shape that such errors have.

    Args:
        name: the argument, as the caller knows it.
        value: what was given, as `shown` writes it.
        legal: what would be legal, after "legal: ".

    Returns:
        The error, to be raised.

    >>> str(bad_argument("steps", 0, "a whole number from 1"))
    'steps is 0; legal: a whole number from 1'
    """
    return ArgumentError(f"{name} is {shown(value)}; legal: {legal}")


def shown(value: object) -> str:
    """A value as errors show it: its ``repr``, of which no more than `SHOWN` characters are kept.

    Args:
        value: anything, such as what a caller handed over by mistake.

    Returns:
        A text; of what has no ``repr`` (a whole number of thousands of digits, an object whose own code fails) the type alone.

    >>> shown(0.5), shown("a" * 1000)[-12:], shown(10**5000)
    ('0.5', 'aaaaaaaa ...', 'an int')
    """
    try:
        text = repr(value)
    except Exception:  # whatever the code of others raises
        return with_article(type(value).__name__)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} ..."


def with_article(noun: str) -> str:
    """A noun with "a" or "an" before it, as it is spoken.

    Args:
        noun: a word, such as the name of a type or a kind of rules.

    Returns:
        Both words.

    >>> with_article("int"), with_article("list"), with_article("8-bit-optimizer"), with_article("ndarray")
    ('an int', 'a list', 'an 8-bit-optimizer', 'an ndarray')
    """
    return f"{'an' if noun.lower().startswith(('a', 'e', 'i', 'o', '8', 'nd')) else 'a'} {noun}"


def nearest(word: object, known: Iterable[str], cutoff: float = 0.5) -> str:
    """A hint at what may have been meant.

    Args:
        word: what was given; capitals do not count.
        known: the legal words.
        cutoff: how like it a word must be, from 0 to 1; more where there are hundreds, one of which is like it by chance.

    Returns:
        A text such as ``"; did you mean 'AdamW'?"``, or an empty one if nothing is near, or it is no word.

    >>> nearest("adamw2", ["AdamW", "Lion"])
    "; did you mean 'AdamW'?"
    >>> nearest("sdg", ["SDGF", "SGD"])  # the same letters are nearer than one more
    "; did you mean 'SGD'?"
    >>> nearest("no", ["random", "os"], cutoff=0.7)
    ''
    """
    meant = meant_by(word, known, cutoff)
    return f"; did you mean {meant!r}?" if meant else ""


def meant_by(word: object, known: Iterable[str], cutoff: float = 0.5) -> str:
    """The legal word that is nearest to a word.

    Args:
        word: what was given.
        known: the legal words.
        cutoff: how like it a word must be.

    Returns:
        The word, empty if none is near.

    >>> meant_by("adamw2", ["AdamW", "Lion"])
    'AdamW'
    """
    if not isinstance(word, str) or len(word) > LONGEST:
        return ""
    import difflib  # half of the time that `import refgrad` takes

    by_lower = {name.lower(): name for name in known}
    exchanged = [name for name in by_lower if sorted(name) == sorted(word.lower())]
    close = exchanged or difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[close[0]] if close else ""
