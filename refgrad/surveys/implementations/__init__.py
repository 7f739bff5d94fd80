"""The implementations of rules that are known: data, one module a family of packages. Nothing of them is imported."""

from __future__ import annotations

import functools
import importlib

from refgrad.surveys.implementations.record import Implementation

__all__ = ["Implementation", "known"]

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
