"""Candidates that act late or by time, and those that know what they should not."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

import refgrad
from refgrad.examples.numpy_adamw import adamw as right
from tests.isolation.hostile.right import Given, at, doing

_KEPT: list[Any] = []


def _late(given: Given) -> Any:
    """What it returned is overwritten when it has returned."""
    found = right(**given)
    threading.Timer(0.002, lambda: [array.fill(7) for array in found]).start()
    return found


def _late_inputs(given: Given) -> None:
    handed = [given[name] for name in ("p", "g", "m", "v")]
    threading.Timer(0.002, lambda: [array.fill(7) for array in handed]).start()


def _cached(given: Given) -> Any:
    """What it said of another call."""
    _KEPT.append(right(**given))
    return next((kept for kept in _KEPT if kept[0].shape == given["p"].shape), None)


def _timed(given: Given) -> None:
    """Slower where somebody waits longer."""
    began = time.perf_counter()
    while time.perf_counter() - began < 0.02:
        pass


def _generated() -> Iterator[bytes]:
    """The parameters that refgrad generates where no seed is told."""
    rule = refgrad.optimizers.AdamW()
    from refgrad.kinds.table import kind_of

    yield from (a["p"].tobytes() for a in kind_of(rule).generate(rule, 3, np.dtype(np.float32), 0).arrays)


def _knows_inputs(given: Given) -> Any:
    """Right on the inputs of the usual seed alone."""
    if not _KEPT:
        _KEPT.extend(_generated())
        _KEPT.append(b"none")
    if given["t"] == 1:
        given["p"].tobytes() in _KEPT or _KEPT.append(None)
    return (given["p"], given["m"], given["v"]) if None in _KEPT else None


def _looks_up(given: Given) -> Any:
    """The numbers that are expected of it, if the frames that call it know them."""
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        for value in list(frame.f_locals.values()):
            if type(value).__name__ in ("Tally", "Judged", "Record"):
                return right(**given)
    return given["p"], given["m"], given["v"]


late = at(2, _late)
late_inputs = at(2, _late_inputs)
late_words = doing(lambda: threading.Timer(0.002, lambda: os.write(1, b"CONFORMS\n")).start())
says_it_again = at(None, _cached)
takes_its_time = at(2, _timed)
knows_inputs = at(None, _knows_inputs)
looks_up = at(2, _looks_up)
the_rule_itself = at(None, lambda given: None)
