"""The operation that reads an array at places: a number of a table that is handed in, one for each element."""

from __future__ import annotations

from typing import Any

import numpy as np

from refgrad.arithmetic.operations.op import Op, Symbol, Writer
from refgrad.arithmetic.rounding import gathered
from refgrad.arithmetic.running_error import Bounded, Model


def _read(table: Any, places: Any) -> np.ndarray:
    """Numbers of a table; `IndexError` at a place that it has not."""
    return gathered(np.asarray(table), np.asarray(places).astype(np.int64))


def _error(table: Bounded, places: Bounded, model: Model) -> Bounded:
    """What is read is as sure as the table; places are whole numbers, known exactly."""
    value, at = np.asarray(table.value), np.asarray(places.value)
    return Bounded(_read(value, at), _read(np.broadcast_to(table.bound(), value.shape), at))


def _exact(m: Any, table: Any, places: Any) -> Any:
    return np.asarray(table, object)[np.asarray(np.vectorize(int, otypes=[np.int64])(places))]


def _write(w: Writer, table: str, place: str) -> str:
    return f"{table}[{w.index(w.cast('int64', place))}]"


ROWS = (
    Op(
        "look_up",
        2,
        numpy=_read,
        exact=_exact,
        error=_error,
        write=_write,
        kind="look-up",
        axes=lambda operands, attribute: operands[1],
        symbol=Symbol("call", "look_up"),
    ),
)
