"""Balance between tasks, losses and inputs: equations, peers, properties."""

from __future__ import annotations

import numpy as np
import pytest

from refgrad.errors import ArgumentError
from refgrad.gradients import MagnitudeInvariantEncoding


@pytest.mark.parametrize("count", [0, 1, 7])
def test_the_encodings_norm_is_that_of_their_number(count: int) -> None:
    gamma = np.random.default_rng(count).random(count)
    encoded = MagnitudeInvariantEncoding()(gamma)
    np.testing.assert_allclose(np.linalg.norm(encoded), np.sqrt(count), rtol=1e-15)
    assert MagnitudeInvariantEncoding(encoding="complement")(gamma).sum() == pytest.approx(count, rel=1e-15)


def test_the_encodings_ends_are_the_axes() -> None:
    np.testing.assert_allclose(MagnitudeInvariantEncoding()(np.array([0.0, 1.0])), [1, 0, 0, 1], atol=1e-16)


@pytest.mark.parametrize("shape", [(), (2, 3)])
def test_more_or_fewer_axes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ArgumentError, match=r"gamma\.ndim is"):
        MagnitudeInvariantEncoding()(np.ones(shape))
