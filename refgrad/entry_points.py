"""The door of what a rule computes for a caller: numbers as the standard environment has them, arrays of any library.

Both are looked at in one place, because a step of few elements takes no longer than a handful of calls of Python.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from refgrad.arguments import check_options, memory_error
from refgrad.float_environment import HALF, LITTLE, ONE, SMALLEST_NORMAL, is_standard, marked, standard
from refgrad.foreign_arrays import RECORD, called_with


def entry_point(function: Callable[..., Any], writes: Collection[str] = ()) -> Callable[..., Any]:
    """A method of a rule that depends on no thread's floating-point environment, and takes arrays of other libraries as well.

    Where the first array is NumPy's, nothing else is looked at; where the environment is the standard one, nothing is set. What
    is told by name besides arrays passes the gate of `refgrad.arguments`; memory that cannot be had is told of there too.

    Args:
        function: the method, which takes NumPy's arrays, alone or in trees.
        writes: the arguments that it writes into.
    """

    @functools.wraps(function)
    def run(self: Any, *args: Any, **keywords: Any) -> Any:
        if keywords:
            check_options(keywords)
        first = args[0] if args else None
        if type(first) is not np.ndarray:
            held = getattr(first, "arrays", None) if hasattr(type(first), RECORD) else None
            if type(held) is dict:  # what a quantizer made, which holds the arrays
                first = next(iter(held.values()), None)
        try:
            if (  # `is_standard`, without a call
                type(first) is np.ndarray and ONE + LITTLE == ONE - LITTLE and SMALLEST_NORMAL * HALF != 0.0
            ):
                return function(self, *args, **keywords)
            if is_standard():
                return called_with(function, writes, self, args, keywords)
            with standard():
                return called_with(function, writes, self, args, keywords)
        except MemoryError as error:
            raise memory_error(self.hyperparameters(), error) from None

    return marked(run)
