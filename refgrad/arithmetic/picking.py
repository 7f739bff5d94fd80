"""What labels pick, where labels are no arrays but stand for those of a kernel: functions that carriers have meanings of."""

from __future__ import annotations

from typing import Any

import numpy as np

from refgrad.arithmetic.subgradients import known_to_carriers


@known_to_carriers
def picked(x: Any, labels: Any) -> Any:
    """The number of each row that its label says."""
    return x[(*np.indices(labels.shape, sparse=True), labels)]


@known_to_carriers
def placed(upstream: Any, labels: Any, count: int) -> Any:
    """Rows of zeros, each with a number where its label says: the gradient of what was picked."""
    return np.where(labels[..., None] == np.arange(count), upstream[..., None], 0.0)


@known_to_carriers
def hot(labels: Any, count: int) -> Any:
    """Rows of zeros with a one where the label says."""
    return placed(np.ones(labels.shape, np.float32), labels, count)
