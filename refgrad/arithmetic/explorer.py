"""One way through the choices that a body makes by numbers which are known to within a bound."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from refgrad.arithmetic.bounded import Bounded


class OpenChoice(Exception):  # not an error: a fork that has not been taken yet
    """A choice that may go either way was met for the first time."""


class Explorer:
    """One way through a body's choices, in the order in which they are met.

    Attributes:
        forced: how the first choices go.
        met_nan: whether NaN was sorted, or compared where that is not left open: programs settle it in several ways.
    """

    def __init__(self, forced: Sequence[bool] = ()) -> None:
        self.forced, self._met, self.met_nan = tuple(forced), 0, False

    def look(self, *operands: Bounded) -> None:
        """Note whether what a choice is made by is NaN somewhere."""
        self.met_nan = self.met_nan or any(bool(np.isnan(x.value).any()) for x in operands)

    def choose(self) -> bool:
        """How the next choice goes; `OpenChoice` if that has not been said."""
        if self._met == len(self.forced):
            raise OpenChoice
        self._met += 1
        return self.forced[self._met - 1]

    def settle(self, likely: np.ndarray, open_: np.ndarray) -> np.ndarray:
        """Truth values with those that may be either chosen."""
        result = np.array(likely, dtype=bool)
        for at in np.argwhere(open_):
            result[tuple(at)] = self.choose()
        return result
