"""Functions of gradients between tasks, workers, examples, images, domains and solvers; one module a subject."""

from __future__ import annotations

from typing import TYPE_CHECKING

from refgrad.rooms import on_demand

if TYPE_CHECKING:
    from refgrad.gradients.balancing import MagnitudeInvariantEncoding
    from refgrad.gradients.centers import GeometricMedian

__getattr__, __dir__ = on_demand(__name__)

__all__ = ["GeometricMedian", "MagnitudeInvariantEncoding"]
