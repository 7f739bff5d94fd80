"""Parts of quantizers that are judged between ends: how far they may be off."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refgrad.oracle.acceptance.judge import INSIDE, OUTSIDE
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.acceptance.quantized_parts import has_graph, judge_parts, truth_of
from refgrad.quantizers import NUQSGD, QSGD, KMeans, OneBit, Quantizer, RoundToNearest

X = np.random.default_rng(5).standard_normal((8, 32)).astype(np.float32)


@pytest.mark.parametrize(
    ("rule", "part"),
    [(QSGD(), "norm"), (NUQSGD(), "norm"), (OneBit(), "low"), (KMeans(), "codebook"), (RoundToNearest(), "scale")],
    ids=str,
)
@pytest.mark.parametrize(("off", "expected"), [(2.0**-23, INSIDE), (2.0**-13, OUTSIDE)])
def test_a_part_that_is_judged_between_ends_may_be_off_by_roundings_alone(
    rule: Quantizer, part: str, off: float, expected: Any
) -> None:
    """By a unit of float32 it may be, by a thousand not; and of all numbers of a part the one that is off is told."""
    assert not has_graph(rule)
    truth = truth_of(rule, {"x": X})
    array = truth[part].copy()
    at = np.unravel_index(np.argmax(np.abs(array)), array.shape)
    array[at] *= np.float32(1 + off)
    judged, values = judge_parts(rule, {"x": X}, {**truth, part: array}, Policy())[part]
    assert values[at] == array[at] != truth[part][at]
    assert judged.status[at] == expected
    others = np.ones(array.shape, bool)
    others[at] = False
    assert (judged.status[others] == INSIDE).all()
