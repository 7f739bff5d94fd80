"""The kernels of masks leave alone what they do not do."""

from __future__ import annotations

import numpy as np
import pytest

from refgrad.backends import selection


@pytest.mark.parametrize(
    ("shape", "along", "done"),
    [((3, 8), "last", True), ((4, 6), "last", False), ((4, 6), "flat", True), ((3, 6), "flat", False)],
    ids=str,
)
def test_lengths_that_groups_do_not_divide_are_left_to_numpy(shape: tuple[int, ...], along: str, done: bool) -> None:
    w = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    found = selection.n_of_m(w, 2, 4, along, "low", "largest")
    assert (found is not None) == done
    if found is not None:
        assert (found.reshape(-1, 4) == [False, False, True, True]).all()
