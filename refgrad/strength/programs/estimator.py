"""Programs of an estimator: its value and its gradients, from its graph."""

from __future__ import annotations

from refgrad.strength.programs.base import CasePrograms


class EstimatorPrograms(CasePrograms):
    """An estimator has a graph, and its results are judged as they stand, so that nothing differs."""
