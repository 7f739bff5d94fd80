"""Inputs of rules without state: some arrays by name, once or many times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refgrad.errors import ArgumentError, bad_argument
from refgrad.oracle.inputs.steps import numbers


@dataclass(frozen=True, eq=False)
class Cases:
    """What a candidate is called with, case by case.

    Attributes:
        arrays: for each case, the arrays that the rule takes by name, all of one float dtype.
        names: what each case is called in reports.
        seed: the seed that they were made from, if they were.
    """

    arrays: Sequence[Mapping[str, np.ndarray]]
    names: Sequence[str] = ()
    seed: int | None = None

    def __post_init__(self) -> None:
        if not self.arrays:
            raise ArgumentError("inputs have no case; legal: at least one")
        for case, arrays in enumerate(self.arrays):
            for name, array in arrays.items():
                if not isinstance(array, np.ndarray):
                    raise bad_argument(f"inputs.arrays[{case}][{name!r}]", type(array).__name__, "a NumPy array")

    @classmethod
    def of(cls, dtype: Any = "float32", **arrays: Any) -> Cases:
        """One case: each of the rule's arrays by name, as an array, numbers or hex strings.

        >>> Cases.of(x=[0.5, -1.0], cotangent=[1.0, 1.0]).arrays[0]["x"]
        array([ 0.5, -1. ], dtype=float32)
        """
        return cls([{name: numbers(values, dtype) for name, values in arrays.items()}], [""])

    def name(self, case: int) -> str:
        """What a case is called."""
        return self.names[case] if case < len(self.names) else ""
