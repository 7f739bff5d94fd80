"""Right programs of optimizers that were written by hand, as the measurement takes them.

They are handed over by ``python -m refgrad.strength --rewrites tests.strength.hand_written:of_rule``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from refgrad.rule import Rule
from tests.oracle import adam_cases
from tests.oracle.rewritten import LEGAL, rewritten


def of_rule(cls: type[Rule]) -> Iterator[tuple[Rule, Any]]:
    """Rules of a class, each with a candidate: the texts of `tests.oracle.rewritten`, the functions of `adam_cases`."""
    for case in LEGAL:
        if type(case[0]) is cls:
            yield case[0], rewritten(*case)
    if cls.__name__ == "AdamW":
        for program in adam_cases.LEGAL.values():
            yield cls(), _without_warnings(program)


def _without_warnings(program: adam_cases.Program) -> Any:
    def candidate(p: Any, g: Any, m: Any, v: Any, t: Any) -> Any:
        with np.errstate(all="ignore"):
            return program(p, g, m, v, t)

    return candidate
