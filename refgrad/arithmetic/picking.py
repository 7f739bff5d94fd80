"""What labels pick, where labels are no arrays but stand for those of a kernel or of a text: functions that carriers know.

They are named as those of `refgrad` that formulas call, which hand over to them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refgrad.arithmetic.subgradients import known_to_carriers


@known_to_carriers
def take(x: Any, labels: Any) -> Any:
    """The number of each row that its label says."""
    return x[(*np.indices(labels.shape, sparse=True), labels)]


@known_to_carriers
def placed_at(numbers: Any, labels: Any, count: int) -> Any:
    """Rows of zeros, each with a number where its label says: the gradient of what was taken."""
    return np.where(labels[..., None] == np.arange(count), numbers[..., None], 0.0)


@known_to_carriers
def one_hot(labels: Any, count: int) -> Any:
    """Rows of zeros with a one where the label says."""
    return placed_at(np.ones(labels.shape, np.float32), labels, count)


@known_to_carriers
def segment_sum(x: Any, labels: Any, count: int) -> Any:
    """The sum of the rows that have each label; zeros where no row has it."""
    found = np.zeros((count, *x.shape[labels.ndim :]))
    np.add.at(found, labels, x)
    return found


@known_to_carriers
def rows_added(x: Any, labels: Any, count: int) -> Any:
    """`segment_sum` as the gradient of rows that were taken: in floats every label has as many terms as the most frequent one.

    A label that has fewer is filled up with zeros, as in `refgrad.arithmetic.adjoints.gathered`.
    """
    return segment_sum(x, labels, count)


rows_added.__name__ = "segment_sum"  # what texts of gradients call it
