"""What a hyperparameter may be: an interval of numbers, whole numbers, one of several named behaviours, or true and false."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from refgrad.citation import Alternative, by
from refgrad.errors import bad_argument, nearest

#: what Python, or NumPy, makes a number of though it is none
NO_NUMBERS = (
    bool,
    str,
    bytes,
    bytearray,
    np.bool_,
    np.datetime64,
    np.timedelta64,
    np.complexfloating,
    np.ma.MaskedArray,
)
#: NumPy's letters of the kinds of dtypes that are numbers; that of ml_dtypes' is of records too
NUMERIC, OWN = "iuf", "V"


@dataclass(frozen=True)
class Range:
    """An interval of legal numbers, either end open or closed; of whole numbers alone where nothing else has a meaning.

    Args:
        low: the lower end.
        high: the upper end.
        open_low: whether the lower end itself is illegal.
        open_high: whether the upper end itself is illegal.
        whole: whether only whole numbers are legal: codes and steps, which enter the rule's arithmetic as numbers do.

    >>> decay = Range(0.0, 1.0, open_low=False)
    >>> 0.0 in decay, 1.0 in decay, str(decay)
    (True, False, '[0, 1)')
    >>> 2.5 in Range(whole=True), str(Range(1.0, open_low=False, whole=True))
    (False, '[1, inf), whole')
    """

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = True
    open_high: bool = True
    whole: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return above and below and (not self.whole or float(value).is_integer())

    def __str__(self) -> str:
        interval = f"{'(' if self.open_low else '['}{self.low:g}, {self.high:g}{')' if self.open_high else ']'}"
        return f"{interval}, whole" if self.whole else interval

    def check(self, name: str, value: object) -> float:
        """A value as a float.

        Args:
            name: what errors call the value, such as ``"AdamW.lr"``.
            value: a number, of Python or NumPy.

        Raises:
            ArgumentError: it is no number (a bool and a text are none), is NaN, or lies outside.
        """
        number = as_number(value)
        if number not in self:
            raise bad_argument(name, value, f"a number in {self}")
        return number


@dataclass(frozen=True)
class Whole:
    """The whole numbers from ``low`` to ``high``, both legal; each number selects a behaviour, as a name would.

    Args:
        low: the least.
        high: the largest; None for no end.
    """

    low: int
    high: int | None = None

    def __str__(self) -> str:
        return f"a whole number from {self.low}" + ("" if self.high is None else f" to {self.high}")

    def check(self, name: str, value: object) -> int:
        """A value as an int.

        Args:
            name: what errors call the value.
            value: an integer, of Python or NumPy.

        Raises:
            ArgumentError: it is no integer (a bool and a float are none), or lies outside.
        """
        number = as_whole(value)
        if number is None or number < self.low or (self.high is not None and number > self.high):
            raise bad_argument(name, value, str(self))
        return number


#: how often a rule does something again at most: more than any publication or package does, and few enough to come back
MOST_ITERATIONS = 1_000_000


@dataclass(frozen=True)
class Iterations(Whole):
    """How often a rule does something again: rounds, steps of a search, iterations. There is an end, so that no loop is endless.

    Args:
        low: the least.
        high: the largest.

    >>> Iterations().check("AWQ.steps", 10**9)
    Traceback (most recent call last):
        ...
    refgrad.errors.ArgumentError: AWQ.steps is 1000000000; legal: a whole number from 1 to 1000000
    """

    low: int = 1
    high: int | None = MOST_ITERATIONS


class Choice:
    """One of several named behaviours.

    Args:
        sentences: for each name a sentence that says what it is; with who does it, as `refgrad.citation.by` gives it.

    >>> Choice(inside="eps under the root", outside="eps beside the root").check("eps_placement", "inside")
    'inside'
    """

    def __init__(self, **sentences: str | Alternative) -> None:
        self.alternatives: Mapping[str, Alternative] = {n: _alternative(s) for n, s in sentences.items()}
        self.sentences: Mapping[str, str] = {n: str(a) for n, a in self.alternatives.items()}

    def __str__(self) -> str:
        return " | ".join(self.sentences)

    def check(self, name: str, value: object) -> str:
        """A value that is one of the names.

        Args:
            name: what errors call the value.
            value: a name.

        Raises:
            ArgumentError: it is none of them; the error says which is nearest.
        """
        text = as_text(value)
        if text is None or text not in self.sentences:
            raise bad_argument(name, value, f"{self}{nearest(text, self.sentences)}")
        return text


class Flag:
    """True or false.

    Args:
        sentence: what true means; with who does it, as `refgrad.citation.by` gives it.
    """

    def __init__(self, sentence: str | Alternative) -> None:
        self.alternative = _alternative(sentence)
        self.sentence = str(self.alternative)

    def said(self, value: bool) -> str:
        """What a value means.

        Args:
            value: True or False.
        """
        # who does it does what true means
        return self.sentence if value else f"not: {self.alternative.sentence}"

    def __str__(self) -> str:
        return "true | false"

    def check(self, name: str, value: object) -> bool:
        """A value that is a bool.

        Args:
            name: what errors call the value.
            value: True or False.

        Raises:
            ArgumentError: it is neither; 1 and 0 are not.
        """
        if type(value) is not bool:  # of which there is no subclass; whatever the value itself says of its class
            raise bad_argument(name, value, "True or False")
        return value


def as_text(value: object) -> str | None:
    """A value as a text of Python's own; None for what is none, whatever it says of itself.

    Args:
        value: a text, also of a subclass, or anything else.

    >>> as_text(np.str_("keep")), as_text(b"keep")
    ('keep', None)
    """
    try:
        return str.__str__(value) if isinstance(value, str) else None
    except Exception:  # whatever the code of others raises
        return None


def as_number(value: object) -> float:
    """A value as a float; NaN for what is no number: a bool, a text, bytes, or a number that no float holds.

    Args:
        value: a number of Python or NumPy, of any library that makes a float of it, or anything else.

    >>> as_number(2), as_number(True), as_number("2"), as_number(10**400)
    (2.0, nan, nan, nan)
    """
    if not hasattr(type(value), "__float__") and not hasattr(type(value), "__index__"):
        return math.nan  # else Python reads the text in its memory, as of a memoryview
    try:
        if isinstance(value, NO_NUMBERS) or (isinstance(value, np.ndarray) and not is_numeric(value.dtype)):
            return math.nan
        return float(value)  # type: ignore[arg-type]
    except Exception:  # that it is none, or whatever the code of others raises
        return math.nan


def as_whole(value: object) -> int | None:
    """A value as an int; None for what is no whole number: a bool, a float, a text.

    Args:
        value: a whole number of Python or NumPy, an array of one, or anything else.

    >>> as_whole(3), as_whole(3.0), as_whole(True)
    (3, None, None)
    """
    try:
        if isinstance(value, NO_NUMBERS) or (isinstance(value, np.ndarray) and not is_numeric(value.dtype)):
            return None
        return operator.index(value)  # type: ignore[arg-type]
    except Exception:  # that it is none, or whatever the code of others raises
        return None


def is_numeric(dtype: np.dtype) -> bool:
    """True of a dtype of numbers: no truths, texts, dates, complex numbers, objects or records."""
    return dtype.kind in NUMERIC or (dtype.kind == OWN and dtype.type is not np.void)


def _alternative(sentence: str | Alternative) -> Alternative:
    if type(sentence) is Alternative:
        return sentence
    text = as_text(sentence)
    if text is None:
        raise bad_argument("sentence", sentence, "a text, or what refgrad.citation.by gives")
    return Alternative(text)


Positive = Annotated[float, Range(0.0)]
NonNegative = Annotated[float, Range(0.0, open_low=False)]
Decay = Annotated[float, Range(0.0, 1.0, open_low=False)]
Fraction = Annotated[float, Range(0.0, 1.0, open_low=False, open_high=False)]
Real = Annotated[float, Range()]
#: codes of a quantizer, and numbers of steps or elements: whole numbers, with which the rule computes as with others
Code = Annotated[float, Range(whole=True)]
PositiveCode = Annotated[float, Range(0.0, whole=True)]
Count = Annotated[float, Range(0.0, open_low=False, whole=True)]
PositiveCount = Annotated[float, Range(1.0, open_low=False, whole=True)]

ScalarPrecision = Annotated[
    str,
    Choice(
        float64="real numbers: scalars are computed in float64 and rounded once where they meet an array",
        float32=by(
            "every operation on scalars is rounded to float32",
            "optax: of its optimizers, in which decays and powers of them are float32 arrays",
        ),
    ),
]
