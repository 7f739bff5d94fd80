"""The implementations of rules that are known: data, one module a family of packages. Nothing of them is imported."""

from __future__ import annotations

import functools
import importlib

from refgrad.surveys.implementations.record import Implementation, on_device

__all__ = ["Implementation", "known", "with_cuda"]

#: the modules whose ``ROWS`` are the table
FAMILIES = (
    *("frameworks", "wrappers", "extra", "keras", "packages", "momenta", "layers", "matrices"),
    *("estimators", "masks", "quantizers", "gradients"),
)


@functools.cache
def known() -> tuple[Implementation, ...]:
    """Every implementation of the table, in the order of its families."""
    modules = (importlib.import_module(f"refgrad.surveys.implementations.{family}") for family in FAMILIES)
    return tuple(row for module in modules for row in module.ROWS)


@functools.cache
def with_cuda() -> tuple[Implementation, ...]:
    """The table with one more column for each form of torch's and optax's optimizers: its arrays on a card.

    What differs between both is a finding. Without a card these rows are missing, and a survey says so.
    """
    return (*known(), *(there for row in known() if (there := on_device(row, "cuda")) is not None))
